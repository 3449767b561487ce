// The supervisor: runs the daemons of one system and survives none of them, nor they it. This file is its architecture.
//
//   run.sh --> Api (HTTP over a Unix socket) --> Supervisor (order, memory, logs) --> Keeper, one for each daemon
//
// SIGTERM ends the daemons and then the supervisor; SIGKILL harms no daemon, and the next supervisor adopts them.
#include "common/app.hpp"
#include "common/log.hpp"
#include "supervisor/api.hpp"
#include "supervisor/settings.hpp"
#include "supervisor/supervisor.hpp"

#include <filesystem>

namespace {

using namespace hotspare;

asio::awaitable<void> end(supervisor::Supervisor& system, supervisor::Api& api)
{
    co_await system.stop_all();
    co_await api.end();
    co_await system.end();
}

} // namespace

int main(int argc, char** argv)
{
    AppInfo info{"supervisor", "runs the daemons of a system (config/*.system.yaml, given by --config)"};
    info.keeps_rights = true; // an engine that root starts becomes another user
    return run_app(argc, argv, info, supervisor::Settings{}, [](App& app, const supervisor::Settings& settings) {
        supervisor::Supervisor system(app.io(), settings);
        supervisor::Api api(app.io(), system, std::filesystem::path(settings.directory) / "supervisor.sock",
                            [&app] { app.stop(); });
        TaskGroup ending(app.io());
        app.on_stop([&] { ending.spawn("end", end(system, api)); });
        log::info("answers requests on {}/supervisor.sock", settings.directory);
        app.run();
    });
}
