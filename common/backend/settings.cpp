#include "common/backend/settings.hpp"

namespace hotspare::backend {

void fields(config::Fields& field, Settings& s)
{
    const auto not_empty = config::Rule<std::string>{[](const std::string& text) { return !text.empty(); }, "a name"};
    field("name", s.name, "name of the service in its responses", not_empty);
    field("host", s.host, "address to listen on");
    field("port", s.port, "port to listen on; 0 = any free port");
    field("control_port", s.control_port,
          "port of the control listener, which no fault affects; 0 = any free port, logged at start");
    field("version", s.version, "version in the response to GET /", not_empty);
    field("data", s.data, "SQLite file of the documents below /data/; primary and spare share it",
          {[](const std::string& text) { return !text.empty(); }, "a file name"});
    field("ledger", s.ledger, "file that gets one line per executed request, for experiments");
    field("fail_mode", s.fail_mode, "failure mode of POST /fail without a mode");
    field("drain", s.drain, "time for requests in flight to end after SIGTERM",
          {Duration::zero(), std::chrono::minutes(10)});
}

} // namespace hotspare::backend
