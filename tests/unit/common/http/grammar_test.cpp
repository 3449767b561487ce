#include "common/http/grammar.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::http {
namespace TEST_FILE {

using namespace std::string_literals;

TEST(Grammar, a_host_is_what_cannot_be_read_as_something_else)
{
    for (const char* host :
         {"", "a", "a.example:80", "[::1]:5000", "127.0.0.1", "a_b", "%41", "x~!$&'()*+,;=", "a:", "a:0", "a:65535",
          "[::1]", "[::ffff:1.2.3.4]:1", "[2001:db8:0:0:0:0:0:1]:", "[v1.a:b]", "xn--bcher-kva.example"})
        EXPECT_TRUE(is_host(host)) << host;
    for (const auto& host : {"a b"s,
                             "a/b"s,
                             "user@a"s,
                             "a?b"s,
                             "a#b"s,
                             "a\\b"s,
                             "\"a\""s,
                             "a\tb"s,
                             "\xc3\xa4"s,
                             "a\0b"s,
                             ":8080"s,
                             ":"s,
                             "a:http"s,
                             "a:80:80"s,
                             "a:+80"s,
                             "a:65536"s,
                             "a:99999999999999999999"s,
                             "[::1"s,
                             "::1"s,
                             "::1:8080"s,
                             "[]"s,
                             "[:1]"s,
                             "[::1]8080"s,
                             "[::1]:x"s,
                             "[::1%25eth0]"s,
                             "[1.2.3.4]"s,
                             "[v.a]"s,
                             "[vx.a]"s,
                             "[v1.]"s,
                             "[a]"s,
                             "[::1\0]"s,
                             "a]"s,
                             "a[b"s,
                             "%"s,
                             "%4"s,
                             "%zz"s,
                             "a%2"s,
                             "a%2:80"s})
        EXPECT_FALSE(is_host(host)) << host;
}

TEST(Grammar, a_control_character_is_found_wherever_it_stands)
{
    for (std::size_t size = 0; size < 40; ++size)
        for (std::size_t at = 0; at <= size; ++at)
            for (const char c : {'\0', '\x01', '\x1f', '\r', '\n', '\x7f'}) {
                std::string text(size, 'x');
                for (std::size_t i = 0; i < size; i += 3) text[i] = i % 2 ? '\t' : '\xff';
                if (at < size) text[at] = c;
                const char* const found = find_control(text.data(), text.data() + text.size());
                ASSERT_EQ(found - text.data(), static_cast<std::ptrdiff_t>(at)) << size;
            }
}

TEST(Grammar, a_list_is_cut_at_its_commas)
{
    const auto elements = [](std::string_view list) {
        std::string all;
        while (!list.empty()) all.append("<").append(next_element(list)).append(">");
        return all;
    };
    EXPECT_EQ(elements("close"), "<close>");
    EXPECT_EQ(elements(" a ,\tb,c\t"), "<a><b><c>");
    EXPECT_EQ(elements(",a,,b"), "<><a><><b>");
    EXPECT_EQ(elements(""), "");
}

TEST(Grammar, a_request_id_is_short_and_visible_and_needs_no_escape)
{
    for (const auto& id : {"a"s, "7f3c-00:{x}/=+"s, std::string(128, 'x')}) EXPECT_TRUE(is_request_id(id)) << id;
    for (const auto& id : {""s, "a b"s, "a\"b"s, "a\\b"s, "a\x7f"s, "\xc3\xa4"s, "a\0b"s, std::string(129, 'x')})
        EXPECT_FALSE(is_request_id(id)) << id;
}

} // namespace TEST_FILE
} // namespace hotspare::http
