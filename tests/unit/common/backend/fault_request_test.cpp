#include "common/backend/fault_request.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace hotspare::backend {
namespace TEST_FILE {

using Json = nlohmann::json;

TEST(ParseFault, UsesTheDefaultMode)
{
    const auto fault = parse_fault({}, Json::object(), Mode::crash);
    ASSERT_TRUE(fault);
    EXPECT_EQ(fault->mode, Mode::crash);
    EXPECT_FALSE(fault->lasts);
    EXPECT_EQ(fault->rate, 1);
}

TEST(ParseFault, KnowsEveryMode)
{
    for (const auto& [word, mode] : mode_names) {
        const auto fault = parse_fault({{"mode", std::string(word)}}, Json::object(), Mode::error);
        ASSERT_TRUE(fault) << word;
        EXPECT_EQ(fault->mode, mode);
    }
}

TEST(ParseFault, ReadsEveryFieldFromTheBody)
{
    const auto slow = parse_fault({}, {{"mode", "slow"}, {"for", "5s"}, {"rate", 0.5}, {"delay", "20ms"}}, Mode::error);
    ASSERT_TRUE(slow);
    EXPECT_EQ(slow->lasts, seconds(5));
    EXPECT_EQ(slow->rate, 0.5);
    EXPECT_EQ(slow->delay, milliseconds(20));
    EXPECT_EQ(parse_fault({}, {{"mode", "flap"}, {"period", "4s"}}, Mode::error)->period, seconds(4));
    EXPECT_EQ(parse_fault({}, {{"mode", "cpu"}, {"load", 30}}, Mode::error)->load, 30u);
    EXPECT_EQ(parse_fault({}, {{"mode", "reset"}, {"bytes", 0}}, Mode::error)->bytes, 0u);
}

TEST(ParseFault, ReadsTheQueryAndLetsTheBodyOverrideIt)
{
    const auto fault = parse_fault({{"mode", "slow"}, {"rate", "0.25"}, {"for", "1s"}}, {{"for", "2s"}}, Mode::error);
    ASSERT_TRUE(fault);
    EXPECT_EQ(fault->mode, Mode::slow);
    EXPECT_EQ(fault->rate, 0.25);
    EXPECT_EQ(fault->lasts, seconds(2));
}

TEST(ParseFault, RefusesAParameterThatIsGivenTwice)
{
    const auto fault = parse_fault({{"mode", "slow"}, {"mode", "error"}}, Json::object(), Mode::error);
    ASSERT_FALSE(fault);
    EXPECT_EQ(fault.error().status, 422U);
    EXPECT_EQ(fault.error().member("field"), "mode");
}

TEST(ParseFault, NamesTheFieldThatIsWrong)
{
    const std::vector<std::pair<Json, std::string>> cases{
        {{{"mode", "explode"}}, "mode"},
        {{{"mode", "none"}}, "mode"},
        {{{"mode", "data_error"}}, "mode"},
        {{{"mode", 1}}, "mode"},
        {{{"for", "5"}}, "for"},
        {{{"for", 5}}, "for"},
        {{{"for", "0s"}}, "for"},
        {{{"for", "-1s"}}, "for"},
        {{{"rate", 0}}, "rate"},
        {{{"rate", 1.5}}, "rate"},
        {{{"rate", "half"}}, "rate"},
        {{{"rate", nullptr}}, "rate"},
        {{{"mode", "slow"}, {"delay", "25h"}}, "delay"},
        {{{"mode", "error"}, {"delay", "1s"}}, "delay"},
        {{{"mode", "cpu"}, {"load", 101}}, "load"},
        {{{"mode", "cpu"}, {"load", -1}}, "load"},
        {{{"mode", "cpu"}, {"rate", 0.5}}, "rate"},
        {{{"mode", "truncate"}, {"bytes", 1.5}}, "bytes"},
        {{{"mode", "crash"}, {"for", "1s"}}, "for"},
        {{{"mode", "refuse"}, {"rate", 0.5}}, "rate"},
        {{{"modus", "error"}}, "modus"},
    };
    for (const auto& [body, field] : cases) {
        const auto fault = parse_fault({}, body, Mode::error);
        ASSERT_FALSE(fault) << body;
        EXPECT_EQ(fault.error().status, 422u);
        EXPECT_EQ(fault.error().member("field"), field) << body;
        EXPECT_NE(fault.error().detail.find("'" + field + "'"), std::string::npos) << fault.error().detail;
    }
}

TEST(ParseFault, RefusesABodyThatIsNoObject)
{
    for (const auto& body : {Json(), Json::array(), Json("error"), Json(1)}) {
        const auto fault = parse_fault({}, body, Mode::error);
        ASSERT_FALSE(fault) << body;
        EXPECT_EQ(fault.error().status, 422u);
    }
}

} // namespace TEST_FILE
} // namespace hotspare::backend
