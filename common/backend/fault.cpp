#include "common/backend/fault.hpp"

namespace hotspare::backend {

std::string_view to_string(Mode mode) noexcept
{
    for (const auto& [word, named] : mode_names)
        if (named == mode) return word;
    return mode == Mode::data_error ? "data_error" : "none";
}

void FaultState::inject(const Fault& fault, TimePoint now)
{
    fault_ = fault;
    since_ = now;
}

const Fault& FaultState::active(TimePoint now) const noexcept
{
    static constexpr Fault none{.mode = Mode::none};
    return fault_.lasts && now - since_ >= *fault_.lasts ? none : fault_;
}

Action FaultState::decide(double draw, TimePoint now) const noexcept
{
    const auto& fault = active(now);
    if (draw >= fault.rate) return Action::serve;
    switch (fault.mode) {
    case Mode::error: return Action::error;
    case Mode::data_error: return Action::data_error;
    case Mode::hang: return Action::hang;
    case Mode::slow:
    case Mode::cpu: return Action::delay;
    case Mode::reset: return Action::reset;
    case Mode::truncate: return Action::truncate;
    case Mode::corrupt: return Action::corrupt;
    case Mode::flap: return (now - since_) % fault.period < fault.period / 2 ? Action::error : Action::serve;
    // What gets in through a closed port is a connection that was established before: it is served to its end.
    case Mode::refuse:
    case Mode::crash:
    case Mode::none: return Action::serve;
    }
    return Action::serve;
}

Duration FaultState::delay(Asked asked, TimePoint now) const noexcept
{
    const auto& fault = active(now);
    if (fault.mode == Mode::slow) return fault.delay;
    if (fault.mode != Mode::cpu) return Duration::zero();
    if (asked == Asked::page) return milliseconds(50) * fault.load; // load/20 s
    return asked == Asked::health && fault.load > 50 ? seconds(2) : Duration::zero();
}

unsigned FaultState::cpu_load(TimePoint now) const noexcept
{
    const auto& fault = active(now);
    return fault.mode == Mode::cpu ? fault.load : 0;
}

std::optional<TimePoint> FaultState::ends_at(TimePoint now) const noexcept
{
    const auto& fault = active(now);
    if (fault.mode == Mode::none || !fault.lasts) return std::nullopt;
    return since_ + *fault.lasts;
}

} // namespace hotspare::backend
