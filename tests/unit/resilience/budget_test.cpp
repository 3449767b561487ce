#include "common/resilience/budget.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <utility>
#include <vector>

namespace hotspare::resilience {
namespace TEST_FILE {

const TimePoint start = TimePoint{} + std::chrono::hours(3);

unsigned withdraw_all(RetryBudget& budget, TimePoint now)
{
    unsigned granted = 0;
    while (budget.withdraw(now)) ++granted;
    return granted;
}

TEST(RetryBudget, grants_the_reserve_before_any_request)
{
    RetryBudget budget(0.2, 10);
    EXPECT_EQ(withdraw_all(budget, start), 100U);
    EXPECT_FALSE(budget.withdraw(start + milliseconds(500)));
}

TEST(RetryBudget, gives_the_reserve_back_after_the_window)
{
    RetryBudget budget(0.2, 10);
    withdraw_all(budget, start);
    EXPECT_EQ(budget.available(start + seconds(8)), 0U);
    EXPECT_EQ(budget.available(start + seconds(11)), 100U);
}

TEST(RetryBudget, grants_a_share_of_the_requests)
{
    RetryBudget budget(0.2, 0);
    for (int i = 0; i < 4; ++i) budget.deposit(start);
    EXPECT_FALSE(budget.withdraw(start));
    budget.deposit(start);
    EXPECT_TRUE(budget.withdraw(start)) << "five requests earn one retry";
    EXPECT_FALSE(budget.withdraw(start));
}

TEST(RetryBudget, forgets_requests_after_the_window)
{
    RetryBudget budget(1, 0);
    for (int i = 0; i < 50; ++i) budget.deposit(start);
    EXPECT_EQ(budget.available(start + seconds(8)), 50U);
    EXPECT_EQ(budget.available(start + seconds(11)), 0U);
}

TEST(RetryBudget, grants_nothing_when_switched_off)
{
    RetryBudget budget(0, 0);
    for (int i = 0; i < 1000; ++i) budget.deposit(start);
    EXPECT_FALSE(budget.withdraw(start));
}

TEST(RetryBudget, survives_a_jump_of_years_and_a_clock_that_stands_still)
{
    RetryBudget budget(0.5, 1);
    EXPECT_EQ(withdraw_all(budget, start), 10U);
    const TimePoint later = start + std::chrono::hours(24 * 3650);
    EXPECT_EQ(withdraw_all(budget, later), 10U);
    budget.deposit(start); // earlier than the last call: counts as now
    budget.deposit(start);
    EXPECT_EQ(withdraw_all(budget, later), 1U);
}

using Steps = std::vector<std::pair<std::uint8_t, std::uint16_t>>;

std::uint64_t within(const std::deque<TimePoint>& events, TimePoint now, Duration span)
{
    return static_cast<std::uint64_t>(
        std::count_if(events.begin(), events.end(), [&](TimePoint t) { return t > now - span; }));
}

// The budget against a model that remembers every single event, for any sequence of requests, retries and pauses.
TEST(RetryBudget, never_grants_more_than_its_share)
{
    test::check_property(2000, [](const Steps& steps) {
        const std::uint64_t ratio_percent = *rc::gen::inRange(0U, 200U);
        const std::uint64_t per_second = *rc::gen::inRange(0U, 20U);
        RetryBudget budget(static_cast<double>(ratio_percent) / 100.0, static_cast<double>(per_second));

        std::deque<TimePoint> requests, retries;
        TimePoint now = start;
        for (const auto& [kind, pause_ms] : steps) {
            now += milliseconds(pause_ms % 3000);
            // Slots of a second: what is remembered reaches back nine to ten seconds.
            const auto share = [&] {
                return within(requests, now, seconds(10)) * ratio_percent + per_second * 10 * 100;
            };
            RC_ASSERT(budget.available(now) * 100 <= share());
            if (kind % 3 != 0) {
                budget.deposit(now);
                requests.push_back(now);
            } else if (budget.withdraw(now)) {
                retries.push_back(now);
                RC_ASSERT(within(retries, now, seconds(9)) * 100 <= share());
            }
        }
    });
}

TEST(RetryBudget, always_grants_what_is_left_of_the_reserve)
{
    test::check_property(2000, [](const std::vector<std::uint16_t>& pauses_ms) {
        RetryBudget budget(0, 1);
        std::deque<TimePoint> retries;
        TimePoint now = start;
        for (const auto pause : pauses_ms) {
            now += milliseconds(pause % 2000);
            const bool must = within(retries, now, seconds(10)) < 10;
            const bool granted = budget.withdraw(now);
            RC_ASSERT(granted || !must);
            if (granted) retries.push_back(now);
        }
    });
}

} // namespace TEST_FILE
} // namespace hotspare::resilience
