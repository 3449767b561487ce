#include "monitor/requests/members.hpp"

#include "common/text.hpp"
#include "common/time.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

namespace hotspare::monitor {
namespace {

using Json = nlohmann::json;

constexpr std::size_t second_at = 17; ///< in YYYY-MM-DDThh:mm:ss

std::string kind_of(const Json& value)
{
    if (value.is_null()) return "null";
    const std::string name = value.type_name();
    return (value.is_array() || value.is_object() ? "an " : "a ") + name;
}

} // namespace

Accepted<Instant> read_instant(std::string_view field, std::string_view text, int earliest_year)
{
    const auto refuse = [field](std::string_view what) {
        return Refusal{std::string(field), fmt::format("{} {}", field, what)};
    };
    const auto moment = parse_rfc3339(text);
    if (!moment) {
        // Only then: a time with something else wrong is better told that.
        if (parse_rfc3339(std::string(text) + "Z")) return refuse("must have a zone, for example 2026-11-02T22:00:00Z");
        return refuse("is not a valid time: " + moment.error());
    }
    if (text.substr(second_at, 2) == "60") return refuse("must not be a leap second");
    const int year =
        static_cast<int>(std::chrono::year_month_day(std::chrono::floor<std::chrono::days>(*moment)).year());
    if (year < earliest_year)
        return refuse(fmt::format("is not a valid time: year {} is before {}", year, earliest_year));
    return *moment;
}

Members::Members(const Json& document, std::initializer_list<std::string_view> known) : document_(document)
{
    if (!document.is_object()) {
        refusal_ = Refusal{"body", fmt::format("the body must be a JSON object, not {}", kind_of(document))};
        return;
    }
    for (const auto& [name, ignored] : document.items()) {
        if (std::ranges::find(known, name) != known.end()) continue;
        // A client's own text, which may be of any length and hold anything.
        const std::string shown = shown_name(name);
        refusal_ = Refusal{shown, fmt::format("{} is not a member of the document, which has {}",
                                              shown.empty() ? "the empty name" : shown, fmt::join(known, ", "))};
        return;
    }
}

const Json* Members::find(std::string_view name) const
{
    if (refusal_) return nullptr;
    const auto found = document_.find(name);
    return found == document_.end() ? nullptr : &*found;
}

void Members::refuse(std::string_view name, const std::string& what)
{
    if (!refusal_) refusal_ = Refusal{std::string(name), fmt::format("{} {}", name, what)};
}

void Members::require(std::string_view name, bool may_be_absent)
{
    if (refusal_) return;
    const Json* const member = find(name);
    if (member == nullptr ? !may_be_absent : member->is_null()) refuse(name, "is required");
}

bool Members::optional_text(std::string_view name, std::optional<std::string>& value)
{
    const Json* const member = find(name);
    if (member == nullptr) return false;
    if (member->is_null()) return true;
    if (!member->is_string()) {
        refuse(name, "must be a string, not " + kind_of(*member));
        return false;
    }
    value = member->get<std::string>();
    return true;
}

void Members::text(std::string_view name, std::string& value)
{
    if (std::optional<std::string> text; optional_text(name, text)) value = std::move(text).value_or("");
}

void Members::flag(std::string_view name, bool& value)
{
    const Json* const member = find(name);
    if (member == nullptr) return;
    if (!member->is_null() && !member->is_boolean())
        return refuse(name, "must be true or false, not " + kind_of(*member));
    value = member->is_boolean() && member->get<bool>();
}

void Members::texts(std::string_view name, std::vector<std::string>& value)
{
    const Json* const member = find(name);
    if (member == nullptr) return;
    if (!member->is_null() && !member->is_array())
        return refuse(name, "must be an array of strings, not " + kind_of(*member));
    std::vector<std::string> texts;
    for (const Json& one : *member) { // none of null
        if (!one.is_string())
            return refuse(
                name, fmt::format("must be an array of strings, and item {} is {}", texts.size() + 1, kind_of(one)));
        texts.push_back(one.get<std::string>());
    }
    value = std::move(texts);
}

void Members::instant(std::string_view name, Instant& value, int earliest_year)
{
    std::optional<std::string> text;
    if (!optional_text(name, text)) return;
    const auto moment = read_instant(name, text.value_or(""), earliest_year);
    if (moment)
        value = *moment;
    else
        refusal_ = moment.error();
}

} // namespace hotspare::monitor
