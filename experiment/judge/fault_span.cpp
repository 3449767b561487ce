#include "experiment/judge/fault_span.hpp"

namespace hotspare::experiment {

std::string party_of(const Plan& plan, const FaultRecord& fault)
{
    return fault.step < plan.method.size() ? plan.method[fault.step].on : std::string();
}

std::optional<Nanos> end_of(const Plan& plan, const FaultRecord& fault) noexcept
{
    if (fault.undone) return fault.undone;
    if (fault.step < plan.method.size() && plan.method[fault.step].fault == FaultKind::restart) return fault.confirmed;
    return std::nullopt;
}

FaultSpan::FaultSpan(const Plan& plan, const Run& run)
{
    bool ended = true;
    for (const FaultRecord& fault : run.faults) {
        if (!fault.effective) continue;
        if (!begin_) {
            begin_ = fault.triggered;
            first_party_ = party_of(plan, fault);
        }
        const auto end = end_of(plan, fault);
        ended = ended && end;
        if (end && (!end_ || *end >= *end_)) {
            end_ = end;
            last_party_ = party_of(plan, fault);
        }
    }
    if (!ended) end_.reset();
}

Phase FaultSpan::phase_of(Nanos due) const noexcept
{
    if (!begin_ || due < *begin_) return Phase::healthy;
    return !end_ || due < *end_ ? Phase::fault : Phase::recovered;
}

} // namespace hotspare::experiment
