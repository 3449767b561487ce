#include "monitor/decide/window_rows.hpp"

#include "common/time.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;
using Kind = RowStep::Kind;

const Instant now = *parse_rfc3339("2026-11-02T12:00:00Z"); // a Monday
const MaintenanceSettings settings{.components = {"api", "web", "mail"}};

/// As a dashboard writes it.
WindowRow row(milliseconds ahead, milliseconds length, milliseconds created_ago = 1s)
{
    return {.id = "7",
            .stamp = "1",
            .start = now + ahead,
            .end = now + ahead + length,
            .message = "Disks.",
            .created_at = now - created_ago};
}

/// That the monitor wrote.
WindowRow row_of(const Window& window)
{
    return {.id = fmt::format("{}", window.id),
            .stamp = "1",
            .window = window.id,
            .start = window.plan.start,
            .end = window.plan.end,
            .message = window.plan.message,
            .title = window.plan.title,
            .components = window.plan.components,
            .impact = std::string(to_string(window.plan.impact)),
            .emergency = window.plan.emergency,
            .rrule = window.plan.rrule,
            .time_zone = window.plan.time_zone,
            .state = std::string(to_string(window.state)),
            .version = window.version,
            .created_at = window.created_at,
            .announced_at = window.announced_at,
            .updated_at = window.announced_at,
            .close_pools = window.plan.close_pools};
}

WindowPlan plan(milliseconds ahead = 72h, milliseconds length = 2h)
{
    return {.message = "Disks.", .start = now + ahead, .end = now + ahead + length};
}

std::string in_words(const RowStep& step)
{
    const auto name = [&] {
        switch (step.kind) {
        case Kind::create: return "create";
        case Kind::change: return "change";
        case Kind::cancel: return "cancel";
        case Kind::restore: return "restore";
        case Kind::write: return "write";
        case Kind::insert: return "insert";
        case Kind::refuse: break;
        }
        return "refuse";
    }();
    if (step.kind == Kind::refuse) return fmt::format("refuse {}", step.refusal.field);
    const bool emergency = step.plan.emergency || step.restored.plan.emergency;
    return fmt::format("{} {}{}", name, step.window, emergency ? " emergency" : "");
}

std::string in_words(const std::vector<RowStep>& steps)
{
    std::string text;
    for (const RowStep& step : steps) text += (text.empty() ? "" : ", ") + in_words(step);
    return text.empty() ? "nothing" : text;
}

/// What the shell makes of the steps: windows and rows after them. Fails the test if the core refuses one.
void carry_out(const std::vector<RowStep>& steps, Maintenance& core, WindowRows& table)
{
    for (const RowStep& step : steps) {
        Accepted<Window> window = Refusal{};
        switch (step.kind) {
        case Kind::create: window = core.create(step.plan, step.at); break;
        case Kind::change: window = core.change(step.window, step.plan, step.at); break;
        case Kind::cancel: window = core.cancel(step.window, step.at); break;
        case Kind::write: window = *core.find(step.window); break;
        case Kind::insert: {
            WindowRow added = row_of(*core.find(step.window));
            added.id = fmt::format("n{}", step.window);
            table.rows.push_back(added);
            table.last_window = std::max(table.last_window, step.window);
            continue;
        }
        case Kind::restore: EXPECT_FALSE(core.restore(step.restored, step.at)); continue;
        case Kind::refuse: continue;
        }
        ASSERT_TRUE(window) << in_words(step) << ": " << window.error().message;
        if (step.row == RowStep::no_row) continue;
        WindowRow& written = table.rows[step.row];
        WindowRow whole = row_of(*window);
        whole.id = written.id;
        whole.created_at = written.created_at;
        if (step.kind == Kind::cancel || step.kind == Kind::write || !says(written, window->plan)) {
            written = whole;
        } else {
            written.window = whole.window;
            written.state = whole.state;
            written.version = whole.version;
            written.announced_at = whole.announced_at;
        }
        table.last_window = std::max(table.last_window, window->id);
    }
}

