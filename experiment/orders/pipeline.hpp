// What an orders experiment asks a running order pipeline, over HTTP: its health, its orders, and the failure mode of
// its validator. Each question is one method; when to ask, and what follows from the answer, is run.hpp's business.
//
// Thread: its owner's; blocks it, for two seconds a request at most. Owner: OrdersRun.
#pragma once

#include "experiment/load/fetch.hpp"
#include "experiment/orders/history.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::experiment {

class Pipeline {
public:
    /// `gateway` is where clients go, `validator` the control listener of the external service; both are addresses.
    Pipeline(const config::HostPort& gateway, const config::HostPort& validator);

    /// Why the mode could not be set; empty: it is.
    std::string set_mode(FailureMode mode);

    /// What the monitor says is not healthy, or why it says nothing; empty: everything is healthy.
    std::string trouble();
    /// Each service with what the monitor calls it; empty if it could not be asked.
    std::vector<std::pair<std::string, std::string>> health();

    /// A page of the orders; `query` is appended to it. Throws StartupError if there is no answer after several tries,
    /// or none that makes sense.
    OrdersPage page(const std::string& query);
    /// Nothing: there is no such order. Throws as page() does.
    std::optional<OrderRecord> order(const std::string& order_id);

private:
    http::Response read(const std::string& path);

    Conversation gateway_;
    Conversation validator_;
};

} // namespace hotspare::experiment
