#include "orders/order_service/settings.hpp"

#include "common/storage/postgres.hpp"
#include "common/storage/redis.hpp"

namespace hotspare::orders {

void fields(config::Fields& field, OrderServiceSettings& s)
{
    const auto not_empty = [](const std::string& text) { return !text.empty(); };
    field("name", s.name, "how the service calls itself in its answers", {not_empty, "a name"});
    field("host", s.host, "address to listen on");
    field("port", s.port, "port to listen on; 0 = any free one");
    field(
        "store", s.store,
        "database that keeps the orders, for several order services at once: postgres://USER@HOST:PORT/DATABASE; empty "
        "= the file `data`",
        {[](const std::string& text) { return text.empty() || storage::postgres::is_url(text); },
         "postgres://USER@HOST:PORT/DATABASE, or nothing"});
    field("queue", s.queue,
          "Redis that tells all order services what is due: redis://HOST:PORT; empty = the store is asked",
          {[](const std::string& text) { return text.empty() || storage::redis::is_url(text); },
           "redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], or nothing"});
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

void finish(OrderServiceSettings& s, const config::Places& places)
{
    if (!s.queue.empty() && s.store.empty())
        places.fail("queue", "is for several order services, which need a `store` that they share (postgres://…)");
}

} // namespace hotspare::orders
