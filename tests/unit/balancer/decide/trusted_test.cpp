#include "balancer/decide/trusted.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

IpAddress ip(std::string_view text)
{
    const auto address = IpAddress::parse(text);
    EXPECT_TRUE(address) << text;
    return address.value_or(IpAddress{});
}

TrustedProxies networks(const std::vector<std::string>& texts)
{
    TrustedProxies out;
    for (const auto& text : texts) out.push_back(*Network::parse(text));
    return out;
}

bool is_in(const std::string& address, const std::string& network)
{
    return contains(networks({network}), ip(address));
}

/// The client behind a trusted proxy at `sender` that sent these lines of X-Forwarded-For.
std::string client(std::vector<std::string> lines, const TrustedProxies& trusted, std::string_view sender = "10.0.0.1")
{
    IpAddress found = ip(sender);
    for (; !lines.empty(); lines.pop_back())
        if (!walk_back(lines.back(), trusted, found)) break;
    return found.to_string();
}

TEST(IpAddress, IsWrittenAsItsOwnMachineWouldWriteIt)
{
    for (const auto& [read, written] :
         std::vector<std::pair<std::string, std::string>>{{"192.0.2.1", "192.0.2.1"},
                                                          {"::ffff:192.0.2.1", "192.0.2.1"},
                                                          {"::ffff:c000:201", "192.0.2.1"},
                                                          {"2001:DB8:0::1", "2001:db8::1"},
                                                          {"::", "::"}})
        EXPECT_EQ(ip(read).to_string(), written);
    for (const char* wrong : {"", "1", "1.2.3", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "[::1]", "::1%lo", "fe80::g",
                              "unknown", "1111:2222:3333:4444:5555:6666:7777:8888:9999"})
        EXPECT_FALSE(IpAddress::parse(wrong)) << wrong;
    EXPECT_FALSE(IpAddress::parse(std::string_view("::1\0x", 5)));
}

TEST(IpAddress, KnowsLoopback)
{
    for (const char* yes : {"127.0.0.1", "127.255.0.9", "::1", "::ffff:127.0.0.1"})
        EXPECT_TRUE(ip(yes).is_loopback()) << yes;
    for (const char* no : {"128.0.0.1", "0.0.0.0", "::", "::7f00:1", "2001:db8::1", "::2"})
        EXPECT_FALSE(ip(no).is_loopback()) << no;
}

TEST(Network, HasTheAddressesThatBeginLikeIt)
{
    EXPECT_TRUE(is_in("10.255.0.1", "10.0.0.0/8"));
    EXPECT_FALSE(is_in("11.0.0.0", "10.0.0.0/8"));
    EXPECT_TRUE(is_in("192.0.2.7", "192.0.2.4/30"));
    EXPECT_FALSE(is_in("192.0.2.8", "192.0.2.4/30"));
    EXPECT_TRUE(is_in("192.0.2.7", "192.0.2.7"));
    EXPECT_FALSE(is_in("192.0.2.6", "192.0.2.7"));
    EXPECT_TRUE(is_in("2001:db8:ffff::1", "2001:db8::/32"));
    EXPECT_FALSE(is_in("2001:db9::", "2001:db8::/32"));
    EXPECT_TRUE(is_in("2001:db8::1", "2001:db8::1/128"));
    EXPECT_FALSE(contains({}, ip("10.0.0.1")));
}

TEST(Network, TakesAMappedAddressForIPv4)
{
    EXPECT_TRUE(is_in("::ffff:10.0.0.1", "10.0.0.0/8"));
    EXPECT_TRUE(is_in("10.0.0.1", "::ffff:10.0.0.0/104"));
    EXPECT_TRUE(is_in("10.0.0.1", "0.0.0.0/0"));
    EXPECT_FALSE(is_in("2001:db8::1", "0.0.0.0/0"));
    EXPECT_TRUE(is_in("2001:db8::1", "::/0"));
    EXPECT_FALSE(is_in("10.0.0.1", "::/0")) << "that is IPv6";
    EXPECT_EQ(Network::parse("::ffff:10.0.0.0/104")->to_string(), "10.0.0.0/8");
}

TEST(Network, SaysWhatWasExpectedOfAWrongOne)
{
    constexpr auto an_address = "an IP address, or a network such as 10.0.0.0/8 or 2001:db8::/32";
    for (const auto& [text, expected] : std::vector<std::pair<std::string, std::string>>{
             {"", an_address},
             {"proxy.example", an_address},
             {"10.0.0/8", an_address},
             {"10.0.0.0/33", "a prefix length from 0 to 32 behind the '/'"},
             {"10.0.0.0/", "a prefix length from 0 to 32 behind the '/'"},
             {"10.0.0.0/8 ", "a prefix length from 0 to 32 behind the '/'"},
             {"10.0.0.0/-1", "a prefix length from 0 to 32 behind the '/'"},
             {"2001:db8::/129", "a prefix length from 0 to 128 behind the '/'"},
             {"10.0.0.1/8", "10.0.0.0/8, whose bits behind the prefix are 0, or 10.0.0.1 for the one address"},
             {"2001:db8::1/32",
              "2001:db8::/32, whose bits behind the prefix are 0, or 2001:db8::1 for the one address"}}) {
        const auto network = Network::parse(text);
        ASSERT_FALSE(network) << text;
        EXPECT_EQ(network.error(), expected) << text;
    }
}

