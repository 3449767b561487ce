#include "monitor/notify/wording.hpp"

#include "common/json_document.hpp"
#include "common/text.hpp"
#include "common/time.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

namespace hotspare::monitor {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::size_t longest_subject = 190;
constexpr std::size_t most_named = 5; ///< targets in a subject

std::string rfc3339(Instant at)
{
    return format_rfc3339(at);
}

/// What others wrote, on one line.
std::string line(std::string_view text)
{
    return printable(text);
}

std::string names_of(const Message& message)
{
    std::string names;
    for (std::size_t i = 0; i < message.outages.size() && i < most_named; ++i)
        names += (i == 0 ? "" : ", ") + line(message.outages[i].target);
    if (message.outages.size() > most_named) names += fmt::format(" and {} more", message.outages.size() - most_named);
    return names;
}

std::string targets_are(const Message& message, std::string_view what)
{
    if (message.outages.size() == 1) return fmt::format("{} is {}", names_of(message), what);
    return fmt::format("{} targets are {}: {}", message.outages.size(), what, names_of(message));
}

std::string headline(const Message& message, const Window* window)
{
    switch (message.kind) {
    case Message::Kind::outage: {
        auto text = targets_are(message, "down");
        if (message.outages.size() == 1 && !message.outages.front().cause.empty())
            text += ": " + line(message.outages.front().cause);
        return text;
    }
    case Message::Kind::recovery: {
        auto text = targets_are(message, "up again");
        if (message.outages.size() == 1) text += " after " + in_words(message.outages.front().duration);
        return text;
    }
    case Message::Kind::maintenance: break;
    }
    const bool emergency = window != nullptr && window->plan.emergency;
    const std::string title =
        window != nullptr && !window->plan.title.empty() ? line(window->plan.title) : "Maintenance";
    const std::string kind = emergency ? "Emergency maintenance" : "Maintenance";
    const auto at = in_words(message.occurrence.begin);
    switch (message.notice) {
    case Notice::announcement: return fmt::format("{} planned for {}: {}", kind, at, title);
    case Notice::day_before: return fmt::format("Reminder: {} at {}: {}", emergency ? kind : "maintenance", at, title);
    case Notice::start: return fmt::format("{} has begun: {}", kind, title);
    case Notice::end: return fmt::format("{} is over: {}", kind, title);
    case Notice::cancellation: return fmt::format("{} of {} is cancelled: {}", kind, at, title);
    }
    return {};
}

/// What a mail says below its headline, a paragraph or a list.
std::string details(const Message& message, const Window* window)
{
    std::string text;
    for (const Outage& outage : message.outages) {
        text += fmt::format("{}\n  down since {}\n", line(outage.target), in_words(outage.since));
        if (message.kind == Message::Kind::recovery)
            text += fmt::format("  was down for {}\n", in_words(outage.duration));
        if (!outage.cause.empty()) text += fmt::format("  cause: {}\n", line(outage.cause));
    }
    if (message.kind != Message::Kind::maintenance) return text;

    const Span& when = message.occurrence;
    text += fmt::format("From {} to {} ({})\n", in_words(when.begin), in_words(when.end), in_words(when.length()));
    if (window == nullptr) return text;
    std::string components;
    for (const auto& component : window->plan.components)
        components += (components.empty() ? "" : ", ") + line(component);
    text += fmt::format("Components: {}\n", components.empty() ? "all" : components);
    text += fmt::format("Impact: {}\n", to_string(window->plan.impact));
    if (!window->plan.message.empty()) text += "\n" + window->plan.message + "\n";
    return text;
}

OrderedJson document(const Message& message, std::string_view id, const Naming& naming, const Window* window,
                     const std::string& headline)
{
    OrderedJson json{{"id", id}, {"site", naming.site}, {"event", to_string(message.kind)}, {"text", headline}};
    if (!naming.url.empty()) json["url"] = naming.url;
    if (message.kind != Message::Kind::maintenance) {
        json["targets"] = OrderedJson::array();
        for (const Outage& outage : message.outages) {
            OrderedJson target{{"name", outage.target},
                               {"incident", outage.incident},
                               {"since", rfc3339(outage.since)},
                               {"cause", outage.cause}};
            if (message.kind == Message::Kind::recovery) target["duration_ms"] = outage.duration.count();
            json["targets"].push_back(std::move(target));
        }
        return json;
    }
    OrderedJson maintenance{{"id", message.window},
                            {"notice", to_string(message.notice)},
                            {"start_time", rfc3339(message.occurrence.begin)},
                            {"end_time", rfc3339(message.occurrence.end)}};
    if (window != nullptr) {
        maintenance["title"] = window->plan.title;
        maintenance["message"] = window->plan.message;
        maintenance["components"] = window->plan.components;
        maintenance["impact"] = to_string(window->plan.impact);
        maintenance["emergency"] = window->plan.emergency;
    }
    json["maintenance"] = std::move(maintenance);
    return json;
}

/// Slack reads three characters as markup.
std::string escaped_for_slack(std::string_view text)
{
    std::string out;
    for (const char c : text) {
        if (c == '&')
            out += "&amp;";
        else if (c == '<')
            out += "&lt;";
        else if (c == '>')
            out += "&gt;";
        else
            out += c;
    }
    return out;
}

} // namespace

Wording word(const Message& message, std::string_view id, const Naming& naming, const Window* window)
{
    const auto head = headline(message, window);
    const auto body = details(message, window);
    Wording words;
    words.subject = shortened(fmt::format("[{}] {}", line(naming.site), head), longest_subject);
    words.text = fmt::format("{}\n\n{}", head, body);
    if (!naming.url.empty()) words.text += fmt::format("\n{}\n", naming.url);
    words.json = json_text(document(message, id, naming, window, head));
    auto slack = fmt::format("*[{}] {}*\n{}", escaped_for_slack(line(naming.site)), escaped_for_slack(head),
                             escaped_for_slack(body));
    if (!naming.url.empty()) slack += fmt::format("<{}>", escaped_for_slack(naming.url));
    words.slack = json_text(OrderedJson{{"text", slack}});
    return words;
}

std::string in_words(milliseconds duration)
{
    const auto total = std::max(duration, milliseconds(0));
    if (total < seconds(1)) return fmt::format("{:.1f} s", std::floor(static_cast<double>(total.count()) / 100) / 10);
    struct Step {
        seconds length;
        const char* name;
    };
    constexpr std::array units{Step{std::chrono::hours(24), "d"}, Step{std::chrono::hours(1), "h"},
                               Step{std::chrono::minutes(1), "min"}, Step{seconds(1), "s"}};
    const auto whole = std::chrono::floor<seconds>(total);
    const auto first = std::find_if(units.begin(), units.end(), [&](const Step& unit) { return whole >= unit.length; });
    auto text = fmt::format("{} {}", whole / first->length, first->name);
    if (const auto next = first + 1; next != units.end())
        if (const auto rest = whole % first->length / next->length; rest > 0)
            text += fmt::format(" {} {}", rest, next->name);
    return text;
}

std::string in_words(Instant at)
{
    auto text = rfc3339(at).substr(0, 16); // 2026-11-02T22:00
    text[10] = ' ';
    return text + " UTC";
}

} // namespace hotspare::monitor
