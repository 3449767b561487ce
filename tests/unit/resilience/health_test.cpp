#include "common/resilience/health.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <random>
#include <tuple>
#include <vector>

namespace hotspare::resilience {
namespace TEST_FILE {

/// A detector with a clock: every call takes some milliseconds.
class Watch {
public:
    explicit Watch(HealthSettings settings = {}) : detector(settings) {}

    std::optional<HealthChange> probe(ProbeOutcome outcome, Duration latency = milliseconds(1))
    {
        const TimePoint started = now += milliseconds(100);
        now += latency;
        return detector.probed({started, latency, outcome}, now);
    }
    std::optional<HealthChange> good() { return probe(ProbeOutcome::ok); }
    std::optional<HealthChange> slow() { return probe(ProbeOutcome::ok, milliseconds(350)); }
    std::optional<HealthChange> refused() { return probe(ProbeOutcome::refused); }
    std::optional<HealthChange> failing() { return probe(ProbeOutcome::failing); }

    std::optional<HealthChange> live_success(std::uint32_t n = 1)
    {
        now += milliseconds(1);
        return detector.observed({.successes = n, .last_success = now}, now);
    }
    std::optional<HealthChange> live_refused(std::uint32_t n = 1)
    {
        now += milliseconds(1);
        return detector.observed({.refused = n, .last_refused = now}, now);
    }
    std::optional<HealthChange> live_diverted(std::uint32_t n = 1)
    {
        now += milliseconds(1);
        return detector.observed({.diverted = n, .last_diverted = now}, now);
    }
    std::optional<HealthChange> live_uncompared(std::uint32_t n = 1)
    {
        now += milliseconds(1);
        return detector.observed({.uncompared = n, .last_uncompared = now}, now);
    }
    std::optional<HealthChange> live_broken(std::uint32_t n = 1)
    {
        now += milliseconds(1);
        return detector.observed({.broken = n, .last_broken = now}, now);
    }
    std::optional<HealthChange> live_outpaced(std::uint32_t n = 1)
    {
        now += milliseconds(1);
        return detector.observed({.outpaced = n, .last_outpaced = now}, now);
    }
    void healthy()
    {
        while (detector.health() != Health::healthy) good();
        for (int i = 0; i < 4; ++i) good();
    }

