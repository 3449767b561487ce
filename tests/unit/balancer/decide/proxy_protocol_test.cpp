#include "balancer/decide/proxy_protocol.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

using namespace std::string_literals;
using namespace std::string_view_literals;
using Found = ProxyHeader::Found;

const std::string signature = "\r\n\r\n\0\r\nQUIT\n"s;

/// Reads from storage of exactly that size: a sanitizer sees what is read beyond it.
ProxyHeader read(std::string_view bytes)
{
    const auto exact = std::make_unique<char[]>(bytes.size());
    if (!bytes.empty()) std::memcpy(exact.get(), bytes.data(), bytes.size());
    return read_proxy_header({exact.get(), bytes.size()});
}

std::string shown(const ProxyHeader& header)
{
    switch (header.found) {
    case Found::none: return "none";
    case Found::incomplete: return "incomplete";
    case Found::malformed: return "malformed";
    case Found::complete: break;
    }
    if (!header.connection) return "unknown";
    const auto end = [](const IpEndpoint& e) { return e.address.to_string() + " " + std::to_string(e.port); };
    return end(header.connection->source) + " > " + end(header.connection->destination);
}

std::string v2(unsigned char command, unsigned char family, const std::string& block)
{
    return signature + static_cast<char>(command) + static_cast<char>(family) +
           static_cast<char>(block.size() >> 8U & 0xffU) + static_cast<char>(block.size() & 0xffU) + block;
}

const std::string v4_block = "\xc0\x00\x02\x01\x0a\x00\x00\x05\x12\x67\x00\x50"s; // 192.0.2.1 10.0.0.5 4711 80
constexpr auto v4_shown = "192.0.2.1 4711 > 10.0.0.5 80";

struct Line {
    const char* text;
    const char* means;
};

TEST(ProxyProtocol, ReadsLinesOfVersion1)
{
    for (const auto& [text, means] : std::vector<Line>{
             {"TCP4 192.0.2.1 10.0.0.5 4711 80", v4_shown},
             {"TCP4 255.255.255.255 255.255.255.255 65535 65535", "255.255.255.255 65535 > 255.255.255.255 65535"},
             {"TCP6 2001:db8::1 ::1 0 1", "2001:db8::1 0 > ::1 1"},
             {"TCP6 ffff:f:f:f:f:f:f:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535",
              "ffff:f:f:f:f:f:f:ffff 65535 > ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535"},
             {"TCP6 ::ffff:192.0.2.1 ::ffff:10.0.0.5 4711 80", v4_shown},
             {"UNKNOWN", "unknown"},
             {"UNKNOWN ffff::f anything at all", "unknown"}}) {
        const std::string line = "PROXY "s + text + "\r\n";
        const auto header = read(line + "GET / HTTP/1.1\r\n");
        EXPECT_EQ(shown(header), means) << text;
        EXPECT_EQ(header.size, line.size());
    }
}

TEST(ProxyProtocol, RefusesOtherLines)
{
    for (const char* text : {"",
                             " ",
                             "TCP4",
                             "TCP5 192.0.2.1 10.0.0.5 1 2",
                             "tcp4 192.0.2.1 10.0.0.5 1 2",
                             "UDP4 192.0.2.1 10.0.0.5 1 2",
                             "TCP4  192.0.2.1 10.0.0.5 1 2",
                             "TCP4 192.0.2.1 10.0.0.5 1",
                             "TCP4 192.0.2.1 10.0.0.5 1 2 3",
                             "TCP4 192.0.2.1 10.0.0.5 1 2 ",
                             "TCP4 192.0.2.1 10.0.0.5 01 2",
                             "TCP4 192.0.2.1 10.0.0.5 1 65536",
                             "TCP4 192.0.2.1 10.0.0.5 -1 2",
                             "TCP4 192.0.2.1 10.0.0.5 +1 2",
                             "TCP4 192.0.2.01 10.0.0.5 1 2",
                             "TCP4 192.0.2.256 10.0.0.5 1 2",
                             "TCP4 ::1 ::1 1 2",
                             "TCP6 192.0.2.1 10.0.0.5 1 2",
                             "TCP4 a b 1 2",
                             "UNKNOWNS",
                             "/ HTTP/1.1"})
        EXPECT_EQ(shown(read("PROXY "s + text + "\r\n")), "malformed") << text;
    EXPECT_EQ(shown(read("PROXY TCP4 192.0.2.1 10.0.0.5 4711 80\n")), "malformed") << "a bare LF";
    EXPECT_EQ(shown(read("PROXY TCP4 192.0.2.1 10.0.0.5 4711 80\r\r\n")), "malformed");
}

