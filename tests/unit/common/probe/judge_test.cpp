#include "common/probe/judge.hpp"

#include <boost/asio/error.hpp>

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::probe {
namespace TEST_FILE {

Verdict verdict_on(unsigned status, std::string_view body, const Expectation& expected = {})
{
    return judge(Answer{status, "Phrase", body}, expected);
}

TEST(ProbeJudge, NamesEveryWayOfNotAnswering)
{
    namespace asio_error = boost::asio::error;
    const std::vector<std::pair<error_code, ProbeOutcome>> cases{
        {errc::timed_out, ProbeOutcome::timed_out},
        {asio_error::timed_out, ProbeOutcome::timed_out},
        {errc::malformed, ProbeOutcome::malformed},
        {errc::too_large, ProbeOutcome::failing},
        {errc::closed_early, ProbeOutcome::reset},
        {asio_error::connection_reset, ProbeOutcome::reset},
        {asio_error::connection_aborted, ProbeOutcome::reset},
        {asio_error::broken_pipe, ProbeOutcome::reset},
        {asio_error::connection_refused, ProbeOutcome::refused},
        {asio_error::host_unreachable, ProbeOutcome::refused},
        {asio_error::network_unreachable, ProbeOutcome::refused},
        {asio_error::host_not_found, ProbeOutcome::refused},
    };
    std::set<ProbeOutcome> met{ProbeOutcome::ok};
    for (const auto& [failure, outcome] : cases) {
        const auto verdict = judge(failure, seconds(1));
        EXPECT_EQ(verdict.outcome, outcome) << failure.message();
        EXPECT_FALSE(verdict.detail.empty()) << failure.message();
        EXPECT_TRUE(verdict.shortcoming.empty()) << failure.message();
        met.insert(verdict.outcome);
    }
    EXPECT_EQ(met.size(), static_cast<std::size_t>(ProbeOutcome::timed_out) + 1) << "each outcome has a case";
}

TEST(ProbeJudge, SaysWhyThereIsNoAnswer)
{
    EXPECT_EQ(judge(boost::asio::error::connection_refused, seconds(1)).detail, "Connection refused");
    EXPECT_EQ(judge(errc::timed_out, milliseconds(400)).detail, "no answer within 400ms");
    EXPECT_EQ(judge(errc::timed_out, microseconds(1500)).detail, "no answer within 1500us");
}

TEST(ProbeJudge, ExpectsAStatus)
{
    for (const unsigned status : {200U, 204U, 299U}) {
        const auto verdict = verdict_on(status, "");
        EXPECT_EQ(verdict.outcome, ProbeOutcome::ok) << status;
        EXPECT_EQ(verdict.detail, std::to_string(status) + " Phrase");
        EXPECT_FALSE(verdict.wrong_status);
    }
    for (const unsigned status : {199U, 300U, 404U, 503U, 999U}) {
        const auto verdict = verdict_on(status, "");
        EXPECT_EQ(verdict.outcome, ProbeOutcome::failing) << status;
        EXPECT_EQ(verdict.shortcoming, "expected 200-299");
        EXPECT_TRUE(verdict.wrong_status);
    }
    const Expectation several{.statuses = {{200, 204}, {429, 429}}};
    EXPECT_EQ(verdict_on(429, "", several).outcome, ProbeOutcome::ok);
    EXPECT_EQ(verdict_on(205, "", several).shortcoming, "expected 200-204, 429");
}

TEST(ProbeJudge, ExpectsABody)
{
    const Expectation pong{.body = "pong"};
    EXPECT_EQ(verdict_on(200, "ping pong", pong).outcome, ProbeOutcome::ok);
    const auto verdict = verdict_on(200, "ping", pong);
    EXPECT_EQ(verdict.outcome, ProbeOutcome::failing);
    EXPECT_EQ(verdict.shortcoming, "its body does not contain 'pong'");
    EXPECT_FALSE(verdict.wrong_status);
    EXPECT_EQ(verdict_on(500, "ping", pong).shortcoming, "expected 200-299") << "the status comes first";
}

TEST(ProbeJudge, ExpectsAJsonField)
{
    struct Case {
        std::string field;
        std::string body;
        std::string shortcoming;
    };
    const std::vector<Case> cases{
        {"status=healthy", R"({"status":"healthy"})", ""},
        {"ready=true", R"({"ready":true})", ""},
        {"n=3", R"({"n":3})", ""},
        {"a=b=c", R"({"a":"b=c"})", ""},
        {"status=healthy", R"({"status":"unhealthy"})", "its status is 'unhealthy', not 'healthy'"},
        {"status=healthy", R"({"state":"healthy"})", "its body has no field 'status'"},
        {"status=healthy", "healthy", "its body is not a JSON object"},
        {"status=healthy", "", "its body is not a JSON object"},
        {"status=healthy", "[]", "its body is not a JSON object"},
        {"status=healthy", R"({"status":"healthy","status":"down"})", "its body is not a JSON object"},
        {"s=x", R"({"s":")" + std::string(100, 'y') + R"("})", "its s is '" + std::string(40, 'y') + "', not 'x'"},
    };
    for (const auto& [field, body, shortcoming] : cases) {
        const auto verdict = verdict_on(200, body, {.json_field = field});
        EXPECT_EQ(verdict.shortcoming, shortcoming) << body;
        EXPECT_EQ(verdict.outcome, shortcoming.empty() ? ProbeOutcome::ok : ProbeOutcome::failing) << body;
    }
}

TEST(ProbeJudge, WritesTheHostField)
{
    EXPECT_EQ(host_field({"example.org", 80}), "example.org");
    EXPECT_EQ(host_field({"example.org", 8080}), "example.org:8080");
    EXPECT_EQ(host_field({"::1", 80}), "[::1]");
    EXPECT_EQ(host_field({"::1", 81}), "[::1]:81");
}

} // namespace TEST_FILE
} // namespace hotspare::probe
