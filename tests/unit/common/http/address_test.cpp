#include "common/http/address.hpp"

#include <gtest/gtest.h>

#include <vector>

namespace hotspare::http {
namespace {

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

} // namespace
} // namespace hotspare::http