TEST(WindowRows, WhatOthersWroteBecomesAWindow)
{
    struct Case {
        const char* name;
        WindowRow row;
        const char* steps;
        WindowState state = WindowState::scheduled; ///< after a tick, if it is created
    };
    const auto with = [](WindowRow row, const std::function<void(WindowRow&)>& change) {
        change(row);
        return row;
    };
    for (const auto& [name, row, steps, state] : std::vector<Case>{
             {"in time", row(72h, 2h), "create 1"},
             {"to the millisecond", row(48h, 2h, 0ms), "create 1"},
             {"a millisecond late", row(48h - 1ms, 2h, 0ms), "create 1 emergency"},
             {"created long before it was seen", row(1h, 2h, 47h), "create 1"},
             {"the same, and it has begun", row(-1h, 2h, 72h), "create 1", WindowState::in_progress},
             {"the same, and it is over", row(-3h, 2h, 72h), "create 1", WindowState::completed},
             {"from now on", row(-1s, 2h, 1s), "create 1 emergency", WindowState::in_progress},
             {"begun before it was created", row(-1h, 2h), "create 1 emergency", WindowState::in_progress},
             {"over before it was created", row(-3h, 2h), "refuse end_time"},
             {"over for longer than windows are kept", row(-days(120), 2h, days(130)), "nothing"},
             {"created in the future", row(72h, 2h, -36h), "create 1"},
             {"created by no time", with(row(1h, 2h), [](auto& r) { r.created_at.reset(); }), "create 1 emergency"},
             {"end before start", row(72h, -2h), "refuse end_time"},
             {"without an end", with(row(72h, 2h), [](auto& r) { r.end.reset(); }), "refuse end_time"},
             {"without a start", with(row(72h, 2h), [](auto& r) { r.start.reset(); }), "refuse start_time"},
             {"too long", row(72h, days(40)), "refuse end_time"},
             {"in two years", row(days(800), 2h), "refuse start_time"},
             {"no message", with(row(72h, 2h), [](auto& r) { r.message = ""; }), "refuse message"},
             {"a component", with(row(72h, 2h), [](auto& r) { r.components = {"api"}; }), "create 1"},
             {"one that is unknown", with(row(72h, 2h), [](auto& r) { r.components = {"db"}; }), "refuse components"},
             {"an impact", with(row(72h, 2h), [](auto& r) { r.impact = "major"; }), "create 1"},
             {"no impact", with(row(72h, 2h), [](auto& r) { r.impact = "huge"; }), "refuse impact"},
             {"a series", with(row(72h, 2h), [](auto& r) { r.rrule = "FREQ=WEEKLY"; }), "create 1"},
             {"a bad one", with(row(72h, 2h), [](auto& r) { r.rrule = "FREQ=MINUTELY"; }), "refuse rrule"},
             {"a series at once", with(row(1h, 2h), [](auto& r) { r.rrule = "FREQ=WEEKLY"; }), "refuse rrule"},
             {"an emergency", with(row(72h, 2h), [](auto& r) { r.emergency = true; }), "create 1 emergency"},
             {"none, but late", with(row(1h, 2h), [](auto& r) { r.emergency = false; }), "create 1 emergency"},
             {"cancelled already", with(row(72h, 2h), [](auto& r) { r.state = "cancelled"; }), "nothing"},
             {"another's word for a state", with(row(72h, 2h), [](auto& r) { r.state = "planned"; }), "create 1"},
         }) {
        SCOPED_TRACE(name);
        Maintenance core(settings);
        WindowRows table{.rows = {row}};
        const auto done = row_steps(settings, core.memory(), table, now);
        EXPECT_EQ(in_words(done), steps);
        carry_out(done, core, table);
        if (done.empty() || done.front().kind != Kind::create) continue;
        core.tick(now);
        EXPECT_EQ(core.find(1)->state, state);
        EXPECT_LE(core.find(1)->announced_at, now);
        EXPECT_EQ(core.announced("api", {now - days(9), now + days(9)}).empty(), core.find(1)->plan.emergency);
        // Its state is written once, and then there is nothing to do any more.
        carry_out(row_steps(settings, core.memory(), table, now), core, table);
        EXPECT_EQ(table.rows[0].state, to_string(state));
        EXPECT_EQ(in_words(row_steps(settings, core.memory(), table, now)), "nothing");
    }
}

