#include "tests/support/property.hpp"
#include "tests/unit/balancer/decide/failover_world.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <iostream>
#include <string>
#include <tuple>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

using Kind = Event::Kind;

constexpr BackendIndex primary = 0;
constexpr BackendIndex spare = 1;
constexpr BackendIndex third = 2;

/// A world that has found every backend healthy. Whatever else a test expects, no invariant may break.
class Settled : public World {
public:
    explicit Settled(Config settings) : World(std::move(settings))
    {
        start();
        run(seconds(2));
        events.clear();
    }
    ~Settled()
    {
        for (const std::string& violation : violations) ADD_FAILURE() << violation;
    }
};

// ------------------------------------------------------------------------------------------------------------- start

TEST(Failover, serves_from_unknown_backends_until_a_probe_has_ended)
{
    World w(config_of(2));
    w.start();
    EXPECT_EQ(w.tier(primary), Tier::fallback);
    EXPECT_EQ(w.tier(spare), Tier::fallback);
    EXPECT_TRUE(w.core.pool(0).can_answer);
    w.run(milliseconds(1));
    EXPECT_EQ(w.status(primary), Status::healthy);
    EXPECT_EQ(w.status(spare), Status::healthy);
    EXPECT_EQ(w.active(), primary);
    EXPECT_EQ(w.tier(primary), Tier::serving);
    EXPECT_EQ(w.tier(spare), Tier::fallback);
    EXPECT_EQ(w.count(Kind::failover) + w.count(Kind::failback), 0U) << "the first choice is no failover";
    EXPECT_TRUE(w.violations.empty()) << w.violations.front();
}

TEST(Failover, serves_from_the_spare_while_the_primary_is_unknown)
{
    World w(config_of(2));
    w.modes[primary] = Mode::slow;
    w.start();
    w.run(milliseconds(1));
    EXPECT_EQ(w.status(primary), Status::unknown);
    EXPECT_EQ(w.server(), spare);
    w.modes[primary] = Mode::good;
    w.run(seconds(2));
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, a_primary_that_is_dead_at_the_start_is_no_failover)
{
    World w(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.start();
    w.run(milliseconds(1));
    EXPECT_EQ(w.status(primary), Status::down);
    EXPECT_EQ(w.server(), spare);
    EXPECT_EQ(w.count(Kind::failover), 0U);
    w.modes[primary] = Mode::good;
    w.run(seconds(1));
    EXPECT_EQ(w.active(), primary) << "it never flapped: no hold-down";
    EXPECT_EQ(w.count(Kind::failback), 1U);
}

// ---------------------------------------------------------------------------------------------------------- detection

TEST(Failover, probes_every_backend_often_while_none_works)
{
    World w(config_of(2));
    w.start();
    w.run(seconds(1));
    w.modes[primary] = w.modes[spare] = Mode::refuse;
    w.run(seconds(3));
    ASSERT_FALSE(w.core.pool(0).can_answer);
    for (int returned = 0; returned < 20; ++returned) {
        w.run(milliseconds(7));
        w.modes[spare] = Mode::good;
        const TimePoint back = w.now;
        while (!w.core.pool(0).can_answer) w.run(milliseconds(1));
        EXPECT_LE(w.now - back, milliseconds(24)) << "a fifth of fast_interval, its jitter and a step of this loop";
        w.modes[spare] = Mode::refuse;
        w.run(seconds(2));
        ASSERT_FALSE(w.core.pool(0).can_answer);
    }
    const auto before = w.core.backend(primary).probes[static_cast<std::size_t>(ProbeOutcome::refused)];
    w.run(seconds(1));
    EXPECT_LE(w.core.backend(primary).probes[static_cast<std::size_t>(ProbeOutcome::refused)] - before, 60U);
}

TEST(Failover, heartbeats_alone_detect_a_refusal_within_interval_and_fast_interval)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::refuse;
    const TimePoint fault = w.now;
    ASSERT_TRUE(w.run_until([&] { return w.active() == spare; }, seconds(5)));
    EXPECT_LE(w.now - fault, milliseconds(670));
    EXPECT_EQ(w.status(primary), Status::down);
    const Event& failover = w.last(Kind::failover);
    EXPECT_EQ(failover.previous, primary);
    EXPECT_EQ(failover.backend, spare);
    EXPECT_EQ(failover.cause, "probes");
    EXPECT_EQ(failover.evidence, "'primary' is down: 2 probes in a row failed, the last: connection refused");
    EXPECT_LE(failover.detection, milliseconds(115)) << "from the first failed probe";
}

TEST(Failover, heartbeats_alone_detect_a_hang_within_their_four_terms)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::hang;
    const TimePoint fault = w.now;
    ASSERT_TRUE(w.run_until([&] { return w.active() == spare; }, seconds(5)));
    EXPECT_LE(w.now - fault, milliseconds(1470));
    EXPECT_EQ(w.routing->backends[primary].down_count, 1U);
}

