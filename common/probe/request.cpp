#include "common/probe/request.hpp"

#include "common/config.hpp"
#include "common/http/grammar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace hotspare::probe {

bool is_method(const std::string& text)
{
    constexpr std::size_t longest_method = 32;
    return !text.empty() && text.size() <= longest_method && http::is_token(text) && text != "CONNECT";
}

bool is_field_name(const std::string& text)
{
    constexpr std::array framing{"Connection", "Content-Length", "Expect", "TE", "Transfer-Encoding", "Upgrade"};
    return http::is_token(text) && std::none_of(framing.begin(), framing.end(), [&](const char* name) {
               return http::equals_ignoring_case(name, text);
           });
}

bool is_field_value(const std::string& text)
{
    const char* const end = text.data() + text.size();
    return http::find_control(text.data(), end) == end;
}

bool is_field_match(const std::string& text)
{
    const auto equals = text.find('=');
    return text.empty() || (equals != std::string::npos && equals > 0);
}

bool is_status_list(const std::vector<http::StatusRange>& list)
{
    return !list.empty();
}

boost::system::result<std::vector<Field>, std::string> parse_fields(const std::vector<std::string>& lines)
{
    const auto wrong = [](std::string why) -> boost::system::result<std::vector<Field>, std::string> {
        return {boost::system::in_place_error, std::move(why)};
    };
    std::vector<Field> fields;
    for (const std::string& line : lines) {
        const auto colon = line.find(':');
        if (colon == line.npos) return wrong("a field has no colon, expected NAME: VALUE");
        Field field{line.substr(0, colon), std::string(http::trim(std::string_view(line).substr(colon + 1)))};
        if (!is_field_name(field.first))
            return wrong(fmt::format("{} is not {}", config::in_quotes(field.first), a_field_name));
        if (!is_field_value(field.second))
            return wrong(fmt::format("the value of the field {} is not {}", field.first, a_field_value));
        fields.push_back(std::move(field));
    }
    return fields;
}

} // namespace hotspare::probe
