#include "monitor/decide/maintenance.hpp"

#include "common/time.hpp"
#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <ctime>
#include <map>
#include <random>
#include <string>
#include <tuple>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using std::chrono::days;
using Phase = Maintenance::Phase;
using Due = Maintenance::Due;

const Instant now = *parse_rfc3339("2026-11-02T12:00:00Z"); // a Monday

Maintenance fresh()
{
    return Maintenance({.components = {"api", "web", "mail"}});
}

WindowPlan plan(milliseconds ahead = 72h, milliseconds length = 2h, std::vector<std::string> components = {"api"})
{
    return {.message = "We replace a disk.",
            .start = now + ahead,
            .end = now + ahead + length,
            .components = std::move(components)};
}

template <class T> std::string wrong(const Accepted<T>& result)
{
    return result ? "none" : result.error().field;
}

std::vector<Notice> notices(const Due& due)
{
    std::vector<Notice> result;
    for (const auto& notice : due.notices) result.push_back(notice.notice);
    return result;
}

std::vector<WindowState> states(const Due& due)
{
    std::vector<WindowState> result;
    for (const auto& transition : due.transitions) result.push_back(transition.to);
    return result;
}

using Notices = std::vector<Notice>;
using States = std::vector<WindowState>;

// ------------------------------------------------------------------------------------------------------- what is
// refused

TEST(Maintenance, IsAnnouncedFortyEightHoursAheadToTheMillisecond)
{
    auto m = fresh();
    const auto late = m.create(plan(48h - 1ms), now);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error(),
              (Refusal{"start_time", "start_time must be at least 48 h ahead unless it is an emergency"}));
    EXPECT_TRUE(m.windows().empty());
    const auto accepted = m.create(plan(48h), now);
    ASSERT_TRUE(accepted);
    EXPECT_EQ(accepted->id, 1U);
    EXPECT_EQ(accepted->version, 0U);
    EXPECT_EQ(accepted->state, WindowState::scheduled);
    EXPECT_EQ(accepted->announced_at, now);
}

TEST(Maintenance, ComparesASeriesWithAHundredOthersAtOnce)
{
    const auto every_hour = [](milliseconds ahead, const char* zone) {
        auto series = plan(ahead, 10s);
        series.rrule = "FREQ=HOURLY";
        series.time_zone = zone;
        return series;
    };
    MaintenanceMemory memory;
    for (int i = 0; i < 120; ++i) {
        const auto one = every_hour(72h + i * 20s, i % 2 == 0 ? "" : "Europe/Berlin");
        memory.windows.push_back({.id = static_cast<std::uint64_t>(i + 1),
                                  .plan = one,
                                  .announced_end = one.end,
                                  .first = {one.start, one.end}});
    }
    memory.last_id = 120;
    Maintenance full({.components = {"api", "web", "mail"}}, std::move(memory));
    [[maybe_unused]] const auto begun = std::clock();
    EXPECT_TRUE(full.create(every_hour(72h + 10s, "America/New_York"), now)) << "between two of them, for 400 days";
    EXPECT_EQ(wrong(full.create(every_hour(73h + 15s, ""), now)), "start_time");
    EXPECT_TRUE(full.create(plan(72h + 50s, 10s), now)) << "once";
#ifndef HOTSPARE_SANITIZED // it would take ten times as long
    const auto taken = static_cast<double>(std::clock() - begun) / CLOCKS_PER_SEC;
    EXPECT_LT(taken, 1.) << "no check is made meanwhile";
#endif
}

