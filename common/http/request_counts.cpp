#include "common/http/request_counts.hpp"

namespace hotspare::http {

void RequestCounts::add(const Exchange& exchange)
{
    auto& count = counts_[{std::string(exchange.route), exchange.method, exchange.status}];
    count.requests.add();
    count.latency.observe(exchange.duration);
}

void RequestCounts::expose(metrics::Exposition& out, std::string_view prefix) const
{
    const auto requests = std::string(prefix) + "_requests_total";
    const auto duration = std::string(prefix) + "_request_duration_seconds";
    for (const auto& [key, count] : counts_) {
        const auto& [route, method, status] = key;
        const auto path = route.empty() ? std::string_view("other") : std::string_view(route);
        const auto code = status == 0 ? std::string("none") : std::to_string(status);
        const std::string_view name(beast::http::to_string(method));
        out.counter(requests, "Requests by path, method and status; none = no whole answer",
                    {{"path", path}, {"method", name}, {"code", code}}, count.requests);
        out.histogram(duration, "Request read to response written", {{"path", path}, {"method", name}, {"code", code}},
                      count.latency);
    }
}

} // namespace hotspare::http
