#include "monitor/board/board.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using Kind = BoardEvent::Kind;

constexpr Instant start{std::chrono::sys_days(std::chrono::year(2026) / 11 / 10)};

BoardSettings settings()
{
    BoardSettings result;
    result.maintenance.components = {"api", "web"};
    result.notification.channels = {{.name = "mail"}};
    return result;
}

/// A board with the targets "api" and "web", which are checked every ten seconds.
class Bench {
public:
    explicit Bench(Instant since = start) : now(since)
    {
        for (const char* name : {"api", "web"}) add(name, {});
    }

    std::size_t add(const std::string& name, TargetPast past, std::optional<Instant> unobserved = {},
                    bool is_self = false)
    {
        const Target target{.id = static_cast<TargetId>(board.size() + 1),
                            .name = name,
                            .watched_since = now,
                            .rolled = RolledUntil::at(now)};
        return board.add(target, {.component = name, .is_self = is_self}, std::move(past), unobserved, now);
    }

    /// So many checks of "api" that find this, and of "web" that find it up.
    void checks(int count, State state = State::up)
    {
        for (int i = 0; i < count; ++i) {
            board.tick(now);
            const std::string cause = state == State::up ? "" : "connection refused";
            board.observe(0, {now, state, cause, state == State::down ? std::nullopt : std::optional(2ms)}, now);
            board.observe(1, {now, State::up, "", 1ms}, now);
            deliver();
            now += 10s;
        }
    }

    /// Everything that is due is told at once.
    void deliver()
    {
        for (const Delivery& delivery : board.take_deliveries(now)) {
            told.push_back(delivery.message);
            board.delivered(delivery.id, {.delivered = true}, now);
        }
        for (BoardEvent& event : board.take_events()) events.push_back(std::move(event));
    }

    Window announce(WindowPlan plan)
    {
        auto prepared = board.prepare_window(std::move(plan), now);
        if (!prepared) {
            ADD_FAILURE() << prepared.error().message;
            return {};
        }
        const Window window = prepared->window;
        board.adopt(*std::move(prepared), now);
        return window;
    }

    std::vector<Kind> kinds() const
    {
        std::vector<Kind> result;
        for (const BoardEvent& event : events) result.push_back(event.kind);
        return result;
    }

    Instant now;
    Board board{settings(), {}, {}, 1};
    std::vector<Message> told{};
    std::vector<BoardEvent> events{};
};

MonthReport november(const Bench& bench)
{
    return bench.board.report(0, std::chrono::year(2026) / 11, bench.now);
}

TEST(Board, TakesALostCheckForNoOutage)
{
    Bench bench;
    bench.checks(10);
    bench.checks(2, State::down);
    bench.checks(10);
    EXPECT_TRUE(bench.told.empty());
    EXPECT_EQ(bench.kinds(), (std::vector{Kind::state_changed, Kind::state_changed})) << "both came up at the start";
    EXPECT_EQ(november(bench).tally.down, 0ms);
}

TEST(Board, TellsAnOutageOnceAndItsEndWithTheDuration)
{
    Bench bench;
    bench.checks(10);
    const Instant failed_at = bench.now;
    bench.checks(6, State::down);
    EXPECT_EQ(bench.board.present(0).state, State::down);
    EXPECT_EQ(bench.board.present(0).since, failed_at);
    EXPECT_EQ(bench.board.present(1).state, State::up);
    bench.checks(20);
    ASSERT_EQ(bench.told.size(), 2U);
    EXPECT_EQ(bench.told[0].kind, Message::Kind::outage);
    EXPECT_EQ(bench.told[0].outages[0].target, "api");
    EXPECT_EQ(bench.told[0].outages[0].since, failed_at) << "backdated to the first failed check";
    EXPECT_EQ(bench.told[1].kind, Message::Kind::recovery);
    EXPECT_EQ(bench.told[1].outages[0].duration, 1min);
    const MonthReport report = november(bench);
    EXPECT_EQ(report.tally.down, 1min);
    EXPECT_EQ(report.incidents, 1U);
    const View view = bench.board.view(bench.now);
    ASSERT_EQ(view.incidents.size(), 1U);
    ASSERT_EQ(view.components.size(), 2U);
    EXPECT_EQ(view.components[0].days.back().causes, std::vector<std::string>{"connection refused"});
    EXPECT_TRUE(view.components[1].days.back().causes.empty());
}

