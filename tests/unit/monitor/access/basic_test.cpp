#include "monitor/access/basic.hpp"

#include "common/notify/mail.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::monitor {
namespace TEST_FILE {

/// "user|password" or what is wrong.
std::string read(std::string_view authorization)
{
    const auto credentials = parse_basic(authorization);
    return credentials ? credentials->user + "|" + credentials->password : credentials.error().detail;
}

std::string basic(std::string_view decoded)
{
    return "Basic " + notify::base64(decoded);
}

TEST(BasicCredentials, AreReadFromTheField)
{
    EXPECT_EQ(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), "Aladdin|open sesame") << "RFC 7617 section 2";
    EXPECT_EQ(read("Basic dGVzdDoxMjPCow=="), "test|123\xc2\xa3") << "RFC 7617 section 2.1";
    EXPECT_EQ(read("bAsIc   dGVzdDoxMjPCow== \t"), "test|123\xc2\xa3");
    EXPECT_EQ(read(basic("ann:a:b")), "ann|a:b") << "the first colon ends the name";
    EXPECT_EQ(read(basic(":")), "|");
    const std::string longest(1024, 'x');
    EXPECT_EQ(read(basic(longest + ":" + longest)), longest + "|" + longest);
}

TEST(BasicCredentials, AreRefusedWhenMalformed)
{
    constexpr auto scheme = "the Authorization field has another scheme, expected Basic";
    EXPECT_EQ(read(""), scheme);
    EXPECT_EQ(read("Bearer QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), scheme);
    EXPECT_EQ(read("BasicQWxhZGRpbjpvcGVuIHNlc2FtZQ=="), scheme);

    constexpr auto base64 = "the Authorization field is not valid base64";
    EXPECT_EQ(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ"), base64) << "no padding";
    EXPECT_EQ(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==="), base64);
    EXPECT_EQ(read("Basic QWxhZGRpbjpvcGVuIHNlc2FtZR=="), base64) << "unused bits are set";
    EXPECT_EQ(read("Basic QWxhZGRp bjpvcGVuIHNlc2FtZQ=="), base64);
    EXPECT_EQ(read("Basic QWxhZGRp,bjpvcGVuIHNlc2FtZQ=="), base64);
    EXPECT_EQ(read("Basic dGVzdDoxMjP_ow=="), base64) << "the URL alphabet";
    EXPECT_EQ(read("Basic Q"), base64);
    EXPECT_EQ(read("Basic ===="), base64);

    constexpr auto colon = "the Authorization field has no colon between user name and password";
    EXPECT_EQ(read("Basic"), colon);
    EXPECT_EQ(read("Basic "), colon);
    EXPECT_EQ(read(basic("ann")), colon);

    constexpr auto too_long = "the Authorization field is too long";
    const std::string longer(1025, 'x');
    EXPECT_EQ(read(basic(longer + ":p")), too_long);
    EXPECT_EQ(read(basic("ann:" + longer)), too_long);
    EXPECT_EQ(read("Basic " + std::string(100'000, 'A')), too_long);

    EXPECT_EQ(read(basic("ann:\xff")), "the Authorization field is not UTF-8");
    EXPECT_EQ(read(basic(std::string_view("ann:a\0b", 7))), "the Authorization field contains a control character");
    EXPECT_EQ(read(basic("an\nn:p")), "the Authorization field contains a control character");
}

TEST(BasicCredentials, AreAskedForInUtf8)
{
    EXPECT_EQ(basic_challenge("monitor"), R"(Basic realm="monitor", charset="UTF-8")");
    EXPECT_EQ(basic_challenge(R"(the "shop" \o/)"), R"(Basic realm="the \"shop\" \\o/", charset="UTF-8")");
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
