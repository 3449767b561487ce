// What a server answered: requests and their durations by path, method and status, for /metrics.
//
// Thread: the server's. Owner: the service whose server calls add().
#pragma once

#include "common/http/server.hpp"
#include "common/metrics.hpp"

#include <map>
#include <string>
#include <string_view>
#include <tuple>

namespace hotspare::http {

class RequestCounts {
public:
    /// Of ServerOptions::on_exchange.
    void add(const Exchange& exchange);

    /// Adds <prefix>_requests_total and <prefix>_request_duration_seconds.
    void expose(metrics::Exposition& out, std::string_view prefix) const;

private:
    struct Count {
        metrics::Counter requests;
        metrics::Histogram latency;
    };

    std::map<std::tuple<std::string, verb, unsigned>, Count> counts_; ///< route, method, status
};

} // namespace hotspare::http
