#include "balancer/control/changes.hpp"

#include "common/log.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace hotspare::balancer {

Changes::Changes(Monitor& monitor, Config running) : monitor_(monitor), running_(running), wanted_(std::move(running))
{
}

ChangeReport Changes::reload(boost::system::result<Config, std::vector<std::string>> read)
{
    ChangeReport report;
    if (read) {
        Wanted wanted = wanted_;
        auto replaced = wanted.read_again(*read);
        report = put_in_force(std::move(wanted));
        report.replaced = std::move(replaced);
        report.needs_restart = needs_restart(running_, *read);
    } else {
        report = {.end = ChangeReport::End::invalid,
                  .generation = monitor_.failover().topology().generation,
                  .errors = std::move(read.error())};
    }

    const bool done = report.end == ChangeReport::End::done;
    monitor_.reloaded(done, done ? std::string() : fmt::format("{}", fmt::join(report.errors, "; ")));
    if (!done) {
        log::error("reload failed, nothing has changed: {}", fmt::join(report.errors, "; "));
        return report;
    }
    log::info("configuration reloaded: {}", report.said.empty()
                                                ? "nothing has changed"
                                                : fmt::format("generation {} is in force", report.generation));
    if (!report.replaced.empty())
        log::warn("the configuration says something else of the pools {} than before: it replaces the members that a "
                  "request had set",
                  fmt::join(report.replaced, ", "));
    if (!report.needs_restart.empty())
        log::warn("these settings take effect at a restart only: {}", fmt::join(report.needs_restart, ", "));
    return report;
}

ChangeReport Changes::set_members(const std::string& pool, std::vector<BackendConfig> members,
                                  const std::function<bool(std::uint64_t generation)>& expected)
{
    const std::uint64_t current = monitor_.failover().topology().generation;
    if (!expected(current))
        return {.end = ChangeReport::End::changed,
                .generation = current,
                .errors = {fmt::format("generation {} is in force, another than If-Match names", current)}};
    if (!monitor_.failover().topology().find_pool(pool))
        return {.end = ChangeReport::End::conflict,
                .generation = current,
                .errors = {fmt::format("there is no pool '{}' any more", pool)}};
    Wanted wanted = wanted_;
    wanted.set_members(pool, std::move(members));
    return put_in_force(std::move(wanted));
}

ChangeReport Changes::put_in_force(Wanted wanted)
{
    const auto refused = [this](std::string why) {
        return ChangeReport{.end = ChangeReport::End::conflict,
                            .generation = monitor_.failover().topology().generation,
                            .errors = {std::move(why)}};
    };
    const auto config = wanted.combined();
    if (!config) return refused(config.error());
    auto change = monitor_.change(*config);
    if (!change) return refused(std::move(change.error()));
    wanted_ = std::move(wanted);
    return {.generation = change->topology->generation, .said = std::move(change->said)};
}

} // namespace hotspare::balancer
