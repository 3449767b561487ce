#include "common/http/head.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::http {
namespace {

/// Status of the verdict on a head made of these lines; 0 = accepted.
unsigned verdict(std::string_view lines)
{
    const auto wrong = check_head(std::string(lines) + "\r\n");
    return wrong ? wrong->status : 0;
}

struct Case {
    const char* name;
    std::string head;
    unsigned status;
};

void PrintTo(const Case& c, std::ostream* out)
{
    *out << c.name;
}

class CheckHead : public testing::TestWithParam<Case> {};

TEST_P(CheckHead, GivesTheVerdict)
{
    EXPECT_EQ(verdict(GetParam().head), GetParam().status);
}

const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n";

INSTANTIATE_TEST_SUITE_P(
    Heads, CheckHead,
    testing::Values(
        Case{"plain", get, 0}, Case{"http_1_0_needs_no_host", "GET / HTTP/1.0\r\n", 0},
        Case{"any_token_method", "PURGE / HTTP/1.1\r\nHost: a\r\n", 0},
        Case{"options_star", "OPTIONS * HTTP/1.1\r\nHost: a\r\n", 0},
        Case{"host_with_port", "GET / HTTP/1.1\r\nHost: [::1]:80\r\n", 0},
        Case{"empty_host", "GET / HTTP/1.1\r\nHost:\r\n", 0},
        Case{"blanks_around_value", "GET / HTTP/1.1\r\nHost: \t a \t\r\n", 0},
        Case{"obs_text", get + "X: \xc3\xa9\r\n", 0}, Case{"length", get + "Content-Length: 5\r\n", 0},
        Case{"chunked", get + "Transfer-Encoding: ChunKed\r\n", 0}, Case{"expect", get + "Expect: 100-Continue\r\n", 0},

        Case{"no_host", "GET / HTTP/1.1\r\n", 400}, Case{"two_hosts", get + "host: a\r\n", 400},
        Case{"host_with_user", "GET / HTTP/1.1\r\nHost: u@a\r\n", 400},
        Case{"host_with_path", "GET / HTTP/1.1\r\nHost: a/b\r\n", 400}, Case{"two_words", "GET /\r\nHost: a\r\n", 400},
        Case{"space_in_target", "GET /a b HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"two_spaces", "GET  / HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"leading_space", " GET / HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"bad_method", "G(T / HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"control_in_target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"bad_version", "GET / HTTP/1,1\r\nHost: a\r\n", 400},
        Case{"lowercase_version", "GET / http/1.1\r\nHost: a\r\n", 400},
        Case{"http_2", "GET / HTTP/2.0\r\nHost: a\r\n", 505}, Case{"http_0_9", "GET / HTTP/0.9\r\nHost: a\r\n", 505},
        Case{"folded", get + "X: a\r\n b\r\n", 400}, Case{"folded_with_tab", get + "X: a\r\n\tb\r\n", 400},
        Case{"space_before_colon", get + "X : a\r\n", 400}, Case{"no_colon", get + "X\r\n", 400},
        Case{"empty_name", get + ": a\r\n", 400}, Case{"bad_name", get + "X(y): a\r\n", 400},
        Case{"bare_cr", get + "X: a\rb\r\n", 400}, Case{"nul", get + std::string("X: a\0b\r\n", 8), 400},
        Case{"del", get + "X: \x7f\r\n", 400},
        Case{"two_lengths", get + "Content-Length: 5\r\nContent-Length: 5\r\n", 400},
        Case{"length_list", get + "Content-Length: 5, 5\r\n", 400},
        Case{"signed_length", get + "Content-Length: +5\r\n", 400},
        Case{"negative_length", get + "Content-Length: -1\r\n", 400},
        Case{"hex_length", get + "Content-Length: 0x5\r\n", 400},
        Case{"empty_length", get + "Content-Length:\r\n", 400},
        Case{"huge_length", get + "Content-Length: 18446744073709551616\r\n", 400},
        Case{"length_and_chunked", get + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
        Case{"chunked_and_length", get + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", 400},
        Case{"two_encodings", get + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
        Case{"chunked_in_1_0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", 400},
        Case{"gzip", get + "Transfer-Encoding: gzip\r\n", 501},
        Case{"gzip_chunked", get + "Transfer-Encoding: gzip, chunked\r\n", 501},
        Case{"chunked_with_vt",
             get + "Transfer-Encoding: \x0b"
                   "chunked\r\n",
             400},
        Case{"identity", get + "Transfer-Encoding: identity\r\n", 501},
        Case{"other_expectation", get + "Expect: 200-ok\r\n", 417}),
    [](const testing::TestParamInfo<Case>& test) { return test.param.name; });

TEST(HeadScanner, FindsTheEndWhateverThePieces)
{
    test::check_property(1000, [] {
        const std::string head = get + "X: y\r\n\r\n";
        const std::string received = head + *rc::gen::arbitrary<std::string>();
        HeadScanner scanner({});
        std::size_t size = 0;
        while (scanner.size() == 0) {
            size = std::min(received.size(), size + *rc::gen::inRange<std::size_t>(1, 8));
            RC_ASSERT(!scanner.feed(std::string_view(received).substr(0, size)));
        }
        RC_ASSERT(scanner.size() == head.size());
    });
}

TEST(HeadScanner, RefusesABareLfAtOnce)
{
    HeadScanner scanner({});
    const auto wrong = scanner.feed("GET / HTTP/1.1\nHost: a\n\n");
    ASSERT_TRUE(wrong);
    EXPECT_EQ(wrong->status, 400u);
}

TEST(HeadScanner, AppliesItsLimits)
{
    const auto feed = [](HeadLimits limits, const std::string& text) {
        HeadScanner scanner(limits);
        const auto wrong = scanner.feed(text);
        return wrong ? wrong->status : 0u;
    };
    EXPECT_EQ(feed({.request_line = 20}, "GET /0123456789 HTTP/1.1\r\n"), 414u);
    EXPECT_EQ(feed({.request_line = 20}, std::string(21, 'G')), 414u) << "also before the line is complete";
    EXPECT_EQ(feed({.request_line = 20, .head = 30}, "GET / HTTP/1.1\r\nX: 0123456789\r\n\r\n"), 431u);
    EXPECT_EQ(feed({.fields = 2}, get + "A: b\r\nC: d\r\n\r\n"), 431u);
    EXPECT_EQ(feed({.fields = 3}, get + "A: b\r\nC: d\r\n\r\n"), 0u);
}

} // namespace
} // namespace hotspare::http
