#include "monitor/access/password.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace hotspare::monitor {
namespace TEST_FILE {

TEST(Password, MatchesItsOwnHashOnly)
{
    const auto hash = hash_password("correct horse");
    EXPECT_TRUE(hash.starts_with("$argon2id$v=19$m=65536,t=2,p=1$")) << hash;
    EXPECT_TRUE(matches(hash, "correct horse"));
    EXPECT_FALSE(matches(hash, "correct hors"));
    EXPECT_FALSE(matches(hash, "correct horse "));
    EXPECT_FALSE(matches(hash, ""));
    EXPECT_NE(hash_password("correct horse"), hash) << "the salt is random";
}

TEST(Password, MatchesTheHashOfAnotherLibrary)
{
    // libargon2: argon2id_hash_encoded(2, 65536, 1, "correct horse", 13, "0123456789abcdef", 16, 32, ...)
    constexpr auto hash = "$argon2id$v=19$m=65536,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"
                          "XlIARiBE0nDF7PsfubnEl7+kj2YcIpRpFBydLDuxDgI";
    EXPECT_TRUE(matches(hash, "correct horse"));
    EXPECT_FALSE(matches(hash, "correct horst"));
}

TEST(Password, MatchesNothingThatIsNoHash)
{
    EXPECT_FALSE(matches("", ""));
    EXPECT_FALSE(matches("secret", "secret"));
    EXPECT_FALSE(matches("$argon2id$v=19$m=65536,t=2,p=1$", "secret"));
}

TEST(Password, KnowsAHashByItsForm)
{
    const std::string hash = "$argon2id$v=19$m=65536,t=2,p=1$MDEyMzQ1Njc4OWFiY2RlZg$"
                             "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY";
    const auto with = [&](std::string_view from, std::string_view to) {
        auto changed = hash;
        return changed.replace(changed.find(from), from.size(), to);
    };
    EXPECT_TRUE(is_password_hash(hash));
    EXPECT_FALSE(is_password_hash(""));
    EXPECT_FALSE(is_password_hash("secret"));
    EXPECT_FALSE(is_password_hash(hash + "!"));
    EXPECT_FALSE(is_password_hash(hash + std::string(1, '\0')));
    EXPECT_FALSE(is_password_hash(hash.substr(0, 60)));
    EXPECT_FALSE(is_password_hash(std::string(10'000, '$')));
    EXPECT_FALSE(is_password_hash(with("argon2id", "argon2i"))) << "another function";
    EXPECT_FALSE(is_password_hash(with("m=65536", "m=4194304"))) << "one login would take 4 GiB";
    EXPECT_FALSE(is_password_hash(with("p=1", "p=4")));
    EXPECT_FALSE(is_password_hash(with("MDEy", "")));
    EXPECT_FALSE(is_password_hash(with("WY", "WZ"))) << "unused bits are set";
    EXPECT_FALSE(is_password_hash(with("t=2", "t=3"))) << "the time would tell whose login it is";
}

TEST(Password, IsOneThatAClientCanSend)
{
    EXPECT_EQ(refuse_password("p"), "");
    EXPECT_EQ(refuse_password("pa:ss w\xc3\xb6rd"), "");
    EXPECT_EQ(refuse_password(std::string(1024, 'x')), "");
    EXPECT_EQ(refuse_password(""), "is empty");
    EXPECT_EQ(refuse_password(std::string(1025, 'x')), "is too long, expected at most 1024 bytes");
    EXPECT_EQ(refuse_password("\xff"), "is not UTF-8");
    EXPECT_EQ(refuse_password("secret\r"), "contains a control character");
}

struct Result {
    int code;
    std::string out;
    std::string error;
};

Result run(const std::string& input)
{
    std::istringstream in(input);
    std::ostringstream out, error;
    const int code = hash_password_command(in, out, error);
    return {code, out.str(), error.str()};
}

TEST(HashPasswordCommand, PrintsTheHashOfOneLine)
{
    const auto result = run("correct horse\nnot read\n");
    EXPECT_EQ(result.code, 0);
    EXPECT_EQ(result.error, "");
    ASSERT_TRUE(result.out.ends_with('\n'));
    EXPECT_TRUE(matches(result.out.substr(0, result.out.size() - 1), "correct horse"));
}

TEST(HashPasswordCommand, RefusesWhatIsNoPassword)
{
    for (const auto* const empty : {"", "\n"}) {
        const auto result = run(empty);
        EXPECT_EQ(result.code, 2);
        EXPECT_EQ(result.out, "");
        EXPECT_EQ(result.error, "the password is empty\n");
    }
    const auto long_one = run(std::string(100'000, 'x'));
    EXPECT_EQ(long_one.code, 2);
    EXPECT_EQ(long_one.error, "the password is too long, expected at most 1024 bytes\n");
    EXPECT_EQ(run("secret\r\n").code, 2);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
