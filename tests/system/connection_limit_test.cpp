// backends[].max_connections of a real balancer with two workers: the backend itself counts what it works on at once.
#include "tests/support/eventually.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/manual_origin.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <future>
#include <string>
#include <thread>
#include <vector>

#include <poll.h>

namespace hotspare::test {
namespace TEST_FILE {

using Json = nlohmann::json;

TEST(ConnectionLimit, IsNeverExceededAndNoRequestIsLost)
{
    constexpr int limit = 2, clients = 50, requests = 4;
    std::atomic<int> inside{0}, most{0};
    Origin origin("slow", [&](const Message&) {
        const int now = ++inside;
        int seen = most;
        while (now > seen && !most.compare_exchange_weak(seen, now)) {
        }
        ::poll(nullptr, 0, 10); // its work takes 10 ms
        --inside;
        return Reply::text("done");
    });
    Balancer balancer = Balancer::configured(fmt::format("workers: 2\n"
                                                         "backends:\n"
                                                         "  - {{name: slow, url: '{}', max_connections: {}}}\n"
                                                         "pools:\n"
                                                         "  - {{name: default, park: {{timeout: 60s}}}}\n",
                                                         origin.url(), limit));
    ASSERT_TRUE(balancer.wait_for("slow", "healthy")) << balancer.status();

    std::vector<std::future<int>> answers;
    for (int i = 0; i < clients; ++i)
        answers.push_back(std::async(std::launch::async, [port = balancer.port()] {
            RawClient client(port);
            int good = 0;
            for (int r = 0; r < requests; ++r) {
                client.send(format_request(r % 2 == 0 ? "GET" : "POST", "/x", {}, r % 2 == 0 ? "" : "body"));
                if (client.read_response(seconds(60)).status() == 200) ++good;
            }
            return good;
        }));
    EXPECT_TRUE(eventually(
        [&] { return balancer.metric("hotspare_backend_requests_waiting{backend=\"slow\"}") >= clients / 2; }));
    const Json status = balancer.status();
    const Json& shown = status["backends"][0]["connection_limit"];
    EXPECT_EQ(shown["max"], limit);
    EXPECT_LE(shown["in_use"], limit);
    for (auto& answer : answers) EXPECT_EQ(answer.get(), requests);
    EXPECT_EQ(most, limit) << "that many were used, and not more";
    EXPECT_EQ(origin.seen(), static_cast<std::size_t>(clients * requests));
    EXPECT_TRUE(eventually([&] {
        return balancer.status()["backends"][0]["connection_limit"] ==
               Json{{"max", limit}, {"in_use", 0}, {"waiting", 0}};
    }));
    EXPECT_EQ(balancer.metric("hotspare_backend_connection_limit{backend=\"slow\"}"), limit);
    EXPECT_EQ(balancer.metric("hotspare_requests_parked{pool=\"default\"}"), 0);
    EXPECT_EQ(balancer.metric("hotspare_requests_lost_total{pool=\"default\",reason=\"connection_limit\"}"), 0);
}

TEST(ConnectionLimit, ARequestThatFindsNoRoomIsToldWhy)
{
    ManualOrigin origin;
    Balancer balancer =
        Balancer::configured(fmt::format("admin: true\n"
                                         "backends:\n"
                                         "  - {{name: only, url: 'http://127.0.0.1:{}', max_connections: 1}}\n"
                                         "pools:\n"
                                         "  - {{name: default, park: {{timeout: 300ms}}}}\n",
                                         origin.port()));
    ASSERT_TRUE(balancer.wait_for("only", "healthy")) << balancer.status();
    RawClient first(balancer.port());
    first.send(format_request("GET", "/first"));
    const ManualOrigin::Call call = origin.next();
    ASSERT_TRUE(call);
    const Answer turned_away = get(balancer.port(), "/second");
    EXPECT_EQ(turned_away.status(), 503);
    EXPECT_EQ(turned_away.message.header("Retry-After"), "1");
    EXPECT_EQ(turned_away.json()["error"], "the backend 'only' is at its connection limit");

    // One more by an operator's request: at once.
    const Answer changed = request(
        balancer.port(), "PUT", "/admin/pools/default/backends", {},
        Json{{"backends",
              {{{"name", "only"}, {"url", fmt::format("http://127.0.0.1:{}", origin.port())}, {"max_connections", 2}}}}}
            .dump());
    ASSERT_EQ(changed.status(), 200) << changed.message.body;
    EXPECT_EQ(changed.json()["changed"][0], "backend 'only': at most 2 connections");
    RawClient third(balancer.port());
    third.send(format_request("GET", "/third"));
    const ManualOrigin::Call more = origin.next();
    ASSERT_TRUE(more);
    for (const ManualOrigin::Call* served : {&call, &more})
        served->send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    EXPECT_EQ(first.read_response().status(), 200);
    EXPECT_EQ(third.read_response().status(), 200);
}

} // namespace TEST_FILE
} // namespace hotspare::test
