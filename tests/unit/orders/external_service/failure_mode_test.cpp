#include "orders/external_service/failure_mode.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

namespace hotspare::orders::external {
namespace TEST_FILE {

using backend::Mode;
using Json = nlohmann::json;

TEST(FailureMode, reads_every_mode)
{
    for (const auto& [word, mode] : mode_names) {
        const auto fault = parse_failure_mode({{"mode", std::string(word)}});
        ASSERT_TRUE(fault) << word;
        EXPECT_EQ(fault->mode, mode);
        EXPECT_EQ(fault->rate, 1);
        EXPECT_FALSE(fault->lasts);
        EXPECT_EQ(word_for(fault->mode), word);
        EXPECT_FALSE(describe(*fault).empty());
    }
    EXPECT_EQ(parse_failure_mode({{"mode", "slow"}})->delay, seconds(3));
}

TEST(FailureMode, reads_every_field)
{
    const auto fault = parse_failure_mode({{"mode", "slow"}, {"delay", "50ms"}, {"for", "1m"}, {"rate", 0.25}});
    ASSERT_TRUE(fault);
    EXPECT_EQ(fault->delay, milliseconds(50));
    EXPECT_EQ(fault->lasts, std::chrono::minutes(1));
    EXPECT_EQ(fault->rate, 0.25);
    EXPECT_EQ(describe(*fault), "external_service answers after 50ms, to 0.25 of the calls");
}

TEST(FailureMode, names_the_field_that_is_wrong)
{
    const std::vector<std::pair<Json, std::string>> cases{
        {Json::object(), "mode"},
        {{{"mode", "refuse"}}, "mode"},
        {{{"mode", 1}}, "mode"},
        {{{"mode", "SLOW"}}, "mode"},
        {{{"mode", "slow"}, {"delay", 3}}, "delay"},
        {{{"mode", "slow"}, {"delay", "3"}}, "delay"},
        {{{"mode", "slow"}, {"rate", 0}}, "rate"},
        {{{"mode", "error"}, {"rate", 1.1}}, "rate"},
        {{{"mode", "error"}, {"for", "0s"}}, "for"},
        {{{"mode", "error"}, {"delay", "1s"}}, "delay"},
        {{{"mode", "down"}, {"rate", 0.5}}, "rate"},
        {{{"mode", "normal"}, {"for", "1s"}}, "for"},
        {{{"mode", "slow"}, {"period", "1s"}}, "period"},
    };
    for (const auto& [body, field] : cases) {
        const auto fault = parse_failure_mode(body);
        ASSERT_FALSE(fault) << body.dump();
        EXPECT_EQ(fault.error().status, 422U);
        EXPECT_EQ(fault.error().member("field"), field) << body.dump();
    }
    EXPECT_EQ(parse_failure_mode(Json::array()).error().status, 422U);
}

} // namespace TEST_FILE
} // namespace hotspare::orders::external
