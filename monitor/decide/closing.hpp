// Which pools of which balancer are closed during maintenance windows that ask for it, and what to order of a balancer
// so that they are: closed while such a window is in progress, open again after it. It asks nothing and orders nothing
// (serve/pools.hpp does), and knows nothing of how a balancer's /status is written (check/pool_status.hpp does).
//
// A pool is closed by putting its backends into maintenance at the balancer, which keeps that until it is ended. So
// that each is given back although the monitor was killed, or the window was cancelled while it did not run, what is
// closed is remembered by the backend, in the memory of the windows:
//
//  - A backend is remembered (`closing`), durably, before the order that closes it, and until the balancer has shown it
//    open. Nothing that is not remembered is ever opened.
//  - It is ours only as long as the balancer shows it in maintenance with a text and an end that we announced. One that
//    an operator drained or put into maintenance, before or meanwhile, is left alone (`left_alone`): it is not opened.
//    One that an operator opens during the window stays open.
//  - A balancer that was restarted has no record of it. Its start time (`run`) tells: what is out then was taken out by
//    an operator, and what should be closed is closed anew.
//
// PURE: `now` is an argument. Any thread. Values, owned by their users.
#pragma once

#include "monitor/decide/window.hpp"

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

/// What the clients of a closed pool are told.
struct PoolAnnouncement {
    Instant until{};
    std::string message{}; ///< one line

    friend bool operator==(const PoolAnnouncement&, const PoolAnnouncement&) = default;
};

/// A balancer's limit for `message`.
inline constexpr std::size_t longest_pool_message = 500;
/// So long before the end of a window its pools are opened: a check that is made after the end must find them open.
inline constexpr milliseconds opened_before_end = std::chrono::seconds(1);

/// A backend that this monitor has closed, is about to close, or has found closed or opened by another hand.
struct ClosedBackend {
    enum class Phase : std::uint8_t {
        closing, ///< ordered, or about to be
        closed,  ///< the balancer has shown it so
        left_alone,
    };
    std::string balancer{}; ///< the component
    std::string backend{};
    std::string run{}; ///< when the balancer was started, in its own words
    Phase phase = Phase::closing;
    std::vector<PoolAnnouncement> announced{}; ///< one of which it shows if it is ours; the latest last

    friend bool operator==(const ClosedBackend&, const ClosedBackend&) = default;
};
std::string_view to_string(ClosedBackend::Phase) noexcept;

/// What a balancer says of itself.
struct PoolStatus {
    struct Backend {
        std::string name{};
        bool out = false; ///< draining or in maintenance: by someone's order
        /// Only of one in maintenance. `until` is the epoch if none was announced.
        std::optional<PoolAnnouncement> announcement{};
    };
    struct Pool {
        std::string name{};
        std::vector<std::string> backends{};
    };
    std::vector<Backend> backends{};
    std::vector<Pool> pools{};
    std::string run{}; ///< when it was started
};

/// A balancer that this monitor may operate.
struct OperatedBalancer {
    std::string component{};
    std::vector<std::string> pools{}; ///< that may be closed; none: all that have a backend
};

/// What is announced at the balancer now; nothing if its pools are to be open. Of several windows that of the one that
/// ends last.
std::optional<PoolAnnouncement> closed_now(std::string_view balancer, std::span<const Window> windows, Instant now);
/// When closed_now() changes next if no window does; `forever`: never.
Instant closing_changes_at(std::string_view balancer, std::span<const Window> windows, Instant now);

/// An order for a balancer: for a pool if all of its backends are meant, else for a backend.
struct PoolOrder {
    bool of_pool = true;
    std::string name{};
    bool close = true; ///< false: open it

    friend bool operator==(const PoolOrder&, const PoolOrder&) = default;
};

struct PoolStep {
    /// What is remembered of the balancer from now on: to be stored before the orders are given.
    std::vector<ClosedBackend> remembered{};
    std::vector<PoolOrder> orders{};
    std::vector<std::string> missing{}; ///< pools that the configuration names and the balancer does not have
    /// The balancer is as it should be.
    bool settled() const noexcept { return orders.empty() && missing.empty(); }
};

/// What to do about a balancer that says this. `remembered` is what is remembered of it; `wanted` what closed_now()
/// yields. Repeated until nothing is left to do, it closes and opens what it may.
PoolStep step_towards(const OperatedBalancer& balancer, const std::optional<PoolAnnouncement>& wanted,
                      std::span<const ClosedBackend> remembered, const PoolStatus& status);

} // namespace hotspare::monitor
