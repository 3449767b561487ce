#include "common/resilience/restart_policy.hpp"

#include <algorithm>
#include <stdexcept>

namespace hotspare::resilience {
RestartPolicy::RestartPolicy(const RestartSettings& settings, std::uint64_t seed) : settings_(settings), random_(seed)
{
    const auto require = [](bool holds, const char* what) {
        if (!holds) throw std::invalid_argument(what);
    };
    require(settings.first_pause >= milliseconds(1), "first_pause: expected at least 1ms");
    require(settings.longest_pause >= settings.first_pause, "longest_pause: expected at least first_pause");
    require(settings.longest_pause <= std::chrono::hours(24), "longest_pause: expected at most 24h");
    require(settings.jitter >= 0 && settings.jitter <= 1, "jitter: expected a number from 0 to 1");
    require(settings.healthy_after > Duration::zero(), "healthy_after: expected more than 0");
    require(settings.window > Duration::zero(), "window: expected more than 0");
}

void RestartPolicy::start() noexcept
{
    phase_ = Phase::down;
    failures_ = 0;
    recent_.clear();
}

void RestartPolicy::started(TimePoint now) noexcept
{
    phase_ = Phase::running;
    started_at_ = now;
}

RestartPolicy::Phase RestartPolicy::ended(Ending ending, TimePoint now)
{
    if (phase_ == Phase::running && now - started_at_ >= settings_.healthy_after) failures_ = 0;
    if (ending == Ending::refused || (ending == Ending::success && !settings_.always)) return phase_ = Phase::down;

    while (!recent_.empty() && now - recent_.front() >= settings_.window) recent_.pop_front();
    if (settings_.limit > 0 && recent_.size() >= settings_.limit) return phase_ = Phase::given_up;
    recent_.push_back(now);
    const auto pause = std::chrono::duration<double, Duration::period>(pause_after(++failures_));
    restart_at_ = now + std::chrono::duration_cast<Duration>(pause * (1 - settings_.jitter * draw()));
    return phase_ = Phase::waiting;
}

Duration RestartPolicy::pause_after(unsigned failures) const noexcept
{
    Duration pause = settings_.first_pause;
    for (unsigned n = 1; n < failures && pause < settings_.longest_pause; ++n) pause *= 2;
    return std::min(pause, settings_.longest_pause);
}

/// Uniform in [0, 1), by SplitMix64 (Steele, Lea, Flood, 2014).
double RestartPolicy::draw() noexcept
{
    std::uint64_t z = (random_ += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    z ^= z >> 31;
    return static_cast<double>(z >> 11) * 0x1.0p-53;
}

std::string_view to_string(RestartPolicy::Phase phase) noexcept
{
    switch (phase) {
    case RestartPolicy::Phase::down: return "down";
    case RestartPolicy::Phase::running: return "running";
    case RestartPolicy::Phase::waiting: return "waiting";
    case RestartPolicy::Phase::given_up: return "given up";
    }
    return "?";
}

} // namespace hotspare::resilience
