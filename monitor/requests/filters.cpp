#include "monitor/requests/filters.hpp"

#include "common/config.hpp"
#include "common/text.hpp"
#include "common/time.hpp"
#include "monitor/requests/members.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <limits>
#include <string_view>

namespace hotspare::monitor {
namespace {

/// As the audit log keeps them, the mark of a text that was cut included.
constexpr std::size_t longest_word = longest_audit_word + 3;
constexpr std::size_t offset_at = 19; ///< in YYYY-MM-DDThh:mm:ss+hh:mm

/// Keeps the first refusal, and reads nothing after it.
class Filter {
public:
    Filter(const Parameters& parameters, std::initializer_list<std::string_view> known) : parameters_(parameters)
    {
        for (auto one = parameters.begin(); one != parameters.end(); ++one) {
            const std::string& name = one->first;
            const auto same = [&name](const auto& other) { return other.first == name; };
            if (std::ranges::find(known, name) == known.end()) {
                const std::string shown = shown_name(name);
                refusal = Refusal{shown, fmt::format("{} is not a parameter of this page, which has {}",
                                                     shown.empty() ? "the empty name" : shown, fmt::join(known, ", "))};
            } else if (std::any_of(parameters.begin(), one, same)) {
                refuse(name, "is given more than once");
            } else if (one->second.empty()) {
                refuse(name, "must not be empty");
            }
            if (refusal) return;
        }
    }

    void word(std::string_view name, std::string& value)
    {
        const std::string* const text = find(name);
        if (text == nullptr) return;
        refusal = refuse_text(name, *text, TextKind::line, longest_word, true);
        if (!refusal) value = *text;
    }

    void instant(std::string_view name, std::optional<Instant>& value)
    {
        const std::string* const text = find(name);
        if (text == nullptr) return;
        const auto moment = read_instant(name, *text);
        if (moment)
            value = *moment;
        else if (text->size() > offset_at && (*text)[offset_at] == ' ')
            refuse(name, "has a space where the offset begins: write + as %2B");
        else
            refusal = moment.error();
    }

    template <class Number> void number(std::string_view name, Number& value, std::uint64_t least, std::uint64_t most)
    {
        const std::string* const text = find(name);
        if (text == nullptr) return;
        const auto number = config::parse_unsigned(*text, most);
        if (!number || *number < least)
            refuse(name, fmt::format("must be a whole number from {} to {}", least, most));
        else
            value = static_cast<Number>(*number);
    }

    void limit(std::size_t& value) { number("limit", value, least_limit, greatest_limit); }

    /// The number of a row.
    template <class Number> void row(std::string_view name, std::optional<Number>& value)
    {
        Number one = 0;
        number(name, one, 1, static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
        if (one != 0) value = one;
    }

    const std::string* find(std::string_view name) const
    {
        if (refusal) return nullptr;
        const auto found = std::ranges::find(parameters_, name, &Parameters::value_type::first);
        return found == parameters_.end() ? nullptr : &found->second;
    }

    void refuse(std::string_view name, std::string_view what)
    {
        if (!refusal) refusal = Refusal{std::string(name), fmt::format("{} {}", name, what)};
    }

    std::optional<Refusal> refusal;

private:
    const Parameters& parameters_;
};

std::optional<std::chrono::year_month> parse_month(std::string_view text)
{
    // As the first day of the month, so that what a year and a month are is decided in one place.
    if (text.size() != 7) return std::nullopt;
    const auto first = parse_rfc3339(std::string(text) + "-01T00:00:00Z");
    if (!first) return std::nullopt;
    const std::chrono::year_month_day date(std::chrono::floor<std::chrono::days>(*first));
    return date.year() / date.month();
}

} // namespace

Accepted<AuditQuery> read_audit_filter(const Parameters& parameters)
{
    AuditQuery query{.most = usual_limit};
    Filter filter(parameters, {"from", "until", "user", "action", "target", "before", "limit"});
    filter.instant("from", query.from);
    filter.instant("until", query.until);
    if (query.from && query.until && *query.until <= *query.from) filter.refuse("until", "must be after from");
    filter.word("user", query.user);
    filter.word("action", query.action);
    filter.word("target", query.target);
    filter.row("before", query.before);
    filter.limit(query.most);
    if (filter.refusal) return *filter.refusal;
    return query;
}

Accepted<HistoryFilter> read_history_filter(const Parameters& parameters)
{
    HistoryFilter result;
    Filter filter(parameters, {"target", "from", "until", "before", "limit"});
    filter.word("target", result.target);
    std::optional<Instant> until;
    filter.instant("from", result.from);
    filter.instant("until", until);
    if (result.from && until && *until <= *result.from) filter.refuse("until", "must be after from");
    filter.instant("before", result.before);
    if (until) result.before = std::min(*until, result.before.value_or(*until));
    filter.limit(result.most);
    if (filter.refusal) return *filter.refusal;
    return result;
}

Accepted<IncidentFilter> read_incident_filter(const Parameters& parameters)
{
    IncidentFilter result;
    Filter filter(parameters, {"target", "before", "limit"});
    filter.word("target", result.target);
    filter.row("before", result.before);
    filter.limit(result.most);
    if (filter.refusal) return *filter.refusal;
    return result;
}

Accepted<UptimeFilter> read_uptime_filter(const Parameters& parameters, Instant now)
{
    const std::chrono::year_month_day today(std::chrono::floor<std::chrono::days>(now));
    UptimeFilter result{.month = today.year() / today.month()};
    Filter filter(parameters, {"target", "month"});
    filter.word("target", result.target);
    if (const std::string* const text = filter.find("month")) {
        const auto month = parse_month(*text);
        if (!month)
            filter.refuse("month", "must be a month such as 2026-11");
        else if (*month > result.month)
            filter.refuse("month", "is in the future");
        else
            result.month = *month;
    }
    if (filter.refusal) return *filter.refusal;
    return result;
}

} // namespace hotspare::monitor