TEST(WindowRows, WhatOthersChangeChangesTheWindow)
{
    struct Case {
        const char* name;
        milliseconds at; ///< after `now`, when the window of 72 h to 74 h was announced
        std::function<void(WindowRow&)> change;
        const char* steps;
        WindowState state = WindowState::scheduled;
    };
    for (const auto& [name, at, change, steps, state] : std::vector<Case>{
             {"nothing", 1h, [](auto&) {}, "nothing"},
             {"the message", 1h, [](auto& r) { r.message = "More disks."; }, "change 1"},
             {"later", 71h, [](auto& r) { r.start = now + 73h; }, "change 1"},
             {"earlier, in time", 1h, [](auto& r) { r.start = now + 50h; }, "change 1"},
             {"earlier, at once", 1h, [](auto& r) { r.start = now + 40h; }, "change 1 emergency"},
             {"to a moment ago", 1h, [](auto& r) { r.start = now + 1h - 3s; }, "change 1 emergency",
              WindowState::in_progress},
             {"end before start", 1h, [](auto& r) { r.end = now + 71h; }, "refuse end_time"},
             {"an unknown component", 1h, [](auto& r) { r.components = {"db"}; }, "refuse components"},
             {"cancelled", 1h, [](auto& r) { r.state = "cancelled"; }, "cancel 1", WindowState::cancelled},
             {"longer, in progress", 73h, [](auto& r) { r.end = now + 80h; }, "change 1", WindowState::in_progress},
             {"ended a moment ago", 73h, [](auto& r) { r.end = now + 73h - 3s; }, "change 1", WindowState::completed},
             {"a start that is over", 73h, [](auto& r) { r.start = now + 71h; }, "refuse start_time",
              WindowState::in_progress},
             {"cancelled in progress", 73h, [](auto& r) { r.state = "cancelled"; }, "cancel 1", WindowState::cancelled},
             {"what is over", 75h, [](auto& r) { r.end = now + 80h; }, "refuse state", WindowState::completed},
         }) {
        for (const bool by_others : {true, false}) {
            SCOPED_TRACE(fmt::format("{}, a window {}", name, by_others ? "of others" : "of ours"));
            Maintenance core(settings);
            WindowRows table;
            if (by_others)
                table.rows = {row(72h, 2h, 0ms)};
            else
                ASSERT_TRUE(core.create(plan(), now));
            carry_out(row_steps(settings, core.memory(), table, now), core, table);
            ASSERT_EQ(table.rows.size(), 1U);
            core.tick(now + at);
            carry_out(row_steps(settings, core.memory(), table, now + at), core, table); // its state
            change(table.rows[0]);
            const auto done = row_steps(settings, core.memory(), table, now + at);
            EXPECT_EQ(in_words(done), steps);
            carry_out(done, core, table);
            core.tick(now + at);
            EXPECT_EQ(core.find(1)->state, state);
            carry_out(row_steps(settings, core.memory(), table, now + at), core, table); // its state
            const auto more = in_words(row_steps(settings, core.memory(), table, now + at));
            EXPECT_EQ(more, std::string_view(steps).starts_with("refuse") ? steps : "nothing");
        }
    }
}

TEST(WindowRows, AWindowOfOthersThatIsMovedBackInTimeIsNoEmergencyAnyMore)
{
    Maintenance core(settings);
    WindowRows table{.rows = {row(24h, 2h)}};
    carry_out(row_steps(settings, core.memory(), table, now), core, table);
    EXPECT_TRUE(core.find(1)->plan.emergency);
    table.rows[0].start = now + 60h;
    table.rows[0].end = now + 62h;
    carry_out(row_steps(settings, core.memory(), table, now), core, table);
    EXPECT_FALSE(core.find(1)->plan.emergency);
    EXPECT_EQ(core.find(1)->announced_at, now);
}

TEST(WindowRows, ARowThatIsGoneCancelsItsWindow)
{
    Maintenance core(settings);
    WindowRows table{.rows = {row(72h, 2h)}};
    carry_out(row_steps(settings, core.memory(), table, now), core, table);
    table.rows.clear();
    EXPECT_EQ(in_words(row_steps(settings, core.memory(), table, now)), "cancel 1");
    carry_out(row_steps(settings, core.memory(), table, now), core, table);
    EXPECT_EQ(core.find(1)->state, WindowState::cancelled);
    EXPECT_EQ(in_words(row_steps(settings, core.memory(), table, now)), "nothing");
}

