#include "monitor/requests/window_plan.hpp"

#include "common/json_document.hpp"
#include "common/time.hpp"
#include "monitor/requests/members.hpp"
#include "tests/support/property.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr Instant start{std::chrono::sys_days(std::chrono::year(2026) / 11 / 2) + 22h};

Json least()
{
    return {{"start_time", "2026-11-02T22:00:00Z"}, {"end_time", "2026-11-03T00:00:00Z"}, {"message", "New disks"}};
}

WindowPlan full()
{
    return {.title = "Disks",
            .message = "New disks",
            .start = start,
            .end = start + 2h,
            .components = {"api", "web"},
            .impact = Impact::major,
            .rrule = "FREQ=WEEKLY",
            .time_zone = "Europe/Berlin",
            .emergency = true,
            .close_pools = true};
}

Json document_of(const WindowPlan& plan)
{
    return {{"title", plan.title},
            {"message", plan.message},
            {"start_time", format_rfc3339(WallTime(plan.start))},
            {"end_time", format_rfc3339(WallTime(plan.end))},
            {"components", plan.components},
            {"impact", to_string(plan.impact)},
            {"rrule", plan.rrule},
            {"time_zone", plan.time_zone},
            {"emergency", plan.emergency},
            {"close_pools", plan.close_pools}};
}

/// What a document with these members beside the required ones is refused for.
Refusal refusal_of(const Json& members)
{
    Json document = least();
    document.update(members);
    const auto plan = read_window_plan(document);
    EXPECT_FALSE(plan) << document.dump();
    return plan ? Refusal{} : plan.error();
}

TEST(WindowPlanRequest, TakesTheRequiredMembersAndDefaults)
{
    const auto plan = read_window_plan(least());
    ASSERT_TRUE(plan);
    EXPECT_EQ(*plan, (WindowPlan{.message = "New disks", .start = start, .end = start + 2h}));
}

TEST(WindowPlanRequest, TakesAllMembers)
{
    const auto plan = read_window_plan(document_of(full()));
    ASSERT_TRUE(plan);
    EXPECT_EQ(*plan, full());
}

TEST(WindowPlanRequest, NullIsTheDefault)
{
    Json document = document_of(full());
    for (const char* name : {"title", "components", "impact", "rrule", "time_zone", "emergency", "close_pools"})
        document[name] = nullptr;
    const auto plan = read_window_plan(document);
    ASSERT_TRUE(plan);
    EXPECT_EQ(*plan, (WindowPlan{.message = "New disks", .start = start, .end = start + 2h}));
}

TEST(WindowPlanRequest, TimesAreConvertedToUtc)
{
    for (const char* text : {"2026-11-02T22:00:00Z", "2026-11-02T23:00:00+01:00", "2026-11-03T03:30:00.000+05:30",
                             "2026-11-02T20:00:00-02:00", "2026-11-02t22:00:00z"}) {
        Json document = least();
        document["start_time"] = text;
        const auto plan = read_window_plan(document);
        ASSERT_TRUE(plan) << text;
        EXPECT_EQ(plan->start, start) << text;
    }
}

