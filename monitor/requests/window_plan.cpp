#include "monitor/requests/window_plan.hpp"

#include "monitor/requests/members.hpp"

#include <nlohmann/json.hpp>

#include <utility>

namespace hotspare::monitor {
namespace {

/// Earlier than any window can be, and late enough that a time in seconds or with a year of two digits is noticed.
constexpr int earliest_year = 2000;

Accepted<WindowPlan> merged(WindowPlan plan, const nlohmann::json& document, bool may_be_absent)
{
    Members members(document, {"start_time", "end_time", "message", "title", "components", "impact", "rrule",
                               "time_zone", "emergency", "close_pools"});
    for (const char* name : {"start_time", "end_time", "message"}) members.require(name, may_be_absent);
    members.instant("start_time", plan.start, earliest_year);
    members.instant("end_time", plan.end, earliest_year);
    members.text("message", plan.message);
    members.text("title", plan.title);
    members.texts("components", plan.components);
    members.one_of("impact", plan.impact, Impact::none, Impact::critical, WindowPlan{}.impact);
    members.text("rrule", plan.rrule);
    members.text("time_zone", plan.time_zone);
    members.flag("emergency", plan.emergency);
    members.flag("close_pools", plan.close_pools);
    if (members.refusal()) return *members.refusal();
    return plan;
}

} // namespace

Accepted<WindowPlan> read_window_plan(const nlohmann::json& document)
{
    return merged({}, document, false);
}

Accepted<WindowPlan> change_window_plan(WindowPlan plan, const nlohmann::json& document)
{
    return merged(std::move(plan), document, true);
}

} // namespace hotspare::monitor
