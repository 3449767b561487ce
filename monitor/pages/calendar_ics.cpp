#include "monitor/pages/calendar_ics.hpp"

#include "common/format.hpp"
#include "common/markup.hpp"
#include "common/text.hpp"
#include "monitor/pages/wording.hpp"

#include <algorithm>

namespace hotspare::monitor {
namespace {

constexpr std::size_t most_octets = 75;

/// DATE-TIME in UTC (§3.3.5): 20261102T020000Z.
std::string utc(Instant at)
{
    const auto day = std::chrono::floor<std::chrono::days>(at);
    const std::chrono::year_month_day date(day);
    const std::chrono::hh_mm_ss time(at - day);
    std::string out;
    append(out, "{:04}{:02}{:02}T{:02}{:02}{:02}Z", static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
           static_cast<unsigned>(date.day()), time.hours().count(), time.minutes().count(), time.seconds().count());
    return out;
}

/// The rule without its name; empty if it holds what no rule does, as a row that others wrote may.
std::string_view rule_of(std::string_view rrule) noexcept
{
    if (rrule.starts_with("RRULE:")) rrule.remove_prefix(6);
    const auto fits = [](char c) {
        return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
               std::string_view("=;,+-").find(c) != std::string_view::npos;
    };
    return std::ranges::all_of(rrule, fits) ? rrule : std::string_view();
}

class Calendar {
public:
    explicit Calendar(const View& view) : view_(view)
    {
        line("BEGIN:VCALENDAR");
        line("VERSION:2.0");
        line("PRODID:-//hotspare//monitor//EN");
        line("CALSCALE:GREGORIAN");
        line("METHOD:PUBLISH");
        line("X-WR-CALNAME:" + ics_text(view.title.empty() ? "Maintenance" : view.title));
    }

    void add(const PublicWindow& shown)
    {
        const Window& window = shown.window;
        const WindowPlan& plan = window.plan;
        const Span current{plan.start, plan.end};
        if (plan.rrule.empty()) {
            event(shown, current, {});
            return;
        }
        // COUNT and UNTIL belong to the series, so it begins with its first occurrence.
        const Span first = window.first.empty() ? current : window.first;
        if (!plan.time_zone.empty() && plan.time_zone != "UTC") {
            std::string dates;
            for (const Span& next : shown.next)
                if (next.begin > first.begin) dates += (dates.empty() ? "RDATE:" : ",") + utc(next.begin);
            event(shown, first, dates);
        } else {
            const std::string_view rule = rule_of(plan.rrule);
            event(shown, first, rule.empty() ? "" : "RRULE:" + std::string(rule));
        }
        if (current.length() != first.length()) event(shown, current, "RECURRENCE-ID:" + utc(current.begin));
    }

    std::string take()
    {
        line("END:VCALENDAR");
        return std::move(text_);
    }

private:
    void line(std::string_view content) { text_ += ics_line(content); }

    /// `recurrence` is a content line, or empty.
    void event(const PublicWindow& shown, const Span& time, const std::string& recurrence)
    {
        const Window& window = shown.window;
        line("BEGIN:VEVENT");
        line("UID:" + id_of(window) + "@" + host_of(view_.base_url));
        line("DTSTAMP:" + utc(updated_at(shown)));
        line("CREATED:" + utc(window.created_at));
        line("LAST-MODIFIED:" + utc(updated_at(shown)));
        line("SEQUENCE:" + std::to_string(window.version));
        line("DTSTART:" + utc(time.begin));
        line("DTEND:" + utc(time.end));
        if (!recurrence.empty()) line(recurrence);
        line("SUMMARY:" + ics_text(title_of(window)));
        line("DESCRIPTION:" + ics_text(components_text(view_, window) + "\n\n" + window.plan.message));
        line(window.state == WindowState::cancelled ? "STATUS:CANCELLED" : "STATUS:CONFIRMED");
        line("TRANSP:TRANSPARENT");
        line("END:VEVENT");
    }

    const View& view_;
    std::string text_;
};

} // namespace

std::string ics_text(std::string_view text)
{
    std::string out;
    for (const char c : valid_utf8(text)) switch (c) {
        case '\\': out += "\\\\"; break;
        case ';': out += "\\;"; break;
        case ',': out += "\\,"; break;
        case '\n': out += "\\n"; break;
        case '\t': out += c; break;
        case '\r': break;
        default: {
            const auto byte = static_cast<unsigned char>(c);
            if (byte < 0x20 || byte == 0x7F)
                out += "\xEF\xBF\xBD";
            else
                out += c;
        }
        }
    return out;
}

std::string ics_line(std::string_view line)
{
    std::string out;
    std::size_t octets = 0;
    while (!line.empty()) {
        const std::size_t bytes = std::max<std::size_t>(first_character(line).bytes, 1);
        if (octets + bytes > most_octets) {
            out += "\r\n ";
            octets = 1;
        }
        out += line.substr(0, bytes);
        octets += bytes;
        line.remove_prefix(bytes);
    }
    return out + "\r\n";
}

std::string calendar_ics(const View& view)
{
    Calendar calendar(view);
    for (const bool over : {false, true})
        for (const PublicWindow* window : windows_where(view, over)) calendar.add(*window);
    return calendar.take();
}

} // namespace hotspare::monitor
