#include "supervisor/supervisor.hpp"

#include "common/json_document.hpp"
#include "common/log.hpp"
#include "common/process/identity.hpp"
#include "common/process/output_file.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

namespace hotspare::supervisor {
namespace {

using Json = nlohmann::json;

constexpr Duration log_interval = seconds(1);
/// Longer than a daemon may take to end, or a balancer to replace its process.
constexpr Duration restart_patience = seconds(60);
constexpr std::size_t lines_of_trouble = 5;

std::int64_t to_count(Duration duration)
{
    return std::chrono::duration_cast<milliseconds>(duration).count();
}

Json to_json(const Memory& memory)
{
    Json out = {{"wanted", memory.wanted}, {"restarts", memory.restarts}};
    if (const auto& exit = memory.last_exit)
        out["last_exit"] = {
            {"cause", exit->cause}, {"ran_ms", to_count(exit->ran)}, {"at_ms", to_count(exit->at.time_since_epoch())}};
    return out;
}

/// Of what is not as we write it, nothing is known.
Memory memory_from(const Json& json)
{
    Memory out;
    try {
        out.wanted = json.at("wanted").get<bool>();
        out.restarts = json.at("restarts").get<unsigned>();
        if (json.contains("last_exit")) {
            const Json& exit = json.at("last_exit");
            out.last_exit =
                LastExit{exit.at("cause").get<std::string>(), milliseconds(exit.at("ran_ms").get<std::int64_t>()),
                         WallTime(milliseconds(exit.at("at_ms").get<std::int64_t>()))};
        }
    } catch (const Json::exception& error) {
        log::warn("state.json: {}", error.what());
        return {};
    }
    return out;
}

} // namespace

Supervisor::Supervisor(asio::io_context& context, const Settings& settings)
    : context_(context), settings_(settings), tasks_(context), changes_(context)
{
    take_folder();
    notify_socket_.emplace(file("notify.sock"));
    for (const process::Daemon& daemon : settings.system.daemons) {
        Keeper::Hooks hooks;
        hooks.waits_for = [this, &daemon] { return waits_for(daemon); };
        hooks.changed = [this] { changed(); };
        hooks.hear = [this] { hear(); };
        keepers_.push_back(std::make_unique<Keeper>(context, settings, daemon, tasks_, std::move(hooks)));
    }
    recall();
    for (const auto& keeper : keepers_) keeper->run();
    tasks_.spawn("size of the logs", bound_logs());
    tasks_.spawn("notifications", hear_notifications());
}

Supervisor::~Supervisor() = default;

void Supervisor::take_folder()
{
    std::error_code failed;
    std::filesystem::create_directories(settings_.directory, failed);
    lock_ = Fd(::open(file("supervisor.lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
    if (!lock_) throw StartupError(fmt::format("{}: {}", file("supervisor.lock").string(), std::strerror(errno)));
    if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0)
        throw StartupError(fmt::format("another supervisor runs in {}", settings_.directory));
    const auto self = process::identity_of(::getpid());
    if (self)
        if (const auto written = process::write_record(file("supervisor.pid"), *self); !written)
            throw StartupError(fmt::format("{}: {}", file("supervisor.pid").string(), written.error().message()));
}

void Supervisor::recall()
{
    bool any = false;
    for (const auto& keeper : keepers_) any = keeper->adopt() || any;
    if (any) {
        std::ifstream in(file("state.json"));
        const auto known = read_json_document(std::string(std::istreambuf_iterator<char>(in), {}));
        for (const auto& keeper : keepers_) {
            const auto& name = keeper->daemon().name;
            keeper->remember(known.is_object() && known.contains(name) ? memory_from(known[name]) : Memory{});
        }
    }
    recalled_ = true;
    changed();
}

/// Something may be ready, or have ended: others may start, and requests may be answered.
void Supervisor::changed()
{
    if (!recalled_) return;
    Json state;
    for (const auto& keeper : keepers_) state[keeper->daemon().name] = to_json(keeper->memory());
    if (auto text = json_text(state, 2) + "\n"; text != written_) {
        if (const auto done = process::replace_file(file("state.json"), text); !done)
            log::error("{}: {}", file("state.json").string(), done.error().message());
        written_ = std::move(text);
    }
    for (const auto& keeper : keepers_) keeper->wake();
    changes_.wake_all();
}

std::vector<std::string> Supervisor::waits_for(const process::Daemon& daemon) const
{
    std::vector<std::string> out;
    // One that does not start, for whatever reason, holds up no other.
    const auto starting = [](State state) { return state == State::starting || state == State::waiting; };
    for (const auto& keeper : keepers_)
        if (starting(keeper->state()) && std::ranges::count(daemon.after, keeper->daemon().name) > 0)
            out.push_back(keeper->daemon().name);
    return out;
}

/// A process that needs this daemon has not ended.
bool Supervisor::is_needed(const process::Daemon& daemon) const
{
    return std::ranges::any_of(keepers_, [&](const auto& keeper) {
        return keeper->has_process() && std::ranges::count(keeper->daemon().after, daemon.name) > 0;
    });
}

Keeper* Supervisor::find(const std::string& name)
{
    const auto found =
        std::ranges::find_if(keepers_, [&](const auto& keeper) { return keeper->daemon().name == name; });
    return found == keepers_.end() ? nullptr : found->get();
}

std::string Supervisor::trouble() const
{
    std::string out;
    for (const auto& keeper : keepers_)
        if (!keeper->trouble().empty())
            out += fmt::format("{} {}; the end of its log:\n{}\n", keeper->daemon().name, keeper->trouble(),
                               process::last_lines(keeper->output(), lines_of_trouble));
    return out;
}

asio::awaitable<std::string> Supervisor::start_all()
{
    if (!stopping_)
        for (const auto& keeper : keepers_)
            if (keeper->state() != State::running) keeper->start();
    for (;;) {
        if (stopping_) co_return "it was stopped while it started\n";
        if (auto told = trouble(); !told.empty()) co_return told;
        if (std::ranges::all_of(keepers_, [](const auto& keeper) { return keeper->is_ready(); })) co_return "";
        if (std::ranges::any_of(keepers_, [](const auto& keeper) { return keeper->state() == State::stopped; }))
            co_return "a daemon was stopped while it started\n";
        co_await changes_.wait(TimePoint::max());
    }
}

asio::awaitable<void> Supervisor::stop_all()
{
    stopping_ = true;
    for (;;) {
        bool any = false;
        for (const auto& keeper : keepers_) {
            any = any || keeper->has_process();
            const bool told = keeper->state() == State::stopped || keeper->state() == State::stopping;
            if (!told && !(keeper->has_process() && is_needed(keeper->daemon()))) keeper->stop();
        }
        if (!any) break;
        co_await changes_.wait(TimePoint::max());
    }
}

asio::awaitable<bool> Supervisor::stop(std::string name)
{
    Keeper* const keeper = find(name);
    if (keeper == nullptr) co_return false;
    keeper->stop();
    while (keeper->has_process()) co_await changes_.wait(TimePoint::max());
    co_return true;
}

asio::awaitable<std::optional<std::string>> Supervisor::restart(std::string name)
{
    Keeper* const keeper = find(name);
    if (keeper == nullptr) co_return std::nullopt;
    if (stopping_) co_return "the system is being stopped";
    const unsigned before = keeper->generation();
    const TimePoint late = Clock::now() + restart_patience;
    for (keeper->restart();;) {
        if (!keeper->upgrade_trouble().empty()) co_return fmt::format("{} {}", name, keeper->upgrade_trouble());
        if (!keeper->trouble().empty())
            co_return fmt::format("{} {}; the end of its log:\n{}", name, keeper->trouble(),
                                  process::last_lines(keeper->output(), lines_of_trouble));
        if (keeper->generation() != before && keeper->is_ready()) co_return "";
        if (stopping_ || keeper->state() == State::stopped) co_return fmt::format("{} was stopped meanwhile", name);
        if (Clock::now() >= late)
            co_return fmt::format("{} has no other process after {}", name, config::format_duration(restart_patience));
        co_await changes_.wait(late);
    }
}

asio::awaitable<void> Supervisor::hear_notifications()
{
    asio::posix::stream_descriptor readable(context_, ::fcntl(notify_socket_->descriptor(), F_DUPFD_CLOEXEC, 0));
    for (;;) {
        co_await readable.async_wait(asio::posix::stream_descriptor::wait_read, asio::use_awaitable);
        hear();
    }
}

void Supervisor::hear()
{
    while (const auto notification = notify_socket_->receive())
        for (const auto& keeper : keepers_) keeper->notified(*notification);
}

bool Supervisor::is_idle() const
{
    return std::ranges::none_of(keepers_,
                                [](const auto& keeper) { return keeper->has_process() || keeper->memory().wanted; });
}

std::vector<DaemonStatus> Supervisor::status() const
{
    std::vector<DaemonStatus> out;
    for (const auto& keeper : keepers_) out.push_back(keeper->status());
    return out;
}

asio::awaitable<void> Supervisor::end()
{
    tasks_.cancel();
    changes_.wake_all();
    co_await tasks_.join();
    // supervisor.pid stays: it says that we run until we do not, and names no other process after that.
}

asio::awaitable<void> Supervisor::bound_logs()
{
    asio::steady_timer pause(context_);
    const auto own = file("supervisor.log");
    for (;;) {
        pause.expires_after(log_interval);
        co_await pause.async_wait(asio::use_awaitable);
        for (const auto& keeper : keepers_) {
            const auto done = process::rotate_output(keeper->output(), settings_.log_limit);
            if (!done && done.error() != boost::system::errc::no_such_file_or_directory)
                log::error("{}: {}", keeper->output().string(), done.error().message());
        }
        static_cast<void>(process::rotate_output(own, settings_.log_limit));
    }
}

std::filesystem::path Supervisor::file(const char* name) const
{
    return std::filesystem::path(settings_.directory) / name;
}

} // namespace hotspare::supervisor
