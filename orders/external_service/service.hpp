// The external service (docs/orders.md): a third party that validates orders, honest about its faults. Which
// mode does what is decided in failure_mode.hpp and common/backend/fault.hpp; here it is done.
//
// A call of /validate has its effect at once and its answer after the latency: who leaves, times out or is cut
// meanwhile cannot know whether it had one. That is the worst case for a client, and what Idempotency-Key is for. A
// repeated key with the same body gets the stored answer with "replayed":true, with another body 422. As an effect is
// made within one turn of the event loop, two calls with one key cannot both be the first.
//
// Two listeners; setting a failure mode needs an operator on either (orders/control.hpp). `down` closes the ordinary
// one, cuts the calls in flight and hangs up on idle clients, as a crash would; a client that is still sending its
// request is hung up on once that is complete. The control listener is always there, with everything but /validate, and
// its /health tells which mode it is instead of obeying it.
//
// Thread: that of the io_context. Owner: main; it must live until the io_context has run out of work after stop().
#pragma once

#include "common/backend/fault.hpp"
#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/metrics.hpp"
#include "common/task_group.hpp"
#include "orders/control.hpp"
#include "orders/external_service/effects.hpp"
#include "orders/external_service/ledger.hpp"
#include "orders/external_service/settings.hpp"

#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json_fwd.hpp>

#include <array>
#include <cstdint>
#include <list>
#include <random>
#include <string_view>

namespace hotspare::orders::external {

namespace asio = boost::asio;

class Service {
public:
    /// Reads the ledger back. Throws UsageError when that fails or a port cannot be bound.
    Service(asio::io_context& context, Settings settings);

    std::uint16_t port() const noexcept { return server_.endpoint().port(); }
    std::uint16_t control_port() const noexcept { return control_.endpoint().port(); }

    /// Ends gracefully: no new connections, calls in flight are answered at once. After that the service has no work
    /// left in the io_context.
    void stop();

private:
    /// How a call of /validate ended, for the metrics.
    enum class Outcome : std::uint8_t { validated, rejected, replayed, conflict, invalid, failed, unavailable };
    static constexpr std::array<std::string_view, 7> outcome_names{"validated", "rejected", "replayed",   "conflict",
                                                                   "invalid",   "failed",   "unavailable"};

    http::Router make_routes(Listener listener);
    asio::awaitable<http::Response> handle(http::Request& request);
    asio::awaitable<http::Response> handle_control(http::Request& request);
    asio::awaitable<void> wait(Duration duration);
    asio::awaitable<void> drain();

    // Handlers, in the order of docs/api.md.
    http::Response validate(const http::Request& request);
    http::Response set_failure_mode(const http::Request& request);
    http::Response get_failure_mode(const http::Request& request);
    http::Response health(const http::Request& request);
    http::Response control_health(const http::Request& request);
    http::Response expose_metrics(const http::Request& request);

    http::Response decide(const http::Request& request, Outcome& outcome);
    http::Response fail(const http::Request& request) const;
    nlohmann::ordered_json health_document(std::string_view status) const;
    nlohmann::ordered_json mode_document() const;
    http::Response cut();
    void apply_mode();

    asio::io_context& context_;
    Settings settings_;
    TimePoint started_ = Clock::now();
    std::mt19937_64 random_{std::random_device{}()};

    backend::FaultState fault_;
    asio::steady_timer mode_end_;
    std::list<asio::steady_timer> waiting_; ///< one per answer that is being held back
    bool stopping_ = false;

    EffectTable effects_;
    Ledger ledger_;
    std::array<metrics::Counter, outcome_names.size()> outcomes_;
    metrics::Counter effects_made_;
    metrics::Counter cuts_;

    Control access_;
    http::Router routes_;
    http::Router control_routes_;
    http::Server server_;
    http::Server control_;
    TaskGroup tasks_;
};

} // namespace hotspare::orders::external
