#include "orders/external_service/settings.hpp"

namespace hotspare::orders::external {

void fields(config::Fields& field, Settings& s)
{
    field("host", s.host, "address to listen on");
    field("port", s.port, "port to listen on; 0 = any free one");
    field("control_port", s.control_port,
          "port of the control listener, which no failure mode touches; 0 = any free one, printed at start");
    field("stock", s.stock, "an order of more than this quantity is rejected");
    field("latency", s.latency, "how long a validation takes", {Duration::zero(), std::chrono::minutes(1)});
    field("ledger", s.ledger, "file with a line for each effect, read back at start; empty = keys are forgotten then");
    field("keys", s.keys, "idempotency keys that are remembered, about 100 bytes each; the oldest is forgotten first",
          {1, 100'000'000});
    field("drain", s.drain, "how long calls in flight may take after SIGTERM",
          {Duration::zero(), std::chrono::minutes(10)});
}

} // namespace hotspare::orders::external
