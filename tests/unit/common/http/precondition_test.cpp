#include "common/http/precondition.hpp"

#include <gtest/gtest.h>

#include <optional>
#include <string_view>

namespace hotspare::http {
namespace TEST_FILE {

using Tag = std::optional<std::string_view>;

bool match(std::string_view field, Tag etag)
{
    return Preconditions::parse(field, std::nullopt)->if_match_holds(etag);
}
bool none_match(std::string_view field, Tag etag)
{
    return Preconditions::parse(std::nullopt, field)->if_none_match_holds(etag);
}

TEST(Preconditions, HoldWhenThereAreNone)
{
    const auto none = Preconditions::parse(std::nullopt, std::nullopt);
    EXPECT_TRUE(none->hold("\"1\""));
    EXPECT_TRUE(none->hold(std::nullopt));
}

TEST(Preconditions, IfMatchComparesStrongly)
{
    EXPECT_TRUE(match("\"1\"", "\"1\""));
    EXPECT_TRUE(match(" \"0\" ,, \"1\" ", "\"1\""));
    EXPECT_FALSE(match("\"1\"", "\"11\""));
    EXPECT_FALSE(match("W/\"1\"", "\"1\""));
    EXPECT_FALSE(match("\"1\"", std::nullopt));
    EXPECT_TRUE(match("*", "\"7\""));
    EXPECT_FALSE(match("*", std::nullopt)) << "* means: there is one";
}

TEST(Preconditions, IfNoneMatchComparesWeakly)
{
    EXPECT_FALSE(none_match("\"1\"", "\"1\""));
    EXPECT_FALSE(none_match("W/\"1\"", "\"1\""));
    EXPECT_TRUE(none_match("\"2\", \"3\"", "\"1\""));
    EXPECT_TRUE(none_match("\"1\"", std::nullopt));
    EXPECT_FALSE(none_match("*", "\"1\""));
    EXPECT_TRUE(none_match("*", std::nullopt)) << "* means: only if there is none";
}

TEST(Preconditions, RefuseABrokenList)
{
    for (const auto* text : {"", " , ", "1", "\"1", "\"1\" \"2\"", "* \"1\"", "w/\"1\"", "\"1\"x"}) {
        const auto broken = Preconditions::parse(text, std::nullopt);
        ASSERT_FALSE(broken) << text;
        EXPECT_EQ(broken.error().status, 400u);
    }
}

} // namespace TEST_FILE
} // namespace hotspare::http
