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

} // namespace
} // namespace hotspare
