// PURE: when the faults of a run stood, and so which phase a request belongs to.
//
// Any thread.
#pragma once

#include "experiment/judge/measure.hpp"
#include "experiment/record/record.hpp"

#include <optional>
#include <string>

namespace hotspare::experiment {

/// Whom the fault was done to; empty if the plan has no such step.
std::string party_of(const Plan& plan, const FaultRecord& fault);
/// When it was over: undone, or, for a restart, which is not undone, confirmed. Nothing if it lasted.
std::optional<Nanos> end_of(const Plan& plan, const FaultRecord& fault) noexcept;

/// All effective faults of a run as one: the boundaries of the phases.
class FaultSpan {
public:
    FaultSpan(const Plan& plan, const Run& run);

    Phase phase_of(Nanos due) const noexcept;
    /// The first effective fault's `triggered`; nothing if no fault was effective.
    const std::optional<Nanos>& begin() const noexcept { return begin_; }
    /// Nothing if one of them lasted to the end.
    const std::optional<Nanos>& end() const noexcept { return end_; }
    /// Whom the first of them was done to; empty if there is none.
    const std::string& first_party() const noexcept { return first_party_; }
    /// Of the one that was over last.
    const std::string& last_party() const noexcept { return last_party_; }

private:
    std::optional<Nanos> begin_, end_;
    std::string first_party_, last_party_;
};

} // namespace hotspare::experiment
