// The process that this one takes the place of, seen from this one: what it hands over, and what it is told. The other
// side is successor.hpp. Without a predecessor all of this does nothing.
//
// The channel is the inherited socket with the name "predecessor". One process writes a document and closes its half;
// the other answers with one line, "ready", or "failed" and the reason.
//
// Thread: the main thread. Owner: run_app().
#pragma once

#include "common/socket.hpp"

#include <string>
#include <string_view>

namespace hotspare::process {

/// The name under which the channel is handed down.
inline constexpr const char* predecessor_name = "predecessor";

class Predecessor {
public:
    /// After claim_inherited().
    Predecessor();

    explicit operator bool() const noexcept { return static_cast<bool>(channel_); }

    /// What it hands over; empty if it has ended or sends nothing within five seconds, for which this waits. Once.
    std::string document();

    /// This process serves: from now on the predecessor takes no new work. False if the predecessor has ended meanwhile
    /// and is supervised: what supervises it has started another in its place and does not know us, so we must end.
    [[nodiscard]] bool tell_ready();

    /// This process ends without having served: why, for people.
    void tell_failure(std::string_view why) noexcept;

private:
    bool tell(const std::string& line) noexcept;

    Fd channel_;
};

} // namespace hotspare::process