    TimePoint now = TimePoint{} + std::chrono::hours(1);
    HealthDetector detector;
};

TEST(HealthDetector, the_first_probe_decides)
{
    for (const auto& [outcome, health] :
         {std::pair(ProbeOutcome::ok, Health::healthy), std::pair(ProbeOutcome::failing, Health::unhealthy),
          std::pair(ProbeOutcome::malformed, Health::unhealthy), std::pair(ProbeOutcome::refused, Health::down),
          std::pair(ProbeOutcome::reset, Health::down), std::pair(ProbeOutcome::timed_out, Health::down)}) {
        Watch w;
        EXPECT_TRUE(w.detector.in_doubt());
        const auto change = w.probe(outcome);
        ASSERT_TRUE(change) << to_string(outcome);
        EXPECT_EQ(change->to, health) << to_string(outcome);
        EXPECT_EQ(change->cause, Cause::first_probe);
        EXPECT_EQ(w.detector.flaps(w.now), 0U);
    }
}

TEST(HealthDetector, falls_after_two_failed_probes_and_rises_after_two_good_ones)
{
    Watch w;
    w.healthy();
    EXPECT_FALSE(w.refused());
    EXPECT_TRUE(w.detector.in_doubt());
    EXPECT_TRUE(w.detector.last_failed());
    const auto fallen = w.refused();
    ASSERT_TRUE(fallen);
    EXPECT_EQ(fallen->to, Health::down);
    EXPECT_EQ(fallen->cause, Cause::probes);
    EXPECT_EQ(fallen->probes, 2U);
    EXPECT_EQ(w.now - fallen->first_evidence, milliseconds(102)) << "the start of the first failed probe";
    EXPECT_FALSE(w.detector.in_doubt());

    EXPECT_FALSE(w.good());
    EXPECT_TRUE(w.detector.recovering());
    EXPECT_TRUE(w.detector.in_doubt());
    const auto risen = w.good();
    ASSERT_TRUE(risen);
    EXPECT_EQ(risen->to, Health::healthy);
    EXPECT_EQ(w.detector.flaps(w.now), 1U);
}

TEST(HealthDetector, one_lost_probe_is_forgiven)
{
    Watch w;
    w.healthy();
    for (int i = 0; i < 3; ++i) {
        EXPECT_FALSE(w.probe(ProbeOutcome::timed_out));
        EXPECT_FALSE(w.good());
        EXPECT_FALSE(w.detector.last_failed());
        EXPECT_FALSE(w.good());
        EXPECT_FALSE(w.detector.in_doubt());
    }
}

TEST(HealthDetector, a_worse_verdict_is_as_good_as_the_best_of_its_probes)
{
    Watch w;
    w.healthy();
    w.slow();
    EXPECT_EQ(w.refused()->to, Health::degraded);
    EXPECT_EQ(w.refused()->to, Health::down);
}

TEST(HealthDetector, a_better_verdict_is_as_bad_as_the_worst_of_its_probes)
{
    Watch w;
    w.refused();
    w.good();
    EXPECT_EQ(w.slow()->to, Health::degraded);
    w.good();
    EXPECT_EQ(w.good()->to, Health::healthy);
}

TEST(HealthDetector, slow_answers_degrade)
{
    Watch w;
    w.healthy();
    EXPECT_FALSE(w.slow());
    EXPECT_FALSE(w.detector.last_failed()) << "slow is not a failure";
    EXPECT_EQ(w.slow()->to, Health::degraded);
    EXPECT_FALSE(w.slow());
    EXPECT_FALSE(w.detector.in_doubt());
}

TEST(HealthDetector, a_refused_request_and_the_probe_that_confirms_it_suffice)
{
    Watch w;
    w.healthy();
    EXPECT_FALSE(w.live_refused(7));
    EXPECT_TRUE(w.detector.last_failed());
    EXPECT_TRUE(w.detector.in_doubt());
    const TimePoint met = w.now;
    const auto change = w.refused();
    ASSERT_TRUE(change);
    EXPECT_EQ(change->to, Health::down);
    EXPECT_EQ(change->cause, Cause::confirmed);
    EXPECT_EQ(change->requests, 7U);
    EXPECT_EQ(change->first_evidence, met);
}

TEST(HealthDetector, it_does_not_matter_which_comes_first)
{
    Watch w;
    w.healthy();
    EXPECT_FALSE(w.refused());
    const auto change = w.live_broken();
    ASSERT_TRUE(change);
    EXPECT_EQ(change->to, Health::down);
    EXPECT_EQ(change->cause, Cause::confirmed);
}

TEST(HealthDetector, failed_requests_alone_are_one_observation)
{
    Watch w;
    w.healthy();
    for (int i = 0; i < 40; ++i) {
        EXPECT_FALSE(w.live_refused());
        EXPECT_FALSE(w.live_broken()) << "the probe that they cause will tell";
    }
    for (int i = 0; i < 40; ++i) {
        EXPECT_FALSE(w.good());
        EXPECT_FALSE(w.live_broken()) << "the requests may be the cause, and nothing shows the contrary";
    }
}

TEST(HealthDetector, a_connection_that_breaks_while_probes_are_good_is_no_failure_of_the_service)
{
    Watch w;
    w.healthy();
    w.now += milliseconds(150);
    EXPECT_FALSE(w.live_broken());
    EXPECT_TRUE(w.detector.last_failed()) << "the last good probe is too long ago";
    EXPECT_FALSE(w.good());
    EXPECT_FALSE(w.detector.last_failed());
    EXPECT_FALSE(w.live_broken());
    EXPECT_FALSE(w.detector.last_failed()) << "a probe is good just now";
    EXPECT_FALSE(w.live_refused());
    EXPECT_TRUE(w.detector.last_failed()) << "a connection is refused whatever the request is";
}

TEST(HealthDetector, a_good_probe_counts_however_many_connections_break_meanwhile)
{
    Watch w;
    w.healthy();
    w.now += seconds(1);
    w.live_broken();
    const TimePoint started = w.now + microseconds(100);
    for (int i = 0; i < 10; ++i) w.live_broken();
    EXPECT_FALSE(w.detector.probed({started, milliseconds(10), ProbeOutcome::ok}, w.now));
    EXPECT_FALSE(w.detector.last_failed());
}

TEST(HealthDetector, a_broken_connection_is_judged_by_the_start_of_the_good_probe_beside_it)
{
    Watch w;
    w.healthy();
    w.now += seconds(1);
    const TimePoint started = w.now;
    w.now += milliseconds(50);
    w.live_broken();
    EXPECT_TRUE(w.detector.last_failed());
    w.now = started + milliseconds(200);
    w.detector.probed({started, milliseconds(200), ProbeOutcome::ok}, w.now);
    EXPECT_FALSE(w.detector.last_failed()) << "the probe that was under way was good";
    EXPECT_EQ(w.detector.good_probe_started(), started);

    // A probe is good that started between the two, but the second is too long after its start.
    w.live_broken();
    const TimePoint between = w.now += milliseconds(1);
    w.now += milliseconds(150);
    w.live_broken();
    w.now = between + milliseconds(200);
    w.detector.probed({between, milliseconds(200), ProbeOutcome::ok}, w.now);
    EXPECT_TRUE(w.detector.last_failed());
    w.good();
    EXPECT_FALSE(w.detector.last_failed());
}

TEST(HealthDetector, a_probe_that_started_before_the_last_failure_does_not_readmit)
{
    Watch w;
    w.healthy();
    w.live_refused();
    w.refused();
    ASSERT_EQ(w.detector.health(), Health::down);

    const TimePoint started = w.now + milliseconds(1);
    w.now += milliseconds(10);
    w.live_refused();
    for (int i = 0; i < 40; ++i) {
        EXPECT_FALSE(w.detector.probed({started, milliseconds(10), ProbeOutcome::ok}, w.now));
        EXPECT_FALSE(w.detector.recovering());
        EXPECT_TRUE(w.detector.last_failed());
    }
    EXPECT_FALSE(w.good());
    EXPECT_TRUE(w.good());
}

TEST(HealthDetector, a_live_failure_between_good_probes_starts_the_rise_anew)
{
    Watch w;
    w.refused();
    w.good();
    w.live_refused();
    EXPECT_FALSE(w.good());
    EXPECT_EQ(w.good()->to, Health::healthy);
}

TEST(HealthDetector, is_degraded_when_nearly_all_requests_fail_that_succeed_elsewhere)
{
    Watch w;
    w.healthy();
    EXPECT_FALSE(w.live_success(500));
    for (int i = 0; i < 19; ++i) {
        EXPECT_FALSE(w.live_diverted());
        EXPECT_FALSE(w.good());
    }
    const auto degraded = w.live_diverted();
    ASSERT_TRUE(degraded);
    EXPECT_EQ(degraded->to, Health::degraded);
    EXPECT_EQ(degraded->cause, Cause::traffic);
    EXPECT_EQ(degraded->requests, 20U);
    EXPECT_EQ(w.now - degraded->first_evidence, milliseconds(19 * 103 - 19)) << "the first of these requests";
    EXPECT_FALSE(w.live_diverted(100)) << "never worse while probes are good";

    EXPECT_FALSE(w.good());
    EXPECT_EQ(w.good()->to, Health::healthy) << "traffic has gone, probes re-admit";
}

TEST(HealthDetector, a_third_of_the_requests_failing_is_not_most_of_them)
{
    test::check_property(200, [] {
        std::minstd_rand random(*rc::gen::inRange(1U, 1U << 30));
        Watch w;
        w.healthy();
        for (int i = 0; i < 3000; ++i) {
            const bool fails = std::uniform_int_distribution(0, 2)(random) == 0;
            RC_ASSERT(!(fails ? w.live_diverted() : w.live_success()));
            if (i % 50 == 0) w.good();
        }
    });
}

TEST(HealthDetector, comparisons_are_forgotten_after_a_pause)
{
    Watch w;
    w.healthy();
    for (int i = 0; i < 10; ++i) {
        EXPECT_FALSE(w.live_diverted(10));
        w.now += seconds(11);
        w.good();
    }
}

TEST(HealthDetector, failures_that_cannot_be_compared_count_only_while_nothing_succeeds)
{
    Watch w;
    w.healthy();
    for (int i = 0; i < 100; ++i) {
        EXPECT_FALSE(w.live_uncompared(10));
        w.now += seconds(1);
        w.good();
        if (i % 4 == 0) {
            EXPECT_FALSE(w.live_success());
        }
    }
    w.now += seconds(5);
    w.good();
    EXPECT_FALSE(w.live_uncompared(19));
    const auto degraded = w.live_uncompared();
    ASSERT_TRUE(degraded);
    EXPECT_EQ(degraded->to, Health::degraded);
    EXPECT_EQ(degraded->requests, 20U);
}

TEST(HealthDetector, failing_requests_keep_good_probes_from_readmitting)
{
    Watch w;
    w.healthy();
    w.live_diverted(20);
    ASSERT_EQ(w.detector.health(), Health::degraded);
    for (int i = 0; i < 100; ++i) {
        EXPECT_FALSE(w.good());
        EXPECT_FALSE(w.live_diverted());
    }
}

TEST(HealthDetector, lost_races_with_no_success_between_degrade)
{
    Watch w;
    w.healthy();
    for (int i = 0; i < 10; ++i) {
        EXPECT_FALSE(w.live_outpaced(2));
        EXPECT_FALSE(w.live_success());
    }
    EXPECT_FALSE(w.live_outpaced(3));
    EXPECT_TRUE(w.detector.in_doubt());
    EXPECT_EQ(w.live_outpaced(2)->to, Health::degraded);
}

TEST(HealthDetector, lost_races_between_good_probes_are_the_requests_doing)
{
    Watch w;
    w.healthy();
    for (int i = 0; i < 4; ++i) {
        EXPECT_FALSE(w.live_outpaced(4));
        EXPECT_FALSE(w.good());
    }
}

TEST(HealthDetector, the_clock_of_a_detection_starts_with_the_evidence_of_this_change)
{
    Watch w;
    w.failing(); // as a service without a page at the probe's path
    for (int i = 0; i < 100; ++i) w.failing();
    w.refused();
    const auto down = w.refused();
    ASSERT_TRUE(down);
    EXPECT_EQ(down->to, Health::down);
    EXPECT_EQ(w.now - down->first_evidence, milliseconds(102));
}

TEST(HealthDetector, a_detection_begins_with_its_first_evidence_whether_probe_or_request)
{
    for (const bool probe_first : {true, false}) {
        Watch w;
        w.healthy();
        const auto probe = [&] { return w.probe(ProbeOutcome::reset); };
        const auto begun = w.now;
        const auto change = probe_first ? (probe(), w.live_refused()) : (w.live_refused(), probe());
        ASSERT_TRUE(change) << probe_first;
        EXPECT_EQ(change->to, Health::down);
        EXPECT_EQ(change->first_evidence - begun, probe_first ? milliseconds(100) : milliseconds(1)) << probe_first;
    }
}

TEST(HealthDetector, live_answers_contradict_until_a_refusal_or_half_a_minute_has_passed)
{
    Watch w;
    w.failing();
    w.live_success();
    EXPECT_TRUE(w.detector.contradicted(w.now));
    w.failing();
    EXPECT_TRUE(w.detector.contradicted(w.now));
    EXPECT_TRUE(w.detector.contradicted(w.now + seconds(29)));
    EXPECT_FALSE(w.detector.contradicted(w.now + seconds(31)));
    w.refused();
    EXPECT_FALSE(w.detector.contradicted(w.now)) << "nothing listens any more";
    w.refused();
    EXPECT_FALSE(w.detector.contradicted(w.now));
    w.live_success();
    EXPECT_TRUE(w.detector.contradicted(w.now));
}

TEST(HealthDetector, lost_races_and_a_silent_probe_suffice)
{
    Watch w;
    w.healthy();
    w.live_outpaced(3);
    const auto change = w.probe(ProbeOutcome::timed_out, milliseconds(400));
    ASSERT_TRUE(change);
    EXPECT_EQ(change->to, Health::down);
    EXPECT_EQ(change->cause, Cause::confirmed);
}

TEST(HealthDetector, a_doubt_that_does_not_resolve_degrades)
{
    Watch w;
    w.healthy();
    std::optional<HealthChange> change;
    int failed = 0;
    while (!change && failed < 10) {
        change = w.refused();
        ++failed;
        if (change) break;
        EXPECT_FALSE(w.good());
    }
    ASSERT_TRUE(change);
    EXPECT_EQ(change->to, Health::degraded);
    EXPECT_EQ(change->cause, Cause::intermittent);
    EXPECT_EQ(failed, 4);
}

TEST(HealthDetector, each_flap_doubles_what_a_recovery_takes_until_it_is_forgotten)
{
    Watch w;
    w.healthy();
    std::vector<int> needed;
    for (int flap = 0; flap < 8; ++flap) {
        while (w.detector.health() != Health::down) w.refused();
        int good = 0;
        while (w.detector.health() != Health::healthy) {
            w.good();
            ++good;
        }
        needed.push_back(good);
    }
    EXPECT_EQ(needed, (std::vector{2, 4, 8, 16, 32, 32, 32, 32}));

    EXPECT_EQ(w.detector.flaps(w.now), 8U);
    w.now += seconds(180);
    EXPECT_EQ(w.detector.flaps(w.now), 5U);
    w.now += seconds(600);
    EXPECT_EQ(w.detector.flaps(w.now), 0U);
    EXPECT_EQ(w.detector.rise(w.now), 2U);
}

TEST(HealthDetector, getting_worse_step_by_step_is_one_flap)
{
    Watch w;
    w.healthy();
    w.slow();
    w.slow();
    w.failing();
    w.failing();
    w.refused();
    w.refused();
    EXPECT_EQ(w.detector.health(), Health::down);
    EXPECT_EQ(w.detector.flaps(w.now), 1U);
    w.detector.forgive();
    EXPECT_EQ(w.detector.flaps(w.now), 0U);
}

TEST(HealthDetector, is_contradicted_when_live_requests_succeed_while_probes_fail)
{
    Watch w;
    w.healthy();
    w.live_success();
    w.probe(ProbeOutcome::timed_out);
    EXPECT_FALSE(w.detector.contradicted(w.now));
    w.live_success(10);
    w.probe(ProbeOutcome::timed_out);
    ASSERT_EQ(w.detector.health(), Health::down);
    EXPECT_TRUE(w.detector.contradicted(w.now));
    w.live_broken(2);
    EXPECT_TRUE(w.detector.contradicted(w.now)) << "the requests may be the cause";
    w.live_broken();
    EXPECT_FALSE(w.detector.contradicted(w.now));
}

TEST(HealthDetector, a_success_from_before_the_trouble_contradicts_nothing)
{
    Watch w;
    w.healthy();
    w.live_success(10);
    w.refused();
    w.refused();
    EXPECT_FALSE(w.detector.contradicted(w.now));
}

TEST(HealthDetector, forgetting_doubt_keeps_the_verdict)
{
    Watch w;
    w.healthy();
    w.refused();
    w.detector.forget_doubt();
    EXPECT_EQ(w.detector.health(), Health::healthy);
    EXPECT_FALSE(w.refused()) << "counts from one again";
    w.detector.forget_doubt();
    w.live_broken();
    w.detector.forget_doubt();
    EXPECT_FALSE(w.refused());
    EXPECT_TRUE(w.refused());
}

TEST(HealthDetector, much_slower_than_its_peers_twice_degrades)
{
    Watch w;
    w.healthy();
    EXPECT_FALSE(w.detector.compared(true, w.now));
    EXPECT_FALSE(w.detector.compared(false, w.now));
    EXPECT_FALSE(w.detector.compared(true, w.now));
    EXPECT_EQ(w.detector.compared(true, w.now)->to, Health::degraded);
}

// For any sequence of probes and traffic: every change is a change and names evidence from the past; a better verdict
// rests on a good probe that started after every failure so far; `down` takes a probe that was not answered.
TEST(HealthDetector, holds_its_rules_in_any_sequence)
{
    test::check_property(3000, [](const std::vector<std::tuple<std::uint8_t, std::uint8_t, std::uint16_t>>& steps) {
        HealthSettings settings;
        settings.fall = *rc::gen::inRange(1U, 5U);
        settings.rise = *rc::gen::inRange(1U, 5U);
        HealthDetector d(settings);
        TimePoint now = TimePoint{} + std::chrono::hours(1);
        TimePoint last_failure{};
        for (const auto& [kind, what, pause] : steps) {
            now += milliseconds(pause % 1000);
            const Health before = d.health();
            std::optional<HealthChange> change;
            TimePoint started{};
            bool good = false;
            const bool probe = kind % 8 < 6;
            if (probe) {
                const auto outcome = static_cast<ProbeOutcome>(what % 6);
                const Duration latency = milliseconds(kind % 2 == 0 ? 5 : 350);
                started = now - latency;
                good = outcome == ProbeOutcome::ok;
                change = d.probed({started, latency, outcome}, now);
                if (change && change->to > change->from && change->to >= Health::degraded)
                    RC_ASSERT(good && started > last_failure);
                if (!good) last_failure = now;
            } else {
                LiveTraffic t;
                if (what & 1) t.successes = what, t.last_success = now;
                if (what & 2) t.diverted = what, t.last_diverted = now;
                if (what & 4) t.refused = what, t.last_refused = now, last_failure = now;
                if (what & 16) t.broken = what, t.last_broken = now;
                if (what & 32) t.uncompared = what, t.last_uncompared = now;
                if (what & 8) t.outpaced = what, t.last_outpaced = now;
                change = d.observed(t, now);
                if (change) RC_ASSERT(change->to < change->from);
                if (change && change->cause != Cause::confirmed) RC_ASSERT(change->to == Health::degraded);
            }
            RC_ASSERT(change.has_value() == (d.health() != before));
            if (change) {
                RC_ASSERT(change->from == before);
                RC_ASSERT(change->to == d.health());
                RC_ASSERT(change->first_evidence <= now);
                RC_ASSERT(d.since() == now);
            }
            if (last_failure > d.good_probe_started()) RC_ASSERT(d.last_failed());
            if (d.last_failed()) RC_ASSERT(!d.recovering());
        }
    });
}

} // namespace TEST_FILE
} // namespace hotspare::resilience
