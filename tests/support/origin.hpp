// A scripted HTTP server that counts: what it answers, how slowly, and where it breaks is decided per request by the
// test, and everything that it received is on record, byte for byte. It is the witness that a POST was executed at most
// once and that a hostile request never reached a server.
//
// A request counts as executed when the last byte of it has arrived, whatever happens to the answer: that is the worst
// case, a server that does the work and dies before it can say so.
//
// Thread: one that accepts and one per connection; scripts run on the latter, so they must be thread-safe. The public
// functions may be called from any thread.
#pragma once

#include "tests/support/message.hpp"
#include "tests/support/socket.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::test {

struct Reply {
    enum class Framing { sized, chunked, until_close, none };
    enum class Break {
        never,
        close_unanswered, ///< FIN instead of an answer
        reset_unanswered, ///< RST instead of an answer
        close_in_body,    ///< FIN after `break_after` bytes of the body
        reset_in_body,    ///< RST after them
        hang,             ///< never answers, keeps the connection
    };

    int status = 200;
    std::vector<Header> headers;
    std::string body = "ok";
    std::uint64_t pattern = 0; ///< if not 0: that many bytes of Pattern instead of `body`
    std::size_t piece = 0;     ///< bytes per write and per chunk; 0 = as they come
    Framing framing = Framing::sized;
    std::vector<Header> trailers;  ///< with Framing::chunked
    std::string before;            ///< raw bytes sent first: 1xx answers
    std::string raw;               ///< if not empty: exactly these bytes instead of everything above, then close
    milliseconds delay{0};         ///< before the first byte
    bool early = false;            ///< answer without waiting for the request's body
    bool announce_continue = true; ///< send 100 when the client expects it and we read the body
    bool close = false;            ///< announce and do it
    bool close_silently = false;   ///< close after the answer without having said so
    bool echo = false;             ///< with 101: every byte that follows is sent back
    Break break_at = Break::never;
    std::uint64_t break_after = 0;

    static Reply text(std::string body, int status = 200);
    static Reply json(std::string body, int status = 200);
    static Reply broken(Break where, std::uint64_t after = 0);
};

class Origin {
public:
    using Script = std::function<Reply(const Message& request)>;

    /// Listens on a free port of 127.0.0.1. `name` is what the default script puts into its answers. Health probes
    /// (GET /health) are answered 200 and kept out of every count until probe_script() says otherwise.
    explicit Origin(std::string name = "origin", Script script = {});
    ~Origin();

    Origin(const Origin&) = delete;
    Origin& operator=(const Origin&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
    const std::string& name() const noexcept { return name_; }

    /// From the next request on. An empty script restores the default: 200 with {"service": name}.
    void script(Script script);
    void probe_script(Script script);

    /// Closes the listener and every connection with RST, and returns to the same port with start(). One thread at a
    /// time.
    void stop();
    void start();

    /// How often a whole request with this X-Test-Id has arrived.
    std::size_t executed(const std::string& id) const;
    /// The id that was executed most often and how often; 0 if there was none.
    std::pair<std::string, std::size_t> most_executed() const;
    std::size_t executed_by_method(const std::string& method) const;
    /// Requests whose header has arrived, whether or not the rest did.
    std::size_t seen() const;
    /// Bytes that were no HTTP request, or belonged to one that never became whole.
    std::string unparsed() const;
    /// Every whole request, in order of arrival. Bodies only as Message keeps them.
    std::vector<Message> requests() const;
    std::size_t connections() const noexcept { return connections_; } ///< accepted, ever
    std::uint64_t body_bytes_sent() const noexcept { return body_bytes_sent_; }
    std::uint64_t body_bytes_received() const noexcept { return body_bytes_received_; }
    void forget(); ///< clears every count and record

private:
    struct Connection {
        Fd socket;
        std::thread thread;
        std::atomic<bool> over = false;
    };

    void accept_loop();
    void serve(Connection& connection);
    bool answer(Connection& connection, const Message& request, const Reply& reply);
    bool send_body(Connection& connection, const Reply& reply);
    bool send(const Connection& connection, std::string_view bytes) const;
    void echo(const Connection& connection, std::string_view first) const;
    void wait_for_hang_up(const Connection& connection) const;
    Reply decide(const Message& request);
    void record(const Message& request);

    const std::string name_;
    std::uint16_t port_ = 0;
    Fd reservation_; ///< keeps the port ours while stopped
    Fd listener_;
    std::unique_ptr<WakeUp> stop_;
    std::atomic<bool> stopping_ = false;
    std::thread acceptor_;
    std::list<Connection> open_; ///< the acceptor's, and stop()'s after the acceptor has ended

    std::atomic<std::size_t> connections_ = 0;
    std::atomic<std::uint64_t> body_bytes_sent_ = 0;
    std::atomic<std::uint64_t> body_bytes_received_ = 0;

    mutable std::mutex mutex_; ///< guards the rest
    Script script_, probe_script_;
    std::vector<Message> requests_;
    std::map<std::string, std::size_t> by_id_;
    std::map<std::string, std::size_t> by_method_;
    std::size_t seen_ = 0;
    std::string unparsed_;
};

} // namespace hotspare::test
