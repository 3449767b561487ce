// Connections from the pool: which are used, what their end means, and which go back.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <boost/asio/ip/address.hpp>
#include <boost/system/errc.hpp>
#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

/// The backend ends the connection in the moment in which the next request is on its way.
void ends_unnoticed(ScriptedStream& connection)
{
    connection.goes_unnoticed();
    connection.finishes();
}

void breaks_unnoticed(ScriptedStream& connection)
{
    connection.goes_unnoticed();
    connection.breaks();
}

TEST(ExchangePool, TheNextRequestTakesTheSameConnection)
{
    ExchangeWorld world;
    world.warm(a);
    world.client_sends(get());
    EXPECT_EQ(world.asked(a), "GET");
    world.answer(a, ok());
    EXPECT_EQ(world.trail(), "a* answered");
    EXPECT_EQ(world.fates(), "a pooled");
    EXPECT_EQ(world.saw(), "200 hello");
}

TEST(ExchangePool, ConnectionsToAnAddressThatTheBackendHasNoMoreAreNotUsedAgain)
{
    const auto at = [](const char* address) {
        return boost::asio::ip::tcp::endpoint(boost::asio::ip::make_address(address), a + 1);
    };
    ExchangeWorld world;
    world.plane.upstreams.set_addresses(a, {at("10.0.0.1")});
    world.warm(a);
    world.plane.upstreams.set_addresses(a, {at("10.0.0.2"), at("10.0.0.1")});
    EXPECT_EQ(world.fates(), "a pooled") << "its address is still there";
    world.plane.upstreams.set_addresses(a, {at("10.0.0.2")});
    EXPECT_EQ(world.fates(), "a closed");
    world.client_sends(get());
    world.plane.upstreams.set_addresses(a, {at("10.0.0.3")});
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello") << "a request that has begun ends where it is";
    EXPECT_EQ(world.fates(), "a closed, a closed");
}

TEST(ExchangePool, AConnectionThatEndsWhileItRestsIsClosed)
{
    ExchangeWorld world;
    world.warm(a);
    world.at(a).finishes();
    world.run();
    EXPECT_EQ(world.fates(), "a closed");
    world.client_sends(post());
    world.answer(a, ok());
    EXPECT_EQ(world.trail(), "a answered");
}

// RFC 9112 §9.2: no response without a request.
TEST(ExchangePool, BytesBeforeARequestAreNotItsResponse)
{
    ExchangeWorld world;
    world.warm(a);
    world.at(a).sends(ok("of another"));
    world.client_sends(get());
    EXPECT_EQ(world.fates(), "a closed, a open");
    world.answer(a, ok("mine"));
    EXPECT_EQ(world.saw(), "200 mine");
}

TEST(ExchangePool, ARepeatableRequestOnADeadConnectionGoesOutAgainToTheSameBackend)
{
    for (const auto& bytes : {get(), put(), request("POST", "Idempotency-Key: 1\r\n", "work")}) {
        ExchangeWorld world;
        world.warm(a);
        ends_unnoticed(world.at(a));
        world.client_sends(bytes);
        world.answer(a, ok());
        EXPECT_EQ(world.saw(), "200 hello");
        EXPECT_EQ(world.trail(), "a* reset, a answered");
        EXPECT_EQ(world.fates(), "a reset, a pooled");
        EXPECT_EQ(world.evidence(), "a success");
        EXPECT_EQ(world.counts(), "requests 1, 2xx 1, retries 1, saved retry 1");
    }
}

TEST(ExchangePool, ThatTryIsFreeOfTheBudget)
{
    Config config = exchange_config();
    config.pools[0].retry.budget_ratio = config.pools[0].retry.budget_per_second = 0;
    ExchangeWorld world(config);
    world.warm(a);
    ends_unnoticed(world.at(a));
    world.client_sends(get());
    world.answer(a, ok());
    EXPECT_EQ(world.trail(), "a* reset, a answered");
}

