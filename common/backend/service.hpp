// The service that primary and spare both run (docs/api.md): data, shared documents, health, metrics, and every fault
// that it can be told to have, for real. Which fault does what to a request is decided in fault.hpp; here it is
// done.
//
// Two listeners serve the same paths. On the control listener no fault is applied to a request, so that everything
// stays reachable while the ordinary port hangs or is closed.
//
// Thread: that of the io_context. Owner: main; it must live until the io_context has run out of work after stop().
#pragma once

#include "common/backend/cpu_burner.hpp"
#include "common/backend/documents.hpp"
#include "common/backend/fault.hpp"
#include "common/backend/ledger.hpp"
#include "common/backend/settings.hpp"
#include "common/http/request_counts.hpp"
#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/metrics.hpp"
#include "common/task_group.hpp"
#include "common/wait_list.hpp"

#include <boost/asio/steady_timer.hpp>
#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <functional>
#include <list>
#include <optional>
#include <random>
#include <string>

namespace hotspare::backend {

namespace asio = boost::asio;

class Service {
public:
    /// `crash` is called by the mode of that name once its answer is written; it is not expected to return.
    /// Throws UsageError when a port cannot be bound, StartupError when the document store cannot be opened.
    Service(asio::io_context& context, Settings settings, std::function<void()> crash);

    std::uint16_t port() const noexcept { return server_.endpoint().port(); }
    std::uint16_t control_port() const noexcept { return control_.endpoint().port(); }

    /// Ends gracefully: no new connections, requests in flight are answered, a fault is over. After that the service
    /// has no work left in the io_context.
    void stop();

private:
    http::Router make_routes();
    asio::awaitable<http::Response> handle(http::Request& request);
    asio::awaitable<http::Response> handle_control(http::Request& request);
    asio::awaitable<http::Response> execute(http::Request& request);
    asio::awaitable<void> drain();

    // Handlers, in the order of docs/api.md.
    http::Response data(const http::Request& request);
    http::Response health(const http::Request& request);
    http::Response ready(const http::Request& request);
    http::Response root(const http::Request& request);
    http::Response echo(const http::Request& request);
    http::Response fail(const http::Request& request);
    http::Response recover(const http::Request& request);
    static std::optional<http::Response> wrong_body(const http::Request& request);
    http::Response simulate_cpu(const http::Request& request);
    http::Response simulate_corruption(const http::Request& request);
    http::Response expose_metrics(const http::Request& request);

    // Faults.
    void inject(const Fault& fault);
    void apply_fault();
    http::Response fault_answer(const http::Request& request, unsigned status, std::string detail,
                                http::Problem::Members members);
    http::Response crash_after(http::Response response);
    asio::awaitable<void> send_and_crash(asio::ip::tcp::socket& socket, std::string answer);
    asio::awaitable<void> hang(asio::ip::tcp::socket& socket);
    asio::awaitable<void> send_part(asio::ip::tcp::socket& socket, std::string part, bool reset);
    http::Response cut(http::Response response, const http::Request& request, bool reset);
    http::Json fault_json() const;

    nlohmann::ordered_json self() const;
    http::Response answer(unsigned status, nlohmann::ordered_json body) const;
    unsigned cpu_load() const { return burner_.load(); }

    asio::io_context& context_;
    Settings settings_;
    std::function<void()> crash_;
    TimePoint started_ = Clock::now();
    std::mt19937_64 random_{std::random_device{}()};

    FaultState fault_;
    asio::steady_timer fault_end_;
    std::list<asio::ip::tcp::socket*> hung_; ///< connections of hang(), each on its coroutine's frame
    WaitList delayed_;                       ///< requests whose answer a fault delays
    CpuBurner burner_;
    metrics::Counter faults_injected_;

    http::RequestCounts counts_;
    Documents documents_;
    Ledger ledger_;
    http::Router router_;
    http::Server server_;
    http::Server control_;
    TaskGroup tasks_;
    bool stopping_ = false;
};

} // namespace hotspare::backend
