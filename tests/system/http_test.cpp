// The balancer as an HTTP/1.1 intermediary (RFC 9110, RFC 9112) between clients and servers that are correct, odd, slow
// or hostile. What is refused must not reach a server in any form, so a scripted origin that records every byte stands
// behind it; what is passed on must arrive unchanged.
#include "tests/support/fleet.hpp"
#include "tests/support/gate.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <latch>
#include <memory>
#include <random>
#include <set>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

using Break = Reply::Break;
using End = Answer::End;
using Framing = Reply::Framing;

constexpr milliseconds soon(250);
constexpr std::uint64_t mebibyte = 1024 * 1024;

#ifdef HOTSPARE_SANITIZED
constexpr std::uint64_t large_body = 8 * mebibyte;
constexpr std::size_t growth_kib = 256 * 1024; // a sanitizer keeps freed memory and shadows the rest
#else
constexpr std::uint64_t large_body = 64 * mebibyte;
constexpr std::size_t growth_kib = 8 * 1024; ///< of a balancer that does not buffer what it relays
#endif

class Http : public testing::Test {
protected:
    explicit Http(std::vector<std::string> flags = {"--admin"})
        : balancer_({{"primary", origin_.port()}}, std::move(flags))
    {
    }
    void SetUp() override { ASSERT_TRUE(balancer_.wait_for("primary", "healthy")) << balancer_.status(); }

    void reply_with(Reply reply)
    {
        origin_.script([reply = std::move(reply)](const Message&) { return reply; });
    }

    /// The only request that the origin has received.
    Message received()
    {
        const auto all = origin_.requests();
        EXPECT_EQ(all.size(), 1U);
        return all.empty() ? Message{} : all.front();
    }

    bool works() { return get(port(), "/works").status() == 200; }
    std::uint16_t port() const { return balancer_.port(); }

    Origin origin_{"primary"};
    Balancer balancer_;
};

// --- Requests that are refused ---------------------------------------------------------------------------------------

struct Refused {
    std::string what;
    std::string bytes;
    std::set<int> statuses; ///< any of these; 0 = closed without an answer
};

class HttpRefuses : public Http {
protected:
    explicit HttpRefuses(std::vector<std::string> flags = {}) : Http(std::move(flags)) {}

