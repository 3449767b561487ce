#include "balancer/control/events.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <set>
#include <string>

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
