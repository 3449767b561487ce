#include "common/backend/settings.hpp"

namespace hotspare::backend {

void fields(config::Fields& field, Settings& s)
{
    const auto not_empty = config::Rule<std::string>{[](const std::string& text) { return !text.empty(); }, "a name"};
    field("name", s.name, "how the service calls itself in its answers", not_empty);
    field("host", s.host, "address to listen on");
    field("port", s.port, "port to listen on; 0 = any free one");
    field("control_port", s.control_port,
          "port of the control listener, which no fault touches; 0 = any free one, printed at start");
    field("version", s.version, "what GET / says the version is", not_empty);
    field("data", s.data, "SQLite file behind /data/{key}; primary and spare share one",
          {[](const std::string& text) { return !text.empty(); }, "a file name"});
    field("ledger", s.ledger, "file to append a line to for each request executed; for experiments that count them");
    field("fail_mode", s.fail_mode, "what POST /fail does when it names no mode");
    field("drain", s.drain, "how long requests in flight may take after SIGTERM",
          {Duration::zero(), std::chrono::minutes(10)});
}

} // namespace hotspare::backend
