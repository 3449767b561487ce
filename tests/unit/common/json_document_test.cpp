#include "common/json_document.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace hotspare {
namespace TEST_FILE {

TEST(JsonDocument, IsReadAsItIs)
{
    for (const std::string text : {"{}", " [1, {\"a\":1}, {\"a\":2}] \n", "\"\\u0000\"", "null", "{\"a\":{\"a\":1}}"}) {
        EXPECT_FALSE(check_json_document(text)) << text;
        EXPECT_EQ(read_json_document(text), nlohmann::json::parse(text));
    }
}

TEST(JsonDocument, MayHoldEachNameOncePerObject)
{
    for (const std::string text :
         {R"({"a":1,"a":1})", R"([{"b":{"a":1,"c":[],"a":2}}])", R"({"a":1,"\u0061":2})", R"({"":1,"":2})"}) {
        const auto wrong = check_json_document(text);
        ASSERT_TRUE(wrong) << text;
        EXPECT_NE(wrong->what.find("more than once"), std::string::npos) << wrong->what;
        EXPECT_TRUE(read_json_document(text).is_discarded());
    }
}

TEST(JsonDocument, HoldsNoNulAndNothingBehindItsEnd)
{
    using namespace std::string_literals;
    for (const auto& text :
         {"{}\0"s, "{}\0{\"b\":1}"s, "\0{}"s, "{\"a\":\"\0\"}"s, "{}\n{}"s, "{} x"s, "1 2"s, "[]]"s}) {
        EXPECT_TRUE(check_json_document(text)) << text;
        EXPECT_TRUE(read_json_document(text).is_discarded()) << text;
    }
    const auto wrong = check_json_document("{}\n {}\0"s);
    ASSERT_TRUE(wrong);
    EXPECT_EQ(wrong->line, 2U);
    EXPECT_EQ(wrong->column, 4U);
    EXPECT_EQ(wrong->byte, 7U);
}

TEST(JsonDocument, IsNotNestedWithoutEnd)
{
    EXPECT_FALSE(check_json_document(std::string(64, '[') + std::string(64, ']')));
    EXPECT_TRUE(check_json_document(std::string(200'000, '[')));
    EXPECT_TRUE(read_json_document(std::string(65, '[') + std::string(65, ']')).is_discarded());
}

} // namespace TEST_FILE
} // namespace hotspare
