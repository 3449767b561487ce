#include "monitor/pages/wording.hpp"

#include "tests/unit/monitor/pages/example_view.hpp"

#include <gtest/gtest.h>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using std::chrono::days;

TEST(PagesWording, PercentagesAreRoundedDownSoThat100SaysThatNoTimeWasLost)
{
    EXPECT_EQ(sla_text({.up = 720h}), "100 %");
    EXPECT_EQ(sla_text({.up = 720h - 1ms, .down = 1ms}), "99.999 %");
    EXPECT_EQ(sla_text({.up = 6855h, .down = 5h}), "99.927 %"); // the example of docs/monitor.md, times ten
    EXPECT_EQ(sla_text({.up = 1ms, .down = 720h}), "0.000 %");
    EXPECT_EQ(sla_text({.down = 1h}), "0.000 %");
    EXPECT_EQ(sla_text({.degraded = 1h}), "100 %");
}

TEST(PagesWording, WithoutKnownTimeThereIsNoFigure)
{
    EXPECT_EQ(sla_text({}), "no data");
    EXPECT_EQ(sla_text({.unknown = 5h}), "no data");
    EXPECT_EQ(sla_text({.window_up = 5h}), "no data");
    EXPECT_EQ(raw_text({.window_up = 5h}), "100 %");
    EXPECT_EQ(share_ppm(0ms, 0ms), std::nullopt);
}

TEST(PagesWording, SharesOfCenturiesAreExact)
{
    EXPECT_EQ(share_ppm(days(36'500), days(73'000)), 500'000U);
    EXPECT_EQ(share_ppm(days(73'000) - 1ms, days(73'000)), 999'999U);
}

TEST(PagesWording, DurationsHaveTwoUnits)
{
    EXPECT_EQ(duration_text(0ms), "0 ms");
    EXPECT_EQ(duration_text(350ms), "350 ms");
    EXPECT_EQ(duration_text(12'345ms), "12 s");
    EXPECT_EQ(duration_text(90s), "1 min 30 s");
    EXPECT_EQ(duration_text(1h + 59s), "1 h");
    EXPECT_EQ(duration_text(1h + 5min), "1 h 5 min");
    EXPECT_EQ(duration_text(days(3) + 2h + 59min), "3 d 2 h");
}

TEST(PagesWording, TimesAreInUtc)
{
    const Instant time = example::at("2026-02-03T04:05:06.789Z");
    EXPECT_EQ(date_text(time), "3 February 2026");
    EXPECT_EQ(moment_text(time), "3 February 2026, 04:05:06 UTC");
    EXPECT_EQ(month_text(time), "February 2026");
    EXPECT_EQ(month_text(std::chrono::year(2026) / std::chrono::February), "2026-02");
    EXPECT_EQ(machine_time(time), "2026-02-03T04:05:06.789Z");
    EXPECT_EQ(span_text({example::at("2026-12-31T22:00:00Z"), example::at("2026-12-31T23:30:00Z")}),
              "31 December 2026, 22:00 UTC to 23:30 UTC");
    EXPECT_EQ(span_text({example::at("2026-12-31T22:00:00Z"), example::at("2027-01-01T02:00:00Z")}),
              "31 December 2026, 22:00 UTC to 1 January 2027, 02:00 UTC");
}

TEST(PagesWording, SlugsOfDifferentTextsDiffer)
{
    EXPECT_EQ(slug("api-1.example"), "api-1.example");
    EXPECT_EQ(slug("a b"), "a_20b");
    EXPECT_EQ(slug("a_20b"), "a_5f20b");
    EXPECT_EQ(slug("<ü>"), "_3c_c3_bc_3e");
}

TEST(PagesWording, HostsHaveOnlyCharactersOfHosts)
{
    EXPECT_EQ(host_of("https://status.example.org"), "status.example.org");
    EXPECT_EQ(host_of("http://user:pass@status.example.org:8000/x?y"), "status.example.org");
    EXPECT_EQ(host_of("http://[::1]:8000"), "--1");
    EXPECT_EQ(host_of(""), "localhost");
    EXPECT_EQ(host_of("https://"), "localhost");
    EXPECT_EQ(host_of("https://a\r\nb c"), "a--b-c");
}

TEST(PagesWording, AWindowWithoutTitleIsCalledByItsKind)
{
    EXPECT_EQ(title_of(Window{}), "Scheduled maintenance");
    EXPECT_EQ(title_of(Window{.plan = {.emergency = true}}), "Emergency maintenance");
    EXPECT_EQ(title_of(Window{.plan = {.title = "Upgrade"}}), "Upgrade");
    EXPECT_EQ(components_text({}, Window{}), "All components");
    EXPECT_EQ(components_text(example::full(), Window{.plan = {.components = {"api", "gone"}}}), "API, gone");
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
