#include "common/storage/resp.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hotspare::storage::redis {
namespace TEST_FILE {

using namespace std::string_literals;
using Kind = Reply::Kind;

/// What a fresh reader makes of `bytes` that arrive in pieces of `piece`: every reply, or the failure.
result<std::vector<Reply>> read(const std::string& bytes, std::size_t piece)
{
    ReplyReader reader;
    std::vector<Reply> replies;
    for (std::size_t at = 0; at < bytes.size(); at += piece) {
        if (const auto fed = reader.feed(std::string_view(bytes).substr(at, piece)); !fed) return fed.error();
        while (true) {
            auto reply = reader.next();
            if (!reply) return reply.error();
            if (!*reply) break;
            replies.push_back(std::move(**reply));
        }
    }
    return replies;
}

result<std::vector<Reply>> read(const std::string& bytes)
{
    return read(bytes, bytes.size());
}

TEST(Resp, EncodesWordsOfAnyBytes)
{
    const std::vector<Command> commands{{"PING"}, {"SET", "a\0\r\n"s, ""}};
    EXPECT_EQ(encode(commands).value(), "*1\r\n$4\r\nPING\r\n*3\r\n$3\r\nSET\r\n$4\r\na\0\r\n\r\n$0\r\n\r\n"s);
}

TEST(Resp, RefusesARequestThatCouldNotBeAnswered)
{
    EXPECT_EQ(encode(std::vector<Command>{{"PING"}, {}}).error(), errc::malformed);
    EXPECT_EQ(encode(std::vector<Command>{{"SET", "k", std::string(max_exchange, 'x')}}).error(), errc::too_large);
    const std::vector<Command> many(17, {"SET", "k", std::string(1024 * 1024, 'x')});
    EXPECT_EQ(encode(many).error(), errc::too_large);
}

TEST(Resp, ReadsEveryKindInPiecesOfAnySize)
{
    const std::string bytes =
        "+OK\r\n-ERR "
        "no\r\n:-12\r\n$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n*3\r\n:1\r\n*2\r\n$1\r\nx\r\n-E\r\n$-1\r\n:7\r\n";
    for (std::size_t piece = 1; piece <= bytes.size(); ++piece) {
        const auto replies = read(bytes, piece).value();
        ASSERT_EQ(replies.size(), 10U) << piece;
        EXPECT_EQ(replies[0].kind, Kind::text);
        EXPECT_EQ(replies[0].text, "OK");
        EXPECT_TRUE(replies[1].is_error());
        EXPECT_EQ(replies[1].text, "ERR no");
        EXPECT_EQ(replies[2].kind, Kind::integer);
        EXPECT_EQ(replies[2].integer, -12);
        EXPECT_EQ(replies[3].text, "a\r\nbc");
        EXPECT_EQ(replies[4].kind, Kind::text);
        EXPECT_EQ(replies[4].text, "");
        EXPECT_EQ(replies[5].kind, Kind::nil);
        EXPECT_EQ(replies[6].kind, Kind::nil);
        EXPECT_EQ(replies[7].kind, Kind::list);
        EXPECT_TRUE(replies[7].list.empty());
        ASSERT_EQ(replies[8].list.size(), 3U);
        EXPECT_EQ(replies[8].list[0].integer, 1);
        ASSERT_EQ(replies[8].list[1].list.size(), 2U);
        EXPECT_EQ(replies[8].list[1].list[0].text, "x");
        EXPECT_TRUE(replies[8].list[1].list[1].is_error());
        EXPECT_EQ(replies[8].list[2].kind, Kind::nil);
        EXPECT_EQ(replies[9].integer, 7);
    }
}

TEST(Resp, KeepsEveryElementOfNestedListsInPlace)
{
    // Lists that grow while their elements are being filled: 50 by 50 by 2.
    std::string bytes = "*50\r\n";
    for (int i = 0; i < 50; ++i) {
        bytes += "*50\r\n";
        for (int j = 0; j < 50; ++j)
            bytes += "*2\r\n:" + std::to_string(i) + "\r\n+a rather long text, number " + std::to_string(j) + "\r\n";
    }
    const auto replies = read(bytes, 7).value();
    ASSERT_EQ(replies.size(), 1U);
    for (std::size_t i = 0; i < 50; ++i)
        for (std::size_t j = 0; j < 50; ++j) {
            const auto& pair = replies[0].list.at(i).list.at(j);
            EXPECT_EQ(pair.list.at(0).integer, static_cast<std::int64_t>(i));
            EXPECT_EQ(pair.list.at(1).text, "a rather long text, number " + std::to_string(j));
        }
}

TEST(Resp, RefusesWhatIsNoResp)
{
    for (const std::string bytes :
         {"HTTP/1.1 400 Bad Request\r\n", "\r\n", ":12x\r\n", ":99999999999999999999\r\n", "$x\r\n", "$-2\r\n",
          "*-2\r\n", "*2147483648\r\n", "*2\r\n:1\r\nnonsense\r\n", "~1\r\n:1\r\n"})
        for (std::size_t piece = 1; piece <= bytes.size(); ++piece)
            EXPECT_EQ(read(bytes, piece).error(), errc::malformed) << bytes << " in pieces of " << piece;
}

TEST(Resp, RefusesMoreAfterAFailure)
{
    ReplyReader reader;
    ASSERT_TRUE(reader.feed("nonsense\r\n"));
    EXPECT_EQ(reader.next().error(), errc::malformed);
    (void)reader.feed("+OK\r\n");
    EXPECT_EQ(reader.next().error(), errc::malformed);
}

TEST(Resp, BoundsTheDepth)
{
    std::string bytes;
    for (int i = 0; i < 7; ++i) bytes += "*1\r\n";
    EXPECT_TRUE(read(bytes + ":1\r\n").has_value());
    for (int i = 0; i < 1000; ++i) bytes += "*1\r\n";
    EXPECT_EQ(read(bytes).error(), errc::malformed);
}

TEST(Resp, PaysOnlyForWhatHasArrived)
{
    ReplyReader reader;
    ASSERT_TRUE(reader.feed("*2147483647\r\n$16000000\r\nabc"));
    const auto reply = reader.next();
    ASSERT_TRUE(reply);
    EXPECT_FALSE(*reply);
    EXPECT_TRUE(reader.has_rest());
}

TEST(Resp, BoundsTheSizeOfAnAnswer)
{
    EXPECT_EQ(read("$20000000\r\n" + std::string(20'000'000, 'x') + "\r\n", 65536).error(), errc::too_large);
    EXPECT_EQ(read("+" + std::string(20'000'000, 'x') + "\r\n", 65536).error(), errc::too_large);
    // Few bytes on the wire may take much memory here.
    std::string tiny = "*1000000\r\n";
    for (int i = 0; i < 1'000'000; ++i) tiny += "*0\r\n";
    EXPECT_EQ(read(tiny, 65536).error(), errc::too_large);
}

TEST(Resp, CountsEachAnswerForItself)
{
    const std::string reply = "$10000000\r\n" + std::string(10'000'000, 'x') + "\r\n";
    ReplyReader reader;
    for (int i = 0; i < 3; ++i) {
        reader.begin();
        ASSERT_TRUE(reader.feed(reply));
        EXPECT_TRUE(reader.next().value());
    }
    EXPECT_FALSE(reader.has_rest());
}

} // namespace TEST_FILE
} // namespace hotspare::storage::redis