TEST(ExchangePool, APostThatWasSentOnADeadConnectionIsNotRepeated)
{
    ExchangeWorld world;
    world.warm(a);
    ends_unnoticed(world.at(a));
    world.client_sends(post());
    EXPECT_EQ(world.saw(), "502 problem");
    EXPECT_EQ(world.trail(), "a* reset");
    EXPECT_EQ(world.connections(a) + world.connections(b), 1U);
}

TEST(ExchangePool, WhatCouldNotBeWrittenGoesOutAgainWhateverItsMethod)
{
    for (const auto& bytes : {get(), put(), post(), post(std::string(70 * 1024, 'x'))}) {
        ExchangeWorld world;
        world.warm(a);
        breaks_unnoticed(world.at(a));
        world.client_sends(bytes);
        world.answer(a, ok());
        EXPECT_EQ(world.saw(), "200 hello");
        EXPECT_EQ(world.trail(), "a* reset, a answered");
        EXPECT_EQ(world.evidence(), "a success");
    }
}

TEST(ExchangePool, AFreshConnectionThatDiesTooSendsTheRequestElsewhere)
{
    ExchangeWorld world;
    world.warm(a);
    ends_unnoticed(world.at(a));
    world.client_sends(get());
    world.at(a).finishes();
    world.run();
    world.answer(b, ok("from b"));
    EXPECT_EQ(world.saw(), "200 from b");
    EXPECT_EQ(world.trail(), "a* reset, a reset, b answered");
    EXPECT_EQ(world.evidence(), "a reset, a diverted");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1, retries 2, saved retry 1");
}

// Its server died of the request, and nothing listens there now.
TEST(ExchangePool, ABackendThatRefusesAfterThatHasBroken)
{
    ExchangeWorld world(exchange_config(3));
    world.warm(a);
    ends_unnoticed(world.at(a));
    world.door(a, Door::refusing);
    world.client_sends(get());
    world.at(b).finishes();
    world.run();
    EXPECT_EQ(world.saw(), "502 problem");
    EXPECT_EQ(world.trail(), "a* reset, a refused, b reset");
    EXPECT_EQ(world.connections(c), 0U);
}

// RFC 9110 §15.5.9.
TEST(ExchangePool, A408FirstOnAConnectionFromThePoolMeansThatItWasStale)
{
    for (const auto& bytes : {get(), put(), post()}) {
        ExchangeWorld world;
        world.warm(a);
        world.client_sends(bytes);
        world.answer(a, response(408, "too late", "Connection: close\r\n"));
        EXPECT_EQ(world.connections(a), 2U);
        world.answer(a, ok());
        EXPECT_EQ(world.saw(), "200 hello");
        EXPECT_EQ(world.trail(), "a* stale, a answered");
        EXPECT_EQ(world.fates(), "a reset, a pooled");
        EXPECT_EQ(world.evidence(), "a success");
        EXPECT_EQ(world.counts(), "requests 1, 2xx 1, retries 1, saved retry 1");
    }
}

TEST(ExchangePool, A408OnAFreshConnectionIsAnAnswer)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.answer(a, response(408, "slow"));
    EXPECT_EQ(world.saw(), "408 slow");
    EXPECT_EQ(world.trail(), "a answered");
}

TEST(ExchangePool, A408OfABodyThatIsGoneIsAnAnswer)
{
    ExchangeWorld world;
    world.warm(a);
    world.client_sends(post(std::string(70 * 1024, 'x')));
    world.answer(a, response(408, "slow"));
    EXPECT_EQ(world.saw(), "408 slow");
    EXPECT_EQ(world.trail(), "a* answered");
}

struct NotPooled {
    const char* name;
    std::string answer;
    std::string fate;
};

std::ostream& operator<<(std::ostream& out, const NotPooled& one)
{
    return out << one.name;
}

class ExchangePoolAnswers : public ::testing::TestWithParam<NotPooled> {};

TEST_P(ExchangePoolAnswers, DecidesWhetherItsConnectionIsPooled)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.answer(a, GetParam().answer);
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.fates(), GetParam().fate);
}