TEST(Failover, a_refused_request_causes_a_probe_at_once_and_the_two_suffice)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.request(primary);
    EXPECT_EQ(w.server(), spare) << "passed over meanwhile";
    EXPECT_EQ(w.active(), primary) << "without a verdict";
    w.run(milliseconds(1));
    EXPECT_EQ(w.status(primary), Status::down);
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.last(Kind::failover).cause, "traffic_and_probes");
    EXPECT_LE(w.last(Kind::failover).detection, milliseconds(1));
    EXPECT_TRUE(w.violations.empty()) << w.violations.front();
}

TEST(Failover, a_stray_reset_passes_a_backend_over_only_until_the_probe_it_causes)
{
    Settled w(config_of(2));
    w.report(primary, EvidenceKind::reset);
    EXPECT_EQ(w.server(), spare);
    const TimePoint failed = w.now;
    w.run(milliseconds(1));
    EXPECT_EQ(w.server(), primary);
    EXPECT_GT(w.routing->backends[primary].good_probe_started, failed);
    EXPECT_EQ(w.count(Kind::failover), 0U);
    EXPECT_EQ(w.count(Kind::transition), 0U);
}

TEST(Failover, probes_after_live_failures_keep_a_distance)
{
    Settled w(config_of(2));
    const auto before = w.probes_done;
    for (int i = 0; i < 1000; ++i) {
        w.report(primary, EvidenceKind::reset);
        w.report(primary, EvidenceKind::success);
        w.run(milliseconds(1));
    }
    EXPECT_LE(w.probes_done - before, 50U) << "one in 25 ms";
    EXPECT_EQ(w.status(primary), Status::healthy);
}

TEST(Failover, a_hang_that_live_requests_meet_degrades_at_once_and_is_down_after_one_timeout)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::hang;
    const TimePoint fault = w.now;
    while (w.active() == primary && w.now < fault + seconds(2)) {
        w.run(milliseconds(20));
        w.request(primary);
    }
    EXPECT_LE(w.now - fault, milliseconds(110));
    EXPECT_EQ(w.status(primary), Status::degraded);
    EXPECT_EQ(w.count(Kind::failover), 1U) << "the spare is never the first choice, so this is no failback";
    EXPECT_EQ(w.count(Kind::failback), 0U);
    ASSERT_TRUE(w.run_until([&] { return w.status(primary) == Status::down; }, seconds(2)));
    EXPECT_LE(w.now - fault, milliseconds(600));
}

TEST(Failover, failing_answers_confirmed_by_a_probe_make_unhealthy)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::error;
    for (int i = 0; i < 3; ++i) w.request(primary);
    w.run(milliseconds(1));
    EXPECT_EQ(w.status(primary), Status::unhealthy);
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.tier(primary), Tier::excluded);
    EXPECT_EQ(w.routing->backends[primary].down_count, 0U) << "it answers: nothing in flight has to move";
}

TEST(Failover, live_answers_much_slower_than_those_of_the_peers_degrade)
{
    Settled w(config_of(3, Policy::round_robin));
    for (int i = 0; i < 40; ++i) {
        w.report(primary, EvidenceKind::success, 10, milliseconds(2));
        w.report(spare, EvidenceKind::success, 10, milliseconds(80));
        w.report(third, EvidenceKind::success, 10, milliseconds(2));
        w.run(milliseconds(100));
        if (w.status(spare) == Status::degraded) break;
    }
    EXPECT_EQ(w.status(spare), Status::degraded);
    EXPECT_EQ(w.core.backend(spare).cause, "outlier");
    EXPECT_EQ(w.core.backend(spare).evidence, "live answers take 80.0 ms on average, those of its peers 2.0 ms");
    EXPECT_EQ(w.tier(spare), Tier::fallback);
    EXPECT_EQ(w.tier(primary), Tier::serving);
}

// ----------------------------------------------------------------------------------------------------------- failback

TEST(Failover, a_primary_that_returns_is_active_after_rise_and_hold_down)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.run(seconds(2));
    ASSERT_EQ(w.active(), spare);
    w.modes[primary] = Mode::good;
    const TimePoint back = w.now;
    ASSERT_TRUE(w.run_until([&] { return w.status(primary) == Status::healthy; }, seconds(5)));
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.tier(primary), Tier::fallback);
    ASSERT_TRUE(w.run_until([&] { return w.active() == primary; }, seconds(5)));
    EXPECT_GE(w.now - back, seconds(1));
    EXPECT_LE(w.now - back, milliseconds(1700)) << "interval + fast_interval + hold_down";
    EXPECT_EQ(w.last(Kind::failback).previous, spare);
    EXPECT_EQ(w.last(Kind::failback).evidence, "'primary' has been healthy for 1.0 s");
}

TEST(Failover, the_hold_down_doubles_with_every_flap)
{
    Settled w(config_of(2));
    std::vector<int> held_seconds;
    for (int flap = 0; flap < 7; ++flap) {
        w.modes[primary] = Mode::refuse;
        ASSERT_TRUE(w.run_until([&] { return w.active() == spare; }, seconds(5)));
        w.modes[primary] = Mode::good;
        ASSERT_TRUE(w.run_until([&] { return w.status(primary) == Status::healthy; }, seconds(10)));
        const TimePoint healthy = w.now;
        ASSERT_TRUE(w.run_until([&] { return w.active() == primary; }, seconds(70)));
        held_seconds.push_back(static_cast<int>((w.now - healthy + milliseconds(500)) / seconds(1)));
    }
    EXPECT_EQ(held_seconds, (std::vector{1, 2, 4, 8, 16, 32, 60}));
}

