#include "balancer/message_head.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace {

using namespace std::string_literals;

const LimitConfig limits;

/// Scans and parses; the refusal's status, or 0. The head's views hold until the next call.
unsigned judge(std::string text, RequestHead& head)
{
    static std::string bytes;
    bytes = std::move(text);
    HeadScanner scanner;
    switch (scanner.scan(bytes, limits)) {
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
        {"unknown coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 501},
        {"coding before chunked", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501},
        {"chunked not last", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n", 501},
        {"disguised coding", "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 501},
        {"chunks in 1.0", "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {"bad method", "G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"two spaces", "GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
        {"no version", "GET /\r\nHost: a\r\n\r\n", 400},
        {"version 2.0", "GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505},
        {"version 1.2", "GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505},
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
        ASSERT_EQ(scanner.scan(std::string_view(bytes).substr(0, n), limits), HeadScanner::Found::incomplete) << n;
    EXPECT_EQ(scanner.scan(bytes, limits), HeadScanner::Found::complete);
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

TEST(RequestRewrite, CannotBeMadeToDropItsFraming)
{
    const std::string out =
        rewritten("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nConnection: content-length, host\r\n\r\n");
    EXPECT_NE(out.find("Content-Length: 3\r\n"), std::string::npos);
    EXPECT_NE(out.find("Host: a\r\n"), std::string::npos);
}

TEST(RequestRewrite, SaysWhoAsked)
{
    const std::string out = rewritten("GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 198.51.100.7\r\n"
                                      "X-Forwarded-Proto: gopher\r\ntraceparent: 00-1-2-01\r\n\r\n");
    EXPECT_NE(out.find("X-Forwarded-For: 198.51.100.7, 192.0.2.1\r\n"), std::string::npos);
    EXPECT_NE(out.find("X-Forwarded-Proto: http\r\n"), std::string::npos);
    EXPECT_EQ(out.find("gopher"), std::string::npos);
    EXPECT_NE(out.find("X-Forwarded-Host: a\r\n"), std::string::npos);
    EXPECT_NE(out.find("X-Request-Id: id\r\n"), std::string::npos);
    EXPECT_NE(out.find("Via: 1.1 hotspare\r\n"), std::string::npos);
    EXPECT_NE(out.find("traceparent: 00-1-2-01\r\n"), std::string::npos);
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
    EXPECT_TRUE(parse_response("HTTP/1.1 20 OK\r\n\r\n", false, head));
    EXPECT_TRUE(parse_response("ICY 200 OK\r\n\r\n", false, head));
}

std::string decode(std::string_view bytes, bool chunked, ChunkDecoder::State expected)
{
    // In one piece and byte by byte: the result must be the same content.
    std::string whole;
    for (const std::size_t step : {bytes.size(), std::size_t{1}}) {
        ChunkDecoder decoder;
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

TEST(ChunkDecoder, RefusesMalformedChunks)
{
    for (const char* bytes : {"g\r\n", "-1\r\nx\r\n", "5\r\nhelloX\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n",
                              "fffffffffffffffff\r\nx", " 5\r\nhello\r\n0\r\n\r\n", "5 \r\nhello\r\n0\r\n\r\n"})
        decode(bytes, true, ChunkDecoder::State::malformed);
}

} // namespace
} // namespace hotspare::balancer
