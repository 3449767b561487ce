#include "monitor/decide/window_rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <utility>

namespace hotspare::monitor {
namespace {

using Kind = RowStep::Kind;

/// Windows that are over longer are forgotten by the board.
constexpr milliseconds still_known = std::chrono::days(100);

constexpr std::array impacts{Impact::none, Impact::minor, Impact::major, Impact::critical};
constexpr std::array states{WindowState::scheduled, WindowState::in_progress, WindowState::completed,
                            WindowState::cancelled};

std::optional<WindowState> state_of(const WindowRow& row)
{
    for (const WindowState state : states)
        if (row.state == to_string(state)) return state;
    return std::nullopt;
}

/// What the row wants the window to be. Where it says nothing about it, a window that is there stays as it is an
/// emergency or none, and closes pools or none.
Accepted<WindowPlan> plan_of(const WindowRow& row, const WindowPlan& before)
{
    if (!row.start) return Refusal{"start_time", "start_time is not a finite time"};
    if (!row.end) return Refusal{"end_time", "end_time is not a finite time"};
    WindowPlan plan = before;
    const WindowPlan defaults;
    plan.start = *row.start;
    plan.end = *row.end;
    plan.message = row.message;
    plan.title = row.title.value_or(defaults.title);
    plan.components = row.components.value_or(defaults.components);
    plan.rrule = row.rrule.value_or(defaults.rrule);
    plan.time_zone = row.time_zone.value_or(defaults.time_zone);
    plan.emergency = row.emergency.value_or(before.emergency);
    plan.close_pools = row.close_pools.value_or(before.close_pools);
    plan.impact = defaults.impact;
    if (row.impact) {
        const auto impact =
            std::find_if(impacts.begin(), impacts.end(), [&](Impact one) { return row.impact == to_string(one); });
        if (impact == impacts.end()) return Refusal{"impact", "impact must be one of none, minor, major and critical"};
        plan.impact = *impact;
    }
    return plan;
}

/// Works on a copy of the core, so that each step knows those before it.
class Steps {
public:
    Steps(const MaintenanceSettings& settings, const MaintenanceMemory& memory, const WindowRows& table, Instant now)
        : notice_(settings.notice), core_(settings, memory), table_(table), now_(now)
    {
        core_.skip_numbers(table.last_window);
    }

    std::vector<RowStep> all()
    {
        std::map<std::uint64_t, std::size_t> rows; ///< by window
        for (std::size_t i = 0; i < table_.rows.size(); ++i)
            if (table_.rows[i].window) rows.emplace(*table_.rows[i].window, i);
        std::vector<std::uint64_t> known;
        for (const Window& window : core_.windows()) known.push_back(window.id);
        // First what makes room for others, then what is there, then what is new.
        for (const std::uint64_t id : known)
            if (!rows.contains(id)) without_row(*core_.find(id));
        for (const bool ending : {true, false})
            for (const auto& [id, row] : rows)
                if (is_cancelled(row) == ending) of_window(row, id);
        for (std::size_t i = 0; i < table_.rows.size(); ++i)
            if (!table_.rows[i].window) of_others(i);
        return std::move(steps_);
    }

private:
    bool is_cancelled(std::size_t row) const { return state_of(table_.rows[row]) == WindowState::cancelled; }

    void add(RowStep step) { steps_.push_back(std::move(step)); }
    void refuse(std::size_t row, Refusal refusal)
    {
        add({.kind = Kind::refuse, .row = row, .at = now_, .refusal = std::move(refusal)});
    }

    void without_row(const Window& window)
    {
        if (window.over()) return;
        if (window.id > table_.last_window)
            add({.kind = Kind::insert, .window = window.id, .at = now_});
        else
            cancel(RowStep::no_row, window.id, now_);
    }

    void cancel(std::size_t row, std::uint64_t id, Instant at, std::string user = {})
    {
        if (core_.cancel(id, at))
            add({.kind = Kind::cancel, .row = row, .window = id, .at = at, .user = std::move(user)});
    }

    void of_window(std::size_t index, std::uint64_t id)
    {
        const WindowRow& row = table_.rows[index];
        const Window* const window = core_.find(id);
        const std::uint32_t version = row.version.value_or(0);
        if (window == nullptr) return restore(index, id, nullptr);
        if (is_cancelled(index) && !window->over()) {
            if (version <= window->version) return cancel(index, id, now_);
            return cancel(index, id, std::min(row.updated_at.value_or(now_), now_), row.user.value_or(""));
        }
        if (version > window->version && !window->over()) return restore(index, id, window);
        const bool same = row.start == window->plan.start && row.end == window->plan.end && says(row, window->plan);
        const bool lacks = row.state != to_string(window->state) || (window->plan.close_pools && !row.close_pools);
        if (version != window->version || (same && lacks) || is_behind(row, *window))
            return add({.kind = Kind::write, .row = index, .window = id, .at = now_});
        if (!same) change(index, *window);
    }

    /// The series has gone on since its row was written.
    static bool is_behind(const WindowRow& row, const Window& window)
    {
        return !window.plan.rrule.empty() && row.rrule == window.plan.rrule && row.end &&
               row.start < window.plan.start && *row.end <= window.plan.start;
    }

