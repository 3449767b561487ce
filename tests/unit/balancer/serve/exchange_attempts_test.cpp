#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

namespace hotspare::balancer {
namespace {

TEST(ExchangeAttempts, ARequestIsAnsweredByTheFirstBackend)
{
    ExchangeWorld world;
    world.client_sends(get());
    EXPECT_EQ(world.asked(a), "GET");
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a answered");
    EXPECT_EQ(world.fates(), "a pooled");
    EXPECT_EQ(world.evidence(), "a success");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1");
}

} // namespace
} // namespace hotspare::balancer
