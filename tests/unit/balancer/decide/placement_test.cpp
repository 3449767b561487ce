#include "balancer/decide/placement.hpp"

#include "balancer/decide/attempt.hpp"

#include <gtest/gtest.h>

#include <initializer_list>
#include <map>

namespace hotspare::balancer {
namespace TEST_FILE {

const TimePoint now{std::chrono::hours(1)};

struct PlacementTest : ::testing::Test {
    Config config = [] {
        Config c;
        c.backends.resize(3);
        PoolConfig pool;
        pool.name = "default";
        pool.backends = {0, 1, 2};
        pool.weights = {1, 1, 1};
        c.pools.push_back(pool);
        return c;
    }();
    Placement placement{first_topology(config), 7};
    AttemptLedger ledger{RequestFacts{}};
    std::vector<unsigned> active{0, 0, 0};

    std::shared_ptr<Routing> route(Policy policy, std::vector<Candidate> candidates, TimePoint good = now)
    {
        auto routing = std::make_shared<Routing>();
        routing->backends.resize(3);
        for (auto& backend : routing->backends) backend.good_probe_started = good;
        routing->pools.push_back({policy, std::move(candidates)});
        return routing;
    }
};

TEST_F(PlacementTest, BeforeTheMonitorHasSpokenEverythingIsServed)
{
    EXPECT_EQ(placement.pick(0, ledger, active), 0);
}

TEST_F(PlacementTest, FailoverTakesTheActiveThenTheStandbysInOrder)
{
    placement.update(route(Policy::failover, {{1, Tier::serving, 1}, {0, Tier::fallback, 1}, {2, Tier::fallback, 1}}));
    EXPECT_EQ(placement.pick(0, ledger, active), 1);
    ledger.begin(1, false, false, now);
    EXPECT_EQ(placement.pick(0, ledger, active), 0);
    ledger.begin(0, false, false, now);
    EXPECT_EQ(placement.pick(0, ledger, active), 2);
    ledger.begin(2, false, false, now);
    EXPECT_EQ(placement.pick(0, ledger, active), std::nullopt);
}

BackendSet set_of(std::initializer_list<BackendIndex> backends)
{
    BackendSet set;
    for (const BackendIndex backend : backends) set.set(backend);
    return set;
}

TEST_F(PlacementTest, FailoverPrefersAFallbackToWhatFailed)
{
    placement.update(route(Policy::failover, {{1, Tier::serving, 1}, {0, Tier::fallback, 1}, {2, Tier::fallback, 1}}));
    placement.observe(1, EvidenceKind::refused, now + seconds(1));
    EXPECT_EQ(placement.pick(0, ledger, active), 0);
    placement.observe(0, EvidenceKind::refused, now + seconds(1));
    placement.observe(2, EvidenceKind::refused, now + seconds(1));
    EXPECT_EQ(placement.pick(0, ledger, active), 1) << "of equals, however bad, the order decides";
}

TEST_F(PlacementTest, WhatIsFullIsPassedOverButNotForOneOfALowerRank)
{
    for (const Policy policy : {Policy::round_robin, Policy::random, Policy::least_connections}) {
        placement.update(route(policy, {{0, Tier::serving, 1}, {1, Tier::serving, 1}, {2, Tier::fallback, 1}}));
        EXPECT_EQ(placement.eligible(0, ledger), set_of({0, 1}));
        for (int i = 0; i < 5; ++i) EXPECT_EQ(placement.pick_with_room(0, ledger, active, set_of({0})), 1);
        EXPECT_EQ(placement.pick_with_room(0, ledger, active, set_of({0, 1})), std::nullopt);
    }
    placement.update(route(Policy::failover, {{1, Tier::serving, 1}, {0, Tier::fallback, 1}, {2, Tier::fallback, 1}}));
    EXPECT_EQ(placement.eligible(0, ledger), set_of({1}));
    EXPECT_EQ(placement.pick_with_room(0, ledger, active, set_of({1})), std::nullopt);
    EXPECT_EQ(placement.pick_with_room(0, ledger, active, set_of({0})), 1);
    ledger.begin(1, false, false, now);
    EXPECT_EQ(placement.eligible(0, ledger), set_of({0})) << "of the spares the first one, too";
}

TEST_F(PlacementTest, APoolIsUsedUpWhenEveryBackendWasSentTheRequest)
{
    placement.update(route(Policy::failover, {{0, Tier::serving, 1}, {1, Tier::excluded, 1}}));
    auto budget = resilience::RetryBudget{1.0, 1000};
    for (const BackendIndex backend : {0, 1}) {
        EXPECT_FALSE(placement.used_up(0, ledger));
        const auto id = ledger.begin(backend, false, false, now);
        EXPECT_FALSE(placement.used_up(0, ledger)) << "tried is not sent";
        ledger.sent(id);
        ledger.failed(id, Outcome::reset, now, budget);
    }
    EXPECT_TRUE(placement.used_up(0, ledger));
    ledger.new_round();
    EXPECT_EQ(placement.pick(0, ledger, active), std::nullopt);
}

TEST_F(PlacementTest, ARefusalIsBelievedUntilAProbeThatStartedLaterSucceeds)
{
    placement.update(route(Policy::failover, {{0, Tier::serving, 1}, {1, Tier::fallback, 1}}));
    EXPECT_TRUE(placement.observe(0, EvidenceKind::refused, now + milliseconds(5)));
    EXPECT_EQ(placement.pick(0, ledger, active), 1);
    // A probe that was under way when the refusal came proves nothing.
    placement.update(route(Policy::failover, {{0, Tier::serving, 1}, {1, Tier::fallback, 1}}, now + milliseconds(4)));
    EXPECT_EQ(placement.pick(0, ledger, active), 1);
    placement.update(route(Policy::failover, {{0, Tier::serving, 1}, {1, Tier::fallback, 1}}, now + milliseconds(6)));
    EXPECT_EQ(placement.pick(0, ledger, active), 0);
}

TEST_F(PlacementTest, ABrokenConnectionDoesNotPassOverABackendWhoseProbeIsGoodJustThen)
{
    placement.update(route(Policy::failover, {{0, Tier::serving, 1}, {1, Tier::fallback, 1}}));
    EXPECT_TRUE(placement.observe(0, EvidenceKind::reset, now + milliseconds(50))) << "the monitor wants to know";
    EXPECT_EQ(placement.pick(0, ledger, active), 0);
    placement.observe(0, EvidenceKind::reset, now + milliseconds(150));
    EXPECT_EQ(placement.pick(0, ledger, active), 1);
    placement.observe(0, EvidenceKind::reset, now + milliseconds(160));
    // The probe that starts after the first of them settles them all.
    placement.update(route(Policy::failover, {{0, Tier::serving, 1}, {1, Tier::fallback, 1}}, now + milliseconds(155)));
    EXPECT_EQ(placement.pick(0, ledger, active), 0);
}

TEST_F(PlacementTest, SoftFailuresCountOnlyInARow)
{
    placement.update(route(Policy::failover, {{0, Tier::serving, 1}, {1, Tier::fallback, 1}}));
    const auto later = now + milliseconds(200); // no probe is good just then
    EXPECT_FALSE(placement.observe(0, EvidenceKind::diverted, later));
    EXPECT_FALSE(placement.observe(0, EvidenceKind::diverted, later));
    EXPECT_FALSE(placement.observe(0, EvidenceKind::success, later));
    EXPECT_FALSE(placement.observe(0, EvidenceKind::outpaced, later));
    EXPECT_FALSE(placement.observe(0, EvidenceKind::outpaced, later));
    EXPECT_EQ(placement.pick(0, ledger, active), 0);
    EXPECT_TRUE(placement.observe(0, EvidenceKind::outpaced, later));
    EXPECT_EQ(placement.pick(0, ledger, active), 1);
}

TEST_F(PlacementTest, FailuresThatCannotBeComparedPassNoBackendOver)
{
    placement.update(route(Policy::failover, {{0, Tier::serving, 1}, {1, Tier::fallback, 1}}));
    const auto later = now + milliseconds(200); // no probe is good just then
    for (int i = 0; i < 2; ++i) EXPECT_FALSE(placement.observe(0, EvidenceKind::uncompared, later));
    EXPECT_TRUE(placement.observe(0, EvidenceKind::uncompared, later)) << "the monitor wants to know";
    EXPECT_EQ(placement.pick(0, ledger, active), 0);
}

TEST_F(PlacementTest, ASuspectIsStillBetterThanNothing)
{
    placement.update(route(Policy::failover, {{0, Tier::serving, 1}, {1, Tier::excluded, 1}}));
    placement.observe(0, EvidenceKind::reset, now + milliseconds(200));
    EXPECT_EQ(placement.pick(0, ledger, active), 0);
    EXPECT_FALSE(placement.can_serve(0));
    EXPECT_FALSE(placement.alternative(0, ledger));
}

TEST_F(PlacementTest, ExcludedBackendsAreNeverPicked)
{
    placement.update(route(Policy::random, {{0, Tier::excluded, 1}, {1, Tier::excluded, 1}, {2, Tier::excluded, 1}}));
    EXPECT_EQ(placement.pick(0, ledger, active), std::nullopt);
}

TEST_F(PlacementTest, RoundRobinFollowsTheWeights)
{
    placement.update(
        route(Policy::round_robin, {{0, Tier::serving, 3}, {1, Tier::serving, 1}, {2, Tier::fallback, 9}}));
    std::map<BackendIndex, int> turns;
    for (int i = 0; i < 400; ++i) ++turns[*placement.pick(0, ledger, active)];
    EXPECT_EQ(turns[0], 300);
    EXPECT_EQ(turns[1], 100);
    EXPECT_EQ(turns[2], 0);
}

TEST_F(PlacementTest, RandomFollowsTheWeightsRoughly)
{
    placement.update(route(Policy::random, {{0, Tier::serving, 1}, {1, Tier::serving, 1}}));
    std::map<BackendIndex, int> turns;
    for (int i = 0; i < 10000; ++i) ++turns[*placement.pick(0, ledger, active)];
    EXPECT_NEAR(turns[0], 5000, 300);
}

TEST_F(PlacementTest, LeastConnectionsTakesTheIdlest)
{
    placement.update(
        route(Policy::least_connections, {{0, Tier::serving, 1}, {1, Tier::serving, 1}, {2, Tier::serving, 1}}));
    active = {2, 1, 3};
    EXPECT_EQ(placement.pick(0, ledger, active), 1);
}

TEST_F(PlacementTest, TellsTheMaintenanceOfAPool)
{
    EXPECT_EQ(placement.maintenance(0), nullptr);
    auto routing = route(Policy::failover, {{0, Tier::excluded, 1}});
    routing->pools[0].maintenance = Maintenance{.message = "new disks"};
    placement.update(routing);
    ASSERT_NE(placement.maintenance(0), nullptr);
    EXPECT_EQ(placement.maintenance(0)->message, "new disks");
    EXPECT_EQ(placement.pick(0, ledger, active), std::nullopt);
}

TEST_F(PlacementTest, ReportsTheBackendsThatWentDown)
{
    auto routing = route(Policy::failover, {{0, Tier::serving, 1}});
    routing->backends[2].down_count = 1;
    EXPECT_EQ(placement.update(routing), std::vector<BackendIndex>{2});
    auto same = std::make_shared<Routing>(*routing);
    EXPECT_TRUE(placement.update(same).empty());
}

TEST_F(PlacementTest, WhatTakesASlotIsNotSuspectedForWhatHadItBefore)
{
    for (std::size_t i = 0; i < config.backends.size(); ++i) config.backends[i].name = std::string(1, char('a' + i));
    const auto first = first_topology(config);
    Placement here(first, 7);
    here.observe(0, EvidenceKind::refused, now);
    here.observe(1, EvidenceKind::refused, now);
    ASSERT_TRUE(here.suspect(0));
    Config wanted = config;
    wanted.backends.erase(wanted.backends.begin());
    wanted.pools[0].backends = {0, 1};
    const auto without = next_topology(first, wanted, {})->topology;
    wanted.backends.push_back(config.backends[0]);
    wanted.backends.back().name = "new";
    SlotSet released;
    released.backends.set();
    const auto topology = next_topology(without, wanted, released)->topology;
    ASSERT_EQ(topology->find_backend("new"), 0);
    auto routing = route(Policy::failover, {}, TimePoint::min());
    routing->topology = topology;
    here.update(routing);
    EXPECT_FALSE(here.suspect(0));
    EXPECT_TRUE(here.suspect(1)) << "this one is still there";
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
