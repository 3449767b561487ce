// The request's body on its way to the backends.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

constexpr std::size_t replay_buffer = 64 * 1024;

std::string put_head(std::size_t length)
{
    return request("PUT", "Content-Length: " + std::to_string(length) + "\r\n");
}

/// Content of which every part can be told from every other.
std::string content(std::size_t size)
{
    static std::string text;
    for (std::size_t i = text.size(); text.size() < size; ++i) text += std::to_string(i) + ' ';
    return text.substr(0, size);
}

void ends(ExchangeWorld& world, BackendIndex backend)
{
    world.at(backend).finishes();
    world.run();
}

class ExchangeUpload : public ::testing::TestWithParam<Reading> {};

TEST_P(ExchangeUpload, ArrivesWhateverItsSizeAndPieces)
{
    for (const std::size_t size : {std::size_t{1}, std::size_t{5000}, replay_buffer, replay_buffer + 1,
                                   std::size_t{300 * 1024}, std::size_t{1200 * 1024}}) {
        for (const std::size_t piece : {std::size_t{1000}, std::size_t{16 * 1024}, std::size_t{100 * 1024}}) {
            if (size / piece > 300) continue; // nothing that fewer pieces do not show
            ExchangeWorld world(exchange_config(), GetParam());
            const std::string body = content(size);
            world.client_sends(put_head(size));
            world.client().sends_in_pieces(body, piece);
            world.run();
            EXPECT_TRUE(world.at(a).got().ends_with("\r\n\r\n" + body)) << size << " in pieces of " << piece;
            world.answer(a, ok());
            EXPECT_EQ(world.saw(), "200 hello");
            EXPECT_EQ(world.fates(), "a pooled");
        }
    }
}

TEST_P(ExchangeUpload, IsHeldBackByABackendThatTakesLittle)
{
    ExchangeWorld world(exchange_config(), GetParam());
    const std::string body = content(500 * 1024);
    world.door(a, Door::silent);
    world.client_sends(put_head(body.size()));
    world.client().sends_in_pieces(body, 7000);
    world.run();
    EXPECT_EQ(world.client().unread(), body.size()); // connect first
    world.at(a).accepts();
    world.at(a).takes(10000);
    world.run();
    // What is kept for a retry, and one piece.
    EXPECT_GE(world.client().unread(), body.size() - replay_buffer - 2 * read_ahead);
    for (int i = 0; i < 200 && world.at(a).got().size() < body.size(); ++i) {
        world.at(a).takes(10000);
        world.run();
        world.pass(milliseconds(1));
    }
    EXPECT_TRUE(world.at(a).got().ends_with("\r\n\r\n" + body));
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
}

INSTANTIATE_TEST_SUITE_P(Exchange, ExchangeUpload, ::testing::Values(Reading::pieces, Reading::socket),
                         [](const auto& about) { return about.param == Reading::pieces ? "Pieces" : "Socket"; });

TEST(ExchangeBody, UpToTheReplayBufferIsSentAgain)
{
    ExchangeWorld world;
    const std::string body = content(replay_buffer);
    world.client_sends(put_head(body.size()));
    world.client().sends_in_pieces(body, 5000);
    world.run();
    ends(world, a);
    EXPECT_TRUE(world.at(b).got().ends_with("\r\n\r\n" + body));
    world.answer(b, ok());
    EXPECT_EQ(world.trail(), "a reset, b answered");
}

TEST(ExchangeBody, OneByteBeyondItIsNot)
{
    ExchangeWorld world;
    const std::string body = content(replay_buffer + 1);
    world.client_sends(put_head(body.size()));
    world.client().sends_in_pieces(body, 5000);
    world.run();
    ends(world, a);
    EXPECT_EQ(world.saw(), "502 problem");
    EXPECT_NE(world.answers().at(0).body.find("larger than the replay buffer"), std::string::npos);
    EXPECT_EQ(world.counts(), "requests 1, 5xx 1, lost not_replayable 1");
}