TEST(Maintenance, AnEmergencyNeedsNoNoticeButMustNotHaveBegunMoreThanAMinuteAgo)
{
    for (const auto& [ahead, refused] :
         {std::pair<milliseconds, const char*>{0h, "none"}, {-1min, "none"}, {-1min - 1ms, "start_time"}}) {
        auto m = fresh();
        auto p = plan(ahead);
        p.emergency = true;
        EXPECT_EQ(wrong(m.create(p, now)), refused);
        if (std::string_view(refused) != "none") continue;
        const auto due = m.tick(now);
        EXPECT_EQ(m.windows()[0].state, WindowState::in_progress);
        ASSERT_EQ(due.notices.size(), 1U);
        EXPECT_EQ(due.notices[0].notice, Notice::start);
    }
    auto m = fresh();
    EXPECT_EQ(wrong(m.create(plan(-1ms), now)), "start_time");
    auto p = plan(-30s, 30s);
    p.emergency = true;
    EXPECT_EQ(wrong(m.create(p, now)), "end_time");
}

TEST(Maintenance, NamesTheFieldThatIsWrong)
{
    auto m = fresh();
    const auto with = [&](auto&& change) {
        auto p = plan();
        change(p);
        return wrong(m.create(p, now));
    };
    EXPECT_EQ(with([](auto& p) { p.end = p.start; }), "end_time");
    EXPECT_EQ(with([](auto& p) { p.end = p.start - 1h; }), "end_time");
    EXPECT_EQ(with([](auto& p) { p.end = p.start + days(31) + 1ms; }), "end_time");
    EXPECT_EQ(with([](auto& p) { p.start = now - 1ms; }), "start_time");
    EXPECT_EQ(with([](auto& p) { p.start = Instant(0ms), p.end = Instant(1h); }), "start_time");
    EXPECT_EQ(with([](auto& p) { p.start = now + days(400) + 1ms, p.end = p.start + 1h; }), "start_time");
    EXPECT_EQ(with([](auto& p) { p.message = ""; }), "message");
    EXPECT_EQ(with([](auto& p) { p.message = " \n\t"; }), "message");
    EXPECT_EQ(with([](auto& p) { p.message = std::string(16'385, 'x'); }), "message");
    EXPECT_EQ(with([](auto& p) { p.message = "\xc0\x80"; }), "message");
    EXPECT_EQ(with([](auto& p) { p.title = "two\nlines"; }), "title");
    EXPECT_EQ(with([](auto& p) { p.title = std::string(201, 'x'); }), "title");
    EXPECT_EQ(with([](auto& p) { p.components = {"api", "db"}; }), "components");
    EXPECT_EQ(with([](auto& p) { p.components = {"api", "api"}; }), "components");
    EXPECT_EQ(with([](auto& p) { p.rrule = "FREQ=MINUTELY"; }), "rrule");
    EXPECT_EQ(with([](auto& p) { p.rrule = "FREQ=DAILY", p.emergency = true; }), "rrule");
    EXPECT_EQ(with([](auto& p) { p.rrule = "FREQ=DAILY", p.time_zone = "Moon/Crater"; }), "time_zone");
    EXPECT_EQ(with([](auto& p) { p.time_zone = "Europe/Berlin"; }), "time_zone");
    EXPECT_TRUE(m.windows().empty());
    EXPECT_EQ(m.memory(), MaintenanceMemory{});
    EXPECT_EQ(with([](auto& p) {
                  p.message = "First line.\nÜber <b>alles</b>\t" + std::string(16'300, 'x');
                  p.title = std::string(200, 'x');
                  p.end = p.start + days(31);
              }),
              "none");
}

TEST(Maintenance, WindowsOfOneComponentMustNotOverlap)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(72h, 2h, {"api"}), now));
    EXPECT_EQ(wrong(m.create(plan(73h, 2h, {"web", "api"}), now)), "start_time");
    EXPECT_EQ(wrong(m.create(plan(71h, 4h, {}), now)), "start_time") << "no components are all of them";
    EXPECT_EQ(wrong(m.create(plan(73h, 2h, {"web"}), now)), "none");
    EXPECT_EQ(wrong(m.create(plan(74h, 2h, {"api"}), now)), "none") << "half-open: one begins where the other ends";
    EXPECT_EQ(wrong(m.create(plan(70h, 2h, {"api"}), now)), "none");
    ASSERT_TRUE(m.cancel(1, now));
    EXPECT_EQ(wrong(m.create(plan(72h, 2h, {"api"}), now)), "none") << "a cancelled one blocks no other";
}

TEST(Maintenance, ASeriesMustNotOverlapAnyOccurrenceOfAnother)
{
    auto m = fresh();
    auto weekly = plan(72h);
    weekly.rrule = "FREQ=WEEKLY";
    ASSERT_TRUE(m.create(weekly, now));
    EXPECT_EQ(wrong(m.create(plan(72h + days(70) + 1h), now)), "start_time");
    EXPECT_EQ(wrong(m.create(plan(72h + days(70) + 2h), now)), "none");
    auto daily = plan(100h);
    daily.rrule = "FREQ=DAILY";
    EXPECT_EQ(wrong(m.create(daily, now)), "none") << "at another hour";
    daily = plan(96h);
    daily.rrule = "FREQ=DAILY;INTERVAL=2";
    EXPECT_EQ(wrong(m.create(daily, now)), "start_time") << "they meet after some days";
}

TEST(Maintenance, TheNumberOfWindowsIsBounded)
{
    Maintenance m({.components = {"api"}, .most_windows = 2});
    ASSERT_TRUE(m.create(plan(72h), now));
    ASSERT_TRUE(m.create(plan(80h), now));
    EXPECT_EQ(wrong(m.create(plan(90h), now)), "id");
    ASSERT_TRUE(m.cancel(2, now));
    EXPECT_EQ(wrong(m.create(plan(90h), now)), "none");
}

// ------------------------------------------------------------------------------------------------------------- changes

TEST(Maintenance, MovedEarlierTheNoticeBeginsAgain)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(100h), now));
    EXPECT_EQ(wrong(m.change(1, plan(99h), now + 52h)), "start_time") << "47 h are left";
    EXPECT_EQ(wrong(m.change(1, plan(99h), now + 51h + 1ms)), "start_time");
    const auto moved = m.change(1, plan(99h), now + 51h);
    ASSERT_TRUE(moved);
    EXPECT_EQ(moved->announced_at, now + 51h);
    EXPECT_EQ(moved->version, 1U);
}

