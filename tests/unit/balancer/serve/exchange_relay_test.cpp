// The response's body on its way to the client.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <ostream>
#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

std::string content(std::size_t size)
{
    static std::string text;
    for (std::size_t i = text.size(); text.size() < size; ++i) text += std::to_string(i) + ' ';
    return text.substr(0, size);
}

std::string head_of(std::size_t length)
{
    return "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(length) + "\r\n\r\n";
}

const std::string endless = "HTTP/1.1 200 OK\r\n\r\n";
const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";

class ExchangeDownload : public ::testing::TestWithParam<Reading> {};

TEST_P(ExchangeDownload, ArrivesWhateverItsSizeAndPieces)
{
    for (const std::size_t size :
         {std::size_t{1}, std::size_t{5000}, std::size_t{300 * 1024}, std::size_t{1200 * 1024}}) {
        for (const std::size_t piece : {std::size_t{1000}, std::size_t{16 * 1024}, std::size_t{100 * 1024}}) {
            if (size / piece > 300) continue; // nothing that fewer pieces do not show
            ExchangeWorld world(exchange_config(), GetParam());
            const std::string body = content(size);
            world.client_sends(get());
            world.at(a).sends_in_pieces(head_of(size) + body, piece);
            world.run();
            EXPECT_TRUE(world.client().got().ends_with("\r\n\r\n" + body)) << size << " in pieces of " << piece;
            EXPECT_EQ(world.fates(), "a pooled");
        }
    }
}

TEST_P(ExchangeDownload, IsHeldBackByAClientThatTakesLittle)
{
    ExchangeWorld world(exchange_config(), GetParam());
    const std::string body = content(500 * 1024);
    world.client_sends(get());
    world.client().takes(10000);
    world.at(a).sends_in_pieces(head_of(body.size()) + body, 7000);
    world.run();
    EXPECT_GE(world.at(a).unread(), body.size() - 10000 - 2 * read_ahead);
    EXPECT_LE(world.plane.relay_memory.held(), 8 * read_ahead);
    for (int i = 0; i < 200 && world.client().got().size() < body.size(); ++i) {
        world.client().takes(10000);
        world.run();
        world.pass(milliseconds(1));
    }
    EXPECT_TRUE(world.client().got().ends_with("\r\n\r\n" + body));
    EXPECT_EQ(world.fates(), "a pooled");
    EXPECT_EQ(world.evidence(), "a success");
}

TEST_P(ExchangeDownload, OfAStalledClientHoldsLittle)
{
    ExchangeWorld world(exchange_config(), GetParam());
    const std::string body = content(500 * 1024);
    world.client_sends(get());
    world.client().takes(10000);
    world.at(a).sends_in_pieces(head_of(body.size()) + body, 7000);
    world.run();
    world.pass(milliseconds(300));
    // What remains are its bytes, rounded up: buffers that hold nothing were given back.
    EXPECT_LE(world.plane.relay_memory.held(), 2 * read_ahead);
    world.client().takes_all();
    world.run();
    EXPECT_TRUE(world.client().got().ends_with("\r\n\r\n" + body));
}

INSTANTIATE_TEST_SUITE_P(Exchange, ExchangeDownload, ::testing::Values(Reading::pieces, Reading::socket),
                         [](const auto& about) { return about.param == Reading::pieces ? "Pieces" : "Socket"; });

// ---------------------------------------------------------------------------------------------------------------
// framing

struct Framed {
    const char* name;
    std::string request;
    std::string method;
    std::string answer;
    bool ends; ///< the backend closes behind it
    std::string saw;
    std::string fate;
};

std::ostream& operator<<(std::ostream& out, const Framed& one)
{
    return out << one.name;
}

class ExchangeFraming : public ::testing::TestWithParam<Framed> {};

TEST_P(ExchangeFraming, IsUnderstoodOnBothSides)
{
    const Framed& one = GetParam();
    ExchangeWorld world;
    world.client_sends(one.request);
    world.at(a).sends(one.answer);
    if (one.ends) world.at(a).finishes();
    world.run();
    EXPECT_EQ(world.saw({one.method}), one.saw);
    EXPECT_EQ(world.fates(), one.fate);
    EXPECT_EQ(world.evidence(), "a success");
}

