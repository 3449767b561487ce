#include "monitor/requests/form.hpp"

#include "tests/support/property.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cctype>
#include <set>
#include <string>

namespace hotspare::monitor {
namespace {

TEST(Form, ReadsFieldsInTheirOrder)
{
    const struct {
        std::string body;
        FormFields fields;
    } cases[] = {
        {"", {}},
        {"version=v1", {{"version", "v1"}}},
        {"b=2&a=1", {{"b", "2"}, {"a", "1"}}},
        {"empty=", {{"empty", ""}}},
        {"a=b=c", {{"a", "b=c"}}},
        {"text=a+b%20c%2B%26%3d", {{"text", "a b c+&="}}},
        {"na%6De=%C3%A9%0D%0A", {{"name", "é\r\n"}}},
    };
    for (const auto& one : cases) {
        const auto fields = read_form(one.body);
        ASSERT_TRUE(fields) << one.body << ": " << fields.error().message;
        EXPECT_EQ(*fields, one.fields) << one.body;
    }
}

TEST(Form, RefusesWhatCouldBeReadInTwoWays)
{
    const struct {
        std::string body, field, message;
    } cases[] = {
        {"a", "body", "body holds a field without '='"},
        {"a=1&", "body", "body ends with '&'"},
        {"&", "body", "body ends with '&'"},
        {"&a=1", "body", "body holds a field without '='"},
        {"a=1&&b=2", "body", "body holds a field without '='"},
        {"=1", "body", "body holds a field without a name"},
        {"a=%", "a", "a holds a broken percent escape"},
        {"a=%4", "a", "a holds a broken percent escape"},
        {"a=%4g", "a", "a holds a broken percent escape"},
        {"a=%u0041", "a", "a holds a broken percent escape"},
        {"%zz=1", "body", "body holds a field whose name holds a broken percent escape"},
        {"a=%00", "a", "a holds a NUL"},
        {"a=%ff", "a", "a is not UTF-8"},
        {"a=%C3%28", "a", "a is not UTF-8"},
        {"a=b c", "a", "a holds a character that must be percent-encoded"},
        {"a=1\r\n", "a", "a holds a character that must be percent-encoded"},
        {"a=\xC3\xA9", "a", "a holds a character that must be percent-encoded"},
        {"a=1&%61=2", "a", "a is given more than once"},
        {"%0A=1&%0A=1", "\\x0a", "\\x0a is given more than once"},
    };
    for (const auto& one : cases) {
        const auto fields = read_form(one.body);
        ASSERT_FALSE(fields) << one.body;
        EXPECT_EQ(fields.error(), (Refusal{one.field, one.message})) << fields.error().message;
    }
}

TEST(Form, IsBounded)
{
    EXPECT_TRUE(read_form("a=" + std::string(longest_form - 2, 'x')));
    EXPECT_EQ(read_form("a=" + std::string(longest_form - 1, 'x')).error().message, "body is longer than 8192 bytes");
    std::string body = "f0=";
    for (std::size_t i = 1; i < most_form_fields; ++i) body += fmt::format("&f{}=", i);
    ASSERT_TRUE(read_form(body));
    EXPECT_EQ(read_form(body)->size(), 16U);
    EXPECT_EQ(read_form(body + "&more=").error().message, "body has more than 16 fields");
    EXPECT_LT(read_form(std::string(5000, 'n') + "=%").error().field.size(), 80U);
}

TEST(Form, ReadsBackWhatABrowserEncodes)
{
    test::check_property(500, [] {
        const auto text = rc::gen::container<std::string>(rc::gen::inRange('\x01', '\x7f'));
        const auto pairs = *rc::gen::container<FormFields>(rc::gen::pair(rc::gen::nonEmpty(text), text));
        const auto encoded = [](const std::string& plain) {
            std::string out;
            for (const char c : plain) {
                if (c == ' ')
                    out += '+';
                else if (std::isalnum(static_cast<unsigned char>(c)) != 0)
                    out += c;
                else
                    out += fmt::format("%{:02X}", static_cast<unsigned>(c));
            }
            return out;
        };
        FormFields expected;
        std::set<std::string> names;
        std::string body;
        for (const auto& [name, value] : pairs) {
            if (expected.size() == most_form_fields || !names.insert(name).second) continue;
            expected.emplace_back(name, value);
            body += (body.empty() ? "" : "&") + encoded(name) + "=" + encoded(value);
        }
        RC_PRE(body.size() <= longest_form);
        const auto fields = read_form(body);
        RC_ASSERT(fields.has_value());
        RC_ASSERT(*fields == expected);
    });
}

TEST(Form, AnyBytesAreReadOrRefused)
{
    test::check_property(2000, [] {
        const auto body = *rc::gen::container<std::string>(
            rc::gen::oneOf(rc::gen::element('a', '=', '&', '%', '+', '4', 'F'), rc::gen::arbitrary<char>()));
        const auto fields = read_form(body);
        if (fields)
            RC_ASSERT(fields->size() <= most_form_fields);
        else
            RC_ASSERT(!fields.error().message.empty());
    });
}

} // namespace
} // namespace hotspare::monitor
