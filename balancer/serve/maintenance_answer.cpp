#include "balancer/serve/maintenance_answer.hpp"

#include "common/http/accept.hpp"
#include "common/markup.hpp"
#include "common/time.hpp"

#include <string>

namespace hotspare::balancer {
namespace {

constexpr std::string_view page_begin = R"html(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
<title>Under maintenance</title>
<style>
:root { color-scheme: light dark; --page: #f6f7f9; --card: #ffffff; --ink: #17202a; --soft: #55606e; --line: #d9dee5; --mark: #7a4d00; }
@media (prefers-color-scheme: dark) {
  :root { --page: #11151a; --card: #1a2027; --ink: #e8ecf1; --soft: #a3aebb; --line: #333c47; --mark: #f0b429; }
}
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 16px; background: var(--page); color: var(--ink);
  font: 17px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; }
main { width: 100%; max-width: 36rem; padding: 28px 24px; background: var(--card); border: 1px solid var(--line);
  border-top: 4px solid var(--mark); border-radius: 12px; overflow-wrap: anywhere; }
h1 { margin: 0 0 8px; font-size: 26px; line-height: 1.25; }
p { margin: 8px 0 0; }
.soft { color: var(--soft); }
time { white-space: nowrap; font-weight: 600; color: var(--ink); }
</style>
</head>
<body>
<main>
<h1>Under maintenance</h1>
)html";

constexpr std::string_view page_end = R"html(</main>
</body>
</html>
)html";

std::string page_of(const Maintenance& maintenance, WallTime now)
{
    std::string page(page_begin);
    if (!maintenance.message.empty()) page += "<p>" + escape(maintenance.message) + "</p>\n";
    if (!maintenance.until) {
        page += "<p class=\"soft\">This service will be back. Please try again later.</p>\n";
    } else if (*maintenance.until <= now) {
        page += "<p class=\"soft\">This service is expected to be back at any moment.</p>\n";
    } else {
        const std::string at = format_rfc3339(*maintenance.until); // 2026-12-01T04:00:00.000Z
        page += "<p class=\"soft\">This service is expected to be back at <time datetime=\"" + at + "\">" +
                at.substr(0, 10) + " " + at.substr(11, 5) + " UTC</time>.</p>\n";
    }
    page += page_end;
    return page;
}

} // namespace

OwnAnswer maintenance_answer(const Maintenance& maintenance, std::string_view accept, WallTime now)
{
    return {.status = 503,
            .detail = with_announcement("the service is under maintenance", maintenance),
            .page = http::prefers_html(accept) ? page_of(maintenance, now) : std::string(),
            .retry_after = retry_after(maintenance, now)};
}

} // namespace hotspare::balancer
