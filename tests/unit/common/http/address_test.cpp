#include "common/http/address.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

namespace hotspare::http {
namespace TEST_FILE {

using tcp = boost::asio::ip::tcp;

tcp::endpoint at(const char* address)
{
    return {boost::asio::ip::make_address(address), 5001};
}

TEST(PreferredAddress, IsTheFirstOfIpv4WhereANameHasBoth)
{
    // What Debian's /etc/hosts makes of `localhost`.
    EXPECT_EQ(preferred_address(std::vector{at("::1"), at("127.0.0.1")}), at("127.0.0.1"));
    EXPECT_EQ(preferred_address(std::vector{at("127.0.0.1"), at("::1")}), at("127.0.0.1"));
    EXPECT_EQ(preferred_address(std::vector{at("2001:db8::1"), at("192.0.2.2"), at("192.0.2.1")}), at("192.0.2.2"));
}

TEST(PreferredAddress, IsTheFirstWhereThereIsOneKind)
{
    EXPECT_EQ(preferred_address(std::vector{at("2001:db8::2"), at("2001:db8::1")}), at("2001:db8::2"));
    EXPECT_EQ(preferred_address(std::vector{at("192.0.2.2"), at("192.0.2.1")}), at("192.0.2.2"));
}

TEST(LookUp, GivesAllAddressesOnceAndThePreferredOneFirst)
{
    const auto v6 = look_up("::1", 80);
    ASSERT_TRUE(v6);
    EXPECT_EQ(*v6, (std::vector{tcp::endpoint(boost::asio::ip::make_address("::1"), 80)}));
    const auto local = look_up("localhost", 80);
    ASSERT_TRUE(local);
    EXPECT_EQ(local->front(), tcp::endpoint(boost::asio::ip::make_address("127.0.0.1"), 80));
    EXPECT_EQ(std::count(local->begin(), local->end(), tcp::endpoint(boost::asio::ip::make_address("::1"), 80)), 1)
        << "also where /etc/hosts knows only one";
    EXPECT_FALSE(look_up("no-such-name.invalid", 80));
}

TEST(PlainAddress, IsIpv4WhereItWasMappedAndHasNoZone)
{
    const auto plain = [](const char* text) { return plain_address(boost::asio::ip::make_address(text)).to_string(); };
    EXPECT_EQ(plain("192.0.2.1"), "192.0.2.1");
    EXPECT_EQ(plain("::ffff:192.0.2.1"), "192.0.2.1");
    EXPECT_EQ(plain("2001:db8::1"), "2001:db8::1");
    EXPECT_EQ(plain("::1"), "::1");
    EXPECT_EQ(plain("fe80::1%1"), "fe80::1");
}

} // namespace TEST_FILE
} // namespace hotspare::http
