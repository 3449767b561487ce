// What a client says of itself, and what a backend is told of it: trusted proxies, PROXY headers in and out, over
// scripted streams.

#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

using namespace std::string_literals;

TrustedProxies ten()
{
    return {*Network::parse("10.0.0.0/8")};
}

/// Clients of 10.0.0.0/8 are trusted proxies.
constexpr auto proxy = "10.0.0.1";
Config trusting(Config config = exchange_config())
{
    config.trusted_proxies = ten();
    return config;
}

/// ... and send a PROXY header.
Config listening()
{
    Config config = trusting();
    config.proxy_protocol = true;
    RouteConfig admin;
    admin.path = "/admin";
    admin.builtin = Builtin::admin;
    config.routes.push_back(admin);
    return config;
}

/// Connections closed for their PROXY header: "untrusted 1".
std::string refused(const ExchangeWorld& world)
{
    std::string text;
    for (std::size_t i = 0; i < world.counters.bad_proxy_headers.size(); ++i)
        if (const auto count = world.counters.bad_proxy_headers[i].value(); count > 0)
            text += fmt::format("{}{} {}", text.empty() ? "" : ", ", to_string(static_cast<BadProxyHeader>(i)), count);
    return text;
}

const std::string line = "PROXY TCP4 198.51.100.7 10.0.0.5 4711 80\r\n";
const std::string binary = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x07\x0a\x00\x00\x05\x12\x67\x00\x50"s;
const std::string local = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"s;

std::string forwarded_for(ExchangeWorld& world)
{
    return world.request_at(a).header("X-Forwarded-For").value_or("");
}

// ---------------------------------------------------------------------------------------------------- trusted proxies

TEST(Forwarding, TheLogNamesTheClientBehindATrustedProxy)
{
    ExchangeWorld world(trusting());
    world.peer = proxy;
    world.client_sends(get("X-Forwarded-For: 1.1.1.1, 198.51.100.7\r\nX-Forwarded-Proto: https\r\n"));
    EXPECT_EQ(forwarded_for(world), "1.1.1.1, 198.51.100.7, 10.0.0.1");
    EXPECT_EQ(world.request_at(a).header("X-Forwarded-Proto"), "https");
    world.answer(a, ok());
    world.trail();
    EXPECT_EQ(world.logged.client, "198.51.100.7");
}

TEST(Forwarding, AnotherClientIsBelievedNothing)
{
    ExchangeWorld world(trusting());
    world.peer = proxy;
    world.peer = "192.0.2.1";
    world.client_sends(get("X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n"));
    EXPECT_EQ(forwarded_for(world), "192.0.2.1");
    EXPECT_EQ(world.request_at(a).header("X-Forwarded-Proto"), "http");
    world.answer(a, ok());
    world.trail();
    EXPECT_EQ(world.logged.client, "192.0.2.1");
}

TEST(Forwarding, TrustEndsWithTheNextRequestAfterAChange)
{
    ExchangeWorld world(trusting());
    world.peer = proxy;
    const auto ask = [&] {
        world.client_sends(get("X-Forwarded-For: 198.51.100.7\r\nX-Forwarded-Proto: https\r\n"));
        const auto proto = world.request_at(a).header("X-Forwarded-Proto").value_or("");
        world.answer(a, ok());
        world.trail();
        return world.logged.client + " " + proto;
    };
    EXPECT_EQ(ask(), "198.51.100.7 https");
    Config other = world.config;
    other.trusted_proxies.clear();
    world.reconfigure(other);
    EXPECT_EQ(ask(), "10.0.0.1 http");
    world.reconfigure(world.config);
    EXPECT_EQ(ask(), "198.51.100.7 https");
}

