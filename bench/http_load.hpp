// Drives one HTTP/1.1 server over keep-alive connections from one thread and hands every finished request to its
// caller.
//
// Two ways to pace it. Open loop (`rate` > 0): request k is due at start + k/rate whatever happened to the others, and
// its latency counts from that moment, so a server that stalls cannot slow the load down and hide it (coordinated
// omission). Closed loop (`rate` 0): every connection sends again as soon as it has its answer; that finds the
// saturation rate.
//
// It judges nothing and keeps no statistics: what a number means belongs to load.cpp, the story to demo.cpp.
//
// Thread: run() blocks its caller and calls back on the same thread. Owner: the program's main.
#pragma once

#include "bench/socket.hpp"

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace hotspare::bench {

using Clock = std::chrono::steady_clock;

struct LoadPlan {
    Endpoint target;
    std::string method = "GET";
    std::string path = "/";
    std::uint64_t body = 0;         ///< bytes of request body
    unsigned connections = 64;      ///< opened at the start; closed loop: always all in use
    unsigned most_connections = 64; ///< open loop: opens more, up to this many, while none is idle ...
    bool prefer_new = false;        ///< ... or even while one is: `most_connections` requests on as many connections
    double rate = 0;                ///< requests per second; 0 = closed loop
    Clock::duration duration{};     ///< requests are due in [0, duration)
    Clock::duration timeout{};      ///< an answer that takes longer than this after it was due has failed
};

enum class Outcome : std::uint8_t {
    answered,  ///< a complete response; its status may still be an error
    refused,   ///< no connection
    broken,    ///< closed or reset before the response was complete, or not HTTP
    timed_out, ///< no complete response in time
};

struct Sample {
    Clock::time_point due;
    Clock::time_point done;
    Outcome outcome = Outcome::answered;
    unsigned status = 0;     ///< 0 unless answered
    std::string_view header; ///< the response's, empty unless answered; valid during the callback
};

/// The smallest of `sorted` that at least `share` of them do not exceed (nearest rank); zero if there are none.
Clock::duration quantile(std::span<const Clock::duration> sorted, double share);

class HttpLoad {
public:
    using OnSample = std::function<void(const Sample&)>;

    HttpLoad(LoadPlan plan, OnSample on_sample);

    /// Runs the plan to its end: until every request that was due has been answered or has failed. Throws
    /// std::system_error when this machine cannot even make a socket.
    void run();

    /// Ends run() early: nothing more becomes due. From any thread, or a signal handler.
    void stop() noexcept { stop_.store(true, std::memory_order_relaxed); }

    /// Connections that are open now. They stay open and idle after run(), until the destructor closes them.
    std::size_t open_connections() const noexcept { return connections_.size(); }

private:
    struct Connection {
        Fd fd;
        Clock::time_point due;
        bool busy = false;
        bool head_sent = false;
        bool wants_write = false;
        std::uint64_t body_sent = 0;
        std::string in; ///< response header bytes so far
        bool head_seen = false;
        unsigned status = 0;
        std::uint64_t body_left = 0; ///< bytes of response body to come
        bool close = false;          ///< the server will close this connection
    };

    bool open_loop() const noexcept { return plan_.rate > 0; }
    Clock::time_point due(std::uint64_t index) const;
    bool more_to_come(Clock::time_point now) const;
    void send_due(Clock::time_point now);
    int free_connection(); ///< its key, or -1
    int connect();
    void start(int key, Clock::time_point due);
    void dispatch(int key, std::uint32_t events);
    static Outcome failure(const Connection& connection);
    bool write(Connection& connection);
    bool read(Connection& connection);
    bool parse_head(Connection& connection);
    void complete(int key, Outcome outcome);
    void expire(Clock::time_point now);
    void watch(int operation, int fd, std::uint32_t interest);

    LoadPlan plan_;
    OnSample on_sample_;
    std::string head_; ///< the request, ready to send
    Fd epoll_;
    Clock::time_point start_;
    Clock::time_point end_;
    std::uint64_t next_ = 0; ///< index of the next request to send (open loop)
    std::unordered_map<int, Connection> connections_;
    std::deque<int> idle_; ///< oldest first, so that every connection carries its share
    std::size_t busy_ = 0;
    std::atomic<bool> stop_{false};
};

} // namespace hotspare::bench
