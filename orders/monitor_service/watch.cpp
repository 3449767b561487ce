#include "orders/monitor_service/watch.hpp"

#include "common/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hotspare::orders::monitor {
namespace {

resilience::HealthSettings detector_settings(const WatchSettings& settings)
{
    resilience::HealthSettings out;
    out.slow = settings.slow;
    // This verdict routes no requests: a service that comes and goes is to be shown so, and not to be held down for it.
    out.flap_memory = milliseconds(1);
    return out;
}

std::string slow_answer(Duration latency)
{
    return fmt::format("answered after {}", config::format_duration(std::chrono::round<milliseconds>(latency)));
}

} // namespace

Watch::Watch(const WatchSettings& settings, TimePoint now)
    : settings_(settings), detector_(detector_settings(settings)), first_probe_(now)
{
}

Watch::Step Watch::tick(TimePoint now)
{
    Step step;
    for (auto& probe : under_way_) {
        if (probe.overdue || now < probe.started + settings_.slow) continue;
        probe.overdue = true;
        // Of a service that is known not to work it would be good news, which silence is not.
        const bool news = health() == Health::healthy || health() == Health::unknown;
        if (!news || probe.started < last_weighed_ || may_be_starting(probe.started, now)) continue;
        probe.weighed = true;
        const auto waited = std::max(now - probe.started, settings_.slow + Duration(1));
        auto change = weigh({probe.started, waited, ProbeOutcome::ok},
                            fmt::format("no answer within {} so far", config::format_duration(settings_.slow)), now);
        if (change) step.change = std::move(change);
    }
    if (now >= next_probe()) {
        last_probe_ = now;
        under_way_.push_back({.started = now});
        step.probe = true;
    }
    return step;
}

std::optional<Change> Watch::finished(const Probe& probe, TimePoint now)
{
    const auto place = std::find_if(under_way_.begin(), under_way_.end(),
                                    [&probe](const UnderWay& other) { return other.started == probe.started; });
    if (place == under_way_.end()) return std::nullopt; // from before a jump of the clock
    const bool weighed = place->weighed;
    under_way_.erase(place);
    if (probe.started < last_weighed_) return std::nullopt; // a later one has told more
    last_weighed_ = probe.started;

    const bool answered = probe.outcome == ProbeOutcome::ok || probe.outcome == ProbeOutcome::failing;
    last_latency_ = answered ? std::optional(probe.latency) : std::nullopt;
    last_error_ = probe.detail;
    const bool good = probe.outcome == ProbeOutcome::ok;
    if (weighed && good) return std::nullopt; // it counts once
    if ((!good || probe.impaired) && may_be_starting(probe.started, now)) return std::nullopt;
    const bool slow = good && probe.latency > settings_.slow;
    const auto outcome = probe.says_down ? ProbeOutcome::refused : probe.outcome;
    return weigh({probe.started, probe.latency, outcome, probe.impaired},
                 slow ? slow_answer(probe.latency) : probe.detail, now);
}

void Watch::not_made(TimePoint started) noexcept
{
    std::erase_if(under_way_, [started](const UnderWay& other) { return other.started == started; });
}

void Watch::clock_jumped() noexcept
{
    under_way_.clear();
    first_doubt_.reset();
    detector_.forget_doubt();
}

TimePoint Watch::next_probe() const noexcept
{
    if (!last_probe_) return first_probe_;
    if (under_way_.size() >= most_under_way) return TimePoint::max();
    // In doubt from the first probe on; as long as it is under way, nothing is gained by a second one beside it.
    const bool in_doubt = health() == Health::unknown ? under_way_.empty() : detector_.in_doubt();
    return *last_probe_ + (in_doubt ? settings_.fast_interval : settings_.interval);
}

/// Asked about a probe that was not good.
bool Watch::may_be_starting(TimePoint started, TimePoint now) noexcept
{
    if (health() != Health::unknown) return false;
    if (!first_doubt_) first_doubt_ = started;
    return now < *first_doubt_ + settings_.interval;
}

TimePoint Watch::wake_at() const noexcept
{
    auto at = next_probe();
    for (const auto& probe : under_way_)
        if (!probe.overdue) at = std::min(at, probe.started + settings_.slow);
    return at;
}

std::optional<Duration> Watch::response_time(TimePoint now) const noexcept
{
    for (const auto& probe : under_way_) // the oldest has waited longest
        if (probe.started >= last_weighed_ && now - probe.started > settings_.slow) return now - probe.started;
    return last_latency_;
}

std::optional<Change> Watch::weigh(const resilience::ProbeResult& result, std::string detail, TimePoint now)
{
    if (!detail.empty()) complaint_ = std::move(detail);
    const auto change = detector_.probed(result, now);
    if (!change) return std::nullopt;
    // A good probe may complete a change to what is only better: its cause is the one before it, which was not as good.
    detail = complaint_;
    if (change->to == Health::healthy) detail = "answers in time";
    if (change->cause == resilience::Cause::intermittent) detail = "good and bad probes in turn";
    cause_ = detail;
    return Change{change->from, change->to, std::move(detail), change->first_evidence};
}

Health overall(std::span<const Health> all) noexcept
{
    if (all.empty()) return Health::unknown;
    const auto is = [](Health wanted) { return [wanted](Health health) { return health == wanted; }; };
    if (std::all_of(all.begin(), all.end(), is(all.front()))) return all.front();
    if (std::any_of(all.begin(), all.end(), is(Health::down))) return Health::unhealthy;
    for (const auto word : {Health::unhealthy, Health::degraded})
        if (std::any_of(all.begin(), all.end(), is(word))) return word;
    return Health::unknown;
}

} // namespace hotspare::orders::monitor