TEST(Forwarding, APageGetsTheClientBehindATrustedProxyButNoLoopbackAddress)
{
    ExchangeWorld world(listening());
    world.peer = proxy;
    world.client_sends(line + "GET /admin HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 127.0.0.1\r\n\r\n");
    ASSERT_EQ(world.pages(), 1U);
    EXPECT_EQ(world.page().handover.client, "198.51.100.7") << "the source of the header is no proxy";
    EXPECT_TRUE(world.page().handover.proxied);

    world.connect_client().sends("PROXY TCP4 127.0.0.1 10.0.0.5 4711 80\r\nGET /admin HTTP/1.1\r\nHost: h\r\n\r\n");
    world.run();
    ASSERT_EQ(world.pages(), 2U);
    EXPECT_EQ(world.page(1).handover.client, "10.0.0.1");
    EXPECT_TRUE(world.page(1).handover.proxied);

    world.peer = "127.0.0.1";
    world.connect_client().sends("GET /admin HTTP/1.1\r\nHost: h\r\n\r\n");
    world.run();
    ASSERT_EQ(world.pages(), 3U);
    EXPECT_EQ(world.page(2).handover.client, "127.0.0.1");
    EXPECT_FALSE(world.page(2).handover.proxied);
}

// ------------------------------------------------------------------------------------------------------ PROXY headers

class ForwardingHeader : public testing::TestWithParam<std::string> {};

TEST_P(ForwardingHeader, IsTakenOffInFrontOfTheFirstRequestHoweverItArrives)
{
    for (const std::size_t piece : {1U, 5U, 16U, 17U, 1000U}) {
        ExchangeWorld world(listening());
        world.peer = proxy;
        world.connect_client().sends_in_pieces(GetParam() + get(), piece);
        world.run();
        EXPECT_EQ(forwarded_for(world), "198.51.100.7") << piece;
        world.answer(a, ok());
        world.client_sends(get());
        EXPECT_EQ(forwarded_for(world), "198.51.100.7") << "of the next request too";
        world.answer(a, ok());
        EXPECT_EQ(world.saw(), "200 hello; 200 hello");
        world.trail();
        EXPECT_EQ(world.logged.client, "198.51.100.7");
        EXPECT_EQ(refused(world), "");
    }
}

TEST_P(ForwardingHeader, OfAnotherPeerEndsTheConnection)
{
    ExchangeWorld world(listening());
    world.peer = proxy;
    world.peer = "192.0.2.1";
    world.client_sends(GetParam() + get());
    EXPECT_EQ(world.saw(), "end");
    EXPECT_EQ(world.upstreams(), 0U);
    EXPECT_EQ(refused(world), "untrusted 1");
}

TEST_P(ForwardingHeader, InFrontOfASecondRequestIsNone)
{
    ExchangeWorld world(listening());
    world.peer = proxy;
    world.client_sends(GetParam() + get());
    world.answer(a, ok());
    world.client_sends("PROXY UNKNOWN\r\n" + get());
    EXPECT_EQ(world.saw(), "200 hello; 400 problem; end");
}

TEST_P(ForwardingHeader, IsARequestWhereItIsNotExpected)
{
    ExchangeWorld world(trusting());
    world.peer = proxy;
    world.client_sends(GetParam() + get());
    EXPECT_EQ(world.saw().substr(0, 11), "400 problem");
    EXPECT_EQ(world.upstreams(), 0U);
}

INSTANTIATE_TEST_SUITE_P(Versions, ForwardingHeader, testing::Values(line, binary),
                         [](const auto& about) { return "V" + std::to_string(about.index + 1); });

TEST(Forwarding, AProxysOwnConnectionIsItsOwn)
{
    for (const std::string& header : {local, "PROXY UNKNOWN\r\n"s}) {
        ExchangeWorld world(listening());
        world.peer = proxy;
        world.client_sends(header + get());
        EXPECT_EQ(forwarded_for(world), "10.0.0.1");
        world.answer(a, ok());
        EXPECT_EQ(world.saw(), "200 hello");
    }
}

TEST(Forwarding, OtherPeersAreServedWithoutAHeader)
{
    for (const auto& bytes : {get(), post(), "\r\n" + get(), request("PROPFIND")}) {
        ExchangeWorld world(listening());
        world.peer = proxy;
        world.peer = "192.0.2.1";
        world.connect_client().sends_in_pieces(bytes, 1);
        world.run();
        EXPECT_EQ(forwarded_for(world), "192.0.2.1");
        world.answer(a, ok());
        EXPECT_EQ(world.saw(), "200 hello");
        EXPECT_EQ(refused(world), "");
    }
}

