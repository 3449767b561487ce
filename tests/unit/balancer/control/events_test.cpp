#include "balancer/control/events.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <set>
#include <string>
#include <vector>

namespace hotspare::balancer {
namespace {

Config two_backends()
{
    Config config;
    config.backends.resize(2);
    config.backends[0].name = "primary";
    config.backends[1].name = "spare";
    config.pools.resize(1);
    config.pools[0].name = "web";
    return config;
}

ReportedEvent outage(int minute = 0)
{
    return {
        .event = {.kind = Event::Kind::outage, .pool = PoolIndex{0}, .cause = "no_backend", .evidence = "none left"},
        .at = WallTime(std::chrono::minutes(minute)),
        .failover = {}};
}

std::vector<std::string> ids(const std::vector<const LogEntry*>& entries)
{
    std::vector<std::string> result;
    for (const LogEntry* entry : entries) result.push_back(entry->id);
    return result;
}

TEST(EventLog, replays_what_came_after_an_id)
{
    const Config config = two_backends();
    EventLog log("run");
    for (int i = 0; i < 5; ++i) log.append(outage(i), config);
    EXPECT_EQ(ids(log.after("run-3")), (std::vector<std::string>{"run-4", "run-5"}));
    EXPECT_TRUE(log.after("run-5").empty());
    EXPECT_EQ(log.after("run-0").size(), 5U);
}

TEST(EventLog, replays_everything_to_a_reader_that_it_does_not_know)
{
    const Config config = two_backends();
    EventLog log("run");
    for (int i = 0; i < 5; ++i) log.append(outage(i), config);
    for (const auto* id :
         {"", "3", "other-3", "run-", "run-x", "run-3x", "run-6", "run--1", "run-99999999999999999999"})
        EXPECT_EQ(log.after(id).size(), 5U) << id;
}

TEST(EventLog, keeps_the_latest_and_says_so_by_numbers_that_go_on)
{
    const Config config = two_backends();
    EventLog log("run", 3);
    for (int i = 0; i < 10; ++i) log.append(outage(i), config);
    EXPECT_EQ(ids(log.latest(100)), (std::vector<std::string>{"run-8", "run-9", "run-10"}));
    EXPECT_EQ(ids(log.latest(1)), (std::vector<std::string>{"run-10"}));
    EXPECT_EQ(ids(log.after("run-2")), (std::vector<std::string>{"run-8", "run-9", "run-10"}));
    EXPECT_EQ(ids(log.after("run-9")), (std::vector<std::string>{"run-10"}));
}

TEST(EventLog, tells_its_listeners)
{
    const Config config = two_backends();
    EventLog log("run");
    std::vector<std::string> heard;
    log.listen([&](const LogEntry& entry) { heard.push_back(entry.id + " " + entry.kind + " " + entry.text); });
    log.append(outage(), config);
    EXPECT_EQ(heard,
              (std::vector<std::string>{"run-1 outage 1970-01-01T00:00:00.000Z outage of pool 'web': none left"}));
}

TEST(EventLog, an_entry_is_one_line_of_json_with_its_id)
{
    const Config config = two_backends();
    EventLog log("run");
    ReportedEvent event = outage();
    event.event.evidence = "two\nlines and a broken byte: \xff";
    log.append(event, config);
    const std::string text = log.latest(1).front()->json;
    EXPECT_EQ(text.find('\n'), std::string::npos);
    const auto json = nlohmann::json::parse(text);
    EXPECT_EQ(json["id"], "run-1");
    EXPECT_EQ(json["event"], "outage");
}

TEST(Events, a_failover_names_everything_that_was_measured)
{
    const Config config = two_backends();
    const ReportedEvent reported{.event = {.kind = Event::Kind::failover,
                                           .backend = BackendIndex{1},
                                           .previous = BackendIndex{0},
                                           .pool = PoolIndex{0},
                                           .cause = "probes",
                                           .evidence = "'primary' is down: 2 probes in a row failed",
                                           .detection = microseconds(1234)},
                                 .at = WallTime(milliseconds(1500)),
                                 .failover = microseconds(1500)};
    EXPECT_EQ(to_json(reported, config), (nlohmann::json{{"event", "failover"},
                                                         {"at", "1970-01-01T00:00:01.500Z"},
                                                         {"pool", "web"},
                                                         {"from", "primary"},
                                                         {"to", "spare"},
                                                         {"cause", "probes"},
                                                         {"evidence", "'primary' is down: 2 probes in a row failed"},
                                                         {"detection_ms", 1.234},
                                                         {"failover_ms", 1.5}}));
    EXPECT_EQ(to_text(reported, config),
              "failover of pool 'web' from 'primary' to 'spare': detected in 1.2 ms, done after "
              "1.5 ms ('primary' is down: 2 probes in a row failed)");
}

TEST(Events, a_transition_names_its_evidence)
{
    const Config config = two_backends();
    const ReportedEvent reported{.event = {.kind = Event::Kind::transition,
                                           .backend = BackendIndex{0},
                                           .from = Status::healthy,
                                           .to = Status::down,
                                           .cause = "probes",
                                           .evidence = "2 probes in a row failed",
                                           .detection = milliseconds(120)},
                                 .at = {},
                                 .failover = {}};
    EXPECT_EQ(to_text(reported, config), "'primary' is down, was healthy (2 probes in a row failed)");
    const auto json = to_json(reported, config);
    EXPECT_EQ(json["backend"], "primary");
    EXPECT_EQ(json["from"], "healthy");
    EXPECT_EQ(json["to"], "down");
    EXPECT_EQ(json["detection_ms"], 120.0);
}

TEST(Events, every_kind_has_a_sentence_of_its_own)
{
    const Config config = two_backends();
    std::set<std::string> sentences;
    for (int kind = 0; kind <= static_cast<int>(Event::Kind::clock_jump); ++kind) {
        const ReportedEvent reported{.event = {.kind = static_cast<Event::Kind>(kind),
                                               .backend = BackendIndex{1},
                                               .previous = BackendIndex{0},
                                               .pool = PoolIndex{0},
                                               .evidence = "x"},
                                     .at = {},
                                     .failover = {}};
        const std::string text = to_text(reported, config);
        EXPECT_FALSE(text.empty());
        EXPECT_TRUE(sentences.insert(text).second) << text;
        EXPECT_EQ(to_json(reported, config)["event"], to_string(static_cast<Event::Kind>(kind)));
    }
}

} // namespace
} // namespace hotspare::balancer
