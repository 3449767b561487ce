// Announced maintenance of a pool: what a browser and a program get while no backend may serve, and that nothing else
// changes.
#include "tests/support/eventually.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/xml.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <chrono>
#include <ctime>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

using Json = nlohmann::json;

constexpr const char* chromium =
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8";

class MaintenanceTest : public testing::Test {
protected:
    void SetUp() override
    {
        for (const char* name : {"primary", "spare", "other"})
            ASSERT_TRUE(balancer_.wait_for(name, "healthy")) << balancer_.status();
    }

    std::uint16_t port() const { return balancer_.port(); }
    Answer browse(const std::string& path = "/x") const { return request(port(), "GET", path, {{"Accept", chromium}}); }
    Answer curl(const std::string& path = "/x") const { return request(port(), "GET", path, {{"Accept", "*/*"}}); }
    Answer say(const std::string& words, const std::string& body = {}) const
    {
        return post(port(), "/admin/" + words, body);
    }
    /// Both workers have heard of it.
    bool all_get(int status) const
    {
        return eventually([&] {
            for (int i = 0; i < 20; ++i)
                if (curl().status() != status) return false;
            return true;
        });
    }
    double parked() const { return balancer_.metric("hotspare_requests_parked{pool=\"web\"}"); }
    int lost() const { return balancer_.status()["pools"][0]["requests"]["lost"].get<int>(); }

    Origin primary_{"primary"}, spare_{"spare"}, other_{"other"};
    Balancer balancer_ = Balancer::configured(fmt::format("admin: true\n"
                                                          "backends:\n"
                                                          "  - {{name: primary, url: '{}'}}\n"
                                                          "  - {{name: spare, url: '{}'}}\n"
                                                          "  - {{name: other, url: '{}'}}\n"
                                                          "pools:\n"
                                                          "  - {{name: web, backends: [primary, spare],"
                                                          " park: {{timeout: 25s}}}}\n"
                                                          "  - {{name: api, backends: [other]}}\n"
                                                          "routes:\n"
                                                          "  - {{prefix: /api, pool: api}}\n"
                                                          "  - {{prefix: /, pool: web}}\n",
                                                          primary_.url(), spare_.url(), other_.url()));
};

TEST_F(MaintenanceTest, ABrowserGetsAPageAndAProgramASentence)
{
    const std::string message = "Moving the <b>database</b> & more: \"soon\".";
    const Answer word =
        say("pools/web/maintenance", Json{{"until", "2200-01-01T04:00:00Z"}, {"message", message}}.dump());
    ASSERT_EQ(word.status(), 200) << word.message.body;
    EXPECT_EQ(word.json()["maintenance"], (Json{{"until", "2200-01-01T04:00:00.000Z"}, {"message", message}}));
    ASSERT_TRUE(all_get(503));

    const Answer page = browse();
    EXPECT_EQ(page.status(), 503);
    EXPECT_EQ(page.message.header("Content-Type"), "text/html; charset=utf-8");
    EXPECT_EQ(page.message.header("Retry-After"), "86400") << "no more than a day";
    EXPECT_TRUE(page.message.keep_alive());
    const XmlDocument document = read_xml(page.message.body);
    ASSERT_EQ(document.problem, "") << page.message.body;
    ASSERT_EQ(document.all("main").size(), 1U);
    const std::string& shown = document.all("main")[0]->text;
    for (const std::string& part : {std::string("Under maintenance"), message, std::string("2200-01-01 04:00 UTC")})
        EXPECT_NE(shown.find(part), shown.npos) << part << " in " << shown;
    EXPECT_TRUE(document.all("b").empty());

    const Answer sentence = curl();
    EXPECT_EQ(sentence.status(), 503);
    EXPECT_EQ(sentence.message.header("Content-Type"), "application/problem+json");
    EXPECT_EQ(sentence.message.header("Retry-After"), "86400");
    EXPECT_EQ(sentence.json().value("status", 0), 503);
    EXPECT_EQ(sentence.json().value("error", ""),
              "the service is under maintenance until 2200-01-01T04:00:00.000Z: " + message);
    EXPECT_EQ(post(port(), "/x", "{}").status(), 503) << "whatever the method";

    EXPECT_EQ(curl("/api/x").status(), 200) << "the other pool serves";
    EXPECT_EQ(primary_.seen() + spare_.seen(), 0U);
    EXPECT_EQ(lost(), 0);
    const std::string answered = "hotspare_responses_total{pool=\"web\",code=\"5xx\"}";
    EXPECT_TRUE(eventually([&] { return balancer_.metric(answered) >= 23; }));
}

