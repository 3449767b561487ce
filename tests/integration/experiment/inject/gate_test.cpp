// What a client sees through each fault of the gate, and that the gate says whether the fault did anything: an
// experiment whose fault had no effect proves nothing.
#include "experiment/inject/gate.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <optional>
#include <stdexcept>
#include <system_error>

namespace hotspare::experiment {
namespace TEST_FILE {

using test::eventually;
using test::RawClient;
using test::Reply;
using End = test::Answer::End;

constexpr milliseconds soon(250); ///< long enough for loopback; waiting for it costs a test that much

Step step(FaultKind kind, std::uint64_t bytes = 0, Duration delay = {})
{
    Step step;
    step.fault = kind;
    step.bytes = bytes;
    step.delay = delay;
    return step;
}

int connect_error(std::uint16_t port, milliseconds bound)
{
    try {
        test::connect_loopback(port, bound);
        return 0;
    } catch (const std::system_error& e) {
        return e.code().value();
    }
}

class ExperimentGate : public testing::Test {
protected:
    ExperimentGate()
    {
        origin_.script([](const test::Message&) { return Reply::text(std::string(100, 'x')); });
    }

    test::Answer through(milliseconds bound = test::patience)
    {
        return test::request(gate_.port(), "GET", "/", {}, {}, bound);
    }
    static void ask(RawClient& client) { ASSERT_TRUE(client.send(test::format_request("GET", "/"))); }
    /// A connection that has already carried an answer.
    RawClient used()
    {
        RawClient client(gate_.port());
        ask(client);
        EXPECT_TRUE(client.read_response().complete());
        return client;
    }