TEST(ExchangeBody, HalfAnUploadMovesAndGoesOnElsewhere)
{
    ExchangeWorld world;
    const std::string body = content(20000);
    world.client_sends(put_head(body.size()) + body.substr(0, 9000));
    EXPECT_TRUE(world.at(a).got().ends_with(body.substr(0, 9000)));
    ends(world, a);
    EXPECT_TRUE(world.at(b).got().ends_with(body.substr(0, 9000)));
    world.client_sends(body.substr(9000));
    EXPECT_EQ(world.request_at(b).body, body);
    world.answer(b, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a reset, b answered");
}

TEST(ExchangeBody, ABackendThatGoesDownDuringAnUploadIsLeft)
{
    ExchangeWorld world;
    world.client_sends(put_head(8) + "half");
    world.goes_down(a);
    world.client_sends("more");
    EXPECT_EQ(world.asked(b), "PUT halfmore");
    world.answer(b, ok());
    EXPECT_EQ(world.trail(), "a moved, b answered");
}

TEST(ExchangeBody, WhatWasNotSentGoesElsewhereHoweverLargeItIs)
{
    ExchangeWorld world;
    const std::string body = content(300 * 1024);
    world.door(a, Door::refusing);
    world.client_sends(request("POST", "Content-Length: " + std::to_string(body.size()) + "\r\n"));
    world.client().sends_in_pieces(body, 9000);
    world.run();
    EXPECT_EQ(world.request_at(b).body, body);
    world.answer(b, ok());
    EXPECT_EQ(world.trail(), "a refused, b answered");
}

TEST(ExchangeBody, ChunksAreFramedAnew)
{
    ExchangeWorld world;
    world.client_sends(request("PUT", "Transfer-Encoding: chunked\r\n") + "4;ext=\"x\"\r\nwork\r\n0002\r\ner\r\n");
    world.client_sends("0\r\nTrailer: x\r\n\r\n");
    EXPECT_EQ(world.asked(a), "PUT worker");
    EXPECT_EQ(world.at(a).got().find("ext"), std::string::npos);
    EXPECT_EQ(world.at(a).got().find("Trailer"), std::string::npos);
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "200 hello");
}

TEST(ExchangeBody, ByteForByteIsEnough)
{
    ExchangeWorld world;
    world.connect_client();
    world.client().sends_in_pieces(
        request("PUT", "Transfer-Encoding: chunked\r\n") + chunk("work") + chunk("er") + "0\r\n\r\n" + get(), 1);
    world.run();
    EXPECT_EQ(world.asked(a), "PUT worker");
    world.at(a).sends_in_pieces("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk("one") + "0\r\n\r\n",
                                1);
    world.run();
    world.at(a).sends_in_pieces(ok("two"), 1);
    world.run();
    EXPECT_EQ(world.saw(), "200 one; 200 two");
}

TEST(ExchangeBody, MalformedChunksAreRefusedAndBlameNoBackend)
{
    ExchangeWorld world;
    world.client_sends(request("PUT", "Transfer-Encoding: chunked\r\n") + chunk("work") + "zz\r\n");
    EXPECT_EQ(world.saw(), "400 problem; end");
    EXPECT_EQ(world.trail(), "a cancelled");
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_EQ(world.evidence(), "");
}

TEST(ExchangeBody, BeyondItsLimitItIsRefused)
{
    Config config = exchange_config();
    config.limits.body = 10;
    ExchangeWorld world(config);
    world.client_sends(request("PUT", "Transfer-Encoding: chunked\r\n") + chunk("0123456789"));
    EXPECT_EQ(world.saw(), "");
    world.client_sends(chunk("x"));
    EXPECT_EQ(world.saw(), "413 problem; end");
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_EQ(world.evidence(), "");
}

TEST(ExchangeBody, OfADeclaredLengthBeyondTheLimitNothingIsAsked)
{
    Config config = exchange_config();
    config.limits.body = 10;
    ExchangeWorld world(config);
    world.client_sends(put("0123456789a"));
    EXPECT_EQ(world.saw(), "413 problem; end");
    EXPECT_EQ(world.fates(), "");
}

