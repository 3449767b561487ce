// An open-loop load generator: requests are due at fixed times whether or not earlier ones have been answered, and
// latency counts from the moment a request was due. A stall of the server therefore shows in every request that it
// delayed, not only in the one that met it (the mistake known as coordinated omission).
//
// It is an honest client: one try per request, no retry, and a request is only a success if a complete 2xx answer came
// back. It also measures itself: `lag` tells how late its own loop ever was, so that a slow machine is not mistaken for
// a slow server.
//
// Thread: run_load() makes one thread that does all the I/O, and runs the actions on the caller's.
#pragma once

#include "tests/support/message.hpp"
#include "tests/support/socket.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::test {

struct LoadPlan {
    std::uint16_t port = 0;
    double rate = 500; ///< requests per second
    milliseconds duration = seconds(2);
    std::string method = "GET";
    std::string target = "/data";
    /// Every request also carries `X-Test-Id: <id_prefix>-<number>`; "{id}" in the target, in a value or in the body
    /// stands for that id.
    std::vector<Header> headers;
    std::string body;
    std::string id_prefix = "load";
    std::size_t connections = 16;       ///< opened in advance; more are opened while all are busy ...
    std::size_t max_connections = 4000; ///< ... up to this many
    milliseconds timeout = seconds(10); ///< from the sending to the last byte of the answer
};

/// Why a request is not a complete 2xx answer.
enum class Failure : std::uint8_t {
    none,
    refused,   ///< no connection
    stale,     ///< its kept-alive connection had been closed without a `Connection: close` in the last answer
    reset,     ///< sent, then RST before the answer was complete
    closed,    ///< sent, then FIN before the first byte of the answer
    truncated, ///< FIN or RST inside the answer
    timed_out,
    malformed, ///< the answer is not HTTP
    status,    ///< a complete answer that is not 2xx
};
std::string_view to_string(Failure) noexcept;

struct Sample {
    std::uint64_t number = 0;
    TimePoint due, sent, first_byte, done;
    int status = 0;
    std::string served_by; ///< X-Served-By
    Failure failure = Failure::none;

    Clock::duration latency() const noexcept { return done - due; }
};

struct LoadResult {
    TimePoint start; ///< the first request was due
    std::vector<Sample> samples;
    Clock::duration lag{}; ///< the most that a request was sent late because of ourselves

    std::size_t total() const noexcept { return samples.size(); }
    std::size_t failed() const noexcept;
    /// Failed although they were sent: neither a refusal nor a whole answer with a bad status.
    std::size_t lost() const noexcept;
    std::size_t count(Failure failure) const noexcept;
    std::size_t served_by(std::string_view backend) const noexcept;
    Clock::duration worst() const noexcept;
    /// Latency that a share of `q` of all requests did not exceed (nearest rank).
    Clock::duration percentile(double q) const;
    /// "0 of 1500 failed, worst 12.3 ms, p99 1.2 ms, p50 0.4 ms", and the kinds of failure if there were any.
    std::string summary() const;
};

double to_ms(Clock::duration) noexcept;

/// Something to do `at` that time after the first request is due. It may block; the load goes on.
struct Action {
    milliseconds at;
    std::function<void()> act;
};

/// Runs the whole plan and returns when every request has been answered or has failed. Throws what an action throws.
LoadResult run_load(const LoadPlan& plan, const std::vector<Action>& actions = {});

} // namespace hotspare::test
