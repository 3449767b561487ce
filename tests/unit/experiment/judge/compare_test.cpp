#include "experiment/judge/compare.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <cmath>
#include <initializer_list>
#include <numeric>

namespace hotspare::experiment {
namespace TEST_FILE {

std::vector<Measures> runs_with(Measure measure, std::initializer_list<double> values, Phase phase = Phase::all)
{
    std::vector<Measures> result;
    for (const double value : values) result.emplace_back().set(measure, phase, value);
    return result;
}

std::vector<double> series(std::size_t n, double offset = 0)
{
    std::vector<double> result(n);
    std::iota(result.begin(), result.end(), offset);
    return result;
}

/// Every way to say which of the values are of `a`, one by one.
double by_counting(const std::vector<double>& a, const std::vector<double>& b)
{
    std::vector<double> all = a;
    all.insert(all.end(), b.begin(), b.end());
    const auto rank = [&](double value) {
        const auto below = std::count_if(all.begin(), all.end(), [&](double v) { return v < value; });
        const auto equal = std::count(all.begin(), all.end(), value);
        return static_cast<double>(2 * below + equal + 1) / 2;
    };
    const double mean = static_cast<double>(a.size() * (all.size() + 1)) / 2;
    const auto distance = [&](unsigned chosen) {
        double sum = 0;
        for (std::size_t i = 0; i < all.size(); ++i)
            if ((chosen >> i & 1U) != 0) sum += rank(all[i]);
        return std::abs(sum - mean);
    };
    const double observed = distance((1U << a.size()) - 1);
    int ways = 0;
    int as_far = 0;
    for (unsigned chosen = 0; chosen < 1U << all.size(); ++chosen) {
        if (static_cast<std::size_t>(__builtin_popcount(chosen)) != a.size()) continue;
        ++ways;
        if (distance(chosen) >= observed - 1e-9) ++as_far;
    }
    return static_cast<double>(as_far) / ways;
}

TEST(MannWhitney, agrees_with_the_published_tables)
{
    EXPECT_DOUBLE_EQ(mann_whitney(series(5), series(5, 5)), 2.0 / 252);
    EXPECT_DOUBLE_EQ(mann_whitney(series(5, 5), series(5)), 2.0 / 252);
    EXPECT_DOUBLE_EQ(mann_whitney(series(3), series(3, 3)), 0.1);
    // 8 and 8: U = 13 is significant at 5 % in two tails, 14 is not.
    const std::vector<double> a{1, 2, 3, 4, 5, 10.5, 11.5, 7.5};
    const std::vector<double> b{6, 7, 8, 9, 10, 11, 12, 13};
    EXPECT_NEAR(mann_whitney(a, b), 0.0499, 0.0001);
    const std::vector<double> c{1, 2, 3, 4, 5, 10.5, 11.5, 8.5};
    EXPECT_NEAR(mann_whitney(c, b), 0.0650, 0.0001);
}

TEST(MannWhitney, counts_equal_values_exactly)
{
    const std::vector<double> a{1.1, 2.2, 3.3, 4.4, 5.5, 2.2};
    const std::vector<double> b{3.3, 6.6, 7.7, 8.8, 2.2};
    EXPECT_DOUBLE_EQ(mann_whitney(a, b), 62.0 / 462);
    EXPECT_EQ(mann_whitney(std::vector<double>(7, 0), std::vector<double>(9, 0)), 1);
    EXPECT_EQ(mann_whitney(std::vector<double>(25, 0), std::vector<double>(25, 0)), 1);
    EXPECT_EQ(mann_whitney({}, a), 1);
}

TEST(MannWhitney, agrees_with_counting_every_possibility)
{
    test::check_property(200, [] {
        const auto some = [] {
            std::vector<double> result;
            for (int i = *rc::gen::inRange(1, 6); i > 0; --i) result.push_back(*rc::gen::inRange(0, 8));
            return result;
        };
        const auto a = some();
        const auto b = some();
        RC_ASSERT(std::abs(mann_whitney(a, b) - by_counting(a, b)) < 1e-12);
        RC_ASSERT(std::abs(mann_whitney(a, b) - mann_whitney(b, a)) < 1e-12);
    });
}

TEST(MannWhitney, beyond_twenty_runs_it_approximates)
{
    EXPECT_NEAR(mann_whitney(series(25), series(25, 7.3)), 0.002035157807278383, 1e-12);
    std::vector<double> fives;
    std::vector<double> sevens;
    for (int i = 0; i < 30; ++i) fives.push_back(i % 5);
    for (int i = 0; i < 22; ++i) sevens.push_back(i % 7);
    EXPECT_NEAR(mann_whitney(fives, sevens), 0.1454296981165554, 1e-12);
    // No step where one method takes over from the other.
    EXPECT_NEAR(mann_whitney(series(20), series(20, 5.5)), mann_whitney(series(21), series(20, 5.5)), 0.02);
}

TEST(MannWhitney, chance_alone_is_rarely_called_significant)
{
    test::check_property(20, [] {
        int called = 0;
        for (int i = 0; i < 1000; ++i) {
            const auto values = *rc::gen::resize(
                1000, rc::gen::container<std::vector<double>>(
                          10, rc::gen::map(rc::gen::inRange(0, 100000), [](int v) { return static_cast<double>(v); })));
            if (mann_whitney(std::span(values).first(5), std::span(values).subspan(5)) < significance) ++called;
        }
        RC_ASSERT(called < 30); // 8 are expected
    });
}

TEST(Compare, a_clear_difference_exceeds_the_noise_and_a_small_one_does_not)
{
    const auto slow = runs_with(Measure::failover, {101, 99, 105, 98, 103});
    const auto fast = runs_with(Measure::failover, {12, 15, 11, 97, 13});
    const auto mixed = runs_with(Measure::failover, {102, 98.5, 104, 97, 110});
    const auto found = compare(slow, fast);
    ASSERT_EQ(found.size(), 1U) << "only what both have";
    EXPECT_EQ(found[0].measure, Measure::failover);
    EXPECT_EQ(found[0].phase, Phase::all);
    EXPECT_EQ(found[0].a.median, 101);
    EXPECT_EQ(found[0].b.median, 13);
    EXPECT_TRUE(found[0].exceeds_noise);
    EXPECT_FALSE(found[0].too_few);
    EXPECT_FALSE(compare(slow, mixed)[0].exceeds_noise);
    EXPECT_FALSE(compare(slow, slow)[0].exceeds_noise);
}

TEST(Compare, too_few_runs_are_called_too_few)
{
    const auto a = runs_with(Measure::p99, {1, 2, 3, 4}, Phase::fault);
    const auto b = runs_with(Measure::p99, {100, 200, 300, 400}, Phase::fault);
    const auto found = compare(a, b);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_FALSE(found[0].exceeds_noise);
    EXPECT_TRUE(found[0].too_few);
    EXPECT_EQ(found[0].phase, Phase::fault);
    EXPECT_FALSE(
        compare(runs_with(Measure::p99, {1, 2, 3, 4}), runs_with(Measure::p99, {5, 6, 7, 8, 9, 10}))[0].too_few);
    EXPECT_TRUE(compare(runs_with(Measure::p99, {1}), runs_with(Measure::p99, {5, 6, 7, 8, 9, 10}))[0].too_few);
}

TEST(Compare, what_only_one_side_observed_is_left_out)
{
    auto a = runs_with(Measure::detection, {1, 2, 3, 4, 5});
    const auto b = runs_with(Measure::failed, {0, 0, 0, 0, 0});
    EXPECT_TRUE(compare(a, b).empty());
    a[2].set(Measure::failed, Phase::all, 3);
    const auto found = compare(a, b);
    ASSERT_EQ(found.size(), 1U);
    EXPECT_EQ(found[0].measure, Measure::failed);
    EXPECT_EQ(found[0].a.runs, 1U);
    EXPECT_TRUE(found[0].too_few);
    EXPECT_TRUE(compare({}, b).empty());
}

TEST(Compare, the_order_is_that_of_the_measures)
{
    auto a = runs_with(Measure::max, {1, 2});
    for (auto& run : a) {
        run.set(Measure::max, Phase::fault, 7);
        run.set(Measure::failed, Phase::recovered, 0);
    }
    const auto found = compare(a, a);
    ASSERT_EQ(found.size(), 3U);
    EXPECT_EQ(found[0].measure, Measure::failed);
    EXPECT_EQ(found[1].measure, Measure::max);
    EXPECT_EQ(found[1].phase, Phase::all);
    EXPECT_EQ(found[2].phase, Phase::fault);
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
