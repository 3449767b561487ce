#include "monitor/check/health_word.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace hotspare::monitor {
namespace TEST_FILE {

TEST(HealthWord, BelievesAServiceThatSaysWhatIsWrongWithIt)
{
    const auto degraded = read_health_word(R"({"status":"degraded","error":"the disk is full"})");
    EXPECT_EQ(degraded.state, State::degraded);
    EXPECT_EQ(degraded.cause, "says that it is degraded: the disk is full");
    const auto unhealthy = read_health_word(R"({"status":"unhealthy"})");
    EXPECT_EQ(unhealthy.state, State::down);
    EXPECT_TRUE(unhealthy.unhealthy);
    EXPECT_EQ(unhealthy.cause, "says that it is unhealthy");
    const auto down = read_health_word(R"({"status":"down","error":5})");
    EXPECT_EQ(down.state, State::down);
    EXPECT_FALSE(down.unhealthy);
    EXPECT_EQ(down.cause, "says that it is down");
}

TEST(HealthWord, TakesEveryOtherBodyForNothing)
{
    for (const auto* body : {R"({"status":"healthy"})", R"({"status":"ok"})", R"({"status":1})", R"({"error":"x"})",
                             "degraded", R"(["degraded"])", R"({"status":"degraded")", ""}) {
        const auto word = read_health_word(body);
        EXPECT_EQ(word.state, State::up) << body;
        EXPECT_EQ(word.cause, "") << body;
        EXPECT_FALSE(word.paused) << body;
    }
}

TEST(HealthWord, TellsWhetherAWorkerIsPaused)
{
    EXPECT_EQ(read_health_word(R"({"status":"degraded","paused":true})").paused, true);
    EXPECT_EQ(read_health_word(R"({"status":"healthy","paused":false})").paused, false);
    EXPECT_FALSE(read_health_word(R"({"status":"healthy","paused":"yes"})").paused);
}

TEST(HealthWord, BoundsWhatAServiceSays)
{
    const auto word =
        read_health_word(fmt::format(R"({{"status":"down","error":"a\n{}"}})", std::string(100'000, 'x')));
    EXPECT_LT(word.cause.size(), 300U);
    EXPECT_EQ(word.cause.find('\n'), std::string::npos);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
