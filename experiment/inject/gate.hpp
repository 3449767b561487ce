// A TCP gate between a balancer and one of its backends: everything that goes through it can be delayed, thinned out,
// cut, swallowed or reset, and that can be changed while traffic flows. It knows nothing of HTTP.
//
// Thread: one of its own, which does all the I/O; the public functions may be called from any thread and return when
// the gate has acted on them. Lifetime: the destructor resets what is still open.
#pragma once

#include "experiment/record/plan.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace hotspare::experiment {

class Gate {
public:
    /// Listens on 127.0.0.1 and a free port, forwards to 127.0.0.1:`target`. While nothing listens there, nor does
    /// the gate: clients are refused by the kernel. The first one is still accepted and then reset, because only
    /// through it does the gate learn of it; from then on it asks every few milliseconds, by connecting. Throws
    /// std::system_error when this machine has no port or descriptor left.
    explicit Gate(std::uint16_t target, std::uint64_t seed = 0);
    ~Gate();

    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    std::uint16_t port() const noexcept;

    /// Starts the fault of `step`, one of the network's; ends whatever was before. Connections that lost bytes are
    /// reset when it ends, because they can never be whole again.
    void set(const Step& step);
    /// Passes everything on again.
    void open();

    struct Counts {
        std::uint64_t accepted = 0; ///< connections, ever
        std::uint64_t open = 0;
        std::uint64_t to_server = 0; ///< bytes taken from the client side, swallowed ones included
        std::uint64_t to_client = 0; ///< bytes passed on to the client side
        /// How often the present fault has done what it is for: chunks delayed, bytes swallowed, connections reset,
        /// cut, refused (as far as a gate can know: 1 once it no longer listens) or forgotten, since set().
        std::uint64_t acted = 0;
    };
    Counts counts() const;

private:
    class Engine;
    std::unique_ptr<Engine> engine_;
};

} // namespace hotspare::experiment
