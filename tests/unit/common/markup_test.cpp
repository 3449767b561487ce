#include "common/markup.hpp"

#include <gtest/gtest.h>

#include <random>

namespace hotspare {
namespace TEST_FILE {

constexpr const char* bad = "\xEF\xBF\xBD";

TEST(Markup, EscapesWhatWouldBeMarkup)
{
    EXPECT_EQ(escape("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    EXPECT_EQ(escape("line\n\ttab\r"), "line\n\ttab&#13;");
    EXPECT_EQ(escape("grün 日本 😀"), "grün 日本 😀");
}

TEST(Markup, ReplacesWhatXmlForbidsEvenAsAnEntity)
{
    EXPECT_EQ(escape(std::string("a\0b", 3)), std::string("a") + bad + "b");
    EXPECT_EQ(escape("\x1b[31m"), std::string(bad) + "[31m");
    EXPECT_EQ(escape("\x7f"), bad);
    EXPECT_EQ(escape("\xEF\xBF\xBE"), bad); // U+FFFE
}

TEST(Markup, ReplacesWhatIsNoUtf8)
{
    EXPECT_EQ(valid_utf8("a\xff"
                         "b"),
              std::string("a") + bad + "b");
    EXPECT_EQ(valid_utf8("\xC0\xAF"), std::string(bad) + bad) << "an overlong '/'";
    EXPECT_EQ(valid_utf8("\xE0\x80\xAF"), std::string(bad) + bad + bad) << "another one";
    EXPECT_EQ(valid_utf8("\xED\xA0\x80"), std::string(bad) + bad + bad) << "a surrogate";
    EXPECT_EQ(valid_utf8("\xF4\x90\x80\x80"), std::string(bad) + bad + bad + bad) << "beyond U+10FFFF";
    EXPECT_EQ(valid_utf8("\xE2\x82"), std::string(bad) + bad) << "cut off";
    EXPECT_EQ(valid_utf8("\xF4\x8F\xBF\xBD"), "\xF4\x8F\xBF\xBD");
}

TEST(Markup, NoBytesAtAllMakeMarkup)
{
    std::minstd_rand random(7);
    for (int i = 0; i < 2000; ++i) {
        std::string text(random() % 20, ' ');
        for (char& c : text) c = static_cast<char>(random() % 3 == 0 ? "<>&\"'\x1b"[random() % 6] : random() % 256);
        const std::string escaped = escape(text);
        EXPECT_EQ(escaped.find_first_of("<>\"'\x1b"), std::string::npos);
        EXPECT_EQ(valid_utf8(escaped), escaped);
        for (const char c : printable(text)) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
    }
}

TEST(Markup, ShortensByCharactersAndNeverInsideOne)
{
    EXPECT_EQ(columns_of("grün"), 4U);
    EXPECT_EQ(shorten("grün", 4), "grün");
    EXPECT_EQ(shorten("grüner", 4), "grü…");
    EXPECT_EQ(shorten("ab", 1), "…");
    EXPECT_EQ(shorten("", 1), "");
}

} // namespace TEST_FILE
} // namespace hotspare