TEST(WindowRows, AWindowThatIsOlderThanTheTableIsAddedToIt)
{
    Maintenance core(settings);
    ASSERT_TRUE(core.create(plan(), now));
    ASSERT_TRUE(core.create(plan(96h), now));
    ASSERT_TRUE(core.cancel(1, now));
    WindowRows table;
    EXPECT_EQ(in_words(row_steps(settings, core.memory(), table, now)), "insert 2");
    carry_out(row_steps(settings, core.memory(), table, now), core, table);
    EXPECT_EQ(in_words(row_steps(settings, core.memory(), table, now)), "nothing");
}

TEST(WindowRows, RoomThatARowMakesIsTakenByAnotherInTheSameLook)
{
    Maintenance core(settings);
    ASSERT_TRUE(core.create(plan(), now));
    WindowRows table{.last_window = 1}; // its row was deleted
    table.rows = {row(72h, 1h)};
    EXPECT_EQ(in_words(row_steps(settings, core.memory(), table, now)), "cancel 1, create 2");
    table.rows.push_back(row(72h + 30min, 1h));
    EXPECT_EQ(in_words(row_steps(settings, core.memory(), table, now)), "cancel 1, create 2, refuse start_time");
}

TEST(WindowRows, ASeriesThatWentOnIsWrittenIntoItsRow)
{
    Maintenance core(settings);
    auto weekly = plan();
    weekly.rrule = "FREQ=WEEKLY";
    ASSERT_TRUE(core.create(weekly, now));
    WindowRows table;
    carry_out(row_steps(settings, core.memory(), table, now), core, table);
    core.tick(now + 75h);
    EXPECT_EQ(in_words(row_steps(settings, core.memory(), table, now + 75h)), "write 1");
    carry_out(row_steps(settings, core.memory(), table, now + 75h), core, table);
    EXPECT_EQ(table.rows[0].start, now + 72h + days(7));
    // Others move the series.
    table.rows[0].start = now + 72h + days(8);
    table.rows[0].end = now + 74h + days(8);
    table.rows[0].rrule = "FREQ=WEEKLY;COUNT=3";
    EXPECT_EQ(in_words(row_steps(settings, core.memory(), table, now + 75h)), "change 1");
}

TEST(WindowRows, WhetherAWindowClosesPoolsIsInItsRow)
{
    const MaintenanceSettings operated{.components = {"api", "lb"}, .operated = {"lb"}};
    Maintenance core(operated);
    WindowRows table{.rows = {row(72h, 2h)}};
    table.rows[0].close_pools = true;
    const auto follow = [&] {
        const auto steps = row_steps(operated, core.memory(), table, now);
        carry_out(steps, core, table);
        return in_words(steps);
    };
    EXPECT_EQ(follow(), "create 1");
    EXPECT_TRUE(core.find(1)->plan.close_pools);
    table.rows[0].close_pools = false;
    EXPECT_EQ(follow(), "change 1");
    EXPECT_FALSE(core.find(1)->plan.close_pools);
    EXPECT_EQ(core.find(1)->announced_at, now - 1s) << "no new announcement";
    table.rows[0].components = {"api"};
    table.rows[0].close_pools = true;
    EXPECT_EQ(follow(), "refuse close_pools") << "it is about no balancer";
}

TEST(WindowRows, ARowFromBeforeThereWasAColumnForPoolsGetsIt)
{
    const MaintenanceSettings operated{.components = {"lb"}, .operated = {"lb"}};
    Maintenance core(operated);
    auto closing = plan();
    closing.close_pools = true;
    ASSERT_TRUE(core.create(closing, now));
    ASSERT_TRUE(core.create(plan(96h), now));
    WindowRows table;
    carry_out(row_steps(operated, core.memory(), table, now), core, table);
    for (WindowRow& row : table.rows) row.close_pools.reset();
    // Others change it meanwhile: that comes first.
    table.rows[0].message = "More disks.";
    EXPECT_EQ(in_words(row_steps(operated, core.memory(), table, now)), "change 1");
    carry_out(row_steps(operated, core.memory(), table, now), core, table);
    EXPECT_EQ(in_words(row_steps(operated, core.memory(), table, now)), "write 1");
    carry_out(row_steps(operated, core.memory(), table, now), core, table);
    EXPECT_EQ(table.rows[0].message, "More disks.");
    EXPECT_EQ(table.rows[0].close_pools, true);
    EXPECT_EQ(table.rows[1].close_pools, std::nullopt) << "nothing is missing";
    // With its row alone it is what it was.
    Maintenance other(operated);
    carry_out(row_steps(operated, other.memory(), table, now), other, table);
    EXPECT_TRUE(other.find(1)->plan.close_pools);
    EXPECT_FALSE(other.find(2)->plan.close_pools);
}