TEST(Failover, in_manual_mode_the_spare_stays_active)
{
    Config config = config_of(2);
    config.pools[0].failback.mode = FailbackMode::manual;
    Settled w(config);
    w.modes[primary] = Mode::refuse;
    w.run(seconds(2));
    w.modes[primary] = Mode::good;
    w.run(seconds(200));
    EXPECT_EQ(w.active(), spare);
    w.take(w.core.prefer_configured(w.now));
    EXPECT_EQ(w.active(), primary) << "until an operator says so";
    EXPECT_EQ(w.last(Kind::failover).cause, "operator");
}

TEST(Failover, a_primary_in_hold_down_takes_over_at_once_when_the_spare_fails)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.run(seconds(2));
    w.modes[primary] = Mode::good;
    ASSERT_TRUE(w.run_until([&] { return w.status(primary) == Status::healthy; }, seconds(5)));
    w.modes[spare] = Mode::refuse;
    w.request(spare);
    EXPECT_EQ(w.server(), primary);
    w.run(milliseconds(1));
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, goes_down_the_list_in_order)
{
    Settled w(config_of(3));
    w.modes[primary] = Mode::refuse;
    w.run(seconds(2));
    EXPECT_EQ(w.active(), spare);
    w.modes[spare] = Mode::hang;
    w.run(seconds(3));
    EXPECT_EQ(w.active(), third);
    w.modes[spare] = Mode::good;
    w.run(seconds(5));
    EXPECT_EQ(w.active(), spare);
    w.modes[primary] = Mode::good;
    w.run(seconds(5));
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, slow_start_raises_the_weight_in_steps)
{
    Config config = config_of(2, Policy::round_robin);
    config.pools[0].failback.slow_start = seconds(10);
    Settled w(config);
    const auto weight = [&](BackendIndex b) { return w.routing->pools[0].candidates[b].weight; };
    EXPECT_EQ(weight(primary), weight(spare)) << "not at the start of the balancer";
    w.modes[primary] = Mode::refuse;
    w.run(seconds(2));
    w.modes[primary] = Mode::good;
    ASSERT_TRUE(w.run_until([&] { return w.tier(primary) == Tier::serving; }, seconds(5)));
    EXPECT_EQ(weight(primary) * 10, weight(spare));
    w.run(milliseconds(5100));
    EXPECT_EQ(weight(primary) * 10, weight(spare) * 6);
    w.run(seconds(5));
    EXPECT_EQ(weight(primary), weight(spare));
}

// ------------------------------------------------------------------------------------------------- nothing works well

TEST(Failover, the_lesser_evil_answers)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.modes[spare] = Mode::error;
    w.run(seconds(3));
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.tier(spare), Tier::serving);
    EXPECT_EQ(w.tier(primary), Tier::excluded);
    EXPECT_TRUE(w.core.pool(0).can_answer);
}

TEST(Failover, an_outage_ends_with_the_first_good_probe)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.modes[spare] = Mode::refuse;
    w.run(seconds(5));
    EXPECT_EQ(w.active(), std::nullopt);
    EXPECT_FALSE(w.core.pool(0).can_answer);
    EXPECT_EQ(w.count(Kind::outage), 1U);

    w.modes[spare] = Mode::good;
    const TimePoint back = w.now;
    ASSERT_TRUE(w.run_until([&] { return w.core.pool(0).can_answer; }, seconds(2)));
    EXPECT_LE(w.now - back, milliseconds(115)) << "probed at the fast interval while nothing works";
    EXPECT_EQ(w.tier(spare), Tier::fallback);
    EXPECT_EQ(w.count(Kind::outage_over), 1U);
    w.run(milliseconds(120));
    EXPECT_EQ(w.active(), spare);
}

TEST(Failover, does_not_wander_between_backends_that_fail_alike)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::error;
    w.modes[spare] = Mode::error;
    w.run(seconds(60));
    EXPECT_LE(w.count(Kind::failover) + w.count(Kind::failback), 2U) << "away and back to the first of the order";
    EXPECT_EQ(w.server(), primary);
}

// ------------------------------------------------------------------------------------------------------------- blame

TEST(Failover, a_page_that_breaks_everywhere_moves_nothing)
{
    test::check_property(200, [] {
        World w(config_of(*rc::gen::inRange<std::size_t>(1, 4)), *rc::gen::arbitrary<std::uint32_t>());
        w.start();
        w.run(seconds(1));
        w.events.clear();
        const auto gap = *rc::gen::inRange(1, 60);
        const auto plain = *rc::gen::inRange(1, 50);
        for (int i = 0; i < 400; ++i) {
            w.report(primary, *rc::gen::element(EvidenceKind::reset, EvidenceKind::malformed, EvidenceKind::timed_out));
            if (i % plain == 0) w.report(primary, EvidenceKind::success);
            w.run(milliseconds(gap));
            RC_ASSERT(w.core.pool(0).can_answer);
            RC_ASSERT(w.status(primary) == Status::healthy);
        }
        RC_ASSERT(w.count(Kind::failover) == 0U);
        if (!w.violations.empty()) RC_FAIL(w.violations.front());
    });
}

