// Who is in maintenance, until when, and what a request of a pool gets.
#include "balancer/decide/failover.hpp"
#include "balancer/decide/maintenance.hpp"
#include "tests/unit/balancer/decide/failover_world.hpp"

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

using Kind = Event::Kind;
using Words = std::vector<std::string>;

constexpr BackendIndex primary = 0, spare = 1, third = 2;
constexpr std::array both{primary, spare};
const WallTime noon{std::chrono::hours(12)};

/// A world in which every backend has been found healthy.
struct HealthyWorld : World {
    explicit HealthyWorld(Config settings = config_of(2)) : World(std::move(settings))
    {
        start();
        run(seconds(2));
        events.clear();
    }
    void say(BackendIndex b, OperatorWord word, const Maintenance& announced = {})
    {
        take(core.operate(b, word, now, announced));
    }
    const std::optional<Maintenance>& told(PoolIndex p = 0) const { return routing->pools[p].maintenance; }
};

TEST(Maintenance, the_time_to_come_again_is_that_of_the_announced_end_within_bounds)
{
    const auto after = [](Duration left) { return retry_after({.until = noon + left}, noon).count(); };
    EXPECT_EQ(retry_after({}, noon), seconds(60)) << "nothing was announced";
    EXPECT_EQ(after(seconds(90)), 90);
    EXPECT_EQ(after(milliseconds(1001)), 2) << "not before the end";
    EXPECT_EQ(after(Duration::zero()), 1);
    EXPECT_EQ(after(-seconds(7200)), 1) << "it takes longer than announced";
    EXPECT_EQ(after(std::chrono::hours(24)), 86400);
    EXPECT_EQ(after(std::chrono::hours(24 * 365)), 86400);
}

TEST(Maintenance, of_several_announcements_the_earliest_end_is_told)
{
    const Maintenance silent, words{.message = "m"}, early{.until = noon}, late{.until = noon + seconds(1)};
    for (const auto& [first, second] :
         {std::pair(early, late), std::pair(late, words), std::pair(words, silent), std::pair(early, silent)}) {
        EXPECT_TRUE(comes_before(first, second));
        EXPECT_FALSE(comes_before(second, first));
    }
    EXPECT_FALSE(comes_before(silent, silent));
}

TEST(Maintenance, a_sentence_says_what_was_announced)
{
    EXPECT_EQ(with_announcement("closed", {}), "closed");
    EXPECT_EQ(with_announcement("closed", {.message = "new disks"}), "closed: new disks");
    EXPECT_EQ(with_announcement("closed", {.until = noon}), "closed until 1970-01-01T12:00:00.000Z");
    EXPECT_EQ(with_announcement("closed", {.until = noon, .message = "new disks"}),
              "closed until 1970-01-01T12:00:00.000Z: new disks");
}

TEST(Maintenance, is_announced_when_it_holds_for_every_backend_of_the_pool)
{
    HealthyWorld w;
    const Maintenance announced{.until = noon, .message = "new disks"};
    w.say(primary, OperatorWord::maintenance, announced);
    EXPECT_EQ(w.told(), std::nullopt) << "the spare serves";
    EXPECT_EQ(w.active(), spare);
    EXPECT_EQ(w.core.backend(primary).maintenance, announced);
    w.say(spare, OperatorWord::maintenance);
    EXPECT_EQ(w.told(), announced);
    EXPECT_EQ(w.active(), std::nullopt);
    w.run(std::chrono::hours(1));
    EXPECT_EQ(w.told(), announced) << "it does not end by itself";
    w.say(spare, OperatorWord::enable);
    EXPECT_EQ(w.told(), std::nullopt);
    EXPECT_EQ(w.core.backend(spare).maintenance, std::nullopt);
    EXPECT_EQ(w.server(), spare) << "at once";
    EXPECT_EQ(w.violations, Words{});
}

// It may return at any moment, without an operator: requests wait for it as ever.
TEST(Maintenance, is_not_announced_while_a_backend_only_fails)
{
    HealthyWorld w;
    w.say(primary, OperatorWord::maintenance);
    w.modes[spare] = Mode::refuse;
    w.run(seconds(3));
    ASSERT_EQ(w.status(spare), Status::down);
    EXPECT_FALSE(w.core.pool(0).can_answer);
    EXPECT_EQ(w.told(), std::nullopt);
}