TEST(WindowRows, WhatIsTakenUpAfterADeathNamesWhoAskedForIt)
{
    Maintenance core(settings);
    ASSERT_TRUE(core.create(plan(), now));
    Maintenance after(settings, core.memory());
    ASSERT_TRUE(after.change(1, plan(96h), now));
    WindowRows table{.rows = {row_of(*after.find(1))}, .last_window = 1};
    table.rows[0].user = "ann, 10.0.0.9";
    auto steps = row_steps(settings, core.memory(), table, now);
    ASSERT_EQ(in_words(steps), "restore 1");
    EXPECT_EQ(steps[0].user, "ann, 10.0.0.9");
    ASSERT_TRUE(after.cancel(1, now));
    table.rows[0] = row_of(*after.find(1));
    table.rows[0].user = "bob, 10.0.0.9";
    steps = row_steps(settings, core.memory(), table, now);
    ASSERT_EQ(in_words(steps), "cancel 1");
    EXPECT_EQ(steps[0].user, "bob, 10.0.0.9");
    // Others cancel it: not who changed it last.
    table.rows[0].version = core.find(1)->version;
    steps = row_steps(settings, core.memory(), table, now);
    ASSERT_EQ(in_words(steps), "cancel 1");
    EXPECT_EQ(steps[0].user, "");
}

// -------------------------------------------------------------------------------------------- the death of the process

TEST(WindowRows, TakesUpWhatWasWrittenBeforeTheProcessDied)
{
    // The history is what it was before the command, the row what it is after it.
    const auto died = [](Maintenance before, const std::function<Accepted<Window>(Maintenance&)>& command) {
        Maintenance after(settings, before.memory());
        const auto window = command(after);
        EXPECT_TRUE(window);
        WindowRows table{.rows = {row_of(*window)}, .last_window = after.memory().last_id};
        table.rows[0].updated_at = now + 1min;
        const auto steps = row_steps(settings, before.memory(), table, now + 1h);
        carry_out(steps, before, table);
        const Window* const found = before.find(window->id);
        EXPECT_TRUE(found != nullptr && found->plan.start == window->plan.start &&
                    found->plan.message == window->plan.message && found->state == window->state &&
                    found->version == window->version && found->announced_at == window->announced_at)
            << in_words(steps);
        EXPECT_EQ(in_words(row_steps(settings, before.memory(), table, now + 1h)), "nothing");
        return in_words(steps);
    };
    Maintenance with_one(settings);
    ASSERT_TRUE(with_one.create(plan(), now));
    EXPECT_EQ(died(Maintenance(settings), [](auto& m) { return m.create(plan(), now); }), "restore 1");
    EXPECT_EQ(died(with_one, [](auto& m) { return m.change(1, plan(96h), now); }), "restore 1");
    EXPECT_EQ(died(with_one, [](auto& m) { return m.cancel(1, now); }), "cancel 1");
    Maintenance going = with_one;
    going.tick(now + 72h);
    EXPECT_EQ(going.find(1)->state, WindowState::in_progress);
    EXPECT_EQ(died(going, [](auto& m) { return m.change(1, plan(72h, 5h), now + 73h); }), "restore 1");
}

TEST(WindowRows, TakesUpARowOfOthersThatGotItsNumberBeforeTheProcessDied)
{
    for (const milliseconds ahead : {72h, 12h}) {
        Maintenance core(settings);
        WindowRows table{.rows = {row(ahead, 2h)}};
        carry_out(row_steps(settings, core.memory(), table, now), core, table);
        Maintenance lost(settings);
        EXPECT_EQ(in_words(row_steps(settings, lost.memory(), table, now + 6h)),
                  ahead == 72h ? "restore 1" : "restore 1 emergency");
        carry_out(row_steps(settings, lost.memory(), table, now + 6h), lost, table);
        EXPECT_EQ(lost.find(1)->plan, core.find(1)->plan);
        EXPECT_EQ(lost.memory().last_id, 1U);
    }
}