TEST(Failover, a_backend_that_fails_what_others_answer_is_left_although_its_probes_are_good)
{
    Settled w(config_of(2));
    for (int i = 0; i < 100; ++i) w.report(primary, EvidenceKind::success);
    for (int i = 0; i < 20; ++i) {
        EXPECT_EQ(w.active(), primary);
        w.report(primary, EvidenceKind::diverted);
        w.run(milliseconds(2));
    }
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.status(primary), Status::degraded);
    EXPECT_EQ(w.last(Kind::failover).evidence,
              "'primary' is degraded: 20 live requests failed and succeeded elsewhere, 0 succeeded");
}

TEST(Failover, among_backends_that_are_equally_bad_the_configured_order_decides)
{
    test::check_property(200, [] {
        World w(config_of(3), *rc::gen::arbitrary<std::uint32_t>());
        w.modes = std::vector<Mode>(3, Mode::error);
        // Whichever answers its first probe first.
        w.modes[*rc::gen::inRange<BackendIndex>(0, 3)] = Mode::hang;
        w.start();
        w.run(milliseconds(100));
        w.modes = std::vector<Mode>(3, Mode::error);
        for (int i = 0; i < 100; ++i) {
            if (w.active()) w.report(*w.active(), EvidenceKind::success);
            w.run(milliseconds(50));
        }
        RC_ASSERT(w.active() == primary);
        RC_ASSERT(w.server() == primary);
        // One that works is better; when it is as bad as the others the order decides again.
        w.modes[spare] = Mode::good;
        w.run(seconds(3));
        RC_ASSERT(w.active() == spare);
        w.modes[spare] = Mode::error;
        w.run(seconds(10));
        RC_ASSERT(w.active() == primary);
        if (!w.violations.empty()) RC_FAIL(w.violations.front());
    });
}

TEST(Failover, a_total_outage_is_reported_soon_and_until_something_answers)
{
    test::check_property(200, [] {
        World w(config_of(2), *rc::gen::arbitrary<std::uint32_t>());
        w.modes = std::vector<Mode>(2, *rc::gen::element(Mode::error, Mode::good));
        w.start();
        w.run(seconds(1));
        w.report(primary, EvidenceKind::success);
        w.run(milliseconds(*rc::gen::inRange(0, 1200)));
        w.modes = std::vector<Mode>(2, *rc::gen::element(Mode::refuse, Mode::hang, Mode::reset));
        w.run(seconds(2));
        RC_ASSERT(!w.core.pool(0).can_answer);
        w.events.clear();
        for (int i = 0; i < 300; ++i) {
            w.run(milliseconds(100));
            RC_ASSERT(!w.core.pool(0).can_answer);
            RC_ASSERT(!w.core.pool(0).fail_open);
        }
        RC_ASSERT(w.count(Kind::outage_over) == 0U);
        if (!w.violations.empty()) RC_FAIL(w.violations.front());
    });
}

TEST(Failover, backends_without_a_page_at_the_probes_path_are_probed_at_the_interval)
{
    World w(config_of(2));
    w.modes = std::vector<Mode>(2, Mode::error);
    w.start();
    w.run(seconds(2));
    const auto before = w.probes_done;
    for (int i = 0; i < 100; ++i) {
        w.report(primary, EvidenceKind::success);
        w.run(milliseconds(100));
    }
    EXPECT_TRUE(w.core.pool(0).fail_open);
    EXPECT_LE(w.probes_done - before, 2U * 10 * 2 * 12 / 10) << "two a second each, and the jitter";
}

TEST(Failover, fails_open_when_probes_fail_and_live_requests_succeed)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::hang; // as its health end point does; its requests are answered
    w.modes[spare] = Mode::hang;
    for (int i = 0; i < 60; ++i) {
        w.report(primary, EvidenceKind::success, 5);
        w.run(milliseconds(50));
    }
    EXPECT_EQ(w.status(primary), Status::down);
    EXPECT_TRUE(w.core.pool(0).fail_open);
    EXPECT_EQ(w.active(), primary);
    EXPECT_EQ(w.tier(primary), Tier::serving);
    EXPECT_EQ(w.count(Kind::fail_open), 1U);
    EXPECT_EQ(w.count(Kind::outage), 0U);

    w.report(primary, EvidenceKind::timed_out, 3);
    EXPECT_FALSE(w.core.pool(0).fail_open);
    EXPECT_EQ(w.tier(primary), Tier::excluded);
    EXPECT_EQ(w.last(Kind::fail_open_over).evidence, "live requests are not answered either");
}

TEST(Failover, does_not_fail_open_while_a_backend_works)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::hang;
    for (int i = 0; i < 60; ++i) {
        w.report(primary, EvidenceKind::success, 5);
        w.run(milliseconds(50));
    }
    EXPECT_FALSE(w.core.pool(0).fail_open);
    EXPECT_EQ(w.active(), spare);
}

// ----------------------------------------------------------------------------------------------------------- operator

