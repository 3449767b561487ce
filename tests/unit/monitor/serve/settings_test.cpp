#include "monitor/serve/settings.hpp"

#include "monitor/access/password.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace hotspare::monitor {
namespace TEST_FILE {

MonitorSettings read(const std::string& yaml)
{
    return config::from_yaml<MonitorSettings>(yaml, "m.yaml");
}

std::string refusal(const std::string& yaml)
{
    try {
        read(yaml);
    } catch (const UsageError& e) {
        return e.what();
    }
    return "accepted";
}

bool is_refused_at(const std::string& yaml, const std::string& place)
{
    const std::string message = refusal(yaml);
    if (message.find(place) != std::string::npos) return true;
    ADD_FAILURE() << message;
    return false;
}

TEST(MonitorSettingsTest, RefuseControlCharactersInWhatBecomesAHeader)
{
    EXPECT_EQ(refusal("title: Example"), "accepted");
    EXPECT_TRUE(is_refused_at(R"(title: "Shop\r\nSet-Cookie: a=b")", "m.yaml:1"));
    EXPECT_TRUE(is_refused_at("title: ' '", "m.yaml:1"));
    EXPECT_TRUE(is_refused_at("\norigins: [\"https://a\\nb\"]", "m.yaml:2"));
    EXPECT_TRUE(is_refused_at("hosts: [\"a\\rb\"]", "m.yaml:1"));
    EXPECT_TRUE(is_refused_at(
        R"(channels: [{name: mail, mail: {host: h, from: a@b.c, to: [a@b.c], from_name: "x\r\ny"}}])", "m.yaml:1"));
}

TEST(MonitorSettingsTest, RefuseTheDemonstrationPasswordWhereOthersCanConnect)
{
    const std::string users =
        fmt::format("users:\n  - {{name: ann, password_hash: '{}'}}\n  - {{name: bob, password_hash: '{}'}}\n",
                    hash_password("another"), hash_password(demo_password));
    EXPECT_EQ(refusal("host: 127.0.0.1\n" + users), "accepted");
    EXPECT_TRUE(is_refused_at("host: 0.0.0.0\n" + users, "m.yaml:4"));
    EXPECT_NE(refusal("host: 0.0.0.0\n" + users).find("'bob'"), std::string::npos);
}

TEST(MonitorSettingsTest, RefuseAnIncompleteChannelByItsLineAndKeepSecretsOutOfThePrintedSettings)
{
    ::unsetenv("HOTSPARE_TEST_URL");
    const std::string channels = "channels:\n  - name: hook\n    webhook: {url_variable: HOTSPARE_TEST_URL}\n  - "
                                 "{name: none, needs_variable: NONE}\n";
    EXPECT_TRUE(is_refused_at(channels, "m.yaml:3"));
    EXPECT_TRUE(is_refused_at("channels:\n  - {name: a}\n", "m.yaml:2"));
    ::setenv("HOTSPARE_TEST_URL", "http://127.0.0.1/s3cret", 1);
    MonitorSettings settings = read(channels);
    EXPECT_TRUE(settings.channels.at(0).webhook.hook.url.empty()) << "what is printed";
    EXPECT_EQ(settings.channels.size(), 2U);
    finish_from_environment(settings);
    ASSERT_EQ(settings.channels.size(), 1U) << "the variable of the other one is not set";
    EXPECT_EQ(settings.channels[0].webhook.hook.url, "http://127.0.0.1/s3cret");
    ::unsetenv("HOTSPARE_TEST_URL");
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
