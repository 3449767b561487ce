// `experiment load` as the benchmark uses it: one line of JSON, and a clear word about bad usage.
#include "common/error.hpp"
#include "experiment/load_command.hpp"
#include "tests/support/origin.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace hotspare::experiment {
namespace TEST_FILE {

nlohmann::json run(const std::vector<std::string>& arguments)
{
    testing::internal::CaptureStdout();
    EXPECT_EQ(load_command(arguments), 0);
    return nlohmann::json::parse(testing::internal::GetCapturedStdout(), nullptr, false);
}

std::string refusal(const std::vector<std::string>& arguments)
{
    try {
        load_command(arguments);
        return "none";
    } catch (const UsageError& error) {
        return error.what();
    }
}

TEST(ExperimentLoadCommand, PrintsExactNumbersAsJson)
{
    test::Origin origin;
    const auto target = "127.0.0.1:" + std::to_string(origin.port());
    const auto open = run({"--target", target, "--path", "/x", "--rate", "200", "--seconds", "0.5", "--warmup", "0.1"});
    EXPECT_EQ(open["requests"], 100);
    EXPECT_EQ(open["errors"], 0);
    for (const char* key :
         {"seconds", "per_second", "p50_us", "p90_us", "p99_us", "p999_us", "max_us", "lag_p99_us", "lag_max_us"})
        EXPECT_GT(open.value(key, -1.0), 0) << key;
    EXPECT_EQ(origin.requests().at(0).target(), "/x");

    const auto closed =
        run({"--target", target, "--post", "1000", "--connections", "2", "--seconds", "0.1", "--warmup", "0"});
    EXPECT_GT(closed.value("requests", 0), 2);
    EXPECT_EQ(origin.requests().back().body_bytes, 1000U);

    origin.script([](const test::Message&) { return test::Reply::text("no", 500); });
    const auto failing = run({"--target", target, "--rate", "100", "--seconds", "0.1"});
    EXPECT_EQ(failing["errors"], 10);
}

TEST(ExperimentLoadCommand, RefusesBadUsage)
{
    EXPECT_NE(refusal({}).find("--target"), std::string::npos);
    EXPECT_NE(refusal({"--target", "nowhere"}).find("HOST:PORT"), std::string::npos);
    EXPECT_NE(refusal({"--target", "localhost:1"}).find("not an IP address"), std::string::npos);
    EXPECT_NE(refusal({"--target", "127.0.0.1:1", "--rate", "-1"}).find("--rate"), std::string::npos);
    EXPECT_NE(refusal({"--target", "127.0.0.1:1", "--hold"}).find("--rate"), std::string::npos);
    EXPECT_NE(refusal({"--target", "127.0.0.1:1", "--self-check"}).find("--self-check"), std::string::npos);
    EXPECT_NE(refusal({"--bogus"}).find("--bogus"), std::string::npos);
}

TEST(ExperimentLoadCommand, TheSelfCheckReportsItsLagWhateverItIs)
{
    testing::internal::CaptureStdout();
    const int code = load_command({"--self-check", "--rate", "500", "--seconds", "1"});
    const auto text = testing::internal::GetCapturedStdout();
    EXPECT_TRUE(code == 0 || code == 1);
    EXPECT_EQ(text.find("PASS") != std::string::npos, code == 0) << text;
    EXPECT_NE(text.find("500 requests at 500/s from one core, 0 failed"), std::string::npos) << text;
    EXPECT_NE(text.find("lag"), std::string::npos) << text;
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