TEST(Maintenance, MovedLaterOrShortenedItKeepsItsNotice)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(72h), now));
    const auto later = m.change(1, plan(73h), now + 71h);
    ASSERT_TRUE(later);
    EXPECT_EQ(later->announced_at, now);
    EXPECT_EQ(wrong(m.change(1, plan(73h, 1h), now + 72h)), "none");
    EXPECT_EQ(wrong(m.change(1, plan(73h, 2h), now + 72h)), "start_time") << "longer again is a new announcement";
    EXPECT_EQ(wrong(m.change(1, plan(73h, 1h, {"api", "web"}), now + 72h)), "start_time") << "one component more";
    auto other_text = plan(73h, 1h);
    other_text.message = "We replace two disks.";
    EXPECT_EQ(wrong(m.change(1, other_text, now + 72h)), "none");
    auto recurring = other_text;
    recurring.rrule = "FREQ=DAILY";
    EXPECT_EQ(wrong(m.change(1, recurring, now + 72h)), "start_time");
}

TEST(Maintenance, MovedLaterItIsAnnouncedAgainWithItsNewTimes)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(72h), now));
    m.tick(now);
    auto other_text = plan(72h);
    other_text.message = "We replace two disks.";
    ASSERT_TRUE(m.change(1, other_text, now + 1h));
    EXPECT_EQ(notices(m.tick(now + 1h)), Notices{});
    ASSERT_TRUE(m.change(1, plan(80h), now + 1h));
    const auto due = m.tick(now + 1h);
    ASSERT_EQ(notices(due), Notices{Notice::announcement});
    EXPECT_EQ(due.notices[0].occurrence, (Span{now + 80h, now + 82h}));
}

