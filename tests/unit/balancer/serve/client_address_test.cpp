#include "balancer/serve/client_address.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

IpEndpoint endpoint(std::string_view address, std::uint16_t port = 4711)
{
    return {IpAddress::parse(address).value(), port};
}

ProxiedConnection proxied(std::string_view source)
{
    return {endpoint(source, 1234), endpoint("203.0.113.80", 443)};
}

const TrustedProxies trusted{*Network::parse("10.0.0.0/8"), *Network::parse("127.0.0.1")};

/// A request with these lines arrives.
void arrives(ClientAddress& client, const std::string& fields, const TrustedProxies& list = trusted)
{
    const std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
    RequestHead head;
    ASSERT_FALSE(parse_request(bytes, LimitConfig{}, head));
    client.begin_request(head, list);
}

TEST(ClientAddress, OfAnUntrustedPeerIsThePeerWhateverItSays)
{
    ClientAddress client(endpoint("192.0.2.1"));
    arrives(client, "X-Forwarded-For: 127.0.0.1\r\n");
    EXPECT_FALSE(client.trusted());
    EXPECT_EQ(client.sender(), "192.0.2.1");
    EXPECT_EQ(client.client(), "192.0.2.1");
    EXPECT_EQ(client.for_pages(), "192.0.2.1");
    arrives(client, "X-Forwarded-For: 127.0.0.1\r\n", {});
    EXPECT_EQ(client.client(), "192.0.2.1");
}

TEST(ClientAddress, OfATrustedPeerChangesWithEachRequest)
{
    ClientAddress client(endpoint("10.0.0.1"));
    arrives(client, "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 198.51.100.1, 10.0.0.2\r\n");
    EXPECT_TRUE(client.trusted());
    EXPECT_EQ(client.sender(), "10.0.0.1");
    EXPECT_EQ(client.client(), "198.51.100.1");
    EXPECT_EQ(client.for_pages(), "198.51.100.1");
    arrives(client, "X-Forwarded-For: 198.51.100.2\r\n");
    EXPECT_EQ(client.client(), "198.51.100.2");
    arrives(client, "");
    EXPECT_EQ(client.client(), "10.0.0.1");
    EXPECT_TRUE(client.trusted());
    arrives(client, "X-Forwarded-For: 198.51.100.3\r\n");
    arrives(client, "X-Forwarded-For: 198.51.100.3\r\n", {});
    EXPECT_FALSE(client.trusted()) << "the list has become empty meanwhile";
    EXPECT_EQ(client.client(), "10.0.0.1");
}

TEST(ClientAddress, OfAProxyHeaderIsItsSource)
{
    ClientAddress client(endpoint("10.0.0.1"));
    EXPECT_FALSE(client.has_proxy_header());
    client.take_proxy_header(proxied("192.0.2.7"));
    EXPECT_TRUE(client.has_proxy_header());
    EXPECT_EQ(client.peer().to_string(), "10.0.0.1");
    arrives(client, "X-Forwarded-For: 198.51.100.1\r\n");
    EXPECT_FALSE(client.trusted()) << "the source speaks HTTP, and it is no proxy of ours";
    EXPECT_EQ(client.sender(), "192.0.2.7");
    EXPECT_EQ(client.client(), "192.0.2.7");
}

TEST(ClientAddress, BehindAProxyThatAProxyHeaderNamesIsTheOneInForwardedFor)
{
    ClientAddress client(endpoint("10.0.0.1"));
    client.take_proxy_header(proxied("10.0.0.7"));
    arrives(client, "X-Forwarded-For: 198.51.100.1\r\n");
    EXPECT_TRUE(client.trusted());
    EXPECT_EQ(client.sender(), "10.0.0.7");
    EXPECT_EQ(client.client(), "198.51.100.1");
}

TEST(ClientAddress, OfAProxysOwnConnectionIsThePeer)
{
    ClientAddress client(endpoint("10.0.0.1"));
    client.take_proxy_header(std::nullopt);
    EXPECT_TRUE(client.has_proxy_header());
    EXPECT_EQ(client.sender(), "10.0.0.1");
}

// Operators come over loopback: no header may say that of another machine.
TEST(ClientAddress, BecomesNoLoopbackAddressThroughAHeader)
{
    for (const char* loopback : {"127.0.0.1", "127.9.9.9", "::1"}) {
        ClientAddress by_field(endpoint("10.0.0.1"));
        arrives(by_field, "X-Forwarded-For: " + std::string(loopback) + "\r\n");
        EXPECT_EQ(by_field.for_pages(), "10.0.0.1") << loopback;

        ClientAddress by_header(endpoint("10.0.0.1"));
        by_header.take_proxy_header(proxied(loopback));
        EXPECT_EQ(by_header.for_pages(), "10.0.0.1") << loopback;
        EXPECT_TRUE(by_header.has_proxy_header());
    }
    ClientAddress local(endpoint("127.0.0.1"));
    EXPECT_EQ(local.for_pages(), "127.0.0.1");
    arrives(local, "X-Forwarded-For: 198.51.100.1\r\n");
    EXPECT_EQ(local.for_pages(), "198.51.100.1");
}

TEST(ClientAddress, GivesAProxyHeaderTheClientsConnection)
{
    ClientAddress client(endpoint("10.0.0.1"));
    EXPECT_EQ(client.connection(endpoint("10.0.0.9", 80)),
              (ProxiedConnection{endpoint("10.0.0.1"), endpoint("10.0.0.9", 80)}));
    EXPECT_EQ(client.connection(std::nullopt), (ProxiedConnection{endpoint("10.0.0.1"), endpoint("0.0.0.0", 0)}));
    arrives(client, "X-Forwarded-For: 198.51.100.1\r\n");
    EXPECT_EQ(client.connection(endpoint("10.0.0.9", 80)),
              (ProxiedConnection{endpoint("198.51.100.1", 0), endpoint("10.0.0.9", 80)}));
    client.take_proxy_header(proxied("192.0.2.7"));
    arrives(client, "");
    EXPECT_EQ(client.connection(endpoint("10.0.0.9", 80)), proxied("192.0.2.7"))
        << "where the client has connected to is the proxy";
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
