// The open-loop generator: drives one HTTP/1.1 server from one thread and hands every finished request to its caller.
//
// Open loop (`schedule` not empty): each request has its moment, whatever happened to the others, and its latency
// counts from that moment, so a server that stalls cannot slow the load down and hide it (coordinated omission).
// Closed loop (`schedule` empty): every connection sends again as soon as it has its answer; that finds the saturation
// rate.
//
// Nothing is ever sent twice: a measurement of losses must not make good for them. A kept connection that is found
// closed before a byte of the request went out is replaced; one that dies afterwards has failed the request.
//
// It judges nothing but whether an answer is the expected one, and keeps no statistics.
//
// Thread: run() blocks its caller and calls back on the same thread; stop() from any thread. Owner: the caller.
#pragma once

#include "common/clock.hpp"
#include "experiment/record/arrivals.hpp"
#include "experiment/record/record.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::experiment {

struct LoadRequest {
    static constexpr std::string_view id_here = "@ID@";

    std::string method = "GET";
    std::string path = "/";
    std::string body;
    std::uint64_t filler = 0;     ///< instead of `body`: so many meaningless bytes
    bool idempotency_key = false; ///< Idempotency-Key: the request's id
    bool numbered = false;        ///< id_here in `body` and in `expect_body` stands for the request's id
    std::string expect_body;      ///< an answer without it is Outcome::wrong_body; looked for in its first 64 KiB
};

struct LoadPlan {
    config::HostPort target;           ///< an address, not a name
    std::string host;                  ///< the Host header; empty: the target
    std::vector<LoadRequest> requests; ///< by stream
    std::vector<Due> schedule;
    Duration duration{};            ///< closed loop only
    std::string id_prefix;          ///< not empty: every request carries X-Request-Id: PREFIX-INDEX, its id
    Duration timeout = seconds(10); ///< an answer that takes longer than this after it was due has failed
    unsigned connections = 64;      ///< opened at the start; closed loop: always all in use
    unsigned most_connections = 64; ///< open loop: opens more, up to this many, while none is idle ...
    bool prefer_new = false;        ///< ... or even while one is
};

/// A finished request. Of the Sample, `served_by` and `trail` are left to the caller, who finds them in `header`.
/// `sent` is the moment of the first system call for this request, the connect of a new connection included: from there
/// on time passes in the kernel and the server.
struct Finished {
    Sample sample;
    std::string_view header; ///< of the answer, status line included; empty if no whole one came. During the callback.
};

class Load {
public:
    using OnFinished = std::function<void(const Finished&)>;

    /// Throws std::invalid_argument when the plan does not fit together: a stream without its request, keys or ids
    /// in a body without an `id_prefix`, which alone makes them unique.
    Load(LoadPlan plan, OnFinished on_finished);
    ~Load();

    Load(const Load&) = delete;
    Load& operator=(const Load&) = delete;

    /// Runs the plan to its end: until every request that was due has been answered or has failed. The first is due at
    /// `start`, which may lie ahead: connections are opened before. Throws std::system_error when this machine cannot
    /// even make a socket, std::invalid_argument when the target is a name. Once.
    void run(TimePoint start);

    /// Ends run() early: nothing more becomes due; what is under way is still waited for, up to its timeout.
    void stop() noexcept;

    /// Requests that have been sent or tried, those that found no connection in time included; from any thread.
    std::uint64_t started() const noexcept;

    /// Connections that are open now; from any thread. They stay open and idle after run(), until the destructor closes
    /// them.
    std::size_t open_connections() const noexcept;

private:
    class Engine;
    std::unique_ptr<Engine> engine_;
};

} // namespace hotspare::experiment