    test::Origin origin_;
    Gate gate_{origin_.port(), 7};
};

TEST_F(ExperimentGate, PassesBothWaysAndCounts)
{
    constexpr std::uint64_t size = 3'000'000;
    origin_.script([&](const test::Message&) {
        Reply r;
        r.pattern = size;
        return r;
    });
    RawClient client(gate_.port());
    ask(client);
    EXPECT_EQ(client.read_response().message.body_hash, test::Pattern::hash(size));
    const auto counts = gate_.counts();
    EXPECT_EQ(counts.accepted, 1U);
    EXPECT_EQ(counts.open, 1U);
    EXPECT_EQ(counts.to_server, test::format_request("GET", "/").size());
    EXPECT_TRUE(eventually([&] { return gate_.counts().to_client > size; }));
    EXPECT_EQ(counts.acted, 0U);
    client.finish_sending();
    EXPECT_TRUE(client.closed_by_peer()); // FIN travels through and comes back
    EXPECT_TRUE(eventually([&] { return gate_.counts().open == 0; }));
}

TEST_F(ExperimentGate, ManyBytesGoTheOtherWayToo)
{
    std::string body(2'000'000, 'u');
    EXPECT_EQ(test::request(gate_.port(), "POST", "/", {}, body).status(), 200);
    EXPECT_EQ(origin_.body_bytes_received(), body.size());
}

TEST_F(ExperimentGate, DoesNotListenWhileTheServerDoesNot)
{
    RawClient existing = used();
    origin_.stop();
    EXPECT_EQ(existing.read_response().end, End::reset); // the server's own doing travels through
    // The first connection is reset at once, and every later one is refused.
    EXPECT_TRUE(eventually([&] { return connect_error(gate_.port(), test::patience) == ECONNREFUSED; }));
    origin_.start();
    EXPECT_TRUE(eventually([&] { return connect_error(gate_.port(), test::patience) == 0; }));
    EXPECT_TRUE(through().complete());
}

TEST_F(ExperimentGate, RefusesNewConnectionsOnly)
{
    RawClient existing = used();
    gate_.set(step(FaultKind::refuse));
    EXPECT_EQ(gate_.counts().acted, 1U);
    EXPECT_EQ(connect_error(gate_.port(), test::patience), ECONNREFUSED);
    ask(existing);
    EXPECT_TRUE(existing.read_response().complete());
    gate_.open();
    EXPECT_TRUE(through().complete());
}

TEST_F(ExperimentGate, ABlackHoleSwallowsAndWhatLostBytesEndsWithIt)
{
    RawClient idle = used(), existing = used();
    gate_.set(step(FaultKind::black_hole));
    const auto before = gate_.counts().to_server;
    EXPECT_EQ(gate_.counts().acted, 0U);
    ask(existing);
    EXPECT_EQ(existing.read_response(soon).end, End::timed_out);
    EXPECT_EQ(through(soon).end, End::timed_out);
    const auto bytes = 2 * test::format_request("GET", "/").size();
    EXPECT_EQ(gate_.counts().to_server - before, bytes);
    EXPECT_EQ(gate_.counts().acted, bytes);
    EXPECT_EQ(origin_.seen(), 2U);
    gate_.open();
    EXPECT_EQ(existing.read_response().end, End::reset);
    ask(idle);
    EXPECT_TRUE(idle.read_response().complete()); // it has lost nothing
    EXPECT_TRUE(through().complete());
}

TEST_F(ExperimentGate, ABlackHoleSwallowsAnswersToo)
{
    std::atomic<bool> go = false;
    origin_.script([&](const test::Message&) {
        EXPECT_TRUE(eventually([&] { return go.load(); }));
        return Reply::text("late");
    });
    RawClient client(gate_.port());
    ask(client);
    ASSERT_TRUE(eventually([&] { return origin_.seen() == 1; }));
    gate_.set(step(FaultKind::black_hole));
    go = true;
    EXPECT_TRUE(eventually([&] { return gate_.counts().acted > 0; }));
    EXPECT_EQ(client.read_response(milliseconds(50)).end, End::timed_out);
}

TEST_F(ExperimentGate, UnroutableNeverConnects)
{
    RawClient existing = used();
    gate_.set(step(FaultKind::unroutable));
    EXPECT_EQ(gate_.counts().acted, 1U);
    EXPECT_EQ(connect_error(gate_.port(), soon), ETIMEDOUT);
    ask(existing);
    EXPECT_EQ(existing.read_response(soon).end, End::timed_out);
    gate_.open();
    EXPECT_EQ(existing.read_response().end, End::reset);
    EXPECT_TRUE(through().complete());
}

TEST_F(ExperimentGate, LatencyDelaysTheAnswer)
{
    gate_.set(step(FaultKind::latency, 0, milliseconds(80)));
    const auto start = Clock::now();
    EXPECT_TRUE(through().complete());
    EXPECT_GE(Clock::now() - start, milliseconds(80));
    EXPECT_GE(gate_.counts().acted, 1U);
}

TEST_F(ExperimentGate, WhatWaitsIsLetGoWhenTheLatencyEnds)
{
    gate_.set(step(FaultKind::latency, 0, seconds(1000)));
    RawClient client(gate_.port());
    ask(client);
    ASSERT_TRUE(eventually([&] { return origin_.seen() == 1; }));
    EXPECT_EQ(client.read_response(milliseconds(50)).end, End::timed_out);
    gate_.open();
    EXPECT_TRUE(client.read_response().complete());
}

TEST_F(ExperimentGate, JitterDelaysEachAnswerDifferentlyAndKeepsTheirOrder)
{
    gate_.set(step(FaultKind::jitter, 0, milliseconds(60)));
    RawClient client(gate_.port());
    Duration shortest = seconds(100), longest{};
    for (int i = 0; i < 20; ++i) {
        const auto start = Clock::now();
        ask(client);
        ASSERT_TRUE(client.read_response().complete());
        shortest = std::min(shortest, Clock::now() - start);
        longest = std::max(longest, Clock::now() - start);
    }
    EXPECT_GT(longest - shortest, milliseconds(20)); // of 20 draws between 0 and 60
    EXPECT_GE(gate_.counts().acted, 20U);

    origin_.script([&](const test::Message&) {
        Reply r;
        r.pattern = 200'000;
        r.piece = 10'000;
        return r;
    });
    EXPECT_EQ(through().message.body_hash, test::Pattern::hash(200'000));
}

TEST_F(ExperimentGate, DripsByteAfterByte)
{
    RawClient reference(gate_.port());
    ask(reference);
    const auto size = reference.read_some(4096).size();
    ASSERT_GT(size, 100U);
    gate_.set(step(FaultKind::drip, 0, milliseconds(1)));
    const auto start = Clock::now();
    EXPECT_TRUE(through().complete());
    EXPECT_GE(Clock::now() - start, milliseconds(size - 1));
    EXPECT_EQ(gate_.counts().acted, size - 1); // the first byte of all does not wait

    gate_.set(step(FaultKind::drip, 0, seconds(1000)));
    RawClient client(gate_.port());
    ask(client);
    EXPECT_EQ(client.read_some(100), "H");
    gate_.open();
    EXPECT_TRUE(client.read_until_close(soon).ends_with("xxx"));
}

TEST_F(ExperimentGate, BandwidthIsSharedAndNotExceeded)
{
    constexpr std::uint64_t size = 40'000, rate = 400'000;
    origin_.script([&](const test::Message&) {
        Reply r;
        r.pattern = size;
        return r;
    });
    gate_.set(step(FaultKind::bandwidth, rate));
    const auto start = Clock::now();
    RawClient first(gate_.port()), second(gate_.port());
    ask(first);
    ask(second);
    EXPECT_EQ(first.read_response().message.body_hash, test::Pattern::hash(size));
    EXPECT_EQ(second.read_response().message.body_hash, test::Pattern::hash(size));
    EXPECT_GE(Clock::now() - start, milliseconds(2 * size * 1000 / rate - 10)); // all but the portion that is free
    EXPECT_GE(gate_.counts().acted, 2U);
}

TEST_F(ExperimentGate, ResetsAndCutsAtTheByte)
{
    gate_.set(step(FaultKind::reset, 0));
    EXPECT_EQ(through().end, End::reset);
    EXPECT_EQ(gate_.counts().acted, 1U);
    EXPECT_EQ(origin_.seen(), 1U); // the request did arrive
    gate_.set(step(FaultKind::reset, 5));
    EXPECT_EQ(through().end, End::reset);

    for (const std::uint64_t bytes : {0U, 1U, 20U, 100U}) {
        gate_.set(step(FaultKind::cut, bytes));
        RawClient client(gate_.port());
        ask(client);
        bool closed = false;
        EXPECT_EQ(client.read_until_close(test::patience, &closed).size(), bytes);
        EXPECT_TRUE(closed);
        EXPECT_EQ(gate_.counts().acted, 1U);
    }
    gate_.open();
    EXPECT_TRUE(through().complete());
}

TEST_F(ExperimentGate, HalfOpenForgetsWhatExistedWithoutNotice)
{
    RawClient existing = used();
    const auto connections = origin_.connections();
    gate_.set(step(FaultKind::half_open));
    EXPECT_EQ(gate_.counts().acted, 1U);
    ask(existing);
    EXPECT_EQ(existing.read_response(soon).end, End::timed_out);
    EXPECT_TRUE(through().complete());
    EXPECT_EQ(origin_.connections(), connections + 1);
    EXPECT_EQ(origin_.seen(), 2U);
    gate_.open();
    EXPECT_EQ(existing.read_response().end, End::reset);
}

TEST_F(ExperimentGate, EndsEveryConnectionWhenItGoes)
{
    std::optional<Gate> gate(std::in_place, origin_.port());
    RawClient client(gate->port());
    ask(client);
    EXPECT_TRUE(client.read_response().complete());
    const auto port = gate->port();
    gate.reset();
    EXPECT_EQ(client.read_response().end, End::reset);
    EXPECT_EQ(connect_error(port, test::patience), ECONNREFUSED);
}

TEST_F(ExperimentGate, KnowsOnlyFaultsOfTheNetwork)
{
    EXPECT_THROW(gate_.set(step(FaultKind::crash)), std::invalid_argument);
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