TEST(WindowPlanRequest, RefusesWhatIsNoTime)
{
    const struct {
        std::string text, message;
    } cases[] = {
        {"2026-11-02T22:00:00", "start_time must have a zone, for example 2026-11-02T22:00:00Z"},
        {"2026-11-02T22:00:00.5", "start_time must have a zone, for example 2026-11-02T22:00:00Z"},
        {"2026-11-02T24:61:00Z", "start_time is not a valid time: hour 24 is not in 00 to 23"},
        {"2026-11-02T23:61:00Z", "start_time is not a valid time: minute 61 is not in 00 to 59"},
        {"2026-13-02T22:00:00Z", "start_time is not a valid time: month 13 is not in 01 to 12"},
        {"2026-02-30T22:00:00Z", "start_time is not a valid time: February 2026 has no day 30"},
        {"2027-02-29T22:00:00Z", "start_time is not a valid time: February 2027 has no day 29"},
        {"2016-12-31T23:59:60Z", "start_time must not be a leap second"},
        {"2017-01-01T00:59:60+01:00", "start_time must not be a leap second"},
        {"1999-12-31T23:59:59Z", "start_time is not a valid time: year 1999 is before 2000"},
        {"2000-01-01T00:30:00+01:00", "start_time is not a valid time: year 1999 is before 2000"},
        {"1900-01-01T00:00:00Z", "start_time is not a valid time: year 1900 is before 1970"},
        {"2201-01-01T00:00:00Z", "start_time is not a valid time: year 2201 is after 2200"},
    };
    for (const auto& one : cases)
        EXPECT_EQ(refusal_of({{"start_time", one.text}}), (Refusal{"start_time", one.message})) << one.text;
    for (const char* text : {"", "tomorrow", "2026-11-02", "2026-11-02T22:00", "2026-11-02 22:00:00Z",
                             " 2026-11-02T22:00:00Z", "2026-11-02T22:00:00Z ", "2026-11-02T22:00:00+0100", "1793656800",
                             "2026-11-02T22:00:00ZZ", "2026-11-02T22:00:00 UTC"}) {
        const Refusal refusal = refusal_of({{"end_time", text}});
        EXPECT_EQ(refusal.field, "end_time") << text;
        EXPECT_LT(refusal.message.size(), 200U) << text;
    }
    EXPECT_EQ(refusal_of({{"end_time", std::string(1'000'000, '9')}}).field, "end_time");
}

