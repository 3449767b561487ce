#include "experiment/inject/prober.hpp"

#include "experiment/load/fetch.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hotspare::experiment {
namespace {

constexpr Duration pause_between_rounds = milliseconds(50);
constexpr Duration pause_during_fault = milliseconds(200);
constexpr Duration look_for_fault = milliseconds(5); ///< a short fault must not be over before it was probed

} // namespace

Prober::Prober(const Plan& plan, const Target& target, TimePoint origin) : plan_(plan), target_(target), origin_(origin)
{
}

std::string Prober::wrong(const Probe& probe) const
{
    const auto answer = fetch(target_.address, http::verb::get, probe.path, probe.within);
    if (!answer) return fmt::format("{}: {}", probe.path, answer.error().message());
    if (answer->result_int() != probe.status)
        return fmt::format("{}: status {}, not {}", probe.path, answer->result_int(), probe.status);
    if (answer->body().find(probe.body) == std::string::npos)
        return fmt::format("{}: the body does not contain '{}'", probe.path, probe.body);
    if (probe.served_by.empty()) return {};
    const auto who = target_.name_of(answer->header("X-Served-By"));
    if (who != probe.served_by)
        return fmt::format("{}: served by {}, not by {}", probe.path,
                           who.empty() ? "a server without X-Served-By" : who, probe.served_by);
    return {};
}

ProbeRecord Prober::ask(std::uint32_t probe, Stage stage) const
{
    const TimePoint begin = Clock::now();
    std::string detail;
    try {
        detail = wrong(plan_.steady_state[probe]);
    } catch (const std::exception& error) {
        detail = fmt::format("could not ask: {}", error.what()); // no descriptor left, say
    }
    return {.probe = probe,
            .stage = stage,
            .at = std::chrono::duration_cast<Nanos>(begin - origin_),
            .took = std::chrono::duration_cast<Nanos>(Clock::now() - begin),
            .passed = detail.empty(),
            .detail = std::move(detail)};
}

std::vector<ProbeRecord> Prober::settle(Stage stage, const std::function<bool()>& give_up)
{
    const TimePoint deadline = Clock::now() + plan_.settle;
    for (;;) {
        std::vector<ProbeRecord> round;
        for (std::uint32_t probe = 0; probe < plan_.steady_state.size(); ++probe) round.push_back(ask(probe, stage));
        const bool passed = std::ranges::all_of(round, &ProbeRecord::passed);
        const auto unwell = passed ? target_.unwell() : std::string();
        if ((passed && unwell.empty()) || give_up()) return round;
        if (Clock::now() >= deadline) {
            // By all appearances well, but not by the balancer's own account.
            if (passed && !round.empty()) {
                round.front().passed = false;
                round.front().detail = unwell;
            }
            return round;
        }
        std::this_thread::sleep_for(pause_between_rounds);
    }
}

void Prober::start(TimePoint origin, const std::atomic<bool>& fault)
{
    origin_ = origin;
    thread_ = std::jthread([this, &fault](const std::stop_token& stop) {
        TimePoint next = Clock::now();
        while (!stop.stop_requested()) {
            std::this_thread::sleep_for(look_for_fault);
            if (!fault || Clock::now() < next) continue;
            next = Clock::now() + pause_during_fault;
            for (std::uint32_t probe = 0; probe < plan_.steady_state.size(); ++probe) {
                if (!plan_.steady_state[probe].during_fault) continue;
                auto record = ask(probe, Stage::during);
                const std::lock_guard lock(mutex_);
                records_.push_back(std::move(record));
            }
        }
    });
}

std::vector<ProbeRecord> Prober::stop()
{
    thread_ = {};
    const std::lock_guard lock(mutex_);
    return std::exchange(records_, {});
}

} // namespace hotspare::experiment
