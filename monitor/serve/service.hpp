// The HTTP interface of the monitor (docs/monitor.md): the public documents, what the API lists, and operators'
// commands behind the authenticator. It answers from the board, from rendered documents and from the history, and gives
// every change to the recorder. Windows and the dashboard have their routes in window_routes.hpp and
// dashboard_routes.hpp; who may use a route is decided here for all of them.
//
// Everything may be read without credentials but the audit log and the dashboard, unless `public_pages` is off. Changes
// need credentials, and must not come from a page of another origin, whose reader's browser would attach them.
//
// Thread: the io_context's. Owner: main; it must live until the io_context has run out of work after stop().
#pragma once

#include "common/clock.hpp"
#include "common/http/event_feed.hpp"
#include "common/http/guard.hpp"
#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/resilience/health.hpp"
#include "common/task_group.hpp"
#include "monitor/access/authenticator.hpp"
#include "monitor/serve/dashboard_routes.hpp"
#include "monitor/serve/documents.hpp"
#include "monitor/serve/pools.hpp"
#include "monitor/serve/recorder.hpp"
#include "monitor/serve/settings.hpp"
#include "monitor/serve/window_routes.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::monitor {

class Service {
public:
    Service(asio::io_context& context, const MonitorSettings& settings, Recorder& recorder, const Pools& pools);

    Service(const Service&) = delete;
    Service& operator=(const Service&) = delete;

    /// Throws UsageError if the port cannot be bound.
    void listen();
    std::uint16_t port() const noexcept { return server_.endpoint().port(); }

    /// Something happened and is stored: it is logged, given to the readers of /events, and shown from now on.
    void tell(const BoardEvent& event);

    /// Ends the streams and the server gracefully. After that the service has no work left in the io_context.
    void stop();

private:
    /// A member of this, or of what has routes of its own.
    template <class Owner> using Answer = asio::awaitable<http::Response> (Owner::*)(const http::Request&);
    template <class Owner>
    using AnswerToUser = asio::awaitable<http::Response> (Owner::*)(const http::Request&, Recorder::Who);
    using Respond = std::function<asio::awaitable<http::Response>(const http::Request&)>; ///< live as long as routes_
    using RespondToUser = std::function<asio::awaitable<http::Response>(const http::Request&, Recorder::Who)>;

    template <class Owner> void add_public(http::verb method, std::string pattern, Owner& owner, Answer<Owner> answer);
    template <class Owner>
    void add_private(http::verb method, std::string pattern, Owner& owner, AnswerToUser<Owner> answer);
    void add_document(http::verb method, std::string pattern, std::string content_type, Documents::Renderer render);
    void make_routes();
    asio::awaitable<std::optional<http::Response>> turn_away(const http::Request& request);
    asio::awaitable<http::Response> enter_to_read(const http::Request& request, const Respond& respond);
    asio::awaitable<http::Response> enter_to_show(const http::Request& request, std::string key,
                                                  std::string_view content_type, Documents::Renderer render);
    asio::awaitable<http::Response> enter_and(const http::Request& request, const RespondToUser& respond);
    asio::awaitable<http::Response> show(const http::Request& request, std::string key, std::string_view content_type,
                                         Documents::Renderer render);

    asio::awaitable<http::Response> root(const http::Request& request);
    asio::awaitable<http::Response> health(const http::Request& request);
    asio::awaitable<http::Response> badge(const http::Request& request);
    asio::awaitable<http::Response> uptime(const http::Request& request);
    asio::awaitable<http::Response> incidents(const http::Request& request);
    asio::awaitable<http::Response> targets(const http::Request& request);
    asio::awaitable<http::Response> health_status(const http::Request& request);
    asio::awaitable<http::Response> history(const http::Request& request);
    asio::awaitable<http::Response> events(const http::Request& request);
    asio::awaitable<http::Response> metrics(const http::Request& request);
    asio::awaitable<http::Response> push(const http::Request& request);

    asio::awaitable<http::Response> post_update(const http::Request& request, Recorder::Who who);
    asio::awaitable<http::Response> audit(const http::Request& request, Recorder::Who who);
    asio::awaitable<http::Response> verify_audit(const http::Request& request, Recorder::Who who);

    asio::awaitable<void> end();
    std::string name_of(TargetId id) const;
    resilience::Health overall() const;

    const MonitorSettings& settings_;
    Recorder& recorder_;
    const Pools& pools_;
    TimePoint started_ = Clock::now();
    http::GuardSettings guard_;
    Authenticator authenticator_;
    Documents documents_;
    http::EventFeed feed_;
    WindowRoutes windows_;
    std::optional<DashboardRoutes> dashboard_; ///< if there is one
    std::string status_policy_;                ///< Content-Security-Policy of the status page
    TaskGroup audits_;                         ///< lines about failed logins
    http::Router routes_;
    http::Server server_;
    TaskGroup ending_; ///< the one task that ends them
};

} // namespace hotspare::monitor
