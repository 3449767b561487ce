#include "monitor/decide/incident.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;

constexpr Instant start{std::chrono::sys_days(std::chrono::year(2026) / 11 / 1)};

/// A target that is checked every ten seconds, and what was recorded of it.
class Target {
public:
    explicit Target(const IncidentSettings& settings = {}) : tracker(settings) { history.watched_since = start; }

    /// One check for each letter: u up, d down, g degraded, ? unknown.
    std::vector<Action> see(std::string_view letters, std::string_view cause = "refused", bool in_maintenance = false)
    {
        std::vector<Action> actions;
        for (const char letter : letters) {
            const State state = letter == 'u'   ? State::up
                                : letter == 'd' ? State::down
                                : letter == 'g' ? State::degraded
                                                : State::unknown;
            const Step step = tracker.observe({now, state, cause, in_maintenance});
            record(step, history);
            actions.insert(actions.end(), step.actions.begin(), step.actions.end());
            now += 10s;
        }
        return actions;
    }

    const Incident& incident() const { return *tracker.incident(); }
    Tally uptime() const { return tally(history, {start, now}, now); }

    IncidentTracker tracker;
    Record history;
    Instant now = start;
};

/// The field that is wrong; "none" if it was accepted.
std::string wrong(const std::optional<Refusal>& refusal)
{
    return refusal ? refusal->field : "none";
}

using Actions = std::vector<Action>;

TEST(Incident, ASingleLostCheckIsNoOutage)
{
    Target t;
    EXPECT_EQ(t.see("uuduudduuu"), Actions{});
    EXPECT_EQ(t.tracker.incident(), std::nullopt);
    EXPECT_EQ(t.uptime().up, 100s) << "what was not confirmed leaves the state as it was";
}

TEST(Incident, IsBackdatedToTheFirstFailedAndTheFirstGoodCheck)
{
    Target t;
    EXPECT_EQ(t.see("uuud"), Actions{});
    EXPECT_EQ(t.see("dd"), Actions{Action::opened});
    EXPECT_EQ(t.incident().since(), start + 30s);
    EXPECT_TRUE(t.tracker.down());
    EXPECT_EQ(t.incident().duration(start + 60s), 30s);
    EXPECT_EQ(t.see("du"), Actions{});
    EXPECT_EQ(t.see("u"), Actions{Action::resolved});
    EXPECT_EQ(t.incident().outages, (std::vector<Span>{{start + 30s, start + 70s}}));
    EXPECT_EQ(t.incident().duration(start + 1h), 40s);
    EXPECT_EQ(t.incident().status, IncidentStatus::resolved);
    EXPECT_EQ(t.uptime().down, 40s);
    EXPECT_EQ(t.uptime().up, 50s);
}

TEST(Incident, AGoodCheckBreaksTheRowOfDownOnesAndTheOtherWayRound)
{
    Target t;
    EXPECT_EQ(t.see("uddudd"), Actions{});
    EXPECT_EQ(t.see("d"), Actions{Action::opened});
    EXPECT_EQ(t.incident().since(), start + 40s);
    EXPECT_EQ(t.see("udu"), Actions{});
    EXPECT_EQ(t.see("u"), Actions{Action::resolved});
    EXPECT_EQ(t.incident().outages.back().end, start + 90s);
}

TEST(Incident, UnknownSamplesNeitherConfirmNorBreakARow)
{
    Target t;
    EXPECT_EQ(t.see("ud?d???"), Actions{});
    EXPECT_EQ(t.see("d"), Actions{Action::opened});
    EXPECT_EQ(t.incident().since(), start + 10s);
    EXPECT_EQ(t.see("u??"), Actions{});
    EXPECT_EQ(t.see("u"), Actions{Action::resolved});
    EXPECT_EQ(t.incident().outages.back().end, start + 80s);
    const Tally uptime = t.uptime();
    EXPECT_EQ(uptime.unknown, 60s) << "from each unknown check to the next that says something";
    EXPECT_EQ(uptime.down, 30s);
    EXPECT_EQ(uptime.up, 30s);
}

TEST(Incident, NothingIsKnownBeforeTheFirstCheckThatCounts)
{
    Target t;
    t.see("du");
    EXPECT_EQ(t.uptime().unknown, 10s) << "one failed check alone says neither";
    Target dead;
    EXPECT_EQ(dead.see("ddd"), Actions{Action::opened});
    EXPECT_EQ(dead.uptime().down, 30s);
    EXPECT_EQ(dead.uptime().unknown, 0s);
}

TEST(Incident, DegradedIsGoodAndRecorded)
{
    Target t;
    EXPECT_EQ(t.see("ugguddd"), Actions{Action::opened});
    EXPECT_EQ(t.see("gg"), Actions{Action::resolved});
    EXPECT_EQ(t.uptime().degraded, 40s);
    EXPECT_EQ(t.uptime().up, 20s);
}

