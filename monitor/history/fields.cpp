#include "monitor/history/fields.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace hotspare::monitor {
namespace {

using Json = nlohmann::json;

std::optional<std::int64_t> whole_number(const Json& value)
{
    if (value.is_number_unsigned() &&
        value.get<std::uint64_t>() > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
        return std::nullopt;
    return value.is_number_integer() ? std::optional(value.get<std::int64_t>()) : std::nullopt;
}

std::optional<Instant> read_instant(const Json& value)
{
    const auto number = whole_number(value);
    if (!number) return std::nullopt;
    const Instant at{milliseconds(*number)};
    return at == forever || (first_instant <= at && at <= last_instant) ? std::optional(at) : std::nullopt;
}

} // namespace

Fields::Fields(const Json& value, std::string place, std::initializer_list<std::string_view> members)
    : value_(value), place_(std::move(place))
{
    if (!value.is_object()) throw WrongField{place_, "an object"};
    for (const auto& [name, ignored] : value.items())
        if (std::find(members.begin(), members.end(), name) == members.end()) wrong(name, "no such member");
}

std::string Fields::at(std::string_view name) const
{
    return place_.empty() ? std::string(name) : fmt::format("{}.{}", place_, name);
}

void Fields::wrong(std::string_view name, std::string_view expected) const
{
    throw WrongField{at(name), std::string(expected)};
}

const Json& Fields::member(std::string_view name) const
{
    const auto found = value_.find(name);
    if (found == value_.end()) wrong(name, "a value");
    return *found;
}

bool Fields::has(std::string_view name) const
{
    const auto found = value_.find(name);
    return found != value_.end() && !found->is_null();
}

std::string Fields::text(std::string_view name) const
{
    const Json& value = member(name);
    if (!value.is_string()) wrong(name, "a text");
    return value.get<std::string>();
}

bool Fields::flag(std::string_view name) const
{
    const Json& value = member(name);
    if (!value.is_boolean()) wrong(name, "true or false");
    return value.get<bool>();
}

std::int64_t Fields::whole(std::string_view name, std::int64_t least, std::int64_t most) const
{
    const auto number = whole_number(member(name));
    if (!number || *number < least || *number > most)
        wrong(name, fmt::format("a whole number from {} to {}", least, most));
    return *number;
}

std::uint64_t Fields::number(std::string_view name, std::uint64_t most) const
{
    return static_cast<std::uint64_t>(whole(name, 0, static_cast<std::int64_t>(most)));
}

Instant Fields::instant(std::string_view name) const
{
    const Instant at = instant_or_forever(name);
    if (at == forever) wrong(name, "an instant");
    return at;
}

Instant Fields::instant_or_forever(std::string_view name) const
{
    const auto at = read_instant(member(name));
    if (!at) wrong(name, "milliseconds from 1970 to 2400");
    return *at;
}

std::optional<Instant> Fields::optional_instant(std::string_view name) const
{
    return has(name) ? std::optional(instant(name)) : std::nullopt;
}

milliseconds Fields::span_of_time(std::string_view name) const
{
    return milliseconds(whole(name, 0, (last_instant - first_instant).count()));
}

std::vector<std::string> Fields::texts(std::string_view name) const
{
    std::vector<std::string> result;
    for (const Json& value : list(name)) {
        if (!value.is_string()) wrong(name, "a list of texts");
        result.push_back(value.get<std::string>());
    }
    return result;
}

Span Fields::span(std::string_view name) const
{
    return read_span(member(name), at(name));
}

const Json& Fields::object(std::string_view name) const
{
    const Json& value = member(name);
    if (!value.is_object()) wrong(name, "an object");
    return value;
}

const Json& Fields::list(std::string_view name) const
{
    const Json& value = member(name);
    if (!value.is_array()) wrong(name, "a list");
    return value;
}

Span read_span(const Json& value, const std::string& place)
{
    if (!value.is_array() || value.size() != 2) throw WrongField{place, "begin and end"};
    const auto begin = read_instant(value[0]);
    const auto end = read_instant(value[1]);
    if (!begin || *begin == forever || !end || *end < *begin) throw WrongField{place, "a begin and an end after it"};
    return {*begin, *end};
}

} // namespace hotspare::monitor
