#include "monitor/pages/statuspage_json.hpp"

#include "common/json_document.hpp"
#include "common/markup.hpp"
#include "tests/unit/monitor/pages/example_view.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <set>

namespace hotspare::monitor {
namespace TEST_FILE {

using Json = nlohmann::json;

Json read(const std::string& text)
{
    Json json = read_json_document(text);
    EXPECT_FALSE(json.is_discarded()) << text;
    return json;
}

using Keys = std::set<std::string>;

Keys keys_of(const Json& object)
{
    Keys keys;
    for (const auto& item : object.items()) keys.insert(item.key());
    return keys;
}

const Keys page_keys{"id", "name", "url", "time_zone", "updated_at"};
const Keys component_keys{
    "id",         "name",     "status",  "created_at", "updated_at",           "position", "description", "showcase",
    "start_date", "group_id", "page_id", "group",      "only_show_if_degraded"};
const Keys incident_keys{
    "id",     "name",      "status",     "created_at", "updated_at",       "monitoring_at", "resolved_at",
    "impact", "shortlink", "started_at", "page_id",    "incident_updates", "components",    "reminder_intervals"};
const Keys update_keys{"id",         "status",     "body",         "incident_id",         "created_at",
                       "updated_at", "display_at", "custom_tweet", "affected_components", "deliver_notifications",
                       "tweet_id"};

TEST(StatuspageJson, TheSummaryHasAllKeys)
{
    const Json json = read(summary_json(example::full()));
    EXPECT_EQ(keys_of(json), (Keys{"page", "status", "components", "incidents", "scheduled_maintenances"}));
    EXPECT_EQ(keys_of(json["page"]), page_keys);
    ASSERT_EQ(json["components"].size(), 3U);
    for (const Json& component : json["components"]) EXPECT_EQ(keys_of(component), component_keys);
    ASSERT_EQ(json["incidents"].size(), 1U);
    EXPECT_EQ(keys_of(json["incidents"][0]), incident_keys);
    for (const Json& update : json["incidents"][0]["incident_updates"]) EXPECT_EQ(keys_of(update), update_keys);
    ASSERT_EQ(json["scheduled_maintenances"].size(), 2U);
    Keys maintenance_keys = incident_keys;
    maintenance_keys.insert({"scheduled_for", "scheduled_until"});
    for (const Json& maintenance : json["scheduled_maintenances"]) {
        EXPECT_EQ(keys_of(maintenance), maintenance_keys);
        for (const Json& update : maintenance["incident_updates"]) EXPECT_EQ(keys_of(update), update_keys);
    }
}

TEST(StatuspageJson, SaysWhatIsTheCase)
{
    const Json json = read(summary_json(example::full()));
    EXPECT_EQ(json["page"]["id"], "status.example.org");
    EXPECT_EQ(json["status"], (Json{{"indicator", "major"}, {"description", "Partial outage"}}));
    EXPECT_EQ(json["components"][0]["status"], "major_outage");
    EXPECT_EQ(json["components"][0]["position"], 1);
    EXPECT_EQ(json["components"][0]["start_date"], "2026-08-01");
    EXPECT_EQ(json["components"][1]["status"], "under_maintenance");
    EXPECT_EQ(json["components"][2]["status"], "operational");
    const Json& incident = json["incidents"][0];
    EXPECT_EQ(incident["id"], "incident-api-2");
    EXPECT_EQ(incident["status"], "identified");
    EXPECT_EQ(incident["resolved_at"], nullptr);
    EXPECT_EQ(incident["started_at"], "2026-11-12T11:30:00.000Z");
    EXPECT_EQ(incident["incident_updates"][0]["id"], "incident-api-2-u0");
    EXPECT_EQ(incident["components"][0]["id"], "api");
    const Json& maintenance = json["scheduled_maintenances"][1];
    EXPECT_EQ(maintenance["status"], "scheduled");
    EXPECT_EQ(maintenance["scheduled_for"], "2026-11-14T02:00:00.000Z");
    EXPECT_EQ(maintenance["scheduled_until"], "2026-11-14T04:00:00.000Z");
    EXPECT_EQ(maintenance["started_at"], nullptr);
    EXPECT_EQ(maintenance["impact"], "minor");
}

TEST(StatuspageJson, HasAWordForEachState)
{
    View view;
    view.components = {{.id = "a", .state = State::up}, {.id = "b"}};
    const auto status = [&] { return read(status_json(view))["status"]["indicator"].get<std::string>(); };
    EXPECT_EQ(status(), "none");
    EXPECT_EQ(read(summary_json(view))["components"][1]["status"], nullptr);
    view.components[1].maintenance = true;
    EXPECT_EQ(status(), "maintenance");
    view.components[0].state = State::degraded;
    EXPECT_EQ(status(), "minor");
    EXPECT_EQ(read(summary_json(view))["components"][0]["status"], "degraded_performance");
    view.components[0].state = State::down;
    EXPECT_EQ(status(), "critical");
}

TEST(StatuspageJson, ListsPastIncidentsAndWindowsBehindTheOthers)
{
    const Json incidents = read(incidents_json(example::full()));
    EXPECT_EQ(keys_of(incidents), (Keys{"page", "incidents"}));
    ASSERT_EQ(incidents["incidents"].size(), 3U);
    EXPECT_EQ(incidents["incidents"][1]["status"], "resolved");
    EXPECT_EQ(incidents["incidents"][1]["resolved_at"], "2026-11-03T09:00:00.000Z");
    const Json windows = read(scheduled_maintenances_json(example::full()));
    EXPECT_EQ(keys_of(windows), (Keys{"page", "scheduled_maintenances"}));
    ASSERT_EQ(windows["scheduled_maintenances"].size(), 4U);
    EXPECT_EQ(windows["scheduled_maintenances"][0]["status"], "in_progress");
    const Json& cancelled = windows["scheduled_maintenances"][2];
    EXPECT_EQ(cancelled["status"], "completed");
    EXPECT_EQ(cancelled["incident_updates"][0]["body"], "The maintenance was cancelled.");
    EXPECT_EQ(keys_of(read(status_json(example::full()))), (Keys{"page", "status"}));
}

TEST(StatuspageJson, ListsAreBounded)
{
    View view = example::full();
    for (int i = 0; i < 100; ++i) {
        view.incidents.push_back(view.incidents[1]);
        view.windows.push_back(view.windows[0]);
    }
    EXPECT_EQ(read(incidents_json(view))["incidents"].size(), most_listed);
    EXPECT_EQ(read(scheduled_maintenances_json(view))["scheduled_maintenances"].size(), most_listed);
}

TEST(StatuspageJson, HostileTextsAreReadBackAsTheyWere)
{
    const std::string bad = valid_utf8(example::hostile());
    const View view = example::hostile_view();
    const Json json = read(summary_json(view));
    EXPECT_EQ(json["page"]["name"], bad);
    EXPECT_EQ(json["components"][0]["name"], bad);
    EXPECT_EQ(json["incidents"][0]["incident_updates"][0]["body"], bad);
    EXPECT_EQ(json["scheduled_maintenances"][0]["name"], bad);
    for (const std::string& text : {status_json(view), incidents_json(view), scheduled_maintenances_json(view)})
        read(text);
}

TEST(StatuspageJson, AnEmptyMonitorHasEmptyLists)
{
    const Json json = read(summary_json({}));
    EXPECT_EQ(json["components"], Json::array());
    EXPECT_EQ(json["incidents"], Json::array());
    EXPECT_EQ(json["scheduled_maintenances"], Json::array());
    EXPECT_EQ(json["status"], (Json{{"indicator", "none"}, {"description", "No data yet"}}));
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
