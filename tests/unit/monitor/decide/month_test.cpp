// A month of 1,000 targets, checked every ten seconds, through all cores together.
#include "monitor/decide/incident.hpp"
#include "monitor/decide/maintenance.hpp"
#include "monitor/decide/notification.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using std::chrono::days;

constexpr Instant november{std::chrono::sys_days(std::chrono::year(2026) / 11 / 1)};
constexpr Instant december{std::chrono::sys_days(std::chrono::year(2026) / 12 / 1)};
constexpr milliseconds interval = 10s;
constexpr std::size_t target_count = 1000;

struct Failure {
    Span span{};
    State state = State::down;
};

/// What really happens to a target. Failures lie on the grid of the checks and at least an hour apart.
struct Truth {
    std::vector<Failure> failures{};
    int outages = 0;          ///< long enough to be confirmed, outside maintenance
    milliseconds down{};      ///< of those
    milliseconds in_window{}; ///< down time in maintenance

    void add(Instant begin, int checks, State state = State::down)
    {
        failures.push_back({{begin, begin + checks * interval}, state});
    }
};

constexpr Span daemon_stops{november + days(7), november + days(7) + 10min};
constexpr Span all_fail{november + days(20), november + days(20) + 3min};
constexpr Span window{november + days(12), november + days(12) + 2h};

std::vector<Truth> draw_truth()
{
    std::mt19937 random(12);
    std::vector<Truth> targets(target_count);
    for (std::size_t i = 0; i < target_count; ++i) {
        Truth& truth = targets[i];
        for (int day = 0; day < 30; ++day) {
            const Instant begin = november + days(day) + 6h + random() % 4320 * interval; // 06:00 to 18:00
            switch (random() % 8) {
            case 0: truth.add(begin, 1 + static_cast<int>(random() % 2)); break; // a lost check or two
            case 1: {
                const int checks = 3 + static_cast<int>(random() % 100);
                truth.add(begin, checks);
                ++truth.outages;
                truth.down += checks * interval;
                break;
            }
            default: break;
            }
        }
        truth.failures.push_back({all_fail, State::down});
        ++truth.outages;
        truth.down += all_fail.length();
        truth.failures.push_back({daemon_stops, State::unknown});
        if (i % 2 == 0) {
            truth.add(window.begin + 1h, 30);
            truth.in_window += 30 * interval;
        }
        std::sort(truth.failures.begin(), truth.failures.end(),
                  [](const Failure& a, const Failure& b) { return a.span.begin < b.span.begin; });
    }
    return targets;
}

/// The state that a check finds.
State state_at(const Truth& truth, Instant at)
{
    const auto next = std::upper_bound(truth.failures.begin(), truth.failures.end(), at,
                                       [](Instant t, const Failure& f) { return t < f.span.begin; });
    return next != truth.failures.begin() && (next - 1)->span.contains(at) ? (next - 1)->state : State::up;
}

/// The starts of the checks that may change something: all but those that find `up` as the twenty before did.
std::vector<Instant> checks_that_matter(const Truth& truth)
{
    std::vector<Span> stretches{{november, november + 20 * interval}};
    for (const Failure& f : truth.failures) stretches.push_back({f.span.begin, f.span.end + 20 * interval});
    std::vector<Instant> result;
    for (const Span& s : united(stretches))
        for (Instant at = s.begin; at < s.end; at += interval) result.push_back(at);
    return result;
}

class Month {
public:
    Month() : truths(draw_truth()), trackers(target_count, IncidentTracker({})), histories(target_count)
    {
        EXPECT_TRUE(maintenance.create({.message = "Disks.", .start = window.begin, .end = window.end}, november));
        std::map<Instant, std::vector<std::size_t>> due;
        for (std::size_t i = 0; i < target_count; ++i) {
            histories[i].watched_since = november;
            for (const Instant at : checks_that_matter(truths[i])) due[at].push_back(i);
        }
        for (const auto& [at, targets] : due) {
            catch_up(at);
            for (const std::size_t i : targets) check(i, at);
        }
        catch_up(december);
        for (Record& history : histories) history.announced = maintenance.announced("", {november, december});
    }

