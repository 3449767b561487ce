#include "experiment/report/chart.hpp"

#include "tests/support/xml.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <random>

namespace hotspare::experiment {
namespace TEST_FILE {

std::vector<std::string> labels(const Scale& scale)
{
    std::vector<std::string> result;
    for (const Tick& tick : scale.ticks()) result.push_back(tick.label);
    return result;
}

using Labels = std::vector<std::string>;

TEST(Scale, TicksAreRoundNumbersWithUnits)
{
    EXPECT_EQ(labels(Scale::seconds(0, 6)), (Labels{"0 s", "1 s", "2 s", "3 s", "4 s", "5 s", "6 s"}));
    EXPECT_EQ(labels(Scale::seconds(0, 120)), (Labels{"0 s", "20 s", "40 s", "60 s", "80 s", "100 s", "120 s"}));
    EXPECT_EQ(labels(Scale::seconds(-0.5, 1.6)), (Labels{"−0.5 s", "0 s", "0.5 s", "1 s", "1.5 s"}));
    EXPECT_EQ(labels(Scale::seconds(0, 0.4)), (Labels{"0 ms", "100 ms", "200 ms", "300 ms", "400 ms"}));
    EXPECT_EQ(labels(Scale::shares(0.83)), (Labels{"0 %", "20 %", "40 %", "60 %", "80 %", "100 %"}));
    EXPECT_EQ(labels(Scale::shares(0.0004)), (Labels{"0 %", "0.01 %", "0.02 %", "0.03 %", "0.04 %", "0.05 %"}));
    EXPECT_EQ(labels(Scale::log_milliseconds(0.15, 11)),
              (Labels{"0.1 ms", "0.2 ms", "0.5 ms", "1 ms", "2 ms", "5 ms", "10 ms", "20 ms"}));
    EXPECT_EQ(labels(Scale::log_milliseconds(0.03, 5000)),
              (Labels{"10 µs", "0.1 ms", "1 ms", "10 ms", "100 ms", "1 s", "10 s"}));
    EXPECT_EQ(labels(Scale::percentiles(15000)), (Labels{"0", "50", "90", "99", "99.9", "99.99"}));
    EXPECT_EQ(labels(Scale::percentiles(1500000)), (Labels{"0", "90", "99", "99.9", "99.99", "", "99.9999"}));
}

TEST(Scale, HoldsEveryValueThatItWasMadeFor)
{
    std::minstd_rand random(3);
    std::uniform_real_distribution<> exponent(-3, 4);
    for (int i = 0; i < 5000; ++i) {
        double low = std::pow(10, exponent(random));
        double high = std::pow(10, exponent(random));
        if (low > high) std::swap(low, high);
        const Scale log = Scale::log_milliseconds(low, high);
        EXPECT_GE(log.ticks().size(), 2U);
        EXPECT_LE(log.ticks().size(), 11U) << low << ".." << high;
        double last = -1;
        for (const Tick& tick : log.ticks()) {
            EXPECT_GT(tick.at, last + 0.04) << low << ".." << high << ": labels would overlap";
            last = tick.at;
        }
        // Inside, so that nothing is pressed to the edge.
        EXPECT_TRUE(high <= low * 1.001 || log.at(low) < log.at(high)) << low << ".." << high;

        const Scale time = Scale::seconds(0, high);
        EXPECT_GE(time.ticks().size(), 3U) << high;
        EXPECT_LE(time.ticks().size(), 8U) << high;
    }
    EXPECT_EQ(Scale::percentiles(0).ticks().front().label, "0");
    EXPECT_EQ(Scale::seconds(0, 0).at(0), 0);
}

TEST(Plot, IsWellFormedAndSpeaks)
{
    Plot plot("p", "Latency of <each>", "9 & more", 100, Scale::seconds(0, 6), Scale::log_milliseconds(0.1, 10));
    plot.band("fault", 2, 3);
    plot.dots("b0", {{1, 0.5}, {2, 0.7}});
    plot.crosses("failed", {{2.5, 1}});
    plot.line("l", {{0, 1}, {6, 2}});
    plot.area("a", {{0, 1}, {6, 2}});
    plot.bars("failed", {1, 2}, 0.1, 10);
    plot.text(3, "</svg>");
    plot.level("zero", 1);
    const auto svg = test::read_xml(plot.svg());
    ASSERT_EQ(svg.problem, "");
    EXPECT_EQ(svg.elements[0].attributes.at("role"), "img");
    EXPECT_EQ(svg.elements[0].attributes.at("aria-labelledby"), "p-title p-desc");
    EXPECT_EQ(svg.all("title")[0]->text, "Latency of <each>");
    EXPECT_EQ(svg.all("desc")[0]->text, "9 & more");
    EXPECT_EQ(svg.all("use").size(), 1U);
}

TEST(Plot, ValuesBeyondTheAxesStayInside)
{
    Plot plot = Plot::lane("p", "t", "d", 20, Scale::seconds(0, 10));
    plot.box("x", -5, 50, 0, 1);
    const auto svg = test::read_xml(plot.svg());
    ASSERT_EQ(svg.problem, "");
    const auto boxes = svg.all("rect");
    ASSERT_EQ(boxes.size(), 1U);
    EXPECT_EQ(boxes[0]->attributes.at("x"), "0%");
    EXPECT_EQ(boxes[0]->attributes.at("width"), "100%");
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
