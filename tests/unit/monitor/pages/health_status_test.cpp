#include "monitor/pages/health_status.hpp"

#include "monitor/decide/instant.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

constexpr Instant start{std::chrono::sys_days(std::chrono::year(2026) / 11 / 10)};

TEST(OverallHealth, IsTheirCommonWordOrTheWorst)
{
    using enum resilience::Health;
    const std::vector<std::pair<std::vector<resilience::Health>, resilience::Health>> cases{
        {{}, unknown},
        {{unknown, unknown}, unknown},
        {{healthy, healthy}, healthy},
        {{down, down}, down},
        {{degraded}, degraded},
        {{unhealthy, unhealthy}, unhealthy},
        {{healthy, degraded}, degraded},
        {{healthy, down}, unhealthy},
        {{healthy, unhealthy, degraded}, unhealthy},
        {{down, unhealthy}, unhealthy},
        {{degraded, down, healthy}, unhealthy},
        {{healthy, unknown}, unknown},
        {{unknown, degraded}, degraded},
    };
    for (const auto& [all, expected] : cases) EXPECT_EQ(overall_health(all), expected);
}

TEST(HealthStatusJson, TellsWhatIsConfirmedAndWhatTheLatestCheckFound)
{
    const std::vector<TargetHealth> targets{
        {.name = "api",
         .health = resilience::Health::healthy,
         .since = start,
         .latency = microseconds(1500),
         .last_error = "Connection refused",
         .url = "http://127.0.0.1:5001"},
        {.name = "worker",
         .health = resilience::Health::degraded,
         .cause = "says that it is degraded: \"paused\"",
         .since = start,
         .latency = microseconds(1),
         .last_error = "says that it is degraded: \"paused\"",
         .url = "http://127.0.0.1:5002",
         .paused = true},
        {.name = "backup", .since = start},
    };
    EXPECT_EQ(health_status_json(targets, start + seconds(5)),
              R"({"timestamp":"2026-11-10T00:00:05.000Z","overall":"degraded","services":{)"
              R"("api":{"status":"healthy","response_time":0.0015,"since":"2026-11-10T00:00:00.000Z",)"
              R"("cause":"answers in time","last_error":"Connection refused","url":"http://127.0.0.1:5001"},)"
              R"("worker":{"status":"degraded","response_time":1e-06,"since":"2026-11-10T00:00:00.000Z",)"
              R"("cause":"says that it is degraded: \"paused\"","last_error":"says that it is degraded: \"paused\"",)"
              R"("url":"http://127.0.0.1:5002","paused":true},)"
              R"("backup":{"status":"unknown","response_time":null,"since":"2026-11-10T00:00:00.000Z",)"
              R"("cause":null,"last_error":null,"url":null}}})");
    EXPECT_EQ(health_status_json({}, start),
              R"({"timestamp":"2026-11-10T00:00:00.000Z","overall":"unknown","services":{}})");
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
