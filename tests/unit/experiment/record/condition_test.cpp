#include "experiment/record/condition.hpp"

#include <gtest/gtest.h>

namespace hotspare::experiment {
namespace TEST_FILE {

Condition condition(Measure measure, const std::string& at_most, const std::string& at_least = {},
                    Phase phase = Phase::all)
{
    return {.measure = measure, .phase = phase, .at_most = at_most, .at_least = at_least};
}

TEST(Measure, every_word_is_read_back)
{
    for (std::size_t i = 0; i < measure_count; ++i) {
        const auto which = static_cast<Measure>(i);
        EXPECT_EQ(measure_of(to_string(which)), which);
    }
    for (const Phase phase : phases) EXPECT_EQ(phase_of(to_string(phase)), phase);
    EXPECT_EQ(measure_of("speed"), std::nullopt);
    EXPECT_EQ(phase_of(""), std::nullopt);
    EXPECT_EQ(to_string(Measure::lag_max), "lag_max");
    EXPECT_TRUE(has_phases(Measure::max));
    EXPECT_FALSE(has_phases(Measure::detection));
    EXPECT_FALSE(lower_is_better(Measure::availability));
    EXPECT_TRUE(lower_is_better(Measure::p99));
}

TEST(Measure, values_read_well_and_never_better_than_they_are)
{
    EXPECT_EQ(format(Measure::failed, 0), "0");
    EXPECT_EQ(format(Measure::failed, 12), "12");
    EXPECT_EQ(format(Measure::failed, 2.5), "2.5");
    EXPECT_EQ(format(Measure::availability, 0.9998), "99.98 %");
    EXPECT_EQ(format(Measure::availability, 1), "100 %");
    EXPECT_EQ(format(Measure::availability, 0.9999999999), "> 99.9999 %");
    EXPECT_EQ(format(Measure::error_rate, 0), "0 %");
    EXPECT_EQ(format(Measure::error_rate, 1e-9), "< 0.0001 %");
    EXPECT_EQ(format(Measure::p99, 23.4), "23.4 ms");
    EXPECT_EQ(format(Measure::p99, 50), "50 ms");
    EXPECT_EQ(format(Measure::p99, 0.8), "0.8 ms");
    EXPECT_EQ(format(Measure::p99, 1.234), "1.23 ms");
    EXPECT_EQ(format(Measure::p99, 1523.4), "1523 ms");
    EXPECT_EQ(format(Measure::p99, -0.001), "0 ms");
}

TEST(Bound, is_read_in_the_unit_of_its_measure)
{
    EXPECT_EQ(read_bound(Measure::failed, "3"), 3);
    EXPECT_EQ(read_bound(Measure::error_rate, "0.1%"), 0.001);
    EXPECT_EQ(read_bound(Measure::error_rate, "0.1 %"), 0.001);
    EXPECT_EQ(read_bound(Measure::error_rate, "0.001"), 0.001);
    EXPECT_EQ(read_bound(Measure::availability, "100%"), 1);
    EXPECT_EQ(read_bound(Measure::p99, "50ms"), 50);
    EXPECT_EQ(read_bound(Measure::p99, "2s"), 2000);
    EXPECT_EQ(read_bound(Measure::p99, "1500us"), 1.5);
    EXPECT_EQ(read_bound(Measure::p99, "0"), 0);
    for (const char* text : {"", "-1", "1.5", "3ms", "3%", "many", "1e99"})
        EXPECT_EQ(read_bound(Measure::failed, text), std::nullopt) << text;
    for (const char* text : {"", "-0.1", "1.1", "99.9", "101%", "%", "3ms", "nan"})
        EXPECT_EQ(read_bound(Measure::availability, text), std::nullopt) << text;
    for (const char* text : {"", "50", "-1ms", "1%", "fast"})
        EXPECT_EQ(read_bound(Measure::max, text), std::nullopt) << text;
}

TEST(Bound, a_condition_that_cannot_be_compared_is_named)
{
    EXPECT_EQ(problem_of(condition(Measure::failed, "0")), "");
    EXPECT_EQ(problem_of(condition(Measure::p99, "", "1ms", Phase::fault)), "");
    EXPECT_EQ(problem_of(condition(Measure::detection, "1s", "", Phase::fault)),
              "detection is known of the whole run only, not of the phase 'fault'");
    EXPECT_EQ(problem_of(condition(Measure::failed, "")), "failed has no bound: give at_most, at_least or both");
    EXPECT_EQ(problem_of(condition(Measure::failed, "50ms")), "'50ms' is no bound of failed, expected a whole number");
    EXPECT_EQ(problem_of(condition(Measure::availability, "", "99.9")),
              "'99.9' is no bound of availability, expected a share such as 0.1% or 0.001");
    EXPECT_EQ(problem_of(condition(Measure::max, "50")), "'50' is no bound of max, expected a duration such as 50ms");
    EXPECT_EQ(problem_of(condition(Measure::max, "10ms", "20ms")), "max cannot be at least 20ms and at most 10ms");
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
