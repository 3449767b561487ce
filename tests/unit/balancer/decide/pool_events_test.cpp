// What the failover core says and counts of a pool whose backends fail alike, or that an operator takes out.
#include "balancer/decide/failover.hpp"
#include "tests/unit/balancer/decide/failover_world.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

using Kind = Event::Kind;

constexpr BackendIndex primary = 0, spare = 1;

/// A world in which every backend has been found healthy.
struct HealthyWorld : World {
    explicit HealthyWorld(Config settings = config_of(2)) : World(std::move(settings))
    {
        start();
        run(seconds(2));
        events.clear();
    }
};

TEST(PoolEvents, requests_that_failed_nowhere_else_do_not_quarantine)
{
    Config config = config_of(2);
    config.pools[0].quarantine.failure_limit = 5;
    HealthyWorld w(config);
    for (int i = 0; i < 40; ++i) {
        w.report(primary, EvidenceKind::reset);
        w.report(primary, EvidenceKind::success);
        w.run(milliseconds(200));
    }
    EXPECT_EQ(w.count(Kind::quarantine), 0U);
    EXPECT_EQ(w.active(), primary);
    EXPECT_EQ(w.violations, std::vector<std::string>{});
}

TEST(PoolEvents, a_pool_that_fails_open_is_probed_as_often_as_configured)
{
    HealthyWorld w;
    w.modes = std::vector<Mode>(2, Mode::reset);
    const auto answer = [&](Duration span) {
        for (const TimePoint end = w.now + span; w.now < end;) {
            for (const BackendIndex b : {primary, spare}) w.report(b, EvidenceKind::success);
            w.run(milliseconds(50));
        }
    };
    answer(seconds(2));
    ASSERT_TRUE(w.core.pool(0).fail_open);
    const auto before = w.probes_done;
    answer(seconds(10));
    EXPECT_TRUE(w.core.pool(0).fail_open);
    const auto often = seconds(10) / w.config.pools[0].probe.interval * 2;
    EXPECT_LE(w.probes_done - before, static_cast<std::uint64_t>(often) * 3 / 2);
}

TEST(PoolEvents, only_what_was_met_is_given_as_the_reason)
{
    HealthyWorld w;
    w.modes[primary] = Mode::hang;
    for (int i = 0; i < 4; ++i) w.report(primary, EvidenceKind::outpaced);
    w.run(seconds(3));
    EXPECT_EQ(w.status(primary), Status::down);
    for (const Event& event : w.events) EXPECT_EQ(event.evidence.find("0 live"), std::string::npos) << event.evidence;
    EXPECT_NE(w.last(Kind::failover).evidence.find("4 live requests answered first elsewhere"), std::string::npos)
        << w.last(Kind::failover).evidence;
}

TEST(PoolEvents, an_outage_by_an_operator_is_called_that)
{
    HealthyWorld w;
    for (const BackendIndex b : {primary, spare}) w.take(w.core.operate(b, OperatorWord::drain, w.now));
    EXPECT_EQ(w.last(Kind::outage).cause, "operator");
    EXPECT_EQ(w.last(Kind::outage).evidence, "every backend is draining or in maintenance");
    w.take(w.core.operate(primary, OperatorWord::enable, w.now));
    EXPECT_EQ(w.count(Kind::outage_over), 1U);
    w.modes[primary] = Mode::refuse;
    w.run(seconds(3));
    EXPECT_EQ(w.last(Kind::outage).cause, "no_backend") << "one of them failed";
}

TEST(PoolEvents, a_backend_that_is_enabled_keeps_its_evidence)
{
    HealthyWorld w;
    w.take(w.core.operate(spare, OperatorWord::maintenance, w.now));
    w.modes[spare] = Mode::error;
    w.run(seconds(3));
    EXPECT_EQ(w.status(spare), Status::maintenance);
    w.take(w.core.operate(spare, OperatorWord::enable, w.now));
    EXPECT_EQ(w.status(spare), Status::unhealthy);
    const auto& evidence = w.core.backend(spare).evidence;
    EXPECT_TRUE(evidence.starts_with("an operator enabled it; ")) << evidence;
    EXPECT_NE(evidence.find("probes in a row failed"), std::string::npos) << evidence;
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
