// What the clocks of this machine say about each other, by which a daemon notices that the machine was suspended or
// that the wall clock was set.
//
// Any thread.
#pragma once

#include "common/clock.hpp"

namespace hotspare {

/// Time that the steady clock has not counted since the machine was booted, because it was suspended.
Duration time_suspended() noexcept;

/// The wall clock less the steady clock: what to add to a TimePoint.
WallTime::duration wall_less_steady() noexcept;

} // namespace hotspare
