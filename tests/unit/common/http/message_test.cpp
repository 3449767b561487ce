#include "common/http/message.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace hotspare::http {
namespace TEST_FILE {

TEST(ParseTarget, SplitsPathAndQuery)
{
    const auto target = parse_target("/data/a%20b?mode=slow&for=5s&x=%26+y&mode=again&empty=&bare");
    ASSERT_TRUE(target);
    EXPECT_EQ(target->path, "/data/a%20b");
    const QueryParameters expected{{"mode", "slow"},  {"for", "5s"}, {"x", "& y"},
                                   {"mode", "again"}, {"empty", ""}, {"bare", ""}};
    EXPECT_EQ(target->query, expected);
}

TEST(ParseTarget, TakesWhatBrowsersLeaveUnescaped)
{
    const auto target = parse_target("/{a}|?b=<c>^`\"\\");
    ASSERT_TRUE(target);
    EXPECT_EQ(target->path, "/%7Ba%7D%7C");
    EXPECT_EQ(target->query, (QueryParameters{{"b", "<c>^`\"\\"}}));
    EXPECT_EQ(parse_target("*")->path, "*");
}

TEST(ParseTarget, RefusesWhatIsNoTarget)
{
    for (const char* text : {"data", "/a%2", "/a%zz", "/\xc3\xa9", "http://host/", "host:80", ""}) {
        const auto target = parse_target(text);
        ASSERT_FALSE(target) << text;
        EXPECT_EQ(target.error().status, 400u) << text;
    }
}

TEST(PercentDecode, DecodesOrRefuses)
{
    EXPECT_EQ(percent_decode("a%2Fb+c"), "a/b+c");
    EXPECT_EQ(percent_decode("%C3%A9"), "\xc3\xa9");
    EXPECT_EQ(percent_decode("%4"), std::nullopt);
    EXPECT_EQ(percent_decode("%00"), std::nullopt);
}

TEST(ParseJson, SaysWhereItWentWrong)
{
    const auto wrong = parse_json("{\n  \"a\": tru\n}");
    ASSERT_FALSE(wrong);
    EXPECT_EQ(wrong.error().status, 400u);
    EXPECT_EQ(wrong.error().member("line"), "2");
    EXPECT_GE(std::stoi(wrong.error().member("column")), 8);
    EXPECT_NE(wrong.error().detail.find("line 2"), std::string::npos) << wrong.error().detail;
}

TEST(ParseJson, RefusesEmptyTrailingAndInvalidText)
{
    for (const std::string text : {"", " ", "{} x", "{\"a\":1,}", "\"\xff\"", "nul"}) {
        const auto wrong = check_json(text);
        ASSERT_TRUE(wrong) << text;
        EXPECT_EQ(wrong->status, 400u);
        EXPECT_FALSE(wrong->detail.empty());
    }
}

TEST(ParseJson, BoundsItsDepth)
{
    EXPECT_TRUE(parse_json(std::string(64, '[') + std::string(64, ']')));
    const auto deep = parse_json(std::string(100'000, '['));
    ASSERT_FALSE(deep);
    EXPECT_NE(deep.error().detail.find("nested"), std::string::npos);
}

TEST(ProblemResponse, IsAProblemDocumentThatOlderClientsUnderstand)
{
    const auto response = problem(Problem{422, "the field 'mode' is wrong", {{"field", "mode"}}}, "id-1");
    EXPECT_EQ(response.result_int(), 422u);
    EXPECT_EQ(response.header("Content-Type"), "application/problem+json");
    const auto body = Json::parse(response.body());
    EXPECT_EQ(body, (Json{{"title", "Unprocessable Entity"},
                          {"status", 422},
                          {"detail", "the field 'mode' is wrong"},
                          {"error", "the field 'mode' is wrong"},
                          {"request_id", "id-1"},
                          {"field", "mode"}}));
}

TEST(ProblemResponse, SurvivesInvalidUtf8)
{
    const auto response = problem(Problem{400, "bad \xff byte"}, "id");
    EXPECT_NO_THROW(Json::parse(response.body()));
}

} // namespace TEST_FILE
} // namespace hotspare::http
