#include "common/http/chunks.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>

namespace hotspare::http {
namespace TEST_FILE {

using State = ChunkReader::State;

struct Result {
    State state = State::more;
    std::string content;
    std::size_t taken = 0;
};

Result read(std::string_view bytes, Sender sender, std::size_t step)
{
    ChunkReader reader(sender);
    Result result;
    std::size_t there = 0;
    while (result.state != State::done && result.state != State::malformed) {
        if (result.taken == there) {
            if (there == bytes.size()) break;
            there = std::min(bytes.size(), there + step);
        }
        const auto got = reader.read(bytes.substr(result.taken, there - result.taken));
        result.state = got.state;
        result.content += got.content;
        result.taken += got.used;
    }
    return result;
}

struct Body {
    std::string bytes;
    std::optional<std::string> strict;   ///< the content of a client's body, nothing if it is refused
    std::optional<std::string> tolerant; ///< the same of a server's
};

TEST(ChunkReader, ReadsTheGrammarAndForgivesServersTheirBlanks)
{
    const std::optional<std::string> refused;
    for (const Body& body : {
             Body{"5\r\nhello\r\n0\r\n\r\n", "hello", "hello"},
             {"5\r\nhello\r\n00A\r\n0123456789\r\n00\r\n\r\n", "hello0123456789", "hello0123456789"},
             {"0\r\n\r\n", "", ""},
             {"0\r\nX-Sum: 9\r\nY:\r\n\r\n", "", ""},
             {"1;a\r\nx\r\n0;b=c;d=\"e;\\\"f\"\r\n\r\n", "x", "x"},
             {"1 ; a = b\r\nx\r\n0\r\n\r\n", "x", "x"},
             {"1\t;\ta\t=\t\"b\"\r\nx\r\n0\r\n\r\n", "x", "x"},
             {"2   \r\nok\r\n0\t\r\n\r\n", refused, "ok"},
             {"2;\r\nok\r\n0; \r\n\r\n", refused, "ok"},
             {"2;a \r\nok\r\n0\r\n\r\n", refused, "ok"},
             {"2\nok\r\n0\r\n\r\n", refused, refused},
             {"2\r\nok\n0\r\n\r\n", refused, refused},
             {"2\r\nok\r\n0\n\r\n", refused, refused},
             {"2\r\nok\r\n0\r\n\n", refused, refused},
             {"2\r\nokk\r\n0\r\n\r\n", refused, refused},
             {"2;a=\"\r\nok\r\n0\r\n\r\n", refused, refused},
             {"2;a=\"\\\r\nok\r\n0\r\n\r\n", refused, refused},
             {"2;a=\r\nok\r\n0\r\n\r\n", refused, refused},
             {"2;=b\r\nok\r\n0\r\n\r\n", refused, refused},
             {"2;a=b c\r\nok\r\n0\r\n\r\n", refused, refused},
             {"2 2\r\nok\r\n0\r\n\r\n", refused, refused},
             {"\r\nok\r\n0\r\n\r\n", refused, refused},
             {" 2\r\nok\r\n0\r\n\r\n", refused, refused},
             {"-2\r\nok\r\n0\r\n\r\n", refused, refused},
             {"0x2\r\nok\r\n0\r\n\r\n", refused, refused},
             {"10000000000000000\r\nok\r\n0\r\n\r\n", refused, refused},
             {"0\r\nX-Sum: 9\n\r\n", refused, refused},
             {"0\r\nX: 9\r\n 10\r\n\r\n", refused, refused},
             {"0\r\nX: 9\r\n\t10\r\n\r\n", refused, refused},
             {"0\r\nX : 9\r\n\r\n", refused, refused},
             {"0\r\n: 9\r\n\r\n", refused, refused},
             {"0\r\nX\r\n\r\n", refused, refused},
             {"0\r\nX: a\rb\r\n\r\n", refused, refused},
             {std::string(9000, '0') + "2\r\nok\r\n0\r\n\r\n", refused, refused},
             {"2;" + std::string(9000, 'a') + "\r\nok\r\n0\r\n\r\n", refused, refused},
             {"0\r\nX: " + std::string(9000, 'a') + "\r\n\r\n", refused, refused},
         }) {
        for (const Sender sender : {Sender::client, Sender::server})
            for (const std::size_t step : {std::size_t{1}, std::size_t{3}, body.bytes.size()}) {
                const Result result = read(body.bytes, sender, step);
                const auto& wanted = sender == Sender::client ? body.strict : body.tolerant;
                EXPECT_EQ(result.state, wanted ? State::done : State::malformed) << body.bytes.substr(0, 60);
                if (!wanted) continue;
                EXPECT_EQ(result.content, *wanted) << body.bytes;
                EXPECT_EQ(result.taken, body.bytes.size()) << body.bytes;
            }
    }
}

TEST(ChunkReader, RefusesWithTheByteThatNothingCanMend)
{
    struct Broken {
        std::string_view sound; ///< so far it may still become a body
        char next;              ///< and with this it cannot
    };
    for (const Broken& broken :
         {Broken{"0\r\nX-Sum: 9", '\n'}, Broken{"2;k=\"v", '\r'}, Broken{"2;k=\"v", '\n'}, Broken{"2;k=\"v\\", '\r'},
          Broken{"", 'g'}, Broken{"2", '\n'}, Broken{"2\r", 'x'}, Broken{"2\r\nok", 'x'}, Broken{"0\r\nX: y\r\n", ' '},
          Broken{"0\r\n\r", 'x'}, Broken{"ffffffffffffffff", '0'}, Broken{"0\r\nX", ' '}, Broken{"2;", ';'}}) {
        ChunkReader reader;
        auto rest = broken.sound;
        while (!rest.empty()) {
            const auto step = reader.read(rest);
            ASSERT_NE(step.state, State::malformed) << broken.sound;
            rest.remove_prefix(step.used);
        }
        EXPECT_EQ(reader.read({&broken.next, 1}).state, State::malformed) << broken.sound;
        EXPECT_EQ(reader.read("0").state, State::malformed) << "for ever";
    }
}

TEST(ChunkReader, LeavesWhatFollowsTheBody)
{
    ChunkReader reader;
    const std::string bytes = "0\r\n\r\nGET / HTTP/1.1\r\n";
    const auto step = reader.read(bytes);
    EXPECT_EQ(step.state, State::done);
    EXPECT_EQ(step.used, 5U);
    EXPECT_EQ(reader.read("GET").used, 0U);
}

} // namespace TEST_FILE
} // namespace hotspare::http