    void change(std::size_t index, const Window& window)
    {
        const std::uint64_t id = window.id;
        const WindowPlan before = window.plan;
        auto plan = plan_of(table_.rows[index], before);
        if (!plan) return refuse(index, plan.error());
        // The table is looked at now and then: what begins or ends at once has begun or ended by now.
        const Instant at = window.state == WindowState::in_progress
                               ? std::min(now_, std::max(plan->end, before.start + milliseconds(1)) - milliseconds(1))
                               : std::min(now_, plan->start);
        const bool may_choose = window.state == WindowState::scheduled && !table_.rows[index].emergency.value_or(false);
        if (may_choose && plan->emergency && !table_.rows[index].emergency && plan->start - at >= notice_)
            plan->emergency = false;
        auto changed = core_.change(id, *plan, at);
        if (!changed && may_choose && !plan->emergency && plan->start - at < notice_) {
            plan->emergency = true;
            if (*plan == before) return; // as it is
            const auto as_emergency = core_.change(id, *plan, at);
            if (as_emergency) changed = as_emergency;
        }
        if (!changed) return refuse(index, changed.error());
        if (*plan == before) return;
        add({.kind = Kind::change, .row = index, .window = id, .plan = *std::move(plan), .at = at});
    }

    void restore(std::size_t index, std::uint64_t id, const Window* known)
    {
        const WindowRow& row = table_.rows[index];
        const auto state = state_of(row).value_or(WindowState::scheduled);
        if (state == WindowState::completed || state == WindowState::cancelled) return;
        auto plan = plan_of(row, known == nullptr ? WindowPlan{} : known->plan);
        if (!plan) return refuse(index, plan.error());
        if (plan->rrule.empty() && plan->end < now_ - still_known) return;
        Window window;
        if (known != nullptr) window = *known;
        const bool moved = known == nullptr || plan->start != known->plan.start || plan->end != known->plan.end ||
                           plan->rrule != known->plan.rrule || plan->time_zone != known->plan.time_zone;
        window.id = id;
        window.version = row.version.value_or(0);
        window.state = state;
        if (known == nullptr) window.created_at = std::min(row.created_at.value_or(now_), now_);
        window.announced_at = std::min(row.announced_at.value_or(window.created_at), now_);
        // One that this monitor took up and did not come to store: its row says nothing of this.
        if (known == nullptr && !row.emergency) plan->emergency = plan->start - window.announced_at < notice_;
        if (moved) {
            window.first = {plan->start, plan->end};
            if (state == WindowState::scheduled) window.told = 0;
            const bool extends = known != nullptr && state == WindowState::in_progress;
            window.announced_end = extends ? std::min(known->announced_end, plan->end) : plan->end;
        }
        window.plan = *std::move(plan);
        if (const auto refusal = core_.restore(window, now_)) return refuse(index, *refusal);
        add({.kind = Kind::restore,
             .row = index,
             .window = id,
             .restored = std::move(window),
             .at = now_,
             .user = row.user.value_or("")});
    }

    void of_others(std::size_t index)
    {
        const WindowRow& row = table_.rows[index];
        if (const auto state = state_of(row); state == WindowState::completed || state == WindowState::cancelled)
            return;
        auto plan = plan_of(row, {});
        if (!plan) return refuse(index, plan.error());
        const Instant created = std::min(row.created_at.value_or(now_), now_);
        if (plan->rrule.empty() && plan->end < now_ - still_known) return;
        if (plan->end > plan->start && plan->end <= created)
            return refuse(index, {"end_time", "end_time was in the past when the row was created"});
        if (plan->start - created < notice_) plan->emergency = true;
        const Instant at = std::min(created, plan->start);
        const auto window = core_.create(*plan, at);
        if (!window) return refuse(index, window.error());
        add({.kind = Kind::create, .row = index, .window = window->id, .plan = *std::move(plan), .at = at});
    }

    milliseconds notice_;
    Maintenance core_;
    const WindowRows& table_;
    Instant now_;
    std::vector<RowStep> steps_;
};

} // namespace

std::vector<RowStep> row_steps(const MaintenanceSettings& settings, const MaintenanceMemory& memory,
                               const WindowRows& table, Instant now)
{
    return Steps(settings, memory, table, now).all();
}

bool says(const WindowRow& row, const WindowPlan& plan)
{
    const auto said = plan_of(row, plan);
    return said && *said == plan;
}

std::vector<std::string> read_components(std::string_view text)
{
    const bool bracketed = text.size() >= 2 &&
                           ((text.front() == '{' && text.back() == '}') || (text.front() == '[' && text.back() == ']'));
    if (bracketed) text = text.substr(1, text.size() - 2);
    std::vector<std::string> names;
    std::string name;
    bool quoted = false;
    bool was_quoted = false;
    const auto end_name = [&] {
        if (!was_quoted) {
            name.erase(0, std::min(name.find_first_not_of(" \t\r\n"), name.size()));
            name.erase(name.find_last_not_of(" \t\r\n") + 1);
        }
        if (!name.empty()) names.push_back(std::exchange(name, {}));
        was_quoted = false;
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        if (bracketed && c == '"') {
            quoted = !quoted;
            if (quoted) name.clear(); // blanks before it
            was_quoted = true;
        } else if (bracketed && c == '\\' && i + 1 < text.size()) {
            name += text[++i];
        } else if (c == ',' && !quoted) {
            end_name();
        } else if (quoted || !was_quoted) {
            name += c;
        }
    }
    end_name();
    return names;
}

std::string write_components(const std::vector<std::string>& components)
{
    std::string text = "{";
    for (const std::string& name : components) {
        if (text.size() > 1) text += ',';
        text += '"';
        for (const char c : name) {
            if (c == '"' || c == '\\') text += '\\';
            text += c;
        }
        text += '"';
    }
    return text + '}';
}

} // namespace hotspare::monitor
