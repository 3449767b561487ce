#include "experiment/load/answer.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace hotspare::experiment {
namespace TEST_FILE {

using State = AnswerReader::State;

struct Expected {
    State state = State::complete;
    unsigned status = 200;
    std::string_view body = "hello";
    bool reusable = true;
};

/// In pieces of every size, the end of the stream included.
void expect(std::string_view bytes, const Expected& expected, bool ends = false, bool to_head = false)
{
    for (std::size_t step = 1; step <= bytes.size(); ++step) {
        AnswerReader reader;
        reader.restart(false, true);
        ASSERT_EQ(reader.feed("HTTP/1.1 404 No\r\nContent-Length: 3\r\n\r\nold"), State::complete);
        reader.restart(to_head, true);
        State state = State::incomplete;
        for (std::size_t at = 0; at < bytes.size() && state == State::incomplete; at += step)
            state = reader.feed(bytes.substr(at, step));
        if (ends && state == State::incomplete) state = reader.end();
        ASSERT_EQ(state, expected.state) << bytes << " in pieces of " << step;
        ASSERT_EQ(reader.status(), expected.status) << bytes << " in pieces of " << step;
        if (state != State::complete) continue;
        ASSERT_EQ(reader.body(), expected.body) << bytes << " in pieces of " << step;
        // What lies behind the answer is seen only when it came with it.
        if (step < bytes.size()) continue;
        ASSERT_EQ(reader.reusable(), expected.reusable) << bytes;
    }
}

TEST(AnswerReader, UnderstandsEveryFraming)
{
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", {});
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nA: b\r\n\r\n", {});
    expect("HTTP/1.1 200 OK\r\n\r\nhello", {.reusable = false}, true);
    expect("HTTP/1.0 200 OK\r\n\r\nhello", {.reusable = false}, true);
    expect("HTTP/1.1 204 None\r\n\r\n", {.status = 204, .body = ""});
    expect("HTTP/1.1 304 Same\r\nContent-Length: 5\r\n\r\n", {.status = 304, .body = ""});
    expect("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", {.body = ""});
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", {.body = ""}, false, true);
}

TEST(AnswerReader, PassesOverInterimAnswers)
{
    const std::string final_answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello";
    expect("HTTP/1.1 100 Continue\r\n\r\n" + final_answer, {});
    expect("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 Busy\r\n\r\n" + final_answer, {});
    expect("HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", {.status = 101, .body = "", .reusable = false});
}

TEST(AnswerReader, KnowsWhetherTheConnectionMayBeUsedAgain)
{
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello", {.reusable = false});
    expect("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", {.reusable = false});
    expect("HTTP/1.0 200 OK\r\nContent-Length: 5\r\nConnection: keep-alive\r\n\r\nhello", {});
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhelloHTTP/1.1 200", {.reusable = false});
}

TEST(AnswerReader, AnEndBeforeTheEndIsNoAnswer)
{
    expect("HTTP/1.1 200 OK\r\nContent-Le", {.state = State::incomplete, .status = 0}, true);
    expect("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell", {.state = State::incomplete}, true);
    expect("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", {.state = State::incomplete},
           true);
    expect("HTTP/1.1 100 Continue\r\n\r\n", {.state = State::incomplete, .status = 0}, true);
}

TEST(AnswerReader, RefusesWhatIsNotHttp)
{
    for (const std::string_view bytes :
         {"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/2.0 200 OK\r\n\r\n", "HTTP/1.1 abc OK\r\n\r\n",
          "HTTP/1.1 200 OK\r\nno colon\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"}) {
        AnswerReader reader;
        reader.restart(false, false);
        EXPECT_EQ(reader.feed(bytes), State::malformed) << bytes;
        EXPECT_EQ(reader.status(), 0U);
    }
    AnswerReader chunks;
    chunks.restart(false, false);
    EXPECT_EQ(chunks.feed("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), State::malformed);
    AnswerReader endless;
    endless.restart(false, false);
    EXPECT_EQ(endless.feed("HTTP/1.1 200 OK\r\n"), State::incomplete);
    EXPECT_EQ(endless.feed(std::string(AnswerReader::largest_head, 'a')), State::malformed);
}

TEST(AnswerReader, ABodyThatIsNotWantedMayBeDroppedUnread)
{
    AnswerReader reader;
    reader.restart(false, false);
    EXPECT_EQ(reader.feed("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n12345"), State::incomplete);
    EXPECT_EQ(reader.skippable(), 999'995U);
    EXPECT_EQ(reader.skip(999'990), State::incomplete);
    EXPECT_EQ(reader.skip(5), State::complete);
    EXPECT_TRUE(reader.reusable());
    EXPECT_EQ(reader.head(), "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n");

    reader.restart(false, true);
    EXPECT_EQ(reader.feed("HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"), State::incomplete);
    EXPECT_EQ(reader.skippable(), 0U);
    EXPECT_EQ(reader.feed(std::string(1'000'000, 'b')), State::complete);
    EXPECT_EQ(reader.body(), std::string(AnswerReader::kept_body, 'b'));
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