const std::string http10 = "GET / HTTP/1.0\r\nHost: h\r\n\r\n";
const std::string http10_kept = "GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n";

INSTANTIATE_TEST_SUITE_P(
    Exchange, ExchangeFraming,
    ::testing::Values(
        Framed{"Length", get(), "GET", ok(), false, "200 hello", "a pooled"},
        Framed{"LengthZero", get(), "GET", ok(""), false, "200", "a pooled"},
        Framed{"Chunks", get(), "GET", chunked + chunk("hel") + chunk("lo") + "0\r\n\r\n", false, "200 hello",
               "a pooled"},
        Framed{"NoLength", get(), "GET", endless + "hello", true, "200 hello", "a closed"},
        Framed{"Head", request("HEAD"), "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", false, "200",
               "a pooled"},
        Framed{"HeadOfChunks", request("HEAD"), "HEAD", chunked, false, "200", "a pooled"},
        Framed{"NoContent", get(), "GET", response(204), false, "204", "a pooled"},
        Framed{"NotModified", get(), "GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, "304",
               "a pooled"},
        Framed{"Http10", http10, "GET", ok(), false, "200 hello; end", "a pooled"},
        Framed{"Http10KeptAlive", http10_kept, "GET", ok(), false, "200 hello", "a pooled"},
        Framed{"Http10OfChunks", http10_kept, "GET", chunked + chunk("hello") + "0\r\n\r\n", false, "200 hello; end",
               "a pooled"},
        Framed{"Http10OfNoLength", http10_kept, "GET", endless + "hello", true, "200 hello; end", "a closed"},
        Framed{"ClientWantsTheEnd", get("Connection: close\r\n"), "GET", ok(), false, "200 hello; end", "a pooled"}),
    [](const auto& about) { return std::string(about.param.name); });

// ------------------------------------------------------------------------------------------------------------
// truncation

struct Cut {
    const char* name;
    std::string answer;
    bool with_reset;
    std::string saw;
};

std::ostream& operator<<(std::ostream& out, const Cut& one)
{
    return out << one.name;
}

class ExchangeTruncation : public ::testing::TestWithParam<Cut> {};

TEST_P(ExchangeTruncation, IsShownToTheClient)
{
    for (const auto& bytes : {get(), post()}) {
        ExchangeWorld world;
        world.client_sends(bytes);
        world.answer(a, GetParam().answer);
        if (GetParam().with_reset)
            world.at(a).breaks();
        else
            world.at(a).finishes();
        world.run();
        EXPECT_EQ(world.saw(), GetParam().saw);
        EXPECT_EQ(world.connections(b), 0U);
        EXPECT_EQ(world.fates(), "a reset");
        EXPECT_EQ(world.trail().substr(0, 2), "a ");
        EXPECT_EQ(world.logged.status, 200U);
        EXPECT_FALSE(world.logged.complete);
        EXPECT_EQ(world.counts(), "requests 1, aborted 1, lost truncated 1");
    }
}

INSTANTIATE_TEST_SUITE_P(
    Exchange, ExchangeTruncation,
    ::testing::Values(Cut{"EndWithinLength", head_of(5) + "hel", false, "200 hel~; reset"},
                      Cut{"ResetWithinLength", head_of(5) + "hel", true, "200 hel~; reset"},
                      Cut{"EndBehindTheHead", head_of(5), false, "200 ~; reset"},
                      Cut{"EndWithinChunk", chunked + "5\r\nhel", false, "200 hel~; reset"},
                      Cut{"EndBeforeLastChunk", chunked + chunk("hello"), false, "200 hello~; reset"},
                      Cut{"ResetBeforeLastChunk", chunked + chunk("hello"), true, "200 hello~; reset"},
                      Cut{"ResetWithoutLength", endless + "hello", true, "200 hello~; reset"},
                      Cut{"MalformedChunk", chunked + chunk("hello") + "zz\r\n", false, "200 hello~; reset"}),
    [](const auto& about) { return std::string(about.param.name); });

TEST(ExchangeRelay, WhatTheBackendDidSendIsTheClientsAlsoIfItDies)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.client().takes(0);
    world.answer(a, head_of(5) + "hel");
    world.client().takes_all();
    world.at(a).breaks();
    world.run();
    EXPECT_EQ(world.saw(), "200 hel~; reset");
}

