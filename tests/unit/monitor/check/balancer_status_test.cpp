#include "monitor/check/balancer_status.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace hotspare::monitor {
namespace TEST_FILE {

std::string status_of(std::string_view backends, bool can_answer = true, bool fail_open = false)
{
    return fmt::format(R"({{"service":"balancer","can_answer":{},"fail_open":{},"backends":[{}]}})", can_answer,
                       fail_open, backends);
}

TEST(BalancerStatus, NamesTheStateOfEachBackend)
{
    const auto status = read_balancer_status(status_of(
        R"({"name":"a","status":"healthy","last_probe":{"latency_ms":1.5,"detail":"200 OK"},"evidence":"200 OK"},)"
        R"({"name":"b","status":"degraded","last_probe":null,"evidence":"slow"},)"
        R"({"name":"c","status":"unhealthy","last_probe":{"latency_ms":2,"detail":"500 Internal Server Error"}},)"
        R"({"name":"d","status":"down","evidence":"Connection refused"},)"
        R"({"name":"e","status":"draining"},{"name":"f","status":"maintenance"},{"name":"g","status":"unknown"},)"
        R"({"name":"h","status":7})"));
    ASSERT_TRUE(status);
    EXPECT_EQ(status->state, State::up);
    const std::vector<BackendStatus> expected{
        {"a", State::up, "", microseconds(1500)},
        {"b", State::degraded, "degraded for the balancer: slow", {}},
        {"c", State::down, "unhealthy for the balancer: 500 Internal Server Error", milliseconds(2)},
        {"d", State::down, "down for the balancer: Connection refused", {}},
        {"e", State::unknown, "the balancer says 'draining'", {}},
        {"f", State::unknown, "the balancer says 'maintenance'", {}},
        {"g", State::unknown, "the balancer says 'unknown'", {}},
        {"h", State::unknown, "the balancer says 'nothing'", {}}};
    ASSERT_EQ(status->backends.size(), expected.size());
    for (std::size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(status->backends[i].name, expected[i].name);
        EXPECT_EQ(status->backends[i].state, expected[i].state) << expected[i].name;
        EXPECT_EQ(status->backends[i].cause, expected[i].cause);
        EXPECT_EQ(status->backends[i].latency, expected[i].latency) << expected[i].name;
        EXPECT_EQ(status->backends[i].unhealthy, expected[i].name == "c") << expected[i].name;
    }
}

TEST(BalancerStatus, NamesTheStateOfTheBalancer)
{
    EXPECT_EQ(read_balancer_status(status_of("", false, false))->state, State::down);
    EXPECT_EQ(read_balancer_status(status_of("", true, true))->state, State::degraded);
    EXPECT_EQ(read_balancer_status(status_of("", true, false))->state, State::up);
}

TEST(BalancerStatus, RefusesWhatIsNotAStatus)
{
    std::string many;
    for (int i = 0; i <= 256; ++i) many += fmt::format(R"({}{{"name":"b{}"}})", i == 0 ? "" : ",", i);
    for (const auto& text : {std::string("<html>"), std::string("{}"), std::string("[]"),
                             std::string(R"({"backends":[]})"), std::string(R"({"backends":{},"can_answer":true})"),
                             status_of(R"({"status":"healthy"})"), status_of(R"({"name":"A b","status":"healthy"})"),
                             status_of(R"({"name":"a"},{"name":"a"})"), status_of("1"), status_of(many)}) {
        const auto status = read_balancer_status(text);
        EXPECT_FALSE(status) << text.substr(0, 80);
    }
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