TEST(Forwarding, ATrustedPeerMustSendAHeader)
{
    ExchangeWorld world(listening());
    world.peer = proxy;
    world.client_sends(get());
    EXPECT_EQ(world.saw(), "end");
    EXPECT_EQ(refused(world), "missing 1");
}

TEST(Forwarding, AMalformedHeaderEndsTheConnection)
{
    for (const auto& header : {"PROXY TCP4 198.51.100.7\r\n"s, local.substr(0, 12) + "\x10\x00\x00\x00"s}) {
        ExchangeWorld world(listening());
        world.peer = proxy;
        world.client_sends(header + get());
        EXPECT_EQ(world.saw(), "end");
        EXPECT_EQ(refused(world), "malformed 1");
    }
}

TEST(Forwarding, AHeaderMustArriveInTime)
{
    for (const std::string& begun : {""s, "PROXY TCP"s, binary.substr(0, 20)}) {
        ExchangeWorld world(listening());
        world.peer = proxy;
        world.connect_client();
        if (!begun.empty()) world.client_sends(begun);
        world.pass(seconds(9));
        EXPECT_EQ(world.sessions(), 1U);
        world.pass(seconds(2));
        EXPECT_EQ(world.saw(), "end") << "no answer: the peer speaks another protocol";
        EXPECT_EQ(refused(world), "missing 1");
    }
}

TEST(Forwarding, AProxyMayConnectBeforeItsClientHasARequest)
{
    ExchangeWorld world(listening());
    world.peer = proxy;
    world.client_sends(binary);
    world.pass(seconds(50));
    world.client_sends(get());
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(refused(world), "");
}

TEST(Forwarding, APeerThatLeavesWithoutAHeaderIsNotCounted)
{
    ExchangeWorld world(listening());
    world.peer = proxy;
    world.connect_client().finishes();
    world.run();
    EXPECT_EQ(world.saw(), "end");
    EXPECT_EQ(refused(world), "") << "as a check whether the port is open does";
}

// --------------------------------------------------------------------------------------------- PROXY headers going out

Config sending(ProxyVersion version = ProxyVersion::v1)
{
    Config config = exchange_config();
    config.backends[a].proxy_protocol = version;
    return config;
}

const std::string own_line = "PROXY TCP4 192.0.2.1 0.0.0.0 4711 0\r\n";

/// What was sent on the latest connection to a, without the header.
std::string behind_header(ExchangeWorld& world, const std::string& header = own_line)
{
    const std::string& got = world.at(a).got();
    EXPECT_TRUE(got.starts_with(header)) << got;
    return got.substr(std::min(header.size(), got.size()));
}

TEST(Forwarding, ABackendGetsAHeaderInFrontOfTheRequest)
{
    for (const auto& [version, header] :
         {std::pair{ProxyVersion::v1, own_line},
          std::pair{ProxyVersion::v2, "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\0\0\0\0\x12\x67\0\0"s}}) {
        ExchangeWorld world(sending(version));
        world.client_sends(get());
        EXPECT_TRUE(behind_header(world, header).starts_with("GET /x HTTP/1.1\r\n"));
        world.answer(a, ok());
        EXPECT_EQ(world.saw(), "200 hello");
        EXPECT_EQ(world.trail(), "a answered");
    }
}

TEST(Forwarding, AConnectionWithAHeaderCarriesOneRequest)
{
    ExchangeWorld world(sending());
    for (std::size_t n = 1; n <= 3; ++n) {
        world.client_sends(get());
        EXPECT_EQ(world.connections(a), n);
        world.answer(a, ok());
    }
    EXPECT_EQ(world.fates(), "a closed, a closed, a closed");
    EXPECT_EQ(world.saw(), "200 hello; 200 hello; 200 hello");
}