TEST(Maintenance, is_not_announced_of_backends_that_are_drained_but_beside_them)
{
    HealthyWorld w;
    w.say(primary, OperatorWord::drain);
    w.say(spare, OperatorWord::drain);
    EXPECT_EQ(w.told(), std::nullopt);
    w.say(primary, OperatorWord::maintenance, {.message = "new disks"});
    EXPECT_EQ(w.told(), (Maintenance{.message = "new disks"})) << "neither returns before an operator's word";
    w.say(primary, OperatorWord::drain);
    EXPECT_EQ(w.told(), std::nullopt);
    EXPECT_EQ(w.core.backend(primary).maintenance, std::nullopt);
}

TEST(Maintenance, of_a_whole_pool_begins_and_ends_in_one_step)
{
    HealthyWorld w;
    const auto version = w.routing->version;
    w.take(w.core.operate(both, OperatorWord::maintenance, w.now, {.until = noon}));
    EXPECT_EQ(w.routing->version, version + 1) << "no routing shows half of it";
    EXPECT_EQ(w.told(), (Maintenance{.until = noon}));
    EXPECT_EQ(w.count(Kind::transition), 2U);
    EXPECT_EQ(w.count(Kind::failover), 0U);
    EXPECT_EQ(w.last(Kind::outage).cause, "operator");
    w.take(w.core.operate(both, OperatorWord::enable, w.now));
    EXPECT_EQ(w.routing->version, version + 2);
    EXPECT_EQ(w.told(), std::nullopt);
    EXPECT_EQ(w.server(), primary);
    EXPECT_EQ(w.count(Kind::outage_over), 1U);
    EXPECT_EQ(w.count(Kind::failover), 0U);
    EXPECT_EQ(w.violations, Words{});
}

TEST(Maintenance, concerns_every_pool_that_has_the_backend)
{
    Config config = config_of(3);
    PoolConfig other = config.pools[0];
    other.name = "other";
    other.backends = {spare, third};
    config.pools.push_back(other);
    config.pools[0].backends = {primary, spare};
    HealthyWorld w(config);
    w.take(w.core.operate(both, OperatorWord::maintenance, w.now, {.until = noon}));
    EXPECT_TRUE(w.told(0).has_value());
    EXPECT_FALSE(w.told(1).has_value()) << "its third backend serves";
    EXPECT_EQ(w.active(1), third);
    w.say(third, OperatorWord::maintenance, {.until = noon - seconds(1)});
    EXPECT_EQ(w.told(0), (Maintenance{.until = noon}));
    EXPECT_EQ(w.told(1), (Maintenance{.until = noon - seconds(1)}));
}

TEST(Maintenance, events_say_what_was_announced_and_what_of_it_was_changed)
{
    HealthyWorld w;
    w.say(primary, OperatorWord::maintenance, {.message = "new disks"});
    EXPECT_EQ(w.last(Kind::transition).cause, "operator");
    EXPECT_EQ(w.last(Kind::transition).evidence, "put into maintenance by an operator: new disks");
    w.events.clear();
    const auto version = w.routing->version;
    w.say(primary, OperatorWord::maintenance, {.message = "new disks"});
    EXPECT_TRUE(w.events.empty()) << "nothing has changed";
    EXPECT_EQ(w.routing->version, version);
    w.say(primary, OperatorWord::maintenance, {.until = noon});
    EXPECT_EQ(w.count(Kind::transition), 0U);
    EXPECT_EQ(w.last(Kind::announcement).backend, primary);
    EXPECT_EQ(w.last(Kind::announcement).evidence,
              "put into maintenance by an operator until 1970-01-01T12:00:00.000Z");
    EXPECT_EQ(w.core.backend(primary).evidence, w.last(Kind::announcement).evidence);
    EXPECT_EQ(w.core.backend(primary).maintenance, (Maintenance{.until = noon}));
}

// No request waits for a backend that is back: there is nothing to hurry for.
TEST(Maintenance, does_not_hurry_the_probes)
{
    HealthyWorld w;
    w.take(w.core.operate(both, OperatorWord::maintenance, w.now));
    w.modes = std::vector<Mode>(2, Mode::refuse);
    w.run(seconds(5)); // until nothing is in doubt
    const auto before = w.probes_done;
    w.run(seconds(10));
    const auto often = seconds(10) / w.config.pools[0].probe.interval * 2;
    EXPECT_LE(w.probes_done - before, static_cast<std::uint64_t>(often) * 3 / 2);
    w.modes = std::vector<Mode>(2, Mode::good);
    w.run(seconds(5));
    w.take(w.core.operate(both, OperatorWord::enable, w.now));
    EXPECT_EQ(w.server(), primary);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