TEST(Board, RefusesAWindowThatIsAnnouncedTooLateAndTakesOneInTime)
{
    Bench bench;
    WindowPlan plan{.message = "Disks.", .start = bench.now + 48h - 1min, .end = bench.now + 50h};
    const auto late = bench.board.prepare_window(plan, bench.now);
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().field, "start_time");
    plan.start = bench.now + 48h + 1min;
    EXPECT_EQ(bench.announce(plan).id, 1U);
    bench.board.tick(bench.now);
    bench.deliver();
    ASSERT_EQ(bench.told.size(), 1U);
    EXPECT_EQ(bench.told[0].notice, Notice::announcement);
}

TEST(Board, WhatIsPreparedAndNotAdoptedHasNotHappened)
{
    Bench bench;
    WindowPlan plan{.message = "Disks.", .start = bench.now + 49h, .end = bench.now + 50h};
    EXPECT_TRUE(bench.board.prepare_window(plan, bench.now));
    EXPECT_TRUE(bench.board.maintenance().windows().empty());
    EXPECT_TRUE(bench.board.take_events().empty());
    EXPECT_EQ(bench.announce(plan).id, 1U);
}

TEST(Board, AWindowBeginsThenEndsAndBothAreToldAndStored)
{
    Bench bench;
    bench.announce({.message = "Disks.", .start = bench.now + 49h, .end = bench.now + 50h, .components = {"api"}});
    bench.board.tick(bench.now);
    bench.deliver();
    EXPECT_EQ(bench.kinds(), std::vector{Kind::window_announced});
    bench.board.take_batch();
    const auto at = [&](milliseconds after) {
        bench.events.clear();
        bench.told.clear();
        bench.board.tick(start + after);
        bench.now = start + after;
        bench.deliver();
        return bench.board.take_batch();
    };
    at(26h); // the notice a day before
    const auto begun = at(49h);
    EXPECT_EQ(bench.kinds(), std::vector{Kind::window_started});
    ASSERT_EQ(bench.told.size(), 1U);
    EXPECT_EQ(bench.told[0].notice, Notice::start);
    EXPECT_TRUE(bench.board.present(0).maintenance);
    EXPECT_FALSE(bench.board.present(1).maintenance) << "the window is about another component";
    ASSERT_TRUE(begun && begun->maintenance);
    EXPECT_EQ(begun->maintenance->windows.at(0).state, WindowState::in_progress);
    const auto ended = at(50h);
    EXPECT_EQ(bench.kinds(), std::vector{Kind::window_ended});
    ASSERT_EQ(bench.told.size(), 1U);
    EXPECT_EQ(bench.told[0].notice, Notice::end);
    EXPECT_FALSE(bench.board.present(0).maintenance);
    ASSERT_TRUE(ended && ended->maintenance);
    EXPECT_EQ(ended->maintenance->windows.at(0).state, WindowState::completed);
    EXPECT_FALSE(at(51h)) << "once";
    EXPECT_TRUE(bench.events.empty());
    EXPECT_TRUE(bench.told.empty());
}

TEST(Board, WhatIsTakenToBeDeliveredAndWhatWasDeliveredIsStored)
{
    Bench bench;
    bench.announce({.message = "Disks.", .start = bench.now + 49h, .end = bench.now + 50h});
    bench.board.tick(bench.now);
    const auto deliveries = bench.board.take_deliveries(bench.now);
    ASSERT_EQ(deliveries.size(), 1U);
    const auto under_way = bench.board.take_batch();
    ASSERT_TRUE(under_way && under_way->notification);
    EXPECT_EQ(under_way->notification->queue.size(), 1U) << "it is attempted again after a crash";
    EXPECT_TRUE(bench.board.take_deliveries(bench.now).empty()) << "not twice at a time";
    bench.board.delivered(deliveries[0].id, {.delivered = true}, bench.now);
    const auto done = bench.board.take_batch();
    ASSERT_TRUE(done && done->notification) << "or it would be sent once more after a restart";
    EXPECT_TRUE(done->notification->queue.empty());
    // What could not be stored is in the next batch.
    bench.board.give_back(*done);
    const auto again = bench.board.take_batch();
    EXPECT_TRUE(again && again->notification && again->notification->queue.empty());
}