TEST(Maintenance, AnEmergencyCannotBecomeAnAnnouncementTooLate)
{
    auto m = fresh();
    auto p = plan(47h);
    p.emergency = true;
    ASSERT_TRUE(m.create(p, now));
    EXPECT_EQ(wrong(m.change(1, plan(47h), now)), "start_time");
    EXPECT_EQ(wrong(m.change(1, plan(49h), now)), "none");
}

TEST(Maintenance, AChangeThatChangesNothingKeepsTheVersion)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(), now));
    EXPECT_EQ(m.change(1, plan(), now + 71h)->version, 0U);
    EXPECT_EQ(wrong(m.change(2, plan(), now)), "id");
}

TEST(Maintenance, WhatIsRefusedChangesNothing)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(), now));
    const auto before = m.memory();
    EXPECT_FALSE(m.change(1, plan(1h), now));
    EXPECT_FALSE(m.change(1, plan(72h, 0h), now));
    EXPECT_FALSE(m.cancel(7, now));
    EXPECT_EQ(m.memory(), before);
}

// -------------------------------------------------------------------------------------------------------------- states

TEST(Maintenance, BeginsAndEndsInTimeAndTellsEachOnce)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(72h), now));
    EXPECT_EQ(notices(m.tick(now)), Notices{Notice::announcement});
    EXPECT_EQ(notices(m.tick(now)), Notices{});
    EXPECT_EQ(m.wake_at(), now + 48h);
    EXPECT_EQ(notices(m.tick(now + 48h - 1ms)), Notices{});
    EXPECT_EQ(notices(m.tick(now + 48h)), Notices{Notice::day_before});
    EXPECT_EQ(m.wake_at(), now + 72h);
    EXPECT_EQ(states(m.tick(now + 72h - 1ms)), States{});
    const auto begin = m.tick(now + 72h);
    EXPECT_EQ(states(begin), States{WindowState::in_progress});
    EXPECT_EQ(notices(begin), Notices{Notice::start});
    EXPECT_EQ(m.wake_at(), now + 74h);
    const auto end = m.tick(now + 74h);
    EXPECT_EQ(states(end), States{WindowState::completed});
    EXPECT_EQ(notices(end), Notices{Notice::end});
    EXPECT_EQ(m.wake_at(), forever);
    EXPECT_TRUE(m.tick(now + 99h).notices.empty());
    EXPECT_EQ(wrong(m.cancel(1, now + 99h)), "state");
    EXPECT_EQ(wrong(m.change(1, plan(200h), now + 99h)), "state");
}

TEST(Maintenance, ALateDaemonSkipsNoticesInsteadOfSendingThemAllAtOnce)
{
    const auto late = [](milliseconds when) {
        auto m = fresh();
        EXPECT_TRUE(m.create(plan(72h), now));
        return m.tick(now + when);
    };
    EXPECT_EQ(notices(late(60h)), Notices{Notice::day_before});
    EXPECT_EQ(notices(late(73h)), Notices{Notice::start});
    const auto after = late(74h + 30min);
    EXPECT_EQ(notices(after), Notices{Notice::end});
    EXPECT_EQ(states(after), (States{WindowState::in_progress, WindowState::completed}));
    EXPECT_EQ(after.transitions[0].at, now + 72h) << "when it was due";
    EXPECT_EQ(after.transitions[1].at, now + 74h);
    EXPECT_EQ(notices(late(75h)), Notices{}) << "an hour later it is no news";
}

TEST(Maintenance, AnEmergencyThatBeginsNowIsToldOnce)
{
    auto m = fresh();
    auto p = plan(0h);
    p.emergency = true;
    ASSERT_TRUE(m.create(p, now));
    EXPECT_EQ(notices(m.tick(now)), Notices{Notice::start});
    EXPECT_EQ(notices(m.tick(now + 2h)), Notices{Notice::end});
    p = plan(20h);
    p.emergency = true;
    ASSERT_TRUE(m.create(p, now + 2h));
    EXPECT_EQ(notices(m.tick(now + 2h)), Notices{Notice::announcement});
    EXPECT_EQ(notices(m.tick(now + 19h)), Notices{}) << "less than a day before there is no day before";
}

