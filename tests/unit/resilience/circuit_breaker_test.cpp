#include "common/resilience/circuit_breaker.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <ostream>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace hotspare::resilience {

// For the messages of failed assertions.
static void PrintTo(BreakerState state, std::ostream* out)
{
    *out << to_string(state);
}
static void PrintTo(BreakerCause cause, std::ostream* out)
{
    *out << to_string(cause);
}

namespace TEST_FILE {

using State = BreakerState;
using Cause = BreakerCause;
using Transition = std::optional<BreakerTransition>;

const TimePoint start = TimePoint{} + std::chrono::hours(3);

/// Only the rules on shares, no chance.
BreakerSettings plain()
{
    BreakerSettings s;
    s.failures_in_a_row = 0;
    s.jitter = 0;
    return s;
}

/// A breaker with a clock and a dependency that does as it is told.
class Rig {
public:
    explicit Rig(const BreakerSettings& s = {}, std::uint64_t seed = 1) : settings(s), breaker(s, seed, start) {}

    Permit permit()
    {
        Admission admission = breaker.acquire(now);
        EXPECT_TRUE(admission) << "refused while " << to_string(breaker.state());
        return admission ? *std::move(admission.permit) : Permit();
    }
    bool refused() { return !breaker.acquire(now); }

    /// s = success, f = failure, S and F the same but slow, i = ignored.
    Transition report(Permit permit, char what)
    {
        const bool slow = what == 'S' || what == 'F';
        const auto outcome = what == 'i'                  ? CallOutcome::ignored
                             : what == 's' || what == 'S' ? CallOutcome::success
                                                          : CallOutcome::failure;
        return breaker.report(std::move(permit), outcome, slow ? settings.slow_call + milliseconds(1) : milliseconds(2),
                              now);
    }
    Transition call(char what)
    {
        Permit p = permit();
        now += milliseconds(2);
        return report(std::move(p), what);
    }
    /// The first transition, and after how many calls.
    std::pair<Transition, std::size_t> calls(std::string_view pattern)
    {
        for (std::size_t i = 0; i < pattern.size(); ++i)
            if (Transition t = call(pattern[i])) return {t, i + 1};
        return {std::nullopt, pattern.size()};
    }

    BreakerTransition open()
    {
        for (int i = 0; i < 1000; ++i)
            if (const Transition t = call('f')) return *t;
        ADD_FAILURE() << "never opens";
        return {};
    }
    void wait_until_half_open()
    {
        now = breaker.snapshot(now).retry_at.value();
        call('i');
        EXPECT_EQ(breaker.state(), State::half_open);
    }
    void bring_to(State state)
    {
        switch (state) {
        case State::closed: break;
        case State::open: open(); break;
        case State::half_open:
            open();
            wait_until_half_open();
            break;
        case State::forced_open: breaker.force_open(now); break;
        case State::disabled: breaker.disable(now); break;
        }
        EXPECT_EQ(breaker.state(), state);
    }