    std::vector<Truth> truths;
    std::vector<IncidentTracker> trackers;
    std::vector<Record> histories;
    Maintenance maintenance{{}};
    Notification notification{{.channels = {{.name = "mail"}}}, 1};
    int outages_told = 0, recoveries_told = 0, notices_told = 0, messages = 0;
    std::size_t most_in_one = 0;

private:
    void check(std::size_t i, Instant at)
    {
        const Step step = trackers[i].observe({at, state_at(truths[i], at), "refused", window.contains(at)});
        record(step, histories[i]);
        const std::string name = fmt::format("target-{}", i);
        for (const Action action : step.actions) {
            const Incident& incident = *trackers[i].incident();
            if (action == Action::resolved)
                notification.came_back(name, incident.duration(at), at);
            else if (action != Action::cause_changed && !incident.maintenance)
                notification.went_down({name, incident.number, incident.since(), incident.cause}, at);
        }
    }

    void catch_up(Instant until)
    {
        for (;;) {
            const Instant now = std::min(maintenance.wake_at(), notification.wake_at());
            if (now > until) return;
            for (const auto& notice : maintenance.tick(std::max(now, november)).notices)
                notification.maintenance(notice, std::max(now, november));
            for (const Delivery& delivery : notification.take(now)) {
                ++messages;
                most_in_one = std::max(most_in_one, delivery.message.outages.size());
                const int named = static_cast<int>(delivery.message.outages.size());
                if (delivery.message.kind == Message::Kind::outage) outages_told += named;
                if (delivery.message.kind == Message::Kind::recovery) recoveries_told += named;
                notices_told += delivery.message.kind == Message::Kind::maintenance;
                notification.finished(delivery.id, {.delivered = true}, now);
            }
        }
    }
};

TEST(MonitorMonth, OfAThousandTargetsIsToldAndCountedExactly)
{
    const Month month;
    int outages = 0;
    for (std::size_t i = 0; i < target_count; ++i) {
        const Truth& truth = month.truths[i];
        outages += truth.outages;
        const Tally t = tally(month.histories[i], {november, december}, december);
        ASSERT_EQ(t.down, truth.down) << i;
        ASSERT_EQ(t.window_down, truth.in_window) << i;
        ASSERT_EQ(t.unknown, daemon_stops.length()) << i;
        ASSERT_EQ(t.maintenance(), window.length()) << i;
        ASSERT_EQ(t.total(), days(30)) << i;
    }
    EXPECT_GT(outages, 4'000);
    EXPECT_EQ(month.outages_told, outages) << "no lost check, nothing of the maintenance, everything else once";
    EXPECT_EQ(month.recoveries_told, outages);
    EXPECT_EQ(month.notices_told, 4);
    EXPECT_EQ(month.most_in_one, target_count) << "what failed together was one message";
    EXPECT_LE(month.messages, 2 * (outages - static_cast<int>(target_count)) + 2 + 4);
    EXPECT_TRUE(month.notification.memory().cases.empty());
    EXPECT_TRUE(month.notification.memory().queue.empty());
}

TEST(MonitorMonth, StaysWhatItIsOnceItIsOver)
{
    const Month month;
    for (std::size_t i = 0; i < target_count; i += 25) {
        Record history = month.histories[i];
        const Tally frozen = tally(history, {november, december}, december);
        const auto hours = rollups(history, {november, december}, Unit::hour, december);
        EXPECT_EQ(sum(hours, {november, december}), frozen);
        history.changes.push_back({december, State::degraded});
        history.outages.push_back({december, december + 1h});
        history.announced.push_back({december, december + 2h});
        EXPECT_EQ(tally(history, {november, december}, december + days(40)), frozen);
    }
}

/// The month above skips most checks. Here are all of them, for some targets.
TEST(MonitorMonth, ChecksThatFindNothingNewChangeNothing)
{
    const Month month;
    for (std::size_t i = 0; i < target_count; i += 200) {
        IncidentTracker tracker({});
        Record history{.watched_since = november};
        for (Instant at = november; at < december; at += interval)
            record(tracker.observe({at, state_at(month.truths[i], at), "refused", window.contains(at)}), history);
        EXPECT_EQ(history.changes, month.histories[i].changes);
        EXPECT_EQ(history.outages, month.histories[i].outages);
        EXPECT_EQ(history.gaps, month.histories[i].gaps);
        EXPECT_EQ(tracker.incident(), month.trackers[i].incident());
    }
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
