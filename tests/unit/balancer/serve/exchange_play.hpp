// A random play over the exchange's world: clients that send requests in pieces, leave and stop reading; backends that
// answer in every way, too early, twice or not at all; connections that fail; time that jumps; backends that come and
// go. Every request and every answer is labelled, so that afterwards each byte can be told from every other.
//
// It only observes: what should not have happened is a sentence in `wrong`. One thread; owned by the test.
//
// What must hold:
//  - A client gets at most one final answer to each request, in order, and no byte of any other answer.
//  - An answer that was cut short is followed by a reset, never by a clean end.
//  - A request that may not be repeated is written to one backend only, but for a connection that was stale (408).
//  - A backend gets whole requests, or the connection ends: no byte of two requests mixes.
//  - When nothing more happens, every request and every connection ends by the deadlines alone.
//  - What ExchangeWorld::settle() checks.
#pragma once

#include "tests/support/message.hpp"
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <cstdint>
#include <deque>
#include <iosfwd>
#include <string>
#include <vector>

namespace hotspare::balancer {

/// Something that happens. What `who` and `value` mean depends on `what`; every combination is valid.
struct Turn {
    enum class What : std::uint8_t {
        request,       ///< client `who` sends a request, or its beginning; `value`: which
        client_more,   ///< ... sends more of what it has begun
        client_end,    ///< ... half-closes
        client_break,  ///< ... resets its connection
        client_takes,  ///< ... takes `value` more bytes from now on
        client_opens,  ///< ... takes everything
        door,          ///< how backend `who` is met
        connect,       ///< a connection that waits is made, or fails
        answer,        ///< a connection with a request begins an answer; `value`: which
        backend_more,  ///< ... sends more of it
        backend_end,   ///< ... ends
        backend_break, ///< ... is reset
        unasked,       ///< an idle connection sends an answer
        unnoticed,     ///< an idle connection ends, and nothing notices
        backend_takes, ///< ... takes `value` more bytes from now on
        backend_opens, ///< ... takes everything
        pause,         ///< `value` milliseconds pass
        leap,          ///< seconds pass at once
        down,          ///< backend `who` goes down
        back,          ///< ... comes back
        leave,         ///< ... takes no more requests
        count_
    };
    What what = What::pause;
    std::uint8_t who = 0;
    std::uint16_t value = 0;
};
std::ostream& operator<<(std::ostream& out, const Turn& turn);

class Play {
public:
    Play(Config config, Reading reading) : world(std::move(config), reading, ExchangeWorld::Logging::off) {}

    void apply(const Turn& turn);
    /// Nothing more happens: lets all deadlines pass and judges.
    void end();

    ExchangeWorld world;
    std::vector<std::string> wrong;
    std::uint64_t answers = 0; ///< final ones that came from a backend and were whole

private:
    struct Request {
        std::string method;
        bool repeatable = false;
        bool upgrade = false;
        bool http10 = false;
        std::string body{};
        std::size_t sent_to = 0; ///< connections on which it was written, but for stale ones
    };
    struct Client {
        std::size_t number = 0;
        std::vector<std::size_t> requests;
        std::string outbox;
        bool ended = false;
    };
    struct Connection {
        test::MessageReader reader{test::MessageReader::Kind::request};
        std::size_t fed = 0;
        std::size_t begun_at = 0;
        std::vector<std::size_t> seen; ///< requests, the last one perhaps not whole
        bool counted = false;          ///< that last one
        std::size_t answered = 0;
        std::string outbox;
        bool ends_behind = false; ///< the outbox
        bool stale = false;       ///< it answered 408 first, on a connection from the pool
        bool tunnel = false;
        bool unnoticed = false;
    };

    Client& client_for(std::uint8_t who);
    Client* present(std::uint8_t who);
    Connection& connection(std::size_t number);
    void look(std::size_t number);
    template <class F> void with_connection(std::uint8_t who, F&& suits_and_acts);
    void send_request(Client& client, std::uint16_t value);
    void send_answer(std::size_t number, std::uint16_t value);
    void send_some(std::size_t number, std::size_t bytes);
    void judge_client(const Client& client);
    void judge_answer(const test::Message& message, std::size_t request, bool whole, const std::string& client);
    void require(bool holds, std::string what);

    std::vector<Request> requests_;
    std::vector<Client> clients_; ///< all, by number
    std::vector<std::optional<std::size_t>> slots_ = std::vector<std::optional<std::size_t>>(3);
    std::deque<Connection> connections_;
    std::uint64_t failures_seen_ = 0; ///< answers of the balancer's own that say that it lost a request
};

} // namespace hotspare::balancer