// ------------------------------------------------------------------------------------------------- Expect:
// 100-continue

const std::string expecting = request("PUT", "Expect: 100-continue\r\nContent-Length: 4\r\n");

TEST(ExchangeBody, AContinueThatTheClientWaitsForGoesOutAtOnceAndOnce)
{
    ExchangeWorld world;
    world.client_sends(expecting);
    EXPECT_NE(world.at(a).got().find("Expect: 100-continue\r\n"), std::string::npos);
    world.answer(a, "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(world.saw(), "100 ~");
    world.client_sends("work");
    ends(world, a);
    world.answer(b, "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(world.asked(b), "PUT work");
    world.answer(b, ok());
    EXPECT_EQ(world.saw(), "100 200 hello");
    EXPECT_EQ(world.trail(), "a reset, b answered");
}

TEST(ExchangeBody, ABackendThatEndsBeforeItsContinueIsReplaced)
{
    ExchangeWorld world;
    world.client_sends(expecting);
    world.at(a).breaks();
    world.run();
    world.answer(b, "HTTP/1.1 100 Continue\r\n\r\n");
    world.client_sends("work");
    world.answer(b, ok());
    EXPECT_EQ(world.saw(), "100 200 hello");
}

TEST(ExchangeBody, AnExpectingPostWhoseHeadWasSentIsNotRepeated)
{
    ExchangeWorld world;
    world.client_sends(request("POST", "Expect: 100-continue\r\nContent-Length: 4\r\n"));
    world.at(a).breaks();
    world.run();
    EXPECT_EQ(world.saw(), "502 problem; end");
    EXPECT_EQ(world.trail(), "a reset");
}

TEST(ExchangeBody, AnExpectingRequestIsNotHedgedBeforeItsBodyIsThere)
{
    ExchangeWorld world;
    world.client_sends(request("POST", "Idempotency-Key: 1\r\nExpect: 100-continue\r\nContent-Length: 4\r\n"));
    world.pass(seconds(2));
    EXPECT_EQ(world.connections(b), 0U);
    EXPECT_EQ(world.saw(), "");
}

TEST(ExchangeBody, AFinalAnswerInsteadOfAContinueEndsTheConnection)
{
    ExchangeWorld world;
    world.client_sends(expecting);
    world.answer(a, response(417, "no"));
    EXPECT_EQ(world.saw(), "417 no; end");
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_EQ(world.trail(), "a answered");
}

TEST(ExchangeBody, AnUnaskedContinueWaitsForItsAnswer)
{
    ExchangeWorld world;
    world.client_sends(put());
    world.answer(a, "HTTP/1.1 100 Continue\r\n\r\n");
    EXPECT_EQ(world.saw(), "");
    world.answer(a, ok());
    EXPECT_EQ(world.saw(), "100 200 hello");
}

// --------------------------------------------------------------------------------------------------------------
// silence

TEST(ExchangeBody, AClientThatStopsSendingIsToldSoAndNoBackendBlamed)
{
    ExchangeWorld world;
    world.client_sends(put_head(10) + "half");
    world.pass(seconds(30) - milliseconds(4));
    EXPECT_EQ(world.saw(), "");
    world.pass(milliseconds(12));
    EXPECT_EQ(world.saw(), "408 problem; end");
    EXPECT_EQ(world.trail(), "a cancelled");
    EXPECT_EQ(world.fates(), "a reset");
    EXPECT_EQ(world.evidence(), "");
    EXPECT_EQ(world.counts(), "requests 1, 4xx 1");
}

TEST(ExchangeBody, AnUploadTakesAsLongAsItsClientNeeds)
{
    ExchangeWorld world;
    world.client_sends(put_head(10));
    for (int i = 0; i < 10; ++i) {
        world.pass(seconds(20));
        EXPECT_EQ(world.saw(), "");
        world.client_sends("x");
    }
    // The time for the answer begins now, less what had passed before the body.
    world.pass(seconds(29));
    EXPECT_EQ(world.saw(), "");
    world.pass(seconds(2));
    EXPECT_EQ(world.saw(), "504 problem");
    EXPECT_EQ(world.evidence(), "a timed_out, a uncompared");
}

TEST(ExchangeBody, ABackendThatTakesNothingIsBlamedAndReplaced)
{
    ExchangeWorld world;
    const std::string body = content(50000);
    world.door(a, Door::silent);
    world.client_sends(put_head(body.size()));
    world.at(a).accepts();
    world.at(a).takes(1000);
    world.run();
    world.client().sends_in_pieces(body.substr(0, 40000), 8000);
    world.run();
    world.pass(seconds(30) + milliseconds(8));
    EXPECT_EQ(world.fates(), "a reset, b open");
    world.client_sends(body.substr(40000));
    EXPECT_EQ(world.request_at(b).body, body);
    world.answer(b, ok());
    EXPECT_EQ(world.saw(), "200 hello");
    EXPECT_EQ(world.trail(), "a timed_out, b answered");
    EXPECT_EQ(world.evidence(), "a timed_out, a diverted");
}

TEST(ExchangeBody, WhereNoneTakesItTheClientLearnsThatItTookTooLong)
{
    ExchangeWorld world(exchange_config(1));
    world.door(a, Door::silent);
    world.client_sends(put_head(50000));
    world.at(a).accepts();
    world.at(a).takes(1000);
    world.client().sends(content(20000));
    world.run();
    world.pass(seconds(31));
    EXPECT_EQ(world.saw(), "504 problem; end");
    EXPECT_EQ(world.trail(), "a timed_out");
    EXPECT_EQ(world.evidence(), "a timed_out");
}

TEST(ExchangeBody, AClientThatGivesUpItsUploadCancelsIt)
{
    for (const bool with_reset : {true, false}) {
        ExchangeWorld world;
        world.client_sends(put_head(10) + "half");
        if (with_reset)
            world.client().breaks();
        else
            world.client().finishes();
        world.run();
        EXPECT_EQ(world.saw(), "reset");
        EXPECT_EQ(world.trail(), "a cancelled");
        EXPECT_EQ(world.fates(), "a reset");
        EXPECT_EQ(world.evidence(), "");
        EXPECT_EQ(world.counts(), "requests 1, aborted 1");
    }
}

TEST(ExchangeBody, AClientThatGivesUpIsNoticedAlsoWhileNothingIsRead)
{
    ExchangeWorld world;
    world.door(a, Door::silent);
    world.client_sends(put_head(500 * 1024));
    world.at(a).accepts();
    world.at(a).takes(0);
    world.client().sends_in_pieces(content(400 * 1024), 16 * 1024);
    world.run();
    EXPECT_GT(world.client().unread(), 0U);
    world.client().breaks();
    world.run();
    EXPECT_EQ(world.trail(), "a cancelled");
}

TEST(ExchangeBody, ABackendThatClosedItsReadingSideMayStillAnswer)
{
    ExchangeWorld world;
    world.client_sends(put_head(100000) + content(1000));
    world.at(a).sends(response(413, "too much", "Connection: close\r\n"));
    world.at(a).breaks();
    world.client_sends(content(1000));
    EXPECT_EQ(world.saw(), "413 too much; end");
    EXPECT_EQ(world.trail(), "a answered");
    EXPECT_EQ(world.fates(), "a reset");
}

TEST(ExchangeBody, WhatIsHeldForAStalledBackendIsCounted)
{
    ExchangeWorld world;
    world.door(a, Door::silent);
    world.client_sends(put_head(500 * 1024));
    world.at(a).accepts();
    world.at(a).takes(0);
    world.client().sends_in_pieces(content(400 * 1024), 16 * 1024);
    world.run();
    EXPECT_GE(world.plane.relay_memory.held(), replay_buffer);
    EXPECT_LE(world.plane.relay_memory.held(), 4 * replay_buffer);
    world.client().breaks();
    world.run();
    EXPECT_EQ(world.plane.relay_memory.held(), 0U);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
