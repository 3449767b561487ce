#include "monitor/notify/wording.hpp"

#include "common/text.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using nlohmann::json;

constexpr Instant start{std::chrono::sys_days(std::chrono::year(2026) / 11 / 2) + 22h};

Outage outage(const std::string& target, milliseconds duration = 0ms)
{
    return {.target = target, .incident = 7, .since = start, .cause = "Connection refused", .duration = duration};
}

Window window()
{
    Window w{.id = 3};
    w.plan = {
        .title = "New disks", .message = "We <b>replace</b> disks.\nThanks.", .start = start, .end = start + 90min};
    w.plan.components = {"api", "web"};
    return w;
}

const Naming shop{.site = "shop", .url = "https://status.shop.example/"};

TEST(Wording, TellsOfAnOutage)
{
    const auto words = word({.kind = Message::Kind::outage, .outages = {outage("api")}}, "m-1", shop);
    EXPECT_EQ(words.subject, "[shop] api is down: Connection refused");
    EXPECT_EQ(words.text, "api is down: Connection refused\n\n"
                          "api\n  down since 2026-11-02 22:00 UTC\n  cause: Connection refused\n\n"
                          "https://status.shop.example/\n");
    EXPECT_EQ(json::parse(words.json), json::parse(R"({"id":"m-1","site":"shop","event":"outage",
        "text":"api is down: Connection refused","url":"https://status.shop.example/",
        "targets":[{"name":"api","incident":7,"since":"2026-11-02T22:00:00.000Z","cause":"Connection refused"}]})"));
}

TEST(Wording, TellsOfARecoveryWithItsDuration)
{
    const auto words = word({.kind = Message::Kind::recovery, .outages = {outage("api", 330s)}}, "m-2", shop);
    EXPECT_EQ(words.subject, "[shop] api is up again after 5 min 30 s");
    EXPECT_NE(words.text.find("was down for 5 min 30 s"), std::string::npos);
    EXPECT_EQ(json::parse(words.json)["targets"][0]["duration_ms"], 330'000);
}

TEST(Wording, TellsOfManyOutagesInOneLine)
{
    Message message{.kind = Message::Kind::outage};
    for (const char* name : {"a", "b", "c", "d", "e", "f", "g"}) message.outages.push_back(outage(name));
    const auto words = word(message, "m-3", {});
    EXPECT_EQ(words.subject, "[monitor] 7 targets are down: a, b, c, d, e and 2 more");
    EXPECT_NE(words.text.find("\ng\n  down since"), std::string::npos) << "the mail names all of them";
    EXPECT_EQ(json::parse(words.json)["targets"].size(), 7U);
}

TEST(Wording, TellsOfMaintenance)
{
    const auto w = window();
    Message message{.kind = Message::Kind::maintenance, .window = 3};
    message.occurrence = {start, start + 90min};
    const auto subject = [&](Notice notice) {
        message.notice = notice;
        return word(message, "m", {}, &w).subject;
    };
    EXPECT_EQ(subject(Notice::announcement), "[monitor] Maintenance planned for 2026-11-02 22:00 UTC: New disks");
    EXPECT_EQ(subject(Notice::day_before), "[monitor] Reminder: maintenance at 2026-11-02 22:00 UTC: New disks");
    EXPECT_EQ(subject(Notice::start), "[monitor] Maintenance has begun: New disks");
    EXPECT_EQ(subject(Notice::end), "[monitor] Maintenance is over: New disks");
    EXPECT_EQ(subject(Notice::cancellation), "[monitor] Maintenance of 2026-11-02 22:00 UTC is cancelled: New disks");
    const auto words = word(message, "m", {}, &w);
    EXPECT_NE(words.text.find("From 2026-11-02 22:00 UTC to 2026-11-02 23:30 UTC (1 h 30 min)\n"
                              "Components: api, web\nImpact: minor\n\nWe <b>replace</b> disks.\nThanks.\n"),
              std::string::npos)
        << words.text;
    const auto told = json::parse(words.json)["maintenance"];
    EXPECT_EQ(told["start_time"], "2026-11-02T22:00:00.000Z");
    EXPECT_EQ(told["components"], json({"api", "web"}));
    EXPECT_FALSE(word(message, "m", {}, nullptr).text.empty()) << "the window is no longer known";
}

TEST(Wording, KeepsWhatOthersWroteOnOneLineAndOutOfMarkup)
{
    auto hostile = outage("api");
    hostile.cause = "x\r\nBcc: a@b <!channel> & \xff";
    const auto words = word({.kind = Message::Kind::outage, .outages = {hostile}}, "m", shop);
    EXPECT_FALSE(has_control_character(words.subject)) << words.subject;
    EXPECT_TRUE(is_utf8(words.subject));
    const std::string slack = json::parse(words.slack)["text"];
    EXPECT_EQ(slack.find("<!channel>"), std::string::npos) << slack;
    EXPECT_NE(slack.find("&lt;!channel&gt; &amp;"), std::string::npos) << slack;

    hostile.cause = std::string(10'000, 'x');
    EXPECT_LE(word({.kind = Message::Kind::outage, .outages = {hostile}}, "m", shop).subject.size(), 200U);
}

TEST(Wording, WritesDurationsAsPeopleDo)
{
    const std::pair<milliseconds, std::string> cases[]{
        {-5s, "0.0 s"},       {0ms, "0.0 s"},       {450ms, "0.4 s"},    {1s, "1 s"},       {59'999ms, "59 s"},
        {60s, "1 min"},       {330s, "5 min 30 s"}, {1h, "1 h"},         {1h + 59s, "1 h"}, {90min, "1 h 30 min"},
        {24h + 30min, "1 d"}, {51h, "2 d 3 h"},     {24h * 400, "400 d"}};
    for (const auto& [duration, words] : cases) EXPECT_EQ(in_words(duration), words);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
