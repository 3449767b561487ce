#include "common/backend/main.hpp"

#include "common/app.hpp"
#include "common/backend/service.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <utility>

namespace hotspare::backend {
namespace {

/// The fault `crash`: no destructor runs, nothing is flushed, as when a process is killed by its own bug.
void crash()
{
    std::_Exit(EXIT_FAILURE);
}

} // namespace

int main(int argc, const char* const* argv, Settings defaults)
{
    const AppInfo info{defaults.role, "HTTP server with a document store and failure modes that can be switched on"};
    return run_app(argc, argv, info, std::move(defaults), [](App& app, const Settings& settings) {
        Service service(app.io(), settings, crash);
        app.on_stop([&service] { service.stop(); });
        app.ready(settings.host, service.port(),
                  {{"control_url", fmt::format("http://{}:{}", settings.host, service.control_port())},
                   {"control_port", service.control_port()}});
        app.run();
    });
}

} // namespace hotspare::backend
