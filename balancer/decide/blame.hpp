// Which backend a request that has ended judges, and how. What a request met at one backend is evidence only against
// what the same request met at another: one that fails everywhere alike judges none, and one that succeeded after a
// failure speaks against the backend that failed it. It is counted once, however often it was sent.
//
// The backend that a request was moved to is not judged by it, neither way: what broke the first may well break the
// second, and an answer that came only after a failure elsewhere is not what a request usually meets.
//
// PURE. Called with the trail of an AttemptLedger.
#pragma once

#include "balancer/decide/attempt.hpp"

#include <optional>
#include <span>

namespace hotspare::balancer {

/// The backend that the request was sent to first: the only one that what followed is held against. Nothing while no
/// byte of it was sent.
std::optional<BackendIndex> first_sent_to(std::span<const Attempt> trail) noexcept;

/// Whether the request was sent to no backend but this one, so that nothing can be compared.
bool sent_only_to(BackendIndex backend, std::span<const Attempt> trail) noexcept;

/// Calls `blame(BackendIndex)` for each backend that the success of the request at `winner` speaks against: the first
/// that it was sent to, and those that no connection could be made to.
template <class Blame> void for_each_diverted(std::span<const Attempt> trail, BackendIndex winner, Blame&& blame)
{
    const auto first = first_sent_to(trail);
    const auto failed = [&](const Attempt& a) {
        switch (a.outcome) {
        case Outcome::refused:
        case Outcome::connect_timeout: return a.backend != winner;
        case Outcome::reset:
        case Outcome::timed_out:
        case Outcome::malformed:
        case Outcome::failing_status: return a.backend != winner && a.backend == first;
        default: return false;
        }
    };
    for (std::size_t i = 0; i < trail.size(); ++i) {
        bool told = false;
        for (std::size_t j = 0; j < i; ++j) told |= trail[j].backend == trail[i].backend && failed(trail[j]);
        if (failed(trail[i]) && !told) blame(trail[i].backend);
    }
}

} // namespace hotspare::balancer