TEST(ExchangeRelay, ABackendThatIsDeclaredDownMayFinishItsAnswer)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.answer(a, head_of(5) + "hel");
    world.goes_down(a);
    world.answer(a, "lo");
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.counts(), "requests 1, 2xx 1");
}

// ---------------------------------------------------------------------------------------------------------------
// silence

TEST(ExchangeRelay, ASilentBackendIsBlamedAfterTheHead)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.answer(a, head_of(5) + "hel");
    world.pass(seconds(29));
    EXPECT_EQ(world.saw(), "200 hel~");
    world.pass(seconds(2));
    EXPECT_EQ(world.saw(), "200 hel~; reset");
    EXPECT_EQ(world.trail(), "a timed_out");
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_EQ(world.counts(), "requests 1, aborted 1, lost truncated 1");
    // A body owes nothing by a deadline: no evidence.
    EXPECT_EQ(world.evidence(), "a success");
}

TEST(ExchangeRelay, AClientThatTakesNothingIsLeftAndNoBackendBlamed)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.client().takes(3);
    world.answer(a, head_of(5) + "hel");
    world.pass(seconds(31));
    EXPECT_TRUE(world.client().was_reset());
    EXPECT_EQ(world.trail(), "a cancelled");
    EXPECT_EQ(world.evidence(), "a success");
    EXPECT_EQ(world.counts(), "requests 1, aborted 1");
}

TEST(ExchangeRelay, AClientThatDoesNotTakeTheLastBytesIsLeftToo)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.client().takes(3);
    world.answer(a, ok());
    EXPECT_EQ(world.fates(), "a pooled"); // it is free for others at once
    world.pass(seconds(31));
    EXPECT_TRUE(world.client().was_reset());
    EXPECT_EQ(world.counts(), "requests 1, aborted 1");
}

TEST(ExchangeRelay, AClientThatStopsItsUploadBesideTheAnswerIsLeftAndNoBackendBlamed)
{
    ExchangeWorld world;
    world.client_sends(request("POST", "Content-Length: 100\r\n") + "part");
    world.answer(a, head_of(5) + "hel");
    world.pass(seconds(31));
    EXPECT_EQ(world.saw(), "200 hel~; reset");
    EXPECT_EQ(world.trail(), "a cancelled");
    EXPECT_EQ(world.counts(), "requests 1, aborted 1");
}

TEST(ExchangeRelay, ABackendThatTakesNoUploadBesideItsAnswerIsBlamed)
{
    ExchangeWorld world;
    world.door(a, Door::silent);
    world.client_sends(request("POST", "Content-Length: 30000\r\n"));
    world.at(a).accepts();
    world.at(a).takes(500);
    world.client().sends(std::string(20000, 'x'));
    world.run();
    world.answer(a, head_of(5) + "hel");
    world.pass(seconds(31));
    EXPECT_EQ(world.trail(), "a timed_out");
    EXPECT_EQ(world.counts(), "requests 1, aborted 1, lost truncated 1");
}

TEST(ExchangeRelay, AnAnswerOfItsOwnThatIsNotTakenIsGivenUp)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.client().takes(3);
    world.answer(a, "nonsense\r\n\r\n");
    world.pass(seconds(29));
    EXPECT_TRUE(world.client().open());
    world.pass(seconds(2));
    EXPECT_TRUE(world.client().was_reset());
    EXPECT_EQ(world.counts(), "requests 1, aborted 1, lost no_backend 1");
}

// ------------------------------------------------------------------------------------------------------------ the
// client

TEST(ExchangeClient, AHalfCloseIsNoAbort)
{
    for (const auto& bytes : {get(), post()}) {
        ExchangeWorld world;
        world.client_sends(bytes);
        world.client().finishes();
        world.run();
        world.pass(seconds(20));
        world.answer(world.connections(b) > 0 ? b : a, ok());
        EXPECT_EQ(world.saw(), "200 hello; end");
        EXPECT_EQ(world.counts().substr(0, 17), "requests 1, 2xx 1");
    }
}

