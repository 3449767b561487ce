// What a process that takes another's place begins with.
#include "balancer/decide/saved_state.hpp"
#include "tests/unit/balancer/decide/failover_world.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace hotspare::balancer {
namespace TEST_FILE {

using Kind = Event::Kind;

constexpr BackendIndex primary = 0;
constexpr BackendIndex spare = 1;

/// The first Routing of a process that was given `saved`.
Reaction begin(Failover& core, const SavedState& saved, TimePoint now)
{
    core.restore(saved);
    return core.start(now);
}

TEST(SavedState, a_backend_that_was_down_gets_no_request_of_the_next_process)
{
    World w(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.start();
    w.run(seconds(2));
    ASSERT_EQ(w.status(primary), Status::down);

    Failover next(first_topology(w.config), 1);
    const Reaction reaction = begin(next, w.core.saved(), w.now);
    ASSERT_TRUE(reaction.routing);
    EXPECT_EQ(reaction.routing->backends[primary].status, Status::down);
    EXPECT_EQ(reaction.routing->backends[spare].status, Status::healthy);
    EXPECT_EQ(reaction.routing->pools[0].candidates.front().backend, spare);
    EXPECT_EQ(next.pool(0).active, spare);
    EXPECT_EQ(next.backend(primary).evidence, w.core.backend(primary).evidence);
    EXPECT_EQ(next.backend(primary).since, w.core.backend(primary).since);
    EXPECT_TRUE(reaction.events.empty()) << "nothing has happened";
    EXPECT_EQ(reaction.probe.size(), 2U) << "but it looks for itself at once";
}

TEST(SavedState, the_hold_down_of_a_flapping_backend_goes_on)
{
    World w(config_of(2));
    w.start();
    w.run(seconds(1));
    for (int flap = 0; flap < 3; ++flap) {
        w.modes[primary] = Mode::refuse;
        w.run(seconds(2));
        w.modes[primary] = Mode::good;
        ASSERT_TRUE(w.run_until([&] { return w.status(primary) == Status::healthy; }, seconds(10)));
    }
    ASSERT_EQ(w.active(), spare);
    const auto failback = w.core.failback_at(0, w.now);
    ASSERT_TRUE(failback);
    w.succeed();
    EXPECT_EQ(w.core.flaps(primary, w.now), 3U);
    EXPECT_EQ(w.core.failback_at(0, w.now), failback);
    EXPECT_EQ(w.active(), spare) << "not at once because the process is new";
    w.run(*failback - w.now + seconds(1));
    EXPECT_EQ(w.active(), primary);
    EXPECT_TRUE(w.violations.empty()) << w.violations.front();
}

TEST(SavedState, what_operators_said_holds_in_the_next_process)
{
    World w(config_of(2));
    w.start();
    w.run(seconds(1));
    w.take(w.core.operate(primary, OperatorWord::maintenance, w.now, {.until = {}, .message = "disks"}));
    w.succeed();
    EXPECT_EQ(w.status(primary), Status::maintenance);
    ASSERT_TRUE(w.core.backend(primary).maintenance);
    EXPECT_EQ(w.core.backend(primary).maintenance->message, "disks");
    w.run(seconds(5));
    EXPECT_EQ(w.status(primary), Status::maintenance) << "good probes do not end it";
    w.take(w.core.operate(primary, OperatorWord::enable, w.now));
    EXPECT_EQ(w.status(primary), Status::healthy);
    EXPECT_TRUE(w.violations.empty()) << w.violations.front();
}

TEST(SavedState, failures_before_and_after_add_up_to_a_quarantine)
{
    Config config = config_of(2);
    config.pools[0].quarantine.failure_limit = 4;
    World w(config);
    w.start();
    w.run(seconds(1));
    w.report(primary, EvidenceKind::diverted, 2);
    w.succeed();
    w.report(primary, EvidenceKind::diverted, 2);
    EXPECT_EQ(w.count(Kind::quarantine), 1U);
    EXPECT_EQ(w.active(), spare);
    w.succeed();
    EXPECT_TRUE(w.core.pool(0).quarantined_until[0]) << "and the next one keeps it";
    EXPECT_EQ(w.count(Kind::quarantine), 1U);
}

TEST(SavedState, is_of_no_backend_at_another_address)
{
    World w(config_of(2));
    w.modes[primary] = Mode::refuse;
    w.start();
    w.run(seconds(2));
    Config moved = w.config;
    moved.backends[primary].url = "http://10.0.0.7:80";
    Failover next(first_topology(moved), 1);
    begin(next, w.core.saved(), w.now);
    EXPECT_EQ(next.backend(primary).status, Status::unknown);
    EXPECT_EQ(next.backend(spare).status, Status::healthy);
    EXPECT_EQ(next.pool(0).active, spare);
}

TEST(SavedState, of_what_is_no_longer_configured_is_ignored)
{
    World w(config_of(3));
    w.modes[primary] = Mode::refuse;
    w.start();
    w.run(seconds(2));
    Config fewer = config_of(1);
    fewer.pools[0].name = "renamed";
    Failover next(first_topology(fewer), 1);
    const Reaction reaction = begin(next, w.core.saved(), w.now);
    EXPECT_EQ(next.backend(0).status, Status::down);
    ASSERT_TRUE(reaction.routing);
    EXPECT_EQ(reaction.routing->pools[0].candidates.size(), 1U);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