TEST(Maintenance, CancelledInProgressItEndsNow)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(72h), now));
    m.tick(now + 72h);
    const auto cancelled = m.cancel(1, now + 73h);
    ASSERT_TRUE(cancelled);
    EXPECT_EQ(cancelled->plan.end, now + 73h);
    EXPECT_EQ(cancelled->state, WindowState::cancelled);
    EXPECT_EQ(notices(m.tick(now + 73h)), Notices{Notice::end});
    EXPECT_EQ(notices(m.tick(now + 74h)), Notices{});
    EXPECT_EQ(m.announced("api", {now, now + 99h}), (std::vector<Span>{{now + 72h, now + 73h}}));
}

TEST(Maintenance, CancelledBeforeItsStartItIsToldToThoseWhoKnewOfIt)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(72h), now));
    m.tick(now);
    ASSERT_TRUE(m.cancel(1, now + 1h));
    EXPECT_EQ(notices(m.tick(now + 1h)), Notices{Notice::cancellation});
    EXPECT_EQ(notices(m.tick(now + 2h)), Notices{});
    EXPECT_TRUE(m.announced("api", {now, now + 99h}).empty());
    ASSERT_TRUE(m.create(plan(72h), now + 2h));
    ASSERT_TRUE(m.cancel(2, now + 2h));
    EXPECT_EQ(notices(m.tick(now + 2h)), Notices{}) << "its announcement was not sent yet";
}

TEST(Maintenance, WhatLiesBehindItsEarliestEndIsNotAnnounced)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(72h, 2h), now));
    m.tick(now + 72h);
    const Span all{now, now + 99h};
    ASSERT_TRUE(m.change(1, plan(72h, 5h), now + 73h)) << "extended";
    EXPECT_EQ(m.announced("api", all), (std::vector<Span>{{now + 72h, now + 74h}}));
    ASSERT_TRUE(m.change(1, plan(72h, 90min), now + 73h)) << "shortened";
    EXPECT_EQ(m.announced("api", all), (std::vector<Span>{{now + 72h, now + 73h + 30min}}));
    ASSERT_TRUE(m.change(1, plan(72h, 2h), now + 73h)) << "and back";
    EXPECT_EQ(m.announced("api", all), (std::vector<Span>{{now + 72h, now + 73h + 30min}}));
    EXPECT_EQ(m.find(1)->version, 3U);
    EXPECT_TRUE(states(m.tick(now + 73h + 40min)).empty()) << "it lasts until its present end";
    m.tick(now + 74h);
    EXPECT_EQ(m.announced("api", all), (std::vector<Span>{{now + 72h, now + 73h + 30min}})) << "also when it is over";
}

TEST(Maintenance, InProgressOnlyItsEndAndTextsChange)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(72h), now));
    ASSERT_TRUE(m.create(plan(76h), now));
    m.tick(now + 72h);
    const auto with = [&](auto&& change) {
        auto p = plan(72h);
        change(p);
        return wrong(m.change(1, p, now + 73h));
    };
    EXPECT_EQ(with([](auto& p) { p.start += 1ms; }), "start_time");
    EXPECT_EQ(with([](auto& p) { p.components = {"web"}; }), "components");
    EXPECT_EQ(with([](auto& p) { p.emergency = true; }), "emergency");
    EXPECT_EQ(with([](auto& p) { p.rrule = "FREQ=DAILY"; }), "rrule");
    EXPECT_EQ(with([](auto& p) { p.end = now + 73h; }), "end_time");
    EXPECT_EQ(with([](auto& p) { p.end = p.start + days(32); }), "end_time");
    EXPECT_EQ(with([](auto& p) { p.end = now + 76h + 1ms; }), "start_time") << "overlaps the next window";
    EXPECT_EQ(with([](auto& p) { p.end = now + 76h; }), "none");
    EXPECT_EQ(with([](auto& p) { p.message = "Nearly done.", p.end = now + 76h; }), "none");
}