TEST(WindowPlanRequest, RefusesAWrongTypeNamingIt)
{
    const struct {
        const char* field;
        Json value;
        std::string message;
    } cases[] = {
        {"start_time", 1'793'656'800, "start_time must be a string, not a number"},
        {"start_time", nullptr, "start_time is required"},
        {"end_time", Json::array(), "end_time must be a string, not an array"},
        {"message", Json::object(), "message must be a string, not an object"},
        {"message", nullptr, "message is required"},
        {"title", 7, "title must be a string, not a number"},
        {"components", "api", "components must be an array of strings, not a string"},
        {"components", {"api", 7}, "components must be an array of strings, and item 2 is a number"},
        {"components", Json::array({nullptr}), "components must be an array of strings, and item 1 is null"},
        {"impact", "huge", "impact must be one of none, minor, major, critical"},
        {"impact", "Minor", "impact must be one of none, minor, major, critical"},
        {"impact", 1, "impact must be a string, not a number"},
        {"rrule", true, "rrule must be a string, not a boolean"},
        {"time_zone", 1.5, "time_zone must be a string, not a number"},
        {"emergency", "true", "emergency must be true or false, not a string"},
        {"emergency", 1, "emergency must be true or false, not a number"},
    };
    for (const auto& one : cases)
        EXPECT_EQ(refusal_of({{one.field, one.value}}), (Refusal{one.field, one.message})) << one.message;
}

TEST(WindowPlanRequest, RefusesAnUnknownMemberByName)
{
    EXPECT_EQ(refusal_of({{"starts", 1}}),
              (Refusal{"starts", "starts is not a member of the document, which has start_time, end_time, message, "
                                 "title, components, impact, rrule, time_zone, emergency, close_pools"}));
    EXPECT_EQ(refusal_of({{"", 1}}).message.substr(0, 28), "the empty name is not a memb");
    for (const std::string& name : {std::string("a\x1b[31m\n"), std::string(1'000'000, 'x'), std::string("a\0b", 3)}) {
        const Refusal refusal = refusal_of({{name, 1}});
        EXPECT_LT(refusal.field.size(), 80U);
        EXPECT_EQ(refusal.field.find_first_of(std::string_view("\x1b\n\0", 3)), std::string::npos);
    }
}

TEST(WindowPlanRequest, RefusesWhatIsNoObject)
{
    for (const auto& [document, kind] : std::vector<std::pair<Json, std::string>>{{nullptr, "null"},
                                                                                  {Json::array(), "an array"},
                                                                                  {7, "a number"},
                                                                                  {"text", "a string"},
                                                                                  {true, "a boolean"}}) {
        const Refusal expected{"body", "the body must be a JSON object, not " + kind};
        ASSERT_FALSE(read_window_plan(document));
        EXPECT_EQ(read_window_plan(document).error(), expected);
        EXPECT_EQ(change_window_plan(full(), document).error(), expected);
    }
}

TEST(WindowPlanRequest, AsksForEachRequiredMember)
{
    for (const char* name : {"start_time", "end_time", "message"}) {
        Json document = least();
        document.erase(name);
        const auto plan = read_window_plan(document);
        ASSERT_FALSE(plan);
        EXPECT_EQ(plan.error(), (Refusal{name, std::string(name) + " is required"}));
    }
    EXPECT_EQ(read_window_plan(Json::object()).error().field, "start_time");
}

TEST(WindowPlanChange, WhatIsAbsentStays)
{
    EXPECT_EQ(*change_window_plan(full(), Json::object()), full());
    WindowPlan moved = full();
    moved.end += 1h;
    EXPECT_EQ(*change_window_plan(full(), {{"end_time", "2026-11-03T01:00:00Z"}}), moved);
}

TEST(WindowPlanChange, NullSetsTheDefault)
{
    const struct {
        const char* field;
        void (*clear)(WindowPlan&);
    } cases[] = {{"title", [](WindowPlan& p) { p.title.clear(); }},
                 {"components", [](WindowPlan& p) { p.components.clear(); }},
                 {"impact", [](WindowPlan& p) { p.impact = Impact::minor; }},
                 {"rrule", [](WindowPlan& p) { p.rrule.clear(); }},
                 {"time_zone", [](WindowPlan& p) { p.time_zone.clear(); }},
                 {"emergency", [](WindowPlan& p) { p.emergency = false; }}};
    for (const auto& one : cases) {
        WindowPlan expected = full();
        one.clear(expected);
        const auto plan = change_window_plan(full(), {{one.field, nullptr}});
        ASSERT_TRUE(plan) << one.field;
        EXPECT_EQ(*plan, expected) << one.field;
    }
}

TEST(WindowPlanChange, TheRequiredMembersCannotBeRemoved)
{
    for (const char* name : {"start_time", "end_time", "message"})
        EXPECT_EQ(change_window_plan(full(), {{name, nullptr}}).error(),
                  (Refusal{name, std::string(name) + " is required"}));
}

TEST(WindowPlanChange, AListIsReplacedAsAWhole)
{
    EXPECT_EQ(change_window_plan(full(), {{"components", {"mail"}}})->components, std::vector<std::string>{"mail"});
    EXPECT_TRUE(change_window_plan(full(), {{"components", Json::array()}})->components.empty());
}

TEST(WindowPlanRequest, ReadsBackWhatWasWritten)
{
    test::check_property(500, [] {
        // Of UTF-8, as a document that was read has nothing else.
        const auto word = rc::gen::container<std::string>(rc::gen::inRange('\x01', '\x7f'));
        const auto moment = rc::gen::map(rc::gen::inRange<std::int64_t>(946'684'800'000, 7'289'654'399'999),
                                         [](std::int64_t ms) { return Instant(milliseconds(ms)); });
        const WindowPlan plan{.title = *word,
                              .message = *word,
                              .start = *moment,
                              .end = *moment,
                              .components = *rc::gen::container<std::vector<std::string>>(word),
                              .impact = *rc::gen::element(Impact::none, Impact::minor, Impact::major, Impact::critical),
                              .rrule = *word,
                              .time_zone = *word,
                              .emergency = *rc::gen::arbitrary<bool>()};
        const Json document = read_json_document(json_text(document_of(plan)));
        const auto read = read_window_plan(document);
        RC_ASSERT(read.has_value());
        RC_ASSERT(*read == plan);
        const auto changed = change_window_plan(full(), document);
        RC_ASSERT(changed.has_value());
        RC_ASSERT(*changed == plan);
    });
}

TEST(ReadInstant, TellsTheFieldThatWasAsked)
{
    EXPECT_EQ(*read_instant("from", "1970-01-01T00:00:00Z"), Instant{});
    EXPECT_EQ(read_instant("from", "x").error().field, "from");
    EXPECT_EQ(read_instant("from", "1971-01-01T00:00:00Z", 1972).error().message,
              "from is not a valid time: year 1971 is before 1972");
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