TEST(Failover, a_drained_backend_gets_no_requests_until_it_is_enabled)
{
    Settled w(config_of(2));
    w.take(w.core.operate(primary, OperatorWord::drain, w.now));
    EXPECT_EQ(w.status(primary), Status::draining);
    EXPECT_EQ(w.tier(primary), Tier::excluded);
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.last(Kind::failover).cause, "operator");
    EXPECT_EQ(w.routing->backends[primary].down_count, 0U);
    w.run(seconds(5));
    EXPECT_EQ(w.status(primary), Status::draining);
    w.take(w.core.operate(primary, OperatorWord::enable, w.now));
    EXPECT_EQ(w.status(primary), Status::healthy);
    EXPECT_EQ(w.active(), primary) << "an operator's word is not damped";
    EXPECT_EQ(w.core.pool(0).planned, 1U);
    EXPECT_EQ(w.core.pool(0).failovers, 0U) << "no server failed";
}

TEST(Failover, failures_in_maintenance_raise_no_alarm)
{
    Settled w(config_of(2));
    w.take(w.core.operate(spare, OperatorWord::maintenance, w.now));
    w.events.clear();
    w.modes[spare] = Mode::refuse;
    w.run(seconds(5));
    EXPECT_TRUE(w.events.empty());
    w.take(w.core.operate(spare, OperatorWord::enable, w.now));
    EXPECT_EQ(w.status(spare), Status::down);
    w.modes[spare] = Mode::good;
    w.run(seconds(1));
    EXPECT_EQ(w.status(spare), Status::healthy);
}

TEST(Failover, an_operators_preference_holds_and_survives_a_failure_of_the_preferred_one)
{
    Settled w(config_of(3));
    auto moved = w.core.prefer(third, w.now);
    ASSERT_TRUE(moved);
    w.take(std::move(*moved));
    EXPECT_EQ(w.active(), third);
    EXPECT_EQ(w.count(Kind::failover), 1U);
    w.run(seconds(30));
    EXPECT_EQ(w.active(), third);
    w.modes[third] = Mode::refuse;
    w.run(seconds(2));
    EXPECT_EQ(w.active(), primary);
    w.modes[third] = Mode::good;
    w.run(seconds(5));
    EXPECT_EQ(w.active(), third);
    w.take(w.core.prefer_configured(w.now));
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, an_operators_preference_holds_while_the_preferred_one_answers_at_all)
{
    Settled w(config_of(2));
    w.modes[spare] = Mode::slow;
    w.run(seconds(3));
    ASSERT_EQ(w.status(spare), Status::degraded);
    auto moved = w.core.prefer(spare, w.now);
    ASSERT_TRUE(moved);
    w.take(std::move(*moved));
    EXPECT_EQ(w.server(), spare);
    w.run(seconds(60));
    EXPECT_EQ(w.server(), spare) << "the primary is healthy, but an operator has spoken";
    EXPECT_EQ(w.count(Kind::failback), 0U);

    w.modes[spare] = Mode::error;
    w.run(seconds(5));
    EXPECT_EQ(w.server(), primary) << "an operator prefers it, but it does not work";
    w.modes[spare] = Mode::slow;
    w.run(seconds(60));
    EXPECT_EQ(w.server(), primary) << "it was left; it serves again only when it is healthy";
    w.modes[spare] = Mode::good;
    w.run(seconds(60));
    EXPECT_EQ(w.server(), spare);
}

TEST(Failover, refuses_to_prefer_what_cannot_serve)
{
    Settled w(config_of(2));
    w.modes[spare] = Mode::refuse;
    w.run(seconds(2));
    const auto refused = w.core.prefer(spare, w.now);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error(), "'spare' is down: 2 probes in a row failed, the last: connection refused");
    w.take(w.core.operate(spare, OperatorWord::maintenance, w.now));
    EXPECT_EQ(w.core.prefer(spare, w.now).error(), "'spare' is in status maintenance: enable it first");
    EXPECT_EQ(w.active(), primary);

    Settled r(config_of(2, Policy::random));
    EXPECT_EQ(r.core.prefer(spare, r.now).error(), "no pool with policy failover holds 'spare'");
}

// --------------------------------------------------------------------------------------------------- version failover

Config versions()
{
    Config config = config_of(3);
    for (std::size_t i = 0; i < 3; ++i) config.backends[i].name = "v" + std::to_string(i + 1);
    config.pools[0].quarantine.failure_limit = 5;
    return config;
}

TEST(Failover, a_version_that_fails_too_often_is_quarantined_for_the_cooldown)
{
    Settled w(versions());
    for (int i = 0; i < 5; ++i) { // every other request fails: never unhealthy, yet too often
        w.report(primary, EvidenceKind::diverted);
        w.report(primary, EvidenceKind::success);
        w.run(milliseconds(200));
    }
    EXPECT_EQ(w.status(primary), Status::healthy);
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.last(Kind::quarantine).evidence, "5 failures in 0.8 s");
    EXPECT_EQ(w.last(Kind::failover).evidence, "'v1' is quarantined: 5 failures in 0.8 s");
    EXPECT_EQ(w.tier(primary), Tier::excluded);
    w.run(seconds(13));
    EXPECT_EQ(w.active(), spare);
    w.run(seconds(3));
    EXPECT_EQ(w.count(Kind::quarantine_over), 1U);
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, fewer_failures_or_slower_ones_do_not_quarantine)
{
    Settled w(versions());
    for (int i = 0; i < 20; ++i) {
        w.report(primary, EvidenceKind::diverted);
        w.report(primary, EvidenceKind::success);
        w.run(seconds(3));
    }
    EXPECT_EQ(w.active(), primary);
    EXPECT_EQ(w.count(Kind::quarantine), 0U);
}

