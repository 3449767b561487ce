#include "monitor/board/board.hpp"

#include <algorithm>
#include <iterator>

namespace hotspare::monitor {
namespace {

using std::chrono::days;
using std::chrono::minutes;

constexpr std::size_t most_incidents = 1000; ///< that are kept here; the history has all
/// A tick makes the rollups of so many targets, so that a thousand of them do not hold up the checks at each minute.
constexpr std::size_t most_rolled_at_once = 50;
/// What burn rates look back at, whatever is rolled up already.
constexpr milliseconds looked_back_at = days(4);
constexpr std::size_t shown_occurrences = 5;
constexpr std::size_t most_causes_of_a_day = 3;
/// Windows that are over are shown, and their stretches count in months that may not be final yet.
constexpr milliseconds windows_kept = days(100);

BoardEvent::Kind kind_of(WindowState state) noexcept
{
    switch (state) {
    case WindowState::scheduled: return BoardEvent::Kind::window_scheduled;
    case WindowState::in_progress: return BoardEvent::Kind::window_started;
    case WindowState::completed: return BoardEvent::Kind::window_ended;
    case WindowState::cancelled: break;
    }
    return BoardEvent::Kind::window_cancelled;
}

/// Whether a memory differs from the one before in more than the time of the latest sample.
bool tells_more(const IncidentMemory& before, IncidentMemory after)
{
    after.latest = before.latest;
    return before != after;
}

Instant last_change(const Incident& incident)
{
    const Span& outage = incident.outages.back();
    Instant latest = outage.end == forever ? outage.begin : outage.end;
    for (const IncidentUpdate& update : incident.updates) latest = std::max(latest, update.at);
    return latest;
}

Instant last_change(const Window& window, Instant now)
{
    Instant latest = std::max(window.created_at, window.announced_at);
    for (const Instant at : {window.plan.start, window.plan.end})
        if (at <= now) latest = std::max(latest, at);
    return latest;
}

} // namespace

std::string_view to_string(BoardEvent::Kind kind) noexcept
{
    using Kind = BoardEvent::Kind;
    switch (kind) {
    case Kind::incident_opened: return "incident_opened";
    case Kind::incident_reopened: return "incident_reopened";
    case Kind::incident_outlasted_maintenance: return "incident_outlasted_maintenance";
    case Kind::incident_updated: return "incident_updated";
    case Kind::incident_resolved: return "incident_resolved";
    case Kind::state_changed: return "state_changed";
    case Kind::window_announced: return "window_announced";
    case Kind::window_changed: return "window_changed";
    case Kind::window_started: return "window_started";
    case Kind::window_ended: return "window_ended";
    case Kind::window_scheduled: return "window_scheduled";
    case Kind::window_cancelled: return "window_cancelled";
    }
    return "invalid";
}

Board::Board(BoardSettings settings, MaintenanceMemory maintenance, NotificationMemory notification, std::uint32_t seed)
    : settings_(std::move(settings)), maintenance_(settings_.maintenance, std::move(maintenance)),
      notification_(settings_.notification, seed, std::move(notification))
{
}

// ------------------------------------------------------------------------------------------------------------- targets

std::size_t Board::add(const Target& target, TargetRules rules, TargetPast past,
                       std::optional<Instant> unobserved_since, Instant now)
{
    const std::size_t index = targets_.size();
    const IncidentSettings incidents = rules.incidents;
    Entry entry{.id = target.id,
                .name = target.name,
                .rules = std::move(rules),
                .tracker = IncidentTracker(incidents, std::move(past.memory)),
                .record = std::move(past.record),
                .rolled = target.rolled,
                .days = std::move(past.days)};
    for (const StoredRollup& month : past.months) {
        entry.months.push_back(month.rollup);
        entry.incidents_of_months[month.rollup.begin] = static_cast<std::size_t>(month.incidents);
    }
    entry.record.watched_since = target.watched_since;
    entry.record.announced.clear();
    entry.changed_at = target.watched_since;
    if (!entry.record.changes.empty()) entry.changed_at = std::max(entry.changed_at, entry.record.changes.back().at);
    for (Incident& incident : past.incidents) {
        const Instant changed_at = last_change(incident);
        entry.changed_at = std::max(entry.changed_at, changed_at);
        insert_known({index, std::move(incident), changed_at});
    }
    forget_incidents(now);
    const auto latest = entry.tracker.memory().latest;
    targets_.push_back(std::move(entry));
    by_name_.emplace(target.name, index);
    if (latest) {
        Observed missed{.at = std::max(unobserved_since.value_or(now), *latest), .cause = "the monitor did not run"};
        if (targets_[index].rules.is_self) {
            missed.state = State::down;
            for (unsigned i = 1; i < std::max(incidents.confirm_down, 1U); ++i) observe(index, missed, now);
        }
        observe(index, std::move(missed), now);
        targets_[index].latest.reset(); // it is no finding
    }
    return index;
}

void Board::observe(std::size_t target, Observed observed, Instant now)
{
    Entry& entry = targets_[target];
    const Instant seen_at = observed.at;
    if (const auto& latest = entry.tracker.memory().latest; latest && seen_at < *latest) {
        // Only if the present is before it, too: of a check that a jump of the clocks overtook, the same is true.
        if (now < *latest) {
            if (behind_until_<now&& * latest - now> settings_.clock_tolerance) set_back_ = *latest - now;
            behind_until_ = std::max(behind_until_, *latest);
        }
        observed.at = *latest;
    }

    const bool as_before = observed.state == State::up && entry.tracker.memory().recorded == State::up &&
                           entry.tracker.memory().down_row == 0 && !entry.tracker.memory().in_gap &&
                           entry.tracker.memory().other_row == 0 && !entry.tracker.down();
    StoredSample sample{entry.id, observed.at, observed.state, observed.latency, observed.cause};
    const resilience::Health health_before = health(target);
    if (observed.state == State::down) entry.unhealthy = observed.unhealthy;
    if (observed.state == State::degraded) entry.degraded_cause = observed.cause;
    // Only for a target that is down it matters, and it may take a while to find out.
    const bool in_window = observed.state == State::down && is_announced(entry, seen_at);
    if (as_before) {
        entry.tracker.observe({observed.at, observed.state, observed.cause, in_window});
        samples_.push_back(std::move(sample));
    } else {
        const IncidentMemory before = entry.tracker.memory();
        const Step step = entry.tracker.observe({observed.at, observed.state, observed.cause, in_window});
        if (tells_more(before, entry.tracker.memory())) {
            record(step, entry.record);
            batch_.samples.push_back(std::move(sample));
            batch_.steps.push_back({entry.id, step, entry.tracker.memory()});
            announce(entry, target, step, now);
        } else {
            samples_.push_back(std::move(sample));
        }
    }
    entry.latest = std::move(observed);
    entry.latest->at = seen_at;
    if (const resilience::Health after = health(target); after != health_before)
        ++entry.transitions[static_cast<std::size_t>(after)];
}

/// Tells of what a step did.
void Board::announce(Entry& entry, std::size_t target, const Step& step, Instant now)
{
    using Kind = BoardEvent::Kind;
    if (step.change || step.outage_begins || step.gap_begins || step.gap_ends)
        entry.changed_at = step.change          ? step.change->at
                           : step.outage_begins ? *step.outage_begins
                           : step.gap_begins    ? *step.gap_begins
                                                : *step.gap_ends;
    if (step.change && !step.outage_ends)
        events_.push_back({.kind = Kind::state_changed,
                           .at = step.change->at,
                           .target = entry.name,
                           .text = std::string(to_string(step.change->state))});
    if (step.actions.empty()) return;
    const Incident& incident = *entry.tracker.incident();
    for (const Action action : step.actions) {
        BoardEvent event{.at = now, .target = entry.name, .number = incident.number, .text = incident.cause};
        switch (action) {
        case Action::opened: event.kind = Kind::incident_opened; break;
        case Action::reopened: event.kind = Kind::incident_reopened; break;
        case Action::cause_changed: continue;
        case Action::outlasted_maintenance: event.kind = Kind::incident_outlasted_maintenance; break;
        case Action::resolved:
            event.kind = Kind::incident_resolved;
            event.duration = incident.duration(now);
            entry.changed_at = incident.outages.back().end;
            break;
        }
        if (action == Action::resolved) {
            notification_.came_back(entry.name, event.duration, now);
            notification_changed_ = true;
        } else if (!incident.maintenance) {
            notification_.went_down({entry.name, incident.number, incident.since(), incident.cause, {}}, now);
            notification_changed_ = true;
        }
        events_.push_back(std::move(event));
    }
    remember(target, incident, now);
}

void Board::remember(std::size_t target, const Incident& incident, Instant now)
{
    const auto known = std::find_if(incidents_.rbegin(), incidents_.rend(), [&](const Known& one) {
        return one.target == target && one.incident.number == incident.number;
    });
    if (known != incidents_.rend()) {
        known->incident = incident;
        known->changed_at = now;
        return;
    }
    insert_known({target, incident, now});
    forget_incidents(now);
}

void Board::insert_known(Known known)
{
    const auto later = [](Instant since, const Known& one) { return since < one.incident.since(); };
    const auto place = std::upper_bound(incidents_.begin(), incidents_.end(), known.incident.since(), later);
    incidents_.insert(place, std::move(known));
}

/// Those that are over: of days that are not shown any more, and the first ones when there are too many.
void Board::forget_incidents(Instant now)
{
    const auto old = [&](const Known& one) {
        return !one.incident.open() && now - one.incident.outages.back().end > days(shown_days + 1);
    };
    std::erase_if(incidents_, old);
    for (auto one = incidents_.begin(); incidents_.size() > most_incidents && one != incidents_.end();)
        one = one->incident.open() ? one + 1 : incidents_.erase(one);
}

void Board::remove(std::size_t target)
{
    const TargetId id = targets_[target].id;
    const auto of_it = [id](const auto& one) { return one.target == id; };
    std::erase_if(samples_, of_it);
    std::erase_if(batch_.samples, of_it);
    std::erase_if(batch_.steps, of_it);
    std::erase_if(batch_.rollups, of_it);
    std::erase_if(incidents_, [target](const Known& one) { return one.target == target; });
    for (Known& one : incidents_)
        if (one.target > target) --one.target;
    notification_.forget(targets_[target].name);
    notification_changed_ = true;
    targets_.erase(targets_.begin() + static_cast<std::ptrdiff_t>(target));
    by_name_.clear();
    for (std::size_t i = 0; i < targets_.size(); ++i) by_name_.emplace(targets_[i].name, i);
    next_to_roll_ = 0;
}

Accepted<Board::PreparedUpdate> Board::prepare_update(std::size_t target, IncidentUpdate update) const
{
    const Entry& entry = targets_[target];
    IncidentTracker after = entry.tracker;
    PreparedUpdate prepared{.update = update};
    if (auto refusal = after.post(std::move(update))) return *std::move(refusal);
    prepared.incident = after.incident()->number;
    prepared.step = {entry.id, {}, after.memory()};
    return prepared;
}

void Board::adopt(PreparedUpdate prepared)
{
    const auto of_it = [&](const Entry& entry) { return entry.id == prepared.step.target; };
    const auto found = std::find_if(targets_.begin(), targets_.end(), of_it);
    if (found == targets_.end()) return;
    events_.push_back({.kind = BoardEvent::Kind::incident_updated,
                       .at = prepared.update.at,
                       .target = found->name,
                       .number = prepared.incident,
                       .text = prepared.update.message});
    const auto target = static_cast<std::size_t>(found - targets_.begin());
    const Instant at = prepared.update.at;
    if (found->tracker.add(prepared.incident, prepared.update)) {
        // A check that was made meanwhile may have left a memory that does not know the update yet.
        batch_.steps.push_back({found->id, {}, found->tracker.memory()});
        remember(target, *found->tracker.incident(), at);
        return;
    }
    for (Known& known : incidents_) // another incident has begun meanwhile
        if (known.target == target && known.incident.number == prepared.incident) {
            known.incident.updates.push_back(std::move(prepared.update));
            known.changed_at = at;
        }
}

// ---------------------------------------------------------------------------------------------------------------- time

void Board::tick(Instant now)
{
    const Maintenance::Due due = maintenance_.tick(now);
    for (const Maintenance::Transition& transition : due.transitions)
        change_window(*maintenance_.find(transition.window), kind_of(transition.to), transition.at);
    for (const DueNotice& notice : due.notices) {
        notification_.maintenance(notice, now);
        notification_changed_ = true;
    }
    if (!due.transitions.empty() || !due.notices.empty()) {
        maintenance_.forget(now - windows_kept);
        maintenance_changed();
    }
    roll(now);
}

void Board::roll(Instant now)
{
    std::size_t rolled = 0;
    for (std::size_t looked = 0; looked < targets_.size() && rolled < most_rolled_at_once; ++looked) {
        const std::size_t index = next_to_roll_;
        Entry& entry = targets_[index];
        next_to_roll_ = (next_to_roll_ + 1) % targets_.size();
        const Instant settled = settled_until(entry.tracker.memory());
        if (settled <= entry.rolled.of(Unit::minute) + minutes(1)) continue;
        ++rolled;
        DueRollups due = due_rollups(record_of(entry, now), entry.rolled, settled, settings_.retention, now);
        if (due.until == entry.rolled) continue;
        entry.rolled = due.until;
        for (const UnitRollup& one : due.rollups) {
            if (one.unit == Unit::day) entry.days.push_back(one.rollup);
            if (one.unit != Unit::month) continue;
            entry.months.push_back(one.rollup);
            const Span month = unit_around(one.rollup.begin, Unit::month);
            entry.incidents_of_months[month.begin] = incidents_of(index, month);
        }
        std::erase_if(entry.days, [&](const Rollup& day) { return day.begin < now - days(shown_days + 1); });
        trim(entry.record, std::min(entry.rolled.of(Unit::month), now - looked_back_at));
        batch_.rollups.push_back({entry.id, std::move(due)});
    }
}

// -------------------------------------------------------------------------------------------------------- maintenance

Accepted<Board::Prepared> Board::prepare_window(WindowPlan plan, Instant now) const
{
    Maintenance after(settings_.maintenance, maintenance_.memory());
    const auto window = after.create(std::move(plan), now);
    if (!window) return window.error();
    return Prepared{*window, after.memory(), BoardEvent::Kind::window_announced};
}

Accepted<Board::Prepared> Board::prepare_change(std::uint64_t id, WindowPlan plan, Instant now) const
{
    Maintenance after(settings_.maintenance, maintenance_.memory());
    const auto window = after.change(id, std::move(plan), now);
    if (!window) return window.error();
    return Prepared{*window, after.memory(), BoardEvent::Kind::window_changed};
}

Accepted<Board::Prepared> Board::prepare_cancellation(std::uint64_t id, Instant now) const
{
    Maintenance after(settings_.maintenance, maintenance_.memory());
    const auto window = after.cancel(id, now);
    if (!window) return window.error();
    return Prepared{*window, after.memory(), BoardEvent::Kind::window_cancelled};
}

Accepted<Board::Prepared> Board::prepare_restoration(Window window, Instant now) const
{
    const auto what =
        maintenance_.find(window.id) == nullptr ? BoardEvent::Kind::window_announced : BoardEvent::Kind::window_changed;
    Maintenance after(settings_.maintenance, maintenance_.memory());
    if (auto refusal = after.restore(window, now)) return *std::move(refusal);
    return Prepared{std::move(window), after.memory(), what};
}

std::vector<RowStep> Board::follow(const WindowRows& table, Instant now)
{
    maintenance_.skip_numbers(table.last_window);
    return row_steps(settings_.maintenance, maintenance_.memory(), table, now);
}

void Board::adopt(Prepared prepared, Instant now)
{
    const Window* const before = maintenance_.find(prepared.window.id);
    const bool changed = before == nullptr || *before != prepared.window;
    maintenance_ = Maintenance(settings_.maintenance, std::move(prepared.after));
    if (!changed) return;
    change_window(prepared.window, prepared.what, now);
    announcements_for_ = {};
}

MaintenanceMemory Board::prepare_closed(std::string_view balancer, const std::vector<ClosedBackend>& closed) const
{
    Maintenance after(settings_.maintenance, maintenance_.memory());
    after.set_closed(balancer, closed);
    return after.memory();
}

void Board::adopt_closed(std::string_view balancer, const std::vector<ClosedBackend>& closed)
{
    maintenance_.set_closed(balancer, closed);
}

void Board::change_window(const Window& window, BoardEvent::Kind what, Instant at)
{
    Instant& changed_at = window_changes_[window.id];
    changed_at = std::max(changed_at, at);
    events_.push_back({.kind = what,
                       .at = at,
                       .number = window.id,
                       .text = window.plan.title.empty() ? window.plan.message : window.plan.title});
}

void Board::maintenance_changed()
{
    maintenance_changed_ = true;
    announcements_for_ = {};
    std::erase_if(window_changes_, [&](const auto& change) { return maintenance_.find(change.first) == nullptr; });
}

/// Those that may matter now: of the months that are not final yet, this one and the next days.
const std::vector<Announcement>& Board::announcements(Instant now) const
{
    const Span wanted{now - days(70), unit_around(now, Unit::month).end};
    if (wanted.begin < announcements_for_.begin || announcements_for_.end < wanted.end) {
        announcements_for_ = {wanted.begin - days(2), wanted.end};
        announcements_ = maintenance_.announcements(announcements_for_);
    }
    return announcements_;
}

bool Board::is_announced(const Entry& entry, Instant at) const
{
    const auto spans = announced_for(entry.rules.component, announcements(at));
    return std::any_of(spans.begin(), spans.end(), [at](const Span& span) { return span.contains(at); });
}

Record Board::record_of(const Entry& entry, Instant now) const
{
    Record record = entry.record;
    record.announced = announced_for(entry.rules.component, announcements(now));
    return record;
}

bool Board::in_maintenance(const Entry& entry) const
{
    const auto windows = maintenance_.windows();
    return std::any_of(windows.begin(), windows.end(), [&](const Window& window) {
        return window.state == WindowState::in_progress && is_about(window.plan.components, entry.rules.component);
    });
}

// ----------------------------------------------------------------------------------------------------- to store, to
// send

std::vector<Delivery> Board::take_deliveries(Instant now)
{
    if (notification_.wake_at() > now) return {};
    notification_changed_ = true;
    return notification_.take(now);
}

void Board::delivered(std::uint64_t id, const Attempted& attempted, Instant now)
{
    notification_.finished(id, attempted, now);
    notification_changed_ = true;
}

std::optional<Batch> Board::take_batch()
{
    if (std::exchange(maintenance_changed_, false)) batch_.maintenance = maintenance_.memory();
    if (std::exchange(notification_changed_, false)) batch_.notification = notification_.memory();
    if (batch_.samples.empty() && batch_.steps.empty() && batch_.rollups.empty() && !batch_.maintenance &&
        !batch_.notification)
        return std::nullopt;
    return std::exchange(batch_, {});
}

void Board::give_back(Batch batch)
{
    // The memories are those of the next batch, which are newer; so may the samples be lost, which the uptime does not
    // depend on.
    maintenance_changed_ = maintenance_changed_ || batch.maintenance;
    notification_changed_ = notification_changed_ || batch.notification;
    const auto prepend = [](auto& to, auto& from) {
        from.insert(from.end(), std::make_move_iterator(to.begin()), std::make_move_iterator(to.end()));
        to = std::move(from);
    };
    prepend(batch_.steps, batch.steps);
    prepend(batch_.rollups, batch.rollups);
}

// ------------------------------------------------------------------------------------------------------------- to show

std::optional<std::size_t> Board::find(std::string_view name) const
{
    const auto it = by_name_.find(name);
    return it == by_name_.end() ? std::nullopt : std::optional(it->second);
}

State Board::state(std::size_t target) const noexcept
{
    const IncidentTracker& tracker = targets_[target].tracker;
    if (tracker.memory().in_gap) return State::unknown;
    return tracker.down() ? State::down : tracker.memory().recorded;
}

resilience::Health Board::health(std::size_t target) const noexcept
{
    using resilience::Health;
    switch (state(target)) {
    case State::up: return Health::healthy;
    case State::degraded: return Health::degraded;
    case State::down: return targets_[target].unhealthy ? Health::unhealthy : Health::down;
    case State::unknown: break;
    }
    return Health::unknown;
}

TargetNow Board::present(std::size_t target) const
{
    const Entry& entry = targets_[target];
    TargetNow result{.name = entry.name,
                     .state = state(target),
                     .maintenance = in_maintenance(entry),
                     .since = entry.changed_at,
                     .latest = entry.latest,
                     .health = health(target)};
    if (result.state == State::down)
        result.cause = entry.tracker.incident()->cause;
    else if (result.state == State::degraded)
        result.cause = entry.degraded_cause;
    else if (result.state == State::unknown && entry.latest)
        result.cause = entry.latest->cause;
    return result;
}

Component Board::component(std::size_t target, Instant now) const
{
    const Entry& entry = targets_[target];
    TargetNow state = present(target);
    Component component{.id = entry.name,
                        .name = entry.rules.shown_name,
                        .state = state.state,
                        .cause = std::move(state.cause),
                        .maintenance = state.maintenance,
                        .watched_since = entry.record.watched_since,
                        .changed_at = entry.changed_at};
    const Record record = record_of(entry, now);
    const Instant first_day = unit_around(now, Unit::day).begin - days(shown_days - 1);
    const auto add_day = [&](const Rollup& rollup) {
        if (rollup.begin >= first_day) component.days.push_back({rollup.begin, rollup.tally, {}});
    };
    std::for_each(entry.days.begin(), entry.days.end(), add_day);
    const auto recent_days = rollups(record, {entry.rolled.of(Unit::day), now}, Unit::day, now);
    std::for_each(recent_days.begin(), recent_days.end(), add_day);
    component.months = entry.months;
    const auto recent_months = rollups(record, {entry.rolled.of(Unit::month), now}, Unit::month, now);
    component.months.insert(component.months.end(), recent_months.begin(), recent_months.end());
    return component;
}

View Board::view(Instant now) const
{
    View view{.title = settings_.title, .base_url = settings_.base_url, .now = now};
    std::vector<std::size_t> place(targets_.size(), targets_.size()); ///< of a target among the components
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        if (!targets_[i].rules.shown) continue;
        place[i] = view.components.size();
        view.components.push_back(component(i, now));
    }
    const Instant shown_since = unit_around(now, Unit::day).begin - days(shown_days - 1);
    for (const Known& known : incidents_) {
        if (!targets_[known.target].rules.shown || known.incident.maintenance) continue;
        if (!known.incident.open() && known.incident.outages.back().end < shown_since) continue;
        view.incidents.push_back({targets_[known.target].name, known.incident, known.changed_at});
        for (Day& day : view.components[place[known.target]].days) {
            const Span span{day.begin, day.begin + days(1)};
            const bool hit = std::any_of(known.incident.outages.begin(), known.incident.outages.end(),
                                         [&](const Span& outage) { return outage.overlaps(span); });
            const bool listed =
                std::find(day.causes.begin(), day.causes.end(), known.incident.cause) != day.causes.end();
            if (hit && !listed && day.causes.size() < most_causes_of_a_day) day.causes.push_back(known.incident.cause);
        }
    }
    for (const Window& window : maintenance_.windows()) {
        if (window.over() && window.plan.end < shown_since) continue;
        const auto changed = window_changes_.find(window.id);
        view.windows.push_back(
            {.window = window,
             .changed_at = changed != window_changes_.end() ? changed->second : last_change(window, now),
             .next = maintenance_.upcoming(window, now, shown_occurrences)});
    }
    view.banner = maintenance_.banner(now);
    return view;
}

