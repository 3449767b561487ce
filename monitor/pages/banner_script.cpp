#include "monitor/pages/banner_script.hpp"

#include "common/format.hpp"
#include "common/json_document.hpp"
#include "common/markup.hpp"
#include "common/text.hpp"
#include "monitor/pages/wording.hpp"

#include <cstdint>
#include <string_view>

namespace hotspare::monitor {
namespace {

constexpr std::size_t most_text_columns = 200;
constexpr std::size_t most_key_bytes = 60;

constexpr std::string_view before_text = "(function(d,t,k){function show(){var l=\"hotspare-banner\",b,s,c;"
                                         "try{if(localStorage.getItem(l)===k)return}catch(e){}"
                                         "b=d.createElement(\"div\");s=d.createElement(\"span\");"
                                         "c=d.createElement(\"button\");b.setAttribute(\"role\",\"status\");"
                                         "b.style.cssText=\"position:fixed;top:0;left:0;right:0;z-index:2147483647;"
                                         "display:flex;gap:1em;padding:.5em 1em;background:#5c3900;color:#fff;"
                                         "font:15px/1.4 sans-serif\";s.style.flex=1;c.textContent=\"Dismiss\";"
                                         "c.onclick=function(){b.remove();try{localStorage.setItem(l,k)}catch(e){}};"
                                         "b.append(s,c);d.body.prepend(b);s.textContent=t}"
                                         "d.body?show():d.addEventListener(\"DOMContentLoaded\",show)})(document,";

/// A string of JavaScript that neither ends a <script> element nor a line.
std::string script_string(std::string_view text)
{
    std::string out;
    for (const char c : printable_json(json_string(text))) switch (c) {
        case '<': out += "\\u003c"; break;
        case '>': out += "\\u003e"; break;
        case '&': out += "\\u0026"; break;
        default: out += c;
        }
    return out;
}

/// Names come from the configuration and may be long; 64 bits of FNV-1a tell them apart well enough for a dismissal.
std::string bounded(std::string key)
{
    if (key.size() <= most_key_bytes) return key;
    std::uint64_t hash = 14695981039346656037U;
    for (const char c : key) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211U;
    std::string out;
    append(out, "{:016x}", hash);
    return out;
}

} // namespace

std::string banner_text(const View& view)
{
    const auto [incident, window] = banner_subject(view);
    if (incident != nullptr) return title_of(view, *incident) + " since " + moment_text(incident->incident.since());
    if (window == nullptr) return {};
    const WindowPlan& plan = window->window.plan;
    const std::string kind = plan.emergency ? "Emergency maintenance" : "Scheduled maintenance";
    const std::string title = plan.title.empty() ? "" : ": " + plan.title;
    if (view.banner.phase == Maintenance::Phase::in_progress)
        return kind + " in progress until " + moment_text(plan.end) + title;
    return kind + " on " + span_text({plan.start, plan.end}) + title;
}

std::string banner_key(const View& view)
{
    const auto [incident, window] = banner_subject(view);
    if (incident != nullptr) return bounded(id_of(*incident) + "-" + std::string(to_string(incident->incident.status)));
    if (window == nullptr) return {};
    return bounded(id_of(window->window) +
                   (view.banner.phase == Maintenance::Phase::in_progress ? "-in_progress-" : "-announced-") +
                   std::to_string(window->window.plan.start.time_since_epoch().count()));
}

std::string banner_script(const View& view)
{
    const std::string text = valid_utf8(banner_text(view));
    if (text.empty()) return "// There is nothing to announce.\n";
    const std::string end = "," + script_string(banner_key(view)) + ");\n";
    for (std::size_t columns = most_text_columns;; --columns) {
        std::string script = std::string(before_text) + script_string(shorten(text, columns)) + end;
        if (script.size() <= longest_banner_script || columns == 1) return script;
    }
}

} // namespace hotspare::monitor