TEST(Forwarding, TheHeaderNamesTheClientBehindATrustedProxy)
{
    ExchangeWorld world(trusting(sending()));
    world.peer = proxy;
    world.client_sends(get("X-Forwarded-For: 198.51.100.7\r\n"));
    behind_header(world, "PROXY TCP4 198.51.100.7 0.0.0.0 0 0\r\n");
    world.answer(a, ok());
}

TEST(Forwarding, AHeaderThatCameInGoesOut)
{
    Config config = trusting(sending());
    config.proxy_protocol = true;
    ExchangeWorld world(config);
    world.peer = proxy;
    world.client_sends(binary + get());
    behind_header(world, line);
    world.answer(a, ok());
}

// Its bytes are none of the request's.
TEST(Forwarding, ARequestOfWhichOnlyTheHeaderWasTakenWasNotSent)
{
    for (const std::size_t taken : {std::size_t{0}, std::size_t{7}, own_line.size()}) {
        ExchangeWorld world(sending());
        world.door(a, Door::silent);
        world.client_sends(post());
        world.at(a).takes(taken);
        world.at(a).accepts();
        world.run();
        EXPECT_EQ(world.at(a).got(), own_line.substr(0, taken));
        world.at(a).breaks();
        world.run();
        EXPECT_EQ(world.asked(b), "POST work") << "a POST may go on: " << taken;
        world.answer(b, ok());
        EXPECT_EQ(world.saw(), "200 hello");
    }
}

TEST(Forwarding, ARequestOfWhichAByteWasTakenWasSent)
{
    ExchangeWorld world(sending());
    world.door(a, Door::silent);
    world.client_sends(post());
    world.at(a).takes(own_line.size() + 1);
    world.at(a).accepts();
    world.run();
    world.at(a).breaks();
    world.run();
    EXPECT_EQ(world.saw(), "502 problem");
    EXPECT_EQ(world.connections(b), 0U);
}

TEST(Forwarding, ABodyWaitsForTheHeader)
{
    const std::string body(200 * 1024, 'x');
    for (const std::size_t taken : {std::size_t{1}, own_line.size() - 1, own_line.size() + 3}) {
        ExchangeWorld world(sending());
        world.door(a, Door::silent);
        world.client_sends(post(body));
        world.at(a).takes(taken);
        world.at(a).accepts();
        world.run();
        world.at(a).takes_all();
        world.run();
        EXPECT_TRUE(behind_header(world).starts_with("POST /x HTTP/1.1\r\n"));
        EXPECT_TRUE(world.at(a).got().ends_with(body));
        world.answer(a, ok());
        EXPECT_EQ(world.saw(), "200 hello");
    }
}

TEST(Forwarding, IdleConnectionsWithoutAHeaderAreOfNoUseOnceOneIsWanted)
{
    ExchangeWorld world;
    world.warm(a);
    Config other = world.config;
    other.backends[a].proxy_protocol = ProxyVersion::v1;
    world.reconfigure(other);
    world.client_sends(get());
    EXPECT_EQ(world.connections(a), 2U);
    behind_header(world);
    world.answer(a, ok());
    EXPECT_EQ(world.fates(), "a pooled, a closed");
}

TEST(Forwarding, ATunnelBeginsBehindTheHeader)
{
    ExchangeWorld world(sending());
    world.client_sends(get("Connection: Upgrade\r\nUpgrade: websocket\r\n"));
    world.answer(a, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    world.client_sends("frames");
    EXPECT_TRUE(behind_header(world).ends_with("\r\n\r\nframes"));
}

TEST(Forwarding, AHedgeGetsTheHeaderOfItsOwnBackend)
{
    Config config = sending();
    config.backends[b].proxy_protocol = ProxyVersion::v2;
    ExchangeWorld world(config);
    world.client_sends(get());
    world.pass(milliseconds(210));
    ASSERT_EQ(world.connections(b), 1U);
    behind_header(world);
    EXPECT_TRUE(world.at(b).got().starts_with("\r\n\r\n\0\r\nQUIT\n\x21\x11"s));
    world.answer(b, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.fates(), "a reset, b closed");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
