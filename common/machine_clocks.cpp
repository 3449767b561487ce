#include "common/machine_clocks.hpp"

#include <time.h>

namespace hotspare {

Duration time_suspended() noexcept
{
    timespec with{}, without{};
    ::clock_gettime(CLOCK_BOOTTIME, &with);
    ::clock_gettime(CLOCK_MONOTONIC, &without);
    return seconds(with.tv_sec - without.tv_sec) + std::chrono::nanoseconds(with.tv_nsec - without.tv_nsec);
}

WallTime::duration wall_less_steady() noexcept
{
    return std::chrono::system_clock::now().time_since_epoch() -
           std::chrono::duration_cast<WallTime::duration>(Clock::now().time_since_epoch());
}

} // namespace hotspare