TEST(Board, WhatIsClosedOfABalancerIsNotSoBeforeItIsAdopted)
{
    Bench bench;
    const std::vector<ClosedBackend> closed{{.balancer = "lb", .backend = "a"}};
    EXPECT_EQ(bench.board.prepare_closed("lb", closed).closed, closed);
    EXPECT_TRUE(bench.board.maintenance().memory().closed.empty());
    bench.board.adopt_closed("lb", closed);
    EXPECT_EQ(bench.board.maintenance().memory().closed, closed);
    bench.board.adopt_closed("other", {});
    EXPECT_EQ(bench.board.maintenance().memory().closed, closed) << "of that balancer";
}

/// Down for half an hour, in a window of an hour or in none.
MonthReport half_an_hour_down(bool emergency)
{
    Bench bench;
    bench.announce({.message = "Disks.",
                    .start = bench.now + (emergency ? 1h : 49h),
                    .end = bench.now + (emergency ? 2h : 50h),
                    .components = {"api"},
                    .emergency = emergency});
    bench.checks((emergency ? 1 : 49) * 360 + 60);
    bench.checks(180, State::down);
    bench.checks(360);
    const bool told = std::any_of(bench.told.begin(), bench.told.end(),
                                  [](const Message& message) { return message.kind == Message::Kind::outage; });
    EXPECT_EQ(told, emergency) << "an announced outage is not notified";
    return november(bench);
}

TEST(Board, AnnouncedMaintenanceLowersTheRawFigureAndNotTheSla)
{
    const MonthReport report = half_an_hour_down(false);
    EXPECT_EQ(report.tally.window_down, 30min);
    EXPECT_EQ(report.tally.down, 0ms);
    EXPECT_LT(report.tally.raw().value_or(1), 1.);
    EXPECT_EQ(report.tally.sla().value_or(0), 1.);
    EXPECT_EQ(report.incidents, 0U);
}

TEST(Board, AnEmergencyCounts)
{
    const MonthReport report = half_an_hour_down(true);
    EXPECT_EQ(report.tally.down, 30min);
    EXPECT_LT(report.tally.sla().value_or(1), 1.);
    EXPECT_EQ(report.incidents, 1U);
}

TEST(Board, DoesNotKnowWhatWasWhileItDidNotRun)
{
    Bench before;
    before.checks(30);
    Bench after(before.now + 1h);
    TargetPast past;
    past.memory.latest = before.now - 10s;
    past.memory.recorded = State::up;
    past.record.changes = {{start, State::up}};
    after.now = start;
    const std::size_t index = after.add("old", past, before.now);
    after.now = before.now + 1h;
    after.board.observe(index, {after.now, State::up, "", 1ms}, after.now);
    const auto report = after.board.report(index, std::chrono::year(2026) / 11, after.now);
    EXPECT_EQ(report.tally.unknown, 1h);
    EXPECT_EQ(report.tally.up, before.now - start);
}

TEST(Board, IsDownItselfWhileItDoesNotRun)
{
    Bench bench;
    TargetPast past;
    past.memory.latest = start + 5min;
    past.memory.recorded = State::up;
    past.record.changes = {{start, State::up}};
    const std::size_t index = bench.add("self", past, start + 5min, true);
    for (const auto at : {start + 7min, start + 7min + 1s, start + 7min + 2s})
        bench.board.observe(index, {at, State::up, "", 1ms}, at);
    const auto report = bench.board.report(index, std::chrono::year(2026) / 11, start + 10min);
    EXPECT_EQ(report.tally.down, 2min);
    EXPECT_EQ(report.tally.unknown, 0ms);
    EXPECT_EQ(report.incidents, 1U);
}

