// The suite's readers of heads, run over one table of bytes: they accept the same and refuse the same.
#include "common/http/head_parts.hpp"

#include "balancer/config.hpp"
#include "balancer/serve/message_head.hpp"
#include "experiment/load/answer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace hotspare::http {
namespace TEST_FILE {

using namespace std::string_literals;

/// The limits of both sides of the table.
balancer::LimitConfig limits()
{
    balancer::LimitConfig out;
    out.request_line = 1000;
    out.header = 4000;
    return out;
}

constexpr unsigned incomplete = 1;

/// Status of the refusal, `incomplete`, or 0; `parse` is called with a head that is complete.
template <class Parse> unsigned verdict(const std::string& bytes, Sender sender, Parse parse)
{
    HeadScanner scanner(sender);
    switch (scanner.scan(bytes, balancer::head_limits(limits()))) {
    case HeadScanner::Found::incomplete: return incomplete;
    case HeadScanner::Found::rejected: return scanner.rejection().status;
    case HeadScanner::Found::complete: break;
    }
    return parse(std::string_view(bytes).substr(0, scanner.head_size()));
}

/// As a server of the suite reads a request.
unsigned by_server(const std::string& bytes)
{
    return verdict(bytes, Sender::client, [](std::string_view head) {
        RequestParts parts;
        const auto wrong = read_request(head, parts);
        return wrong ? wrong->status : 0U;
    });
}

/// As the balancer does.
unsigned by_balancer(const std::string& bytes)
{
    return verdict(bytes, Sender::client, [](std::string_view head) {
        balancer::RequestHead parts;
        const auto wrong = balancer::parse_request(head, limits(), parts);
        return wrong ? wrong->status : 0U;
    });
}

/// A request whose request line has this length.
std::string request_of(std::size_t length)
{
    const std::string around = "GET / HTTP/1.1";
    return "GET /" + std::string(length - around.size(), 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n";
}

TEST(HeadReaders, JudgeARequestAlike)
{
    struct Case {
        std::string bytes;
        unsigned status;
    };
    const auto get = [](const std::string& fields) { return "GET / HTTP/1.1\r\nHost: a\r\n" + fields + "\r\n"; };
    const auto line = [](const std::string& text) { return text + "\r\nHost: a\r\n\r\n"; };
    const std::vector<Case> table{
        {get(""), 0},
        {request_of(limits().request_line), 0},
        {request_of(limits().request_line + 1), 414},
        {request_of(limits().request_line + 64), 414},
        {request_of(limits().request_line + 65), 414},
        {line("GET /caf\xc3\xa9 HTTP/1.1"), 400},
        {line("GET /caf%C3%A9 HTTP/1.1"), 0},
        {line("GET /?q=\xff HTTP/1.1"), 400},
        {line("GET /a#b HTTP/1.1"), 400},
        {line("GET /a b HTTP/1.1"), 400},
        {line("GET  HTTP/1.1"), 400},
        {line("GET /\x7f HTTP/1.1"), 400},
        {line("GET /\t HTTP/1.1"), 400},
        {line("G\xc3\x89T / HTTP/1.1"), 400},
        {line("GET / HTTP/1.2"), 0},
        {line("GET / HTTP/2.0"), 505},
        {line("GET / HTTP/1.1 "), 400},
        {line("GET / http/1.1"), 400},
        {line("GET http://b/a HTTP/1.1"), 0},
        {line("GET http://b\xc3\xa9/a HTTP/1.1"), 400},
        {line("GET https://b/a HTTP/1.1"), 400},
        {line("CONNECT a:80 HTTP/1.1"), 501},
        {line(std::string(65, 'A') + " / HTTP/1.1"), 501},
        {"GET / HTTP/1.1\nHost: a\n\n", 400},
        {"GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n", 400},
        {"GET / HTTP/1.1\r\n\r\n", 400},
        {"GET / HTTP/1.0\r\n\r\n", 0},
        {get("Host: a\r\n"), 400},
        {get("X: b\r\n c\r\n"), 400},
        {get("X : b\r\n"), 400},
        {get(": b\r\n"), 400},
        {get("X: caf\xc3\xa9\r\n"), 0},
        {get("X\xc3\xa9: b\r\n"), 400},
        {get("X: a\rb\r\n"), 400},
        {get("X: a\0b\r\n"s), 400},
        {get("X: " + std::string(4000, 'x') + "\r\n"), 431},
        {get("Content-Length: 5\r\n"), 0},
        {get("Content-Length: 5\r\nContent-Length: 5\r\n"), 400},
        {get("Content-Length: 5, 5\r\n"), 400},
        {get("Content-Length: +5\r\n"), 400},
        {get("Content-Length: 18446744073709551616\r\n"), 400},
        {get("Content-Length: \r\n"), 400},
        {get("Transfer-Encoding: chunked\r\n"), 0},
        {get("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n"), 400},
        {get("Transfer-Encoding: gzip, chunked\r\n"), 501},
        {get("Transfer-Encoding: chunked, gzip\r\n"), 400},
        {get("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
        {get("Transfer-Encoding: xchunked\r\n"), 400},
        {"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
        {get("Expect: 100-continue\r\n"), 0},
        {get("Expect: a pony\r\n"), 417},
        {"GET / HT", incomplete},
    };
    for (const auto& [bytes, status] : table) {
        EXPECT_EQ(by_server(bytes), status) << bytes;
        EXPECT_EQ(by_balancer(bytes), status) << bytes;
    }
}

TEST(HeadReaders, JudgeAResponseAlike)
{
    struct Case {
        std::string head;
        bool accepted;
        bool to_head = false;
    };
    const auto ok = [](const std::string& fields) { return "HTTP/1.1 200 OK\r\n" + fields + "\r\n"; };
    const std::vector<Case> table{
        {ok("Content-Length: 0\r\n"), true},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", true},
        {"HTTP/1.1 200 OK\nContent-Length: 0\n\n", true},
        {"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n", true},
        {"HTTP/1.2 200 OK\r\nContent-Length: 0\r\n\r\n", true},
        {"HTTP/1.1 200 \xc3\x89t\xc3\xa9\r\nContent-Length: 0\r\n\r\n", true},
        {ok("Content-Length: 0\r\nContent-Length: 0\r\n"), true},
        {ok("Content-Length: 0\r\nX: caf\xc3\xa9\r\n"), true},
        {ok("Content-Length: 9\r\n"), true, true},
        {"HTTP/1.1 204 None\r\nContent-Length: 9\r\n\r\n", true},
        {"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n", false},
        {"HTTP/1.1 099 No\r\nContent-Length: 0\r\n\r\n", false},
        {"HTTP/1.1 2000 No\r\nContent-Length: 0\r\n\r\n", false},
        {"HTTP/1.1 abc No\r\nContent-Length: 0\r\n\r\n", false},
        {"HTTP/1.1 200 O\rK\r\nContent-Length: 0\r\n\r\n", false},
        {"ICY 200 OK\r\nContent-Length: 0\r\n\r\n", false},
        {ok("Content-Length: 0\r\nContent-Length: 1\r\n"), false},
        {ok("Content-Length: x\r\n"), false},
        {ok("Content-Length: -1\r\n"), false},
        {ok("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), false},
        {ok("Transfer-Encoding: gzip\r\n"), false},
        {ok("Transfer-Encoding: gzip, chunked\r\n"), false},
        {ok("Transfer-Encoding: chunked, chunked\r\n"), false},
        {ok("no colon\r\nContent-Length: 0\r\n"), false},
        {ok("X : y\r\nContent-Length: 0\r\n"), false},
        {ok("X: y\r\n z\r\nContent-Length: 0\r\n"), false},
        {ok("X: a\0b\r\nContent-Length: 0\r\n"s), false},
    };
    for (const auto& [head, accepted, to_head] : table) {
        const bool by_client = verdict(head, Sender::server, [&](std::string_view text) {
                                   ResponseParts parts;
                                   return read_response(text, to_head, parts) ? 502U : 0U;
                               }) == 0;
        const bool by_proxy = verdict(head, Sender::server, [&](std::string_view text) {
                                  balancer::ResponseHead parts;
                                  return balancer::parse_response(text, to_head, parts) ? 502U : 0U;
                              }) == 0;
        experiment::AnswerReader reader;
        reader.restart(to_head, false);
        const bool by_load = reader.feed(head) == experiment::AnswerReader::State::complete;
        EXPECT_EQ(by_client, accepted) << head;
        EXPECT_EQ(by_proxy, accepted) << head;
        EXPECT_EQ(by_load, accepted) << head;
    }
}

TEST(HeadParts, HoldAllOfARequest)
{
    const std::string head = "POST http://b:81?c HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nTransfer-Encoding: "
                             "chunked\r\nX:  y \r\n\r\n";
    RequestParts parts;
    ASSERT_FALSE(read_request(head, parts));
    EXPECT_EQ(parts.line.method, "POST");
    EXPECT_EQ(parts.line.target, "http://b:81?c");
    EXPECT_EQ(parts.target.authority, "b:81");
    EXPECT_EQ(parts.target.path_and_query, "?c");
    EXPECT_TRUE(parts.target.no_path);
    EXPECT_TRUE(parts.expects_continue);
    EXPECT_TRUE(parts.framing.chunked());
    ASSERT_EQ(parts.fields.size(), 4U);
    EXPECT_EQ(parts.fields[3].name, "X");
    EXPECT_EQ(parts.fields[3].value, "y");
}

TEST(HeadParts, TellWhetherAServerGoesOn)
{
    struct Case {
        std::string_view version;
        std::string_view fields;
        bool keep_alive;
    };
    for (const auto& [version, fields, keep_alive] :
         {Case{"1.1", "", true}, Case{"1.1", "Connection: close\r\n", false}, Case{"1.0", "", false},
          Case{"1.0", "Connection: keep-alive\r\n", true}, Case{"1.1", "Connection: x, Close\r\n", false},
          Case{"1.0", "Connection: keep-alive\r\nConnection: close\r\n", false},
          Case{"1.0", "Connection: keep-alive\r\nTransfer-Encoding: chunked\r\n", false}}) {
        const std::string head = "HTTP/" + std::string(version) + " 200 OK\r\n" + std::string(fields) + "\r\n";
        ResponseParts parts;
        ASSERT_FALSE(read_response(head, false, parts)) << head;
        EXPECT_EQ(parts.keep_alive, keep_alive) << head;
    }
}

} // namespace TEST_FILE
} // namespace hotspare::http
