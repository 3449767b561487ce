#include "common/metrics.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <thread>
#include <vector>

namespace hotspare::metrics {
namespace TEST_FILE {

using std::chrono::nanoseconds;

TEST(Counter, adds_and_is_copied_by_value)
{
    std::vector<Counter> counters(2);
    counters[0].add();
    counters[0].add(41);
    const Counter copy = counters[0];
    counters[0].add();
    EXPECT_EQ(copy.value(), 42U);
    EXPECT_EQ(counters[0].value(), 43U);
    EXPECT_EQ(counters[1].value(), 0U);
}

TEST(Gauge, goes_up_and_down_and_below_zero)
{
    Gauge gauge;
    gauge.add(3);
    gauge.sub(5);
    EXPECT_EQ(gauge.value(), -2);
    gauge.set(7);
    EXPECT_EQ(gauge.value(), 7);
}

TEST(Histogram, empty_has_no_quantile)
{
    const Histogram histogram;
    EXPECT_EQ(histogram.count(), 0U);
    EXPECT_EQ(histogram.quantile(0.99), Duration::zero());
}

TEST(Histogram, counts_sums_and_includes_its_bounds)
{
    Histogram histogram;
    histogram.observe(nanoseconds(-5));
    histogram.observe(microseconds(100));
    histogram.observe(microseconds(100) + nanoseconds(1));
    histogram.observe(std::chrono::hours(1));
    const auto snapshot = histogram.snapshot();
    EXPECT_EQ(snapshot.count(), 4U);
    EXPECT_EQ(snapshot.sum(), microseconds(200) + nanoseconds(1) + std::chrono::hours(1));
    EXPECT_EQ(snapshot.count_up_to(microseconds(100)), 2U);
    EXPECT_EQ(snapshot.count_up_to(microseconds(200)), 3U);
    EXPECT_EQ(snapshot.count_up_to(std::chrono::hours(24)), 3U) << "what exceeds the last bound is only in the total";
}

TEST(Histogram, what_exceeds_the_last_bound_counts_as_the_last_bound)
{
    Histogram histogram;
    histogram.observe(std::chrono::hours(1));
    EXPECT_EQ(histogram.quantile(0.5), Histogram::base * (1 << Histogram::octaves));
}

RC_GTEST_PROP(Histogram, quantiles_are_within_a_bucket_of_the_exact_ones, ())
{
    const auto values = *rc::gen::nonEmpty(rc::gen::container<std::vector<std::int64_t>>(
        rc::gen::map(rc::gen::pair(rc::gen::inRange(0, 36), rc::gen::inRange<std::int64_t>(0, 1000)),
                     [](auto p) { return ((std::int64_t{1} << p.first) * (1000 + p.second)) / 1000; })));
    Histogram histogram;
    for (const auto ns : values) histogram.observe(nanoseconds(ns));
    auto sorted = values;
    std::sort(sorted.begin(), sorted.end());
    for (const double q : {0.01, 0.5, 0.9, 0.99, 1.0}) {
        const auto rank =
            std::max(std::int64_t{1}, static_cast<std::int64_t>(std::ceil(q * static_cast<double>(sorted.size()))));
        const auto exact = static_cast<double>(sorted[static_cast<std::size_t>(rank - 1)]);
        const auto estimate = static_cast<double>(histogram.quantile(q).count());
        RC_ASSERT(std::abs(estimate - exact) <= std::max(12'501.0, exact * 0.126));
    }
}

RC_GTEST_PROP(Histogram, snapshots_add_and_subtract,
              (std::vector<std::uint32_t> first, std::vector<std::uint32_t> second))
{
    Histogram one;
    Histogram other;
    for (const auto us : first) one.observe(microseconds(us));
    for (const auto us : second) other.observe(microseconds(us));
    auto sum = one.snapshot();
    sum += other.snapshot();
    RC_ASSERT(sum.count() == first.size() + second.size());
    sum -= one.snapshot();
    RC_ASSERT(sum.count() == second.size());
    RC_ASSERT(sum.sum() == other.sum());
    RC_ASSERT(sum.quantile(0.5) == other.quantile(0.5));
}

TEST(Histogram, may_be_read_while_it_is_written)
{
    constexpr int observations = 200'000;
    Histogram histogram;
    Counter counter;
    std::thread writer([&] {
        for (int i = 0; i < observations; ++i) {
            histogram.observe(microseconds(i));
            counter.add();
        }
    });
    std::uint64_t last = 0;
    while (counter.value() < observations) {
        const auto now = histogram.count();
        EXPECT_GE(now, last);
        last = now;
    }
    writer.join();
    EXPECT_EQ(histogram.count(), static_cast<std::uint64_t>(observations));
}

TEST(Exposition, is_prometheus_text)
{
    Counter served;
    served.add(3);
    Gauge open;
    open.set(-1);
    Exposition out;
    out.counter("requests_total", "Requests.", {{"pool", "default"}, {"code", "2xx"}}, served);
    out.gauge("open", "Open\nones.", {}, open);
    out.counter("requests_total", "Requests.", {{"pool", "a\"b\\c\nd"}, {"code", "5xx"}}, 0.5);
    EXPECT_EQ(out.text(), "# HELP requests_total Requests.\n"
                          "# TYPE requests_total counter\n"
                          "requests_total{pool=\"default\",code=\"2xx\"} 3\n"
                          "requests_total{pool=\"a\\\"b\\\\c\\nd\",code=\"5xx\"} 0.5\n"
                          "# HELP open Open\nones.\n"
                          "# TYPE open gauge\n"
                          "open -1\n");
}

TEST(Exposition, histograms_are_cumulative_and_in_seconds)
{
    Histogram histogram;
    histogram.observe(milliseconds(1));
    histogram.observe(milliseconds(3));
    histogram.observe(std::chrono::hours(1));
    Exposition out;
    out.histogram("latency_seconds", "Latency.", {{"backend", "primary"}}, histogram);
    const auto text = out.text();
    EXPECT_NE(text.find("# TYPE latency_seconds histogram\n"), std::string::npos);
    EXPECT_NE(text.find("latency_seconds_count{backend=\"primary\"} 3\n"), std::string::npos) << text;
    EXPECT_NE(text.find("latency_seconds_sum{backend=\"primary\"} 3600.004"), std::string::npos) << text;
    EXPECT_NE(text.find("latency_seconds_bucket{backend=\"primary\",le=\"0.0008\"} 0\n"), std::string::npos) << text;
    EXPECT_NE(text.find("latency_seconds_bucket{backend=\"primary\",le=\"0.0016\"} 1\n"), std::string::npos) << text;
    EXPECT_NE(text.find("latency_seconds_bucket{backend=\"primary\",le=\"0.0032\"} 2\n"), std::string::npos) << text;
    EXPECT_NE(text.find("latency_seconds_bucket{backend=\"primary\",le=\"+Inf\"} 3\n"), std::string::npos) << text;
}

TEST(Exposition, refuses_one_name_for_two_types)
{
    Exposition out;
    out.counter("x", "X.", {}, 1.0);
    EXPECT_THROW(out.gauge("x", "X.", {}, 1.0), std::logic_error);
}

TEST(Exposition, knows_its_process)
{
    Exposition out;
    out.process("1.2.3");
    const auto text = out.text();
    EXPECT_NE(text.find("hotspare_build_info{version=\"1.2.3\"} 1\n"), std::string::npos) << text;
    const auto value_of = [&](const std::string& name) {
        const auto at = text.find("\n" + name + " ");
        EXPECT_NE(at, std::string::npos) << name << " in " << text;
        return at == std::string::npos ? 0.0 : std::stod(text.substr(at + name.size() + 2));
    };
    EXPECT_GT(value_of("process_resident_memory_bytes"), 1e5);
    EXPECT_GE(value_of("process_open_fds"), 3);
    const auto now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
    EXPECT_NEAR(value_of("process_start_time_seconds"), now, 3600) << "the test runs for less than an hour";
    EXPECT_GE(value_of("process_cpu_seconds_total"), 0);
}

} // namespace TEST_FILE
} // namespace hotspare::metrics
