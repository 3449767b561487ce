#include "monitor/decide/incident.hpp"

#include <algorithm>
#include <utility>

namespace hotspare::monitor {
namespace {

constexpr std::size_t longest_author = 200;
constexpr std::size_t most_updates = 200;

} // namespace

std::string_view to_string(IncidentStatus status) noexcept
{
    switch (status) {
    case IncidentStatus::investigating: return "investigating";
    case IncidentStatus::identified: return "identified";
    case IncidentStatus::monitoring: return "monitoring";
    case IncidentStatus::resolved: return "resolved";
    }
    return "invalid";
}

std::string_view to_string(Action action) noexcept
{
    switch (action) {
    case Action::opened: return "opened";
    case Action::reopened: return "reopened";
    case Action::cause_changed: return "cause_changed";
    case Action::outlasted_maintenance: return "outlasted_maintenance";
    case Action::resolved: return "resolved";
    }
    return "invalid";
}

milliseconds Incident::duration(Instant now) const noexcept
{
    milliseconds sum{};
    for (const Span& outage : outages) sum += Span{outage.begin, std::min(outage.end, now)}.length();
    return sum;
}

void record(const Step& step, Record& record)
{
    if (step.gap_ends && !record.gaps.empty()) record.gaps.back().end = *step.gap_ends;
    if (step.gap_begins) record.gaps.push_back({*step.gap_begins, forever});
    if (step.outage_begins) record.outages.push_back({*step.outage_begins, forever});
    if (step.outage_ends && !record.outages.empty()) record.outages.back().end = *step.outage_ends;
    if (step.change) record.changes.push_back(*step.change);
}

IncidentTracker::IncidentTracker(const IncidentSettings& settings, IncidentMemory memory)
    : settings_(settings), state_(std::move(memory))
{
    settings_.confirm_down = std::max(settings_.confirm_down, 1U);
    settings_.confirm_up = std::max(settings_.confirm_up, 1U);
    settings_.confirm_degraded = std::max(settings_.confirm_degraded, 1U);
}

Step IncidentTracker::weigh(const Sample& sample)
{
    Step step;
    if (state_.latest && sample.at < *state_.latest) return step;
    state_.latest = sample.at;
    if (sample.state == State::unknown) {
        if (!state_.in_gap) step.gap_begins = sample.at;
        state_.in_gap = true;
        return step;
    }
    if (std::exchange(state_.in_gap, false)) step.gap_ends = sample.at;
    if (sample.state == State::down)
        weigh_down(sample, step);
    else
        weigh_good(sample, step);
    return step;
}

void IncidentTracker::weigh_down(const Sample& sample, Step& step)
{
    if (down()) {
        state_.good_row = 0;
        Incident& incident = *state_.incident;
        if (incident.cause != sample.cause) {
            incident.cause = sample.cause;
            step.actions.push_back(Action::cause_changed);
        }
        if (incident.maintenance && !sample.in_maintenance) {
            incident.maintenance = false;
            step.actions.push_back(Action::outlasted_maintenance);
        }
        return;
    }

    if (state_.down_row++ == 0) {
        state_.row_begin = sample.at;
        state_.row_in_maintenance = true;
    }
    state_.row_in_maintenance = state_.row_in_maintenance && sample.in_maintenance;
    if (state_.down_row < settings_.confirm_down) return;

    state_.down_row = 0;
    state_.other_row = 0;
    step.outage_begins = state_.row_begin;
    const bool returns =
        state_.incident && state_.row_begin - state_.incident->outages.back().end < settings_.merge_within;
    if (returns) {
        step.actions.push_back(Action::reopened);
        state_.incident->maintenance = state_.incident->maintenance && state_.row_in_maintenance;
    } else {
        step.actions.push_back(Action::opened);
        state_.incident.emplace();
        state_.incident->number = ++state_.incidents;
        state_.incident->maintenance = state_.row_in_maintenance;
    }
    state_.incident->cause = sample.cause;
    state_.incident->status = IncidentStatus::investigating;
    state_.incident->outages.push_back({state_.row_begin, forever});
}

void IncidentTracker::weigh_good(const Sample& sample, Step& step)
{
    if (!down()) {
        state_.down_row = 0;
        if (sample.state == state_.recorded) {
            state_.other_row = 0;
            return;
        }
        const bool first_of_all = state_.recorded == State::unknown && sample.state == State::up;
        if (++state_.other_row < settings_.confirm_degraded && !first_of_all) return;
        state_.other_row = 0;
        state_.recorded = sample.state;
        step.change = {sample.at, sample.state};
        return;
    }
    if (state_.good_row++ == 0) state_.row_begin = sample.at;
    if (state_.good_row < settings_.confirm_up) return;

    state_.good_row = 0;
    Incident& incident = *state_.incident;
    incident.outages.back().end = state_.row_begin;
    incident.status = IncidentStatus::resolved;
    step.outage_ends = state_.row_begin;
    step.actions.push_back(Action::resolved);
    // The row may have been up and degraded in turn; both are good, and the latest of them goes on.
    if (sample.state != state_.recorded) {
        state_.recorded = sample.state;
        step.change = {state_.row_begin, sample.state};
    }
}

std::optional<Refusal> IncidentTracker::post(IncidentUpdate update)
{
    if (!state_.incident) return Refusal{"incident", "the target has had no incident"};
    if (auto refusal = refuse_text("message", update.message, TextKind::paragraph, longest_message, true))
        return refusal;
    if (auto refusal = refuse_text("author", update.author, TextKind::line, longest_author, false)) return refusal;
    Incident& incident = *state_.incident;
    if (incident.updates.size() >= most_updates) return Refusal{"incident", "the incident has 200 updates"};
    if (incident.open() && update.status == IncidentStatus::resolved)
        return Refusal{"status", "the target is still down; its incident is resolved when it comes back"};
    if (!incident.open() && update.status != IncidentStatus::resolved)
        return Refusal{"status", "the incident is resolved; an update of it must have the status resolved"};
    incident.status = update.status;
    incident.updates.push_back(std::move(update));
    return std::nullopt;
}

bool IncidentTracker::add(std::uint64_t number, IncidentUpdate update)
{
    if (!state_.incident || state_.incident->number != number) return false;
    Incident& incident = *state_.incident;
    if (incident.open() == (update.status != IncidentStatus::resolved)) incident.status = update.status;
    incident.updates.push_back(std::move(update));
    return true;
}

} // namespace hotspare::monitor
