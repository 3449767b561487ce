// The monitor: whether services are available, told so that it can be believed. Every part is made here and wired to
// its neighbours here.
//
//   targets <-- checker --> board --+--> history (SQLite), table of windows (PostgreSQL, if `store` says so)
//                             |     +--> channels (mail, webhooks), by the courier
//                             v
//   readers <-- service <-- documents        operators --> gate --> recorder
//   balancers <-- pools <-- windows of the board
//
// The recorder drives it: from the checker to the board, from the board to the history and the channels.
#include "common/app.hpp"
#include "common/http/guard.hpp"
#include "common/log.hpp"
#include "monitor/access/password.hpp"
#include "monitor/history/history.hpp"
#include "monitor/serve/pools.hpp"
#include "monitor/serve/recorder.hpp"
#include "monitor/serve/service.hpp"
#include "monitor/serve/settings.hpp"
#include "monitor/serve/window_table.hpp"

#include <boost/asio/post.hpp>

#include <fmt/format.h>

#include <cstdlib>
#include <exception>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace {

using namespace hotspare;
using namespace hotspare::monitor;

/// Runs what must be done before anything else, to its end.
void run_first(App& app, asio::awaitable<void> work)
{
    std::exception_ptr failure;
    TaskGroup first(app.io(), [&](const std::string&, std::exception_ptr error) { failure = std::move(error); });
    first.spawn("start", std::move(work));
    app.io().run();
    app.io().restart();
    if (failure) std::rethrow_exception(failure);
}

/// The files of the demonstration have a password that every reader knows. The settings refuse it on other addresses.
void warn_of_demo_password(const MonitorSettings& settings)
{
    if (!http::is_loopback(settings.host)) return;
    for (const UserSettings& user : settings.users)
        if (matches(user.password_hash, demo_password))
            log::warn("user '{}' has the password of the demonstration, which is public: every client that can connect "
                      "to {}:{} can log in",
                      user.name, settings.host, settings.port);
}

void serve(App& app, const MonitorSettings& given)
{
    MonitorSettings settings = given;
    warn_of_demo_password(settings);
    finish_from_environment(settings);
    if (settings.url.empty())
        settings.url =
            fmt::format("http://{}", config::format_host_port({.host = settings.host, .port = settings.port}));

    bool broken = false;
    const auto end = [&] {
        asio::post(app.io(), [&] {
            broken = true;
            app.stop();
        });
    };
    History history(settings.data, end);
    std::optional<WindowTable> table;
    if (!settings.store.empty()) table.emplace(app.io(), storage::postgres::resolve(settings.store, "--store"));
    std::optional<Service> service;
    std::optional<Pools> pools;
    const auto tell = [&](const BoardEvent& event) {
        service->tell(event);
        pools->look();
    };
    Recorder recorder(app.io(), settings, history, history.restore(), tell, end, table ? &*table : nullptr);
    run_first(app, recorder.load());
    pools.emplace(app.io(), settings, recorder);
    service.emplace(app.io(), settings, recorder, *pools);
    service->listen();
    recorder.start();
    pools->start();
    app.on_stop([&] {
        service->stop();
        pools->stop();
        recorder.stop();
    });
    app.ready(settings.host, service->port());
    app.run();
    if (broken)
        throw std::runtime_error("the history failed, and what it holds is unknown; restart the monitor, which reads "
                                 "back what was written");
}

int verify(const char* path)
{
    try {
        const AuditFinding finding = verify_audit(path);
        if (!finding.breach) {
            std::cout << fmt::format("{}: {} entries, none missing or changed\nhead {}\n", path, finding.head.number,
                                     finding.head.hash);
            return EXIT_SUCCESS;
        }
        std::cout << fmt::format("{}: {}\n", path, finding.breach->what);
        return EXIT_FAILURE;
    } catch (const UsageError& e) {
        std::cerr << "monitor: " << e.what() << '\n';
        return 2;
    } catch (const std::exception& e) {
        std::cerr << "monitor: " << e.what() << '\n';
        return EXIT_FAILURE;
    }
}

} // namespace

int main(int argc, char** argv)
{
    // Commands that start no daemon.
    if (argc == 2 && std::string_view(argv[1]) == "--hash-password")
        return hash_password_command(std::cin, std::cout, std::cerr);
    if (argc == 3 && std::string_view(argv[1]) == "--verify-audit") return verify(argv[2]);
    const AppInfo info{"monitor", "checks services, keeps their history, announces maintenance, tells people"};
    return run_app(argc, argv, info, MonitorSettings{}, serve);
}