    /// Sends each request with a second, perfectly good one behind it. Nothing of either may reach the origin, and the
    /// connection must end, because it is unknown where the next request would begin.
    void expect_refused(const std::vector<Refused>& requests)
    {
        for (const auto& [what, bytes, statuses] : requests) {
            SCOPED_TRACE(what);
            RawClient client(port());
            client.send(bytes + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
            const Answer answer = client.read_response();
            EXPECT_TRUE(statuses.contains(answer.status())) << answer.status() << ", " << to_string(answer.end) << ": "
                                                            << answer.message.head << answer.message.body;
            if (answer.complete()) {
                expect_problem(answer);
                EXPECT_FALSE(answer.message.keep_alive()) << answer.message.head;
            }
            client.finish_sending();
            EXPECT_TRUE(client.closed_by_peer());
            EXPECT_EQ(origin_.seen(), 0U);
            EXPECT_EQ(origin_.unparsed(), "");
            origin_.forget();
        }
        EXPECT_TRUE(works());
    }

    static void expect_problem(const Answer& answer)
    {
        EXPECT_EQ(answer.message.header("Content-Type"), "application/problem+json");
        const auto problem = answer.json();
        ASSERT_TRUE(problem.is_object()) << answer.message.body;
        EXPECT_EQ(problem.value("status", 0), answer.status());
        for (const char* member : {"title", "detail", "request_id", "error"})
            EXPECT_FALSE(problem.value(member, "").empty()) << member << " in " << answer.message.body;
    }
};

TEST_F(HttpRefuses, AmbiguousFraming)
{
    const std::string post = "POST /x HTTP/1.1\r\nHost: a\r\n";
    expect_refused({
        {"both framings before the method",
         "CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: "
         "gzip, chunked\r\n\r\n",
         {400}},
        {"two equal lengths", post + "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", {400}},
        {"two different lengths", post + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", {400}},
        {"a list of lengths", post + "Content-Length: 1, 1\r\n\r\nx", {400}},
        {"a negative length", post + "Content-Length: -1\r\n\r\n", {400}},
        {"a length with a sign", post + "Content-Length: +1\r\n\r\nx", {400}},
        {"a hexadecimal length", post + "Content-Length: 0x1\r\n\r\nx", {400}},
        {"a length with garbage", post + "Content-Length: 1x\r\n\r\nx", {400}},
        {"an empty length", post + "Content-Length:\r\n\r\n", {400}},
        {"a length beyond 64 bits", post + "Content-Length: 18446744073709551617\r\n\r\nx", {400, 413}},
        {"length and chunks", post + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}},
        {"chunks and length", post + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", {400}},
        {"chunked twice", post + "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n", {400}},
        {"chunked in two fields",
         post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         {400}},
        {"chunked not last", post + "Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", {400}},
        {"another coding before chunked", post + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", {501}},
        {"unknown coding", post + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", {400}},
        {"identity", post + "Transfer-Encoding: identity\r\nContent-Length: 1\r\n\r\nx", {400}},
        {"chunked with a parameter", post + "Transfer-Encoding: chunked;q=1\r\n\r\n0\r\n\r\n", {400}},
        {"an empty element behind chunked", post + "Transfer-Encoding: chunked,\r\n\r\n0\r\n\r\n", {400}},
        {"empty coding", post + "Transfer-Encoding:\r\n\r\n0\r\n\r\n", {400}},
        {"quoted chunked", post + "Transfer-Encoding: \"chunked\"\r\n\r\n0\r\n\r\n", {400}},
        {"vertical tab before chunked", post + "Transfer-Encoding: \vchunked\r\n\r\n0\r\n\r\n", {400, 501}},
        {"chunked from HTTP/1.0",
         "POST /x HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         {400, 501}},
        {"HTTP/1.1 without Host", "GET /x HTTP/1.1\r\n\r\n", {400}},
        {"two Hosts", "GET /x HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", {400}},
        {"a list of Hosts", "GET /x HTTP/1.1\r\nHost: a, b\r\n\r\n", {400}},
        {"Host with a path", "GET /x HTTP/1.1\r\nHost: a/b\r\n\r\n", {400}},
        {"Host without a host", "GET /x HTTP/1.1\r\nHost: :8080\r\n\r\n", {400}},
        {"Host with a port that is no number", "GET /x HTTP/1.1\r\nHost: a:http\r\n\r\n", {400}},
        {"Host with an open bracket", "GET /x HTTP/1.1\r\nHost: [::1\r\n\r\n", {400}},
        {"Host with a bad percent", "GET /x HTTP/1.1\r\nHost: a%zz\r\n\r\n", {400}},
    });
}

TEST_F(HttpRefuses, MalformedHeads)
{
    using namespace std::string_literals;
    expect_refused({
        {"bare LF", "GET /x HTTP/1.1\nHost: a\n\n", {400}},
        {"one bare LF", "GET /x HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", {400}},
        {"bare CR", "GET /x HTTP/1.1\r\nHost: a\r\nX: a\rY: b\r\n\r\n", {400}},
        {"obs-fold", "GET /x HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n", {400}},
        {"obs-fold with a tab", "GET /x HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n", {400}},
        {"blank before the first field", "GET /x HTTP/1.1\r\n Host: a\r\n\r\n", {400}},
        {"space before the colon", "GET /x HTTP/1.1\r\nHost : a\r\n\r\n", {400}},
        {"tab before the colon", "GET /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding\t: chunked\r\n\r\n", {400}},
        {"no colon", "GET /x HTTP/1.1\r\nHost: a\r\nGarbage\r\n\r\n", {400}},
        {"empty name", "GET /x HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n", {400}},
        {"name with a blank", "GET /x HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", {400}},
        {"name with NUL", "GET /x HTTP/1.1\r\nHost: a\r\nX\0Y: z\r\n\r\n"s, {400}},
        {"value with NUL", "GET /x HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"s, {400}},
        {"value with a control character",
         "GET /x HTTP/1.1\r\nHost: a\r\nX: a\x01"
         "b\r\n\r\n",
         {400}},
        {"target with NUL", "GET /x\0y HTTP/1.1\r\nHost: a\r\n\r\n"s, {400}},
        {"target with a control character", "GET /x\x7fy HTTP/1.1\r\nHost: a\r\n\r\n", {400}},
        {"method with a colon", "GE:T /x HTTP/1.1\r\nHost: a\r\n\r\n", {400}},
        {"method with NUL", "GE\0T /x HTTP/1.1\r\nHost: a\r\n\r\n"s, {400}},
        {"no method", " /x HTTP/1.1\r\nHost: a\r\n\r\n", {400}},
        {"no target", "GET HTTP/1.1\r\nHost: a\r\n\r\n", {400}},
        {"two blanks", "GET  /x HTTP/1.1\r\nHost: a\r\n\r\n", {400}},
        {"a tab for a blank", "GET\t/x HTTP/1.1\r\nHost: a\r\n\r\n", {400}},
        {"a blank in the target", "GET /x y HTTP/1.1\r\nHost: a\r\n\r\n", {400}},
        {"a blank after the version", "GET /x HTTP/1.1 \r\nHost: a\r\n\r\n", {400, 505}},
        {"a target that is no path", "GET x HTTP/1.1\r\nHost: a\r\n\r\n", {400}},
        {"no version", "GET /x\r\nHost: a\r\n\r\n", {400, 505}},
        {"version of another protocol", "GET /x ICY/1.1\r\nHost: a\r\n\r\n", {400, 505}},
        {"lower-case version", "GET /x http/1.1\r\nHost: a\r\n\r\n", {400, 505}},
        {"version with a comma", "GET /x HTTP/1,1\r\nHost: a\r\n\r\n", {400}},
        {"raw bytes in the target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", {400}},
        {"an https URL without TLS", "GET https://a/x HTTP/1.1\r\nHost: a\r\n\r\n", {400}},
        {"version without a minor number", "GET /x HTTP/1\r\nHost: a\r\n\r\n", {400, 505}},
        {"HTTP/2.0", "GET /x HTTP/2.0\r\nHost: a\r\n\r\n", {505}},
        {"HTTP/3.0", "GET /x HTTP/3.0\r\nHost: a\r\n\r\n", {505}},
        {"HTTP/0.9", "GET /x HTTP/0.9\r\nHost: a\r\n\r\n", {505, 400}},
        {"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", {505}},
        {"TLS", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n"s, {400, 0}},
        {"unknown expectation",
         "POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nExpect: 200-maybe\r\n\r\nx",
         {417}},
        {"a tunnel to anywhere", "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n", {400, 405, 501}},
    });
}

TEST_F(HttpRefuses, OversizedHeads)
{
    std::string many_fields = "GET /x HTTP/1.1\r\nHost: a\r\n";
    for (int i = 0; i < 200; ++i) many_fields += "X-" + std::to_string(i) + ": y\r\n";
    expect_refused({
        {"long target", "GET /" + std::string(10'000, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n", {414}},
        {"very long target", "GET /" + std::string(1'000'000, 'x') + " HTTP/1.1\r\nHost: a\r\n\r\n", {414}},
        {"long method", std::string(10'000, 'X') + " / HTTP/1.1\r\nHost: a\r\n\r\n", {501}},
        {"long value", "GET /x HTTP/1.1\r\nHost: a\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n", {431}},
        {"very long value", "GET /x HTTP/1.1\r\nHost: a\r\nX: " + std::string(1'000'000, 'x') + "\r\n\r\n", {431}},
        {"long name", "GET /x HTTP/1.1\r\nHost: a\r\n" + std::string(20'000, 'x') + ": y\r\n\r\n", {431}},
        {"many fields", many_fields + "\r\n", {431}},
    });
}

/// The defaults wait 10 s for a head and 30 s for a body.
TEST_F(HttpRefuses, AtOnceWhatNothingCanMend)
{
    const std::string head = "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string& bytes :
         {std::string("hello world\r\n"), std::string("\x16\x03\x01"), std::string("GET / HTTP/1.x\r\n"),
          std::string("GET / HTTP/1.1\r\nno colon\r\n"), head + "0\r\nX-Sum: 9\n\r\n", head + "2;k=\"v\r\n",
          head + "0\r\nX: y\r\n z", head + "2\n"}) {
        RawClient client(port());
        client.send(bytes);
        const Answer answer = client.read_response(milliseconds(5000));
        EXPECT_EQ(answer.status(), 400) << bytes << to_string(answer.end);
    }
    EXPECT_TRUE(works());
}

TEST_F(HttpRefuses, ABareCrOnBehalfOfItsField)
{
    RawClient client(port());
    client.send("GET /x HTTP/1.1\r\nHost: a\r\nX-Odd: a\rb\r\n\r\n");
    const Answer answer = client.read_response();
    EXPECT_EQ(answer.status(), 400);
    EXPECT_NE(answer.json().value("detail", "").find("X-Odd"), std::string::npos) << answer.message.body;
}

/// The head is in order, so the request may be on its way when the body turns out to be broken; but it must never
/// become a whole request at the origin.
TEST_F(HttpRefuses, MalformedChunks)
{
    const std::string head = "POST /x HTTP/1.1\r\nHost: a\r\nX-Test-Id: c\r\nTransfer-Encoding: chunked\r\n\r\n";
    const std::vector<std::pair<std::string, std::string>> bodies{
        {"size is no number", "zz\r\nab\r\n0\r\n\r\n"},
        {"negative size", "-1\r\na\r\n0\r\n\r\n"},
        {"size with 0x", "0x2\r\nab\r\n0\r\n\r\n"},
        {"size beyond 64 bits", "10000000000000001\r\na\r\n0\r\n\r\n"},
        {"empty size", "\r\nab\r\n0\r\n\r\n"},
        {"size with a bare LF", "2\nab\r\n0\r\n\r\n"},
        {"data with a bare LF", "2\r\nab\n0\r\n\r\n"},
        {"data longer than its size", "2\r\nabc\r\n0\r\n\r\n"},
        {"blank before the size", " 2\r\nab\r\n0\r\n\r\n"},
        {"endless size", std::string(100'000, '0') + "2\r\nab\r\n0\r\n\r\n"},
        {"endless extension", "2;" + std::string(1'000'000, 'x') + "\r\nab\r\n0\r\n\r\n"},
    };
    for (const auto& [what, body] : bodies) {
        SCOPED_TRACE(what);
        RawClient client(port());
        client.send(head + body + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
        client.finish_sending();
        const Answer answer = client.read_response();
        EXPECT_TRUE(answer.status() == 400 || answer.end == End::closed || answer.end == End::reset)
            << answer.status() << ", " << to_string(answer.end);
        EXPECT_TRUE(client.closed_by_peer());
        EXPECT_EQ(origin_.executed("c"), 0U);
        for (const Message& m : origin_.requests()) ADD_FAILURE() << "reached the origin: " << m.head;
        origin_.forget();
    }
    EXPECT_TRUE(works());
}

TEST_F(HttpRefuses, RandomBytesDoNoHarm)
{
    constexpr unsigned seed = 20240517;
    RecordProperty("seed", static_cast<int>(seed));
    std::mt19937 random(seed);
    const std::string good =
        "POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for (int round = 0; round < 300; ++round) {
        std::string bytes = good;
        if (round % 3 == 0) {
            bytes.resize(1 + random() % 300);
            for (char& c : bytes) c = static_cast<char>(random());
        } else {
            for (unsigned i = 0; i <= random() % 3; ++i) bytes[random() % bytes.size()] = static_cast<char>(random());
        }
        RawClient client(port());
        client.send(bytes);
        client.finish_sending();
        bool closed = false;
        client.read_until_close(patience, &closed);
        EXPECT_TRUE(closed) << "round " << round;
    }
    EXPECT_TRUE(balancer_.process().running());
    EXPECT_TRUE(works());
    for (const Message& m : origin_.requests()) EXPECT_EQ(m.count("Host"), 1U) << m.head;
}

class HttpRefusesSlow : public HttpRefuses {
protected:
    HttpRefusesSlow()
        : HttpRefuses({"--timeouts-header", "300ms", "--timeouts-body-idle", "300ms", "--timeouts-client-idle", "300ms",
                       "--limits-body", "1KiB"})
    {
    }
};

TEST_F(HttpRefusesSlow, HeaderThatDoesNotArriveInTime)
{
    RawClient stalled(port());
    stalled.send("GET /x HTTP/1.1\r\nHos");
    const Answer answer = stalled.read_response();
    EXPECT_EQ(answer.status(), 408);
    EXPECT_FALSE(answer.message.keep_alive());
    EXPECT_TRUE(stalled.closed_by_peer());

    // A trickle does not extend the deadline.
    RawClient trickling(port());
    const auto start = Clock::now();
    int status = 0;
    trickling.send("GET /x HTTP/1.1\r\nX: ");
    while (status == 0 && Clock::now() - start < patience) {
        trickling.send("y", soon);
        const Answer a = trickling.read_response(milliseconds(50));
        if (a.complete()) status = a.status();
        if (a.end == End::closed || a.end == End::reset) break;
    }
    EXPECT_EQ(status, 408);
    EXPECT_LT(Clock::now() - start, seconds(5));
    EXPECT_EQ(origin_.seen(), 0U);
}

TEST_F(HttpRefusesSlow, BodyThatStopsArriving)
{
    RawClient client(port());
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nX-Test-Id: slow\r\nContent-Length: 100\r\n\r\nhalf");
    const Answer answer = client.read_response();
    EXPECT_TRUE(answer.status() == 408 || answer.end == End::closed || answer.end == End::reset) << answer.status();
    EXPECT_TRUE(client.closed_by_peer());
    EXPECT_EQ(origin_.executed("slow"), 0U);
    EXPECT_TRUE(works());
}

TEST_F(HttpRefusesSlow, IdleConnectionsAreClosedQuietly)
{
    RawClient never_used(port());
    RawClient used(port());
    used.send(format_request("GET", "/"));
    EXPECT_EQ(used.read_response().status(), 200);
    EXPECT_TRUE(used.closed_by_peer());
    EXPECT_TRUE(never_used.closed_by_peer());
}

TEST_F(HttpRefusesSlow, BodyOverTheLimit)
{
    RawClient announced(port());
    announced.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1025\r\n\r\n");
    EXPECT_EQ(announced.read_response().status(), 413);
    EXPECT_EQ(origin_.seen(), 0U);

    RawClient chunked(port());
    chunked.send("POST /x HTTP/1.1\r\nHost: a\r\nX-Test-Id: big\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = "100\r\n" + std::string(256, 'x') + "\r\n";
    for (int i = 0; i < 5; ++i) chunked.send(chunk);
    EXPECT_EQ(chunked.read_response().status(), 413);
    EXPECT_EQ(origin_.executed("big"), 0U);

    EXPECT_EQ(request(port(), "POST", "/x", {{"X-Test-Id", "fits"}}, std::string(1024, 'x')).status(), 200);
    EXPECT_EQ(origin_.executed("fits"), 1U);
}

// --- Requests that are passed on -------------------------------------------------------------------------------------

TEST_F(Http, ForwardsTheTargetAsItIs)
{
    for (const std::string target : {"/", "/a%20b?x=%2F&y=;z", "/data/../x//y/.", "/?", "/x?a=b?c=d", "/%00%zz"}) {
        EXPECT_EQ(get(port(), target).status(), 200) << target;
        EXPECT_EQ(received().target(), target);
        origin_.forget();
    }
}

TEST_F(Http, ReducesAnAbsoluteTargetToItsPath)
{
    RawClient client(port());
    client.send("GET http://other.example:81/path?q HTTP/1.1\r\nHost: ignored\r\n\r\n");
    EXPECT_EQ(client.read_response().status(), 200);
    EXPECT_EQ(received().target(), "/path?q");
    EXPECT_EQ(received().count("Host"), 1U);
    EXPECT_NE(received().header("Host"), "ignored") << "RFC 9112 3.2.2: the target's host wins";
}

TEST_F(Http, GivesAnAbsoluteTargetWithoutAPathItsPath)
{
    for (const auto& [line, target] : {std::pair<std::string, std::string>{"GET http://h?q=1", "/?q=1"},
                                       {"GET http://h", "/"},
                                       {"OPTIONS http://h", "*"},
                                       {"OPTIONS http://h/", "/"}}) {
        RawClient client(port());
        client.send(line + " HTTP/1.1\r\nHost: h\r\n\r\n");
        EXPECT_EQ(client.read_response().status(), 200) << line;
        EXPECT_EQ(received().target(), target);
        origin_.forget();
    }
}

TEST_F(Http, ReadsALaterMinorVersionAs11)
{
    RawClient client(port());
    for (int i = 0; i < 2; ++i) {
        client.send("GET /x HTTP/1.9\r\nHost: a\r\n\r\n");
        EXPECT_EQ(client.read_response().status(), 200);
    }
    for (const Message& m : origin_.requests()) EXPECT_TRUE(m.start_line.ends_with("HTTP/1.1")) << m.start_line;
    client.send("GET /health HTTP/1.2\r\nHost: a\r\n\r\n");
    EXPECT_EQ(client.read_response().status(), 200) << "so do the pages of the balancer's own";
}

TEST_F(Http, LetsNoClientSayWhomItSpeaksFor)
{
    request(port(), "GET", "/x", {{"Forwarded", "for=10.0.0.1"}, {"X-Real-IP", "10.0.0.1"}, {"X-Forwarded-Port", "1"}});
    const Message m = received();
    for (const char* name : {"Forwarded", "X-Real-IP", "X-Forwarded-Port"}) EXPECT_EQ(m.count(name), 0U) << m.head;
}

TEST_F(Http, PassesUnknownMethodsOn)
{
    EXPECT_EQ(request(port(), "BREW", "/pot").status(), 200);
    EXPECT_EQ(received().method(), "BREW");
    origin_.forget();
    // About the server as a whole: passed on as it is, or answered for want of a route, but never made into a path.
    const int status = request(port(), "OPTIONS", "*").status();
    EXPECT_TRUE(status == 200 || status == 404) << status;
    for (const Message& m : origin_.requests()) EXPECT_EQ(m.target(), "*");
}

TEST(HttpRoutes, AreBoundariesForDotSegments)
{
    Origin open("open");
    Origin closed("closed");
    auto balancer = Balancer::configured(
        "backends:\n  - {name: open, url: \"" + open.url() + "\"}\n  - {name: closed, url: \"" + closed.url() +
        "\"}\npools:\n  - {name: open, backends: [open]}\n  - {name: closed, backends: [closed]}\n"
        "routes:\n  - {prefix: /public, pool: open}\n  - {prefix: /static, pool: open, rewrite: /}\n"
        "  - {prefix: /private, pool: closed}\n");
    ASSERT_TRUE(balancer.wait_for("open", "healthy"));
    ASSERT_TRUE(balancer.wait_for("closed", "healthy"));
    for (const std::string target : {"/public/../private", "/public/%2e%2E/admin", "/public/..%2fadmin",
                                     "/public/../health", "/static/../admin", "http://h/public/../admin"})
        EXPECT_EQ(get(balancer.port(), target).status(), 400) << target;
    EXPECT_EQ(open.seen() + closed.seen(), 0U);
    for (const auto& [target, sent] : {std::pair<std::string, std::string>{"/public/a/../b", "/public/a/../b"},
                                       {"/static/a.css?v", "/a.css?v"},
                                       {"/static", "/"}}) {
        EXPECT_EQ(get(balancer.port(), target).status(), 200) << target;
        EXPECT_EQ(open.requests().back().target(), sent);
    }
}

TEST_F(Http, RemovesWhatConcernsOnlyTheHop)
{
    RawClient client(port());
    client.send(
        "GET /x HTTP/1.1\r\nHost: a\r\nConnection: X-Secret, keep-alive , x-other\r\nX-Secret: 1\r\nX-OTHER: 2\r\n"
        "Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\nUpgrade: h2c\r\n"
        "HTTP2-Settings: AAMAAABkAAQAAP__\r\nProxy-Authorization: Basic eA==\r\nX-Kept: yes\r\n\r\n");
    Reply reply;
    reply_with([] {
        Reply r;
        r.headers = {{"Connection", "X-Internal"},
                     {"X-Internal", "1"},
                     {"Keep-Alive", "timeout=1"},
                     {"Proxy-Connection", "close"},
                     {"X-Answer", "yes"}};
        return r;
    }());
    const Answer answer = client.read_response();
    const Message m = received();
    for (const char* name : {"X-Secret", "X-Other", "Keep-Alive", "Proxy-Connection", "Upgrade"})
        EXPECT_EQ(m.count(name), 0U) << name << " in\n" << m.head;
    EXPECT_FALSE(m.lists("Connection", "X-Secret")) << m.head;
    EXPECT_FALSE(m.lists("TE", "trailers")) << "trailers are dropped, so none may be asked for";
    EXPECT_EQ(m.header("X-Kept"), "yes");
    (void)answer;

    origin_.forget();
    const Answer second = get(port(), "/");
    for (const char* name : {"X-Internal", "Keep-Alive", "Proxy-Connection"})
        EXPECT_EQ(second.message.count(name), 0U) << name << " in\n" << second.message.head;
    EXPECT_EQ(second.message.header("X-Answer"), "yes");
}

TEST_F(Http, AConnectionFieldCannotRemoveWhatTheBalancerNeeds)
{
    // Naming a field of the proxy's own in Connection is a known way to strip it on the way.
    const Answer answer =
        request(port(), "POST", "/x", {{"Connection", "X-Forwarded-For, Host, Content-Length, Via, close"}}, "abc");
    EXPECT_TRUE(answer.status() == 200 || answer.status() == 400) << answer.status();
    if (answer.status() != 200) return;
    const Message m = received();
    EXPECT_EQ(m.count("Host"), 1U) << m.head;
    EXPECT_EQ(m.header("X-Forwarded-For"), "127.0.0.1") << m.head;
    EXPECT_EQ(m.body, "abc");
}

TEST_F(Http, TellsTheOriginAboutTheClient)
{
    const Answer answer = request(port(), "GET", "/x",
                                  {{"X-Forwarded-For", "203.0.113.7"},
                                   {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"},
                                   {"tracestate", "a=b"}});
    const Message m = received();
    EXPECT_EQ(m.header("X-Forwarded-For"), "127.0.0.1") << "what a client says of itself is not passed on";
    EXPECT_EQ(m.header("X-Forwarded-Proto"), "http");
    EXPECT_EQ(m.header("X-Forwarded-Host"), "localhost");
    EXPECT_TRUE(m.header("Via").value_or("").starts_with("1.1 ")) << m.head;
    EXPECT_EQ(m.header("traceparent"), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    EXPECT_EQ(m.header("tracestate"), "a=b");
    EXPECT_EQ(m.count("Host"), 1U);
    const std::string id = m.header("X-Request-Id").value_or("");
    EXPECT_FALSE(id.empty());
    EXPECT_EQ(answer.message.header("X-Request-Id"), id);
    EXPECT_EQ(answer.message.header("X-Served-By"), "primary");
    EXPECT_TRUE(answer.message.header("Via").value_or("").starts_with("1.1 ")) << answer.message.head;

    origin_.forget();
    const Answer named = request(port(), "GET", "/x", {{"X-Request-Id", "my-id-42"}});
    EXPECT_EQ(received().header("X-Request-Id"), "my-id-42");
    EXPECT_EQ(named.message.header("X-Request-Id"), "my-id-42");
    origin_.forget();
    std::set<std::string> ids;
    for (int i = 0; i < 50; ++i) ids.insert(get(port(), "/").message.header("X-Request-Id").value_or(""));
    EXPECT_EQ(ids.size(), 50U);
    std::set<char> digits;
    for (const std::string& made : ids) {
        EXPECT_EQ(made.size(), 32U) << made;
        digits.insert(made.begin(), made.end());
    }
    EXPECT_EQ(std::string(digits.begin(), digits.end()), "0123456789abcdef");
}

TEST_F(Http, HeadAnd204And304HaveNoBody)
{
    RawClient client(port());
    reply_with(Reply::text(std::string(100, 'x')));
    for (int i = 0; i < 2; ++i) {
        client.send(format_request("HEAD", "/x"));
        const Answer head = client.read_response(patience, true);
        EXPECT_EQ(head.status(), 200);
        EXPECT_EQ(head.message.header("Content-Length"), "100");
    }
    for (const int status : {204, 304}) {
        Reply reply;
        reply.status = status;
        reply.framing = Framing::none;
        if (status == 304) reply.headers = {{"Content-Length", "100"}, {"ETag", "\"a\""}};
        reply_with(reply);
        client.send(format_request("GET", "/x"));
        const Answer answer = client.read_response();
        EXPECT_EQ(answer.status(), status);
        EXPECT_TRUE(answer.complete());
        EXPECT_FALSE(answer.message.chunked);
        EXPECT_EQ(answer.message.header("ETag").has_value(), status == 304);
    }
    reply_with(Reply::text("after"));
    client.send(format_request("GET", "/x"));
    EXPECT_EQ(client.read_response().message.body, "after");
}

TEST_F(Http, PassesInterimAnswersOn)
{
    Reply reply = Reply::text("final");
    reply.before = "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n";
    reply_with(reply);
    const Answer answer = get(port(), "/x");
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.message.body, "final");
    EXPECT_EQ(answer.message.interim, (std::vector<int>{103, 102}));

    RawClient old(port());
    old.send("GET /x HTTP/1.0\r\nHost: a\r\n\r\n");
    const Answer without = old.read_response();
    EXPECT_EQ(without.message.body, "final");
    EXPECT_TRUE(without.message.interim.empty()) << "RFC 9110 15.2: no 1xx to an HTTP/1.0 client";
}

TEST_F(Http, Expect100ContinueLetsTheBodyCome)
{
    RawClient client(port());
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    std::string interim;
    while (interim.find("\r\n\r\n") == interim.npos) {
        const std::string some = client.read_some(1000);
        ASSERT_FALSE(some.empty()) << "no 100: " << interim;
        interim += some;
    }
    EXPECT_TRUE(interim.starts_with("HTTP/1.1 100 ")) << interim;
    client.send("hello");
    EXPECT_EQ(client.read_response().status(), 200);
    EXPECT_EQ(received().body, "hello");
}

TEST_F(Http, Expect100ContinueCanBeRefusedByTheOrigin)
{
    Reply reply = Reply::text("too much", 413);
    reply.early = true;
    reply.announce_continue = false;
    reply_with(reply);
    RawClient client(port());
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nX-Test-Id: e\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    const Answer answer = client.read_response(milliseconds(5000));
    // The body was never sent. Either the origin's word comes through, or the balancer asked for the body itself, which
    // is allowed, and still waits for it.
    if (answer.message.interim.empty())
        EXPECT_EQ(answer.status(), 413);
    else
        ADD_FAILURE() << "the balancer promised to take a body that the origin refuses";
}

TEST_F(Http, AnEarlyAnswerReachesAClientThatIsStillSending)
{
    Reply reply = Reply::text("no", 413);
    reply.early = true;
    reply_with(reply);
    RawClient client(port());
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\nfirst bytes");
    EXPECT_EQ(client.read_response().status(), 413);
    EXPECT_TRUE(eventually([&] {
        reply_with(Reply::text("ok"));
        return works();
    }));
}

TEST_F(Http, AnswersPipelinedRequestsInOrder)
{
    origin_.script([](const Message& request) {
        Reply r = Reply::text(std::string(request.target()));
        if (request.target() == "/1") r.delay = milliseconds(50);
        return r;
    });
    RawClient client(port());
    std::string all;
    for (int i = 1; i <= 20; ++i)
        all += format_request(i % 2 ? "GET" : "POST", "/" + std::to_string(i), {}, i % 2 ? "" : "body");
    client.send(all);
    for (int i = 1; i <= 20; ++i) EXPECT_EQ(client.read_response().message.body, "/" + std::to_string(i));
}

TEST_F(Http, PipelinesAdminAndProxiedRequestsOnOneConnection)
{
    RawClient client(port());
    client.send(format_request("GET", "/x") + format_request("GET", "/health") + format_request("GET", "/y"));
    EXPECT_EQ(client.read_response().json()["service"], "primary");
    EXPECT_EQ(client.read_response().status(), 200);
    const Answer third = client.read_response();
    // The admin may end the connection after its answer, if it says so.
    EXPECT_TRUE(third.status() == 200 || third.end == End::closed) << to_string(third.end);
}

TEST_F(Http, ServesHttp10Clients)
{
    Reply chunked;
    chunked.body = "chunks";
    chunked.framing = Framing::chunked;
    reply_with(chunked);
    RawClient plain(port());
    plain.send("GET /x HTTP/1.0\r\n\r\n");
    const Answer answer = plain.read_response();
    EXPECT_EQ(answer.message.body, "chunks");
    EXPECT_FALSE(answer.message.chunked) << "RFC 9112 7.1: an HTTP/1.0 client does not know chunks";
    EXPECT_TRUE(plain.closed_by_peer());

    reply_with(Reply::text("sized"));
    RawClient keeping(port());
    for (int i = 0; i < 2; ++i) {
        keeping.send("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        const Answer kept = keeping.read_response();
        EXPECT_EQ(kept.message.body, "sized");
        if (!kept.message.lists("Connection", "keep-alive")) break; // it need not, but must then close
    }
    for (const Message& m : origin_.requests()) EXPECT_TRUE(m.start_line.ends_with("HTTP/1.1")) << m.start_line;
}

TEST_F(Http, ClosesWhenTheClientAsksForIt)
{
    RawClient client(port());
    client.send(format_request("GET", "/x", {{"Connection", "close"}}));
    EXPECT_FALSE(client.read_response().message.keep_alive());
    EXPECT_TRUE(client.closed_by_peer());
}

TEST_F(Http, CarriesChunksBothWays)
{
    Reply reply;
    reply.pattern = 100'000;
    reply.framing = Framing::chunked;
    reply.piece = 777;
    reply.trailers = {{"X-Sum", "1"}};
    reply_with(reply);
    RawClient client(port());
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                "3;ext=\"quoted;\"\r\nabc\r\nA\r\n0123456789\r\n00\r\nX-Trailer: t\r\n\r\n");
    const Answer answer = client.read_response();
    EXPECT_EQ(answer.message.body_bytes, 100'000U);
    EXPECT_EQ(answer.message.body_hash, Pattern::hash(100'000));
    EXPECT_EQ(received().body, "abc0123456789");
    client.send(format_request("GET", "/y"));
    EXPECT_TRUE(client.read_response().complete());
}

TEST_F(Http, CarriesAnAnswerThatEndsWithItsConnection)
{
    Reply reply;
    reply.pattern = 100'000;
    reply.framing = Framing::until_close;
    reply_with(reply);
    for (int i = 0; i < 2; ++i) {
        const Answer answer = get(port(), "/x");
        EXPECT_TRUE(answer.complete());
        EXPECT_EQ(answer.message.body_bytes, 100'000U);
        EXPECT_EQ(answer.message.body_hash, Pattern::hash(100'000));
    }
}

TEST_F(Http, CarriesLargeBodiesDown)
{
    for (const auto framing : {Framing::sized, Framing::chunked}) {
        Reply reply;
        reply.pattern = large_body;
        reply.framing = framing;
        reply_with(reply);
        const Answer answer = get(port(), "/x");
        EXPECT_TRUE(answer.complete());
        EXPECT_EQ(answer.message.body_bytes, large_body);
        EXPECT_EQ(answer.message.body_hash, Pattern::hash(large_body));
    }
}

TEST_F(Http, CarriesLargeBodiesUp)
{
    for (const bool chunked : {false, true}) {
        origin_.forget();
        RawClient client(port());
        client.send(
            "PUT /x HTTP/1.1\r\nHost: a\r\n" +
            (chunked ? std::string("Transfer-Encoding: chunked") : "Content-Length: " + std::to_string(large_body)) +
            "\r\n\r\n");
        Pattern pattern(large_body);
        while (pattern.left() > 0) {
            const std::string_view piece = pattern.next();
            std::ostringstream size;
            size << std::hex << piece.size() << "\r\n";
            if (chunked) client.send(size.str());
            ASSERT_TRUE(client.send(piece));
            if (chunked) client.send("\r\n");
        }
        if (chunked) client.send("0\r\n\r\n");
        EXPECT_EQ(client.read_response().status(), 200);
        EXPECT_EQ(received().body_bytes, large_body);
        EXPECT_EQ(received().body_hash, Pattern::hash(large_body));
    }
}

TEST_F(Http, TakesRequestsByteByByte)
{
    RawClient client(port());
    client.send_sliced("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
    EXPECT_EQ(client.read_response().status(), 200);
    EXPECT_EQ(received().body, "abc");
}

TEST(HttpSliced, TakesAnswersByteByByte)
{
    Origin origin("primary", [](const Message& request) {
        Reply r = Reply::text(std::string(request.target()));
        r.framing = request.target() == "/chunked" ? Framing::chunked : Framing::sized;
        return r;
    });
    Gate gate(origin.port());
    gate.set(Fault::slice());
    Balancer balancer({{"primary", gate.port()}});
    for (const std::string target : {"/sized", "/chunked"})
        EXPECT_EQ(get(balancer.port(), target).message.body, target);
}

// --- Tunnels ---------------------------------------------------------------------------------------------------------

Reply upgrade_reply()
{
    Reply r;
    r.status = 101;
    r.headers = {
        {"Connection", "Upgrade"}, {"Upgrade", "websocket"}, {"Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}};
    r.framing = Framing::none;
    r.echo = true;
    return r;
}

const std::string upgrade_request =
    "GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

TEST_F(Http, AnUpgradeBecomesATunnel)
{
    reply_with(upgrade_reply());
    RawClient client(port());
    client.send(upgrade_request + "first");
    const Answer answer = client.read_response();
    ASSERT_EQ(answer.status(), 101);
    EXPECT_EQ(answer.message.header("Upgrade"), "websocket");
    EXPECT_TRUE(answer.message.lists("Connection", "upgrade")) << answer.message.head;
    EXPECT_EQ(answer.message.header("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    EXPECT_EQ(received().header("Upgrade"), "websocket");
    EXPECT_TRUE(received().lists("Connection", "upgrade")) << received().head;

    std::string echoed = client.read_some(5);
    EXPECT_EQ(echoed, "first");
    std::string sent;
    for (int i = 0; i < 1000; ++i) sent += "frame " + std::to_string(i) + "\r\n\r\n";
    client.send(sent);
    echoed.clear();
    while (echoed.size() < sent.size()) {
        const std::string some = client.read_some(65536);
        if (some.empty()) break;
        echoed += some;
    }
    EXPECT_EQ(echoed, sent);
    client.finish_sending(); // travels through the tunnel and comes back
    EXPECT_TRUE(client.closed_by_peer());
    reply_with(Reply::text("ok"));
    EXPECT_TRUE(works());
}

TEST_F(Http, ARefusedUpgradeIsAnOrdinaryAnswer)
{
    reply_with(Reply::text("no", 403));
    RawClient client(port());
    client.send(upgrade_request);
    EXPECT_EQ(client.read_response().status(), 403);
    reply_with(Reply::text("ok"));
    client.send(format_request("GET", "/x"));
    EXPECT_EQ(client.read_response().status(), 200);
}

TEST_F(Http, A101ThatWasNotRequestedIsAnError)
{
    reply_with(upgrade_reply());
    EXPECT_EQ(post(port(), "/x", "never repeated").status(), 502);
}

// --- Clients and servers that go away --------------------------------------------------------------------------------

TEST_F(Http, AClientThatHasFinishedSendingIsAnswered)
{
    Reply reply = Reply::text("late");
    reply.delay = milliseconds(100);
    reply_with(reply);
    RawClient client(port());
    client.send(format_request("GET", "/x"));
    client.finish_sending();
    EXPECT_EQ(client.read_response().message.body, "late");
    EXPECT_TRUE(client.closed_by_peer());
}

TEST_F(Http, AClientThatDisappearsFreesTheOrigin)
{
    reply_with([] {
        Reply r;
        r.pattern = 1ULL << 40;
        return r;
    }());
    for (int i = 0; i < 5; ++i) {
        RawClient client(port(), 4096);
        client.send(format_request("GET", "/endless"));
        EXPECT_FALSE(client.read_some(100).empty());
        client.reset();
    }
    // The origin stops sending because its connections were closed.
    std::uint64_t before = 0;
    EXPECT_TRUE(eventually([&] { return std::exchange(before, origin_.body_bytes_sent()) == before; }, patience, soon));
    reply_with(Reply::text("ok"));
    EXPECT_TRUE(works());
}

TEST_F(Http, AClientThatDisappearsInItsBodyExecutesNothing)
{
    RawClient client(port());
    client.send("POST /x HTTP/1.1\r\nHost: a\r\nX-Test-Id: half\r\nContent-Length: 100\r\n\r\nhalf");
    ASSERT_TRUE(eventually([&] { return origin_.seen() == 1 || origin_.connections() > 0; }));
    client.reset();
    EXPECT_TRUE(works());
    EXPECT_EQ(origin_.executed("half"), 0U);
}

/// What the client gets is whole or visibly not.
TEST_F(Http, ATruncatedAnswerIsNeverMadeWhole)
{
    struct Case {
        Framing framing;
        Break where;
    };
    for (const Case c : {Case{Framing::sized, Break::close_in_body}, Case{Framing::sized, Break::reset_in_body},
                         Case{Framing::chunked, Break::close_in_body}, Case{Framing::chunked, Break::reset_in_body},
                         Case{Framing::until_close, Break::reset_in_body}}) {
        for (const std::uint64_t after : {0U, 1U, 5'000U, 300'000U}) {
            SCOPED_TRACE(testing::Message() << "framing " << static_cast<int>(c.framing) << " break "
                                            << static_cast<int>(c.where) << " after " << after);
            Reply reply = Reply::broken(c.where, after);
            reply.framing = c.framing;
            reply.pattern = 400'000;
            reply_with(reply);
            const Answer answer = get(port(), "/x");
            EXPECT_FALSE(answer.status() == 200 && answer.complete()) << answer.message.body_bytes << " bytes";
        }
    }
    reply_with(Reply::text("ok"));
    EXPECT_TRUE(works());
}

TEST_F(Http, AnAnswerThatIsNotHttpBecomes502)
{
    using namespace std::string_literals;
    const std::string ok = "HTTP/1.1 200 OK\r\n";
    const std::vector<std::pair<std::string, std::string>> answers{
        {"not HTTP", "hello there\r\n\r\n"},
        {"two lengths", ok + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab"},
        {"length and chunks", ok + "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n"},
        {"bad length", ok + "Content-Length: x\r\n\r\n"},
        {"unknown coding", ok + "Transfer-Encoding: gzip\r\n\r\nabc"},
        {"obs-fold", ok + "X: a\r\n b\r\nContent-Length: 0\r\n\r\n"},
        {"space before the colon", ok + "X : a\r\nContent-Length: 0\r\n\r\n"},
        {"NUL", ok + "X: a\0b\r\nContent-Length: 0\r\n\r\n"s},
        {"status of one digit", "HTTP/1.1 2 OK\r\nContent-Length: 0\r\n\r\n"},
        {"status out of range", "HTTP/1.1 999999 OK\r\nContent-Length: 0\r\n\r\n"},
        {"endless header", ok + "X: " + std::string(1'000'000, 'x') + "\r\n\r\n"},
        {"nothing", ""},
    };
    for (const auto& [what, raw] : answers) {
        SCOPED_TRACE(what);
        Reply reply = raw.empty() ? Reply::broken(Break::close_unanswered) : Reply{};
        reply.raw = raw;
        reply_with(reply);
        const Answer answer = post(port(), "/x", "never repeated");
        EXPECT_EQ(answer.status(), 502) << to_string(answer.end) << answer.message.head;
    }
    reply_with(Reply::text("ok"));
    EXPECT_TRUE(eventually([&] { return works(); }));
}

TEST_F(Http, ReadsWhatASloppyServerMeansAndWritesItOutClean)
{
    const std::string sized = "Content-Length: 2\r\n\r\nok";
    const std::vector<std::pair<std::string, std::string>> answers{
        {"HTTP/1.1 200\r\n" + sized, "HTTP/1.1 200 \r\n"},
        {"HTTP/1.1 200 OK\nContent-Length: 2\n\nok", "HTTP/1.1 200 OK\r\n"},
        {"HTTP/1.2 200 OK\r\n" + sized, "HTTP/1.1 200 OK\r\n"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n" + sized, "HTTP/1.1 200 OK\r\n"},
        {"HTTP/1.1 999 Denied\r\n" + sized, "HTTP/1.1 999 Denied\r\n"},
        {"HTTP/1.1 600 X\r\n" + sized, "HTTP/1.1 600 X\r\n"},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2   \r\nok\r\n0   \r\n\r\n", "HTTP/1.1 200 OK\r\n"}};
    for (const auto& [raw, status_line] : answers) {
        SCOPED_TRACE(raw);
        Reply reply;
        reply.raw = raw;
        reply_with(reply);
        origin_.forget();
        const Answer answer = get(port(), "/x");
        EXPECT_TRUE(answer.message.head.starts_with(status_line)) << answer.message.head;
        EXPECT_EQ(answer.message.body, "ok");
        EXPECT_LE(answer.message.count("Content-Length"), 1U) << answer.message.head;
        EXPECT_EQ(origin_.seen(), 1U);
    }
}

TEST_F(Http, WhatAServerSendsUnaskedReachesNoClient)
{
    // Two answers to one request: the second must not go to another client.
    Reply reply;
    reply.raw = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged";
    origin_.script(
        [reply](const Message& request) { return request.target() == "/two" ? reply : Reply::text("real"); });
    RawClient client(port());
    for (int i = 0; i < 20; ++i) {
        client.send(format_request("GET", "/two"));
        EXPECT_EQ(client.read_response().message.body, "a");
        client.send(format_request("GET", "/one"));
        EXPECT_EQ(client.read_response().message.body, "real");
    }
}

// --- Bounded resources -----------------------------------------------------------------------------------------------

TEST_F(Http, ASlowReaderIsNotBuffered)
{
    reply_with([] {
        Reply r;
        r.pattern = 1ULL << 30;
        return r;
    }());
    const std::size_t before = balancer_.process().resident_kib();
    RawClient client(port(), 4096);
    client.send(format_request("GET", "/endless"));
    EXPECT_FALSE(client.read_some(100).empty());
    // The origin fills every buffer on the way, then has to wait.
    std::uint64_t sent = 0;
    ASSERT_TRUE(
        eventually([&] { return std::exchange(sent, origin_.body_bytes_sent()) == sent && sent > 0; }, patience, soon));
    EXPECT_LT(origin_.body_bytes_sent(), 32 * mebibyte) << "sockets hold a few MiB; the rest would be in the balancer";
    EXPECT_LT(balancer_.process().resident_kib(), before + growth_kib);
    EXPECT_TRUE([&] {
        reply_with(Reply::text("ok"));
        return works();
    }()) << "others are served meanwhile";
}

TEST_F(Http, ASlowServerIsNotBuffered)
{
    const auto release = std::make_shared<std::latch>(1); // the server may look at it until it has ended
    origin_.script([release](const Message&) {
        release->wait();
        return Reply::text("ok");
    });
    const std::size_t before = balancer_.process().resident_kib();
    RawClient client(port());
    client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    Pattern pattern(1'000'000'000);
    std::uint64_t sent = 0;
    while (sent < 64 * mebibyte) {
        const auto piece = pattern.next();
        if (!client.send(piece, soon)) break; // everything on the way is full
        sent += piece.size();
    }
    EXPECT_LT(sent, 32 * mebibyte);
    EXPECT_LT(balancer_.process().resident_kib(), before + growth_kib);
    client.reset();
    release->count_down();
    EXPECT_TRUE(eventually([&] { return works(); }));
}

TEST(HttpReplayBuffer, ALongerBodyIsStreamed)
{
    Origin first("first");
    Origin second("second");
    Gate to_first(first.port());
    Balancer balancer({{"first", to_first.port()}, {"second", second.port()}});
    ASSERT_TRUE(balancer.wait_for("first", "healthy"));
    ASSERT_TRUE(balancer.wait_for("second", "healthy"));
    const std::uint64_t size = 5 * mebibyte;
    std::string body;
    for (Pattern p(size); p.left() > 0;) body += p.next();

    EXPECT_EQ(request(balancer.port(), "PUT", "/x", {{"X-Test-Id", "1"}}, body).status(), 200);
    ASSERT_EQ(first.executed("1"), 1U);
    EXPECT_EQ(first.requests().front().body_hash, Pattern::hash(size));

    // Not sent yet, so it moves, whatever its size.
    to_first.set(Fault::refuse());
    to_first.reset_all();
    EXPECT_EQ(request(balancer.port(), "PUT", "/x", {{"X-Test-Id", "2"}}, body).status(), 200);
    ASSERT_EQ(second.executed("2"), 1U);
    EXPECT_EQ(second.requests().front().body_hash, Pattern::hash(size));
}

TEST(HttpAddresses, AnIPv4ClientOfAnIPv6ListenerIsAnIPv4Client)
{
    Origin origin("primary");
    Process balancer(binary("balancer"),
                     {"--listen", "[::]:0", "--backend", "primary=" + origin.url(), "--forwarded", "--admin"});
    const std::uint16_t port = balancer.wait_ready();
    ASSERT_EQ(get(port, "/x").status(), 200) << balancer.description();
    ASSERT_EQ(origin.requests().size(), 1U);
    const Message received = origin.requests().front();
    EXPECT_EQ(received.header("X-Forwarded-For"), "127.0.0.1");
    EXPECT_NE(received.header("Forwarded").value_or("").find("for=127.0.0.1;"), std::string::npos) << received.head;
    EXPECT_EQ(post(port, "/admin/backends/primary/drain").status(), 200) << "it is on loopback";
}

TEST(HttpNames, OneThatDoesNotResolveIsABackendThatIsDown)
{
    Origin origin("primary");
    Balancer balancer({{"primary", origin.port()}}, {"--backend", "later=http://not-there-yet.invalid:8080"});
    ASSERT_TRUE(balancer.wait_for("primary", "healthy"));
    ASSERT_TRUE(balancer.wait_for("later", "down"));
    EXPECT_EQ(get(balancer.port(), "/x").status(), 200);
    EXPECT_NE(balancer.status().dump().find("'not-there-yet.invalid' does not resolve"), std::string::npos)
        << balancer.status();
}

double cpu_seconds(pid_t pid)
{
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    std::string text;
    std::getline(stat, text);
    std::istringstream fields(text.substr(text.rfind(')') + 2));
    std::string skipped;
    for (int i = 0; i < 11; ++i) fields >> skipped;
    double user = 0;
    double system = 0;
    fields >> user >> system;
    return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

TEST(HttpDescriptors, SurvivesRunningOutOfThem)
{
    Origin origin("primary");
    Process::Options options;
    options.descriptors = 80;
    Balancer balancer({{"primary", origin.port()}}, {}, options);
    ASSERT_TRUE(balancer.wait_for("primary", "healthy"));
    {
        std::vector<std::unique_ptr<RawClient>> clients;
        for (int i = 0; i < 300; ++i) clients.push_back(std::make_unique<RawClient>(balancer.port()));
        const double before = cpu_seconds(balancer.process().pid());
        EXPECT_FALSE(balancer.process().wait_exit(milliseconds(1000))) << balancer.process().description();
        EXPECT_LT(cpu_seconds(balancer.process().pid()) - before, 0.5) << "it spins";
    }
    EXPECT_TRUE(eventually([&] { return request(balancer.port(), "GET", "/", {}, {}, soon).status() == 200; }));
    EXPECT_TRUE(balancer.wait_for("primary", "healthy"));
}

// --- The balancer's own answers --------------------------------------------------------------------------------------

TEST(HttpUnavailable, SaysSoAndWhenToComeBack)
{
    Origin gone("primary");
    const auto dead_port = gone.port();
    gone.stop();
    Balancer balancer({{"primary", dead_port}});
    ASSERT_TRUE(balancer.wait_for("primary", "down"));
    RawClient client(balancer.port());
    client.send(format_request("GET", "/x", {{"X-Request-Id", "my-id"}}));
    const auto start = Clock::now();
    const Answer answer = client.read_response();
    EXPECT_LT(Clock::now() - start, seconds(8)) << "parked for 2 s at most";
    EXPECT_EQ(answer.status(), 503);
    EXPECT_TRUE(answer.message.header("Retry-After").has_value()) << answer.message.head;
    EXPECT_EQ(answer.message.header("Content-Type"), "application/problem+json");
    EXPECT_EQ(answer.json().value("status", 0), 503) << answer.message.body;
    EXPECT_EQ(answer.json().value("request_id", ""), "my-id");
    EXPECT_FALSE(answer.json().value("title", "").empty());
    EXPECT_EQ(answer.json().value("error", "-"), answer.json().value("detail", "+"));
    EXPECT_EQ(get(balancer.port(), "/health").status(), 503);
}

TEST_F(Http, AnswersItsOwnEndpoints)
{
    EXPECT_EQ(get(port(), "/health").status(), 200);
    EXPECT_EQ(get(port(), "/health?verbose").status(), 200);
    EXPECT_EQ(get(port(), "/metrics").status(), 200);
    EXPECT_EQ(request(port(), "HEAD", "/health").status(), 200);
    const Answer wrong = post(port(), "/status", "{}");
    EXPECT_EQ(wrong.status(), 405);
    EXPECT_TRUE(wrong.message.lists("Allow", "GET")) << wrong.message.head;
    EXPECT_EQ(get(port(), "/admin/nothing").status(), 404);
    EXPECT_EQ(post(port(), "/admin/backends/nobody/drain").status(), 404);
    EXPECT_EQ(post(port(), "/admin/failover", "{").status(), 400);
    EXPECT_EQ(origin_.seen(), 0U);
}

TEST_F(Http, StreamsEvents)
{
    RawClient events(port());
    events.send(format_request("GET", "/events"));
    std::string text;
    ASSERT_TRUE(eventually([&] {
        text += events.read_some(65536, milliseconds(50));
        return text.find("\r\n\r\n") != text.npos;
    })) << text;
    EXPECT_NE(text.find("text/event-stream"), text.npos) << text;
    EXPECT_EQ(post(port(), "/admin/backends/primary/maintenance").status(), 200);
    EXPECT_TRUE(eventually([&] {
        text += events.read_some(65536, milliseconds(50));
        return text.find("maintenance") != text.npos;
    })) << text;
    EXPECT_NE(text.find("id:"), text.npos) << text;
}

TEST_F(Http, StreamsLogsAsWebSocketText)
{
    RawClient client(port());
    std::string upgrade = upgrade_request;
    upgrade.replace(upgrade.find("/chat"), 5, "/logs");
    upgrade.replace(upgrade.find("Host: a"), 7, "Host: localhost");
    client.send(upgrade);
    const Answer answer = client.read_response();
    ASSERT_EQ(answer.status(), 101) << answer.message.body;
    EXPECT_EQ(answer.message.header("Sec-WebSocket-Accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    EXPECT_EQ(post(port(), "/admin/backends/primary/maintenance").status(), 200);
    std::string text;
    EXPECT_TRUE(eventually([&] {
        text += client.read_some(65536, milliseconds(50));
        return text.find("maintenance") != text.npos;
    })) << text;
    EXPECT_EQ(static_cast<unsigned char>(text.empty() ? 0 : text[0]), 0x81U) << "a whole text frame (RFC 6455 5.2)";
}

} // namespace TEST_FILE
} // namespace hotspare::test
