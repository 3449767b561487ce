#include "common/notify/mail.hpp"

#include "common/notify/courier.hpp"
#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace hotspare::notify {
namespace TEST_FILE {

Mail mail()
{
    return {.from_name = "Shop monitor",
            .from = "monitor@shop.example",
            .to = {"ops@shop.example", "second@shop.example"},
            .subject = "api is down",
            .text = "api is down\n",
            .delivery = "m-17",
            .date = WallTime(seconds(1'796'036'645))};
}

/// Every line of a message ends in CR LF, and none is longer than RFC 5322 asks for.
void expect_well_formed(const std::string& message)
{
    std::size_t at = 0;
    while (at < message.size()) {
        const auto end = message.find("\r\n", at);
        ASSERT_NE(end, std::string::npos);
        const auto line = message.substr(at, end - at);
        EXPECT_LE(line.size(), 78U) << line;
        EXPECT_TRUE(std::all_of(line.begin(), line.end(), [](char c) { return c >= ' ' && c < 0x7f; })) << line;
        at = end + 2;
    }
}

TEST(Mail, IsAMessageOfPlainText)
{
    ASSERT_FALSE(refuse_mail(mail()));
    const auto message = mail_message(mail());
    expect_well_formed(message);
    EXPECT_EQ(message, "Date: Mon, 30 Nov 2026 11:04:05 +0000\r\n"
                       "From: \"Shop monitor\" <monitor@shop.example>\r\n"
                       "To: ops@shop.example,\r\n second@shop.example\r\n"
                       "Subject: api is down\r\n"
                       "Message-ID: <m-17@shop.example>\r\n"
                       "Auto-Submitted: auto-generated\r\n"
                       "MIME-Version: 1.0\r\n"
                       "Content-Type: text/plain; charset=utf-8\r\n"
                       "Content-Transfer-Encoding: base64\r\n"
                       "\r\n"
                       "YXBpIGlzIGRvd24NCg==\r\n");
}

TEST(Mail, EncodesWhatIsNotAscii)
{
    EXPECT_EQ(encoded_words("plain"), "plain");
    EXPECT_EQ(encoded_words("größer"), "=?UTF-8?B?Z3LDtsOfZXI=?=");
    EXPECT_EQ(encoded_words("=?x"), "=?UTF-8?B?PT94?=") << "else it would be read as encoded";
    std::string longer;
    for (int i = 0; i < 40; ++i) longer += "größ";
    const auto words = encoded_words(longer);
    EXPECT_NE(words.find("?=\r\n =?"), std::string::npos);
    auto m = mail();
    m.subject = longer;
    m.from_name = "Jürgen \"J\" \\";
    m.text = std::string(1000, 'x') + "\nü\r\nend";
    ASSERT_FALSE(refuse_mail(m));
    expect_well_formed(mail_message(m));
    m.from_name = "a \"b\" \\c";
    EXPECT_NE(mail_message(m).find("From: \"a \\\"b\\\" \\\\c\" <"), std::string::npos);
}

TEST(Mail, RefusesWhatCouldAddAField)
{
    const auto refused = [](auto change) {
        auto m = mail();
        change(m);
        return refuse_mail(m).has_value();
    };
    for (const std::string& bad : std::vector<std::string>{"a\r\nBcc: x@y", "a\nb", "a\rb", {"a\0b", 3}, "a\xc2\x85"}) {
        EXPECT_TRUE(refused([&](Mail& m) { m.subject = bad; })) << bad;
        EXPECT_TRUE(refused([&](Mail& m) { m.from_name = bad; })) << bad;
        EXPECT_TRUE(refused([&](Mail& m) { m.from = bad + "@y"; })) << bad;
        EXPECT_TRUE(refused([&](Mail& m) { m.to = {"x@" + bad}; })) << bad;
        EXPECT_TRUE(refused([&](Mail& m) { m.delivery = bad; })) << bad;
    }
    for (const std::string bad : {"", "x", "@y", "x@", "x@y@z", "x y@z", "<x@y>", "x@y,z@a", "x@y>", "\"x\"@y", "ü@y"})
        EXPECT_FALSE(is_mail_address(bad)) << bad;
    EXPECT_TRUE(is_mail_address("first.last+tag@mail.example"));
    EXPECT_TRUE(refused([](Mail& m) { m.to.clear(); }));
    EXPECT_TRUE(refused([](Mail& m) { m.subject = "\xff"; }));
    EXPECT_TRUE(refused([](Mail& m) { m.subject = std::string(1000, 'x'); }));
}

TEST(Mail, IsWellFormedWhateverItsTexts)
{
    test::check_property(2000, [] {
        auto m = mail();
        m.subject = *rc::gen::arbitrary<std::string>();
        m.from_name = *rc::gen::arbitrary<std::string>();
        m.text = *rc::gen::arbitrary<std::string>();
        if (refuse_mail(m)) return;
        const auto message = mail_message(m);
        const auto header = message.substr(0, message.find("\r\n\r\n"));
        RC_ASSERT(std::all_of(message.begin(), message.end(),
                              [](char c) { return c == '\r' || c == '\n' || (c >= ' ' && c < 0x7f); }));
        // Date, From, To, Subject, Message-ID, Auto-Submitted, and three of MIME.
        int fields = 0;
        for (std::size_t at = 0; at != std::string::npos; at = header.find("\r\n", at)) {
            if (at != 0) at += 2;
            if (header[at] != ' ') ++fields;
        }
        RC_ASSERT(fields == 9);
    });
}

TEST(Webhook, SignsTheBodyAsRfc4231Says)
{
    EXPECT_EQ(signature("what do ya want for nothing?", "Jefe"),
              "sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    EXPECT_EQ(signature("Hi There", std::string(20, '\x0b')),
              "sha256=b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    EXPECT_EQ(signature("Test Using Larger Than Block-Size Key - Hash Key First", std::string(131, '\xaa')),
              "sha256=60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
}

} // namespace TEST_FILE
} // namespace hotspare::notify