TEST(Network, IsReadAsItIsWritten)
{
    for (const char* text : {"10.0.0.0/8", "0.0.0.0/0", "192.0.2.1", "2001:db8::/32", "::/0", "::1"})
        EXPECT_EQ(Network::parse(text)->to_string(), text);
}

/// Whether the first `bits` bits are the same, one by one.
bool begin_alike(const IpAddress& a, const IpAddress& b, unsigned bits)
{
    for (unsigned i = 0; i < bits; ++i)
        if (((a.bytes[i / 8] ^ b.bytes[i / 8]) >> (7 - i % 8) & 1) != 0) return false;
    return true;
}

TEST(Network, AgreesWithACountOfBits)
{
    test::check_property(5000, [] {
        const bool v4 = *rc::gen::arbitrary<bool>();
        const auto address = [&] {
            IpAddress out = ip(v4 ? "0.0.0.0" : "2001:db8::");
            // Few bits, or hardly any two addresses would begin alike.
            for (unsigned i = v4 ? 12 : 4; i < 16; ++i)
                out.bytes[i] = *rc::gen::element<std::uint8_t>(0, 0, 1, 0x80, 0xff);
            return out;
        };
        const IpAddress one = address();
        IpAddress first = address();
        const unsigned prefix = v4 ? *rc::gen::inRange(96U, 129U) : *rc::gen::inRange(0U, 129U);
        for (unsigned i = prefix; i < 128; ++i) first.bytes[i / 8] &= static_cast<std::uint8_t>(~(0x80U >> i % 8));
        const auto network = Network::parse(first.to_string() + "/" + std::to_string(v4 ? prefix - 96 : prefix));
        RC_ASSERT(network.has_value());
        RC_ASSERT(network->contains(one) == begin_alike(one, first, prefix));
        RC_ASSERT(network->contains(first));
        RC_ASSERT(*Network::parse(network->to_string()) == *network);
    });
}

TEST(TrustedProxies, TheClientIsTheFirstFromTheEndThatIsNoProxy)
{
    const auto trusted = networks({"10.0.0.0/8", "2001:db8:1::/48"});
    EXPECT_EQ(client({"198.51.100.1"}, trusted), "198.51.100.1");
    EXPECT_EQ(client({"203.0.113.9, 198.51.100.1"}, trusted), "198.51.100.1") << "the rest may be invented";
    EXPECT_EQ(client({"203.0.113.9, 198.51.100.1, 10.9.9.9, 2001:db8:1::5"}, trusted), "198.51.100.1");
    EXPECT_EQ(client({"203.0.113.9", "198.51.100.1 ,10.9.9.9", ""}, trusted), "198.51.100.1") << "lines are one list";
    EXPECT_EQ(client({"10.1.1.1, 10.2.2.2"}, trusted), "10.1.1.1") << "all are proxies: the one furthest away";
    EXPECT_EQ(client({}, trusted), "10.0.0.1");
    EXPECT_EQ(client({",, ,"}, trusted), "10.0.0.1");
}

TEST(TrustedProxies, WhatIsNoAddressHidesWhatIsBehindIt)
{
    const auto trusted = networks({"10.0.0.0/8"});
    for (const char* hidden :
         {"unknown", "_gazonk", "198.51.100", "[2001:db8::1", "\"198.51.100.1\"", "198.51.100.1 x"})
        EXPECT_EQ(client({"203.0.113.9", std::string(hidden) + ", 10.2.2.2"}, trusted), "10.2.2.2") << hidden;
}

TEST(TrustedProxies, AnEntryMayHaveAPort)
{
    const auto trusted = networks({"10.0.0.0/8"});
    EXPECT_EQ(client({"198.51.100.1:4711"}, trusted), "198.51.100.1");
    EXPECT_EQ(client({"[2001:db8::1]:4711"}, trusted), "2001:db8::1");
    EXPECT_EQ(client({"[2001:db8::1]"}, trusted), "2001:db8::1");
    EXPECT_EQ(client({"2001:db8::1"}, trusted), "2001:db8::1");
    EXPECT_EQ(client({"::ffff:198.51.100.1"}, trusted), "198.51.100.1");
}

// Whatever a client writes stands in front of what the trusted proxies append.
TEST(TrustedProxies, NoClientCanInventItsAddress)
{
    const auto trusted = networks({"10.0.0.0/8"});
    test::check_property(3000, [&] {
        const auto invented = *rc::gen::container<std::string>(
            rc::gen::element<char>('1', '0', '2', '7', '.', ',', ':', ' ', '[', ']', 'a', '\0'));
        RC_ASSERT(client({invented, invented + ",198.51.100.1, 10.9.9.9"}, trusted) == "198.51.100.1");
    });
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
