// Sticky sessions: a client stays with the server that its cookie stands for, until that server is gone.
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <set>
#include <stdexcept>
#include <string>

namespace hotspare::test {
namespace TEST_FILE {

class Sticky : public testing::Test {
protected:
    Balancer front(const std::string& sticky, const std::string& more = {})
    {
        std::string yaml = "backends:\n";
        for (const Origin& origin : origins_)
            yaml += fmt::format("  - {{name: {}, url: '{}'}}\n", origin.name(), origin.url());
        yaml += fmt::format("pools:\n  - {{name: all, policy: round_robin, sticky: {{{}}}}}\n", sticky) + more;
        auto balancer = Balancer::configured(yaml);
        for (const Origin& origin : origins_)
            EXPECT_TRUE(balancer.wait_for(origin.name(), "healthy")) << balancer.status();
        return balancer;
    }

    static std::string server(const Answer& answer) { return answer.message.header("X-Served-By").value_or(""); }

    /// The cookie that the answer sets, as the client sends it back; empty if it sets none.
    static std::string cookie(const Answer& answer)
    {
        const std::string line = answer.message.header("Set-Cookie").value_or("");
        return line.substr(0, line.find(';'));
    }

    static Answer ask(const Balancer& balancer, const std::string& cookie)
    {
        return request(balancer.port(), "GET", "/", {{"Cookie", "theme=dark; " + cookie}});
    }

    Origin& named(const std::string& name)
    {
        for (Origin& origin : origins_)
            if (origin.name() == name) return origin;
        throw std::logic_error("no origin " + name);
    }

    std::array<Origin, 3> origins_{Origin("a"), Origin("b"), Origin("c")};
};

TEST_F(Sticky, AClientStaysWithItsServerAndThenWithAnother)
{
    const Balancer balancer = front("cookie: SID");
    const Answer first = request(balancer.port(), "GET", "/");
    ASSERT_EQ(first.status(), 200);
    const std::string line = first.message.header("Set-Cookie").value_or("");
    EXPECT_NE(line.find("; Path=/; HttpOnly; SameSite=Lax"), line.npos) << line;
    EXPECT_EQ(line.find("Secure"), line.npos) << line;
    EXPECT_EQ(line.find("Max-Age"), line.npos) << line;

    for (int i = 0; i < 20; ++i) {
        const Answer answer = ask(balancer, cookie(first));
        EXPECT_EQ(server(answer), server(first));
        EXPECT_EQ(answer.message.count("Set-Cookie"), 0U) << "it has the cookie";
    }
    EXPECT_EQ(named(server(first)).requests().back().header("Cookie"), "theme=dark; " + cookie(first));

    named(server(first)).stop();
    const Answer moved = ask(balancer, cookie(first));
    ASSERT_EQ(moved.status(), 200) << "the first request that finds it gone is not lost";
    EXPECT_NE(server(moved), server(first));
    ASSERT_NE(cookie(moved), "");
    for (int i = 0; i < 20; ++i) EXPECT_EQ(server(ask(balancer, cookie(moved))), server(moved));

    named(server(first)).start();
    ASSERT_TRUE(balancer.wait_for(server(first), "healthy"));
    EXPECT_EQ(server(ask(balancer, cookie(moved))), server(moved)) << "a session does not go back";
}

TEST_F(Sticky, OtherClientsAreSpread)
{
    const Balancer balancer = front("cookie: SID");
    for (const std::string& none : {std::string("SID=0123456789abcdef"), std::string("SID"),
                                    "SID=" + std::string(4000, 'f'), std::string("sid=x; SID=\"\"")}) {
        std::set<std::string> servers;
        for (int i = 0; i < 12; ++i) {
            const Answer answer = ask(balancer, none);
            servers.insert(server(answer));
            EXPECT_NE(cookie(answer), "") << none.substr(0, 40);
        }
        EXPECT_EQ(servers.size(), 3U) << none.substr(0, 40);
    }
}

TEST_F(Sticky, AServerTakenOutByItsOperatorLosesItsSessions)
{
    const Balancer balancer = front("cookie: SID", "admin: true\n");
    const Answer first = request(balancer.port(), "GET", "/");
    ASSERT_EQ(request(balancer.port(), "POST", "/admin/backends/" + server(first) + "/drain").status(), 200);
    ASSERT_TRUE(balancer.wait_for(server(first), "draining"));
    const Answer moved = ask(balancer, cookie(first));
    EXPECT_NE(server(moved), server(first));
    for (int i = 0; i < 5; ++i) EXPECT_EQ(server(ask(balancer, cookie(moved))), server(moved));
}

TEST_F(Sticky, BalancersOfOneConfigurationAgree)
{
    const Balancer one = front("cookie: SID");
    const Answer first = request(one.port(), "GET", "/");
    const Balancer other = front("cookie: SID, secure: true, max_age: 1h");
    for (int i = 0; i < 5; ++i) EXPECT_EQ(server(ask(other, cookie(first))), server(first));
    const Answer fresh = request(other.port(), "GET", "/");
    const std::string line = fresh.message.header("Set-Cookie").value_or("");
    EXPECT_NE(line.find("; Secure; Max-Age=3600"), line.npos) << line;
}

TEST_F(Sticky, AResponseThatSetsCookiesKeepsThem)
{
    for (Origin& origin : origins_)
        origin.script([](const Message&) {
            Reply reply;
            reply.headers = {{"Set-Cookie", "own=1"}};
            return reply;
        });
    const Balancer balancer = front("cookie: SID");
    EXPECT_EQ(request(balancer.port(), "GET", "/").message.count("Set-Cookie"), 2U);
}

TEST_F(Sticky, ARetriedRequestGetsTheCookieOfTheServerThatAnswered)
{
    const Balancer balancer = front("cookie: SID");
    const Answer first = request(balancer.port(), "GET", "/");
    named(server(first)).script([](const Message&) { return Reply::text("no", 503); });
    const Answer retried = ask(balancer, cookie(first));
    ASSERT_EQ(retried.status(), 200);
    EXPECT_NE(server(retried), server(first));
    EXPECT_EQ(server(ask(balancer, cookie(retried))), server(retried));
}

} // namespace TEST_FILE
} // namespace hotspare::test
