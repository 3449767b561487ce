#include "balancer/control/changes.hpp"

#include "balancer/places.hpp"
#include "common/log.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

namespace hotspare::balancer {

Changes::Changes(Monitor& monitor, Wanted wanted, Expansion expansion)
    : monitor_(monitor), running_(wanted.configuration()), wanted_(std::move(wanted)), expansion_(std::move(expansion))
{
    monitor_.subscribe_names(
        {.addresses = [this](const NameQuery& name,
                             const http::NameAnswer& found) { heard(name, places_of(name, found), found.complete); },
         .records = [this](const NameQuery& name,
                           const http::ServiceAnswer& found) { heard(name, places_of(found), true); }});
    if (const auto config = wanted_.combined()) look_up(*config);
}

ChangeReport Changes::reload(boost::system::result<Config, std::vector<std::string>> read)
{
    ChangeReport report;
    if (read) {
        Wanted wanted = wanted_;
        auto replaced = wanted.read_again(*read);
        report = put_in_force(std::move(wanted));
        report.replaced = std::move(replaced.pools);
        report.routes_replaced = replaced.routes;
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
        log::warn("the members of the pools {} have changed in the configuration and replace those set by request",
                  fmt::join(report.replaced, ", "));
    if (report.routes_replaced)
        log::warn(
            "the dynamic routes of the configuration have changed, or do not agree with those set by request, and "
            "replace these");
    if (!report.needs_restart.empty())
        log::warn("these settings take effect at a restart only: {}", fmt::join(report.needs_restart, ", "));
    return report;
}

ChangeReport Changes::set_members(const std::string& pool, std::vector<BackendConfig> members,
                                  const std::function<bool(std::uint64_t generation)>& expected)
{
    if (auto changed = unexpected(expected)) return *std::move(changed);
    if (!monitor_.failover().topology().find_pool(pool))
        return {.end = ChangeReport::End::conflict,
                .generation = monitor_.failover().topology().generation,
                .errors = {fmt::format("there is no pool '{}' any more", pool)}};
    Wanted wanted = wanted_;
    wanted.set_members(pool, std::move(members));
    return put_in_force(std::move(wanted));
}

ChangeReport Changes::set_routes(std::vector<RouteSettings> routes,
                                 const std::function<bool(std::uint64_t generation)>& expected)
{
    if (auto changed = unexpected(expected)) return *std::move(changed);
    Wanted wanted = wanted_;
    wanted.set_routes(std::move(routes));
    return put_in_force(std::move(wanted));
}

/// If another generation is in force than a request was meant for.
std::optional<ChangeReport> Changes::unexpected(const std::function<bool(std::uint64_t generation)>& expected) const
{
    const std::uint64_t current = monitor_.failover().topology().generation;
    if (expected(current)) return std::nullopt;
    return ChangeReport{.end = ChangeReport::End::changed,
                        .generation = current,
                        .errors = {fmt::format("generation {} is in force, another than If-Match names", current)}};
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
    Expansion expansion = expansion_;
    const Config expanded = expansion.expanded(*config);
    if (expanded.backends.size() > most_backends)
        return refused(fmt::format("the names of backends stand for {} backends, expected at most {}",
                                   expanded.backends.size(), most_backends));
    auto change = monitor_.change(expanded);
    if (!change) return refused(std::move(change.error()));
    wanted_ = std::move(wanted);
    expansion_ = std::move(expansion);
    look_up(*config);
    return {.generation = change->topology->generation, .said = std::move(change->said)};
}

/// The names of `config` that stand for several backends, from now on.
void Changes::look_up(const Config& config)
{
    expansion_.follow(config);
    std::vector<NameWatch::Name> names;
    for (const BackendConfig& backend : config.backends)
        if (backend.resolve != Resolve::any) names.push_back({query_of(backend), backend.resolve_interval});
    monitor_.expand_names(std::move(names));
}

void Changes::heard(const NameQuery& name, std::vector<Place> places, bool complete)
{
    if (!expansion_.names().contains(name)) return;
    if (!expansion_.answered(name, std::move(places), complete) && !expansion_waits_) return;
    const ChangeReport report = put_in_force(wanted_);
    expansion_waits_ = report.end != ChangeReport::End::done;
    if (expansion_waits_)
        log::error("what the name '{}' stands for has changed, its backends have not: {}", name.host,
                   fmt::join(report.errors, "; "));
}

} // namespace hotspare::balancer