std::size_t Board::incidents_of(std::size_t target, const Span& period) const
{
    return static_cast<std::size_t>(std::count_if(incidents_.begin(), incidents_.end(), [&](const Known& known) {
        return known.target == target && !known.incident.maintenance && period.contains(known.incident.since());
    }));
}

MonthReport Board::report(std::size_t target, std::chrono::year_month month, Instant now) const
{
    const Entry& entry = targets_[target];
    const Span span = month_span(month);
    MonthReport report{.target = entry.name,
                       .month = month,
                       .complete = span.end <= now,
                       .incidents = incidents_of(target, span),
                       .objective = entry.rules.objective};
    const Record record = record_of(entry, now);
    const auto final_one = std::find_if(entry.months.begin(), entry.months.end(),
                                        [&](const Rollup& rollup) { return rollup.begin == span.begin; });
    report.tally = final_one != entry.months.end() ? final_one->tally : tally(record, span, now);
    // Those of an old month are not in memory any more.
    if (const auto counted = entry.incidents_of_months.find(span.begin); counted != entry.incidents_of_months.end())
        report.incidents = counted->second;
    const Span ahead{std::max(span.begin, now), span.end};
    report.budget = error_budget(report.tally, outside_windows(ahead, record.announced), report.objective);
    report.burns = burns([&](const Span& stretch) { return tally(record, stretch, now); }, now, report.objective);
    return report;
}

} // namespace hotspare::monitor