TEST(Failover, a_quarantine_outlasts_its_cooldown_while_probes_fail)
{
    Settled w(versions());
    w.modes[primary] = Mode::error;
    w.run(seconds(40));
    EXPECT_TRUE(w.core.pool(0).quarantined_until[0]);
    w.modes[primary] = Mode::good;
    w.run(seconds(1));
    EXPECT_TRUE(w.core.pool(0).quarantined_until[0]) << "its failures renewed it";
    w.run(seconds(17));
    EXPECT_FALSE(w.core.pool(0).quarantined_until[0]);
    EXPECT_EQ(w.active(), primary);
}

TEST(Failover, versions_go_forward_and_not_around)
{
    Settled w(versions());
    w.modes[primary] = Mode::error;
    w.run(seconds(4));
    EXPECT_EQ(w.active(), spare);
    w.modes[primary] = Mode::good; // looks well again, but is in quarantine
    w.run(seconds(2));
    w.modes[spare] = Mode::error;
    w.run(seconds(4));
    EXPECT_EQ(w.active(), third);
    w.modes[third] = Mode::refuse;
    w.run(seconds(1));
    EXPECT_EQ(w.active(), primary) << "quarantined, but nothing else answers well";
}

TEST(Failover, an_operator_ends_a_quarantine)
{
    Settled w(versions());
    w.report(primary, EvidenceKind::diverted, 5);
    w.report(primary, EvidenceKind::success);
    w.run(milliseconds(10));
    EXPECT_EQ(w.active(), spare);
    w.take(w.core.operate(primary, OperatorWord::enable, w.now));
    EXPECT_EQ(w.last(Kind::quarantine_over).cause, "operator");
    EXPECT_EQ(w.last(Kind::quarantine_over).backend, primary);
    w.run(milliseconds(200));
    EXPECT_EQ(w.active(), primary);
    w.take(w.core.operate(primary, OperatorWord::enable, w.now));
    EXPECT_EQ(w.count(Kind::quarantine_over), 1U) << "there was none to end";
}

TEST(Failover, an_operator_ends_a_quarantine_by_preferring_its_backend)
{
    Settled w(versions());
    w.report(primary, EvidenceKind::diverted, 5);
    w.report(primary, EvidenceKind::success);
    w.run(milliseconds(200));
    ASSERT_EQ(w.active(), spare);
    auto moved = w.core.prefer(primary, w.now);
    ASSERT_TRUE(moved) << moved.error();
    w.take(std::move(*moved));
    EXPECT_EQ(w.active(), primary);
    EXPECT_EQ(w.last(Kind::quarantine_over).evidence, "an operator prefers it");
    w.run(seconds(20));
    EXPECT_EQ(w.count(Kind::quarantine_over), 1U);
}

// ------------------------------------------------------------------------------------------------------ other policies

TEST(Failover, under_the_other_policies_all_healthy_backends_serve)
{
    for (const Policy policy : {Policy::round_robin, Policy::random, Policy::least_connections}) {
        Settled w(config_of(3, policy));
        for (BackendIndex b = 0; b < 3; ++b) EXPECT_EQ(w.tier(b), Tier::serving);
        w.modes[primary] = Mode::refuse;
        w.modes[third] = Mode::slow;
        w.run(seconds(3));
        EXPECT_EQ(w.tier(primary), Tier::excluded);
        EXPECT_EQ(w.tier(spare), Tier::serving);
        EXPECT_EQ(w.tier(third), Tier::fallback);
        w.modes[spare] = Mode::refuse;
        w.run(seconds(3));
        EXPECT_EQ(w.tier(third), Tier::fallback) << "what is left is degraded, but it answers";
        EXPECT_EQ(w.count(Kind::failover), 0U);
        EXPECT_TRUE(w.violations.empty()) << w.violations.front();
    }
}

TEST(Failover, pools_share_verdicts_but_not_choices)
{
    Config config = config_of(2);
    PoolConfig other = config.pools[0];
    other.name = "other";
    other.backends = {spare, primary};
    config.pools.push_back(other);
    Settled w(config);
    EXPECT_EQ(w.active(0), primary);
    EXPECT_EQ(w.active(1), spare);
    w.modes[spare] = Mode::refuse;
    w.run(seconds(2));
    EXPECT_EQ(w.active(0), primary);
    EXPECT_EQ(w.active(1), primary);
    EXPECT_EQ(w.count(Kind::transition), 1U);
}

// --------------------------------------------------------------------------------------------------------- clock jumps

