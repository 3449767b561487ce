#include "monitor/pages/status_page.hpp"

#include "common/format.hpp"
#include "common/markup.hpp"
#include "monitor/pages/component_card.hpp"
#include "monitor/pages/status_style.hpp"
#include "monitor/pages/wording.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

namespace hotspare::monitor {
namespace {

constexpr int refresh_seconds = 60;
constexpr std::size_t most_next = 4;

std::string time_element(Instant at)
{
    std::string out;
    append(out, "<time datetime=\"{}\">{}</time>", machine_time(at), moment_text(at));
    return out;
}

std::string span_element(const Span& span)
{
    std::string out;
    append(out, R"(<time datetime="{}">{}</time> to <time datetime="{}">{}</time>)", machine_time(span.begin),
           moment_text(span.begin), machine_time(span.end), end_text(span));
    return out;
}

std::string incident_card(const View& view, const PublicIncident& shown, std::string_view heading)
{
    const Incident& incident = shown.incident;
    const bool open = unresolved(incident);
    const milliseconds down = incident.duration(view.now);
    std::string out;
    append(out,
           "<article class=\"card{}\" id=\"{}\">\n<div class=\"head\"><{}>{}</{}><p class=\"state {}\">{}</p></div>\n",
           open ? " open" : "", id_of(shown), heading, escape(title_of(view, shown)), heading, open ? "down" : "up",
           status_text(incident.status));
    append(out, "<dl class=\"facts\"><div><dt>Since</dt><dd>{}</dd></div>", time_element(incident.since()));
    append(out, "<div><dt>{}</dt><dd>{}</dd></div></dl>\n", incident.open() ? "Down for" : "Was down for",
           duration_text(down));
    out += "<ol class=\"updates\">\n";
    for (const HistoryLine& line : history_of(view, shown))
        append(out, "<li><b>{}</b> {}<p class=\"message\">{}</p></li>\n", status_text(line.status),
               time_element(line.at), escape(line.text));
    return out + "</ol>\n</article>\n";
}

std::string open_incidents(const View& view)
{
    std::string cards;
    for (const PublicIncident* incident : incidents_where(view, true)) cards += incident_card(view, *incident, "h3");
    return cards.empty() ? "" : section("open-incidents", "Open incidents", cards);
}

std::string window_card(const View& view, const PublicWindow& shown)
{
    const Window& window = shown.window;
    const WindowPlan& plan = window.plan;
    const bool active = window.state == WindowState::in_progress;
    std::string out;
    append(out,
           "<article class=\"card{}\" id=\"{}\">\n<div class=\"head\"><h3>{}</h3><p class=\"state {}\">{}</p></div>\n",
           window.over() ? "" : " planned", id_of(window), escape(title_of(window)), active ? "maintenance" : "none",
           state_text(window.state));
    append(out, "<dl class=\"facts\"><div><dt>When</dt><dd>{}</dd></div>", span_element({plan.start, plan.end}));
    append(out, "<div><dt>What</dt><dd>{}</dd></div>", escape(components_text(view, window)));
    if (plan.emergency) out += "<div><dt>Kind</dt><dd>emergency, counted as downtime</dd></div>";
    out += "</dl>\n";
    append(out, "<p class=\"message\">{}</p>\n", escape(plan.message));

    std::string later;
    std::size_t count = 0;
    for (const Span& next : shown.next)
        if (next.begin > plan.start && ++count <= most_next) later += "<li>" + span_element(next) + "</li>\n";
    if (!later.empty()) append(out, "<p class=\"note\">Then again:</p>\n<ul>\n{}</ul>\n", later);
    return out + "</article>\n";
}

std::string maintenance(const View& view, bool over)
{
    std::string cards;
    for (const PublicWindow* window : windows_where(view, over)) cards += window_card(view, *window);
    if (cards.empty()) return {};
    return over ? section("past-maintenance", "Past maintenance", cards) : section("maintenance", "Maintenance", cards);
}

std::string components(const View& view)
{
    if (view.components.empty())
        return section("components", "Components", "<p class=\"card\">Nothing is monitored yet.</p>\n");
    std::string out = legend() + "<ul>\n";
    for (const Component& component : view.components) out += component_card(component, view.now);
    return section("components", "Components", out + "</ul>\n");
}

std::string past_incidents(const View& view)
{
    std::string out;
    std::string day;
    for (const PublicIncident* incident : incidents_where(view, false)) {
        if (const std::string date = date_text(incident->incident.since()); date != day) {
            day = date;
            append(out, "<h3 class=\"day\">{}</h3>\n", day);
        }
        out += incident_card(view, *incident, "h4");
    }
    return section("past-incidents", "Past incidents", out.empty() ? "<p class=\"card\">None.</p>\n" : out);
}

} // namespace

std::string status_page(const View& view)
{
    const std::string title = escape(view.title.empty() ? "Status" : view.title);
    const Overall state = overall(view);
    const Sign sign = sign_of(state);
    std::string out = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n";
    append(out, "<meta http-equiv=\"refresh\" content=\"{}\"/>\n<title>{}: {}</title>\n", refresh_seconds,
           sentence(state), title);
    append(out, "<link rel=\"alternate\" type=\"application/atom+xml\" title=\"{}\" href=\"feed.atom\"/>\n", title);
    out += "<style>";
    out += status_style();
    out += "</style>\n</head>\n<body>\n<main>\n<header>\n";
    append(out,
           "<h1>{}</h1>\n<p class=\"overall {}\"><span aria-hidden=\"true\">{}</span> {}</p>\n<p class=\"note\">As of "
           "{}. All times are in UTC.</p>\n</header>\n",
           title, sign.css, sign.mark, sentence(state), time_element(view.now));
    out += open_incidents(view);
    out += maintenance(view, false);
    out += components(view);
    out += past_incidents(view);
    out += maintenance(view, true);
    out += "<footer>\n<p>Uptime is rounded down. It leaves out announced maintenance and time without data.</p>\n"
           "<ul>\n<li><a href=\"feed.atom\">Atom feed</a></li>\n<li><a href=\"maintenance.ics\">Calendar of "
           "maintenance</a></li>\n<li><a href=\"api/v2/summary.json\">JSON</a></li>\n</ul>\n</footer>\n";
    return out + "</main>\n</body>\n</html>\n";
}

} // namespace hotspare::monitor
