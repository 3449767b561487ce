#include "monitor/pages/records_json.hpp"

#include "common/json_document.hpp"
#include "common/markup.hpp"
#include "monitor/requests/window_plan.hpp"
#include "tests/unit/monitor/pages/example_view.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

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

std::string name_of_target(TargetId id)
{
    return id == 7 ? "api" : "web";
}

TEST(WindowJson, TellsEverythingOfTheWindow)
{
    const PublicWindow shown = example::window(3, WindowState::scheduled, "2026-11-14T02:00:00Z", 2h);
    EXPECT_EQ(window_json(shown.window, shown.next),
              R"({"id":3,"state":"scheduled","version":3,"title":"Database upgrade",)"
              R"("message":"We move to a new version.","start_time":"2026-11-14T02:00:00.000Z",)"
              R"("end_time":"2026-11-14T04:00:00.000Z","components":["api"],"impact":"minor","emergency":false,)"
              R"("close_pools":false,)"
              R"("rrule":null,"time_zone":null,"created_at":"2026-11-09T02:00:00.000Z",)"
              R"("announced_at":"2026-11-09T02:00:00.000Z",)"
              R"("next":[{"start_time":"2026-11-14T02:00:00.000Z","end_time":"2026-11-14T04:00:00.000Z"}]})");
}

TEST(WindowJson, WithoutOccurrencesToComeHasNone)
{
    const PublicWindow shown = example::window(4, WindowState::cancelled, "2026-11-10T02:00:00Z", 2h);
    const Json json = read(window_json(shown.window, {}));
    EXPECT_EQ(json["state"], "cancelled");
    EXPECT_EQ(json["next"], Json::array());
}

TEST(WindowJson, ItsPlanCanBeSentBack)
{
    Window window = example::window(3, WindowState::scheduled, "2026-11-14T02:00:00Z", 2h).window;
    for (const bool full : {false, true}) {
        if (full) {
            window.plan.rrule = "FREQ=WEEKLY";
            window.plan.time_zone = "Europe/Berlin";
            window.plan.impact = Impact::critical;
            window.plan.title.clear();
        }
        Json document = read(window_json(window, {}));
        for (const char* own : {"id", "state", "version", "created_at", "announced_at", "next"}) document.erase(own);
        const auto plan = read_window_plan(document);
        ASSERT_TRUE(plan) << plan.error().message;
        EXPECT_EQ(*plan, window.plan);
    }
}

TEST(WindowJson, HostileTextsAreReadBackAsTheyWere)
{
    const std::string bad = valid_utf8(example::hostile());
    for (const PublicWindow& shown : example::hostile_view().windows) {
        const Json json = read(window_json(shown.window, shown.next));
        EXPECT_EQ(json["title"], bad);
        EXPECT_EQ(json["message"], bad);
        EXPECT_EQ(json["rrule"], bad);
    }
}

TEST(TargetsJson, TellsOfEachTarget)
{
    EXPECT_EQ(targets_json({}), R"({"targets":[]})");
    const std::vector<TargetRecord> targets{{.name = "api",
                                             .kind = "http",
                                             .state = State::down,
                                             .cause = "connection refused",
                                             .since = example::now() - 5min,
                                             .checked_at = example::now(),
                                             .latency = 1'234us,
                                             .watched_since = example::at("2026-11-01T00:00:00Z"),
                                             .maintenance = true},
                                            {.name = "pool/v1", .kind = "backend"}};
    const Json list = read(targets_json(targets))["targets"];
    ASSERT_EQ(list.size(), 2U);
    EXPECT_EQ(list[0], (Json{{"name", "api"},
                             {"kind", "http"},
                             {"state", "down"},
                             {"maintenance", true},
                             {"since", "2026-11-12T11:55:00.000Z"},
                             {"cause", "connection refused"},
                             {"checked_at", "2026-11-12T12:00:00.000Z"},
                             {"latency_ms", 1.234},
                             {"watched_since", "2026-11-01T00:00:00.000Z"}}));
    for (const char* unknown : {"since", "cause", "checked_at", "latency_ms"})
        EXPECT_TRUE(list[1].at(unknown).is_null()) << unknown;
    EXPECT_EQ(list[1]["state"], "unknown");
}

