// One coarse timer for all deadlines of a worker: a hashed timing wheel (Varghese and Lauck, "Hashed and Hierarchical
// Timing Wheels", 1987, scheme 6). Arming and disarming cost a few nanoseconds, where a timer per operation costs about
// a microsecond per request.
//
// PURE: `now` is an argument. A deadline expires at most one tick late and never early. One thread; the owner of a
// Deadline must outlive its membership (the destructor disarms).
#pragma once

#include "common/clock.hpp"

#include <boost/intrusive/list.hpp>

#include <array>
#include <bitset>
#include <cstdint>
#include <functional>
#include <utility>

namespace hotspare::balancer {

class DeadlineWheel;

/// Something that wants to be told when a moment has passed.
class Deadline : public boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>> {
public:
    virtual void deadline_passed(TimePoint now) = 0;

    bool armed() const noexcept { return is_linked(); }
    TimePoint at() const noexcept { return at_; }

protected:
    ~Deadline() = default;

private:
    friend class DeadlineWheel;
    TimePoint at_{};
    std::int64_t slot_tick_ = 0;
};

class DeadlineWheel {
public:
    static constexpr Duration tick = milliseconds(4);

    /// `earlier` is called when next() has become earlier than what it last returned: the driver's timer must follow.
    explicit DeadlineWheel(TimePoint start, std::function<void()> earlier = {})
        : start_(start), earlier_(std::move(earlier))
    {
    }
    ~DeadlineWheel();

    DeadlineWheel(const DeadlineWheel&) = delete;
    DeadlineWheel& operator=(const DeadlineWheel&) = delete;

    /// (Re-)arms `deadline` for `at`; a moment that has passed fires at the next advance().
    void arm(Deadline& deadline, TimePoint at);
    void disarm(Deadline& deadline) noexcept { deadline.unlink(); }

    /// Fires every deadline that has passed. A deadline may arm or disarm any other, itself included, while it fires.
    void advance(TimePoint now);

    /// When advance() should next be called, or TimePoint::max() if nothing is armed.
    TimePoint next() noexcept;

private:
    static constexpr std::size_t slots =
        512; // 512 x 4 ms: deadlines within 2 s are placed exactly, later ones go round

    using List = boost::intrusive::list<Deadline, boost::intrusive::constant_time_size<false>>;

    std::int64_t tick_of(TimePoint at) const noexcept { return (at - start_ + tick - Duration(1)) / tick; }

    TimePoint start_;
    std::function<void()> earlier_;
    std::int64_t promised_ = -1; ///< the tick that next() last returned; -1: not called yet
    std::int64_t current_ = 0;   ///< every tick up to and including this one has fired
    std::array<List, slots> wheel_;
    std::bitset<slots> occupied_; ///< a set bit may be stale (its list emptied by unlinking), a clear one is not
};

} // namespace hotspare::balancer