    BreakerSettings settings;
    CircuitBreaker breaker;
    TimePoint now = start;
};

// --- Closed ----------------------------------------------------------------------------------------------------------

TEST(CircuitBreaker, permits_every_call_while_closed)
{
    Rig rig;
    std::vector<Permit> permits;
    for (int i = 0; i < 100; ++i) permits.push_back(rig.permit());
    for (Permit& p : permits) {
        EXPECT_FALSE(p.is_probe());
        EXPECT_FALSE(rig.report(std::move(p), 's'));
    }
    EXPECT_EQ(rig.breaker.state(), State::closed);
    EXPECT_EQ(rig.breaker.counters().permitted, 100U);
    EXPECT_EQ(rig.breaker.counters().successes, 100U);
}

TEST(CircuitBreaker, opens_at_the_fifth_failed_call_at_the_latest_whatever_was_before)
{
    for (const WindowKind kind : {WindowKind::count, WindowKind::time})
        for (const Duration pause : {Duration(milliseconds(1)), Duration(milliseconds(600)), Duration(seconds(3600))})
            for (unsigned successes = 0; successes < 60; ++successes) {
                BreakerSettings s;
                s.window = kind;
                Rig rig(s);
                for (unsigned i = 0; i < successes; ++i) ASSERT_FALSE(rig.call('s'));
                unsigned failed = 0;
                Transition t;
                while (!t && failed < 50) {
                    rig.now += pause;
                    t = rig.call('f');
                    ++failed;
                }
                ASSERT_TRUE(t);
                EXPECT_LE(failed, 5U) << to_string(kind) << " after " << successes << " successes";
                EXPECT_EQ(t->to, State::open);
                EXPECT_EQ(t->at, rig.now);
            }
}

TEST(CircuitBreaker, opens_when_a_share_is_reached_and_enough_calls_ended)
{
    struct Case {
        unsigned window, minimum;
        double failures, slow;
        const char* pattern;
        Transition opened;
        std::size_t after;
    };
    const auto opened = [](Cause cause, CallTally tally) {
        return BreakerTransition{.from = State::closed, .to = State::open, .cause = cause, .tally = tally};
    };
    const std::vector<Case> cases{
        {10, 4, 0.5, 1, "fff", {}, 3},                                      // too few
        {10, 4, 0.5, 1, "ffff", opened(Cause::failure_rate, {4, 4, 0}), 4}, //
        {10, 4, 0.5, 1, "sfsf", opened(Cause::failure_rate, {4, 2, 0}), 4}, // reached, not exceeded
        {10, 4, 0.5, 1, "ffss", opened(Cause::failure_rate, {4, 2, 0}), 4}, // a success completes the minimum
        {10, 4, 0.51, 1, "sfsfssff", {}, 8},                                // a half is not enough
        {4, 4, 0.75, 1, "ffssffs", {}, 7},                                  // old failures leave the window
        {4, 4, 0.75, 1, "ffssfff", opened(Cause::failure_rate, {4, 3, 0}), 7},
        {4, 4, 0.75, 1, "sffif", opened(Cause::failure_rate, {4, 3, 0}), 5}, // ignored: neither counts nor fills
        {10, 1, 1, 1, "f", opened(Cause::failure_rate, {1, 1, 0}), 1},
        {100, 100, 0.07, 1, nullptr, opened(Cause::failure_rate, {100, 7, 0}), 100},
        {10, 4, 1, 0.5, "SsSs", opened(Cause::slow_call_rate, {4, 0, 2}), 4}, // slow, although none failed
        {10, 4, 1, 0.5, "FsFs", opened(Cause::slow_call_rate, {4, 2, 2}), 4}, // a slow failure is slow, too
        {10, 4, 0.5, 0.5, "FsFs", opened(Cause::failure_rate, {4, 2, 2}), 4}, // both: the failures are named
        {10, 4, 1, 0.75, "SSssSsSsss", {}, 10},
        {2, 2, 1, 1, "FSSF", opened(Cause::slow_call_rate, {2, 1, 2}), 2},
    };
    const std::string seven_of_hundred = "fffffff" + std::string(93, 's');
    for (const Case& c : cases) {
        const std::string pattern = c.pattern ? c.pattern : seven_of_hundred;
        BreakerSettings s = plain();
        s.window_calls = c.window;
        s.minimum_calls = c.minimum;
        s.failure_rate = c.failures;
        s.slow_call_rate = c.slow;
        Rig rig(s);
        const auto [t, after] = rig.calls(pattern);
        ASSERT_EQ(t.has_value(), c.opened.has_value()) << pattern;
        EXPECT_EQ(after, c.after) << pattern;
        EXPECT_EQ(rig.breaker.state(), t ? State::open : State::closed);
        if (!t) continue;
        EXPECT_EQ(t->from, State::closed);
        EXPECT_EQ(t->to, State::open);
        EXPECT_EQ(t->cause, c.opened->cause) << pattern;
        EXPECT_EQ(t->tally, c.opened->tally) << pattern;
        EXPECT_EQ(t->open_for, s.open_time);
        EXPECT_EQ(t->reopenings, 0U);
    }
}

TEST(CircuitBreaker, only_a_call_that_takes_longer_is_slow)
{
    for (const auto& [took, slow] :
         {std::pair(Duration(milliseconds(100)), 0U), std::pair(Duration(milliseconds(100)) + Duration(1), 1U),
          std::pair(Duration(-5), 0U), std::pair(Duration::max(), 1U)}) {
        BreakerSettings s;
        s.slow_call = milliseconds(100);
        Rig rig(s);
        rig.breaker.report(rig.permit(), CallOutcome::success, took, rig.now);
        EXPECT_EQ(rig.breaker.counters().slow, slow) << took.count();
    }
    BreakerSettings never;
    never.slow_call = Duration::max();
    Rig rig(never);
    rig.breaker.report(rig.permit(), CallOutcome::success, Duration::max(), rig.now);
    EXPECT_EQ(rig.breaker.counters().slow, 0U);
}

TEST(CircuitBreaker, a_success_ends_a_row_of_failures_and_an_ignored_call_does_not)
{
    BreakerSettings s;
    s.minimum_calls = 20; // the shares say nothing yet
    s.failures_in_a_row = 3;
    EXPECT_FALSE(Rig(s).calls("ffsffsff").first);
    Rig rig(s);
    const auto [t, after] = rig.calls("ffsffif");
    ASSERT_TRUE(t);
    EXPECT_EQ(after, 7U);
    EXPECT_EQ(t->cause, Cause::failures_in_a_row);
    EXPECT_EQ(t->failures_in_a_row, 3U);
    EXPECT_EQ(t->tally, (CallTally{6, 5, 0}));
}

TEST(CircuitBreaker, a_window_of_time_forgets)
{
    BreakerSettings s = plain();
    s.window = WindowKind::time;
    s.window_time = seconds(1);
    s.window_slots = 10;
    s.minimum_calls = 4;
    Rig rig(s);
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(rig.call('f'));
    rig.now += milliseconds(800);
    EXPECT_EQ(rig.breaker.snapshot(rig.now).window, (CallTally{3, 3, 0}));
    rig.now += milliseconds(200);
    EXPECT_EQ(rig.breaker.snapshot(rig.now).window, CallTally{});
    EXPECT_FALSE(rig.call('f')) << "the first of a new window";
    rig.now += std::chrono::hours(24 * 365);
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(rig.call('f'));
    EXPECT_TRUE(rig.call('f'));
}

TEST(CircuitBreaker, a_window_of_time_opens_within_its_length_however_many_calls_went_well)
{
    BreakerSettings s = plain();
    s.window = WindowKind::time;
    Rig rig(s);
    for (int i = 0; i < 5000; ++i) rig.call('s');
    const TimePoint outage = rig.now;
    rig.open();
    EXPECT_LE(rig.now - outage, seconds(1));
}

// --- Open ------------------------------------------------------------------------------------------------------------

TEST(CircuitBreaker, refuses_while_open_and_says_until_when)
{
    Rig rig;
    const BreakerTransition opened = rig.open();
    const TimePoint until = opened.at + opened.open_for;
    for (rig.now = opened.at; rig.now < until; rig.now += milliseconds(7)) {
        const Admission refusal = rig.breaker.acquire(rig.now);
        ASSERT_FALSE(refusal);
        EXPECT_FALSE(refusal.transition);
        EXPECT_EQ(refusal.retry_at, until);
    }
    EXPECT_FALSE(rig.breaker.acquire(until - Duration(1)));
    EXPECT_EQ(rig.breaker.snapshot(until).retry_at, until) << "looking at it changes nothing";

    const Admission probe = rig.breaker.acquire(until);
    ASSERT_TRUE(probe);
    EXPECT_TRUE(probe.permit->is_probe());
    ASSERT_TRUE(probe.transition);
    EXPECT_EQ(probe.transition->from, State::open);
    EXPECT_EQ(probe.transition->to, State::half_open);
    EXPECT_EQ(probe.transition->cause, Cause::open_time_over);
    EXPECT_EQ(probe.transition->at, until);
}

TEST(CircuitBreaker, stays_open_longer_with_each_reopening_until_it_was_closed)
{
    BreakerSettings s;
    s.jitter = 0;
    Rig rig(s);
    for (int round = 0; round < 2; ++round) {
        EXPECT_EQ(rig.open().open_for, milliseconds(250));
        unsigned reopenings = 0;
        for (const auto expected :
             {microseconds(375'000), microseconds(562'500), microseconds(800'000), microseconds(800'000)}) {
            rig.wait_until_half_open();
            const auto [t, after] = rig.calls("ff");
            ASSERT_TRUE(t);
            EXPECT_EQ(t->to, State::open);
            EXPECT_EQ(t->open_for, expected);
            EXPECT_EQ(t->reopenings, ++reopenings);
        }
        rig.wait_until_half_open();
        const auto [t, after] = rig.calls("sss");
        ASSERT_TRUE(t);
        EXPECT_EQ(t->to, State::closed);
        EXPECT_EQ(t->reopenings, 0U);
    }
}

TEST(CircuitBreaker, chance_shortens_the_open_time_and_comes_from_the_seed)
{
    BreakerSettings s;
    s.jitter = 0.2;
    Duration shortest = Duration::max(), longest = Duration::min();
    for (std::uint64_t seed = 0; seed < 1000; ++seed) {
        const Duration open_for = Rig(s, seed).open().open_for;
        EXPECT_EQ(Rig(s, seed).open().open_for, open_for);
        EXPECT_LE(open_for, milliseconds(250));
        EXPECT_GE(open_for, milliseconds(200));
        shortest = std::min(shortest, open_for);
        longest = std::max(longest, open_for);
    }
    EXPECT_LT(shortest, milliseconds(202));
    EXPECT_GT(longest, milliseconds(248));
}

TEST(CircuitBreaker, finds_a_dependency_that_returned_within_a_second)
{
    test::check_property(2000, [](std::uint64_t seed) {
        Rig rig({}, seed);
        const TimePoint back = start + milliseconds(*rc::gen::inRange(10, 60'000));
        const Duration took = milliseconds(*rc::gen::inRange(0, 40));
        while (true) {
            Admission a = rig.breaker.acquire(rig.now);
            if (!a) {
                rig.now = a.retry_at;
                continue;
            }
            const bool well = rig.now >= back;
            if (well && a.permit->is_probe()) RC_ASSERT(rig.now - back <= seconds(1));
            rig.now += took + milliseconds(1);
            rig.report(*std::move(a.permit), well ? 's' : 'f');
            if (well && rig.breaker.state() == State::closed) break;
        }
        RC_ASSERT(rig.now - back <= seconds(1));
    });
}

// --- Half-open -------------------------------------------------------------------------------------------------------

TEST(CircuitBreaker, never_has_more_probes_under_way_than_permits)
{
    for (const unsigned permits : {1U, 3U, 10U}) {
        BreakerSettings s;
        s.half_open_permits = permits;
        Rig rig(s);
        rig.bring_to(State::half_open);
        std::vector<Permit> probes;
        for (unsigned i = 0; i < permits; ++i) {
            probes.push_back(rig.permit());
            EXPECT_TRUE(probes.back().is_probe());
        }
        const Admission refusal = rig.breaker.acquire(rig.now);
        EXPECT_FALSE(refusal);
        EXPECT_GT(refusal.retry_at, rig.now);
        EXPECT_LE(refusal.retry_at, rig.now + s.open_time);
        EXPECT_EQ(rig.breaker.snapshot(rig.now).probes_in_flight, permits);

        for (unsigned i = 0; i + 1 < permits; ++i) {
            EXPECT_FALSE(rig.report(std::move(probes[i]), 's'));
            EXPECT_TRUE(rig.refused()) << "the lot is given out: what is missing is an answer, not another call";
        }
        const Transition t = rig.report(std::move(probes.back()), 's');
        ASSERT_TRUE(t);
        EXPECT_EQ(t->from, State::half_open);
        EXPECT_EQ(t->to, State::closed);
        EXPECT_EQ(t->cause, Cause::probes_good);
        EXPECT_EQ(t->tally, (CallTally{permits, 0, 0}));
        EXPECT_EQ(rig.breaker.snapshot(rig.now).window, CallTally{}) << "starts afresh";
    }
}

TEST(CircuitBreaker, judges_the_probes_as_one_lot_and_no_later_than_it_can)
{
    struct Case {
        unsigned permits;
        double failures, slow;
        const char* pattern;
        State to;
        std::size_t after;
        Cause cause;
    };
    const std::vector<Case> cases{
        {1, 0.5, 1, "s", State::closed, 1, Cause::probes_good},
        {1, 0.5, 1, "f", State::open, 1, Cause::probes_failed},
        {3, 0.5, 1, "sss", State::closed, 3, Cause::probes_good},
        {3, 0.5, 1, "fss", State::closed, 3, Cause::probes_good}, // one of three stays below a half
        {3, 0.5, 1, "sfs", State::closed, 3, Cause::probes_good},
        {3, 0.5, 1, "ff", State::open, 2, Cause::probes_failed}, // two of three: the third cannot help
        {3, 0.5, 1, "fsf", State::open, 3, Cause::probes_failed},
        {3, 0.5, 1, "fiisifs", State::open, 6, Cause::probes_failed}, // ignored ones do not count
        {4, 0.5, 1, "fsf", State::open, 3, Cause::probes_failed},     // the limit itself is too much
        {3, 1, 1, "ffs", State::closed, 3, Cause::probes_good},
        {3, 1, 1, "fff", State::open, 3, Cause::probes_failed},
        {5, 0.2, 1, "f", State::open, 1, Cause::probes_failed},
        {4, 1, 0.5, "SsS", State::open, 3, Cause::probes_slow},
        {4, 1, 0.5, "Ssss", State::closed, 4, Cause::probes_good},
        {4, 0.5, 0.5, "FF", State::open, 2, Cause::probes_failed},
        {4, 0.75, 0.5, "FF", State::open, 2, Cause::probes_slow},
    };
    for (const Case& c : cases)
        for (const bool at_once : {false, true}) {
            BreakerSettings s = plain();
            s.half_open_permits = c.permits;
            s.failure_rate = c.failures;
            s.slow_call_rate = c.slow;
            Rig rig(s);
            rig.bring_to(State::half_open);
            std::vector<Permit> probes;
            Transition t;
            std::size_t after = 0;
            for (const char* p = c.pattern; *p && !t; ++p, ++after) {
                if (!at_once) probes.push_back(rig.permit());
                for (Admission a; at_once && (a = rig.breaker.acquire(rig.now));)
                    probes.push_back(*std::move(a.permit));
                ASSERT_FALSE(probes.empty()) << c.pattern;
                t = rig.report(std::move(probes.back()), *p);
                probes.pop_back();
            }
            ASSERT_TRUE(t) << c.pattern;
            EXPECT_EQ(t->to, c.to) << c.pattern;
            EXPECT_EQ(t->cause, c.cause) << c.pattern;
            EXPECT_EQ(after, c.after) << c.pattern;
            EXPECT_EQ(t->reopenings, c.to == State::open ? 1U : 0U);
        }
}

TEST(CircuitBreaker, an_ignored_probe_gives_its_permit_back_and_counts_nowhere)
{
    Rig rig;
    rig.bring_to(State::half_open);
    for (int i = 0; i < 1000; ++i) {
        std::vector<Permit> probes;
        for (unsigned n = 0; n < rig.settings.half_open_permits; ++n) probes.push_back(rig.permit());
        EXPECT_TRUE(rig.refused());
        for (Permit& p : probes) EXPECT_FALSE(rig.report(std::move(p), 'i'));
    }
    const BreakerSnapshot seen = rig.breaker.snapshot(rig.now);
    EXPECT_EQ(seen.state, State::half_open);
    EXPECT_EQ(seen.probes, CallTally{});
    EXPECT_EQ(seen.probes_in_flight, 0U);
    EXPECT_EQ(seen.counters.ignored, 3001U) << "and the one that brought it here";
    EXPECT_EQ(rig.calls("sss").first->to, State::closed);
}

TEST(CircuitBreaker, probes_that_are_never_reported_do_not_block_it)
{
    Rig rig;
    rig.bring_to(State::half_open);
    std::vector<Permit> lost;
    const TimePoint given = rig.now;
    for (unsigned n = 0; n < rig.settings.half_open_permits; ++n) lost.push_back(rig.permit());

    rig.now = given + rig.settings.permit_lifetime - Duration(1);
    const Admission refusal = rig.breaker.acquire(rig.now);
    ASSERT_FALSE(refusal);
    EXPECT_EQ(refusal.retry_at, given + rig.settings.permit_lifetime);
    rig.now = refusal.retry_at;
    Permit next = rig.permit();
    EXPECT_EQ(rig.breaker.counters().expired, 3U);

    const BreakerSnapshot before = rig.breaker.snapshot(rig.now);
    for (Permit& p : lost) EXPECT_FALSE(rig.report(std::move(p), 'f')) << "their places have been given to others";
    const BreakerSnapshot after = rig.breaker.snapshot(rig.now);
    EXPECT_EQ(after.state, State::half_open);
    EXPECT_EQ(after.probes, before.probes);
    EXPECT_EQ(after.probes_in_flight, 1U);
    EXPECT_EQ(after.counters.late, 3U);

    EXPECT_FALSE(rig.report(std::move(next), 's'));
    EXPECT_EQ(rig.calls("ss").first->to, State::closed);
}

TEST(CircuitBreaker, a_probe_reported_at_the_end_of_its_lifetime_is_too_late_even_if_no_caller_asked_meanwhile)
{
    for (const auto& [early, late] : {std::pair(Duration(0), 1U), std::pair(Duration(1), 0U)}) {
        Rig rig;
        rig.bring_to(State::half_open);
        Permit p = rig.permit();
        rig.now += rig.settings.permit_lifetime - early;
        rig.report(std::move(p), 's');
        EXPECT_EQ(rig.breaker.counters().late, late);
        EXPECT_EQ(rig.breaker.counters().expired, late);
    }
}

// --- Late answers ----------------------------------------------------------------------------------------------------

TEST(CircuitBreaker, answers_of_an_earlier_generation_are_dropped)
{
    Rig rig;
    std::vector<Permit> old; // from the time before the outage: they hang
    for (int i = 0; i < 40; ++i) old.push_back(rig.permit());
    const auto late = [&](char what) {
        BreakerSnapshot before = rig.breaker.snapshot(rig.now);
        EXPECT_FALSE(rig.report(std::move(old.back()), what));
        old.pop_back();
        const BreakerSnapshot after = rig.breaker.snapshot(rig.now);
        EXPECT_EQ(after.state, before.state);
        EXPECT_EQ(after.window, before.window);
        EXPECT_EQ(after.failures_in_a_row, before.failures_in_a_row);
        EXPECT_EQ(after.probes, before.probes);
        EXPECT_EQ(after.probes_in_flight, before.probes_in_flight);
        EXPECT_EQ(after.retry_at, before.retry_at);
        ++before.counters.late;
        EXPECT_EQ(after.counters, before.counters);
    };
    rig.open();
    for (const char what : {'s', 'f', 'i', 'S'}) late(what);
    rig.wait_until_half_open();
    for (const char what : {'s', 's', 's', 'f', 'f', 'f', 'i'}) late(what);
    EXPECT_FALSE(rig.calls("ss").first);
    Permit probe = rig.permit();
    rig.report(std::move(probe), 's');
    ASSERT_EQ(rig.breaker.state(), State::closed);
    for (int i = 0; i < 10; ++i) late('f');
    rig.breaker.disable(rig.now);
    late('f');
    rig.breaker.force_open(rig.now);
    late('s');
}

TEST(CircuitBreaker, a_probe_of_an_earlier_round_is_late_in_the_next)
{
    Rig rig;
    rig.bring_to(State::half_open);
    Permit slow_one = rig.permit();
    ASSERT_TRUE(rig.calls("ff").first) << "reopens without waiting for it";
    rig.wait_until_half_open();
    EXPECT_FALSE(rig.report(std::move(slow_one), 'f'));
    EXPECT_EQ(rig.breaker.snapshot(rig.now).probes, CallTally{});
    EXPECT_EQ(rig.breaker.counters().late, 1U);
}

TEST(CircuitBreaker, a_permit_is_good_for_one_report)
{
    for (const State state : {State::closed, State::half_open, State::disabled}) {
        Rig rig;
        rig.bring_to(state);
        Permit p = rig.permit();
        EXPECT_NE(p.generation(), 0U);
        rig.report(std::move(p), 's');
        const BreakerCounters once = rig.breaker.counters();
        for (int i = 0; i < 10; ++i) EXPECT_FALSE(rig.report(std::move(p), 'f')); // NOLINT(bugprone-use-after-move)
        EXPECT_EQ(rig.breaker.counters().late, once.late + 10);
        EXPECT_EQ(rig.breaker.counters().failures, once.failures);
        EXPECT_FALSE(rig.report(Permit(), 'f'));
        EXPECT_EQ(rig.breaker.state(), state);
    }
}

// --- By hand ---------------------------------------------------------------------------------------------------------

TEST(CircuitBreaker, obeys_the_operator_in_every_state)
{
    using Order = Transition (CircuitBreaker::*)(TimePoint);
    for (const State from : {State::closed, State::open, State::half_open, State::forced_open, State::disabled})
        for (const auto& [order, to] : {std::pair<Order, State>(&CircuitBreaker::force_open, State::forced_open),
                                        std::pair<Order, State>(&CircuitBreaker::disable, State::disabled),
                                        std::pair<Order, State>(&CircuitBreaker::reset, State::closed)}) {
            Rig rig;
            rig.bring_to(from);
            const std::uint64_t generation = rig.breaker.generation();
            const Transition t = (rig.breaker.*order)(rig.now);
            EXPECT_EQ(rig.breaker.state(), to);
            EXPECT_EQ(t.has_value(), from != to);
            EXPECT_EQ(rig.breaker.generation() == generation, from == to);
            if (!t) continue;
            EXPECT_EQ(t->from, from);
            EXPECT_EQ(t->to, to);
            EXPECT_EQ(t->at, rig.now);
            EXPECT_EQ(t->cause, Cause::by_operator);
            EXPECT_EQ(rig.breaker.snapshot(rig.now).since, rig.now);
        }
}

TEST(CircuitBreaker, forced_open_stays_so_until_the_operator_says_otherwise)
{
    Rig rig;
    rig.breaker.force_open(rig.now);
    for (int i = 0; i < 100; ++i) {
        const Admission refusal = rig.breaker.acquire(rig.now);
        ASSERT_FALSE(refusal);
        EXPECT_GT(refusal.retry_at, rig.now);
        EXPECT_LE(refusal.retry_at, rig.now + rig.settings.max_open_time);
        rig.now = refusal.retry_at + std::chrono::hours(1);
    }
    EXPECT_EQ(rig.breaker.counters().refused, 100U);
    rig.breaker.reset(rig.now);
    EXPECT_FALSE(rig.call('s'));
    EXPECT_LE(rig.open().open_for, milliseconds(250));
}

TEST(CircuitBreaker, disabled_permits_and_counts_and_never_opens)
{
    Rig rig;
    rig.breaker.disable(rig.now);
    EXPECT_FALSE(rig.calls(std::string(200, 'F') + "sSi").first);
    const BreakerCounters& seen = rig.breaker.counters();
    EXPECT_EQ(seen.permitted, 203U);
    EXPECT_EQ(seen.failures, 200U);
    EXPECT_EQ(seen.successes, 2U);
    EXPECT_EQ(seen.slow, 201U);
    EXPECT_EQ(seen.ignored, 1U);
    rig.breaker.reset(rig.now);
    EXPECT_FALSE(rig.calls("ffff").first) << "what was met while disabled is not held against it";
    EXPECT_TRUE(rig.call('f'));
}

TEST(CircuitBreaker, reset_forgets_the_window_and_the_growth)
{
    Rig rig;
    EXPECT_FALSE(rig.calls("ffff").first);
    EXPECT_FALSE(rig.breaker.reset(rig.now)) << "closed already";
    EXPECT_FALSE(rig.calls("ffff").first);
    rig.open();
    for (int i = 0; i < 5; ++i) {
        rig.wait_until_half_open();
        rig.calls("ff");
    }
    EXPECT_EQ(rig.breaker.snapshot(rig.now).reopenings, 5U);
    rig.breaker.reset(rig.now);
    EXPECT_EQ(rig.breaker.snapshot(rig.now).reopenings, 0U);
    EXPECT_LE(rig.open().open_for, rig.settings.open_time);
}

// --- Clocks ----------------------------------------------------------------------------------------------------------

TEST(CircuitBreaker, a_clock_that_goes_back_makes_no_wait_longer)
{
    Rig rig;
    const Duration open_for = rig.open().open_for;
    rig.now -= std::chrono::hours(2);
    const Admission refusal = rig.breaker.acquire(rig.now);
    ASSERT_FALSE(refusal);
    EXPECT_EQ(refusal.retry_at, rig.now + open_for);
    rig.now = refusal.retry_at;
    std::vector<Permit> lost;
    for (int i = 0; i < 3; ++i) lost.push_back(rig.permit());

    rig.now -= std::chrono::hours(1);
    EXPECT_TRUE(rig.refused());
    rig.now += rig.settings.permit_lifetime;
    EXPECT_FALSE(rig.refused()) << "lost probes are given up in time, too";
}

TEST(CircuitBreaker, a_window_of_time_forgets_after_the_clock_went_back)
{
    BreakerSettings s = plain();
    s.window = WindowKind::time;
    s.minimum_calls = 4;
    Rig rig(s);
    EXPECT_FALSE(rig.calls("sss").first);
    rig.now -= std::chrono::hours(1);
    EXPECT_FALSE(rig.calls("f").first);
    EXPECT_EQ(rig.breaker.snapshot(rig.now).window, (CallTally{4, 1, 0}));
    rig.now += seconds(1);
    EXPECT_EQ(rig.breaker.snapshot(rig.now).window, CallTally{});
}

TEST(CircuitBreaker, a_jump_ahead_ends_the_wait_and_nothing_else)
{
    Rig rig;
    rig.open();
    rig.now += std::chrono::hours(24 * 365 * 50);
    Admission a = rig.breaker.acquire(rig.now);
    ASSERT_TRUE(a);
    EXPECT_EQ(rig.breaker.state(), State::half_open) << "it still asks for proof";
    rig.report(*std::move(a.permit), 'f');
    EXPECT_EQ(rig.call('f')->reopenings, 1U);
}

// --- Settings and words ----------------------------------------------------------------------------------------------

TEST(CircuitBreaker, is_in_trouble_only_as_far_as_is_known)
{
    Rig rig;
    const auto in_trouble = [&] { return rig.breaker.snapshot(rig.now).in_trouble(rig.now); };
    EXPECT_FALSE(in_trouble());
    rig.open();
    EXPECT_TRUE(in_trouble());
    rig.now = rig.breaker.snapshot(rig.now).retry_at.value();
    EXPECT_FALSE(in_trouble()) << "no call since then: it may be over";
    auto probe = rig.permit();
    EXPECT_TRUE(in_trouble()) << "the first probe has not come back yet";
    rig.report(std::move(probe), 's');
    EXPECT_EQ(rig.breaker.state(), State::half_open);
    EXPECT_FALSE(in_trouble()) << "the probe succeeded, though more are needed to close it";
    auto second = rig.permit();
    EXPECT_FALSE(in_trouble());
    rig.report(std::move(second), 'f');
    EXPECT_TRUE(in_trouble());
    rig.breaker.reset(rig.now);
    EXPECT_FALSE(in_trouble());
    rig.breaker.force_open(rig.now);
    EXPECT_TRUE(in_trouble());
    rig.breaker.disable(rig.now);
    EXPECT_FALSE(in_trouble());
}

TEST(CircuitBreaker, refuses_settings_with_which_it_could_not_work)
{
    using Change = std::function<void(BreakerSettings&)>;
    const std::vector<std::pair<std::string, Change>> wrong{
        {"window_calls", [](auto& s) { s.window_calls = 0; }},
        {"window_calls", [](auto& s) { s.window_calls = 100'001; }},
        {"minimum_calls", [](auto& s) { s.minimum_calls = 0; }},
        {"minimum_calls", [](auto& s) { s.minimum_calls = s.window_calls + 1; }},
        {"window_slots", [](auto& s) { s.window = WindowKind::time, s.window_slots = 0; }},
        {"window_slots", [](auto& s) { s.window = WindowKind::time, s.window_slots = 1001; }},
        {"window_time", [](auto& s) { s.window = WindowKind::time, s.window_time = milliseconds(9); }},
        {"window_time", [](auto& s) { s.window = WindowKind::time, s.window_time = -seconds(1); }},
        {"window_time", [](auto& s) { s.window = WindowKind::time, s.window_time = std::chrono::hours(25); }},
        {"failure_rate", [](auto& s) { s.failure_rate = 0; }},
        {"failure_rate", [](auto& s) { s.failure_rate = 1.01; }},
        {"failure_rate", [](auto& s) { s.failure_rate = std::nan(""); }},
        {"slow_call ", [](auto& s) { s.slow_call = Duration::zero(); }},
        {"slow_call_rate", [](auto& s) { s.slow_call_rate = -0.5; }},
        {"half_open_permits", [](auto& s) { s.half_open_permits = 0; }},
        {"half_open_permits", [](auto& s) { s.half_open_permits = 1001; }},
        {"open_time", [](auto& s) { s.open_time = Duration::zero(); }},
        {"open_time_multiplier", [](auto& s) { s.open_time_multiplier = 0.9; }},
        {"open_time_multiplier", [](auto& s) { s.open_time_multiplier = std::nan(""); }},
        {"max_open_time", [](auto& s) { s.max_open_time = milliseconds(249); }},
        {"max_open_time", [](auto& s) { s.max_open_time = Duration::max(); }},
        {"jitter", [](auto& s) { s.jitter = 1; }},
        {"jitter", [](auto& s) { s.jitter = -0.1; }},
        {"permit_lifetime", [](auto& s) { s.permit_lifetime = Duration::zero(); }},
        {"permit_lifetime", [](auto& s) { s.permit_lifetime = Duration::max(); }},
    };
    for (const auto& [name, change] : wrong) {
        BreakerSettings s;
        change(s);
        try {
            CircuitBreaker breaker(s, 1, start);
            ADD_FAILURE() << name << " was taken";
        } catch (const std::invalid_argument& error) {
            EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
        }
    }
    BreakerSettings fine;
    fine.window = WindowKind::time;
    fine.minimum_calls = 1000; // there is no number of calls that a window of time could be too small for
    EXPECT_NO_THROW(CircuitBreaker(fine, 1, start));
}

TEST(CircuitBreaker, its_words_are_those_of_the_metrics)
{
    EXPECT_EQ(to_string(State::closed), "closed");
    EXPECT_EQ(to_string(State::open), "open");
    EXPECT_EQ(to_string(State::half_open), "half_open");
    EXPECT_EQ(to_string(State::forced_open), "forced_open");
    EXPECT_EQ(to_string(State::disabled), "disabled");
    EXPECT_EQ(to_string(Cause::by_operator), "operator");
    EXPECT_EQ(to_string(CallOutcome::ignored), "ignored");
    EXPECT_EQ(to_string(WindowKind::time), "time");
}

// --- Any sequence ----------------------------------------------------------------------------------------------------

/// The same rules, told naively: every outcome is kept and counted anew each time, shares are compared in whole
/// percent, permits are looked up by name. The open time that chance chose is taken from the breaker and checked.
class Model {
public:
    Model(const BreakerSettings& s, unsigned failure_percent, unsigned slow_percent)
        : settings_(s), failure_percent_(failure_percent), slow_percent_(slow_percent)
    {
    }

    struct Answer {
        bool permitted = false;
        std::optional<State> to;
    };
    Answer acquire(int name, TimePoint now)
    {
        Answer out;
        if (state == State::open && now >= retry_at) out.to = enter(State::half_open);
        if (state == State::half_open) {
            expire(now);
            out.permitted = judged_.size() + probes_.size() < settings_.half_open_permits;
            if (out.permitted) probes_[name] = now;
        } else {
            out.permitted = state == State::closed || state == State::disabled;
        }
        if (out.permitted) rounds_[name] = round_;
        return out;
    }

    struct Verdict {
        std::optional<State> to;
        Cause cause{};
    };
    Verdict report(int name, CallOutcome outcome, bool slow, TimePoint now)
    {
        if (state == State::half_open) expire(now);
        const auto round = rounds_.find(name);
        const bool known =
            round != rounds_.end() && round->second == round_ && (state != State::half_open || probes_.contains(name));
        if (!known) {
            ++late;
            return {};
        }
        rounds_.erase(round);
        probes_.erase(name);
        if (outcome == CallOutcome::ignored) return {};
        const bool failed = outcome == CallOutcome::failure;
        if (state == State::closed) {
            ended_.push_back({now.time_since_epoch() / (settings_.window_time / settings_.window_slots), failed, slow});
            run_ = failed ? run_ + 1 : 0;
            const CallTally t = window(now);
            if (t.calls >= settings_.minimum_calls && t.failures * 100 >= failure_percent_ * t.calls)
                return {enter(State::open), Cause::failure_rate};
            if (t.calls >= settings_.minimum_calls && t.slow * 100 >= slow_percent_ * t.calls)
                return {enter(State::open), Cause::slow_call_rate};
            if (settings_.failures_in_a_row > 0 && run_ >= settings_.failures_in_a_row)
                return {enter(State::open), Cause::failures_in_a_row};
        } else if (state == State::half_open) {
            judged_.push_back({0, failed, slow});
            const CallTally t = sum(judged_);
            if (t.failures * 100 >= failure_percent_ * settings_.half_open_permits)
                return {enter(State::open), Cause::probes_failed};
            if (t.slow * 100 >= slow_percent_ * settings_.half_open_permits)
                return {enter(State::open), Cause::probes_slow};
            if (t.calls == settings_.half_open_permits) return {enter(State::closed), Cause::probes_good};
        }
        return {};
    }

    std::optional<State> order(State to) { return state == to ? forget_if_closed() : enter(to); }

    CallTally window(TimePoint now) const
    {
        std::vector<Ended> counted = ended_;
        if (settings_.window == WindowKind::count) {
            if (counted.size() > settings_.window_calls)
                counted.erase(counted.begin(), counted.end() - static_cast<std::ptrdiff_t>(settings_.window_calls));
        } else {
            const auto slot = now.time_since_epoch() / (settings_.window_time / settings_.window_slots);
            std::erase_if(counted,
                          [&](const Ended& e) { return e.slot <= slot - Duration::rep(settings_.window_slots); });
        }
        return sum(counted);
    }
    CallTally judged() const { return sum(judged_); }
    std::size_t probes_in_flight() const { return probes_.size(); }

    /// Before jitter.
    double longest_open_time() const
    {
        return std::min(static_cast<double>(settings_.open_time.count()) *
                            std::pow(settings_.open_time_multiplier, reopenings),
                        static_cast<double>(settings_.max_open_time.count()));
    }

    State state = State::closed;
    TimePoint retry_at{};
    unsigned reopenings = 0;
    std::uint64_t late = 0;

private:
    struct Ended {
        Duration::rep slot;
        bool failed, slow;
    };
    static CallTally sum(const std::vector<Ended>& calls)
    {
        CallTally t;
        for (const Ended& e : calls) t.calls += 1, t.failures += e.failed, t.slow += e.slow;
        return t;
    }
    void expire(TimePoint now)
    {
        std::erase_if(probes_, [&](const auto& p) { return p.second + settings_.permit_lifetime <= now; });
    }
    std::optional<State> forget_if_closed()
    {
        if (state == State::closed) ended_.clear(), run_ = 0;
        return std::nullopt;
    }
    State enter(State to)
    {
        if (to == State::open && state == State::half_open) ++reopenings;
        if (to == State::closed) ended_.clear(), run_ = 0, reopenings = 0;
        judged_.clear();
        probes_.clear();
        ++round_;
        return state = to;
    }

    BreakerSettings settings_;
    unsigned failure_percent_, slow_percent_;
    int round_ = 0;
    std::map<int, int> rounds_; ///< permit -> the round in which it was given
    std::vector<Ended> ended_;  ///< while closed
    unsigned run_ = 0;
    std::vector<Ended> judged_;
    std::map<int, TimePoint> probes_;
};

struct Held {
    int name;
    Permit permit;
};

std::map<Cause, int> met; ///< which transitions the random sequences have led to

using Steps = std::vector<std::tuple<std::uint8_t, std::uint8_t, std::uint16_t>>;

BreakerSettings random_settings(unsigned failure_percent, unsigned slow_percent)
{
    BreakerSettings s;
    s.window = *rc::gen::element(WindowKind::count, WindowKind::time);
    s.window_calls = *rc::gen::inRange(1U, 12U);
    s.window_time = milliseconds(*rc::gen::inRange(10, 1000));
    s.window_slots = *rc::gen::inRange(1U, 10U);
    s.minimum_calls = *rc::gen::inRange(1U, s.window_calls + 1);
    s.failures_in_a_row = *rc::gen::inRange(0U, 8U);
    s.failure_rate = failure_percent / 100.0;
    s.slow_call = milliseconds(100);
    s.slow_call_rate = slow_percent / 100.0;
    s.half_open_permits = *rc::gen::inRange(1U, 6U);
    s.open_time_multiplier = *rc::gen::element(1.0, 1.1, 1.5, 2.0, 7.0);
    s.jitter = *rc::gen::inRange(0, 90) / 100.0;
    s.permit_lifetime = milliseconds(*rc::gen::inRange(1, 2000));
    return s;
}

TEST(CircuitBreaker, does_as_the_model_in_any_sequence)
{
    met.clear();
    test::check_property(6000, [](std::uint64_t seed) {
        const unsigned failure_percent = *rc::gen::inRange(1U, 101U);
        const unsigned slow_percent = *rc::gen::inRange(1U, 101U);
        const BreakerSettings s = random_settings(failure_percent, slow_percent);
        const auto steps = *rc::gen::resize(200, rc::gen::arbitrary<Steps>());
        CircuitBreaker breaker(s, seed, start);
        Model model(s, failure_percent, slow_percent);
        TimePoint now = start;
        std::vector<Held> held;
        int names = 0;
        std::uint64_t asked = 0;
        const int luck = 3 + static_cast<int>(seed % 4);

        const auto entered = [&](const Transition& t, State from) {
            ++met[t->cause];
            RC_ASSERT(t->from == from);
            RC_ASSERT(t->at == now);
            RC_ASSERT(t->reopenings == model.reopenings);
            if (t->to != State::open) return;
            model.retry_at = now + t->open_for;
            const double most = model.longest_open_time();
            RC_ASSERT(t->open_for <= s.max_open_time);
            RC_ASSERT(static_cast<double>(t->open_for.count()) <= most + 1);
            RC_ASSERT(static_cast<double>(t->open_for.count()) >= most * (1 - s.jitter) - 100);
        };

        for (const auto& [kind, what, pause] : steps) {
            // Often no time passes, sometimes just as much as the breaker waits for.
            if (kind % 16 == 0 && model.state == State::open)
                now = std::max(now, model.retry_at - Duration(what % 2));
            else if (kind % 4 == 0)
                now += milliseconds(pause % 1500);
            else
                now += microseconds(pause % 3000);

            const State from = model.state;
            if (kind % 8 < 4) {
                Admission a = breaker.acquire(now);
                ++asked;
                const int name = ++names;
                const Model::Answer expected = model.acquire(name, now);
                RC_ASSERT(a.permit.has_value() == expected.permitted);
                RC_ASSERT(a.transition.has_value() == expected.to.has_value());
                if (a.transition) entered(a.transition, from);
                if (!a) RC_ASSERT(a.retry_at > now);
                if (!a) RC_ASSERT(a.retry_at <= now + s.max_open_time);
                if (!a && model.state == State::open) RC_ASSERT(a.retry_at == model.retry_at);
                if (a) RC_ASSERT(a.permit->is_probe() == (model.state == State::half_open));
                if (a) held.push_back({name, *std::move(a.permit)});
            } else if (kind < 248) {
                if (held.empty()) continue;
                const std::size_t which = pause % held.size();
                Held h = std::move(held[which]);
                held.erase(held.begin() + static_cast<std::ptrdiff_t>(which));
                if (what % 32 == 31) continue; // lost
                const auto outcome = what % 8 == 7     ? CallOutcome::ignored
                                     : what % 8 < luck ? CallOutcome::success
                                                       : CallOutcome::failure;
                const bool slow = what / 8 % 4 == 0;
                const Transition t = breaker.report(std::move(h.permit), outcome, milliseconds(slow ? 101 : 100), now);
                const Model::Verdict expected = model.report(h.name, outcome, slow, now);
                RC_ASSERT(t.has_value() == expected.to.has_value());
                if (t) {
                    RC_ASSERT(t->to == *expected.to);
                    RC_ASSERT(t->cause == expected.cause);
                    entered(t, from);
                }
            } else {
                const State to =
                    std::array{State::forced_open, State::disabled, State::closed, State::closed}[what % 4];
                const Transition t = to == State::closed     ? breaker.reset(now)
                                     : to == State::disabled ? breaker.disable(now)
                                                             : breaker.force_open(now);
                RC_ASSERT(t.has_value() == model.order(to).has_value());
                if (t) entered(t, from);
            }

            const BreakerSnapshot seen = breaker.snapshot(now);
            RC_ASSERT(seen.state == model.state);
            RC_ASSERT(seen.counters.late == model.late);
            RC_ASSERT(seen.counters.permitted + seen.counters.refused == asked);
            RC_ASSERT(seen.probes == model.judged());
            RC_ASSERT(seen.probes_in_flight <= s.half_open_permits);
            if (model.state == State::closed) RC_ASSERT(seen.window == model.window(now));
        }
    });
    if (test::runs_are_given()) return;
    for (const Cause cause :
         {Cause::failure_rate, Cause::slow_call_rate, Cause::failures_in_a_row, Cause::open_time_over,
          Cause::probes_failed, Cause::probes_slow, Cause::probes_good, Cause::by_operator}) {
        std::cout << to_string(cause) << " " << met[cause] << "\n";
        EXPECT_GT(met[cause], 50) << to_string(cause) << " is hardly tested";
    }
}

// Whatever the clock and the callers do: no more probes than permits, only the transitions that exist, waits that are
// bounded, and it never refuses for ever.
TEST(CircuitBreaker, survives_any_clock_and_any_caller)
{
    test::check_property(3000, [](std::uint64_t seed) {
        const BreakerSettings s = random_settings(*rc::gen::inRange(1U, 101U), *rc::gen::inRange(1U, 101U));
        const auto steps = *rc::gen::resize(200, rc::gen::arbitrary<Steps>());
        CircuitBreaker breaker(s, seed, start);
        TimePoint now = start;
        std::vector<Permit> held;
        for (const auto& [kind, what, pause] : steps) {
            switch (kind % 32) {
            case 0: now += std::chrono::hours(24 * 365); break;
            case 1: now -= std::chrono::hours(24 * 365); break;
            case 2: now -= seconds(pause % 100); break;
            case 3: now = TimePoint{} - std::chrono::hours(pause); break;
            default: now += milliseconds(pause % 400) - milliseconds(100);
            }
            const State from = breaker.state();
            Transition t;
            if (what % 2 == 0 || held.empty()) {
                Admission a = breaker.acquire(now);
                if (!a) RC_ASSERT(a.retry_at > now);
                if (!a) RC_ASSERT(a.retry_at <= now + s.max_open_time);
                if (a) RC_ASSERT(breaker.state() != State::open);
                if (a) held.push_back(*std::move(a.permit));
                t = a.transition;
                if (t) RC_ASSERT(t->from == State::open && t->to == State::half_open);
            } else {
                const std::uint64_t late = breaker.counters().late;
                Permit p = std::move(held.back());
                held.pop_back();
                const bool old = p.generation() != breaker.generation();
                t = breaker.report(std::move(p), static_cast<CallOutcome>(what / 2 % 3),
                                   milliseconds(kind % 4 == 0 ? 500 : 1), now);
                RC_ASSERT(!old || breaker.counters().late == late + 1);
                if (t) {
                    RC_ASSERT(!old);
                    RC_ASSERT((from == State::closed && t->to == State::open) ||
                              (from == State::half_open && (t->to == State::open || t->to == State::closed)));
                }
            }
            RC_ASSERT(t.has_value() == (breaker.state() != from));
            const BreakerSnapshot seen = breaker.snapshot(now);
            RC_ASSERT(seen.probes_in_flight + seen.probes.calls <= s.half_open_permits);
            RC_ASSERT(seen.window.failures <= seen.window.calls && seen.window.slow <= seen.window.calls);
        }
        const auto asks = s.permit_lifetime / s.open_time + 3;
        bool permitted = false;
        for (Duration::rep i = 0; i < asks && !permitted; ++i) {
            const Admission a = breaker.acquire(now);
            permitted = a.permit.has_value();
            now = a.retry_at;
        }
        RC_ASSERT(permitted);
    });
}

} // namespace TEST_FILE
} // namespace hotspare::resilience
