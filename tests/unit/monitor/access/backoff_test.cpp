#include "monitor/access/backoff.hpp"

#include "tests/support/property.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;

constexpr TimePoint start{Duration(1h)};

ClientNetwork client(int number)
{
    return network_of(fmt::format("192.0.2.{}", number));
}

/// A try that fails at once; the pause that follows, or how long to wait for the next try.
Duration fail(Backoff& backoff, const ClientNetwork& who, TimePoint now)
{
    if (const auto wait = backoff.begin(who, now)) return *wait;
    return backoff.failed(who, now);
}

TEST(Backoff, PausesAfterThreeFailuresTwiceAsLongEachTime)
{
    Backoff backoff;
    const auto who = client(1);
    EXPECT_EQ(fail(backoff, who, start), 0s);
    EXPECT_EQ(fail(backoff, who, start), 0s);
    auto now = start;
    for (const Duration pause : {1s, 2s, 4s, 8s, 16s, 32s, 60s, 60s, 60s}) {
        EXPECT_EQ(backoff.begin(who, now), std::nullopt);
        EXPECT_EQ(backoff.failed(who, now), pause);
        EXPECT_EQ(backoff.pause_left(who, now), pause);
        EXPECT_EQ(backoff.begin(who, now + pause - 1ns), Duration(1ns));
        now += pause;
        EXPECT_EQ(backoff.pause_left(who, now), std::nullopt);
    }
    EXPECT_EQ(backoff.begin(client(2), now), std::nullopt) << "another address need not pause";
}

TEST(Backoff, DoesNotCountTriesDuringAPause)
{
    Backoff backoff;
    const auto who = client(1);
    for (int i = 0; i < 3; ++i) fail(backoff, who, start);
    for (int i = 0; i < 100; ++i) EXPECT_EQ(backoff.begin(who, start + 500ms), Duration(500ms));
    EXPECT_EQ(fail(backoff, who, start + 1s), 2s);
}

TEST(Backoff, TellsTheFirstTryOfEachPause)
{
    Backoff backoff;
    const auto who = client(1);
    EXPECT_FALSE(backoff.first_in_pause(who));
    for (int i = 0; i < 3; ++i) fail(backoff, who, start);
    EXPECT_TRUE(backoff.first_in_pause(who));
    EXPECT_FALSE(backoff.first_in_pause(who));
    EXPECT_EQ(fail(backoff, who, start + 1s), 2s);
    EXPECT_TRUE(backoff.first_in_pause(who)) << "of the next one";
    EXPECT_FALSE(backoff.first_in_pause(who));
}

TEST(Backoff, StartsOverAfterASuccess)
{
    Backoff backoff;
    const auto who = client(1);
    for (int i = 0; i < 3; ++i) fail(backoff, who, start);
    EXPECT_EQ(backoff.begin(who, start + 1s), std::nullopt);
    backoff.succeeded(who);
    EXPECT_EQ(backoff.networks(), 0U);
    EXPECT_EQ(fail(backoff, who, start + 1s), 0s);
    EXPECT_EQ(fail(backoff, who, start + 1s), 0s);
    EXPECT_EQ(fail(backoff, who, start + 1s), 1s);
}

TEST(Backoff, ForgetsTenMinutesAfterTheLastFailure)
{
    Backoff backoff;
    fail(backoff, client(1), start);
    fail(backoff, client(2), start);
    fail(backoff, client(1), start + 5min);
    fail(backoff, client(3), start + 10min - 1ns);
    EXPECT_EQ(backoff.networks(), 3U);
    fail(backoff, client(3), start + 10min);
    EXPECT_EQ(backoff.networks(), 2U);
    EXPECT_EQ(fail(backoff, client(1), start + 14min), 1s) << "the third in a row";
    EXPECT_EQ(fail(backoff, client(1), start + 24min), 0s);
}

TEST(Backoff, CountsTriesInProgressAsTheFailuresThatTheyMayBe)
{
    Backoff backoff;
    const auto who = client(1);
    int begun = 0;
    for (int i = 0; i < 100; ++i) begun += backoff.begin(who, start) ? 0 : 1;
    EXPECT_EQ(begun, 3);
    EXPECT_EQ(backoff.begin(who, start), Duration(1s));
    EXPECT_EQ(backoff.failed(who, start + 1s), 0s);
    EXPECT_EQ(backoff.failed(who, start + 1s), 0s);
    EXPECT_EQ(backoff.begin(who, start + 1s), Duration(1s)) << "the third is still in progress";
    EXPECT_EQ(backoff.failed(who, start + 2s), 1s);
    // After failures it is one at a time.
    EXPECT_EQ(backoff.begin(who, start + 3s), std::nullopt);
    EXPECT_EQ(backoff.begin(who, start + 3s), Duration(1s));
    backoff.withdrawn(who);
    EXPECT_EQ(backoff.begin(who, start + 3s), std::nullopt) << "what was not looked at does not count";
    EXPECT_EQ(backoff.failed(who, start + 3s), 2s);
}

TEST(Backoff, KeepsNothingOfATryThatWasWithdrawn)
{
    Backoff backoff;
    EXPECT_EQ(backoff.begin(client(1), start), std::nullopt);
    EXPECT_EQ(backoff.networks(), 1U);
    backoff.withdrawn(client(1));
    EXPECT_EQ(backoff.networks(), 0U);
    // None is in progress.
    backoff.withdrawn(client(1));
    backoff.succeeded(client(1));
    EXPECT_EQ(backoff.failed(client(1), start), 0s);
    EXPECT_EQ(backoff.networks(), 0U);
}

