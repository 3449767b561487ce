#include "monitor/decide/uptime.hpp"

#include <limits>

namespace hotspare::monitor {
namespace {

constexpr std::int64_t million = 1'000'000;

/// The ascending, disjoint stretches of a kind that touch the period.
std::vector<Span> within(const std::vector<Span>& spans, const Span& period)
{
    std::vector<Span> touching;
    for (const Span& s : spans)
        if (s.overlaps(period)) touching.push_back(s);
    return united(std::move(touching));
}

/// Goes through ascending, disjoint stretches along with an instant that only moves forward.
class Cursor {
public:
    explicit Cursor(std::vector<Span> spans) : spans_(std::move(spans)) {}

    void move_to(Instant at) noexcept
    {
        while (next_ < spans_.size() && spans_[next_].end <= at) ++next_;
        inside_ = next_ < spans_.size() && spans_[next_].begin <= at;
        if (next_ == spans_.size())
            boundary_ = forever;
        else
            boundary_ = inside_ ? spans_[next_].end : spans_[next_].begin;
    }

    bool inside() const noexcept { return inside_; }
    /// Where `inside` changes next.
    Instant boundary() const noexcept { return boundary_; }

private:
    std::vector<Span> spans_;
    std::size_t next_ = 0;
    bool inside_ = false;
    Instant boundary_ = forever;
};

/// Calls `piece(Span, State, in_window)` for stretches that cover, in order, all of the period that counts.
template <class Piece> void for_each_piece(const Record& record, const Span& period, Instant now, Piece&& piece)
{
    const Span counts = intersection(period, {record.watched_since, now});
    if (counts.empty()) return;
    Cursor outages(within(record.outages, counts));
    Cursor gaps(within(record.gaps, counts));
    Cursor announced(within(record.announced, counts));
    auto next_change = std::upper_bound(record.changes.begin(), record.changes.end(), counts.begin,
                                        [](Instant at, const StateChange& change) { return at < change.at; });
    for (Instant at = counts.begin; at < counts.end;) {
        outages.move_to(at);
        gaps.move_to(at);
        announced.move_to(at);
        while (next_change != record.changes.end() && next_change->at <= at) ++next_change;
        const State recorded = next_change == record.changes.begin() ? State::unknown : (next_change - 1)->state;
        const State state = gaps.inside() ? State::unknown : outages.inside() ? State::down : recorded;
        const Instant end = std::min({counts.end, outages.boundary(), gaps.boundary(), announced.boundary(),
                                      next_change == record.changes.end() ? forever : next_change->at});
        piece(Span{at, end}, state, announced.inside());
        at = end;
    }
}

double share(milliseconds part, milliseconds whole) noexcept
{
    return static_cast<double>(part.count()) / static_cast<double>(whole.count());
}

/// Whether the tally burns the budget at the rate of the alert or faster, without rounding.
bool reaches(const Tally& tally, const BurnAlert& alert, Objective objective) noexcept
{
    // 3 d in milliseconds times ten million stay below 2^63.
    return tally.counted() > milliseconds(0) && tally.down > milliseconds(0) &&
           tally.down.count() * million * 10 >= tally.counted().count() * alert.tenths * (million - objective.ppm);
}

std::optional<double> burn_rate(const Tally& tally, Objective objective) noexcept
{
    if (tally.counted() <= milliseconds(0)) return std::nullopt;
    if (tally.down <= milliseconds(0)) return 0.0;
    if (objective.ppm >= million) return std::numeric_limits<double>::infinity();
    return share(tally.down, tally.counted()) * million / static_cast<double>(million - objective.ppm);
}

} // namespace

std::string_view to_string(State state) noexcept
{
    switch (state) {
    case State::up: return "up";
    case State::degraded: return "degraded";
    case State::down: return "down";
    case State::unknown: return "unknown";
    }
    return "invalid";
}

milliseconds& Tally::of(State state, bool in_window) noexcept
{
    switch (state) {
    case State::up: return in_window ? window_up : up;
    case State::degraded: return in_window ? window_degraded : degraded;
    case State::down: return in_window ? window_down : down;
    case State::unknown: break;
    }
    return in_window ? window_unknown : unknown;
}

milliseconds Tally::total() const noexcept
{
    return known() + all_unknown();
}

milliseconds Tally::maintenance() const noexcept
{
    return window_up + window_degraded + window_down + window_unknown;
}

std::optional<double> Tally::raw() const noexcept
{
    if (known() <= milliseconds(0)) return std::nullopt;
    return share(good(), known());
}

std::optional<double> Tally::sla() const noexcept
{
    if (counted() <= milliseconds(0)) return std::nullopt;
    return share(up + degraded, counted());
}

Tally& Tally::operator+=(const Tally& other) noexcept
{
    up += other.up;
    degraded += other.degraded;
    down += other.down;
    unknown += other.unknown;
    window_up += other.window_up;
    window_degraded += other.window_degraded;
    window_down += other.window_down;
    window_unknown += other.window_unknown;
    return *this;
}

Tally tally(const Record& record, const Span& period, Instant now)
{
    Tally result;
    for_each_piece(record, period, now, [&](const Span& piece, State state, bool in_window) {
        result.of(state, in_window) += piece.length();
    });
    return result;
}

std::vector<Rollup> rollups(const Record& record, const Span& period, Unit unit, Instant now)
{
    std::vector<Rollup> result;
    Span current{};
    for_each_piece(record, period, now, [&](Span piece, State state, bool in_window) {
        while (!piece.empty()) {
            if (result.empty() || piece.begin >= current.end) {
                current = unit_around(piece.begin, unit);
                result.push_back({current.begin, {}});
            }
            const Span part = intersection(piece, current);
            result.back().tally.of(state, in_window) += part.length();
            piece.begin = part.end;
        }
    });
    return result;
}

Tally sum(std::span<const Rollup> rollups, const Span& period) noexcept
{
    Tally result;
    for (const Rollup& rollup : rollups)
        if (period.contains(rollup.begin)) result += rollup.tally;
    return result;
}

Budget error_budget(const Tally& so_far, milliseconds ahead, Objective objective) noexcept
{
    Budget budget;
    budget.allowed =
        milliseconds((so_far.counted() + ahead).count() * (million - std::int64_t{objective.ppm}) / million);
    budget.spent = so_far.down;
    budget.left = budget.allowed - budget.spent;
    return budget;
}

milliseconds outside_windows(const Span& stretch, const std::vector<Span>& announced)
{
    milliseconds outside = stretch.length();
    for (const Span& window : within(announced, stretch)) outside -= intersection(window, stretch).length();
    return outside;
}

std::array<Burn, burn_alerts.size()> burns(const std::function<Tally(const Span&)>& tally_of, Instant now,
                                           Objective objective)
{
    std::array<Burn, burn_alerts.size()> result;
    for (std::size_t i = 0; i < burn_alerts.size(); ++i) {
        const BurnAlert& alert = burn_alerts[i];
        const Tally longer = tally_of({now - alert.long_window, now});
        const Tally shorter = tally_of({now - alert.short_window, now});
        result[i] = {burn_rate(longer, objective), burn_rate(shorter, objective),
                     reaches(longer, alert, objective) && reaches(shorter, alert, objective)};
    }
    return result;
}

} // namespace hotspare::monitor
