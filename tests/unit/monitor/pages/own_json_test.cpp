#include "monitor/pages/own_json.hpp"

#include "common/json_document.hpp"
#include "common/markup.hpp"
#include "tests/unit/monitor/pages/example_view.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <limits>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using Json = nlohmann::json;

Json read(const std::string& text)
{
    Json json = read_json_document(text);
    EXPECT_FALSE(json.is_discarded()) << text;
    return json;
}

TEST(MaintenanceJson, IsNotActiveWithoutAWindowInProgress)
{
    EXPECT_EQ(maintenance_json({}), R"({"active":false,"upcoming":[]})");
}

TEST(MaintenanceJson, TellsTheWindowInProgressAndWhatIsUpcoming)
{
    const Json json = read(maintenance_json(example::full()));
    EXPECT_EQ(json["active"], true);
    EXPECT_EQ(json["message"], "Scheduled maintenance in progress");
    EXPECT_EQ(json["title"], "Database upgrade");
    EXPECT_EQ(json["start_time"], "2026-11-12T11:00:00.000Z");
    EXPECT_EQ(json["end_time"], "2026-11-12T13:00:00.000Z");
    EXPECT_EQ(json["components"], Json::array({"web"}));
    ASSERT_EQ(json["upcoming"].size(), 1U);
    const Json& next = json["upcoming"][0];
    EXPECT_EQ(next["id"], 3);
    EXPECT_EQ(next["message"], "We move to a new version.");
    EXPECT_EQ(next["rrule"], "FREQ=WEEKLY;BYDAY=SA");
    EXPECT_EQ(next["time_zone"], nullptr);
    EXPECT_EQ(next["next"].size(), 6U);
    EXPECT_EQ(next["next"][1]["start_time"], "2026-11-21T02:00:00.000Z");
}

TEST(MaintenanceJson, OfSeveralWindowsTellsTheOneThatEndsLast)
{
    View view = example::full();
    view.windows.push_back(example::window(9, WindowState::in_progress, "2026-11-12T10:00:00Z", 9h));
    view.windows.back().window.plan.emergency = true;
    const Json json = read(maintenance_json(view));
    EXPECT_EQ(json["id"], 9);
    EXPECT_EQ(json["message"], "Scheduled maintenance in progress") << "which the customer's pages look for";
    EXPECT_EQ(json["emergency"], true);
}

TEST(MaintenanceJson, HostileTextsAreReadBackAsTheyWere)
{
    const Json json = read(maintenance_json(example::hostile_view()));
    const std::string bad = valid_utf8(example::hostile());
    EXPECT_EQ(json["title"], bad);
    EXPECT_EQ(json["details"], bad);
    for (const char* field : {"title", "message", "rrule", "time_zone"}) EXPECT_EQ(json["upcoming"][0][field], bad);
}

MonthReport report()
{
    // The example of docs/monitor.md.
    return {.target = "api",
            .month = std::chrono::year(2026) / std::chrono::November,
            .complete = true,
            .tally = {.up = 685h + 30min, .down = 30min, .unknown = 6h, .window_up = 1h, .window_down = 3h},
            .incidents = 1,
            .budget = {.allowed = 2'469'600ms, .spent = 1'800'000ms, .left = 669'600ms}};
}

TEST(UptimeJson, TellsTheExampleOfTheDocument)
{
    const Json json = read(uptime_json(report()));
    EXPECT_EQ(json["target"], "api");
    EXPECT_EQ(json["month"], "2026-11");
    EXPECT_EQ(json["complete"], true);
    EXPECT_EQ(json["raw"], 0.994927);
    EXPECT_EQ(json["sla"], 0.999271);
    EXPECT_EQ(json["incidents"], 1);
    EXPECT_EQ(json["objective"], 0.999);
    EXPECT_EQ(json["milliseconds"]["down"], 1'800'000);
    EXPECT_EQ(json["milliseconds"]["maintenance"]["down"], 10'800'000);
    EXPECT_EQ(json["milliseconds"]["total"], 2'505'600'000);
    EXPECT_EQ(json["error_budget"], (Json{{"allowed_ms", 2'469'600}, {"spent_ms", 1'800'000}, {"left_ms", 669'600}}));
    EXPECT_NE(uptime_json(report()).find(R"("raw":0.994927,"sla":0.999271,)"), std::string::npos);
}

TEST(UptimeJson, IsOneOnlyIfNoTimeWasLost)
{
    MonthReport month = report();
    month.tally = {.up = 720h - 1ms, .down = 1ms};
    EXPECT_EQ(read(uptime_json(month))["sla"], 0.999999);
    month.tally = {.up = 720h};
    EXPECT_EQ(read(uptime_json(month))["sla"], 1.0);
}

TEST(UptimeJson, WithoutKnownTimeTheFiguresAreNull)
{
    const Json json = read(uptime_json({.target = example::hostile()}));
    EXPECT_EQ(json["target"], valid_utf8(example::hostile()));
    EXPECT_EQ(json["raw"], nullptr);
    EXPECT_EQ(json["sla"], nullptr);
    ASSERT_EQ(json["burn_rates"].size(), 4U);
    EXPECT_EQ(json["burn_rates"][0]["long_rate"], nullptr);
}

TEST(UptimeJson, TellsTheBurnRates)
{
    MonthReport month = report();
    month.burns[0] = {.long_rate = 20.0 / 3, .short_rate = 15.0, .firing = false};
    month.burns[3] = {.long_rate = std::numeric_limits<double>::infinity(), .short_rate = 1.0, .firing = true};
    const Json rates = read(uptime_json(month))["burn_rates"];
    EXPECT_EQ(rates[0], (Json{{"threshold", 14.4},
                              {"long_window_ms", 3'600'000},
                              {"short_window_ms", 300'000},
                              {"long_rate", 6.666667},
                              {"short_rate", 15.0},
                              {"severity", "page"},
                              {"firing", false}}));
    EXPECT_EQ(rates[3]["long_rate"], nullptr);
    EXPECT_EQ(rates[3]["firing"], true);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