TEST(ProxyProtocol, BoundsALine)
{
    const std::string line = "PROXY UNKNOWN ";
    const auto with = [&](std::size_t size) { return line + std::string(size - line.size() - 2, 'x') + "\r\n"; };
    EXPECT_EQ(shown(read(with(107))), "unknown");
    EXPECT_EQ(shown(read(with(108))), "malformed");
    EXPECT_EQ(shown(read(with(108).substr(0, 106))), "incomplete");
    EXPECT_EQ(shown(read(with(108).substr(0, 107))), "malformed") << "no line of that size ends later";
}

TEST(ProxyProtocol, ReadsVersion2)
{
    const std::string v6_block =
        "\x20\x01\x0d\xb8"s + std::string(11, '\0') + "\x01" + std::string(15, '\0') + "\x01\xff\xff\x00\x01"s;
    const std::string crc_tlv = "\x03\x00\x04zzzz"s;
    for (const auto& [bytes, means] : std::vector<std::pair<std::string, std::string>>{
             {v2(0x21, 0x11, v4_block), v4_shown},
             {v2(0x21, 0x21, v6_block), "2001:db8::1 65535 > ::1 1"},
             {v2(0x21, 0x11, v4_block + crc_tlv), v4_shown}, // its checksum is wrong, which is not looked at
             {v2(0x21, 0x11, v4_block + std::string(2048 - 12, 'x')), v4_shown},
             {v2(0x20, 0x00, ""), "unknown"},
             {v2(0x20, 0x11, v4_block), "unknown"}, // LOCAL: the addresses do not count
             {v2(0x20, 0xff, "xyz"), "unknown"},
             {v2(0x21, 0x00, ""), "unknown"},
             {v2(0x21, 0x00, "xyz"), "unknown"},
             {v2(0x21, 0x12, v4_block), "unknown"},
             {v2(0x21, 0x31, std::string(216, 'x')), "unknown"}}) {
        const auto header = read(bytes + "GET");
        EXPECT_EQ(shown(header), means);
        EXPECT_EQ(header.size, bytes.size());
    }
}

TEST(ProxyProtocol, RefusesWhatVersion2DoesNotKnow)
{
    for (const auto& bytes :
         {v2(0x22, 0x11, v4_block), v2(0x11, 0x11, v4_block), v2(0x31, 0x11, v4_block), v2(0x2f, 0x11, v4_block),
          v2(0x21, 0x13, v4_block), v2(0x21, 0x41, v4_block), v2(0x21, 0x11, v4_block.substr(1)),
          v2(0x21, 0x21, std::string(35, 'x')), v2(0x21, 0x11, std::string(2049, 'x'))})
        EXPECT_EQ(shown(read(bytes)), "malformed");
    EXPECT_EQ(shown(read(v2(0x21, 0x11, std::string(65535, 'x')).substr(0, 16))), "malformed")
        << "what is too long is not waited for";
}

