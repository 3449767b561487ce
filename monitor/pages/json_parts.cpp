#include "monitor/pages/json_parts.hpp"

#include "monitor/pages/wording.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace hotspare::monitor {

using OrderedJson = nlohmann::ordered_json;

OrderedJson share_json(milliseconds part, milliseconds whole)
{
    const auto ppm = share_ppm(part, whole);
    return ppm ? OrderedJson(*ppm / 1e6) : OrderedJson();
}

OrderedJson text_or_null(const std::string& text)
{
    return text.empty() ? OrderedJson() : OrderedJson(text);
}

OrderedJson window_document(const Window& window, std::span<const Span> upcoming)
{
    const WindowPlan& plan = window.plan;
    OrderedJson next = OrderedJson::array();
    for (const Span& span : upcoming)
        next.push_back({{"start_time", machine_time(span.begin)}, {"end_time", machine_time(span.end)}});
    return {{"id", window.id},
            {"state", to_string(window.state)},
            {"version", window.version},
            {"title", plan.title},
            {"message", plan.message},
            {"start_time", machine_time(plan.start)},
            {"end_time", machine_time(plan.end)},
            {"components", plan.components},
            {"impact", to_string(plan.impact)},
            {"emergency", plan.emergency},
            {"close_pools", plan.close_pools},
            {"rrule", text_or_null(plan.rrule)},
            {"time_zone", text_or_null(plan.time_zone)},
            {"created_at", machine_time(window.created_at)},
            {"announced_at", machine_time(window.announced_at)},
            {"next", std::move(next)}};
}

} // namespace hotspare::monitor
