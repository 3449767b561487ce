#include "common/http/stream_places.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::http {
namespace TEST_FILE {

using Refusal = StreamPlaces::Refusal;

TEST(StreamPlaces, one_address_gets_its_share_only)
{
    StreamPlaces places({.all = 100, .per_address = 3, .kept_for_loopback = 10});
    for (int i = 0; i < 3; ++i) EXPECT_EQ(places.take("203.0.113.1"), Refusal::none);
    EXPECT_EQ(places.take("203.0.113.1"), Refusal::address_has_enough);
    EXPECT_EQ(places.take("203.0.113.2"), Refusal::none) << "another address is another client";
    places.give_back("203.0.113.1");
    EXPECT_EQ(places.take("203.0.113.1"), Refusal::none);
    EXPECT_EQ(places.taken(), 4U);
}

TEST(StreamPlaces, a_network_of_IPv6_counts_as_one_address)
{
    StreamPlaces places({.all = 100, .per_address = 2, .kept_for_loopback = 10});
    EXPECT_EQ(places.take("2001:db8:1:2::1"), Refusal::none);
    EXPECT_EQ(places.take("2001:db8:1:2:ffff::7"), Refusal::none);
    EXPECT_EQ(places.take("2001:db8:1:2::3"), Refusal::address_has_enough);
    EXPECT_EQ(places.take("2001:db8:1:3::1"), Refusal::none);
    places.give_back("2001:db8:1:2::1");
    EXPECT_EQ(places.take("2001:db8:1:2::3"), Refusal::none);
}

TEST(StreamPlaces, however_many_clients_there_are_this_machine_gets_in)
{
    StreamPlaces places({.all = 8, .per_address = 1, .kept_for_loopback = 3});
    int got = 0;
    for (int i = 0; i < 50; ++i) got += places.take("203.0.113." + std::to_string(i)) == Refusal::none ? 1 : 0;
    EXPECT_EQ(got, 5);
    EXPECT_EQ(places.take("198.51.100.1"), Refusal::all_taken);
    // More than one from an address that all clients behind a local proxy share.
    EXPECT_EQ(places.take("127.0.0.1"), Refusal::none);
    EXPECT_EQ(places.take("127.0.0.1"), Refusal::none);
    EXPECT_EQ(places.take("::1"), Refusal::none);
    EXPECT_EQ(places.take("127.0.0.1"), Refusal::all_taken);
    places.give_back("203.0.113.0");
    EXPECT_EQ(places.take("198.51.100.1"), Refusal::all_taken) << "those of this machine are still counted";
    EXPECT_EQ(places.take("127.0.0.1"), Refusal::none);
}

TEST(StreamPlaces, what_is_given_back_can_be_taken_again_without_end)
{
    StreamPlaces places({.all = 2, .per_address = 1, .kept_for_loopback = 0});
    for (int i = 0; i < 1000; ++i) {
        const std::string address = "203.0.113." + std::to_string(i % 256);
        ASSERT_EQ(places.take(address), Refusal::none) << i;
        places.give_back(address);
    }
    EXPECT_EQ(places.taken(), 0U);
}

} // namespace TEST_FILE
} // namespace hotspare::http
