// The frame of every daemon: flags, environment, configuration file, logging, signals, exit code. A daemon's main() is
// its settings (see common/config.hpp for how they are declared), a body, and one call of run_app().
//
//     int main(int argc, char** argv)
//     {
//         return run_app(argc, argv, {"primary", "the server that answers first"}, backend::Settings{},
//                        [](App& app, const backend::Settings& settings) {
//                            backend::Service service(app.io(), settings);
//                            app.on_stop([&] { service.stop(); });
//                            app.ready(settings.host, service.port());
//                            app.run();
//                        });
//     }
//
// Each setting is taken from the first of: flag (--fail-mode), environment (HOTSPARE_FAIL_MODE; PORT for `port`), file
// (fail_mode), default. --help, --version, --config FILE, --check-config, --print-config, --user, --log-level and
// --log-format exist for every daemon. Exit codes: 0 done, 2 bad usage or configuration (a line for each error says
// what, where and what was expected), 1 any other failure, 128 + N when signal N came a second time.
//
// Signals: SIGTERM and SIGINT stop gracefully, SIGUSR1 opens log files again, SIGHUP reads the configuration again
// where the daemon can (on_reload()), SIGUSR2 starts the program anew in place of this process where the daemon can
// (on_upgrade()), else they are logged and ignored. What a daemon must not do: install handlers for these or SIGPIPE,
// or write to standard error by itself.
#pragma once

#include "common/config.hpp"
#include "common/process/predecessor.hpp"

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace hotspare {

namespace asio = boost::asio;

struct AppInfo {
    std::string name;    ///< of the daemon: appears in every log line and message
    std::string summary; ///< one line for --help
    /// Started by root, it remains root with every capability: what it starts may need them. Others give them up.
    bool keeps_rights = false;
};

/// What else a daemon says when it is ready, {"control_port", 5011}.
struct ReadyField {
    std::string name;
    std::variant<std::string, std::uint64_t> value;
};

/// What the body of a daemon works with. Belongs to run_app() and outlives the body.
/// Thread: the main thread, except stop().
class App {
public:
    explicit App(process::Predecessor& predecessor) : predecessor_(predecessor) {}
    App(const App&) = delete;
    App& operator=(const App&) = delete;

    /// The main thread's event loop. The frame itself leaves no work in it: it ends when the daemon's own work has
    /// ended.
    asio::io_context& io() noexcept { return io_; }

    /// `handler` runs once, on the main thread inside run(), when the daemon is asked to stop (SIGTERM, SIGINT or
    /// stop()); at once if it already was. It starts the graceful end: close the listeners, drain, so that run() runs
    /// out of work. Handlers run in the order of registration and must stay valid until run() has returned.
    void on_stop(std::function<void()> handler);

    /// `handler` runs on the main thread inside run() at each SIGUSR1: it opens the daemon's log files again, so that
    /// what rotates them (logrotate(8)) can rename them first. Without one the signal is ignored and logged.
    void on_reopen(std::function<void()> handler);

    /// `handler` runs on the main thread inside run() at each SIGHUP. Without one the signal is ignored and logged.
    void on_reload(std::function<void()> handler);

    /// `handler` runs on the main thread inside run() at each SIGUSR2. Without one the signal is ignored and logged.
    void on_upgrade(std::function<void()> handler);
    /// What this process was started with: the program's path as it was given, made absolute, so that a file or link
    /// that replaced it is found; and the arguments behind its name.
    const std::string& program() const noexcept { return program_; }
    const std::vector<std::string>& arguments() const noexcept { return arguments_; }
    /// The process that this one takes the place of, if there is one. ready() tells it.
    process::Predecessor& predecessor() noexcept { return predecessor_; }

    /// Fills `loader`, of settings with the daemon's defaults, once more: from the same command line, the environment,
    /// and the file as it is now. Throws UsageError as at the start. Main thread: it waits for the disk.
    void load_again(config::Loader& loader) const { load_again_(loader); }
    /// The file that was given at start; empty: none.
    const std::string& config_file() const noexcept { return config_file_; }

    /// Says that the daemon answers now: to its predecessor, to what supervises it (READY=1, sd_notify(3)), and in the
    /// log: "listening on http://<host>:<port>", as JSON with "event":"ready",
    /// "url" and "port", plus `fields`; text shows those in parentheses.
    void ready(std::string_view host, std::uint16_t port, const std::vector<ReadyField>& fields = {});

    /// Runs the event loop until it has no work left. Exceptions of handlers pass through: they end the daemon.
    void run();

    /// The same as SIGTERM. Any thread; later calls do nothing.
    void stop();

    /// The same as SIGUSR1. Any thread.
    void reopen();
    /// The same as SIGHUP. Any thread.
    void reload();
    /// The same as SIGUSR2. Any thread.
    void upgrade();

private:
    friend int run_app(int argc, const char* const* argv, const AppInfo& info, config::Loader& loader,
                       const std::function<void(App&)>& body);

    void handle_stop();

    process::Predecessor& predecessor_;
    asio::io_context io_{1};
    std::vector<std::function<void()>> handlers_;
    std::function<void()> upgrade_;
    std::string program_;
    std::vector<std::string> arguments_;
    std::function<void()> reopen_;
    std::function<void()> reload_;
    std::function<void(config::Loader&)> load_again_;
    std::string config_file_;
    bool stopping_ = false;
};

/// Runs a daemon whose settings `loader` fills, and returns its exit code. The body runs on the calling thread with the
/// settings loaded, the log set up, signals handled, SIGPIPE ignored and the descriptor limit raised; the daemon ends
/// when the body returns.
int run_app(int argc, const char* const* argv, const AppInfo& info, config::Loader& loader,
            const std::function<void(App&)>& body);

/// The same for a settings struct: `settings` holds the defaults of this daemon; the body gets what flags, environment
/// and file made of them, validated.
template <class Settings>
int run_app(int argc, const char* const* argv, const AppInfo& info, Settings settings,
            const std::type_identity_t<std::function<void(App&, const Settings&)>>& body)
{
    config::Loader loader(settings);
    return run_app(argc, argv, info, loader, [&](App& app) { body(app, settings); });
}

} // namespace hotspare
