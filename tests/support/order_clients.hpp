// Clients that place orders and never give one up: after a refusal, a broken connection or silence they send the very
// same request again, to the next of the services that they know, until it is acknowledged. They are what the
// pipeline's promises are made to.
//
// Thread: one per client; the public functions may be called from any thread. Lifetime: the destructor gives up what is
// not acknowledged.
#pragma once

#include "tests/support/load.hpp"
#include "tests/support/order_audit.hpp"
#include "tests/support/raw_client.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::test {

/// The order with this number: what it asks for follows from it. Every second one carries an Idempotency-Key. About one
/// in ten asks for so much that the validator rejects it.
PlacedOrder numbered_order(const std::string& prefix, std::size_t number);
/// POST /create_order for it, byte for byte the same each time.
std::string create_request(const PlacedOrder& order);
/// A second of orders, `load-0` and so on, none of which carries an Idempotency-Key, from clients that ask once.
LoadPlan unkeyed_creations(std::uint16_t port);
/// Everything that the service at `port` has, with timelines. Throws std::runtime_error if it does not answer.
std::vector<SeenOrder> read_orders(std::uint16_t port);

class OrderClients {
public:
    /// Longer than any honest service takes: a client that is told nothing by then asks again.
    static constexpr milliseconds silence_bound = seconds(5);

    struct Options {
        std::vector<std::uint16_t> ports; ///< of services that do the same; each client begins at another one
        std::string prefix = "o";
        std::size_t clients = 8;
        double rate = 0; ///< orders per second that become due, answered or not; 0 = the next when one is acknowledged
    };

    explicit OrderClients(Options options);
    ~OrderClients();

    OrderClients(const OrderClients&) = delete;
    OrderClients& operator=(const OrderClients&) = delete;

    std::size_t acknowledged() const noexcept { return acknowledged_; }
    /// Answers of the kind "not now".
    std::size_t refused() const noexcept { return refused_; }
    /// From the sending of a request to its answer, whatever that was, at most; a connection that was cut has none, and
    /// silence counts for as long as it was waited for (silence_bound).
    milliseconds longest_answer() const noexcept { return milliseconds(longest_answer_ms_); }
    /// Waits for so many more to be acknowledged; false after `bound`.
    bool wait_for_more(std::size_t count, milliseconds bound = patience) const;
    /// Begins no more orders, and waits until those begun are acknowledged; false after `bound`.
    bool finish(milliseconds bound = patience);

    /// Every order begun so far.
    std::vector<PlacedOrder> placed() const;
    /// Answers that an honest request, repeated, must never get.
    std::vector<std::string> complaints() const;

private:
    struct Line {
        std::size_t port = 0; ///< index of Options::ports
        std::optional<RawClient> connection{};
    };

    void run(Line line);
    bool place(Line& line, const PlacedOrder& order);
    void answered_after(Clock::duration duration);
    bool pause(TimePoint until) const;

    const Options options_;
    const TimePoint start_ = Clock::now();
    std::atomic<std::size_t> next_ = 0;
    std::atomic<std::size_t> acknowledged_ = 0;
    std::atomic<std::size_t> refused_ = 0;
    std::atomic<milliseconds::rep> longest_answer_ms_ = 0;
    std::atomic<std::size_t> running_;
    std::atomic<bool> finishing_ = false;
    std::atomic<bool> abandoned_ = false;

    mutable std::mutex mutex_; ///< guards the next two
    std::vector<PlacedOrder> placed_;
    std::vector<std::string> complaints_;

    std::vector<std::thread> threads_;
};

} // namespace hotspare::test