TEST(Maintenance, ClosesPoolsOnlyOfABalancerThatMayBeOperated)
{
    Maintenance m({.components = {"api", "web", "mail"}, .operated = {"web"}});
    auto p = plan(72h, 2h, {"api", "mail"});
    p.close_pools = true;
    const auto refused = m.create(p, now);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(),
              (Refusal{"close_pools", "none of its components is a balancer that this monitor may operate"}));
    p.components = {"api", "web"};
    ASSERT_TRUE(m.create(p, now));
    auto all = plan(80h, 2h, {});
    all.close_pools = true;
    EXPECT_EQ(wrong(m.create(all, now)), "none");
    EXPECT_EQ(wrong(fresh().create(all, now)), "close_pools");
}

TEST(Maintenance, ClosingPoolsMayChangeAtAnyTimeAndIsNoNewAnnouncement)
{
    Maintenance m({.components = {"api"}, .operated = {"api"}});
    auto p = plan(72h);
    ASSERT_TRUE(m.create(p, now));
    p.close_pools = true;
    const auto late = m.change(1, p, now + 71h);
    ASSERT_TRUE(late);
    EXPECT_EQ(late->announced_at, now);
    m.tick(now + 72h);
    p.close_pools = false;
    const auto during = m.change(1, p, now + 73h);
    ASSERT_TRUE(during);
    EXPECT_FALSE(during->plan.close_pools);
    EXPECT_EQ(during->version, 2U);
    EXPECT_EQ(during->announced_end, now + 74h);
}

// -------------------------------------------------------------------------------------------------------------- series

TEST(Maintenance, ASeriesGoesOnWithItsNextOccurrence)
{
    auto m = fresh();
    auto p = plan(72h);
    p.rrule = "FREQ=WEEKLY;COUNT=2";
    ASSERT_TRUE(m.create(p, now));
    EXPECT_EQ(notices(m.tick(now)), Notices{Notice::announcement});
    m.tick(now + 48h);
    m.tick(now + 72h);
    const auto end = m.tick(now + 74h);
    EXPECT_EQ(states(end), States{WindowState::scheduled});
    EXPECT_EQ(m.find(1)->plan.start, now + 72h + days(7));
    EXPECT_EQ(notices(end), Notices{Notice::end});
    EXPECT_EQ(notices(m.tick(now + 48h + days(7))), Notices{Notice::day_before}) << "no second announcement";
    EXPECT_EQ(notices(m.tick(now + 72h + days(7))), Notices{Notice::start});
    EXPECT_EQ(states(m.tick(now + 74h + days(7))), States{WindowState::completed});
    EXPECT_EQ(m.announced("api", {now, forever}).size(), 2U);
}

TEST(Maintenance, ALateDaemonCatchesUpWithASeries)
{
    auto m = fresh();
    auto p = plan(72h);
    p.rrule = "FREQ=DAILY";
    ASSERT_TRUE(m.create(p, now));
    m.tick(now);
    const auto due = m.tick(now + days(13) + 1h); // the eleventh is in progress
    EXPECT_EQ(notices(due), Notices{Notice::start});
    EXPECT_EQ(due.transitions.size(), 21U);
    EXPECT_EQ(m.memory().past.size(), 10U);
    EXPECT_EQ(m.banner(now + days(13) + 1h), (Maintenance::Banner{Phase::in_progress, 1}));
}

