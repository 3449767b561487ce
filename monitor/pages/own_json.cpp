#include "monitor/pages/own_json.hpp"

#include "common/json_document.hpp"
#include "monitor/pages/json_parts.hpp"
#include "monitor/pages/wording.hpp"

#include <nlohmann/json.hpp>

#include <cmath>
#include <optional>
#include <utility>

namespace hotspare::monitor {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson rate_json(const std::optional<double>& rate)
{
    if (!rate || !std::isfinite(*rate)) return nullptr;
    return std::round(*rate * 1e6) / 1e6;
}

OrderedJson window_json(const PublicWindow& shown)
{
    OrderedJson document = window_document(shown.window, shown.next);
    document["title"] = title_of(shown.window);
    return document;
}

OrderedJson milliseconds_json(milliseconds up, milliseconds degraded, milliseconds down, milliseconds unknown)
{
    return {{"up", up.count()}, {"degraded", degraded.count()}, {"down", down.count()}, {"unknown", unknown.count()}};
}

} // namespace

std::string maintenance_json(const View& view)
{
    const Window* active = nullptr;
    OrderedJson upcoming = OrderedJson::array();
    for (const PublicWindow* shown : windows_where(view, false)) {
        const Window& window = shown->window;
        if (window.state == WindowState::scheduled)
            upcoming.push_back(window_json(*shown));
        else if (active == nullptr || window.plan.end > active->plan.end)
            active = &window;
    }
    OrderedJson document{{"active", active != nullptr}};
    if (active != nullptr) {
        // The customer's pages look for this sentence, whatever kind of maintenance it is.
        document["message"] = "Scheduled maintenance in progress";
        document["emergency"] = active->plan.emergency;
        document["title"] = title_of(*active);
        document["start_time"] = machine_time(active->plan.start);
        document["end_time"] = machine_time(active->plan.end);
        document["id"] = active->id;
        document["details"] = active->plan.message;
        document["components"] = active->plan.components;
    }
    document["upcoming"] = std::move(upcoming);
    return json_text(document);
}

std::string uptime_json(const MonthReport& report)
{
    const Tally& t = report.tally;
    OrderedJson times = milliseconds_json(t.up, t.degraded, t.down, t.unknown);
    times["maintenance"] = milliseconds_json(t.window_up, t.window_degraded, t.window_down, t.window_unknown);
    times["total"] = t.total().count();

    OrderedJson rates = OrderedJson::array();
    for (std::size_t i = 0; i < burn_alerts.size(); ++i) {
        const BurnAlert& alert = burn_alerts[i];
        const Burn& burn = report.burns[i];
        rates.push_back({{"threshold", alert.tenths / 10.0},
                         {"long_window_ms", alert.long_window.count()},
                         {"short_window_ms", alert.short_window.count()},
                         {"long_rate", rate_json(burn.long_rate)},
                         {"short_rate", rate_json(burn.short_rate)},
                         {"severity", alert.page ? "page" : "ticket"},
                         {"firing", burn.firing}});
    }
    const OrderedJson document{{"target", report.target},
                               {"month", month_text(report.month)},
                               {"complete", report.complete},
                               {"raw", share_json(t.good(), t.known())},
                               {"sla", share_json(t.up + t.degraded, t.counted())},
                               {"milliseconds", std::move(times)},
                               {"incidents", report.incidents},
                               {"objective", report.objective.ppm / 1e6},
                               {"error_budget",
                                {{"allowed_ms", report.budget.allowed.count()},
                                 {"spent_ms", report.budget.spent.count()},
                                 {"left_ms", report.budget.left.count()}}},
                               {"burn_rates", std::move(rates)}};
    return json_text(document);
}

} // namespace hotspare::monitor
