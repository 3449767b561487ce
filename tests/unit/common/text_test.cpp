#include "common/text.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>

namespace hotspare {
namespace TEST_FILE {

TEST(Text, is_shortened_between_characters)
{
    EXPECT_EQ(shortened("", 4), "");
    EXPECT_EQ(shortened("four", 4), "four");
    EXPECT_EQ(shortened("fiver", 4), "five...");
    EXPECT_EQ(shortened("gr\xc3\xbc\xc3\x9f", 3), "gr...");
    EXPECT_EQ(shortened("gr\xc3\xbc\xc3\x9f", 4), "gr\xc3\xbc...");
    EXPECT_EQ(shortened("\xf0\x9f\x98\x80", 3), "...");
    EXPECT_EQ(shortened("\x80\x80\x80", 2), "...") << "no UTF-8 at all";
}

TEST(Text, KnowsControlCharactersAndLineSeparators)
{
    for (const char* text : {"a\n", "\t", "\x7f",
                             "a\xc2\x85"
                             "b",
                             "\xc2\x80", "\xc2\x9f", "\xe2\x80\xa8", "x\xe2\x80\xa9"})
        EXPECT_TRUE(has_control_character(text)) << text;
    EXPECT_TRUE(has_control_character(std::string_view("a\0b", 3)));
    for (const char* text : {"", "a b", "\xc2\xa0", "\xc3\xa4", "\xe2\x80\xa7", "\xf0\x9f\x98\x80", "\xff\xc2"})
        EXPECT_FALSE(has_control_character(text)) << text;
}

TEST(Text, KnowsWhatIsOnlyBlanks)
{
    for (const char* text :
         {"", " ", "  \t", "\xc2\xa0", "\xe3\x80\x80 ", "\xe2\x80\x83", "\xe2\x80\x8b", "\xef\xbb\xbf"})
        EXPECT_TRUE(is_blank(text)) << text;
    for (const char* text : {"a", " a ", "\xc3\xa4", "\xff", "\xe2\x80"}) EXPECT_FALSE(is_blank(text)) << text;
}

TEST(Text, printable_keeps_what_is_visible)
{
    for (const char* text : {"", "GET /data", "gr\xc3\xbcn \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80", "C:\\x1b"})
        EXPECT_EQ(printable(text), text);
}

TEST(Text, printable_writes_out_whatever_could_move_the_cursor_or_begin_a_line)
{
    EXPECT_EQ(printable("a\x1b[2J\r\n\x07\t"), "a\\x1b[2J\\x0d\\x0a\\x07\\x09");
    EXPECT_EQ(printable(std::string_view("a\0b", 3)), "a\\x00b");
    EXPECT_EQ(printable("\x7f"), "\\x7f");
    EXPECT_EQ(printable("\xc2\x9b"
                        "31m"),
              "\\u{9b}31m")
        << "an escape sequence in one character";
    EXPECT_EQ(printable("\xe2\x80\xa8|\xe2\x80\xa9"), "\\u{2028}|\\u{2029}");
    EXPECT_EQ(printable("\xe2\x80\xae"
                        "exe.txt"),
              "\\u{202e}exe.txt")
        << "right to left";
    EXPECT_EQ(printable("a\xff\x9b"
                        "b"),
              "a\\xff\\x9b"
              "b")
        << "no UTF-8";
    EXPECT_EQ(printable("\xe2\x82"), "\\xe2\\x82") << "cut off";
}

TEST(Text, no_bytes_at_all_leave_a_control_in_printable_text)
{
    std::minstd_rand random(7);
    for (int i = 0; i < 5000; ++i) {
        std::string text(random() % 12, ' ');
        for (char& c : text)
            c = static_cast<char>(random() % 2 == 0 ? "\x1b\x9b\xc2\xe2\x80\xae"[random() % 6] : random() % 256);
        const std::string shown = printable(text);
        EXPECT_TRUE(is_utf8(shown)) << shown;
        EXPECT_EQ(printable(shown), shown);
        for (const char c : shown) EXPECT_FALSE(static_cast<unsigned char>(c) < 0x20 || c == 0x7f);
        EXPECT_EQ(shown.find("\xc2\x9b"), std::string::npos);
    }
}

TEST(Text, printable_json_says_the_same_without_controls)
{
    EXPECT_EQ(printable_json("{\"id\":\"a\xc2\x9b\x7f\xe2\x80\xae\"}"), R"({"id":"a\u009b\u007f\u202e"})");
    EXPECT_EQ(printable_json("{\n  \"gr\xc3\xbcn\": 1}\n"), "{\n  \"gr\xc3\xbcn\": 1}\n");
}

TEST(Text, utf8_is_what_rfc_3629_says)
{
    for (const char* text : {"", "a", "gr\xc3\xbcn", "\xf4\x8f\xbf\xbd"}) EXPECT_TRUE(is_utf8(text)) << text;
    for (const char* text : {"\xff\xfe", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\xe2\x82"})
        EXPECT_FALSE(is_utf8(text)) << text;
}

} // namespace TEST_FILE
} // namespace hotspare
