#include "orders/control.hpp"

#include "common/http/caller.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hotspare::orders {
namespace {

constexpr std::size_t most_names = 64;

bool are_names(const std::vector<std::string>& list)
{
    const auto is_name = [](const std::string& text) {
        return !text.empty() && text.size() <= 255 &&
               std::ranges::all_of(text, [](char c) { return c > ' ' && c < 0x7f && !(c >= 'A' && c <= 'Z'); });
    };
    return list.size() <= most_names && std::ranges::all_of(list, is_name);
}

boost::asio::awaitable<http::Response> answered(http::Response response)
{
    co_return response;
}

} // namespace

void fields(config::Fields& field, ControlSettings& s)
{
    field("host", s.host, "address of the control listener, for requests of operators and workers");
    field("port", s.port, "port of the control listener; 0 = any free port, logged at start");
    field("local_callers", s.local_callers,
          "accept operators' and workers' requests on `port` as well, from loopback addresses and not through an HTTP "
          "proxy; set it to false if a TCP or TLS proxy on this machine forwards to `port`");
    field(
        "hosts", s.hosts,
        "further values of the Host field accepted in operators' and workers' requests, besides localhost and loopback "
        "addresses",
        {are_names, "a list of at most 64 host names in lower case, without ports"});
    field("origins", s.origins, "origins of web pages that may send operators' and workers' requests",
          {are_names, "a list of at most 64 origins such as https://console.example:8443"});
}

Control::Control(const ControlSettings& settings)
    : local_callers_(settings.local_callers), guard_{.hosts = settings.hosts,
                                                     .origins = settings.origins,
                                                     .hosts_setting = "control.hosts",
                                                     .origins_setting = "control.origins"},
      port_(settings.port)
{
}

std::optional<http::Problem> Control::refuse(const http::Caller& caller, Party party, Listener listener) const
{
    const bool by_clients = listener == Listener::clients;
    if (by_clients && !local_callers_)
        return http::Problem{403, fmt::format("{} requests are accepted on port {} only, the control port of this "
                                              "service",
                                              party == Party::operators ? "operators'" : "workers'", port_)};
    const auto access = party == Party::operators || by_clients ? http::Access::operate : http::Access::work;
    auto problem = http::refuse(caller, access, guard_);
    if (problem && access == http::Access::operate && caller.forwarded)
        problem->detail += fmt::format("; send it without a proxy to port {} of the machine of this service", port_);
    return problem;
}

http::Handler Control::guard(Party party, Listener listener, http::Handler handler) const
{
    return [this, party, listener, handler = std::move(handler)](const http::Request& request) {
        const auto problem = refuse(http::caller_of(request), party, listener);
        return problem ? answered(http::problem(*problem, request.id)) : handler(request);
    };
}

} // namespace hotspare::orders
