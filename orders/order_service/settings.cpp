#include "orders/order_service/settings.hpp"

#include "common/storage/postgres.hpp"
#include "common/storage/redis.hpp"

namespace hotspare::orders {

void fields(config::Fields& field, OrderServiceSettings& s)
{
    const auto not_empty = [](const std::string& text) { return !text.empty(); };
    field("name", s.name, "name of the service in its responses", {not_empty, "a name"});
    field("host", s.host, "address to listen on");
    field("port", s.port, "port to listen on; 0 = any free port");
    field("control", s.control, "control listener for operators and workers");
    field("store", s.store,
          "PostgreSQL database of the orders, for one or more order services: postgres://USER@HOST:PORT/DATABASE; "
          "empty = the SQLite file `data`",
          {[](const std::string& text) { return text.empty() || storage::postgres::is_url(text); },
           "postgres://USER@HOST:PORT/DATABASE, or nothing", config::Secret::url});
    field("queue", s.queue,
          "Redis server through which due orders are announced to all order services: redis://HOST:PORT; append "
          "?prefix=NAME if several pipelines share it; empty = the store is polled",
          {[](const std::string& text) { return text.empty() || storage::redis::is_url(text); },
           "redis://[[USER]:PASSWORD@]HOST[:PORT][/DATABASE][?prefix=NAME], or nothing", config::Secret::url});
    field("data", s.data, "SQLite file of the orders; only one order_service may use it", {not_empty, "a file name"});
    field("synchronous", s.synchronous,
          "full: responses wait until the order is on disk; normal: the latest orders may be lost in a power failure");
    field("lease", s.lease,
          "time for which a worker holds an order without extending the lease; then another worker gets it",
          {milliseconds(100), std::chrono::hours(1)});
    field("answer_within", s.answer_within, "maximum time to store an order; exceeding it is answered with 503",
          {milliseconds(10), seconds(60)});
    field("drain", s.drain, "maximum time for requests in flight to complete after SIGTERM",
          {Duration::zero(), std::chrono::minutes(10)});
}

void finish(OrderServiceSettings& s, const config::Places& places)
{
    if (!s.queue.empty() && s.store.empty())
        places.fail("queue", "is for several order services, which need a `store` that they share (postgres://…)");
}

} // namespace hotspare::orders