TEST(Board, GivesASampleToTheHistoryOnceAndAStepWithTheSampleThatLedToIt)
{
    Bench bench;
    bench.checks(1);
    auto batch = bench.board.take_batch();
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->steps.size(), 2U) << "both came up";
    EXPECT_EQ(batch->samples.size(), 2U);
    EXPECT_TRUE(bench.board.take_samples().empty());
    bench.checks(3);
    EXPECT_EQ(bench.board.take_samples().size(), 6U);
    EXPECT_FALSE(bench.board.take_batch()) << "nothing has changed";
}

TEST(Board, PutsABatchThatWasNotStoredBeforeTheNextOne)
{
    Bench bench;
    bench.checks(5);
    auto first = bench.board.take_batch();
    ASSERT_TRUE(first);
    const auto steps = first->steps.size();
    bench.checks(3, State::down);
    bench.board.give_back(*std::move(first));
    const auto both = bench.board.take_batch();
    ASSERT_TRUE(both);
    EXPECT_GT(both->steps.size(), steps);
    for (std::size_t i = 1; i < both->steps.size(); ++i)
        if (both->steps[i].target == both->steps[i - 1].target) {
            EXPECT_LE(both->steps[i - 1].memory.latest, both->steps[i].memory.latest) << i;
        }
}

TEST(Board, MakesEachRollupOnce)
{
    Bench bench(start - 24h - 10min);
    std::vector<std::pair<TargetId, Instant>> days;
    for (int hour = 0; hour < 26; ++hour) {
        bench.checks(360, hour == 3 ? State::down : State::up);
        if (const auto batch = bench.board.take_batch())
            for (const TargetRollups& one : batch->rollups)
                for (const UnitRollup& rollup : one.due.rollups)
                    if (rollup.unit == Unit::day) days.emplace_back(one.target, rollup.rollup.begin);
    }
    // 23:50 of the ninth to 01:50 of the eleventh: two days are over.
    EXPECT_EQ(days.size(), 4U);
    std::sort(days.begin(), days.end());
    EXPECT_EQ(std::adjacent_find(days.begin(), days.end()), days.end());
    const View view = bench.board.view(bench.now);
    ASSERT_EQ(view.components[0].days.size(), 3U);
    EXPECT_EQ(view.components[0].days[1].tally.total() + view.components[0].days[0].tally.total() +
                  view.components[0].days[2].tally.total(),
              bench.now - (start - 24h - 10min));
}

TEST(Board, TellsATargetThatAnswersWronglyFromOneThatDoesNotAnswer)
{
    using resilience::Health;
    Bench b;
    const auto see = [&](State state, bool unhealthy = false, const std::string& cause = "wrong") {
        b.board.observe(
            0, {.at = b.now, .state = state, .cause = state == State::up ? "" : cause, .unhealthy = unhealthy}, b.now);
        b.now += 10s;
    };
    EXPECT_EQ(b.board.health(0), Health::unknown);
    EXPECT_TRUE(b.board.in_doubt(0));
    see(State::up);
    EXPECT_EQ(b.board.health(0), Health::healthy);
    EXPECT_FALSE(b.board.in_doubt(0));
    see(State::down, true);
    EXPECT_EQ(b.board.health(0), Health::healthy) << "not confirmed";
    EXPECT_TRUE(b.board.in_doubt(0));
    see(State::down, true);
    see(State::down, true);
    EXPECT_EQ(b.board.health(0), Health::unhealthy);
    see(State::down);
    EXPECT_EQ(b.board.health(0), Health::down);
    see(State::up);
    EXPECT_EQ(b.board.health(0), Health::down);
    see(State::degraded, false, "slow");
    EXPECT_EQ(b.board.health(0), Health::degraded);
    EXPECT_EQ(b.board.present(0).cause, "slow");
    see(State::down);
    EXPECT_EQ(b.board.present(0).health, Health::degraded);
    EXPECT_EQ(b.board.present(0).cause, "slow") << "of what is confirmed";
    see(State::unknown, false, "no descriptor");
    EXPECT_EQ(b.board.health(0), Health::unknown);
    EXPECT_EQ(b.board.present(0).cause, "no descriptor");
    for (const auto& [health, times] : {std::pair(Health::healthy, 1U),
                                        {Health::unhealthy, 1U},
                                        {Health::down, 1U},
                                        {Health::degraded, 1U},
                                        {Health::unknown, 1U}})
        EXPECT_EQ(b.board.transitions(0, health), times) << to_string(health);
}

