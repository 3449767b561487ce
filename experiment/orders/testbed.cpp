#include "experiment/orders/testbed.hpp"

#include "common/error.hpp"
#include "common/process/system.hpp"
#include "common/socket.hpp"
#include "experiment/load/fetch.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <random>
#include <set>
#include <system_error>
#include <thread>

namespace hotspare::experiment {
namespace {

namespace fs = std::filesystem;

constexpr Duration ready_time = seconds(20);
constexpr Duration look_again = milliseconds(20);
constexpr unsigned gateway_port = 8080;
constexpr unsigned validator_port = 5103; ///< the control port of external_service

bool is_free(unsigned port)
{
    try {
        return static_cast<bool>(listen_on({"127.0.0.1", static_cast<std::uint16_t>(port)}));
    } catch (const std::system_error&) {
        return false;
    }
}

/// By how much all ports are shifted. Below 32768, where the local ends of other people's connections begin: what is
/// free now stays free.
unsigned choose_offset(const std::set<unsigned>& ports)
{
    static std::mt19937 random{std::random_device{}()};
    for (int tries = 0; tries < 1'000; ++tries) {
        const unsigned offset = 10'000 + static_cast<unsigned>(random() % 14'000);
        if (std::ranges::all_of(ports, [&](unsigned port) { return is_free(port + offset); })) return offset;
    }
    throw StartupError("no free ports on 127.0.0.1");
}

fs::path program_in(const fs::path& programs, const std::string& name)
{
    std::error_code error;
    for (const auto& folder : fs::directory_iterator(programs, error))
        if (const auto file = folder.path() / name; fs::is_regular_file(file, error)) return file;
    throw UsageError(fmt::format("there is no program {} below {}: build it first", name, programs.string()));
}

} // namespace

OrdersTestbed::OrdersTestbed(const Options& options, const std::atomic<bool>& interrupted)
{
    const auto system = process::read_system((options.config / "orders.system.yaml").string());
    const unsigned offset = choose_offset(process::ports_of(system));
    gateway_ = {"127.0.0.1", static_cast<std::uint16_t>(gateway_port + offset)};
    validator_ = {"127.0.0.1", static_cast<std::uint16_t>(validator_port + offset)};

    const process::Instance instance{
        .port_offset = offset, .run = options.directory.string(), .config = options.config.string()};
    for (const auto& daemon : system.daemons) {
        auto launch = process::fill_in(daemon, instance);
        process::Command command{.program = program_in(options.programs, daemon.program),
                                 .arguments = std::move(launch.arguments)};
        Daemon running;
        running.name = daemon.name;
        if (launch.listen) {
            auto sockets = process::open_listeners(*launch.listen, 1);
            if (!sockets) throw StartupError(fmt::format("{}: {}", daemon.listen, sockets.error().message()));
            running.sockets = std::move(*sockets);
            command.sockets = {{"listen", running.sockets.front().get()}};
        }
        const auto ledger = std::ranges::find(command.arguments, "--ledger");
        if (ledger != command.arguments.end()) ledger_ = *(ledger + 1);
        running.child =
            std::make_unique<process::Child>(std::move(command), options.directory / (daemon.name + ".log"));
        daemons_.push_back(std::move(running));
    }

    const auto deadline = Clock::now() + ready_time;
    const auto answers = [&] {
        const auto answer = fetch(gateway_, http::verb::get, "/health_status", seconds(1));
        return answer && answer->result_int() == 200;
    };
    while (!answers()) {
        std::string trouble = interrupted ? "interrupted" : ended();
        if (trouble.empty() && Clock::now() > deadline)
            trouble = fmt::format("the gateway does not answer; its last words: {}",
                                  std::ranges::find(daemons_, "gateway", &Daemon::name)->child->last_words());
        if (!trouble.empty()) {
            end();
            throw StartupError(trouble);
        }
        std::this_thread::sleep_for(look_again);
    }
}

OrdersTestbed::~OrdersTestbed()
{
    end();
}

std::string OrdersTestbed::ended() const
{
    for (const auto& daemon : daemons_)
        if (!daemon.child->running())
            return fmt::format("{} ended; its last words: {}", daemon.name, daemon.child->last_words());
    return {};
}

void OrdersTestbed::end()
{
    // Clients end before their servers, so that none reports a server that has already ended. The signal goes to
    // all at once, so that none waits for another.
    for (auto daemon = daemons_.rbegin(); daemon != daemons_.rend(); ++daemon) daemon->child->signal(SIGTERM);
    for (auto daemon = daemons_.rbegin(); daemon != daemons_.rend(); ++daemon) daemon->child->end();
}

} // namespace hotspare::experiment
