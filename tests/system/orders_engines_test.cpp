// The order pipeline on PostgreSQL and Redis loses nothing and does nothing twice, whichever of its processes die,
// those of the engines included. Short forms; orders_prove runs the same for long.
#include "tests/support/order_proofs.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::test {
namespace TEST_FILE {

constexpr double rate = 100;

void expect_holds(const Proof& proof, std::size_t faults)
{
    EXPECT_TRUE(proof.holds()) << proof.text();
    EXPECT_GE(proof.faults, faults) << proof.text();
    EXPECT_GT(proof.audit.acknowledged, 0U) << proof.text();
}

TEST(OrdersEngines, AWorkerKilledAfterItsClaim)
{
    expect_holds(prove_crashes_after_claim(Engine::postgres_redis, {.cycles = 2, .seed = 11}), 2);
}

TEST(OrdersEngines, AWorkerKilledBetweenVerdictAndCompletion)
{
    expect_holds(prove_crashes_before_completion(Engine::postgres_redis, {.cycles = 2, .seed = 12}), 2);
}

TEST(OrdersEngines, OrderServicesKilledWhileTheyCreate)
{
    expect_holds(prove_crashes_of_order_services({.cycles = 8, .seed = 13}), 8);
}

TEST(OrdersEngines, AllProcessesAtRandomUnderLoad)
{
    expect_holds(prove_random_kills(Engine::postgres_redis, {.cycles = 10, .seed = 14}, rate), 10);
}

/// The instrument can see a loss.
TEST(OrdersEngines, AKilledDatabaseLosesOrdersThatDidNotWaitForTheDisk)
{
    const auto proof = prove_crashes_without_waiting_for_the_disk({.cycles = 3, .seed = 15}, rate);
    EXPECT_GT(proof.audit.lost, 0U) << proof.text();
    EXPECT_EQ(proof.audit.doubled, 0U) << proof.text();
}

class OrdersEngineFault : public testing::TestWithParam<EngineFault> {};

TEST_P(OrdersEngineFault, LosesNothing)
{
    expect_holds(prove_engine_faults(GetParam(), {.cycles = 2, .seed = 16}, rate), 2);
}

std::string name_of(const testing::TestParamInfo<EngineFault>& fault)
{
    std::string name(to_string(fault.param));
    std::erase(name, ' ');
    return name;
}

INSTANTIATE_TEST_SUITE_P(Kinds, OrdersEngineFault,
                         testing::Values(EngineFault::redis_killed, EngineFault::redis_flushed,
                                         EngineFault::redis_frozen, EngineFault::postgres_restarted,
                                         EngineFault::postgres_killed, EngineFault::backends_terminated),
                         name_of);

} // namespace TEST_FILE
} // namespace hotspare::test
