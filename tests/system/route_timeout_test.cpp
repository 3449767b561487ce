// How long a request may take is its route's word: with a body or without, while it waits for a backend as while it
// waits for an answer, and for no other request of its connection.
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <future>
#include <string>

namespace hotspare::test {
namespace TEST_FILE {

/// One origin that is silent on /short and /patient and slow on /slow, behind routes of half a second, four seconds,
/// and the 30 s of all others.
class RouteTimeout : public testing::Test {
protected:
    RouteTimeout()
    {
        origin_.script([](const Message& request) {
            if (request.target() == "/short" || request.target() == "/patient")
                return Reply::broken(Reply::Break::hang);
            Reply reply = Reply::text("ok");
            reply.delay = milliseconds(1000);
            return reply;
        });
    }

    void SetUp() override { ASSERT_TRUE(balancer_.wait_for("only", "healthy")) << balancer_.status(); }

    std::uint16_t port() const { return balancer_.port(); }
    double parked() const { return balancer_.metric("hotspare_requests_parked{pool=\"default\"}"); }

    Origin origin_;
    Balancer balancer_ = Balancer::configured(fmt::format("backends:\n"
                                                          "  - {{name: only, url: 'http://127.0.0.1:{}'}}\n"
                                                          "pools:\n"
                                                          "  - {{name: default, park: {{timeout: 20s}}}}\n"
                                                          "routes:\n"
                                                          "  - {{path: /short, timeout: 500ms}}\n"
                                                          "  - {{path: /patient, timeout: 4s}}\n"
                                                          "  - {{prefix: /}}\n",
                                                          origin_.port()));
};

TEST_F(RouteTimeout, EndsTheWaitForAnAnswer)
{
    for (const std::string& body : {std::string(), std::string("body")}) {
        const TimePoint begun = Clock::now();
        RawClient client(port());
        client.send(format_request(body.empty() ? "GET" : "POST", "/short", {}, body));
        const Answer answer = client.read_response();
        EXPECT_EQ(answer.status(), 504) << answer.message.head << answer.message.body;
        EXPECT_GE(Clock::now() - begun, milliseconds(500));
        EXPECT_LT(Clock::now() - begun, seconds(10)) << "not the 30 s of other routes";
        client.send(format_request("GET", "/slow"));
        EXPECT_EQ(client.read_response().status(), 200) << "the next request of the connection has its own time";
    }
}

TEST_F(RouteTimeout, EndsTheWaitForABackend)
{
    origin_.stop();
    ASSERT_TRUE(balancer_.wait_for("only", "down")) << balancer_.status();
    for (const std::string& body : {std::string(), std::string("body")}) {
        const TimePoint begun = Clock::now();
        const Answer answer = request(port(), body.empty() ? "GET" : "POST", "/short", {}, body);
        EXPECT_EQ(answer.status(), 503) << answer.message.head << answer.message.body;
        EXPECT_GE(Clock::now() - begun, milliseconds(500));
        EXPECT_LT(Clock::now() - begun, seconds(10)) << "not the 20 s that others are parked";
    }
}

TEST_F(RouteTimeout, CountsTheWaitForABackendTogetherWithThatForItsAnswer)
{
    origin_.stop();
    ASSERT_TRUE(balancer_.wait_for("only", "down")) << balancer_.status();
    const TimePoint begun = Clock::now();
    auto answer = std::async(std::launch::async, [&] { return post(port(), "/patient", "body"); });
    ASSERT_TRUE(eventually([&] { return Clock::now() - begun > milliseconds(3400) && parked() == 1; }));
    origin_.start();
    const auto status = answer.get().status(); // 503 if it took the rest of the time to notice the return
    EXPECT_TRUE(status == 504 || status == 503) << status;
    EXPECT_LT(Clock::now() - begun, milliseconds(7000)) << "the four seconds began anew with the backend's return";
}

} // namespace TEST_FILE
} // namespace hotspare::test
