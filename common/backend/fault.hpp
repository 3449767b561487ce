// The faults that a backend can be told to have, as a state machine: which fault is active at a given moment and what
// it does to one request. Acting on it (closing the listener, burning CPU, mangling an answer) is the service's work.
//
// PURE: time and chance are arguments. One fault at a time; a new one replaces the old one.
//
//     mode        what a request meets, on every path but /fail, /recover and /simulate/...
//     error       503, /health included
//     data_error  500 with the detail DATA_ERR, /health 503 (set by /simulate/corruption)
//     hang        no answer at all; the connection stays open until the client leaves or the fault ends
//     slow        `delay`, then the ordinary answer
//     reset       the ordinary answer cut after `bytes`, then TCP RST
//     truncate    the same cut, then an orderly close
//     corrupt     the ordinary answer with a body of wrong bytes
//     refuse      nothing: the port is closed
//     flap        `error` for the first half of every `period`, healthy for the second
//     cpu         the ordinary answer, while one thread burns `load` percent of a core; as from an overloaded server,
//     that
//                 to / takes load/20 s longer, and above 50 percent that to a health check 2 s longer
//     crash       nothing, once: the process exits with 1
#pragma once

#include "common/clock.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>
#include <utility>

namespace hotspare::backend {

enum class Mode : std::uint8_t {
    none,
    error,
    crash,
    hang,
    slow,
    reset,
    truncate,
    corrupt,
    refuse,
    flap,
    cpu,
    data_error
};
std::string_view to_string(Mode mode) noexcept;

/// The modes that a client may ask for by name.
inline constexpr std::array<std::pair<std::string_view, Mode>, 10> mode_names{{{"error", Mode::error},
                                                                               {"crash", Mode::crash},
                                                                               {"hang", Mode::hang},
                                                                               {"slow", Mode::slow},
                                                                               {"reset", Mode::reset},
                                                                               {"truncate", Mode::truncate},
                                                                               {"corrupt", Mode::corrupt},
                                                                               {"refuse", Mode::refuse},
                                                                               {"flap", Mode::flap},
                                                                               {"cpu", Mode::cpu}}};

struct Fault {
    Mode mode = Mode::error;
    std::optional<Duration> lasts = std::nullopt; ///< from the injection on; nullopt = until it is cleared
    double rate = 1;                              ///< fraction of requests that it hits, 0 < rate <= 1
    Duration delay = seconds(1);                  ///< slow
    Duration period = seconds(2);                 ///< flap
    unsigned load = 100;                          ///< cpu, percent
    std::optional<std::size_t> bytes =
        std::nullopt; ///< reset, truncate: sent at all; nullopt = header and half of the body
};

/// What a request asks for, as far as a fault distinguishes.
enum class Asked : std::uint8_t {
    page,   ///< GET /
    health, ///< /health, and what Kubernetes calls it
    other
};

/// What to do with one request.
enum class Action : std::uint8_t { serve, error, data_error, hang, delay, reset, truncate, corrupt };

class FaultState {
public:
    void inject(const Fault& fault, TimePoint now);
    void clear() noexcept { fault_ = Fault{.mode = Mode::none}; }

    /// The fault that is active at `now`, its mode `none` when there is none or its time is over.
    const Fault& active(TimePoint now) const noexcept;

    /// `draw` is uniform in [0, 1): the request's luck.
    Action decide(double draw, TimePoint now) const noexcept;
    /// How much later than usual a request is answered for which decide() says `delay`.
    Duration delay(Asked asked, TimePoint now) const noexcept;

    /// Whether the service listens on its port at `now`.
    bool listens(TimePoint now) const noexcept { return active(now).mode != Mode::refuse; }
    /// Percent of one core to burn at `now`.
    unsigned cpu_load(TimePoint now) const noexcept;
    /// Until when the active fault lasts; nullopt when there is none or it has no end.
    std::optional<TimePoint> ends_at(TimePoint now) const noexcept;

private:
    Fault fault_{.mode = Mode::none};
    TimePoint since_{};
};

} // namespace hotspare::backend
