#include "orders/order_service/settings.hpp"

namespace hotspare::orders {

void fields(config::Fields& field, OrderServiceSettings& s)
{
    const auto not_empty = [](const std::string& text) { return !text.empty(); };
    field("name", s.name, "how the service calls itself in its answers", {not_empty, "a name"});
    field("host", s.host, "address to listen on");
    field("port", s.port, "port to listen on; 0 = any free one");
    field("data", s.data, "SQLite file of the orders; one order_service uses it at a time", {not_empty, "a file name"});
    field("synchronous", s.synchronous,
          "what an answer waits for: full = the disk; normal = nothing, a loss of power may lose the latest orders");
    field("lease", s.lease, "how long a worker may keep a job without a word",
          {milliseconds(100), std::chrono::hours(1)});
    field("answer_within", s.answer_within, "an order that is not on the disk by then is answered with 503",
          {milliseconds(10), seconds(60)});
    field("drain", s.drain, "how long requests in flight may take after SIGTERM",
          {Duration::zero(), std::chrono::minutes(10)});
}

} // namespace hotspare::orders