TEST_F(MaintenanceTest, TheTimeToComeAgainIsThatOfTheAnnouncedEnd)
{
    const auto after = [&] { return std::stoi(curl().message.header("Retry-After").value_or("-1")); };
    ASSERT_EQ(say("pools/web/maintenance").status(), 200);
    ASSERT_TRUE(all_get(503));
    EXPECT_EQ(after(), 60) << "nothing was announced";
    const auto in = [](seconds span) {
        const auto whole = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now() + span);
        std::tm utc{};
        ::gmtime_r(&whole, &utc);
        return fmt::format(R"({{"until":"{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z"}})", utc.tm_year + 1900, utc.tm_mon + 1,
                           utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec);
    };
    ASSERT_EQ(say("pools/web/maintenance", in(seconds(3600))).status(), 200);
    ASSERT_TRUE(eventually([&] { return after() > 3500 && after() <= 3600; }));
    // The end passes, and nothing happens: an operator ends it.
    ASSERT_EQ(say("pools/web/maintenance", in(seconds(2))).status(), 200);
    ASSERT_TRUE(eventually([&] { return browse().message.body.find("at any moment") != std::string::npos; }));
    EXPECT_EQ(after(), 1);
    EXPECT_EQ(balancer_.status_of("primary"), "maintenance");
}

TEST_F(MaintenanceTest, EnableEndsItAtOnce)
{
    ASSERT_EQ(say("pools/web/maintenance").status(), 200);
    ASSERT_TRUE(all_get(503));
    Answer word = say("pools/web/enable");
    EXPECT_EQ(word.status(), 200);
    EXPECT_EQ(word.json()["active"], "primary");
    ASSERT_TRUE(all_get(200));
    EXPECT_EQ(curl().message.header("X-Served-By"), "primary");
    EXPECT_EQ(balancer_.status()["pools"][0]["maintenance"], nullptr);

    ASSERT_EQ(say("pools/web/maintenance").status(), 200);
    ASSERT_TRUE(all_get(503));
    word = say("backends/spare/enable");
    EXPECT_EQ(word.json()["maintenance"], nullptr);
    ASSERT_TRUE(all_get(200));
    EXPECT_EQ(curl().message.header("X-Served-By"), "spare") << "half of the pool is enough";
    EXPECT_EQ(lost(), 0);
}

TEST_F(MaintenanceTest, OfHalfThePoolChangesNothing)
{
    ASSERT_EQ(say("backends/primary/maintenance", R"({"message":"new disks"})").status(), 200);
    ASSERT_TRUE(all_get(200));
    EXPECT_EQ(browse().message.header("X-Served-By"), "spare");
    EXPECT_EQ(balancer_.status()["pools"][0]["maintenance"], nullptr);
    // The spare fails: a request waits for it as ever.
    spare_.stop();
    ASSERT_TRUE(balancer_.wait_for("spare", "down"));
    RawClient client(port());
    client.send(format_request("GET", "/x", {{"Accept", chromium}}));
    ASSERT_TRUE(eventually([&] { return parked() == 1; }));
    spare_.start();
    EXPECT_EQ(client.read_response().status(), 200);
}

TEST_F(MaintenanceTest, ParkedRequestsAreAnsweredWhenItBegins)
{
    primary_.stop();
    spare_.stop();
    ASSERT_TRUE(balancer_.wait_for("primary", "down"));
    ASSERT_TRUE(balancer_.wait_for("spare", "down"));
    std::vector<RawClient> clients;
    for (int i = 0; i < 10; ++i) {
        clients.emplace_back(port());
        clients.back().send(format_request(i % 2 == 0 ? "GET" : "POST", "/x", {{"Accept", i < 5 ? chromium : "*/*"}}));
    }
    ASSERT_TRUE(eventually([&] { return parked() == 10; }));
    const TimePoint begun = Clock::now();
    ASSERT_EQ(say("pools/web/maintenance", R"({"message":"new disks"})").status(), 200);
    for (std::size_t i = 0; i < clients.size(); ++i) {
        const Answer answer = clients[i].read_response();
        EXPECT_EQ(answer.status(), 503) << i;
        EXPECT_EQ(answer.message.header("Content-Type"),
                  i < 5 ? "text/html; charset=utf-8" : "application/problem+json");
        EXPECT_EQ(answer.message.header("Retry-After"), "60");
        EXPECT_NE(answer.message.body.find("new disks"), std::string::npos);
    }
    EXPECT_LT(Clock::now() - begun, seconds(10)) << "not the 25 s of the pool";
    EXPECT_TRUE(eventually([&] { return parked() == 0; }));
    EXPECT_EQ(lost(), 0);
}