TEST(Board, SeesAnOutageWhileItsClockIsSetBack)
{
    Bench bench;
    bench.checks(30);
    EXPECT_FALSE(bench.board.take_set_back());
    const Instant latest = bench.now - 10s;
    bench.now -= 1h;
    bench.checks(1);
    EXPECT_EQ(bench.board.take_set_back(), latest - (bench.now - 10s));
    bench.checks(6, State::down);
    EXPECT_FALSE(bench.board.take_set_back()) << "once";
    EXPECT_EQ(bench.board.present(0).state, State::down);
    ASSERT_EQ(bench.told.size(), 1U);
    EXPECT_EQ(bench.told[0].outages[0].since, latest);
    bench.checks(20);
    EXPECT_EQ(bench.board.present(0).state, State::up);
    ASSERT_EQ(bench.told.size(), 2U);
    EXPECT_EQ(bench.told[1].kind, Message::Kind::recovery);
    EXPECT_EQ(november(bench).incidents, 1U);

    // The hour that comes twice is recorded once.
    bench.checks(360);
    ASSERT_GT(bench.now, latest);
    bench.checks(30, State::down);
    bench.checks(30);
    const MonthReport report = november(bench);
    EXPECT_EQ(report.incidents, 2U);
    EXPECT_EQ(report.tally.down, 5min);
    EXPECT_EQ(report.tally.total(), bench.now - start);
    EXPECT_FALSE(bench.board.take_set_back());
    bench.now -= 10min;
    bench.checks(1);
    EXPECT_TRUE(bench.board.take_set_back()) << "another time";
}

TEST(Board, TakesACheckThatAJumpOvertookForNoClockThatWasSetBack)
{
    Bench bench;
    bench.checks(3);
    bench.board.observe(0, {bench.now - 30s, State::unknown, "the monitor did not run"}, bench.now);
    EXPECT_FALSE(bench.board.take_set_back());
}

TEST(Board, CountsTheIncidentsOfAMonthThatIsNoLongerInMemory)
{
    Bench bench;
    TargetPast past;
    past.memory.latest = start;
    past.memory.recorded = State::up;
    const Instant march{std::chrono::sys_days(std::chrono::year(2026) / 3 / 1)};
    past.months.push_back(
        {.rollup = {.begin = march, .tally = {.up = 700h, .down = 1h}}, .latency = {}, .incidents = 7});
    const std::size_t index = bench.add("old", std::move(past));
    EXPECT_EQ(bench.board.report(index, std::chrono::year(2026) / 3, bench.now).incidents, 7U);
    EXPECT_EQ(bench.board.report(index, std::chrono::year(2026) / 4, bench.now).incidents, 0U);
}

TEST(Board, CountsTheIncidentsOfAMonthThatIsOver)
{
    Bench bench(Instant(std::chrono::sys_days(std::chrono::year(2026) / 11 / 30)) + 23h);
    bench.checks(30, State::down);
    bench.checks(330 + 360);
    EXPECT_EQ(november(bench).incidents, 1U);
    EXPECT_EQ(bench.board.report(0, std::chrono::year(2026) / 12, bench.now).incidents, 0U);
}

