#include "common/text.hpp"

#include <gtest/gtest.h>

namespace hotspare {
namespace {

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

} // namespace
} // namespace hotspare