TEST(Incident, IsReopenedIfItReturnsWithinAMinute)
{
    // The outage ends at 40 s; the next one begins 50 s later.
    Target t;
    t.see("udddu");
    EXPECT_EQ(t.see("uuuu"), Actions{Action::resolved});
    EXPECT_EQ(t.see("ddd"), Actions{Action::reopened});
    EXPECT_EQ(t.incident().number, 1U);
    EXPECT_EQ(t.incident().outages.size(), 2U);
    EXPECT_EQ(t.incident().status, IncidentStatus::investigating);
    EXPECT_EQ(t.see("uu"), Actions{Action::resolved});
    EXPECT_EQ(t.incident().duration(t.now), 60s) << "the pause is no down time";
    EXPECT_EQ(t.uptime().down, 60s);
}

TEST(Incident, IsANewOneIfItReturnsAfterAMinute)
{
    Target t;
    t.see("udddu");
    EXPECT_EQ(t.see("uuuuu"), Actions{Action::resolved});
    EXPECT_EQ(t.see("ddd"), Actions{Action::opened}) << "60 s after the end is not within";
    EXPECT_EQ(t.incident().number, 2U);

    Target close({.merge_within = 60'001ms});
    close.see("uddduuuuuu");
    EXPECT_EQ(close.see("ddd"), Actions{Action::reopened});
}

TEST(Incident, TellsWhenTheCauseChanges)
{
    Target t;
    t.see("uddd", "refused");
    EXPECT_EQ(t.incident().cause, "refused");
    EXPECT_EQ(t.see("d", "refused"), Actions{});
    EXPECT_EQ(t.see("d", "503 Service Unavailable"), Actions{Action::cause_changed});
    EXPECT_EQ(t.incident().cause, "503 Service Unavailable");
}

TEST(Incident, IsMarkedWhileItStaysInsideAMaintenanceWindow)
{
    Target t;
    t.see("u");
    EXPECT_EQ(t.see("ddd", "refused", true), Actions{Action::opened});
    EXPECT_TRUE(t.incident().maintenance);
    EXPECT_EQ(t.see("d", "refused", false), Actions{Action::outlasted_maintenance});
    EXPECT_FALSE(t.incident().maintenance);
    EXPECT_EQ(t.see("d", "refused", true), Actions{}) << "it is not marked again";

    Target returns;
    returns.see("u");
    returns.see("ddduu", "refused", true);
    EXPECT_EQ(returns.see("ddd", "refused", false), Actions{Action::reopened});
    EXPECT_FALSE(returns.incident().maintenance) << "it returned after the window";

    Target before;
    before.see("ud");
    before.see("dd", "refused", true);
    EXPECT_FALSE(before.incident().maintenance) << "it began before the window";
}

TEST(Incident, DropsSamplesThatCameTooLate)
{
    Target t;
    t.see("uuu");
    for (int i = 0; i < 3; ++i) EXPECT_TRUE(t.tracker.observe({start + 5s, State::down, "late", false}).empty());
    EXPECT_EQ(t.see("u"), Actions{});
    EXPECT_EQ(t.tracker.incident(), std::nullopt);
}

TEST(Incident, TakesUpdatesOfOperatorsButNoResolutionOfATargetThatIsDown)
{
    Target t;
    EXPECT_EQ(wrong(t.tracker.post({t.now, IncidentStatus::identified, "A disk.", "ann"})), "incident");
    t.see("uddd");
    EXPECT_EQ(t.tracker.post({t.now, IncidentStatus::identified, "A disk.", "ann"}), std::nullopt);
    EXPECT_EQ(t.incident().status, IncidentStatus::identified);
    EXPECT_EQ(wrong(t.tracker.post({t.now, IncidentStatus::resolved, "Fixed.", "ann"})), "status");
    EXPECT_EQ(wrong(t.tracker.post({t.now, IncidentStatus::monitoring, " \n", "ann"})), "message");
    EXPECT_EQ(wrong(t.tracker.post({t.now, IncidentStatus::monitoring, std::string(16'385, 'x'), "ann"})), "message");
    EXPECT_EQ(wrong(t.tracker.post({t.now, IncidentStatus::monitoring, "\xff", "ann"})), "message");
    EXPECT_EQ(wrong(t.tracker.post({t.now, IncidentStatus::monitoring, "x", std::string(201, 'a')})), "author");
    EXPECT_EQ(t.tracker.post({t.now, IncidentStatus::monitoring, std::string(16'384, 'x'), "ann"}), std::nullopt);
    t.see("uu");
    EXPECT_EQ(t.incident().status, IncidentStatus::resolved);
    EXPECT_EQ(wrong(t.tracker.post({t.now, IncidentStatus::investigating, "Why?", "ann"})), "status");
    EXPECT_EQ(t.tracker.post({t.now, IncidentStatus::resolved, "It was a disk.", "ann"}), std::nullopt);
    EXPECT_EQ(t.incident().updates.size(), 3U);
}

/// What the header promises, looked at from behind, over any sequence of checks.
TEST(Incident, ItsOutagesAreExactlyTheConfirmedRows)
{
    test::check_property(3000, [](std::uint32_t seed) {
        std::mt19937 random(seed);
        const IncidentSettings settings{1 + static_cast<unsigned>(random() % 4),
                                        1 + static_cast<unsigned>(random() % 3), 20s};
        IncidentTracker tracker(settings);
        Record history{.watched_since = start};
        std::vector<Sample> known;
        std::vector<Sample> all;
        Instant at = start;
        int opened = 0, resolved = 0;
        State state = State::up;
        for (int i = 0; i < 80; ++i) {
            if (random() % 3 == 0) state = static_cast<State>(random() % 4);
            const Sample sample{at, state, "x", false};
            const Step step = tracker.observe(sample);
            record(step, history);
            for (const Action action : step.actions) {
                opened += action == Action::opened || action == Action::reopened;
                resolved += action == Action::resolved;
            }
            RC_ASSERT(opened - resolved == static_cast<int>(tracker.down()));
            // A tracker that is restored goes on as the one that was saved.
            if (random() % 8 == 0) tracker = IncidentTracker(settings, tracker.memory());
            all.push_back(sample);
            if (state != State::unknown) known.push_back(sample);
            at += milliseconds(1 + random() % 20'000);
        }
        // Rows of confirmed states, from the whole list.
        std::vector<Span> expected;
        bool down = false;
        for (std::size_t i = 0; i < known.size(); ++i) {
            const auto begins_row = [&](bool of_down, unsigned length) {
                for (std::size_t k = i; k < i + length; ++k)
                    if (k >= known.size() || (known[k].state == State::down) != of_down) return false;
                return true;
            };
            if (!down && begins_row(true, settings.confirm_down)) {
                expected.push_back({known[i].at, forever});
                down = true;
            } else if (down && begins_row(false, settings.confirm_up)) {
                expected.back().end = known[i].at;
                down = false;
            }
        }
        RC_ASSERT(history.outages == expected);
        // Each millisecond is unknown exactly from an unknown check to the next known one, and before the first good
        // one outside outages.
        milliseconds unknown{};
        bool ever_good = false;
        for (std::size_t i = 0; i < all.size(); ++i) {
            const Span until_next{all[i].at, i + 1 < all.size() ? all[i + 1].at : at};
            ever_good |= all[i].state == State::up || all[i].state == State::degraded;
            const bool in_outage =
                std::any_of(expected.begin(), expected.end(), [&](const Span& s) { return s.contains(all[i].at); });
            if (all[i].state == State::unknown || (!ever_good && !in_outage)) unknown += until_next.length();
        }
        RC_ASSERT(tally(history, {start, at}, at).unknown == unknown);
        RC_ASSERT(tally(history, {start, at}, at).total() == at - start);
    });
}

TEST(Incident, TakesASingleSlowAnswerForNothingIfItIsToBeConfirmed)
{
    Target target({.confirm_degraded = 2});
    const auto recorded = [&](std::string_view letters) {
        target.see(letters);
        return target.tracker.memory().recorded;
    };
    EXPECT_EQ(recorded("g"), State::unknown) << "nor is it the first state";
    EXPECT_EQ(recorded("u"), State::up) << "a good one is";
    EXPECT_EQ(recorded("gugu"), State::up);
    EXPECT_EQ(recorded("gg"), State::degraded);
    EXPECT_EQ(recorded("ug"), State::degraded);
    EXPECT_EQ(recorded("uu"), State::up);
    EXPECT_EQ(recorded("gd"), State::up);
    EXPECT_EQ(recorded("g"), State::degraded) << "a lost check between two slow ones speaks for neither";
    EXPECT_EQ(recorded("g?u?u"), State::up) << "as one that could not be made";
    EXPECT_FALSE(target.tracker.incident());
    EXPECT_EQ(recorded("gdddgg"), State::degraded) << "of those that ended the outage the last one holds";
    ASSERT_TRUE(target.tracker.incident());
    EXPECT_FALSE(target.tracker.down());
}

TEST(Incident, IsInDoubtUntilTheStateIsConfirmed)
{
    Target target({.confirm_down = 3, .confirm_up = 2, .confirm_degraded = 2});
    const auto in_doubt = [&](std::string_view letters) {
        target.see(letters);
        return target.tracker.in_doubt();
    };
    EXPECT_TRUE(in_doubt("")) << "from the start on";
    EXPECT_TRUE(in_doubt("d"));
    EXPECT_FALSE(in_doubt("dd"));
    EXPECT_TRUE(in_doubt("u"));
    EXPECT_FALSE(in_doubt("u"));
    EXPECT_TRUE(in_doubt("g"));
    EXPECT_FALSE(in_doubt("g"));
    EXPECT_TRUE(in_doubt("u"));
    EXPECT_FALSE(in_doubt("g"));
    EXPECT_TRUE(in_doubt("d"));
    EXPECT_TRUE(in_doubt("?")) << "an unknown one settles nothing";
    EXPECT_FALSE(in_doubt("g"));
    EXPECT_FALSE(in_doubt("?")) << "and raises no doubt";
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
