#include "common/resilience/budget.hpp"

#include <algorithm>
#include <cmath>

namespace hotspare::resilience {

RetryBudget::RetryBudget(double ratio, double per_second, Duration window)
    : per_request_(std::llround(ratio * static_cast<double>(retry))),
      balance_(std::llround(per_second * std::chrono::duration<double>(window).count() * static_cast<double>(retry))),
      slot_width_(std::max<Duration>(window / static_cast<Duration::rep>(slot_count), Duration(1)))
{
}

void RetryBudget::advance(TimePoint now) noexcept
{
    const auto passed = (now - slot_end_) / slot_width_ + 1;
    for (auto i = std::min<Duration::rep>(passed, static_cast<Duration::rep>(slot_count)); i > 0; --i) {
        slot_ = (slot_ + 1) % slot_count;
        balance_ -= slots_[slot_];
        slots_[slot_] = 0;
    }
    slot_end_ += passed * slot_width_;
}

} // namespace hotspare::resilience
