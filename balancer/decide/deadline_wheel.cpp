#include "balancer/decide/deadline_wheel.hpp"

#include <algorithm>
#include <limits>

namespace hotspare::balancer {

DeadlineWheel::~DeadlineWheel()
{
    for (auto& list : wheel_) list.clear();
}

void DeadlineWheel::arm(Deadline& deadline, TimePoint at)
{
    deadline.at_ = at;
    const auto last_slot = current_ + static_cast<std::int64_t>(slots);
    const auto wanted = at - start_ > Duration::max() - tick ? last_slot : tick_of(at);
    const auto due = std::clamp(wanted, current_ + 1, last_slot);

    // A deadline that moves later stays where it is and is placed anew when its slot comes round: keep-alive
    // connections push their deadline back with every request, and this makes that one store.
    if (deadline.is_linked()) {
        if (deadline.slot_tick_ <= due && deadline.slot_tick_ > current_) return;
        deadline.unlink();
    }
    deadline.slot_tick_ = due;
    const auto slot = static_cast<std::size_t>(due) % slots;
    wheel_[slot].push_back(deadline);
    occupied_.set(slot);
    if (due < promised_) {
        promised_ = due;
        if (earlier_) earlier_();
    }
}

void DeadlineWheel::advance(TimePoint now)
{
    const std::int64_t target = (now - start_) / tick;
    // After a long stop one round visits every slot once; going through each missed tick would visit them again.
    if (target - current_ > static_cast<std::int64_t>(slots)) current_ = target - static_cast<std::int64_t>(slots);
    while (current_ < target) {
        ++current_;
        const auto slot = static_cast<std::size_t>(current_) % slots;
        if (!occupied_.test(slot)) continue;
        occupied_.reset(slot);
        List due;
        due.swap(wheel_[slot]);
        while (!due.empty()) {
            Deadline& deadline = due.front();
            deadline.unlink();
            if (deadline.at_ <= now)
                deadline.deadline_passed(now);
            else
                arm(deadline, deadline.at_);
        }
    }
}

TimePoint DeadlineWheel::next() noexcept
{
    promised_ = std::numeric_limits<std::int64_t>::max();
    if (occupied_.none()) return TimePoint::max();
    for (std::int64_t ahead = 1; ahead <= static_cast<std::int64_t>(slots); ++ahead) {
        if (!occupied_.test(static_cast<std::size_t>(current_ + ahead) % slots)) continue;
        promised_ = current_ + ahead;
        return start_ + promised_ * tick;
    }
    return TimePoint::max();
}

} // namespace hotspare::balancer