Page<StoredIncident> incidents(bool more)
{
    Page<StoredIncident> page{.more = more};
    page.rows.push_back({12, 7, example::incident("api", 2, "2026-11-12T11:30:00Z", true).incident});
    page.rows.push_back({9, 8, example::incident("web", 1, "2026-11-03T08:00:00Z", false).incident});
    page.rows[1].incident.maintenance = true;
    return page;
}

TEST(IncidentPageJson, TellsOfIncidentsInTheOrderOfThePage)
{
    const Json json = read(incident_page_json(incidents(true), name_of_target, example::now()));
    EXPECT_EQ(json["next"], 9);
    ASSERT_EQ(json["incidents"].size(), 2U);
    EXPECT_EQ(json["incidents"][0], (Json{{"id", 12},
                                          {"target", "api"},
                                          {"number", 2},
                                          {"status", "identified"},
                                          {"cause", "connection refused"},
                                          {"maintenance", false},
                                          {"start_time", "2026-11-12T11:30:00.000Z"},
                                          {"end_time", nullptr},
                                          {"duration_ms", 1'800'000},
                                          {"outages", {{{"from", "2026-11-12T11:30:00.000Z"}, {"until", nullptr}}}},
                                          {"updates",
                                           {{{"time", "2026-11-12T11:40:00.000Z"},
                                             {"status", "identified"},
                                             {"message", "A disk is full. We make room."}}}}}));
    const Json& second = json["incidents"][1];
    EXPECT_EQ(second["target"], "web");
    EXPECT_EQ(second["end_time"], "2026-11-03T09:00:00.000Z");
    EXPECT_EQ(second["duration_ms"], 3'600'000);
    EXPECT_EQ(second["maintenance"], true);
}

TEST(IncidentPageJson, DoesNotTellTheAuthorOfAnUpdate)
{
    EXPECT_EQ(incident_page_json(incidents(false), name_of_target, example::now()).find("operator@"),
              std::string::npos);
}

TEST(IncidentPageJson, TheLatestUpdateComesFirst)
{
    Page<StoredIncident> page = incidents(false);
    page.rows[0].incident.updates.push_back({example::now(), IncidentStatus::monitoring, "There is room again.", ""});
    const Json updates = read(incident_page_json(page, name_of_target, example::now()))["incidents"][0]["updates"];
    ASSERT_EQ(updates.size(), 2U);
    EXPECT_EQ(updates[0]["message"], "There is room again.");
    EXPECT_EQ(updates[1]["message"], "A disk is full. We make room.");
}

TEST(IncidentPageJson, TheLastPageHasNoNext)
{
    EXPECT_TRUE(read(incident_page_json(incidents(false), name_of_target, example::now()))["next"].is_null());
    EXPECT_EQ(incident_page_json({}, name_of_target, example::now()), R"({"incidents":[],"next":null})");
    Page<StoredIncident> odd{.rows = {{}}, .more = true};
    EXPECT_EQ(read(incident_page_json(odd, name_of_target, example::now()))["incidents"][0]["start_time"], nullptr)
        << "without an outage";
}

TEST(SamplesJson, TellsOfChecks)
{
    EXPECT_EQ(samples_json("api", {}), R"({"target":"api","samples":[],"next":null})");
    const Page<StoredSample> page{.rows = {{7, example::now(), State::up, 950us, ""},
                                           {7, example::now() - 10s, State::down, std::nullopt, "timed out"}},
                                  .more = true};
    EXPECT_EQ(samples_json("api", page),
              R"({"target":"api","samples":[)"
              R"({"time":"2026-11-12T12:00:00.000Z","state":"up","latency_ms":0.95,"cause":null},)"
              R"({"time":"2026-11-12T11:59:50.000Z","state":"down","latency_ms":null,"cause":"timed out"}],)"
              R"("next":"2026-11-12T11:59:50.000Z"})");
}