TEST(ExchangeClient, AHalfCloseThatCameWithTheRequestIsNoneEither)
{
    ExchangeWorld world;
    world.connect_client().sends(get());
    world.client().finishes();
    world.run();
    world.answer(a, endless + "hel");
    world.pass(seconds(5)); // it waits however long the answer takes
    world.at(a).sends("lo");
    world.at(a).finishes();
    world.run();
    EXPECT_EQ(world.saw(), "200 hello; end");
}

TEST(ExchangeClient, ABrokenConnectionBehindAHalfCloseIsAnAbort)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.client().finishes();
    world.run();
    world.client().breaks();
    world.run();
    EXPECT_EQ(world.trail(), "a cancelled");
    EXPECT_EQ(world.fates(), "a reset");
}

TEST(ExchangeClient, OneThatClosesBehindASilentStreamCountsAsGone)
{
    for (const std::string& head : {endless, chunked}) {
        ExchangeWorld world;
        world.client_sends(get());
        world.answer(a, head);
        world.client().finishes();
        world.run();
        world.pass(milliseconds(490));
        EXPECT_EQ(world.fates(), "a open");
        world.pass(milliseconds(20));
        EXPECT_EQ(world.fates(), "a reset");
        EXPECT_EQ(world.trail(), "a cancelled");
        EXPECT_EQ(world.counts(), "requests 1, aborted 1");
    }
}

TEST(ExchangeClient, OneThatClosedItsSideBeforeItSawTheStreamBeginMayStillRead)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.at(a).sends(endless + "hel");
    world.client().finishes();
    world.run();
    world.pass(seconds(5));
    world.at(a).sends("lo");
    world.at(a).finishes();
    world.run();
    EXPECT_EQ(world.saw(), "200 hello; end");
}

TEST(ExchangeClient, OneThatStillReadsThenIsNotGone)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.answer(a, endless);
    world.client().finishes();
    world.run();
    world.pass(milliseconds(300));
    world.answer(a, "one");
    world.pass(seconds(10));
    EXPECT_EQ(world.fates(), "a open");
    world.at(a).sends("two");
    world.at(a).finishes();
    world.run();
    EXPECT_EQ(world.saw(), "200 onetwo; end");
}

TEST(ExchangeClient, OneThatClosesBehindAnAnswerWithALengthMayStillRead)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.answer(a, head_of(5) + "hel");
    world.client().finishes();
    world.run();
    world.pass(seconds(5));
    world.answer(a, "lo");
    EXPECT_EQ(world.saw(), "200 hello; end");
}

TEST(ExchangeClient, AResetEndsTheRelay)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.answer(a, head_of(5) + "hel");
    world.client().breaks();
    world.run();
    EXPECT_EQ(world.trail(), "a cancelled");
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_EQ(world.evidence(), "a success");
    EXPECT_EQ(world.counts(), "requests 1, aborted 1");
}