TEST(WindowRows, GivesNoNumberThatTheTableHadEvenIfTheHistoryIsLost)
{
    const WindowRows table{.rows = {row(72h, 2h)}, .last_window = 41};
    EXPECT_EQ(in_words(row_steps(settings, {}, table, now)), "create 42");
}

TEST(WindowRows, WritesWhatWasChangedWithoutTheTable)
{
    Maintenance core(settings);
    ASSERT_TRUE(core.create(plan(), now));
    WindowRows table;
    carry_out(row_steps(settings, core.memory(), table, now), core, table);
    ASSERT_TRUE(core.change(1, plan(96h), now)); // by a monitor without `store`
    EXPECT_EQ(in_words(row_steps(settings, core.memory(), table, now)), "write 1");
    carry_out(row_steps(settings, core.memory(), table, now), core, table);
    EXPECT_EQ(table.rows[0].start, now + 96h);
    EXPECT_EQ(in_words(row_steps(settings, core.memory(), table, now)), "nothing");
}

// ------------------------------------------------------------------------------------------------- any order of events

TEST(WindowRows, RowsAndWindowsAgreeAfterOneLookWhateverHappened)
{
    for (unsigned seed = 0; seed < 300; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937 random(seed);
        const auto below = [&](unsigned n) { return random() % n; };
        Maintenance core(settings);
        WindowRows table;
        Instant time = now;
        for (int turn = 0; turn < 40 && !testing::Test::HasFatalFailure(); ++turn) {
            time += minutes(below(600));
            core.tick(time);
            const auto any = [&]() -> WindowRow* {
                return table.rows.empty() ? nullptr : &table.rows[below(static_cast<unsigned>(table.rows.size()))];
            };
            switch (below(6)) {
            case 0: {
                auto one = row(hours(below(100)) - 5h, hours(1 + below(4)), 0ms);
                one.id = fmt::format("r{}", turn);
                one.start = time + (*one.start - now);
                one.end = time + (*one.end - now);
                one.created_at = time;
                if (below(3) == 0) one.components = {below(2) == 0 ? "api" : "web"};
                table.rows.push_back(one);
                break;
            }
            case 1:
                if (WindowRow* one = any()) one->start = *one->start + hours(below(20)) - 10h;
                break;
            case 2:
                if (WindowRow* one = any()) one->end = *one->end + hours(below(4)) - 1h;
                break;
            case 3:
                if (WindowRow* one = any(); one && one->window && below(2) == 0) one->state = "cancelled";
                break;
            case 4:
                if (!table.rows.empty() && below(3) == 0)
                    table.rows.erase(table.rows.begin() + below(static_cast<unsigned>(table.rows.size())));
                break;
            default: break;
            }
            carry_out(row_steps(settings, core.memory(), table, time), core, table);
            core.tick(time);
            carry_out(row_steps(settings, core.memory(), table, time), core, table);
            for (const RowStep& step : row_steps(settings, core.memory(), table, time))
                EXPECT_EQ(step.kind, Kind::refuse) << in_words(step);
        }
    }
}

TEST(WindowRows, ReadsComponentsOfEachTypeOfColumn)
{
    using Names = std::vector<std::string>;
    EXPECT_EQ(read_components(""), Names{});
    EXPECT_EQ(read_components("{}"), Names{});
    EXPECT_EQ(read_components("{api,web}"), (Names{"api", "web"}));
    EXPECT_EQ(read_components(R"({"a b","c\"d",e})"), (Names{"a b", "c\"d", "e"}));
    EXPECT_EQ(read_components(R"(["api", "web"])"), (Names{"api", "web"}));
    EXPECT_EQ(read_components(" api , web,"), (Names{"api", "web"}));
    EXPECT_EQ(read_components("{\"api"), (Names{"{\"api"}));
    for (const Names& names : {Names{}, Names{"api"}, Names{"a,b", "c\"\\d", " e "}})
        EXPECT_EQ(read_components(write_components(names)), names);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
