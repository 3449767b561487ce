#include "common/http/head.hpp"
#include "common/http/head_parts.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <initializer_list>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::http {
namespace TEST_FILE {

/// Status of the verdict on a head made of these lines; 0 = accepted.
unsigned verdict(std::string_view lines)
{
    const std::string head = std::string(lines) + "\r\n";
    RequestParts parts;
    const auto wrong = read_request(head, parts);
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

class ReadRequest : public testing::TestWithParam<Case> {};

TEST_P(ReadRequest, GivesTheVerdict)
{
    EXPECT_EQ(verdict(GetParam().head), GetParam().status);
}

const std::string get = "GET / HTTP/1.1\r\nHost: a\r\n";

INSTANTIATE_TEST_SUITE_P(
    Heads, ReadRequest,
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
        Case{"host_with_path", "GET / HTTP/1.1\r\nHost: a/b\r\n", 400}, Case{"no_version", "GET /\r\nHost: a\r\n", 400},
        Case{"space_in_target", "GET /a b HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"two_spaces", "GET  / HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"leading_space", " GET / HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"bad_method", "G(T / HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"control_in_target", "GET /\x01 HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"bad_version", "GET / HTTP/1,1\r\nHost: a\r\n", 400},
        Case{"later_minor_version", "GET / HTTP/1.9\r\nHost: a\r\n", 0},
        Case{"later_minor_version_needs_a_host", "GET / HTTP/1.2\r\n", 400},
        Case{"two_digits_of_minor_version", "GET / HTTP/1.10\r\nHost: a\r\n", 400},
        Case{"two_digits_of_major_version", "GET / HTTP/11.1\r\nHost: a\r\n", 400},
        Case{"no_minor_version", "GET / HTTP/1\r\nHost: a\r\n", 400},
        Case{"other_major_and_bad_minor_version", "GET / HTTP/2.x\r\nHost: a\r\n", 400},
        Case{"other_protocol", "GET / ICY/1.1\r\nHost: a\r\n", 400},
        Case{"blank_behind_version", "GET / HTTP/1.1 \r\nHost: a\r\n", 400},
        Case{"preface_of_http_2", "PRI * HTTP/2.0\r\n", 505},
        Case{"method_of_64", std::string(64, 'M') + " / HTTP/1.1\r\nHost: a\r\n", 0},
        Case{"method_of_65", std::string(65, 'M') + " / HTTP/1.1\r\nHost: a\r\n", 501},
        Case{"raw_bytes_in_target", "GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"raw_bytes_in_query", "GET /?\xc3\xa9 HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"what_browsers_leave_unescaped", "GET /{a}|b?^`\"<> HTTP/1.1\r\nHost: a\r\n", 0},
        Case{"fragment", "GET /a#b HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"relative", "GET a HTTP/1.1\r\nHost: a\r\n", 400}, Case{"star", "GET * HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"connect", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n", 501},
        Case{"absolute", "GET http://b/x HTTP/1.1\r\nHost: a\r\n", 0},
        Case{"absolute_in_capitals", "GET HTTP://b HTTP/1.1\r\nHost: a\r\n", 0},
        Case{"absolute_https", "GET https://b/x HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"absolute_of_another_scheme", "GET ftp://b/x HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"absolute_without_host", "GET http:///x HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"absolute_with_port_alone", "GET http://:80/x HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"absolute_with_user", "GET http://u@b/x HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"absolute_with_open_bracket", "GET http://[::1/x HTTP/1.1\r\nHost: a\r\n", 400},
        Case{"absolute_replaces_no_missing_host", "GET http://b/ HTTP/1.1\r\n", 400},
        Case{"port_without_host", "GET / HTTP/1.1\r\nHost: :8080\r\n", 400},
        Case{"port_that_is_no_number", "GET / HTTP/1.1\r\nHost: a:b\r\n", 400},
        Case{"open_bracket", "GET / HTTP/1.1\r\nHost: [::1\r\n", 400},
        Case{"bad_percent_in_host", "GET / HTTP/1.1\r\nHost: a%zz\r\n", 400},
        Case{"cr_before_a_field", get + "\rX: y\r\n", 400},
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
        Case{"unknown_coding_and_length", get + "Content-Length: 5\r\nTransfer-Encoding: gzip, chunked\r\n", 400},
        Case{"both_framings_before_the_method",
             "CONNECT / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
        Case{"both_framings_before_the_expectation",
             get + "Expect: more\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n", 400},
        Case{"two_encodings", get + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", 400},
        Case{"chunked_twice", get + "Transfer-Encoding: chunked, chunked\r\n", 400},
        Case{"chunked_not_last", get + "Transfer-Encoding: chunked, br\r\n", 400},
        Case{"chunked_not_last_of_two_fields", get + "Transfer-Encoding: chunked\r\nTransfer-Encoding: br\r\n", 400},
        Case{"chunked_not_last_but_again", get + "Transfer-Encoding: chunked, br, chunked\r\n", 400},
        Case{"empty_coding", get + "Transfer-Encoding:\r\n", 400},
        Case{"empty_coding_behind", get + "Transfer-Encoding: chunked,\r\n", 400},
        Case{"empty_coding_before", get + "Transfer-Encoding: , chunked\r\n", 400},
        Case{"empty_coding_between", get + "Transfer-Encoding: gzip,,chunked\r\n", 400},
        Case{"chunked_with_parameter", get + "Transfer-Encoding: chunked;q=1\r\n", 400},
        Case{"chunked_with_empty_parameter", get + "Transfer-Encoding: chunked ;\r\n", 400},
        Case{"quoted_chunked", get + "Transfer-Encoding: \"chunked\"\r\n", 400},
        Case{"two_words", get + "Transfer-Encoding: x chunked\r\n", 400},
        Case{"almost_chunked", get + "Transfer-Encoding: xchunked\r\n", 400},
        Case{"gzip_then_chunked_in_two_fields", get + "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", 501},
        Case{"parameter_before_chunked", get + "Transfer-Encoding: br;q=1, Chunked\r\n", 501},
        Case{"chunked_in_1_0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n", 400},
        Case{"gzip", get + "Transfer-Encoding: gzip\r\n", 400},
        Case{"gzip_chunked", get + "Transfer-Encoding: gzip, chunked\r\n", 501},
        Case{"chunked_with_vt",
             get + "Transfer-Encoding: \x0b"
                   "chunked\r\n",
             400},
        Case{"identity", get + "Transfer-Encoding: identity\r\n", 400},
        Case{"other_expectation", get + "Expect: 200-ok\r\n", 417}),
    [](const testing::TestParamInfo<Case>& test) { return test.param.name; });

TEST(ReadRequest, SaysWhatIsAskedFor)
{
    struct Form {
        const char* line;
        const char* authority;
        const char* path_and_query;
        bool no_path;
    };
    for (const Form& form : {Form{"GET /a?b", "", "/a?b", false}, Form{"OPTIONS *", "", "*", false},
                             Form{"GET http://b:81/a?c", "b:81", "/a?c", false}, Form{"GET http://b", "b", "/", false},
                             Form{"GET http://b?c=1", "b", "?c=1", true}, Form{"GET http://b/?c", "b", "/?c", false},
                             Form{"OPTIONS http://b", "b", "*", false}, Form{"OPTIONS http://b/", "b", "/", false},
                             Form{"OPTIONS http://b?c", "b", "?c", true}}) {
        const std::string head = std::string(form.line) + " HTTP/1.1\r\nHost: a\r\n\r\n";
        RequestParts parts;
        ASSERT_FALSE(read_request(head, parts)) << form.line;
        const auto& target = parts.target;
        EXPECT_EQ(target.authority, form.authority) << form.line;
        EXPECT_EQ(target.path_and_query, form.path_and_query) << form.line;
        EXPECT_EQ(target.no_path, form.no_path) << form.line;
    }
}

TEST(ReadRequest, BlamesTheFieldThatHoldsABareCr)
{
    const std::string head = get + "X-Odd: a\rb\r\n\r\n";
    RequestParts parts;
    const auto wrong = read_request(head, parts);
    ASSERT_TRUE(wrong);
    EXPECT_EQ(wrong->field, "X-Odd");
    EXPECT_EQ(to_sentence(*wrong), "the header field X-Odd: its value holds a control character");
}

/// Status of the refusal of `text`, however it is delivered; 0 = accepted so far.
unsigned scan(const std::string& text, const HeadLimits& limits = {}, Sender sender = Sender::client)
{
    HeadScanner at_once(sender);
    const unsigned status = at_once.scan(text, limits) == HeadScanner::Found::rejected ? at_once.rejection().status : 0;
    HeadScanner scanner(sender);
    unsigned in_pieces = 0;
    for (std::size_t size = 1; size <= text.size() && in_pieces == 0; ++size)
        if (scanner.scan(std::string_view(text).substr(0, size), limits) == HeadScanner::Found::rejected)
            in_pieces = scanner.rejection().status;
    EXPECT_EQ(status, in_pieces) << text;
    return status;
}

TEST(HeadScanner, FindsTheEndWhateverThePieces)
{
    test::check_property(1000, [] {
        const std::string head = get + "X: y\r\n\r\n";
        const std::string received = head + *rc::gen::arbitrary<std::string>();
        HeadScanner scanner;
        auto found = HeadScanner::Found::incomplete;
        std::size_t size = 0;
        while (found == HeadScanner::Found::incomplete) {
            size = std::min(received.size(), size + *rc::gen::inRange<std::size_t>(1, 8));
            found = scanner.scan(std::string_view(received).substr(0, size), {});
        }
        RC_ASSERT(found == HeadScanner::Found::complete);
        RC_ASSERT(scanner.head_size() == head.size());
    });
}

TEST(HeadScanner, RefusesAtOnceWhatCanNeverBecomeAHead)
{
    using namespace std::string_literals;
    for (const auto& [text, status] : {std::pair{"hello world\r\n"s, 400U},
                                       {"GET / HTTP/1.1\n"s, 400U},
                                       {"GET / HTTP/2.0\r\n"s, 505U},
                                       {"GET / HTTP/1.x\r\n"s, 400U},
                                       {"\x16\x03\x01\x02\x00\x01"s, 400U},
                                       {"G(T"s, 400U},
                                       {" "s, 400U},
                                       {std::string(65, 'M'), 501U},
                                       {std::string(9000, 'M'), 501U},
                                       {"GET / HTTP/1.1\r\nno colon\r\n"s, 400U},
                                       {"GET / HTTP/1.1\r\nX: a\rb\r\n"s, 400U},
                                       {"GET / HTTP/1.1\r\nX: a\r\n b"s, 400U}})
        EXPECT_EQ(scan(text), status) << text;
    for (const auto& text : {"GET"s, "GET "s, "GET /"s, "GET / HTTP/1.1"s, "GET / HTTP/1.1\r"s, "GET / HTTP/1.1\r\n"s,
                             "GET / HTTP/1.1\r\nX"s, "GET / HTTP/1.1\r\nX: y\r\n"s, std::string(64, 'M')})
        EXPECT_EQ(scan(text), 0U) << text;
}

TEST(HeadScanner, AppliesItsLimits)
{
    EXPECT_EQ(scan("GET /0123456789 HTTP/1.1\r\n", {.request_line = 20}), 414U);
    EXPECT_EQ(scan("GET /" + std::string(21, 'x'), {.request_line = 20}), 414U) << "also before the line is complete";
    EXPECT_EQ(scan("GET /01234 HTTP/1.1\r\n", {.request_line = 19}), 0U);
    EXPECT_EQ(scan("GET / HTTP/1.1\r\nX: 0123456789\r\n\r\n", {.request_line = 20, .head = 30}), 431U);
    EXPECT_EQ(scan(get + "A: b\r\nC: d\r\n\r\n", {.fields = 2}), 431U);
    EXPECT_EQ(scan(get + "A: b\r\nC: d\r\n\r\n", {.fields = 3}), 0U);
}

TEST(HeadScanner, TakesABareLfFromAServerAlone)
{
    const std::string text = "HTTP/1.1 200 OK\nA: b\r\n\nrest";
    HeadScanner scanner(Sender::server);
    ASSERT_EQ(scanner.scan(text, {}), HeadScanner::Found::complete);
    EXPECT_EQ(text.substr(scanner.head_size()), "rest");
    EXPECT_EQ(scan("SSH-2.0-OpenSSH\r\n", {}, Sender::server), 502U);
    EXPECT_EQ(scan("HTTP/1.1 200 OK\nA: b\n c\n", {}, Sender::server), 400U) << "obs-fold stays refused";
}

TEST(StatusLine, IsReadAsLongAsItCanMeanOneThing)
{
    struct Line {
        std::string text;
        unsigned status; ///< 0 = refused
        std::string reason;
    };
    using namespace std::string_literals;
    for (const Line& line : {Line{"HTTP/1.1 200 OK\r\n", 200, "OK"},
                             {"HTTP/1.1 200 \r\n", 200, ""},
                             {"HTTP/1.1 200\r\n", 200, ""},
                             {"HTTP/1.1 200\n", 200, ""},
                             {"HTTP/1.1  200  so good \r\n", 200, "so good"},
                             {"HTTP/1.0 404 \xc3\xa9\tx\r\n", 404, "\xc3\xa9\tx"},
                             {"HTTP/1.2 200 OK\r\n", 200, "OK"},
                             {"HTTP/1.1 600 X\r\n", 600, "X"},
                             {"HTTP/1.1 999 Denied\r\n", 999, "Denied"},
                             {"HTTP/1.1 099 X\r\n", 0, ""},
                             {"HTTP/1.1 20 OK\r\n", 0, ""},
                             {"HTTP/1.1 2000 OK\r\n", 0, ""},
                             {"HTTP/1.1 200OK\r\n", 0, ""},
                             {"HTTP/1.1 +20 OK\r\n", 0, ""},
                             {"HTTP/1.1\r\n", 0, ""},
                             {"HTTP/1.1\t200 OK\r\n", 0, ""},
                             {"HTTP/2.0 200 OK\r\n", 0, ""},
                             {"HTTP/1.10 200 OK\r\n", 0, ""},
                             {"http/1.1 200 OK\r\n", 0, ""},
                             {"ICY 200 OK\r\n", 0, ""},
                             {"HTTP/1.1 200 O\rK\r\n", 0, ""},
                             {"HTTP/1.1 200 O\0K\r\n"s, 0, ""}}) {
        std::string_view head = line.text;
        StatusLine read;
        const auto wrong = read_status_line(head, read);
        EXPECT_EQ(!wrong, line.status != 0) << line.text;
        if (wrong) continue;
        EXPECT_EQ(read.status, line.status) << line.text;
        EXPECT_EQ(read.reason, line.reason) << line.text;
        EXPECT_TRUE(head.empty()) << line.text;
    }
}

TEST(FramingFields, CountEqualLengthsOfAServerAsOne)
{
    const auto judge = [](std::initializer_list<std::string_view> lengths) {
        FramingFields framing;
        for (const auto length : lengths) framing.add_content_length(length);
        Framing end{};
        return std::pair{!framing.judge_request(1), !framing.judge_response(200, false, end)};
    };
    EXPECT_EQ(judge({"5"}), std::pair(true, true));
    EXPECT_EQ(judge({"5", "5"}), std::pair(false, true));
    EXPECT_EQ(judge({"5", "05"}), std::pair(false, true));
    EXPECT_EQ(judge({"5", "6"}), std::pair(false, false));
    EXPECT_EQ(judge({"5", "6", "6"}), std::pair(false, false));
    EXPECT_EQ(judge({"5", "6", "5"}), std::pair(false, false));
    EXPECT_EQ(judge({"5, 5"}), std::pair(false, false));
    EXPECT_EQ(judge({"", "0"}), std::pair(false, false));
    EXPECT_EQ(judge({"18446744073709551615"}), std::pair(true, true));
    EXPECT_EQ(judge({"18446744073709551616"}), std::pair(false, false));
}

} // namespace TEST_FILE
} // namespace hotspare::http
