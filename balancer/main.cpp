// The balancer: a failover proxy that loses no request. This file is its architecture: every part is made here and
// wired to its neighbours here.
//
//   clients --> workers (N threads: accept, proxy, retry, hedge, park) --> backends
//                 |  ^
//        evidence |  | routing
//                 v  |
//               monitor (1 thread: heartbeats, failover)
//                 |  ^
// snapshots, events |  | operators' words
//                 v  |
//               admin (1 thread: /status, /events, /metrics, /admin, ...) <-- connections, from the workers

#include "balancer/access_log.hpp"
#include "balancer/config_file.hpp"
#include "balancer/control/admin.hpp"
#include "balancer/control/changes.hpp"
#include "balancer/control/handed_over.hpp"
#include "balancer/control/monitor.hpp"
#include "balancer/control/upgrade.hpp"
#include "balancer/decide/connection_limits.hpp"
#include "balancer/decide/descriptor_shares.hpp"
#include "balancer/decide/topology.hpp"
#include "balancer/serve/worker.hpp"
#include "balancer/startup.hpp"
#include "common/app.hpp"
#include "common/error.hpp"
#include "common/log.hpp"
#include "common/socket.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <memory>
#include <optional>
#include <random>
#include <thread>
#include <vector>

namespace {

using namespace hotspare;
using namespace hotspare::balancer;

/// Larger pieces of memory are mapped one by one, so that they go back to the system when they are freed. In the heap
/// they would stay, between the small objects that live longer: most buffers of bodies are of this size.
constexpr int mapped_size = 16 * 1024;

/// How long the first request may wait for the first round of probes: on a healthy network an answer takes a
/// millisecond, and without it the first requests would go to whichever backend happened to answer its probe first.
constexpr auto first_round = milliseconds(50);

/// The configuration as it is now, or what is wrong with it.
boost::system::result<Config, std::vector<std::string>> read_again(App& app)
{
    if (app.config_file().empty())
        return std::vector<std::string>{"the balancer was started without a configuration file (--config FILE): flags "
                                        "and the environment are read at start only"};
    try {
        ConfigFile file;
        config::Loader loader(file);
        app.load_again(loader);
        for (const auto& warning : loader.warnings()) log::warn("{}", warning);
        return to_config(file);
    } catch (const UsageError& e) {
        return e.messages;
    }
}

/// What the process before us hands over; nothing at a start that replaces none.
std::optional<HandedOver> take_over(App& app)
{
    if (!app.predecessor()) return std::nullopt;
    auto handed_over = read_handed_over(app.predecessor().document());
    if (!handed_over) log::warn("the process before this one handed nothing over: its knowledge of backends is lost");
    return handed_over;
}

/// The configuration, and what operators' requests had changed of it in the process before us.
Wanted wanted_of(const Config& config, const std::optional<HandedOver>& handed_over)
{
    Wanted wanted(config);
    if (!handed_over) return wanted;
    Wanted restored(config);
    const auto over = restored.restore(handed_over->requests);
    if (!over.pools.empty())
        log::warn("the members of the pools {} have changed in the configuration and replace those set by request",
                  fmt::join(over.pools, ", "));
    if (over.routes)
        log::warn(
            "the dynamic routes of the configuration have changed, or do not agree with those set by request, and "
            "replace these");
    if (const auto combined = restored.combined(); !combined) {
        log::error("the members that were set by request are not restored: {}", combined.error());
        return wanted;
    }
    return restored;
}

void serve(App& app, const Config& config)
{
    ::mallopt(M_MMAP_THRESHOLD, mapped_size);
    const unsigned workers_wanted =
        config.workers > 0 ? config.workers : std::max(1U, std::thread::hardware_concurrency());
    const auto handed_over = take_over(app);
    Wanted wanted = wanted_of(config, handed_over);
    Expansion expansion;
    const auto backends = resolve_backends(*wanted.combined(), expansion);
    Listeners listeners = open_listeners(config, workers_wanted);
    if (handed_over && listeners.inherited) listeners.inherited = handed_over->sockets_held;
    if (handed_over && config.listen_port != 0 && config.listen_port != listeners.port)
        log::warn(
            "{}: port {} instead of {} takes effect when the balancer is stopped and started: an upgrade keeps its "
            "listening sockets",
            config.listen_source.empty() ? "listen" : config.listen_source, config.listen_port, listeners.port);
    const auto count = static_cast<unsigned>(listeners.sockets.size());
    const auto topology = first_topology(backends.config, handed_over ? handed_over->state.generation + 1 : 1);
    std::optional<AccessLog> access_log;
    if (!config.access_log.empty()) {
        access_log.emplace(config.access_log, config.limits.access_log_backlog);
        app.on_reopen([&] { access_log->reopen(); });
    }

    Monitor monitor(topology, backends.addresses, count, std::random_device{}(), config.resolvers);
    if (handed_over) monitor.restore(handed_over->state);
    Changes changes(monitor, std::move(wanted), std::move(expansion));
    // The file is read on the main thread, which has nothing else to do; what follows from it is the monitor's.
    const Admin::Reload reload = [&](std::function<void(ChangeReport)> done) {
        asio::post(app.io(), [&, done = std::move(done)] {
            auto read = read_again(app);
            asio::post(monitor.context(), [&changes, read = std::move(read), done]() mutable {
                ChangeReport report = changes.reload(std::move(read));
                if (done) done(std::move(report));
            });
        });
    };
    app.on_reload([&reload] { reload({}); });
    const DescriptorShares shares = share_out(descriptor_limit());

    auto open = asio::make_work_guard(app.io()); // until the last worker has drained
    unsigned draining = count;
    ConnectionLimits limits(count);
    std::vector<std::unique_ptr<Worker>> workers;
    std::vector<const WorkerCounters*> counters;
    std::optional<Admin> admin;
    for (unsigned i = 0; i < count; ++i) {
        Worker::Hooks hooks;
        hooks.report = [&](std::vector<Evidence> evidence) { monitor.report(std::move(evidence)); };
        hooks.hand_over = [&](Handover handover) { admin->adopt(std::move(handover)); };
        hooks.tell_traffic = [&](std::vector<std::string> lines) { admin->tell(std::move(lines)); };
        hooks.release = [&monitor, i](std::uint64_t generation, const SlotSet& slots) {
            monitor.release(i, generation, slots);
        };
        hooks.drained = [&] {
            asio::post(app.io(), [&] {
                if (--draining == 0) open.reset();
            });
        };
        // The main thread has nothing else to do: a worker that allocates meanwhile waits for one arena at most.
        hooks.trim = [&] { asio::post(app.io(), [] { ::malloc_trim(0); }); };
        workers.push_back(
            std::make_unique<Worker>(DataPlane::Settings{.workers = count,
                                                         .worker = i,
                                                         .seed = i + 1,
                                                         .relay_memory = config.limits.relay_memory,
                                                         .log_traffic = config.log_traffic,
                                                         .proxy_protocol = config.proxy_protocol},
                                     topology, limits, access_log ? &*access_log : nullptr,
                                     Worker::Listener{.socket = std::move(listeners.sockets[i]),
                                                      .inherited = listeners.inherited,
                                                      .room = std::max<std::size_t>(1, shares.clients / count)},
                                     std::move(hooks)));
        for (std::size_t b = 0; b < backends.addresses.size(); ++b)
            workers.back()->readdress(static_cast<BackendIndex>(b), backends.addresses[b]);
        counters.push_back(&workers.back()->counters());
        monitor.subscribe([worker = workers.back().get()](std::shared_ptr<const Routing> routing) {
            worker->publish(std::move(routing));
        });
        monitor.subscribe_addresses([worker = workers.back().get()](BackendIndex backend, const Addresses& found) {
            worker->readdress(backend, found);
        });
    }

    Upgrade::Steps steps;
    steps.command = [&] {
        process::Command command{
            .program = app.program(), .arguments = app.arguments(), .group = process::Command::Group::ours};
        for (const auto& worker : workers) command.sockets.push_back({"listen", worker->listening_socket()});
        for (auto& socket : admin->listening_sockets()) command.sockets.push_back(std::move(socket));
        return command;
    };
    steps.save = [&](std::function<void(std::string)> done) {
        asio::post(monitor.context(), [&, done = std::move(done)] {
            done(to_document({monitor.failover().saved(), changes.requests(), listeners.inherited}));
        });
    };
    steps.retire = [&](std::function<void()> done) {
        admin->leave_listening();
        admin->end_streams(); // their readers come back, to the new process
        const auto accepting = std::make_shared<std::atomic<std::size_t>>(workers.size());
        for (auto& worker : workers)
            worker->drain(config.timeouts.upgrade_drain, Worker::Rest::successor, [accepting, done] {
                if (--*accepting == 0) done();
            });
    };
    Upgrade upgrade(app.io(), std::move(steps));
    app.on_upgrade([&] { upgrade.begin({}); });

    admin.emplace(
        config, monitor, changes, reload,
        [&](std::function<void(UpgradeReport)> done) {
            asio::post(app.io(), [&, done = std::move(done)]() mutable { upgrade.begin(std::move(done)); });
        },
        counters, limits, shares);
    admin->listen();

    std::promise<void> probed;
    monitor.subscribe([&probed, done = false](const std::shared_ptr<const Routing>& routing) mutable {
        const auto unknown = [](const BackendRoute& backend) { return backend.status == Status::unknown; };
        if (done || std::any_of(routing->backends.begin(), routing->backends.end(), unknown)) return;
        done = true;
        probed.set_value();
    });
    monitor.start();
    admin->start();
    probed.get_future().wait_for(first_round);
    for (auto& worker : workers) worker->start();
    app.on_stop([&] {
        upgrade.cancel();
        admin->end_streams(); // they would last as long as their readers want
        for (auto& worker : workers) worker->drain(config.timeouts.drain);
    });
    if (!config.default_pages.empty())
        log::info("built-in pages take the paths {}; `pages: false` passes these to the backends{}",
                  fmt::join(config.default_pages, " "),
                  config.admin ? "" : "; /admin answers 403 without `admin: true`");
    if (const auto address = admin->operators_address(); !address.empty())
        log::info("operators' requests are accepted at {}", address);
    app.ready(config.listen_host, listeners.port, {{"workers", count}});
    app.run();

    for (auto& worker : workers) worker->join();
    admin->stop();
    monitor.stop();
    monitor.join();
}

} // namespace

int main(int argc, char** argv)
{
    const AppInfo info{"balancer", "HTTP load balancer with failover"};
    return run_app(argc, argv, info, ConfigFile{},
                   [](App& app, const ConfigFile& file) { serve(app, to_config(file)); });
}
