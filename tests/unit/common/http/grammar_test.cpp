#include "common/http/grammar.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::http {
namespace {

using namespace std::string_literals;

TEST(Grammar, a_host_is_what_cannot_be_read_as_something_else)
{
    for (const char* host : {"", "a", "a.example:80", "[::1]:5000", "127.0.0.1", "a_b", "%41", "x~!$&'()*+,;="})
        EXPECT_TRUE(is_host(host)) << host;
    for (const auto& host :
         {"a b"s, "a/b"s, "user@a"s, "a?b"s, "a#b"s, "a\\b"s, "\"a\""s, "a\tb"s, "\xc3\xa4"s, "a\0b"s})
        EXPECT_FALSE(is_host(host)) << host;
}

TEST(Grammar, a_request_id_is_short_and_visible_and_needs_no_escape)
{
    for (const auto& id : {"a"s, "7f3c-00:{x}/=+"s, std::string(128, 'x')}) EXPECT_TRUE(is_request_id(id)) << id;
    for (const auto& id : {""s, "a b"s, "a\"b"s, "a\\b"s, "a\x7f"s, "\xc3\xa4"s, "a\0b"s, std::string(129, 'x')})
        EXPECT_FALSE(is_request_id(id)) << id;
}

} // namespace
} // namespace hotspare::http
