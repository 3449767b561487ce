// The dashboard of a balancer's versions and its actions, which make the active version fail on purpose. Each action is
// in the audit log before anything is broken. Who may do it, the service has decided.
//
// Thread: the io_context's. Owner: the service, whose coroutines must have ended before this is destroyed.
#pragma once

#include "common/http/message.hpp"
#include "monitor/pages/dashboard.hpp"
#include "monitor/serve/chaos.hpp"
#include "monitor/serve/recorder.hpp"
#include "monitor/serve/settings.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <map>
#include <string>

namespace hotspare::monitor {

class DashboardRoutes {
public:
    /// `balancer` is the target that `settings.dashboard` names.
    DashboardRoutes(asio::io_context& context, const MonitorSettings& settings, const TargetSettings& balancer,
                    Recorder& recorder);

    asio::awaitable<http::Response> show(const http::Request& request, Recorder::Who who);
    asio::awaitable<http::Response> act(const http::Request& request, Recorder::Who who);

private:
    const MonitorSettings& settings_;
    Recorder& recorder_;
    Chaos chaos_;
    std::string policy_;                          ///< Content-Security-Policy
    std::map<std::string, ActionResult> results_; ///< by user: what is to be told of the latest action
};

} // namespace hotspare::monitor