TEST(ProxyProtocol, TellsOtherProtocolsFromTheFirstByteThatDiffers)
{
    for (const char* text : {"GET / HTTP/1.1\r\n", "POST", "PO", "PUT", "PROX ", "PROPFIND", "proxy ", "\r\n\r\nGET",
                             "\r\nGET", "\n", "\x16\x03\x01", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"})
        EXPECT_EQ(shown(read(text)), "none") << text;
    for (const auto text : {""sv, "P"sv, "PR"sv, "PROXY"sv, "\r"sv, "\r\n\r\n"sv, "\r\n\r\n\0"sv}) {
        EXPECT_EQ(shown(read(text)), "incomplete");
        EXPECT_FALSE(read(text).begun) << "it may be an ordinary request yet";
    }
    EXPECT_TRUE(read("PROXY ").begun);
    EXPECT_TRUE(read(signature).begun);
}

ProxiedConnection any_connection()
{
    const auto end = [] {
        IpAddress address;
        if (*rc::gen::arbitrary<bool>()) address = *IpAddress::parse("0.0.0.0");
        for (unsigned i = address.is_v4() ? 12 : 0; i < 16; ++i) address.bytes[i] = *rc::gen::arbitrary<std::uint8_t>();
        return IpEndpoint{address, *rc::gen::arbitrary<std::uint16_t>()};
    };
    return {end(), end()};
}

TEST(ProxyProtocol, ReadsWhatItWritesAndIsIncompleteWhereverThatIsCut)
{
    test::check_property(2000, [] {
        const auto version = *rc::gen::element(ProxyVersion::v1, ProxyVersion::v2);
        std::optional<ProxiedConnection> connection;
        if (*rc::gen::inRange(0, 8) > 0) connection = any_connection();
        const std::string header = proxy_header(version, connection);
        RC_ASSERT(version == ProxyVersion::v2 || header.size() <= longest_proxy_line);
        for (std::size_t cut = 0; cut < header.size(); ++cut)
            RC_ASSERT(read(std::string_view(header).substr(0, cut)).found == Found::incomplete);
        const auto back = read(header + *rc::gen::arbitrary<std::string>());
        RC_ASSERT(back.found == Found::complete);
        RC_ASSERT(back.size == header.size());
        RC_ASSERT(back.connection == connection);
    });
}

// Bytes that begin like a header more often than chance would have it.
TEST(ProxyProtocol, TakesAnyBytesAndNeverChangesItsMind)
{
    test::check_property(20000, [] {
        const auto start = *rc::gen::element(""s, "PROXY "s, "PROXY TCP4 "s, "PROXY TCP6 ::1 "s, signature,
                                             signature + "\x21\x11\x00"s, signature + "\x20\x00\x00"s,
                                             v2(0x21, 0x11, v4_block), "PROXY TCP4 192.0.2.1 10.0.0.5 4711 80\r\n"s);
        std::string bytes = start + *rc::gen::arbitrary<std::string>();
        if (!bytes.empty() && *rc::gen::arbitrary<bool>())
            bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] = *rc::gen::arbitrary<char>();
        const auto whole = read(bytes);
        if (whole.found == Found::complete) {
            RC_ASSERT(whole.size <= bytes.size());
            RC_ASSERT(whole.size <= 16 + longest_proxy_block);
        }
        // What was said of a beginning holds for all that follows.
        for (std::size_t cut = 0; cut < bytes.size(); ++cut) {
            const auto part = read(std::string_view(bytes).substr(0, cut));
            RC_ASSERT(!part.begun || whole.begun);
            if (part.found == Found::incomplete) continue;
            RC_ASSERT(part.found == whole.found);
            RC_ASSERT(part.size == whole.size);
            RC_ASSERT(part.connection == whole.connection);
        }
    });
}

TEST(ProxyProtocol, WritesBothVersions)
{
    const ProxiedConnection v4{{*IpAddress::parse("192.0.2.1"), 4711}, {*IpAddress::parse("10.0.0.5"), 80}};
    EXPECT_EQ(proxy_header(ProxyVersion::v1, v4), "PROXY TCP4 192.0.2.1 10.0.0.5 4711 80\r\n");
    EXPECT_EQ(proxy_header(ProxyVersion::v2, v4), v2(0x21, 0x11, v4_block));
    EXPECT_EQ(proxy_header(ProxyVersion::v1, std::nullopt), "PROXY UNKNOWN\r\n");
    EXPECT_EQ(proxy_header(ProxyVersion::v2, std::nullopt), v2(0x20, 0x00, ""));
    EXPECT_EQ(proxy_header(ProxyVersion::off, v4), "");
    const ProxiedConnection mixed{{*IpAddress::parse("2001:db8::1"), 0}, v4.destination};
    EXPECT_EQ(proxy_header(ProxyVersion::v1, mixed), "PROXY TCP6 2001:db8::1 ::ffff:10.0.0.5 0 80\r\n");
    EXPECT_EQ(shown(read(proxy_header(ProxyVersion::v2, mixed))), "2001:db8::1 0 > 10.0.0.5 80");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
