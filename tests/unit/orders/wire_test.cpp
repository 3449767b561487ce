#include "orders/wire.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace hotspare::orders::wire {
namespace TEST_FILE {

const WallTime moment{milliseconds(1'700'000'000'123)};

TEST(WorkProtocol, LeasesArriveAsTheyWereGiven)
{
    const auto call = parse_lease_call(to_json(LeaseCall{.worker = "w-1", .most = 7, .wait = milliseconds(250)}));
    ASSERT_TRUE(call);
    EXPECT_EQ(call->worker, "w-1");
    EXPECT_EQ(call->most, 7U);
    EXPECT_EQ(call->wait, milliseconds(250));

    LeaseAnswer answer{.lasts = seconds(30)};
    answer.jobs.push_back({.what = {"a", "b", 3},
                           .epoch = 9,
                           .attempts = 2,
                           .created = moment,
                           .generation = "g",
                           .tried_for = seconds(9)});
    const auto read = parse_lease_answer(to_json(answer));
    ASSERT_TRUE(read);
    ASSERT_EQ(read->jobs.size(), 1U);
    EXPECT_EQ(read->lasts, seconds(30));
    EXPECT_EQ(read->jobs[0].what, answer.jobs[0].what);
    EXPECT_EQ(read->jobs[0].epoch, 9);
    EXPECT_EQ(read->jobs[0].attempts, 2U);
    EXPECT_EQ(read->jobs[0].created, moment);
    EXPECT_EQ(read->jobs[0].generation, "g");
    EXPECT_EQ(read->jobs[0].tried_for, seconds(9));
}

TEST(WorkProtocol, SettlementsArriveAsTheyWereGiven)
{
    const std::vector<Settlement> sent{
        {.order_id = "a",
         .epoch = 1,
         .kind = Settlement::Kind::verdict,
         .status = Status::rejected,
         .reason = "no",
         .attempts = {{.at = moment, .took = milliseconds(3), .counts = true, .outcome = "rejected"}},
         .generation = "g"},
        {.order_id = "b",
         .epoch = 2,
         .kind = Settlement::Kind::retry,
         .reason = "r",
         .pause = milliseconds(120),
         .attempts = {}},
        {.order_id = "c",
         .epoch = 3,
         .kind = Settlement::Kind::snooze,
         .reason = "s",
         .pause = seconds(1),
         .attempts = {}}};
    const auto read = parse_settle_call(settle_call(sent));
    ASSERT_TRUE(read) << read.error().detail;
    ASSERT_EQ(read->size(), 3U);
    EXPECT_EQ((*read)[0].status, Status::rejected);
    EXPECT_EQ((*read)[0].generation, "g");
    EXPECT_EQ((*read)[1].generation, "");
    ASSERT_EQ((*read)[0].attempts.size(), 1U);
    EXPECT_EQ((*read)[0].attempts[0].at, moment);
    EXPECT_EQ((*read)[0].attempts[0].took, milliseconds(3));
    EXPECT_TRUE((*read)[0].attempts[0].counts);
    EXPECT_EQ((*read)[1].kind, Settlement::Kind::retry);
    EXPECT_EQ((*read)[1].pause, milliseconds(120));
    EXPECT_EQ((*read)[2].kind, Settlement::Kind::snooze);
    EXPECT_EQ((*read)[2].epoch, 3);
}

TEST(WorkProtocol, AnswersArriveAsTheyWereGiven)
{
    const std::vector<Settled> settled{Settled::applied, Settled::fenced, Settled::repeated, Settled::unknown};
    EXPECT_EQ(*parse_settle_answer(settle_answer(settled), 4), settled);
    EXPECT_FALSE(parse_settle_answer(settle_answer(settled), 3));
    const std::vector<bool> held{true, false};
    EXPECT_EQ(*parse_extend_answer(extend_answer(held), 2), held);
    const std::vector<Held> jobs{{"a", 4, "g"}, {"b", 5, {}}};
    EXPECT_EQ(*parse_extend_call(extend_call(jobs)), jobs);
}

TEST(WorkProtocol, WhatOneSideMaySendTheOtherAccepts)
{
    const std::vector<WallTime> moments{WallTime(seconds(-5)), WallTime{}, WallTime(seconds(4'102'444'800)),
                                        WallTime::max(), WallTime::min()};
    const std::vector<Duration> spans{Duration::zero(), std::chrono::hours(25), std::chrono::hours(24 * 365 * 50),
                                      Duration::max(), Duration(-1)};
    const std::vector<std::string> texts{"", std::string(100'000, 'x'), std::string(100'000, '\xff'),
                                         std::string(1'024, '\0')};
    for (const auto at : moments)
        for (const auto span : spans)
            for (const auto& text : texts) {
                Settlement settlement{.order_id = "a",
                                      .epoch = 1,
                                      .kind = Settlement::Kind::retry,
                                      .reason = text,
                                      .pause = span,
                                      .attempts = {{.at = at, .took = span, .counts = true, .outcome = text}}};
                const auto sent = settle_call({settlement}).dump(-1, ' ', false, Json::error_handler_t::replace);
                const auto read = parse_settle_call(Json::parse(sent));
                ASSERT_TRUE(read) << read.error().detail;
                LeaseAnswer answer{.lasts = span};
                answer.jobs.push_back({.what = {"a", "b", 3}, .epoch = 1, .created = at, .tried_for = span});
                const auto leased = parse_lease_answer(to_json(answer));
                ASSERT_TRUE(leased) << leased.error().detail;
            }
    const auto later = moments[2];
    const Settlement settlement{.order_id = "a",
                                .epoch = 1,
                                .status = Status::validated,
                                .attempts = {{.at = later, .took = std::chrono::hours(25), .outcome = "valid"}}};
    const auto read = parse_settle_call(settle_call({settlement}));
    ASSERT_TRUE(read);
    EXPECT_EQ(read->at(0).attempts.at(0).at, later) << "after 2038-01-19, as it was";
    EXPECT_EQ(read->at(0).attempts.at(0).took, std::chrono::hours(25));
}

TEST(WorkProtocol, AnOlderSideMayLeaveOutWhatItDoesNotKnow)
{
    auto answer = to_json(LeaseAnswer{.jobs = {{.what = {"a", "b", 3}, .epoch = 1}}, .lasts = seconds(1)});
    answer["jobs"][0].erase("generation");
    answer["jobs"][0].erase("tried_ms");
    const auto read = parse_lease_answer(answer);
    ASSERT_TRUE(read);
    EXPECT_EQ(read->jobs.at(0).generation, "");
    EXPECT_EQ(read->jobs.at(0).tried_for, Duration::zero());
    EXPECT_TRUE(parse_extend_call(Json{{"jobs", {{{"order_id", "a"}, {"epoch", 3}}}}}));
}

TEST(WorkProtocol, NamesTheFieldThatIsWrong)
{
    const auto field = [](const auto& parsed) { return parsed ? std::string("none") : parsed.error().member("field"); };
    EXPECT_EQ(field(parse_lease_call(Json{{"worker", "w"}, {"most", 0}, {"wait_ms", 1}})), "most");
    EXPECT_EQ(field(parse_lease_call(Json{{"worker", ""}, {"most", 1}, {"wait_ms", 1}})), "worker");
    EXPECT_EQ(field(parse_lease_call(Json{{"worker", "w"}, {"most", 1}})), "wait_ms");
    EXPECT_EQ(field(parse_lease_call(Json{{"worker", "w"}, {"most", 1}, {"wait_ms", 1}, {"wiat", 1}})), "wiat");
    auto call = settle_call({{.order_id = "a", .epoch = 1, .reason = "", .attempts = {}}});
    call["results"][0]["status"] = "Processing";
    EXPECT_EQ(field(parse_settle_call(call)), "results[0].status");
    call["results"][0]["kind"] = "maybe";
    EXPECT_EQ(field(parse_settle_call(call)), "results[0].kind");
    EXPECT_EQ(field(parse_settle_call(Json::array())), "body");
}

TEST(WorkProtocol, ANewerServiceMayAnswerMore)
{
    auto answer = to_json(LeaseAnswer{.jobs = {{.what = {"a", "b", 3}, .epoch = 1}}, .lasts = seconds(1)});
    answer["hint"] = "new";
    answer["jobs"][0]["priority"] = 3;
    EXPECT_TRUE(parse_lease_answer(answer));
}

TEST(WorkProtocol, PresenceArrivesAsItWasSent)
{
    for (const bool paused : {true, false}) {
        const auto read = parse_presence_call(to_json(PresenceCall{.worker = "w-1", .paused = paused}));
        ASSERT_TRUE(read);
        EXPECT_EQ(read->worker, "w-1");
        EXPECT_EQ(read->paused, paused);
    }
    for (const auto* body : {R"({"worker":"w"})", R"({"paused":true})", R"({"worker":" ","paused":true})",
                             R"({"worker":"w","paused":1})", R"({"worker":"w","paused":true,"more":1})", "[]"})
        EXPECT_FALSE(parse_presence_call(Json::parse(body))) << body;
}

} // namespace TEST_FILE
} // namespace hotspare::orders::wire