INSTANTIATE_TEST_SUITE_P(
    Exchange, ExchangePoolAnswers,
    ::testing::Values(NotPooled{"Whole", ok(), "a pooled"},
                      NotPooled{"WithConnectionClose", response(200, "hello", "Connection: close\r\n"), "a closed"},
                      NotPooled{"OfHttp10", "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", "a closed"},
                      NotPooled{"OfHttp10KeptAlive",
                                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nhello",
                                "a pooled"},
                      NotPooled{"Chunked",
                                response(200, {}, "Transfer-Encoding: chunked\r\n")
                                        .replace(response(200, {}, "Transfer-Encoding: chunked\r\n").find("Content"),
                                                 std::string("Content-Length: 0\r\n").size(), "") +
                                    chunk("hello") + "0\r\n\r\n",
                                "a pooled"},
                      NotPooled{"SentTwice", ok() + ok(), "a reset"},
                      NotPooled{"WithABlankLineBehind", ok() + "\r\n", "a reset"}),
    [](const auto& about) { return std::string(about.param.name); });

TEST(ExchangePool, AFullPoolClosesWhatComesBack)
{
    Config config = exchange_config();
    config.limits.upstream_idle_per_backend = 0;
    ExchangeWorld world(config);
    world.client_sends(get());
    world.answer(a, ok());
    EXPECT_EQ(world.fates(), "a closed");
}

TEST(ExchangePool, AnIdleConnectionIsClosedInTheEndAndResetWhenItsBackendGoesDown)
{
    ExchangeWorld world;
    world.warm(b);
    world.pass(seconds(29));
    EXPECT_EQ(world.fates(), "b pooled");
    world.pass(seconds(2));
    EXPECT_EQ(world.fates(), "b closed");
    world.warm(a);
    world.goes_down(a);
    EXPECT_EQ(world.fates(), "b closed, a reset");
}

TEST(ExchangePool, ARefusalResetsTheIdleConnectionsToThatBackend)
{
    ExchangeWorld world;
    world.warm(a);
    world.client_sends(get());
    world.connect_client().sends(get());
    world.door(a, Door::refusing);
    world.run();
    EXPECT_EQ(world.fates(), "a open, a reset, b open");
    world.answer(a, ok());
}

// ------------------------------------------------------------------------------------------------------- no
// descriptors

void fails_for_want_of_a_socket(ExchangeWorld& world, BackendIndex backend)
{
    world.at(backend).fails_to_connect(make_error_code(boost::system::errc::too_many_files_open));
    world.run();
}

TEST(ExchangePool, WithoutADescriptorForItsConnectionARequestFailsAndBlamesNoBackend)
{
    ExchangeWorld world;
    world.door(a, Door::no_sockets);
    world.client_sends(get());
    EXPECT_EQ(world.saw(), "503 problem");
    EXPECT_EQ(world.trail(), "a cancelled");
    EXPECT_EQ(world.connections(b), 0U);
    EXPECT_EQ(world.evidence(), "");
    EXPECT_EQ(world.counts(), "requests 1, 5xx 1, lost no_backend 1");
}

TEST(ExchangePool, WithoutADescriptorIdleConnectionsAreGivenUpFirst)
{
    ExchangeWorld world;
    world.warm(b);
    world.door(a, Door::silent);
    world.client_sends(post());
    world.door(a, Door::open);
    fails_for_want_of_a_socket(world, a);
    EXPECT_EQ(world.fates(), "b reset, a reset, a open");
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a cancelled, a answered");
    EXPECT_EQ(world.evidence(), "a success");
}

TEST(ExchangePool, IdleConnectionsAreGivenUpOnlyOnce)
{
    ExchangeWorld world;
    world.warm(b);
    world.door(a, Door::no_sockets);
    world.client_sends(get());
    EXPECT_EQ(world.saw(), "503 problem");
    EXPECT_EQ(world.trail(), "a cancelled, a cancelled");
}

TEST(ExchangePool, AHedgeWithoutADescriptorLeavesTheOriginalAlone)
{
    ExchangeWorld world;
    world.door(b, Door::no_sockets);
    world.client_sends(get());
    world.pass(milliseconds(210));
    EXPECT_EQ(world.connections(b), 1U);
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a answered, b+ cancelled");
    EXPECT_EQ(world.fates(), "a pooled, b reset");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