TEST(Failover, what_was_under_way_when_this_process_was_stopped_decides_nothing)
{
    Settled w(config_of(2));
    w.modes[primary] = Mode::hang;
    w.modes[spare] = Mode::hang;
    w.run(milliseconds(550)); // probes are under way; they will look like timeouts
    w.modes[primary] = Mode::good;
    w.modes[spare] = Mode::good;
    w.freeze(seconds(30));
    w.report(primary, EvidenceKind::timed_out, 20); // and so do requests
    w.run(seconds(3));
    EXPECT_EQ(w.count(Kind::clock_jump), 1U);
    EXPECT_EQ(w.count(Kind::transition), 0U);
    EXPECT_EQ(w.count(Kind::failover), 0U);
    EXPECT_EQ(w.active(), primary);
    EXPECT_TRUE(w.violations.empty()) << w.violations.front();
}

TEST(Failover, after_a_jump_a_fresh_round_finds_the_truth_at_once)
{
    Settled w(config_of(2));
    w.freeze(std::chrono::hours(1));
    w.modes[primary] = Mode::refuse;
    w.run(milliseconds(150));
    EXPECT_EQ(w.count(Kind::clock_jump), 1U);
    EXPECT_EQ(w.active(), spare);
}

TEST(Failover, a_suspended_machine_is_told)
{
    Settled w(config_of(2));
    const auto before = w.probes_done;
    w.take(w.core.clock_jumped(w.now));
    EXPECT_EQ(w.count(Kind::clock_jump), 1U);
    w.run(milliseconds(1));
    EXPECT_GE(w.probes_done, before + 2);
}

// -------------------------------------------------------------------------------------------------------- the long run

TEST(Failover, a_day_of_heartbeats_changes_nothing)
{
    Settled w(config_of(2));
    const auto version = w.routing->version;
    w.run(std::chrono::hours(24));
    EXPECT_GE(w.probes_done, 2U * 24 * 3600 * 2 * 9 / 10);
    EXPECT_EQ(w.routing->version, version);
    EXPECT_TRUE(w.events.empty());
    EXPECT_TRUE(w.violations.empty());
}

// --------------------------------------------------------------------------------------------------- random sequences

// ---------------------------------------------------------------------------------------------------------- topology

constexpr unsigned only_primary = 1, only_spare = 2, both = 3, first_three = 7, slots_are_free = 0x20;

TEST(Failover, a_probe_of_what_was_removed_says_nothing_of_what_has_its_slot_now)
{
    World w(config_of(1));
    w.modes[0] = Mode::hang;
    w.start();
    w.run(milliseconds(50));
    w.reconfigure(0);
    w.reconfigure(only_spare | slots_are_free);
    ASSERT_EQ(w.core.topology().find_backend("spare"), 0);
    w.run(seconds(1));
    EXPECT_EQ(w.status(0), Status::healthy);
    EXPECT_EQ(w.core.backend(0).probes[static_cast<std::size_t>(ProbeOutcome::timed_out)], 0U);
    EXPECT_TRUE(w.violations.empty()) << w.violations.front();
}

TEST(Failover, quarantine_outlives_a_change_of_the_other_members)
{
    Config config = config_of(2);
    config.pools[0].quarantine = {.failure_limit = 3, .failure_window = seconds(10), .cooldown = seconds(15)};
    World w(config);
    w.start();
    w.run(seconds(1));
    for (int i = 0; i < 3; ++i) w.report(0, EvidenceKind::diverted);
    ASSERT_TRUE(w.core.pool(0).quarantined_until[0].has_value());
    w.reconfigure(first_three);
    EXPECT_TRUE(w.core.pool(0).quarantined_until[0].has_value());
    EXPECT_FALSE(w.core.pool(0).quarantined_until[2].has_value());
    w.run(seconds(1));
    EXPECT_EQ(w.active(), 1);
}

TEST(Failover, what_comes_back_is_probed_at_once)
{
    Config config = config_of(2);
    config.pools[0].probe.interval = std::chrono::hours(1);
    World w(config);
    w.start();
    w.run(seconds(1));
    w.reconfigure(only_spare);
    w.run(seconds(1));
    w.modes[0] = Mode::refuse;
    const TimePoint back = w.now;
    w.reconfigure(both);
    w.run(milliseconds(1));
    ASSERT_TRUE(w.core.backend(0).last_probe);
    EXPECT_GE(w.core.backend(0).last_probe->started, back);
}

TEST(Failover, the_active_backend_is_left_without_a_fault_when_it_is_removed)
{
    World w(config_of(2));
    w.start();
    w.run(seconds(1));
    ASSERT_EQ(w.active(), 0);
    w.reconfigure(only_spare);
    EXPECT_EQ(w.active(), 1);
    EXPECT_EQ(w.last(Kind::failover).cause, "configuration");
    EXPECT_EQ(w.core.pool(0).failovers, 0U);
    EXPECT_EQ(w.core.pool(0).planned, 1U);
    w.reconfigure(only_primary);
    EXPECT_EQ(w.active(), 0) << "it was healthy when it was removed, and is until it is known to be otherwise";
}

