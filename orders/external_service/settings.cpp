#include "orders/external_service/settings.hpp"

namespace hotspare::orders::external {

void fields(config::Fields& field, Settings& s)
{
    field("host", s.host, "address to listen on");
    field("port", s.port, "port to listen on; 0 = any free port");
    field("control", s.control, "control listener, which no failure mode affects");
    field("stock", s.stock, "orders with a larger quantity are rejected");
    field("latency", s.latency, "duration of a validation", {Duration::zero(), std::chrono::minutes(1)});
    field(
        "ledger", s.ledger,
        "file that records each validation with its idempotency key, read at start; empty = keys are lost on restart");
    field("keys", s.keys, "maximum number of idempotency keys kept, about 100 bytes each; the oldest are dropped first",
          {1, 100'000'000});
    field("drain", s.drain, "maximum time for calls in flight to complete after SIGTERM",
          {Duration::zero(), std::chrono::minutes(10)});
}

} // namespace hotspare::orders::external
