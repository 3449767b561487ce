#include "monitor/requests/form.hpp"

#include "common/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

namespace hotspare::monitor {
namespace {

constexpr std::size_t longest_shown_name = 64;

int hex_digit(char c) noexcept
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    return -1;
}

/// What is wrong with it, a clause; nothing: `out` is the text. Not http::percent_decode(), as '+' is a space here, and
/// its header brings Beast along.
std::optional<std::string_view> decode(std::string_view encoded, std::string& out)
{
    for (std::size_t i = 0; i < encoded.size(); ++i) {
        const char c = encoded[i];
        if (c == '+') {
            out += ' ';
        } else if (c != '%') {
            if (c < '!' || c > '~') return "holds a character that must be percent-encoded";
            out += c;
        } else {
            const int high = i + 1 < encoded.size() ? hex_digit(encoded[i + 1]) : -1;
            const int low = i + 2 < encoded.size() ? hex_digit(encoded[i + 2]) : -1;
            if (high < 0 || low < 0) return "holds a broken percent escape";
            out += static_cast<char>(high * 16 + low);
            i += 2;
        }
    }
    if (out.find('\0') != std::string::npos) return "holds a NUL";
    if (!is_utf8(out)) return "is not UTF-8";
    return std::nullopt;
}

} // namespace

Accepted<FormFields> read_form(std::string_view body)
{
    const auto refuse = [](std::string_view field, std::string_view what) {
        const std::string shown = shortened(printable(field), longest_shown_name);
        return Refusal{shown, fmt::format("{} {}", shown, what)};
    };
    if (body.size() > longest_form) return refuse("body", fmt::format("is longer than {} bytes", longest_form));
    FormFields fields;
    while (!body.empty()) {
        if (fields.size() == most_form_fields)
            return refuse("body", fmt::format("has more than {} fields", most_form_fields));
        const std::size_t end = body.find('&');
        const std::string_view pair = body.substr(0, end);
        if (end + 1 == body.size()) return refuse("body", "ends with '&'");
        body.remove_prefix(end == body.npos ? body.size() : end + 1);

        const std::size_t equals = pair.find('=');
        if (equals == pair.npos) return refuse("body", "holds a field without '='");
        std::string name, value;
        if (const auto wrong = decode(pair.substr(0, equals), name))
            return refuse("body", fmt::format("holds a field whose name {}", *wrong));
        if (name.empty()) return refuse("body", "holds a field without a name");
        if (const auto wrong = decode(pair.substr(equals + 1), value)) return refuse(name, *wrong);
        if (std::ranges::find(fields, name, &FormFields::value_type::first) != fields.end())
            return refuse(name, "is given more than once");
        fields.emplace_back(std::move(name), std::move(value));
    }
    return fields;
}

} // namespace hotspare::monitor