TEST(Board, RemovesATargetWithAllThatWaitsToBeStoredOfIt)
{
    Bench bench;
    bench.checks(10);
    bench.board.take_batch();
    bench.board.take_samples();
    bench.checks(6, State::down);
    ASSERT_EQ(bench.told.size(), 1U);
    bench.board.remove(0);
    EXPECT_EQ(bench.board.size(), 1U);
    EXPECT_FALSE(bench.board.find("api"));
    EXPECT_EQ(bench.board.find("web"), 0U);
    EXPECT_EQ(bench.board.id(0), 2);
    for (const StoredSample& sample : bench.board.take_samples()) EXPECT_EQ(sample.target, 2);
    const auto batch = bench.board.take_batch();
    ASSERT_TRUE(batch);
    EXPECT_TRUE(batch->steps.empty());
    EXPECT_TRUE(batch->samples.empty());
    ASSERT_TRUE(batch->notification);
    EXPECT_TRUE(batch->notification->cases.empty()) << "no recovery is told of it";
    const View view = bench.board.view(bench.now);
    ASSERT_EQ(view.components.size(), 1U);
    EXPECT_EQ(view.components[0].id, "web");
    EXPECT_TRUE(view.incidents.empty());
    bench.board.observe(0, {bench.now, State::degraded, "slow"}, bench.now);
    EXPECT_EQ(bench.board.present(0).name, "web");
    EXPECT_EQ(bench.board.state(0), State::degraded);
    EXPECT_EQ(bench.add("api", {}), 1U) << "a new one";
}

TEST(Board, ShowsAnUpdateOnceItIsAdopted)
{
    Bench bench;
    bench.checks(5);
    const IncidentUpdate update{bench.now, IncidentStatus::identified, "A disk is full.", "ada"};
    EXPECT_FALSE(bench.board.prepare_update(0, update)) << "there is no incident";
    bench.checks(6, State::down);
    bench.board.take_batch();
    bench.board.take_events();
    auto prepared = bench.board.prepare_update(0, update);
    ASSERT_TRUE(prepared) << prepared.error().message;
    EXPECT_EQ(prepared->step.memory.incident->updates, std::vector{update});
    EXPECT_TRUE(bench.board.view(bench.now).incidents.at(0).incident.updates.empty());
    EXPECT_TRUE(bench.board.take_events().empty());
    EXPECT_FALSE(bench.board.take_batch()) << "it may yet fail to be stored";

    // The target comes back while the update is being stored.
    bench.checks(2);
    bench.board.adopt(*std::move(prepared));
    const Incident shown = bench.board.view(bench.now).incidents.at(0).incident;
    EXPECT_EQ(shown.updates, std::vector{update});
    EXPECT_EQ(shown.status, IncidentStatus::resolved);
    const auto batch = bench.board.take_batch();
    ASSERT_TRUE(batch);
    EXPECT_EQ(batch->steps.back().memory.incident->updates, std::vector{update}) << "or the recovery would undo it";
    EXPECT_EQ(bench.board.take_events().back().kind, Kind::incident_updated);
}

TEST(Board, BoundsTheIncidentsThatAreOverAlsoBehindAnOpenOne)
{
    Bench bench;
    bench.checks(4, State::down);
    for (int i = 0; i < 1010; ++i) {
        for (const State state : {State::down, State::down, State::down, State::up, State::up}) {
            bench.board.observe(1, {bench.now, state, ""}, bench.now);
            bench.now += 1s;
        }
        bench.now += 2min;
    }
    const auto incidents = bench.board.view(bench.now).incidents;
    EXPECT_EQ(incidents.size(), 1000U);
    EXPECT_EQ(incidents.front().component, "api") << "which is open";
    EXPECT_TRUE(incidents.front().incident.open());
    EXPECT_EQ(incidents.back().incident.number, 1010U);
}

TEST(Board, KeepsIncidentsInTheOrderInWhichTheyBeganAfterARestart)
{
    Bench bench;
    const auto past = [](std::vector<int> hours_ago) {
        TargetPast result;
        for (const int hours : hours_ago) {
            const Instant begin = start - std::chrono::hours(hours);
            result.incidents.push_back({.number = static_cast<std::uint64_t>(result.incidents.size() + 1),
                                        .outages = {{begin, begin + 1min}},
                                        .status = IncidentStatus::resolved});
        }
        return result;
    };
    bench.add("first", past({40, 20}));
    bench.add("second", past({30, 10}));
    std::vector<Instant> since;
    for (const PublicIncident& one : bench.board.view(bench.now).incidents) since.push_back(one.incident.since());
    EXPECT_EQ(since, (std::vector<Instant>{start - 40h, start - 30h, start - 20h, start - 10h}));
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
