#include "balancer/serve/message_head.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

using namespace std::string_literals;

const LimitConfig limits;

/// Scans and parses; the refusal's status, or 0. The head's views hold until the next call.
unsigned judge(std::string text, RequestHead& head)
{
    static std::string bytes;
    bytes = std::move(text);
    HeadScanner scanner;
    switch (scanner.scan(bytes, head_limits(limits))) {
    case HeadScanner::Found::incomplete: return 1;
    case HeadScanner::Found::rejected: return scanner.rejection().status;
    case HeadScanner::Found::complete: break;
    }
    const auto rejection = parse_request(std::string_view(bytes).substr(0, scanner.head_size()), limits, head);
    return rejection ? rejection->status : 0;
}

unsigned judge(const std::string& bytes)
{
    RequestHead head;
    return judge(bytes, head);
}

std::string rewritten(const std::string& bytes)
{
    RequestHead head;
    EXPECT_EQ(judge(bytes, head), 0U) << bytes;
    Buffer out;
    write_request(head, {.target = head.target, .client_ip = "192.0.2.1", .request_id = "id", .forwarded = false}, out);
    return std::string(out.text());
}

struct Bad {
    const char* what;
    std::string bytes;
    unsigned status;
};

TEST(RequestHead, RefusesWhatCouldBeReadInTwoWays)
{
    const Bad table[] = {
        {"bare LF", "GET / HTTP/1.1\nHost: a\n\n", 400},
        {"bare LF in a field", "GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
        {"obs-fold", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n", 400},
        {"obs-fold with a tab", "GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n", 400},
        {"space before the colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400},
        {"field without a name", "GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n", 400},
        {"NUL in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"s, 400},
        {"CR in a value", "GET / HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n", 400},
        {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
        {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
        {"Host with a slash", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
        {"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
        {"equal Content-Lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", 400},
        {"different Content-Lengths", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
         400},
        {"Content-Length list", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", 400},
        {"signed Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\n", 400},
        {"negative Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
        {"hexadecimal Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\n", 400},
        {"empty Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: \r\n\r\n", 400},
        {"huge Content-Length", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
        {"both framings", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"both, the other way", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n",
         400},
        {"two Transfer-Encodings",
         "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400},
        {"empty coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding:\r\n\r\n", 400},
        {"coding with parameters", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked;a\r\n\r\n", 400},
        {"unknown coding beside a length",
         "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 400},
        {"coding before chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"chunked not last", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 400},
        {"disguised coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400},
        {"chunks in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"bad method", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"no version", "GET /\r\nHost: a\r\n\r\n", 400},
        {"version 2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"version with a comma", "GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400},
        {"no request line", "hello world\r\n", 400},
        {"long method", std::string(10'000, 'M') + " / HTTP/1.1\r\nHost: a\r\n\r\n", 501},
        {"port without a host", "GET / HTTP/1.1\r\nHost: :8080\r\n\r\n", 400},
        {"open bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
        {"raw bytes in the target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"a field behind a bare CR", "GET / HTTP/1.1\r\nHost: a\r\n\rContent-Length: 5\r\n\r\n", 400},
        {"CONNECT", "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501},
        {"relative target", "GET a HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"https target", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"unknown expectation", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: a-miracle\r\n\r\n", 417},
        {"long target", "GET /" + std::string(9000, 'a') + " HTTP/1.1\r\nHost: a\r\n\r\n", 414},
        {"long header", "GET / HTTP/1.1\r\nHost: a\r\nX: " + std::string(17000, 'a') + "\r\n\r\n", 431},
        {"nothing but an empty line", "\r\n", 400},
    };
    for (const Bad& bad : table) EXPECT_EQ(judge(bad.bytes), bad.status) << bad.what;

    std::string many = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < 101; ++i) many += "X: y\r\n";
    EXPECT_EQ(judge(many + "\r\n"), 431U);
}

TEST(RequestHead, IsFoundInWhateverPiecesItArrives)
{
    const std::string bytes = "GET /a HTTP/1.1\r\nHost: b\r\nX: y\r\n\r\nrest";
    HeadScanner scanner;
    for (std::size_t n = 0; n < bytes.size() - 4; ++n)
        ASSERT_EQ(scanner.scan(std::string_view(bytes).substr(0, n), head_limits(limits)),
                  HeadScanner::Found::incomplete)
            << n;
    EXPECT_EQ(scanner.scan(bytes, head_limits(limits)), HeadScanner::Found::complete);
    EXPECT_EQ(scanner.head_size(), bytes.size() - 4);
}

TEST(RequestHead, KnowsItsFraming)
{
    RequestHead head;
    EXPECT_EQ(judge("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\n\r\n", head), 0U);
    EXPECT_EQ(head.framing, Framing::length);
    EXPECT_EQ(head.content_length, 12U);
    EXPECT_EQ(judge("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n", head), 0U);
    EXPECT_EQ(head.framing, Framing::chunked);
    EXPECT_EQ(judge("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", head), 0U);
    EXPECT_EQ(head.framing, Framing::none);
}

TEST(RequestHead, KnowsWhetherTheConnectionStaysOpen)
{
    RequestHead head;
    judge("GET / HTTP/1.1\r\nHost: a\r\n\r\n", head);
    EXPECT_TRUE(head.keep_alive);
    judge("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, close\r\n\r\n", head);
    EXPECT_FALSE(head.keep_alive);
    judge("GET / HTTP/1.0\r\n\r\n", head);
    EXPECT_FALSE(head.keep_alive);
    judge("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", head);
    EXPECT_TRUE(head.keep_alive);
}

TEST(RequestHead, AnAbsoluteTargetReplacesHost)
{
    RequestHead head;
    EXPECT_EQ(judge("GET http://b:80/x?y HTTP/1.1\r\nHost: a\r\n\r\n", head), 0U);
    EXPECT_EQ(head.host, "b:80");
    EXPECT_EQ(head.target, "/x?y");
    EXPECT_EQ(judge("GET http://b HTTP/1.1\r\nHost: a\r\n\r\n", head), 0U);
    EXPECT_EQ(head.target, "/");
    EXPECT_EQ(judge("GET http://b?q=1 HTTP/1.1\r\nHost: a\r\n\r\n", head), 0U);
    EXPECT_EQ(head.target, "/?q=1");
    EXPECT_EQ(head.host, "b");
    EXPECT_EQ(judge("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", head), 0U);
    EXPECT_EQ(head.target, "*");
}

TEST(RequestHead, ReadsALaterMinorVersionAs11)
{
    RequestHead head;
    EXPECT_EQ(judge("GET / HTTP/1.9\r\nHost: a\r\n\r\n", head), 0U);
    EXPECT_EQ(head.version, 11U);
    EXPECT_TRUE(head.keep_alive);
    EXPECT_TRUE(rewritten("GET / HTTP/1.2\r\nHost: a\r\n\r\n").starts_with("GET / HTTP/1.1\r\n"));
}

TEST(RequestHead, OnlySafeIdempotentOrKeyedRequestsAreRepeatable)
{
    RequestHead head;
    judge("DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", head);
    EXPECT_TRUE(head.idempotent());
    EXPECT_FALSE(head.safe());
    judge("PATCH / HTTP/1.1\r\nHost: a\r\n\r\n", head);
    EXPECT_FALSE(head.idempotent());
    judge("POST / HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\n\r\n", head);
    EXPECT_TRUE(head.idempotency_key);
}

TEST(RequestRewrite, RemovesWhatConcernsThisHopOnly)
{
    const std::string out = rewritten("GET / HTTP/1.1\r\nX-Gone: 1\r\nHost: a\r\nConnection: x-gone, keep-alive\r\n"
                                      "Keep-Alive: 5\r\nTE: trailers\r\nUpgrade: h2c\r\nX-Stays: 2\r\n\r\n");
    EXPECT_EQ(out.find("X-Gone"), std::string::npos);
    EXPECT_EQ(out.find("Keep-Alive"), std::string::npos);
    EXPECT_EQ(out.find("TE:"), std::string::npos);
    EXPECT_EQ(out.find("Upgrade"), std::string::npos);
    EXPECT_EQ(out.find("Connection"), std::string::npos);
    EXPECT_NE(out.find("X-Stays: 2\r\n"), std::string::npos);
}

TEST(RequestRewrite, RemovesAllThatConnectionNamesHoweverMuchThatIs)
{
    std::string options;
    for (int i = 0; i < 60; ++i) options += (i > 0 ? ", X-" : "X-") + std::to_string(i);
    std::string bytes =
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nConnection: " + options +
        "\r\nConnection: ,, x-again , Host, content-length,\r\nX-Again: 1\r\nx-AGAIN: 2\r\nX-60: stays\r\n";
    for (int i = 0; i < 60; ++i) bytes += "x-" + std::to_string(i) + ": gone\r\n";
    const std::string out = rewritten(bytes + "\r\n");
    EXPECT_EQ(out.find("gone"), std::string::npos) << out;
    EXPECT_EQ(out.find("gain: "), std::string::npos) << out;
    EXPECT_NE(out.find("\r\nX-60: stays\r\n"), std::string::npos) << out;
    EXPECT_NE(out.find("\r\nContent-Length: 1\r\n"), std::string::npos) << out;
}

TEST(RequestRewrite, LetsNoClientSayWhomItSpeaksFor)
{
    const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=10.0.0.1\r\nX-Real-IP: 10.0.0.2\r\n"
                              "x-real-ip: 10.0.0.3\r\nX-Forwarded-Port: 444\r\nX-Forwarded-Prefix: /evil\r\n"
                              "X-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil\r\nX-Realm: stays\r\n\r\n";
    for (const bool forwarded : {false, true}) {
        RequestHead head;
        ASSERT_EQ(judge(bytes, head), 0U);
        Buffer out;
        write_request(
            head, {.target = head.target, .client_ip = "192.0.2.1", .request_id = "id", .forwarded = forwarded}, out);
        for (const char* theirs : {"10.0.0.", "444", "evil", "gopher"})
            EXPECT_EQ(out.text().find(theirs), std::string_view::npos) << out.text();
        EXPECT_EQ(out.text().find("\r\nForwarded: for=192.0.2.1;host=\"a\";proto=http\r\n") != std::string_view::npos,
                  forwarded)
            << out.text();
        EXPECT_NE(out.text().find("\r\nX-Realm: stays\r\n"), std::string_view::npos) << out.text();
    }
}

TEST(RequestRewrite, KeepsWhatATrustedProxySaysOfItsClient)
{
    const std::string bytes = "GET / HTTP/1.1\r\nHost: a\r\nForwarded: for=198.51.100.7\r\nX-Real-IP: 10.0.0.2\r\n"
                              "X-Forwarded-For: 198.51.100.7\r\nforwarded: for=10.9.9.9;proto=https\r\n"
                              "x-forwarded-proto: https\r\nX-Forwarded-Port: 443\r\nX-Forwarded-Host: b\r\n"
                              "X_Forwarded_Host: c\r\nConnection: X-Forwarded-Proto\r\n\r\n";
    for (const bool forwarded : {false, true}) {
        RequestHead head;
        ASSERT_EQ(judge(bytes, head), 0U);
        Buffer out;
        write_request(head,
                      {.target = head.target,
                       .client_ip = "10.0.0.1",
                       .request_id = "id",
                       .forwarded = forwarded,
                       .trusted = true},
                      out);
        const std::string written(out.text());
        EXPECT_EQ(written_field(written, "X-Forwarded-For"), "198.51.100.7, 10.0.0.1");
        EXPECT_EQ(written_field(written, "X-Forwarded-Proto"), "https") << written;
        EXPECT_EQ(written_field(written, "X-Forwarded-Host"), "b") << written;
        EXPECT_EQ(written_field(written, "X-Forwarded-Port"), "443") << written;
        EXPECT_EQ(written_field(written, "X-Real-IP"), "") << "not every proxy writes it anew";
        EXPECT_EQ(written_field(written, "Forwarded"),
                  forwarded ? "for=198.51.100.7, for=10.9.9.9;proto=https, for=10.0.0.1;host=\"a\";proto=http"
                            : "for=198.51.100.7, for=10.9.9.9;proto=https")
            << written;
        EXPECT_EQ(written.find("X_Forwarded"), written.npos);
    }
}

TEST(RequestRewrite, SetsWhatATrustedProxyDoesNotSay)
{
    RequestHead head;
    ASSERT_EQ(judge("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto:\r\n\r\n", head), 0U);
    Buffer out;
    write_request(
        head, {.target = head.target, .client_ip = "10.0.0.1", .request_id = "id", .forwarded = true, .trusted = true},
        out);
    const std::string written(out.text());
    EXPECT_EQ(written_field(written, "X-Forwarded-For"), "10.0.0.1");
    EXPECT_EQ(written_field(written, "X-Forwarded-Proto"), "http");
    EXPECT_EQ(written_field(written, "X-Forwarded-Host"), "a");
    EXPECT_EQ(written_field(written, "Forwarded"), "for=10.0.0.1;host=\"a\";proto=http");
}

TEST(RequestRewrite, WritesAnIPv6ClientInBracketsWhereTheFieldWantsThem)
{
    RequestHead head;
    ASSERT_EQ(judge("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", head), 0U);
    Buffer out;
    write_request(head, {.target = head.target, .client_ip = "2001:db8::1", .request_id = "id", .forwarded = true},
                  out);
    // RFC 7239 §6; X-Forwarded-For has no such rule.
    EXPECT_NE(out.text().find("\r\nForwarded: for=\"[2001:db8::1]\";host=\"[::1]:8080\";proto=http\r\n"),
              std::string_view::npos)
        << out.text();
    EXPECT_NE(out.text().find("\r\nX-Forwarded-For: 2001:db8::1\r\n"), std::string_view::npos) << out.text();
}

std::string upgrade(const std::string& method, const std::string& field)
{
    return method + " / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAM\r\n" + field +
           "\r\n\r\n";
}

TEST(RequestRewrite, UpgradesToNothingButWebSocket)
{
    for (const auto& bytes :
         {upgrade("GET", "Upgrade: h2c"), upgrade("GET", "Upgrade: websocket2"), upgrade("GET", "Upgrade:"),
          upgrade("GET", "X: websocket"), upgrade("POST", "Upgrade: websocket")}) {
        RequestHead head;
        ASSERT_EQ(judge(bytes, head), 0U) << bytes;
        EXPECT_FALSE(head.upgrade) << bytes;
        const std::string out = rewritten(bytes);
        EXPECT_EQ(out.find("Upgrade"), std::string::npos) << out;
        EXPECT_EQ(out.find("HTTP2-Settings"), std::string::npos) << out;
        EXPECT_EQ(out.find("Connection"), std::string::npos) << out;
    }
    for (const auto& bytes : {upgrade("GET", "Upgrade: WebSocket"), upgrade("GET", "Upgrade: h2c, websocket"),
                              upgrade("GET", "Upgrade: h2c\r\nUpgrade: websocket")}) {
        const std::string out = rewritten(bytes);
        EXPECT_NE(out.find("\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"), std::string::npos) << out;
        EXPECT_EQ(out.find("h2c"), std::string::npos) << out;
    }
}

TEST(RequestRewrite, DropsFieldsThatAGatewayInterfaceWouldTakeForOthers)
{
    const std::string bytes = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer_Encoding: chunked\r\n"
                              "X_Forwarded_For: 10.0.0.1\r\nIdempotency_Key: k\r\nX-Stays: a_b\r\n_: c\r\n\r\n";
    RequestHead head;
    ASSERT_EQ(judge(bytes, head), 0U);
    EXPECT_FALSE(head.idempotency_key);
    const std::string out = rewritten(bytes);
    EXPECT_EQ(out.find("Transfer_Encoding"), std::string::npos) << out;
    EXPECT_EQ(out.find("10.0.0.1"), std::string::npos) << out;
    EXPECT_EQ(out.find("Idempotency"), std::string::npos) << out;
    EXPECT_EQ(out.find("\r\n_:"), std::string::npos) << out;
    EXPECT_NE(out.find("\r\nX-Stays: a_b\r\n"), std::string::npos) << out;
}

TEST(RequestRewrite, CannotBeMadeToDropItsFraming)
{
    const std::string out =
        rewritten("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: content-length, host\r\n\r\n");
    EXPECT_NE(out.find("Content-Length: 3\r\n"), std::string::npos);
    EXPECT_NE(out.find("Host: a\r\n"), std::string::npos);
}

TEST(RequestHead, CountsOnNothingThatTheBackendWillNotSee)
{
    RequestHead head;
    judge("POST / HTTP/1.1\r\nHost: a\r\nConnection: idempotency-key\r\nIdempotency-Key: k\r\n\r\n", head);
    EXPECT_FALSE(head.idempotency_key) << "a request that is repeated for a key that was removed is executed twice";
    judge("POST / HTTP/1.1\r\nHost: a\r\nConnection: expect\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
          head);
    EXPECT_FALSE(head.expect_continue);
}

TEST(RequestRewrite, NamesTheBackendWhereTheClientNamesNoHost)
{
    for (const bool forwarded : {false, true}) {
        RequestHead head;
        ASSERT_EQ(judge("GET /x HTTP/1.0\r\n\r\n", head), 0U);
        Buffer out;
        write_request(head,
                      {.target = head.target,
                       .client_ip = "192.0.2.1",
                       .request_id = "id",
                       .forwarded = forwarded,
                       .default_host = "b:5001"},
                      out);
        EXPECT_TRUE(out.text().starts_with("GET /x HTTP/1.1\r\nHost: b:5001\r\n")) << out.text();
        EXPECT_EQ(out.text().find("X-Forwarded-Host"), std::string_view::npos)
            << "the client named none: " << out.text();
        EXPECT_EQ(out.text().find("host=\""), std::string_view::npos) << out.text();
    }
}

TEST(RequestRewrite, CountsMaxForwardsDownWhereItMeansSomething)
{
    const auto with = [](const std::string& method, const std::string& value) {
        return method + " / HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + value + "\r\n\r\n";
    };
    RequestHead head;
    for (const char* method : {"TRACE", "OPTIONS"}) {
        ASSERT_EQ(judge(with(method, "0"), head), 0U);
        EXPECT_EQ(head.max_forwards, 0U) << "ours to answer";
        EXPECT_NE(rewritten(with(method, "10")).find("\r\nMax-Forwards: 9\r\n"), std::string::npos);
        EXPECT_EQ(judge(with(method, "-1")), 400U);
        EXPECT_EQ(judge(with(method, "")), 400U);
        EXPECT_EQ(judge(with(method, "1\r\nMax-Forwards: 2")), 400U);
    }
    ASSERT_EQ(judge(with("GET", "0"), head), 0U);
    EXPECT_FALSE(head.max_forwards);
    EXPECT_NE(rewritten(with("GET", "10")).find("\r\nMax-Forwards: 10\r\n"), std::string::npos);
}

TEST(RequestRewrite, SaysWhichVersionItReceived)
{
    EXPECT_NE(rewritten("GET / HTTP/1.0\r\n\r\n").find("\r\nVia: 1.0 hotspare\r\n"), std::string::npos);
    EXPECT_NE(rewritten("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 other\r\n\r\n").find("\r\nVia: 1.1 hotspare\r\n"),
              std::string::npos);
}

TEST(RequestRewrite, KeepsTheWholeWayThatARequestCameByTheWordOfATrustedProxy)
{
    RequestHead head;
    ASSERT_EQ(judge("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\n"
                    "X-Forwarded-For:\r\nx-forwarded-for: 198.51.100.8, 198.51.100.9\r\n\r\n",
                    head),
              0U);
    for (const bool trusted : {true, false}) {
        Buffer out;
        write_request(head, {.target = head.target, .client_ip = "192.0.2.1", .request_id = "id", .trusted = trusted},
                      out);
        EXPECT_EQ(written_field(std::string(out.text()), "X-Forwarded-For"),
                  trusted ? "198.51.100.7, 198.51.100.8, 198.51.100.9, 192.0.2.1" : "192.0.2.1");
    }
}

TEST(RequestRewrite, SaysWhoAsked)
{
    const std::string out = rewritten("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\n"
                                      "X-Forwarded-Proto: gopher\r\ntraceparent: 00-1-2-01\r\n\r\n");
    EXPECT_NE(out.find("X-Forwarded-For: 192.0.2.1\r\n"), std::string::npos);
    EXPECT_NE(out.find("X-Forwarded-Proto: http\r\n"), std::string::npos);
    EXPECT_EQ(out.find("gopher"), std::string::npos);
    EXPECT_NE(out.find("X-Forwarded-Host: a\r\n"), std::string::npos);
    EXPECT_NE(out.find("X-Request-Id: id\r\n"), std::string::npos);
    EXPECT_NE(out.find("Via: 1.1 hotspare\r\n"), std::string::npos);
    EXPECT_NE(out.find("traceparent: 00-1-2-01\r\n"), std::string::npos);
}

TEST(RequestRewrite, AnHttp10RequestNeedsNoHost)
{
    EXPECT_TRUE(rewritten("GET /x HTTP/1.0\r\n\r\n").starts_with("GET /x HTTP/1.1\r\nHost: \r\n"))
        << rewritten("GET /x HTTP/1.0\r\n\r\n");
}

TEST(ResponseHead, KnowsWhereItsBodyEnds)
{
    ResponseHead head;
    EXPECT_FALSE(parse_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, head));
    EXPECT_EQ(head.framing, Framing::length);
    EXPECT_FALSE(parse_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", true, head));
    EXPECT_EQ(head.framing, Framing::none);
    EXPECT_FALSE(parse_response("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, head));
    EXPECT_EQ(head.framing, Framing::none);
    EXPECT_FALSE(parse_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, head));
    EXPECT_EQ(head.framing, Framing::chunked);
    EXPECT_FALSE(parse_response("HTTP/1.0 200 OK\r\n\r\n", false, head));
    EXPECT_EQ(head.framing, Framing::until_close);
    EXPECT_FALSE(head.keep_alive);
}

TEST(ResponseHead, RefusesWhatCouldBeReadInTwoWays)
{
    ResponseHead head;
    EXPECT_TRUE(
        parse_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", false, head));
    EXPECT_TRUE(parse_response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", false, head));
    EXPECT_TRUE(parse_response("HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", false, head));
    EXPECT_TRUE(parse_response("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false, head));
    EXPECT_TRUE(parse_response("HTTP/1.1 200 OK\r\nX : y\r\n\r\n", false, head));
    EXPECT_TRUE(parse_response("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", false, head));
    EXPECT_TRUE(parse_response("HTTP/1.1 20 OK\r\n\r\n", false, head));
    EXPECT_TRUE(parse_response("ICY 200 OK\r\n\r\n", false, head));
}

TEST(ResponseHead, RefusesToSwitchToAnythingButWebSocket)
{
    ResponseHead head;
    EXPECT_TRUE(
        parse_response("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n", false, head));
    EXPECT_TRUE(parse_response("HTTP/1.1 101 Switching Protocols\r\n\r\n", false, head));
    EXPECT_FALSE(parse_response("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n",
                                false, head));
}

TEST(ResponseHead, EndsTheConnectionAfterChunksFromHttp10)
{
    ResponseHead head;
    EXPECT_FALSE(
        parse_response("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n", false, head));
    EXPECT_FALSE(head.keep_alive);
}

TEST(ResponseRewrite, GivesNoLengthToWhatHasNoBody)
{
    for (const char* status : {"100 Continue", "204 No Content"}) {
        const std::string bytes = "HTTP/1.1 " + std::string(status) + "\r\nContent-Length: 5\r\n\r\n";
        ResponseHead head;
        ASSERT_FALSE(parse_response(bytes, false, head));
        Buffer out;
        write_response(head, {.served_by = "a", .request_id = "id"}, out);
        EXPECT_EQ(out.text().find("Content-Length"), std::string_view::npos) << out.text();
    }
}

std::string rewritten_response(const std::string& bytes)
{
    ResponseHead head;
    EXPECT_FALSE(parse_response(bytes, false, head)) << bytes;
    Buffer out;
    write_response(head, {.served_by = "a", .request_id = "id", .date = "Sun, 06 Nov 1994 08:49:37 GMT"}, out);
    return std::string(out.text());
}

TEST(ResponseRewrite, HasADate)
{
    const std::string ours = "\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
    EXPECT_NE(rewritten_response("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").find(ours), std::string::npos);
    const std::string theirs = rewritten_response("HTTP/1.1 200 OK\r\ndate: then\r\nContent-Length: 0\r\n\r\n");
    EXPECT_NE(theirs.find("\r\ndate: then\r\n"), std::string::npos) << theirs;
    EXPECT_EQ(theirs.find(ours), std::string::npos) << theirs;
    EXPECT_NE(
        rewritten_response("HTTP/1.1 200 OK\r\nDate: then\r\nConnection: date\r\nContent-Length: 0\r\n\r\n").find(ours),
        std::string::npos)
        << "the backend's ends here";
    EXPECT_EQ(rewritten_response("HTTP/1.1 103 Early Hints\r\n\r\n").find(ours), std::string::npos);
}

TEST(ResponseRewrite, SaysWhichVersionItReceived)
{
    EXPECT_NE(rewritten_response("HTTP/1.0 200 OK\r\n\r\n").find("\r\nVia: 1.0 hotspare\r\n"), std::string::npos);
    EXPECT_NE(rewritten_response("HTTP/1.1 204 No Content\r\n\r\n").find("\r\nVia: 1.1 hotspare\r\n"),
              std::string::npos);
}

TEST(ResponseRewrite, WritesOutCleanWhatAServerWroteSloppily)
{
    const std::string clean = rewritten_response("HTTP/1.1 200\nContent-Length: 5\nX:y \ncontent-length:\t5\r\n\n");
    EXPECT_TRUE(clean.starts_with("HTTP/1.1 200 \r\nContent-Length: 5\r\nX: y\r\nVia: 1.1 hotspare\r\n")) << clean;
    EXPECT_TRUE(rewritten_response("HTTP/1.2  999  Denied\r\nContent-Length: 0\r\n\r\n")
                    .starts_with("HTTP/1.1 999 Denied\r\n"));
    std::string options = "Connection: a1";
    for (int i = 2; i < 40; ++i) options += ", a" + std::to_string(i);
    const std::string many =
        rewritten_response("HTTP/1.1 200 OK\r\n" + options + "\r\nA39: x\r\nA40: y\r\nContent-Length: 0\r\n\r\n");
    EXPECT_EQ(many.find("A39"), std::string::npos) << many;
    EXPECT_NE(many.find("\r\nA40: y\r\n"), std::string::npos) << many;
}

std::string decode(std::string_view bytes, bool chunked, ChunkDecoder::State expected)
{
    // In one piece and byte by byte: the result must be the same content.
    std::string whole;
    for (const std::size_t step : {bytes.size(), std::size_t{1}}) {
        ChunkDecoder decoder(http::Sender::client);
        Buffer in;
        Buffer out;
        auto state = ChunkDecoder::State::more;
        for (std::size_t at = 0; at < bytes.size() && state == ChunkDecoder::State::more; at += step) {
            in.append(bytes.substr(at, step));
            state = decoder.decode(in, out, chunked);
        }
        EXPECT_EQ(state, expected) << bytes;
        if (step == bytes.size()) whole = out.text();
    }
    return whole;
}

TEST(ChunkDecoder, FramesChunksAnew)
{
    EXPECT_EQ(decode("005;ext=\"x\"\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n", true, ChunkDecoder::State::done),
              "5\r\nhello\r\n0\r\n\r\n");
    EXPECT_EQ(decode("5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", false, ChunkDecoder::State::done), "hello!");
}

TEST(ChunkDecoder, TakesAnEmptyBodyInWhateverPiecesItArrives)
{
    EXPECT_EQ(decode("0\r\n\r\n", true, ChunkDecoder::State::done), "0\r\n\r\n");
    EXPECT_EQ(decode("0\r\nX-Trailer: 1\r\n\r\n", false, ChunkDecoder::State::done), "");
}

TEST(ChunkDecoder, RefusesMalformedChunks)
{
    for (const char* bytes : {"g\r\n", "-1\r\nx\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n",
                              "fffffffffffffffff\r\nx", "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n", "0;a=\"\r\"\r\n\r\n",
                              " 5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n"})
        decode(bytes, true, ChunkDecoder::State::malformed);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