TEST(Maintenance, AnExtensionMustNotReachTheNextOccurrence)
{
    auto m = fresh();
    auto p = plan(72h, 20h);
    p.rrule = "FREQ=DAILY";
    ASSERT_TRUE(m.create(p, now));
    m.tick(now + 72h);
    p.end = p.start + 24h + 1ms;
    EXPECT_EQ(wrong(m.change(1, p, now + 73h)), "end_time");
    p.end = p.start + 24h;
    EXPECT_EQ(wrong(m.change(1, p, now + 73h)), "none");
    m.tick(now + 96h);
    EXPECT_EQ(m.find(1)->plan.end, now + 96h + 20h) << "the next one is as long as the first";
    EXPECT_EQ(m.announced("api", {now, now + 96h}), (std::vector<Span>{{now + 72h, now + 92h}}));
}

TEST(Maintenance, AShortenedOccurrenceFreesTheRestOfItsTime)
{
    auto m = fresh();
    auto p = plan(72h, 10h);
    p.rrule = "FREQ=DAILY";
    ASSERT_TRUE(m.create(p, now));
    m.tick(now + 72h);
    p.end = p.start + 2h;
    ASSERT_TRUE(m.change(1, p, now + 73h));
    EXPECT_EQ(m.announced("api", {now, now + 90h}), (std::vector<Span>{{now + 72h, now + 74h}}));
    auto emergency = plan(75h, 2h);
    emergency.emergency = true;
    EXPECT_EQ(wrong(m.create(emergency, now + 73h)), "none");
}

TEST(Maintenance, ListsItsComingOccurrences)
{
    auto m = fresh();
    auto p = plan(72h);
    p.rrule = "FREQ=MONTHLY;BYMONTHDAY=5";
    ASSERT_TRUE(m.create(p, now));
    const auto upcoming = m.upcoming(*m.find(1), now, 3);
    ASSERT_EQ(upcoming.size(), 3U);
    EXPECT_EQ(upcoming[2].begin, *parse_rfc3339("2027-01-05T12:00:00Z"));
    EXPECT_EQ(m.upcoming(*m.find(1), upcoming[0].end, 1)[0], upcoming[1]);
    EXPECT_EQ(m.announced("api", {now, now + days(40)}), (std::vector<Span>{upcoming[0], upcoming[1]}));
}

// ------------------------------------------------------------------------------------------------------ banner, uptime

TEST(Maintenance, TheBannerShowsFromFortyEightHoursBeforeUntilTheEnd)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(72h), now));
    const auto phase = [&](milliseconds after) { return m.banner(now + after).phase; };
    EXPECT_EQ(phase(24h - 1ms), Phase::none);
    EXPECT_EQ(phase(24h), Phase::announced);
    EXPECT_EQ(phase(72h - 1ms), Phase::announced);
    EXPECT_EQ(phase(72h), Phase::in_progress);
    EXPECT_EQ(phase(74h - 1ms), Phase::in_progress);
    EXPECT_EQ(phase(74h), Phase::none);
    ASSERT_TRUE(m.create(plan(73h, 3h, {"web"}), now));
    EXPECT_EQ(m.banner(now + 73h).window, 2U) << "the one that ends last";
    EXPECT_EQ(m.banner(now + 60h).window, 1U) << "the one that starts first";
}

TEST(Maintenance, OnlyAnnouncedWindowsOfTheComponentCountForItsUptime)
{
    auto m = fresh();
    ASSERT_TRUE(m.create(plan(72h, 2h, {"api"}), now));
    ASSERT_TRUE(m.create(plan(73h, 3h, {"web"}), now));
    ASSERT_TRUE(m.create(plan(80h, 1h, {}), now));
    auto emergency = plan(0h, 1h, {"api"});
    emergency.emergency = true;
    ASSERT_TRUE(m.create(emergency, now));
    const Span all{now, now + 99h};
    EXPECT_EQ(m.announced("api", all).size(), 2U) << "without the emergency, which is scheduled, too";
    m.tick(now + 72h + 30min);
    EXPECT_EQ(m.announced("api", all), (std::vector<Span>{{now + 72h, now + 74h}, {now + 80h, now + 81h}}));
    EXPECT_EQ(m.announced("mail", all), (std::vector<Span>{{now + 80h, now + 81h}}));
    m.tick(now + 99h);
    EXPECT_EQ(m.announced("api", all).size(), 2U) << "over, but not forgotten";
    m.forget(now + 75h);
    EXPECT_EQ(m.announced("api", all), (std::vector<Span>{{now + 80h, now + 81h}}));
    EXPECT_EQ(m.windows().size(), 2U);
}