rc::Gen<Step> any_step()
{
    using What = Step::What;
    return rc::gen::build<Step>(rc::gen::set(&Step::what, rc::gen::weightedElement<What>({{8, What::pause},
                                                                                          {1, What::members},
                                                                                          {1, What::succeed},
                                                                                          {6, What::mode},
                                                                                          {4, What::traffic},
                                                                                          {3, What::evidence},
                                                                                          {1, What::word},
                                                                                          {1, What::prefer},
                                                                                          {1, What::freeze}})),
                                rc::gen::set(&Step::backend, rc::gen::inRange<BackendIndex>(0, 4)),
                                rc::gen::set(&Step::value, rc::gen::inRange<std::uint16_t>(0, 1200)));
}

Config any_config()
{
    Config config = config_of(*rc::gen::inRange<std::size_t>(1, 5),
                              *rc::gen::weightedElement<Policy>({{4, Policy::failover}, {1, Policy::round_robin}}));
    PoolConfig& pool = config.pools[0];
    pool.probe.fall = *rc::gen::inRange(1U, 4U);
    pool.probe.rise = *rc::gen::inRange(1U, 4U);
    if (*rc::gen::inRange(0, 4) == 0) pool.quarantine.failure_limit = 5;
    if (*rc::gen::inRange(0, 4) == 0) pool.failback.mode = FailbackMode::manual;
    if (*rc::gen::inRange(0, 4) == 0) pool.failback.slow_start = seconds(5);
    return config;
}

// The invariants of failover_world.hpp.
TEST(Failover, holds_its_invariants_in_any_sequence_and_recovers_from_it)
{
    test::check_property(2000, [] {
        World w(any_config(), *rc::gen::arbitrary<std::uint32_t>());
        const auto steps = *rc::gen::container<std::vector<Step>>(any_step());
        w.start();
        for (const Step& step : steps) {
            w.apply(step);
            if (!w.violations.empty()) RC_FAIL(w.violations.front());
        }
        w.recover();
        if (!w.violations.empty()) RC_FAIL(w.violations.front());
    });
}

// The bounds stated in failover.hpp.
TEST(Failover, one_flapping_backend_causes_at_most_14_failovers_a_minute_at_any_frequency)
{
    unsigned worst = 0;
    test::check_property(200, [&worst] {
        World w(config_of(2), *rc::gen::arbitrary<std::uint32_t>());
        w.start();
        w.run(seconds(1));
        const auto up = milliseconds(*rc::gen::inRange(1, 6000));
        const auto down = milliseconds(*rc::gen::inRange(1, 3000));
        const auto fault = *rc::gen::element(Mode::refuse, Mode::error, Mode::hang, Mode::slow, Mode::reset);
        const bool traffic = *rc::gen::arbitrary<bool>();
        for (const TimePoint end = w.now + seconds(180); w.now < end;) {
            w.modes[primary] = fault;
            if (traffic) w.request(w.routing->pools[0].candidates.front().backend);
            w.run(down);
            w.modes[primary] = Mode::good;
            if (traffic) w.request(w.routing->pools[0].candidates.front().backend);
            w.run(up);
        }
        const unsigned most = w.most_failovers_in_a_minute();
        worst = std::max(worst, most);
        RC_ASSERT(most <= 14U);
        if (!w.violations.empty()) RC_FAIL(w.violations.front());
    });
    std::cout << "most failovers in any minute: " << worst << std::endl;
}

TEST(Failover, when_all_backends_flap_each_must_show_more_every_time_before_it_is_used_again)
{
    unsigned worst = 0, hardest = 0;
    test::check_property(400, [&] {
        World w(config_of(2), *rc::gen::arbitrary<std::uint32_t>());
        w.start();
        w.run(seconds(1));
        // Each on its own rhythm, so that every phase between them occurs.
        std::vector<Duration> up, down;
        for (int b = 0; b < 2; ++b) {
            up.push_back(milliseconds(*rc::gen::inRange(50, 4000)));
            down.push_back(milliseconds(*rc::gen::inRange(50, 4000)));
        }
        const TimePoint begin = w.now;
        while (w.now < begin + seconds(59)) { // in a minute no flap is forgotten
            for (std::size_t b = 0; b < 2; ++b) {
                const Duration phase = (w.now - begin) % (up[b] + down[b]);
                w.modes[b] = phase < up[b] ? Mode::good : Mode::refuse;
            }
            w.run(milliseconds(25));
        }
        worst = std::max(worst, w.most_failovers_in_a_minute());
        std::array<unsigned, 2> rise{2, 2};
        for (const Recovery& recovery : w.recoveries) {
            unsigned& wanted = rise[recovery.backend];
            RC_ASSERT(recovery.good_probes >= wanted);
            hardest = std::max(hardest, wanted);
            wanted = std::min(2 * wanted, 32U);
        }
        // Who is left has fallen, and falls again only after it has recovered; it may be left as degraded, then as
        // down.
        RC_ASSERT(w.count(Kind::failover) <= 2 * (w.recoveries.size() + 2));
        if (!w.violations.empty()) RC_FAIL(w.violations.front());
    });
    EXPECT_TRUE(hardest == 32U || test::runs_are_given()) << hardest << " good probes were the most that was asked for";
    std::cout << "most failovers in any minute: " << worst << std::endl;
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