TEST(AuditJson, TellsOfEntriesWithTheirHashes)
{
    EXPECT_EQ(audit_json({}), R"({"entries":[],"next":null})");
    Page<ChainedEntry> page{.more = true};
    page.rows.push_back({{.number = 8,
                          .at = example::now(),
                          .user = "admin",
                          .address = "127.0.0.1",
                          .action = "chaos.cpu",
                          .target = "v1",
                          .detail = "100 %"},
                         std::string(64, 'a')});
    EXPECT_EQ(audit_json(page), R"({"entries":[{"number":8,"time":"2026-11-12T12:00:00.000Z","user":"admin",)"
                                R"("address":"127.0.0.1","action":"chaos.cpu","target":"v1","detail":"100 %",)"
                                R"("hash":")" +
                                    std::string(64, 'a') + R"("}],"next":8})");
}

TEST(AuditJson, HostileTextsAreReadBackAsTheyWere)
{
    const std::string bad = example::hostile();
    const Page<ChainedEntry> page{.rows = {{{1, example::now(), bad, bad, bad, bad, bad}, bad}}};
    const Json entry = read(audit_json(page))["entries"][0];
    for (const char* member : {"user", "address", "action", "target", "detail", "hash"})
        EXPECT_EQ(entry[member], valid_utf8(bad));
}

TEST(OwnStatusJson, TellsTheStateOfTheWholeAndOfEachComponent)
{
    const Json json = read(own_status_json(example::full()));
    EXPECT_EQ(json["title"], "Example status");
    EXPECT_EQ(json["time"], "2026-11-12T12:00:00.000Z");
    EXPECT_EQ(json["overall"], "partial_outage");
    EXPECT_EQ(json["description"], "Partial outage");
    ASSERT_EQ(json["components"].size(), 3U);
    const Json& api = json["components"][0];
    EXPECT_EQ(api["id"], "api");
    EXPECT_EQ(api["name"], "API");
    EXPECT_EQ(api["state"], "down");
    EXPECT_EQ(api["since"], "2026-11-01T00:00:00.000Z");
    EXPECT_EQ(api["cause"], "connection refused");
    EXPECT_EQ(api["uptime"]["days"], 90);
    EXPECT_LT(api["uptime"]["sla"], 1.0);
    EXPECT_LT(api["uptime"]["raw"], api["uptime"]["sla"]) << "announced maintenance is in raw only";
    EXPECT_EQ(json["components"][1]["maintenance"], true);
    EXPECT_EQ(json["components"][2]["uptime"], (Json{{"days", 90}, {"raw", 1.0}, {"sla", 1.0}}));
}

TEST(OwnStatusJson, TellsWhatIsOpen)
{
    const Json json = read(own_status_json(example::full()));
    ASSERT_EQ(json["incidents"].size(), 1U);
    EXPECT_EQ(json["incidents"][0]["id"], "incident-api-2");
    EXPECT_EQ(json["incidents"][0]["target"], "api");
    EXPECT_EQ(json["incidents"][0]["end_time"], nullptr);
    ASSERT_EQ(json["maintenance"].size(), 2U);
    EXPECT_EQ(json["maintenance"][0]["state"], "in_progress");
    EXPECT_EQ(json["maintenance"][1]["next"].size(), 6U);
}

TEST(OwnStatusJson, EveryStateOfTheWholeHasAWord)
{
    View view;
    const auto word = [&view] { return read(own_status_json(view))["overall"].get<std::string>(); };
    EXPECT_EQ(word(), "no_data");
    view.components = {{.id = "a", .state = State::up}};
    EXPECT_EQ(word(), "operational");
    view.components[0].state = State::degraded;
    EXPECT_EQ(word(), "degraded");
    view.components[0].state = State::down;
    EXPECT_EQ(word(), "major_outage");
    view.components[0].maintenance = true;
    EXPECT_EQ(word(), "maintenance");
    EXPECT_EQ(read(own_status_json(view))["components"][0]["uptime"]["sla"], nullptr);
}

TEST(OwnStatusJson, HostileTextsAreReadBackAsTheyWere)
{
    const Json json = read(own_status_json(example::hostile_view()));
    EXPECT_EQ(json["title"], valid_utf8(example::hostile()));
    EXPECT_EQ(json["components"][0]["cause"], valid_utf8(example::hostile()));
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
