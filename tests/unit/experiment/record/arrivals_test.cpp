#include "experiment/record/arrivals.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>

namespace hotspare::experiment {
namespace TEST_FILE {

Stream stream(double rate, Arrival arrival = Arrival::constant)
{
    Stream result;
    result.rate = rate;
    result.arrival = arrival;
    return result;
}

std::vector<Nanos> of_stream(const std::vector<Due>& all, std::uint32_t which)
{
    std::vector<Nanos> result;
    for (const Due& due : all)
        if (due.stream == which) result.push_back(due.at);
    return result;
}

TEST(Arrivals, a_constant_stream_begins_at_zero_and_never_drifts)
{
    const auto all = arrivals({stream(3)}, std::chrono::hours(1), 1);
    ASSERT_EQ(all.size(), 3U * 3600);
    EXPECT_EQ(all[0].at, Nanos(0));
    EXPECT_EQ(all[1].at, Nanos(333333333));
    EXPECT_EQ(all[2].at, Nanos(666666667));
    for (std::size_t i = 0; i < all.size(); i += 3) ASSERT_EQ(all[i].at, seconds(i / 3)) << i;
}

TEST(Arrivals, the_end_is_not_included)
{
    EXPECT_EQ(arrivals({stream(10)}, seconds(1), 1).size(), 10U);
    EXPECT_EQ(arrivals({stream(10)}, seconds(1) + Nanos(1), 1).size(), 11U);
    EXPECT_TRUE(arrivals({stream(10)}, Duration::zero(), 1).empty());
    EXPECT_TRUE(arrivals({}, seconds(1), 1).empty());
}

TEST(Arrivals, at_the_same_moment_the_order_is_that_of_the_streams)
{
    const auto all = arrivals({stream(2), stream(4)}, seconds(1), 1);
    const std::vector<Due> expected{{milliseconds(0), 0},   {milliseconds(0), 1},   {milliseconds(250), 1},
                                    {milliseconds(500), 0}, {milliseconds(500), 1}, {milliseconds(750), 1}};
    EXPECT_EQ(all, expected);
}

TEST(Arrivals, a_poisson_stream_is_the_same_on_every_machine)
{
    const auto all = arrivals({stream(1000, Arrival::poisson)}, seconds(1), 42);
    const std::vector<Due> begin(all.begin(), all.begin() + 4);
    const std::vector<Due> expected{{Nanos(343292), 0}, {Nanos(1410802), 0}, {Nanos(3674402), 0}, {Nanos(4443955), 0}};
    EXPECT_EQ(begin, expected);
}

TEST(Arrivals, another_seed_gives_other_gaps_and_the_same_seed_the_same)
{
    const std::vector<Stream> load{stream(100, Arrival::poisson)};
    EXPECT_EQ(arrivals(load, seconds(5), 7), arrivals(load, seconds(5), 7));
    EXPECT_NE(arrivals(load, seconds(5), 7), arrivals(load, seconds(5), 8));
}

TEST(Arrivals, poisson_streams_are_independent_of_each_other)
{
    const auto both = arrivals({stream(100, Arrival::poisson), stream(100, Arrival::poisson)}, seconds(5), 7);
    const auto slower = arrivals({stream(3), stream(100, Arrival::poisson)}, seconds(5), 7);
    EXPECT_NE(of_stream(both, 0), of_stream(both, 1));
    EXPECT_EQ(of_stream(both, 1), of_stream(slower, 1)) << "what the first stream does changes nothing in the second";
}

TEST(Arrivals, poisson_gaps_are_exponential)
{
    const auto all = arrivals({stream(1000, Arrival::poisson)}, seconds(200), 5);
    std::vector<double> gaps;
    for (std::size_t i = 1; i < all.size(); ++i)
        gaps.push_back(static_cast<double>((all[i].at - all[i - 1].at).count()) / 1e6);
    ASSERT_GT(gaps.size(), 190000U);
    std::sort(gaps.begin(), gaps.end());
    // Kolmogorov-Smirnov against 1 - exp(-x): 1.95 / sqrt(n) is exceeded once in a thousand times, and the seed is
    // fixed.
    const auto n = static_cast<double>(gaps.size());
    double distance = 0;
    for (std::size_t i = 0; i < gaps.size(); ++i) {
        const double ideal = 1 - std::exp(-gaps[i]);
        distance = std::max(
            {distance, std::abs(ideal - static_cast<double>(i) / n), std::abs(ideal - static_cast<double>(i + 1) / n)});
    }
    EXPECT_LT(distance, 1.95 / std::sqrt(n));
}

TEST(Arrivals, are_always_in_order_and_within_the_duration)
{
    test::check_property(300, [] {
        std::vector<Stream> load;
        const int streams = *rc::gen::inRange(0, 4);
        for (int i = 0; i < streams; ++i)
            load.push_back(
                stream(*rc::gen::inRange(1, 4000) / 4.0, *rc::gen::element(Arrival::constant, Arrival::poisson)));
        const Duration duration = milliseconds(*rc::gen::inRange(0, 3000));
        const auto all = arrivals(load, duration, *rc::gen::arbitrary<std::uint64_t>());
        for (std::size_t i = 0; i < all.size(); ++i) {
            RC_ASSERT(all[i].at >= Nanos::zero());
            RC_ASSERT(all[i].at < duration);
            RC_ASSERT(all[i].stream < load.size());
            if (i > 0)
                RC_ASSERT(all[i - 1].at < all[i].at ||
                          (all[i - 1].at == all[i].at && all[i - 1].stream <= all[i].stream));
        }
        for (std::uint32_t i = 0; i < load.size(); ++i) {
            if (load[i].arrival != Arrival::constant) continue;
            const double expected = load[i].rate * static_cast<double>(duration.count()) / 1e9;
            RC_ASSERT(std::abs(static_cast<double>(of_stream(all, i).size()) - expected) <= 1.0);
        }
    });
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
