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
    field("data", s.data, "SQLite file with the documents of /data/; primary and spare use the same file",
          {[](const std::string& text) { return !text.empty(); }, "a file name"});
    field("ledger", s.ledger,
          "file to which a line is appended for each executed request, for experiments; empty = none");
    field("fail_mode", s.fail_mode, "failure mode that POST /fail switches on if it names none");
    field("drain", s.drain, "maximum time for requests in flight to complete after SIGTERM",
          {Duration::zero(), std::chrono::minutes(10)});
}

} // namespace hotspare::backend