TEST(ExchangeClient, PipelinedRequestsAreAnsweredInOrderOneByOne)
{
    ExchangeWorld world;
    world.client_sends(get() + post("body") + request("HEAD") + get("Connection: close\r\n") + get());
    EXPECT_EQ(world.asked(a), "GET");
    world.answer(a, ok("one"));
    EXPECT_EQ(world.asked(a), "POST body");
    world.answer(a, ok("two"));
    world.answer(a, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n");
    world.answer(a, ok("four"));
    EXPECT_EQ(world.saw({"GET", "POST", "HEAD", "GET"}), "200 one; 200 two; 200; 200 four; end");
    EXPECT_EQ(world.connections(a), 1U);
    EXPECT_EQ(world.counts(), "requests 4, 2xx 4");
}

TEST(ExchangeClient, WhatItSentBeforeItsEndIsAnswered)
{
    ExchangeWorld world;
    world.connect_client().sends(get() + get());
    world.client().finishes();
    world.run();
    world.answer(a, ok("one"));
    world.answer(a, ok("two"));
    EXPECT_EQ(world.saw(), "200 one; 200 two; end");
}

TEST(ExchangeClient, RequestsBehindALongOneAreNotHoarded)
{
    ExchangeWorld world;
    world.client_sends(get());
    for (int i = 0; i < 900; ++i) world.client().sends(get());
    world.run();
    EXPECT_GE(world.client().unread(), 300 * get().size());
    for (int i = 0; i < 901; ++i) world.answer(a, ok());
    EXPECT_EQ(world.answers().size(), 901U);
}

TEST(ExchangeClient, ManyAnswersAtOnceTakeTurns)
{
    ExchangeWorld world;
    std::string many;
    for (int i = 0; i < 100; ++i) many += "OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n";
    world.client_sends(many);
    EXPECT_EQ(world.answers().size(), 100U);
    EXPECT_EQ(world.answers().back().status(), 204);
    EXPECT_EQ(world.connections(a), 0U);
}

// It may have left long ago: that it got nothing says nothing about the backend.
TEST(ExchangeClient, OneThatHasHalfClosedIsNoWitnessOfSilence)
{
    ExchangeWorld world(exchange_config(1));
    world.client_sends(get());
    world.client().finishes();
    world.run();
    world.pass(seconds(31));
    EXPECT_EQ(world.saw(), "504 problem; end");
    EXPECT_EQ(world.trail(), "a timed_out");
    EXPECT_EQ(world.evidence(), "");
}

TEST(ExchangeClient, ABackendThatWasAskedOnlyAMomentBeforeTheEndHasNotBeenSilent)
{
    Config config = exchange_config(1);
    config.pools[0].park.timeout = seconds(60);
    ExchangeWorld world(config);
    world.leaves({a});
    world.client_sends(get());
    world.pass(milliseconds(29700));
    world.comes_back(a);
    world.pass(milliseconds(310));
    EXPECT_EQ(world.saw(), "504 problem");
    EXPECT_EQ(world.evidence(), "");
}

// ------------------------------------------------------------------------------------------------- of the session
// itself

TEST(ExchangeClient, WhatIsNoRequestIsRefusedAndEndsTheConnection)
{
    ExchangeWorld world;
    world.client_sends("GET / HTTP/1.1\r\n\r\n" + get());
    EXPECT_EQ(world.saw(), "400 problem; end");
    EXPECT_EQ(world.counters.bad_requests.value(), 1U);
    EXPECT_EQ(world.connections(a), 0U);
}

TEST(ExchangeClient, WhatNoRouteTakesIsRefusedAndTheNextOneServed)
{
    Config config = exchange_config();
    config.routes[0].prefix = "/x";
    ExchangeWorld world(config);
    world.client_sends("GET /y HTTP/1.1\r\nHost: h\r\n\r\n" + get());
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "404 problem; 200 hello");
    EXPECT_EQ(world.counters.unrouted_requests.value(), 1U);
}

TEST(ExchangeClient, ARefusedRequestWithABodyEndsTheConnection)
{
    Config config = exchange_config();
    config.routes[0].prefix = "/x";
    ExchangeWorld world(config);
    world.client_sends("POST /y HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nwork" + get());
    EXPECT_EQ(world.saw(), "404 problem; end");
}

TEST(ExchangeClient, AHeadThatDoesNotArriveInTimeIsRefused)
{
    ExchangeWorld world;
    world.client_sends("GET / HTTP/1.1\r\n");
    world.pass(seconds(9));
    world.client_sends("Host: h\r\n");
    EXPECT_EQ(world.saw(), "");
    world.pass(seconds(1) + milliseconds(5));
    EXPECT_EQ(world.saw(), "408 problem; end");
}

TEST(ExchangeClient, AnIdleConnectionIsClosedInTheEnd)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.answer(a, ok());
    world.pass(seconds(59));
    EXPECT_TRUE(world.client().open());
    world.pass(seconds(1) + milliseconds(5));
    EXPECT_TRUE(world.client().closed());
    EXPECT_EQ(world.sessions(), 0U);
}

TEST(ExchangeClient, WhileTheWorkerDrainsAnAnswerIsTheLast)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.plane.draining = true;
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello; end");
    EXPECT_NE(world.client().got().find("Connection: close\r\n"), std::string::npos);
}

TEST(ExchangeClient, OneThatIsGoneBeforeItsAnswerIsWrittenIsAnAbort)
{
    ExchangeWorld world;
    world.client_sends(get());
    world.at(a).sends(ok());
    world.client().breaks();
    world.run();
    EXPECT_EQ(world.counts(), "requests 1, aborted 1");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
