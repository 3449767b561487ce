// A TCP gate between any two parties: everything that goes through it can be delayed, cut, swallowed, reset or sliced,
// and the fault can be changed while traffic flows. It knows nothing of HTTP.
//
// Thread: one of its own, which does all the I/O; the public functions may be called from any thread and return when
// the gate has acted on them.
#pragma once

#include "tests/support/socket.hpp"

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::test {

/// What a Gate does to the bytes.
struct Fault {
    enum class Kind {
        none,       ///< pass everything on at once
        refuse,     ///< nothing listens: new connections are refused, existing ones go on
        black_hole, ///< connections are accepted, every byte on them is swallowed, nothing is ever answered
        silent, ///< nothing accepts: connections wait in the backlog, existing ones stand still; all resume afterwards
        unroutable, ///< SYNs are dropped: connecting takes for ever; existing connections as in black_hole
        delay,      ///< the answer's bytes arrive `delay` late
        reset,      ///< RST to both sides in place of the answer's byte number `after`
        cut,        ///< FIN to both sides in place of the answer's byte number `after`
        slice,      ///< one byte at a time, both ways
        half_open,  ///< the server forgot every existing connection and the client was not told; new ones work
    };

    Kind kind = Kind::none;
    milliseconds delay{0};
    std::size_t after = 0; ///< counted per connection, from the moment the fault is set

    static Fault pass() { return {}; }
    static Fault refuse() { return {.kind = Kind::refuse}; }
    static Fault black_hole() { return {.kind = Kind::black_hole}; }
    static Fault silent() { return {.kind = Kind::silent}; }
    static Fault unroutable() { return {.kind = Kind::unroutable}; }
    static Fault late(milliseconds by) { return {.kind = Kind::delay, .delay = by}; }
    static Fault reset_after(std::size_t bytes) { return {.kind = Kind::reset, .after = bytes}; }
    static Fault cut_after(std::size_t bytes) { return {.kind = Kind::cut, .after = bytes}; }
    static Fault slice() { return {.kind = Kind::slice}; }
    static Fault half_open() { return {.kind = Kind::half_open}; }
};

class Gate {
public:
    /// Listens on a free port and forwards to 127.0.0.1:`target`.
    explicit Gate(std::uint16_t target);
    ~Gate(); ///< resets what is still open

    Gate(const Gate&) = delete;
    Gate& operator=(const Gate&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }

    void set(const Fault& fault);
    /// RST to both sides of every open connection, once, whatever the fault is.
    void reset_all();
    /// As if the server's machine had died: refuses and resets. Undo with set(Fault::pass()).
    void crash();

    struct Counts {
        std::size_t accepted = 0; ///< connections, ever
        std::size_t open = 0;
        std::uint64_t to_server = 0; ///< bytes taken from clients, swallowed ones included
        std::uint64_t to_client = 0; ///< bytes passed on to clients
    };
    Counts counts() const;

private:
    struct Chunk {
        TimePoint due;
        std::string bytes;
    };
    /// One direction of a connection.
    struct Lane {
        std::deque<Chunk> queue;
        std::size_t queued = 0;
        bool ended = false;    ///< the sender has sent FIN
        bool end_sent = false; ///< and we have passed it on
    };
    struct Link {
        Fd client, server;
        Lane up, down;
        bool swallowing = false;    ///< lost bytes once, so it can never be passed on again
        std::uint64_t answered = 0; ///< bytes to the client since the fault was set
    };

    void run();
    void apply();
    void open_listener(int backlog);
    void accept_some();
    /// Moves what can be moved without blocking; false when the link is over.
    bool serve(Link& link, short client_events, short server_events, TimePoint now);
    bool take(Link& link, Fd& from, Lane& lane, bool upwards, TimePoint now);
    bool give(Link& link, Fd& to, Lane& lane, bool downwards, TimePoint now);
    static void swallow(Link& link);
    void submit(std::optional<Fault> fault, bool reset_all);

    const std::uint16_t target_;
    Fd reservation_; ///< keeps the port ours while nothing listens on it
    std::uint16_t port_ = 0;
    WakeUp wake_;

    // The gate's thread only.
    Fd listener_;
    std::vector<Fd> fillers_; ///< occupy the backlog under Kind::unroutable
    std::list<Link> links_;
    Fault fault_;

    mutable std::mutex mutex_; ///< guards the rest
    std::condition_variable applied_;
    std::optional<Fault> wanted_;
    bool reset_wanted_ = false;
    std::uint64_t submitted_ = 0, done_ = 0;
    bool stopping_ = false;
    Counts counts_;

    std::thread thread_;
};

} // namespace hotspare::test
