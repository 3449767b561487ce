#include "monitor/check/schedule.hpp"

#include <algorithm>

namespace hotspare::monitor {
namespace {

/// The first point of the grid after `time`.
TimePoint next_point(TimePoint anchor, Duration step, TimePoint time) noexcept
{
    const Duration since = time - anchor;
    const auto whole = since / step - (since % step < Duration::zero() ? 1 : 0); // rounded down
    return anchor + (whole + 1) * step;
}

} // namespace

Duration offset_of(std::string_view name, Duration interval) noexcept
{
    std::uint64_t hash = 0xcbf29ce484222325U; // FNV-1a
    for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3U;
    // Names that differ in their last character only must not stand side by side: the finalizer of SplitMix64.
    hash = (hash ^ (hash >> 30U)) * 0xbf58476d1ce4e5b9U;
    hash = (hash ^ (hash >> 27U)) * 0x94d049bb133111ebU;
    hash ^= hash >> 31U;
    return interval.count() > 0
               ? Duration(static_cast<Duration::rep>(hash % static_cast<std::uint64_t>(interval.count())))
               : Duration::zero();
}

Schedule::Schedule(const std::vector<Entry>& entries, const ScheduleSettings& settings, const ClockReading& start)
    : settings_(settings), last_(start)
{
    settings_.at_once = std::max<std::size_t>(settings_.at_once, 1);
    targets_.reserve(entries.size());
    for (const Entry& entry : entries) {
        Target target{.interval = std::max<Duration>(entry.interval, milliseconds(1)),
                      .anchor = start.now + std::max(entry.offset, Duration::zero())};
        target.doubt_interval =
            entry.doubt_interval > Duration::zero() ? std::min(entry.doubt_interval, target.interval) : target.interval;
        target.step = target.doubt_interval;
        target.due = target.step == target.interval ? target.anchor
                                                    : next_point(target.anchor, target.step, start.now - Duration(1));
        due_.emplace(target.due, targets_.size());
        targets_.push_back(target);
    }
}

std::optional<Schedule::Jump> Schedule::look(const ClockReading& clocks)
{
    const TimePoint expected = std::max(wake_at(), last_.now);
    const ClockReading before = std::exchange(last_, clocks);
    const bool late = clocks.now > expected && clocks.now - expected > settings_.tolerance;
    const Duration slept = std::max(clocks.slept - before.slept, Duration::zero());
    const auto set = std::chrono::duration_cast<Duration>(clocks.wall_offset - before.wall_offset);
    // The wall clock goes on while the machine is suspended, so that this shows in both.
    const bool was_set = std::chrono::abs(set - slept) > settings_.tolerance;
    if (!late && slept <= settings_.tolerance && !was_set) return std::nullopt;

    for (Target& target : targets_) target.counts = false;
    for (const std::size_t waiting : waiting_) targets_[waiting].waiting = false;
    skipped_ += waiting_.size();
    waiting_.clear();
    if (late) longest_lag_ = std::max(longest_lag_, clocks.now - expected);
    if (late)
        while (!due_.empty() && due_.begin()->first <= clocks.now)
            skipped_ += step_past(due_.begin()->second, clocks.now);
    const Duration stood = late ? clocks.now - before.now : Duration::zero();
    return Jump{.since = before.now, .wall_then = before.wall_offset, .length = std::max({stood, slept, set})};
}

std::vector<std::size_t> Schedule::tick(TimePoint now)
{
    std::vector<std::size_t> begun;
    while (!waiting_.empty() && under_way_ < settings_.at_once) {
        const std::size_t index = waiting_.front();
        waiting_.pop_front();
        targets_[index].waiting = false;
        begin(index, targets_[index].waiting_since, now, begun);
    }
    while (!due_.empty() && due_.begin()->first <= now) {
        const std::size_t index = due_.begin()->second;
        Target& target = targets_[index];
        // Of several that were missed the last one is made.
        skipped_ += step_past(index, now) - 1;
        const TimePoint due = target.due - target.step;
        if (target.running) {
            ++skipped_;
        } else if (target.waiting) {
            ++skipped_; // the earlier one; it keeps its place
            target.waiting_since = due;
        } else if (under_way_ < settings_.at_once) {
            begin(index, due, now, begun);
        } else {
            target.waiting = true;
            target.waiting_since = due;
            waiting_.push_back(index);
        }
    }
    return begun;
}

bool Schedule::ended(std::size_t target)
{
    targets_[target].running = false;
    --under_way_;
    return targets_[target].counts;
}

void Schedule::doubt(std::size_t index, bool in_doubt, TimePoint now)
{
    Target& target = targets_[index];
    const Duration step = in_doubt ? target.doubt_interval : target.interval;
    if (step == target.step) return;
    target.step = step;
    due_.erase({target.due, index});
    target.due = next_point(target.anchor, step, now);
    due_.emplace(target.due, index);
}

TimePoint Schedule::wake_at() const noexcept
{
    if (!waiting_.empty() && under_way_ < settings_.at_once) return last_.now;
    auto at = due_.empty() ? TimePoint::max() : due_.begin()->first;
    // Also while nothing is due: a stall in which an answer waited must be noticed.
    if (under_way_ > 0) at = std::min(at, last_.now + settings_.tolerance);
    return at;
}

void Schedule::begin(std::size_t index, TimePoint due, TimePoint now, std::vector<std::size_t>& begun)
{
    Target& target = targets_[index];
    target.running = true;
    target.counts = true;
    ++under_way_;
    ++begun_;
    lag_ = now - due;
    longest_lag_ = std::max(longest_lag_, lag_);
    begun.push_back(index);
}

/// Moves the target, whose entry is the first, to the first point of its grid after now. Returns how many it passed.
std::uint64_t Schedule::step_past(std::size_t index, TimePoint now)
{
    Target& target = targets_[index];
    const auto passed = (now - target.due) / target.step + 1;
    target.due += passed * target.step;
    due_.erase(due_.begin());
    due_.emplace(target.due, index);
    return static_cast<std::uint64_t>(passed);
}

} // namespace hotspare::monitor
