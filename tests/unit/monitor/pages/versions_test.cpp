#include "monitor/pages/versions.hpp"

#include "common/json_document.hpp"
#include "common/time.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace hotspare::monitor {
namespace TEST_FILE {

using Json = nlohmann::json;

Instant at(std::string_view text)
{
    return *parse_rfc3339(text);
}

/// As balancer/control/report.cpp writes it.
constexpr std::string_view status = R"({
  "service": "balancer", "active": "v2", "can_answer": true, "fail_open": false,
  "backends": [
    {"name": "v1", "url": "http://127.0.0.1:8001", "status": "unhealthy", "healthy": false,
     "since": "2026-11-30T12:00:01.250Z", "cause": "probes", "evidence": "500 Internal Server Error",
     "last_probe": {"at": "2026-11-30T12:00:05.000Z", "latency_ms": 1.5, "outcome": "failing", "detail": "500"}},
    {"name": "v2", "url": "http://127.0.0.1:8002", "status": "healthy", "healthy": true,
     "since": "2026-11-30T11:00:00.000Z", "cause": "first_probe", "evidence": "200 OK", "last_probe": null}],
  "pools": [{"name": "default", "policy": "failover", "active": "v2", "candidates": [
     {"backend": "v2", "tier": "serving", "weight": 1},
     {"backend": "v1", "tier": "excluded", "weight": 1, "quarantined_until": "2026-11-30T12:00:16.250Z"}]}],
  "failovers": 1,
  "last_failover": {"event": "failover", "at": "2026-11-30T12:00:01.252Z", "cause": "failure_limit", "evidence":
     "'v1' is quarantined: 5 failures", "pool": "default", "from": "v1", "to": "v2", "detection_ms": 12.5,
     "failover_ms": 13.25},
  "v1_healthy": false, "v2_healthy": true})";

TEST(Versions, AreReadFromTheStatusOfABalancer)
{
    const auto versions = read_versions(read_json_document(status));
    ASSERT_TRUE(versions);
    const Versions expected{.active = "v2",
                            .versions = {{.name = "v1",
                                          .url = "http://127.0.0.1:8001",
                                          .status = "unhealthy",
                                          .since = at("2026-11-30T12:00:01.250Z"),
                                          .cause = "probes",
                                          .evidence = "500 Internal Server Error",
                                          .quarantined_until = at("2026-11-30T12:00:16.250Z")},
                                         {.name = "v2",
                                          .url = "http://127.0.0.1:8002",
                                          .status = "healthy",
                                          .since = at("2026-11-30T11:00:00.000Z"),
                                          .cause = "first_probe",
                                          .evidence = "200 OK",
                                          .active = true}},
                            .last_failover = LastFailover{.from = "v1",
                                                          .to = "v2",
                                                          .cause = "failure_limit",
                                                          .evidence = "'v1' is quarantined: 5 failures",
                                                          .detection_ms = 12.5,
                                                          .failover_ms = 13.25,
                                                          .at = at("2026-11-30T12:00:01.252Z")}};
    EXPECT_EQ(*versions, expected);
}

TEST(Versions, WithoutBackendsThereAreNone)
{
    for (const char* text :
         {"null", "[]", "7", "{}", R"({"backends":{}})", R"({"backends":null,"active":"v1"})", "<html>"})
        EXPECT_FALSE(read_versions(read_json_document(text))) << text;
}

TEST(Versions, WhatIsMissingIsNotShown)
{
    const auto least = read_versions(read_json_document(R"({"backends":[{"name":"v1"}]})"));
    ASSERT_TRUE(least);
    EXPECT_EQ(*least, (Versions{.versions = {{.name = "v1"}}}));
    EXPECT_EQ(read_versions(read_json_document(R"({"backends":[],"active":null,"last_failover":null,"pools":[null]})")),
              Versions{});
}

TEST(Versions, WhatHasAnotherTypeIsNotShown)
{
    const auto versions = read_versions(read_json_document(R"({
        "active": 7, "backends": [7, null, {}, {"name": 7}, {"name": ""},
          {"name": "v1", "url": [], "status": {}, "since": "yesterday", "cause": 1, "evidence": null}],
        "pools": [7, {"candidates": 7}, {"candidates": [7, {"backend": 7, "quarantined_until": 7},
          {"backend": "v1", "quarantined_until": "soon"}, {"backend": "v9", "quarantined_until": "2026-11-30T12:00:00Z"}]}],
        "last_failover": {"from": 1, "to": [], "detection_ms": "12", "failover_ms": -1, "at": 0}})"));
    ASSERT_TRUE(versions);
    EXPECT_EQ(*versions, (Versions{.versions = {{.name = "v1"}}, .last_failover = LastFailover{}}));
}

TEST(Versions, OfSeveralQuarantinesTheLatestEndCounts)
{
    const auto versions = read_versions(read_json_document(R"({"backends":[{"name":"v1"}], "pools": [
        {"candidates":[{"backend":"v1","quarantined_until":"2026-11-30T12:00:01Z"}]},
        {"candidates":[{"backend":"v1","quarantined_until":"2026-11-30T12:00:03Z"}]},
        {"candidates":[{"backend":"v1","quarantined_until":"2026-11-30T12:00:02Z"}]}]})"));
    ASSERT_TRUE(versions);
    EXPECT_EQ(versions->versions.at(0).quarantined_until, at("2026-11-30T12:00:03Z"));
}

TEST(Versions, TextsAndNumbersAreBounded)
{
    Json document{{"backends", Json::array()}};
    for (int i = 0; i < 300; ++i)
        document["backends"].push_back({{"name", fmt::format("v{}", i)}, {"cause", std::string(100'000, 'x')}});
    document["backends"][0]["evidence"] = "\x1b[31mred\n\xE2\x80\xAE";
    document["last_failover"] = {{"detection_ms", 1e300}, {"failover_ms", 12}};
    const auto versions = read_versions(document);
    ASSERT_TRUE(versions);
    EXPECT_EQ(versions->versions.size(), 64U);
    EXPECT_EQ(versions->versions[5].cause.size(), 303U);
    EXPECT_EQ(versions->versions[0].evidence, "\\x1b[31mred\\x0a\\u{202e}");
    EXPECT_FALSE(versions->last_failover->detection_ms);
    EXPECT_EQ(versions->last_failover->failover_ms, 12.0);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