TEST_F(MaintenanceTest, WhatIsInFlightIsFinished)
{
    primary_.script([](const Message&) {
        Reply reply = Reply::text("late");
        reply.delay = seconds(1);
        return reply;
    });
    RawClient client(port());
    client.send(format_request("POST", "/x"));
    ASSERT_TRUE(eventually([&] { return primary_.seen() == 1; }));
    ASSERT_EQ(say("pools/web/maintenance").status(), 200);
    ASSERT_TRUE(all_get(503));
    const Answer answer = client.read_response();
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.message.body, "late");
    client.send(format_request("GET", "/x"));
    EXPECT_EQ(client.read_response().status(), 503) << "the next one on the connection";
}

// Under load the pool goes in and out: a request is served or told of the maintenance, and nothing between.
TEST_F(MaintenanceTest, NoRequestSeesHalfOfIt)
{
    std::atomic<bool> over{false};
    std::atomic<int> served{0}, told{0}, other{0};
    std::vector<std::thread> clients;
    for (int i = 0; i < 4; ++i)
        clients.emplace_back([&] {
            RawClient client(port());
            while (!over) {
                client.send(format_request("GET", "/x"));
                const Answer answer = client.read_response();
                const bool maintenance = answer.json().value("error", "").starts_with("the service is under maint");
                const bool primary = answer.message.header("X-Served-By") == "primary";
                ++(answer.status() == 503 && maintenance ? told : answer.status() == 200 && primary ? served : other);
            }
        });
    for (int i = 0; i < 20; ++i) {
        const int told_before = told, served_before = served;
        EXPECT_EQ(say("pools/web/maintenance").status(), 200);
        EXPECT_TRUE(eventually([&] { return told > told_before; }));
        EXPECT_EQ(say("pools/web/enable").status(), 200);
        EXPECT_TRUE(eventually([&] { return served > served_before; }));
    }
    over = true;
    for (std::thread& client : clients) client.join();
    EXPECT_EQ(other, 0) << "the spare never served";
    EXPECT_EQ(spare_.seen(), 0U);
    EXPECT_EQ(lost(), 0);
    EXPECT_EQ(balancer_.status()["failovers"], 0);
}

TEST_F(MaintenanceTest, ABadRequestChangesNothing)
{
    const std::vector<std::tuple<std::string, int, std::string>> bad{
        {R"({"until":"tonight"})", 422, "until"},
        {R"({"until":"2001-01-01T00:00:00Z"})", 422, "until"},
        {R"({"message":7})", 422, "message"},
        {R"({"message":"one\ntwo"})", 422, "message"},
        {R"({"end":"2200-01-01T00:00:00Z"})", 422, "end"},
        {R"([])", 422, ""},
        {R"({"message":)", 400, ""}};
    for (const auto& [body, status, field] : bad)
        for (const char* words : {"pools/web/maintenance", "backends/primary/maintenance"}) {
            const Answer answer = say(words, body);
            EXPECT_EQ(answer.status(), status) << body;
            EXPECT_EQ(answer.json().value("field", ""), field) << answer.message.body;
        }
    EXPECT_EQ(say("pools/none/maintenance").status(), 404);
    EXPECT_EQ(say("pools/none/enable").status(), 404);
    EXPECT_EQ(balancer_.status_of("primary"), "healthy");
    EXPECT_EQ(curl().message.header("X-Served-By"), "primary");
}

TEST_F(MaintenanceTest, EventsSayWhatAnOperatorAnnounced)
{
    RawClient events(port());
    events.send(format_request("GET", "/events"));
    ASSERT_EQ(say("pools/web/maintenance", R"({"message":"new disks"})").status(), 200);
    std::string text;
    EXPECT_TRUE(eventually([&] {
        text += events.read_some(65536, milliseconds(50));
        return text.find("event: outage\n") != text.npos;
    })) << text;
    EXPECT_NE(text.find("put into maintenance by an operator: new disks"), text.npos) << text;
    ASSERT_EQ(say("backends/spare/maintenance", R"({"message":"new memory"})").status(), 200);
    EXPECT_TRUE(eventually([&] {
        text += events.read_some(65536, milliseconds(50));
        return text.find("event: announcement\n") != text.npos && text.find("operator: new memory") != text.npos;
    })) << text;
}

} // namespace TEST_FILE
} // namespace hotspare::test
