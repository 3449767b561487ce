#include "tests/unit/monitor/pages/example_view.hpp"

#include "common/time.hpp"

#include <algorithm>
#include <utility>

namespace hotspare::monitor::example {

using namespace std::chrono_literals;
using std::chrono::days;

Instant at(std::string_view rfc3339)
{
    return *parse_rfc3339(rfc3339);
}

Instant now()
{
    return at("2026-11-12T12:00:00Z");
}

Day day(std::string_view date, milliseconds down, std::string cause)
{
    Day result{.begin = at(std::string(date) + "T00:00:00Z"), .tally = {.up = 24h - down, .down = down}};
    if (!cause.empty()) result.causes.push_back(std::move(cause));
    return result;
}

Component component(std::string id, std::string name)
{
    Component result{.id = std::move(id),
                     .name = std::move(name),
                     .state = State::up,
                     .watched_since = at("2026-08-01T00:00:00Z"),
                     .changed_at = at("2026-11-01T00:00:00Z")};
    const Instant today = unit_around(now(), Unit::day).begin;
    for (int back = shown_days - 1; back >= 0; --back) {
        const Instant begin = today - days(back);
        result.days.push_back({.begin = begin, .tally = {.up = std::min<milliseconds>(24h, now() - begin)}});
    }
    for (const char* month : {"2026-08", "2026-09", "2026-10", "2026-11"}) {
        const Span span = unit_around(at(std::string(month) + "-01T00:00:00Z"), Unit::month);
        result.months.push_back({.begin = span.begin, .tally = {.up = std::min(span.end, now()) - span.begin}});
    }
    return result;
}

PublicIncident incident(std::string component, std::uint64_t number, std::string_view since, bool open)
{
    const Instant begin = at(since);
    PublicIncident result{.component = std::move(component), .changed_at = begin + 1min};
    result.incident = {.number = number,
                       .cause = "connection refused",
                       .outages = {{begin, open ? forever : begin + 1h}},
                       .status = open ? IncidentStatus::identified : IncidentStatus::resolved};
    result.incident.updates.push_back(
        {begin + 10min, IncidentStatus::identified, "A disk is full. We make room.", "operator@example.org"});
    return result;
}

PublicWindow window(std::uint64_t id, WindowState state, std::string_view start, milliseconds length)
{
    PublicWindow result;
    const Span span{at(start), at(start) + length};
    result.window = {.id = id,
                     .plan = {.title = "Database upgrade",
                              .message = "We move to a new version.",
                              .start = span.begin,
                              .end = span.end,
                              .components = {"api"}},
                     .state = state,
                     .version = 3,
                     .created_at = span.begin - days(5),
                     .announced_at = span.begin - days(5),
                     .announced_end = span.end,
                     .first = span};
    result.changed_at = span.begin - days(4);
    if (!result.window.over()) result.next = {span};
    return result;
}

View full()
{
    View view{.title = "Example status", .base_url = "https://status.example.org", .now = now()};
    Component api = component("api", "API"), web = component("web", "Web shop"), mail = component("mail");
    api.state = State::down;
    api.cause = "connection refused";
    api.days[80] = day("2026-11-03", 30min, "HTTP 503, expected 200");
    api.days[60] = {
        .begin = api.days[60].begin, .tally = {.up = 20h, .degraded = 4h}, .causes = {"slower than 500 ms"}};
    api.days[50] = {.begin = api.days[50].begin, .tally = {.up = 20h, .window_down = 4h}, .causes = {}};
    api.days[40].tally = {};
    api.days.erase(api.days.begin() + 30);
    api.months[3].tally.down = 30min;
    api.months[3].tally.up -= 30min;
    web.maintenance = true;
    view.components = {std::move(api), std::move(web), std::move(mail)};

    view.incidents = {incident("api", 2, "2026-11-12T11:30:00Z", true),
                      incident("api", 1, "2026-11-03T08:00:00Z", false),
                      incident("web", 1, "2026-10-20T08:00:00Z", false)};
    view.windows = {window(1, WindowState::completed, "2026-10-01T02:00:00Z", 2h),
                    window(2, WindowState::in_progress, "2026-11-12T11:00:00Z", 2h),
                    window(3, WindowState::scheduled, "2026-11-14T02:00:00Z", 2h),
                    window(4, WindowState::cancelled, "2026-11-10T02:00:00Z", 2h)};
    view.windows[1].window.plan.components = {"web"};
    PublicWindow& series = view.windows[2];
    series.window.plan.rrule = "FREQ=WEEKLY;BYDAY=SA";
    for (int week = 1; week <= 5; ++week)
        series.next.push_back({series.window.plan.start + days(7 * week), series.window.plan.end + days(7 * week)});
    view.banner = {Maintenance::Phase::in_progress, 2};
    return view;
}

std::string hostile()
{
    using namespace std::string_literals;
    return "</script><script>alert(1)</script><!-- ]]> \"'`\\ & &amp; \x1b[31m\r\nEND:VCALENDAR\r\n "
           "\xE2\x80\xA8\xE2\x80\xA9 "
           "\xE2\x80\xAE \xEF\xBF\xBE \xFF\xC0\xAF ;,: {}{} %s \0 \x7f"s;
}

View hostile_view()
{
    View view = full();
    const std::string bad = hostile();
    view.title = bad;
    view.base_url = "https://" + bad;
    for (Component& c : view.components) {
        c.id += bad;
        c.name = bad;
        c.cause = bad;
        for (Day& d : c.days) d.causes.assign(5, bad);
    }
    for (PublicIncident& i : view.incidents) {
        i.component += bad;
        i.incident.cause = bad;
        for (IncidentUpdate& u : i.incident.updates) u.message = u.author = bad;
    }
    for (PublicWindow& w : view.windows) {
        WindowPlan& plan = w.window.plan;
        plan.title = plan.message = plan.rrule = bad;
        for (std::string& c : plan.components) c += bad;
    }
    view.windows[2].window.plan.time_zone = bad;
    return view;
}

} // namespace hotspare::monitor::example
