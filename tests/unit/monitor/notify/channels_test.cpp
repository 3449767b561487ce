#include "monitor/notify/channels.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>

namespace hotspare::monitor_channels_test {

struct Settings {
    std::vector<monitor::Channel> channels;
};

static void fields(config::Fields& field, Settings& s)
{
    field("channels", s.channels, "who is told", {monitor::is_channel_list, monitor::a_channel_list});
}

} // namespace hotspare::monitor_channels_test

namespace hotspare::monitor {
namespace TEST_FILE {

using Settings = monitor_channels_test::Settings;
using Environment = std::map<std::string, std::string>;

std::vector<Channel> read(const std::string& yaml, const Environment& environment = {})
{
    auto settings = config::from_yaml<Settings>(yaml, "m.yaml");
    finish_channels(settings.channels, {}, "channels", [&](const std::string& name) {
        const auto found = environment.find(name);
        return found == environment.end() ? std::nullopt : std::optional(found->second);
    });
    return settings.channels;
}

std::string refusal(const std::string& yaml, const Environment& environment = {})
{
    try {
        read(yaml, environment);
    } catch (const UsageError& e) {
        return e.what();
    }
    return "accepted";
}

const Environment mail_variables{
    {"MAIL_USER", "me@shop.example"}, {"MAIL_PASS", "hunter2"}, {"MAIL_RECEIVER", "a@shop.example, b@shop.example"}};

TEST(Channels, TakeTheVariablesOfTheEnvironment)
{
    const auto channels = read("channels: [{name: mail, mail: {host: smtp.shop.example}}]", mail_variables);
    ASSERT_EQ(channels.size(), 1U);
    const auto& mail = channels[0].mail;
    EXPECT_TRUE(channels[0].is_mail());
    EXPECT_EQ(mail.server.user, "me@shop.example");
    EXPECT_EQ(mail.server.password, "hunter2");
    EXPECT_EQ(mail.server.security, notify::MailServer::Security::starttls);
    EXPECT_EQ(mail.from, "me@shop.example");
    EXPECT_EQ(mail.to, (std::vector<std::string>{"a@shop.example", "b@shop.example"}));

    const auto hooks = read("channels: [{name: chat, webhook: {url_variable: HOOK, shape: slack}},"
                            "{name: own, maintenance: false, webhook: {url: 'https://h/x', secret_variable: KEY}}]",
                            {{"HOOK", "https://hooks.example/T1/secret"}, {"KEY", "k"}});
    EXPECT_EQ(hooks[0].webhook.hook.url, "https://hooks.example/T1/secret");
    EXPECT_EQ(hooks[0].webhook.shape, WebhookShape::slack);
    EXPECT_EQ(hooks[1].webhook.hook.secret, "k");
    EXPECT_FALSE(hooks[1].maintenance);
}

TEST(Channels, AreLeftOutWithoutTheVariableThatTheyNeed)
{
    const std::string yaml = "channels: [{name: mail, needs_variable: MAIL_USER, mail: {host: smtp.shop.example}},"
                             "{name: own, webhook: {url: 'https://h/x'}}]";
    const auto without = read(yaml, {});
    ASSERT_EQ(without.size(), 1U);
    EXPECT_EQ(without[0].name, "own");
    EXPECT_EQ(read(yaml, mail_variables).size(), 2U);
}

TEST(Channels, PrintNoSecret)
{
    Settings settings;
    settings.channels = read("channels: [{name: mail, mail: {host: smtp.shop.example, from: m@shop.example}},"
                             "{name: own, webhook: {url: 'https://h/x', secret_variable: MAIL_PASS}}]",
                             mail_variables);
    EXPECT_EQ(config::to_yaml(settings).find("hunter2"), std::string::npos);
    const auto printed = config::Loader(settings).print();
    EXPECT_NE(printed.find("https://h/***"), std::string::npos) << "the path lets everyone post who knows it";
    EXPECT_EQ(printed.find("https://h/x"), std::string::npos) << printed;
}

TEST(Channels, RefuseWhatIsIncomplete)
{
    EXPECT_NE(refusal("channels: [{name: a}]").find("no receiver"), std::string::npos);
    EXPECT_NE(refusal("channels: [{name: a, mail: {host: h}, webhook: {url: 'http://h'}}]").find("two receivers"),
              std::string::npos);
    EXPECT_NE(refusal("channels: [{name: a, webhook: {url: 'http://h'}}, {name: a, webhook: {url: 'http://h'}}]")
                  .find("duplicate name"),
              std::string::npos);
    EXPECT_NE(refusal("channels: [{name: a, mail: {host: h}}]").find("no sender"), std::string::npos);
    EXPECT_NE(refusal("channels: [{name: a, mail: {host: h, from: a@b}}]").find("MAIL_RECEIVER"), std::string::npos);
    EXPECT_NE(refusal("channels: [{name: a, mail: {host: h, from: a@b, to: ['a b@c']}}]").find("addresses"),
              std::string::npos);
    EXPECT_NE(refusal("channels: [{name: a, webhook: {url: 'ftp://h'}}]").find("https://"), std::string::npos);
    const Environment bad{{"HOOK", "ftp://secret"}};
    const auto message = refusal("channels: [{name: a, webhook: {url_variable: HOOK}}]", bad);
    EXPECT_NE(message.find("HOOK"), std::string::npos);
    EXPECT_EQ(message.find("secret"), std::string::npos);
    EXPECT_NE(refusal("channels: [{name: a, webhook: {url: 'http://h', secret_variable: KEY}}]").find("KEY"),
              std::string::npos);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
