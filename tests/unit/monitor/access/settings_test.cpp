#include "monitor/access/settings.hpp"

#include <gtest/gtest.h>

#include <string>

// Settings that hold a list of users, as the daemon's do.
namespace hotspare::user_settings_test {

struct Settings {
    std::vector<monitor::UserSettings> users;
};

static void fields(config::Fields& field, Settings& s)
{
    field("users", s.users, "who may log in", {monitor::is_user_list, monitor::a_user_list});
}

static void finish(Settings& s, const config::Places& places)
{
    monitor::finish_users(s.users, places, "users");
}

} // namespace hotspare::user_settings_test

namespace hotspare::monitor {
namespace TEST_FILE {

using Settings = user_settings_test::Settings;

constexpr auto hash = "$argon2id$v=19$m=65536,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"
                      "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";

Settings read(const std::string& yaml)
{
    return config::from_yaml<Settings>(yaml, "m.yaml");
}

std::string user(const std::string& name, const std::string& password_hash = hash)
{
    return "  - {name: '" + name + "', password_hash: '" + password_hash + "'}\n";
}

/// The message with which it is refused.
std::string refusal(const std::string& yaml)
{
    try {
        read(yaml);
    } catch (const UsageError& e) {
        return e.what();
    }
    return "accepted";
}

TEST(UserSettings, AreRead)
{
    const auto s = read("users:\n" + user("ann") + user("Bj\xc3\xb6rn Bo@example.org"));
    ASSERT_EQ(s.users.size(), 2U);
    EXPECT_EQ(s.users[0].name, "ann");
    EXPECT_EQ(s.users[0].password_hash, hash);
    EXPECT_EQ(s.users[1].name, "Bj\xc3\xb6rn Bo@example.org");
    EXPECT_TRUE(read("").users.empty());
    EXPECT_EQ(config::from_yaml<Settings>(config::to_yaml(s), "printed").users[0].password_hash, hash);
}

TEST(UserSettings, RefuseAPasswordInPlaceOfItsHashWithoutShowingIt)
{
    EXPECT_EQ(refusal("users:\n" + user("ann", "s3cret")),
              "m.yaml:2:34: users[0].password_hash: not the hash of a password, expected one that `monitor "
              "--hash-password` has made");
    EXPECT_NE(refusal("users:\n  - name: ann\n").find("users[0].password_hash"), std::string::npos);
}

TEST(UserSettings, PrintNoHash)
{
    auto s = read("users:\n" + user("ann"));
    EXPECT_EQ(config::Loader(s).print().find("argon2"), std::string::npos) << "a hash can be searched for its password";
}

TEST(UserSettings, RefuseTwoUsersOfOneName)
{
    EXPECT_EQ(refusal("users:\n" + user("ann") + user("bob") + user("ann")),
              "m.yaml:4:12: users[2].name: duplicate name 'ann', expected another than that of users[0]");
}

TEST(UserSettings, RefuseANameThatNoClientCanSend)
{
    for (const std::string name :
         {"", " ", "a:b", "a\\nb", "01234567890123456789012345678901234567890123456789012345678901234"}) {
        const auto message = refusal("users:\n  - {name: \"" + name + "\", password_hash: '" + hash + "'}\n");
        EXPECT_NE(message.find("expected a name of 1 to 64 bytes of UTF-8, without ':'"), std::string::npos) << message;
    }
}

TEST(UserSettings, RefuseAListThatIsTooLong)
{
    std::string yaml = "users:\n";
    for (int i = 0; i < 65; ++i) yaml += user("u" + std::to_string(i));
    EXPECT_NE(refusal(yaml).find("expected at most 64 users"), std::string::npos);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
