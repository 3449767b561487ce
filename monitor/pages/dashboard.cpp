#include "monitor/pages/dashboard.hpp"

#include "common/format.hpp"
#include "common/markup.hpp"
#include "monitor/pages/component_card.hpp"
#include "monitor/pages/dashboard_style.hpp"
#include "monitor/pages/latency_chart.hpp"
#include "monitor/pages/wording.hpp"

#include <algorithm>
#include <array>
#include <span>
#include <string_view>

namespace hotspare::monitor {
namespace {

constexpr int refreshed_every = 5;        ///< in seconds
constexpr std::size_t most_columns = 300; ///< of a cause or a detail
/// From there on the milliseconds of a duration are of no interest.
constexpr double long_ms = 10'000;

struct ChaosAction {
    std::string_view path;
    std::string_view button;
    std::string_view effect;
    bool harms = true;
};
constexpr std::array<ChaosAction, 4> chaos_actions{
    {{"chaos/cpu", "Load the CPU", "It burns a core and answers its health checks too late."},
     {"chaos/corruption", "Corrupt the data", "It answers 500 with DATA_ERR, and its health checks fail."},
     {"crash", "Crash", "Its process is killed."},
     {"chaos/reset", "Reset", "It is normal again.", false}}};

std::string text_of(std::string_view text)
{
    return escape(shorten(valid_utf8(text), most_columns));
}

/// Of today only the clock is shown, which leads the eye sooner; programs read the whole.
std::string time_element(Instant at, Instant now)
{
    const std::chrono::hh_mm_ss time(std::chrono::floor<seconds>(at - std::chrono::floor<std::chrono::days>(at)));
    std::string out;
    append(out, "<time datetime=\"{}\">", machine_time(at));
    if (unit_around(at, Unit::day) != unit_around(now, Unit::day)) out += date_text(at) + ", ";
    append(out, "{:02}:{:02}:{:02}</time>", time.hours().count(), time.minutes().count(), time.seconds().count());
    return out;
}

std::string since_element(Instant since, Instant now)
{
    std::string out = time_element(since, now);
    if (now > since) append(out, ", for {}", duration_text(now - since));
    return out;
}

std::string milliseconds_text(double ms)
{
    if (ms >= long_ms) return duration_text(milliseconds(static_cast<std::int64_t>(ms)));
    std::string out;
    if (ms < 100)
        append(out, "{:.1f} ms", ms);
    else
        append(out, "{:.0f} ms", ms);
    return out;
}

Sign sign_of(State state) noexcept
{
    return monitor::sign_of(Component{.state = state});
}

Sign sign_of_status(std::string_view status) noexcept
{
    if (status == "healthy") return sign_of(State::up);
    if (status == "degraded") return sign_of(State::degraded);
    if (status == "unhealthy" || status == "down") return sign_of(State::down);
    if (status == "draining" || status == "maintenance") return sign_of(Overall::maintenance);
    return sign_of(State::unknown);
}

std::string state_element(std::string_view element, const Sign& sign, std::string_view text)
{
    std::string out;
    append(out, R"(<{0} class="state {1}"><span aria-hidden="true">{2}</span> {3}</{0}>)", element, sign.css, sign.mark,
           escape(text));
    return out;
}

std::string fact(std::string_view name, const std::string& html)
{
    return html.empty() ? std::string() : "<div><dt>" + std::string(name) + "</dt><dd>" + html + "</dd></div>";
}

/// What people want to read of a cause, and its word where there is nothing better.
const std::string& why(const std::string& cause, const std::string& evidence) noexcept
{
    return evidence.empty() ? cause : evidence;
}

// --------------------------------------------------------------------------------------------------------------- head

std::string headline(const DashboardView& view)
{
    if (!view.versions) return "The versions are not known";
    return view.versions->active.empty() ? "No version is active" : view.versions->active + " is active";
}

Sign sign_of(const DashboardView& view) noexcept
{
    if (!view.versions) return sign_of(State::unknown);
    if (view.versions->active.empty()) return sign_of(State::down);
    for (const Version& version : view.versions->versions)
        if (version.active) return sign_of_status(version.status);
    return sign_of(State::unknown);
}

std::string head(const DashboardView& view)
{
    const std::string title = text_of(view.title.empty() ? "Dashboard" : view.title);
    const std::string line = text_of(headline(view));
    std::string out = "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
                      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n";
    if (view.refreshes) append(out, "<meta http-equiv=\"refresh\" content=\"{}\"/>\n", refreshed_every);
    append(out, "<title>{}: {}</title>\n<style>", line, title);
    out += dashboard_style();
    const Sign sign = sign_of(view);
    append(out,
           "</style>\n</head>\n<body>\n<main>\n<header>\n<h1>{}</h1>\n<p class=\"overall {}\"><span "
           "aria-hidden=\"true\">{}</span> {}</p>\n",
           title, sign.css, sign.mark, line);
    append(out, "<p class=\"note bar\"><span>As of {}, in UTC as all times.</span>", time_element(view.now, {}));
    if (!view.user.empty()) append(out, "<span>Signed in as {}.</span>", text_of(view.user));
    out += view.refreshes ? "<a href=\"?refresh=off\">Stop refreshing</a></p>\n"
                          : "<a href=\"./\">Refresh every 5 s</a></p>\n";
    if (view.result)
        append(out, "<p class=\"card result{}\" role=\"status\"><b>{}</b> {}</p>\n", view.result->good ? "" : " down",
               view.result->good ? "Done:" : "Failed:", text_of(view.result->text));
    return out + "</header>\n";
}

// ----------------------------------------------------------------------------------------------------------- versions

std::string version_card(const Version& version, Instant now)
{
    std::string out;
    append(out, "<li class=\"card{}\">\n<div class=\"head\"><h3>{}{}</h3>{}</div>\n", version.active ? " active" : "",
           text_of(version.name), version.active ? " (active)" : "",
           state_element("p", sign_of_status(version.status), version.status.empty() ? "unknown" : version.status));
    out += "<dl class=\"facts\">";
    if (version.since) out += fact("Since", since_element(*version.since, now));
    out += fact("Cause", text_of(why(version.cause, version.evidence)));
    if (version.quarantined_until) out += fact("Quarantined until", time_element(*version.quarantined_until, now));
    out += fact("Address", text_of(version.url));
    return out + "</dl>\n</li>\n";
}

std::string versions(const DashboardView& view)
{
    std::string out;
    if (!view.versions) {
        append(out, "<p class=\"card\">The balancer could not be asked{}{}.</p>\n", view.problem.empty() ? "" : ": ",
               text_of(view.problem));
        return section("versions", "Versions", out);
    }
    for (const Version& version : view.versions->versions) out += version_card(version, view.now);
    if (out.empty())
        out = "<p class=\"card\">The balancer has no backend.</p>\n";
    else
        out = "<ul class=\"grid\">\n" + out + "</ul>\n";
    return section("versions", "Versions", out);
}

std::string last_failover(const DashboardView& view)
{
    if (!view.versions) return {};
    const auto& failover = view.versions->last_failover;
    std::string out = "<p class=\"card\">None since the balancer started.</p>\n";
    if (failover) {
        out = "<div class=\"card\">\n<dl class=\"facts wide\">";
        out += fact("From", text_of(failover->from)) + fact("To", text_of(failover->to));
        if (failover->at) out += fact("At", time_element(*failover->at, view.now));
        out += fact("Cause", text_of(why(failover->cause, failover->evidence)));
        if (failover->detection_ms) out += fact("Detected after", milliseconds_text(*failover->detection_ms));
        if (failover->failover_ms) out += fact("Done after", milliseconds_text(*failover->failover_ms));
        out += "</dl>\n</div>\n";
    }
    return section("last-failover", "Last failover", out);
}

// ------------------------------------------------------------------------------------------------------------ actions

/// One word of a shell's command line, whatever it holds.
std::string shell_word(std::string_view text)
{
    constexpr std::string_view harmless = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._/:@";
    if (!text.empty() && text.find_first_not_of(harmless) == text.npos) return std::string(text);
    std::string out = "'";
    for (const char c : text) c == '\'' ? out += "'\\''" : out += c;
    return out + "'";
}

std::string actions(const DashboardView& view)
{
    const bool possible = view.versions && !view.versions->active.empty();
    std::string out;
    append(out, "<p class=\"note\">{}{}{}</p>\n<ul class=\"grid actions\">\n",
           possible ? "Each acts on the active version, " : "There is no active version to act on.",
           possible ? text_of(view.versions->active) : "", possible ? "." : "");
    const std::string user = view.user.empty() ? "" : " -u " + shell_word(printable(view.user));
    for (const ChaosAction& action : chaos_actions) {
        append(out,
               "<li class=\"card\">\n<form class=\"head\" method=\"post\" action=\"{}\"><button type=\"submit\"{}{}>{}"
               "</button><p>{}</p></form>\n",
               action.path, action.harms ? " class=\"harm\"" : "", possible ? "" : " disabled=\"disabled\"",
               action.button, action.effect);
        const std::string url = printable(view.base_url) + "/" + std::string(action.path);
        append(out, "<code>curl -X POST{} {}</code>\n</li>\n", escape(user), escape(shell_word(url)));
    }
    return section("chaos", "Chaos", out + "</ul>\n");
}

// ------------------------------------------------------------------------------------------------------------- tables

/// A cell that knows its column's heading, as on narrow screens there are no columns.
void cell(std::string& out, std::string_view label, std::string_view html)
{
    append(out, R"(<td role="cell" data-label="{}">{}</td>)", label, html);
}

/// The roles keep it a table for screen readers where the style sheet makes it a list.
template <std::size_t Size>
std::string table(std::string_view id, const std::array<std::string_view, Size>& columns, const std::string& rows)
{
    if (rows.empty()) return "<p class=\"card\">None yet.</p>\n";
    std::string out;
    append(out,
           "<div class=\"card\">\n<table role=\"table\" aria-labelledby=\"{}\">\n<thead role=\"rowgroup\"><tr "
           "role=\"row\">",
           id);
    for (const std::string_view column : columns) append(out, R"(<th role="columnheader" scope="col">{}</th>)", column);
    append(out, "</tr></thead>\n<tbody role=\"rowgroup\">\n{}</tbody>\n</table>\n</div>\n", rows);
    return out;
}

std::string checks(const DashboardView& view)
{
    static constexpr std::array<std::string_view, 5> columns{"Time", "Target", "State", "Latency", "Cause"};
    std::string rows;
    for (std::size_t i = 0; i < std::min(view.checks.size(), most_dashboard_checks); ++i) {
        const DashboardCheck& check = view.checks[i];
        rows += "<tr role=\"row\">";
        cell(rows, columns[0], time_element(check.at, view.now));
        cell(rows, columns[1], text_of(check.target));
        cell(rows, columns[2], state_element("span", sign_of(check.state), to_string(check.state)));
        cell(rows, columns[3], check.latency ? milliseconds_text(to_ms(*check.latency)) : "");
        cell(rows, columns[4], text_of(check.cause));
        rows += "</tr>\n";
    }
    return section("checks", "Last checks", table("checks", columns, rows));
}

std::string audit(const DashboardView& view)
{
    static constexpr std::array<std::string_view, 6> columns{"Time", "User", "Action", "Target", "Detail", "Address"};
    std::string rows;
    for (std::size_t i = 0; i < std::min(view.audit.size(), most_dashboard_audit); ++i) {
        const AuditEntry& entry = view.audit[i];
        rows += "<tr role=\"row\">";
        cell(rows, columns[0], time_element(entry.at, view.now));
        cell(rows, columns[1], text_of(entry.user));
        cell(rows, columns[2], text_of(entry.action));
        cell(rows, columns[3], text_of(entry.target));
        cell(rows, columns[4], text_of(entry.detail));
        cell(rows, columns[5], text_of(entry.address));
        rows += "</tr>\n";
    }
    return section("audit", "Audit log", table("audit", columns, rows));
}

/// As the value of a query parameter (RFC 3986 §2.3): what is not unreserved is encoded.
std::string query_value(std::string_view text)
{
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '.' || c == '_' || c == '~';
        if (plain)
            out += c;
        else
            append(out, "%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

std::string latency(const DashboardView& view)
{
    std::string title = "Latency";
    if (!view.latency_of.empty()) title += " of " + text_of(view.latency_of);
    const std::size_t count = std::min(view.points.size(), most_dashboard_points);
    return section("latency", title, latency_chart(std::span(view.points).last(count)));
}

} // namespace

std::string dashboard(const DashboardView& view)
{
    std::string out =
        head(view) + versions(view) + last_failover(view) + actions(view) + latency(view) + checks(view) + audit(view);
    append(out,
           "<footer>\n<ul>\n<li><a href=\"audit\">Audit log as JSON</a></li>\n<li><a href=\"history{}\">Checks as "
           "JSON</a></li>\n</ul>\n</footer>\n</main>\n</body>\n</html>\n",
           view.latency_of.empty() ? "" : "?target=" + query_value(view.latency_of));
    return out;
}

} // namespace hotspare::monitor