TEST(Backoff, ForgetsTheOldestFailureWhenFull)
{
    Backoff backoff({.most_networks = 3});
    for (const int i : {1, 2, 3, 1}) {
        fail(backoff, client(i), start);
        fail(backoff, client(i), start);
    }
    EXPECT_TRUE(backoff.pause_left(client(1), start));
    fail(backoff, client(4), start);
    EXPECT_EQ(backoff.networks(), 3U);
    EXPECT_TRUE(backoff.pause_left(client(1), start)) << "its last failure is not the oldest";
    EXPECT_EQ(fail(backoff, client(3), start), 1s);
    EXPECT_EQ(fail(backoff, client(2), start), 0s) << "was forgotten";
}

TEST(Backoff, KeepsTriesInProgressOfAForgottenClient)
{
    Backoff backoff({.most_networks = 1});
    fail(backoff, client(1), start);
    EXPECT_EQ(backoff.begin(client(1), start), std::nullopt);
    EXPECT_EQ(backoff.begin(client(1), start), std::nullopt);
    fail(backoff, client(2), start);
    EXPECT_EQ(backoff.begin(client(1), start), std::nullopt);
    EXPECT_EQ(backoff.begin(client(1), start), Duration(1s)) << "three are in progress";
    for (const Duration pause : {0s, 0s, 1s}) EXPECT_EQ(backoff.failed(client(1), start), pause);
    EXPECT_EQ(backoff.networks(), 1U);
}

TEST(Backoff, StaysBoundedUnderAFloodOfNetworks)
{
    Backoff backoff;
    for (unsigned i = 0; i < 200'000; ++i) {
        const auto who = network_of(fmt::format("2001:db8:{:x}:{:x}::1", i >> 16, i & 0xffff));
        EXPECT_EQ(fail(backoff, who, start + Duration(i)), 0s);
    }
    EXPECT_EQ(backoff.networks(), 10'000U);
}

TEST(Backoff, TakesAnIpv6AddressByItsNetworkAndAMappedOneAsIpv4)
{
    EXPECT_EQ(network_of("2001:db8::1"), network_of("2001:db8::ffff:ffff:ffff:ffff"));
    EXPECT_NE(network_of("2001:db8::1"), network_of("2001:db8:0:1::1"));
    EXPECT_EQ(network_of("fe80::1%eth0"), network_of("fe80::2"));
    EXPECT_EQ(network_of("::ffff:192.0.2.1"), network_of("192.0.2.1"));
    EXPECT_NE(network_of("192.0.2.1"), network_of("192.0.2.2"));
    EXPECT_NE(network_of("::1"), network_of("0.0.0.0"));
    EXPECT_NE(network_of("::c000:0201:0:0:0:0"), network_of("192.0.2.1")) << "the families differ";
    EXPECT_EQ(network_of("unknown"), network_of(""));
    EXPECT_NE(network_of(""), network_of("::"));
}

/// Three of them at once, and one after each of the pauses 1, 2, 4, 8 and 16 s; the next has to wait for 32 s more.
constexpr std::size_t most_tries_a_minute = 8;

TEST(Backoff, LooksAtNoMoreThanEightTriesOfAClientWithinAMinute)
{
    struct Try {
        TimePoint begun;
        bool in_progress = true;
    };
    test::check_property(1000, [] {
        Backoff backoff;
        std::map<int, std::vector<Try>> tries; ///< since the client's latest success
        auto now = start;
        for (int step = 0; step < 150; ++step) {
            const int number = *rc::gen::inRange(0, 2);
            const auto who = client(number);
            auto& own = tries[number];
            const auto open = std::find_if(own.begin(), own.end(), [](const Try& t) { return t.in_progress; });
            switch (*rc::gen::weightedElement<int>({{6, 0}, {5, 1}, {1, 2}, {1, 3}, {6, 4}})) {
            case 0:
                if (!backoff.begin(who, now)) own.push_back({now});
                break;
            case 1:
                if (open == own.end()) break;
                backoff.failed(who, now);
                open->in_progress = false;
                break;
            case 2:
                if (open == own.end()) break;
                backoff.withdrawn(who);
                own.erase(open);
                break;
            case 3:
                // Rarely: otherwise there is never a long pause.
                if (open == own.end() || *rc::gen::inRange(0, 8) != 0) break;
                backoff.succeeded(who);
                own.erase(open);
                std::erase_if(own, [](const Try& t) { return !t.in_progress; });
                break;
            default:
                now += *rc::gen::element<Duration>(1ms, 100ms, 500ms, 1s, 2s, 5s, 30s);
                if (*rc::gen::inRange(0, 50) == 0) now += 10min;
            }
            const auto recent =
                std::count_if(own.begin(), own.end(), [&](const Try& t) { return t.begun > now - 60s; });
            RC_ASSERT(static_cast<std::size_t>(recent) <= most_tries_a_minute);
        }
    });
}

TEST(Backoff, LooksAtEightTriesOfAClientThatNeverRestsInTheFirstMinute)
{
    Backoff backoff;
    std::size_t looked_at = 0;
    for (auto now = start; now < start + 60s; now += 10ms) {
        if (backoff.begin(client(1), now)) continue;
        ++looked_at;
        backoff.failed(client(1), now);
    }
    EXPECT_EQ(looked_at, most_tries_a_minute);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
