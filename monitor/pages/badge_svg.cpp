#include "monitor/pages/badge_svg.hpp"

#include "common/format.hpp"
#include "common/markup.hpp"
#include "monitor/pages/wording.hpp"

#include <string_view>

namespace hotspare::monitor {
namespace {

constexpr std::size_t most_name_columns = 40;
constexpr std::size_t pixels_per_column = 7;
constexpr std::size_t padding = 8;

/// White text has a contrast of at least 4.5 on each.
std::string_view colour_of(const Component& component) noexcept
{
    if (component.maintenance) return "#0b5cad";
    switch (component.state) {
    case State::up: return "#00694b";
    case State::degraded: return "#7a4d00";
    case State::down: return "#b3261e";
    case State::unknown: break;
    }
    return "#4a5361";
}

} // namespace

std::string badge_svg(const Component& component, Instant now)
{
    const std::string name = shorten(valid_utf8(component.shown_name()), most_name_columns);
    const std::string uptime = sla_text(shown_total(component, now));
    std::string state(state_text(component));
    // A component without figures has nothing to add to its state.
    if (uptime != "no data") state += ", " + uptime;

    const std::size_t left_text = columns_of(name) * pixels_per_column, left = left_text + 2 * padding;
    const std::size_t right_text = columns_of(state) * pixels_per_column, right = right_text + 2 * padding;
    std::string out;
    append(out, R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="20" viewBox="0 0 {0} 20" role="img" )",
           left + right);
    append(out, "aria-label=\"{0}: {1}\">\n<title>{0}: {1}</title>\n", escape(name), escape(state));
    append(out, "<rect width=\"{}\" height=\"20\" fill=\"#3b424d\"/>\n", left);
    append(out, "<rect x=\"{}\" width=\"{}\" height=\"20\" fill=\"{}\"/>\n", left, right, colour_of(component));
    out += "<g fill=\"#fff\" font-family=\"Verdana,DejaVu Sans,sans-serif\" font-size=\"11\">\n";
    const auto text = [&out](std::size_t x, std::size_t length, std::string_view content) {
        append(out, "<text x=\"{}\" y=\"14\" textLength=\"{}\" lengthAdjust=\"spacingAndGlyphs\">{}</text>\n", x,
               length, escape(content));
    };
    text(padding, left_text, name);
    text(left + padding, right_text, state);
    return out + "</g>\n</svg>\n";
}

} // namespace hotspare::monitor