/// Whatever operators do and however late the daemon is: no window starts without its notice, none goes back in its
/// states, no notice comes twice, nothing overlaps, and a restart changes nothing.
TEST(Maintenance, KeepsItsPromisesUnderAnyCommands)
{
    test::check_property(150, [](std::uint32_t seed) {
        std::mt19937 random(seed);
        const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
        auto m = fresh();
        Instant t = now;
        std::map<std::tuple<std::uint64_t, Notice, Instant, Instant>, std::uint32_t> told;
        for (int i = 0; i < 60; ++i) {
            if (below(3) > 0) t += std::chrono::minutes(below(60 * 30));
            const Instant wake = m.wake_at();
            const auto due = m.tick(t);
            if (wake > t) {
                RC_ASSERT(due.transitions.empty());
                RC_ASSERT(due.notices.empty());
            }
            RC_ASSERT(m.wake_at() > t);
            for (const auto& notice : due.notices) {
                const std::uint32_t version = m.find(notice.window)->version;
                const auto [it, first] = told.emplace(
                    std::tuple(notice.window, notice.notice, notice.occurrence.begin, notice.occurrence.end), version);
                RC_ASSERT(first || it->second != version);
                it->second = version;
            }
            const Due again = m.tick(t);
            RC_ASSERT(again.transitions.empty());
            RC_ASSERT(again.notices.empty());

            const auto before = m.memory();
            auto p = plan(t - now + std::chrono::minutes(below(60 * 120)), std::chrono::minutes(1 + below(600)));
            if (below(2) == 0) p.components = {below(2) == 0 ? "web" : "mail"};
            if (below(4) == 0) p.rrule = below(2) == 0 ? "FREQ=DAILY" : "FREQ=WEEKLY;COUNT=3";
            p.emergency = below(4) == 0;
            const auto id = static_cast<std::uint64_t>(below(6));
            bool accepted = false;
            switch (below(4)) {
            case 0: accepted = m.create(p, t).has_value(); break;
            case 1: accepted = m.cancel(id, t).has_value(); break;
            case 2:
                if (const Window* w = m.find(id)) { // only its end
                    p = w->plan;
                    p.end += std::chrono::minutes(below(240) - 120);
                }
                [[fallthrough]];
            default: accepted = m.change(id, p, t).has_value();
            }
            if (!accepted) RC_ASSERT(m.memory() == before);

            for (const Window& w : m.windows()) {
                if (!w.over() && !w.plan.emergency) RC_ASSERT(w.first.begin - w.announced_at >= 48h);
                if (w.state == WindowState::scheduled) RC_ASSERT(t <= w.plan.start);
                if (w.state == WindowState::in_progress) RC_ASSERT(w.plan.start <= t && t < w.plan.end);
                RC_ASSERT(w.plan.start <= w.plan.end);
                for (const Window& other : m.windows()) {
                    const bool shared = w.plan.components.empty() || other.plan.components.empty() ||
                                        w.plan.components == other.plan.components;
                    if (w.id < other.id && !w.over() && !other.over() && shared)
                        RC_ASSERT(!(Span{w.plan.start, w.plan.end}.overlaps({other.plan.start, other.plan.end})));
                }
            }
            if (below(5) == 0) m = Maintenance({.components = {"api", "web", "mail"}}, m.memory());
        }
    });
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
