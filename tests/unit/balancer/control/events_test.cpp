#include "balancer/control/events.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <set>
#include <string>
#include <utility>

namespace hotspare::balancer {
namespace TEST_FILE {

/// Of backend `spare` and `primary` before it, in pool `web`.
ReportedEvent about_web(Event event)
{
    ReportedEvent reported;
    reported.event = std::move(event);
    reported.backend = reported.event.kind == Event::Kind::transition ? "primary" : "spare";
    reported.previous = "primary";
    reported.pool = "web";
    return reported;
}

TEST(Events, a_failover_names_everything_that_was_measured)
{
    ReportedEvent reported = about_web({.kind = Event::Kind::failover,
                                        .backend = BackendIndex{1},
                                        .previous = BackendIndex{0},
                                        .pool = PoolIndex{0},
                                        .cause = "probes",
                                        .evidence = "'primary' is down: 2 probes in a row failed",
                                        .detection = microseconds(1234)});
    reported.at = WallTime(milliseconds(1500));
    reported.failover = microseconds(1500);
    EXPECT_EQ(to_json(reported), (nlohmann::json{{"event", "failover"},
                                                 {"at", "1970-01-01T00:00:01.500Z"},
                                                 {"pool", "web"},
                                                 {"from", "primary"},
                                                 {"to", "spare"},
                                                 {"cause", "probes"},
                                                 {"evidence", "'primary' is down: 2 probes in a row failed"},
                                                 {"detection_ms", 1.234},
                                                 {"failover_ms", 1.5}}));
    EXPECT_EQ(to_text(reported), "failover of pool 'web' from 'primary' to 'spare': detected in 1.2 ms, done after "
                                 "1.5 ms ('primary' is down: 2 probes in a row failed)");
}

TEST(Events, a_transition_names_its_evidence)
{
    const ReportedEvent reported = about_web({.kind = Event::Kind::transition,
                                              .backend = BackendIndex{0},
                                              .from = Status::healthy,
                                              .to = Status::down,
                                              .cause = "probes",
                                              .evidence = "2 probes in a row failed",
                                              .detection = milliseconds(120)});
    EXPECT_EQ(to_text(reported), "'primary' is down, was healthy (2 probes in a row failed)");
    const auto json = to_json(reported);
    EXPECT_EQ(json["backend"], "primary");
    EXPECT_EQ(json["from"], "healthy");
    EXPECT_EQ(json["to"], "down");
    EXPECT_EQ(json["detection_ms"], 120.0);
}

TEST(Events, every_kind_has_a_sentence_of_its_own)
{
    std::set<std::string> sentences;
    for (int kind = 0; kind <= static_cast<int>(Event::Kind::clock_jump); ++kind) {
        const ReportedEvent reported = about_web({.kind = static_cast<Event::Kind>(kind),
                                                  .backend = BackendIndex{1},
                                                  .previous = BackendIndex{0},
                                                  .pool = PoolIndex{0},
                                                  .evidence = "x"});
        const std::string text = to_text(reported);
        EXPECT_FALSE(text.empty());
        EXPECT_TRUE(sentences.insert(text).second) << text;
        EXPECT_EQ(to_json(reported)["event"], to_string(static_cast<Event::Kind>(kind)));
    }
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
