#include "supervisor/keeper.hpp"

#include "common/deadline.hpp"
#include "common/http/client.hpp"
#include "common/log.hpp"
#include "common/no_throw.hpp"
#include "common/process/listen_sockets.hpp"
#include "common/process/listening_ports.hpp"
#include "common/process/output_file.hpp"
#include "common/process/spawn.hpp"
#include "common/process/watch.hpp"
#include "common/time.hpp"

#include <boost/asio/steady_timer.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <limits>
#include <random>
#include <thread>
#include <utility>

namespace hotspare::supervisor {
namespace {

/// In the instance's folder, where the daemons start: the folder's path may be too long for the address of a socket.
constexpr const char* notify_socket = "notify.sock";

constexpr Duration look_again = milliseconds(25); ///< from one question whether a daemon is ready to the next
constexpr Duration answer_time = seconds(1);
constexpr int bad_usage = 2; ///< the exit code that every daemon of the suite gives it

resilience::RestartSettings restart_settings(const Settings& settings, const process::Daemon& daemon)
{
    auto out = settings.restart;
    out.always = daemon.restart == process::RestartWhen::always;
    out.first_pause = std::max(out.first_pause, daemon.restart_after);
    out.longest_pause = std::max(out.longest_pause, out.first_pause);
    return out;
}

/// For a coroutine that outlives the place where the process is kept.
process::Process copy_of(const process::Process& process)
{
    return {process.identity(), Fd(::fcntl(process.pidfd(), F_DUPFD_CLOEXEC, 0))};
}

resilience::Ending ending_of(const process::Exit& exit) noexcept
{
    if (exit.kind != process::Exit::Kind::exited) return resilience::Ending::failure;
    if (exit.value == 0) return resilience::Ending::success;
    return exit.value == bad_usage ? resilience::Ending::refused : resilience::Ending::failure;
}

} // namespace

Keeper::Keeper(asio::io_context& context, const Settings& settings, const process::Daemon& daemon, TaskGroup& tasks,
               Hooks hooks)
    : context_(context), settings_(settings), daemon_(daemon),
      launch_(process::fill_in(daemon, {settings.port_offset, settings.directory, settings.config})), tasks_(tasks),
      hooks_(std::move(hooks)), policy_(restart_settings(settings, daemon), std::random_device{}()), wake_(context),
      gone_(context)
{
}

// --- From outside ----------------------------------------------------------------------------------------------------

bool Keeper::adopt()
{
    adopt_replaced();
    const auto record = process::read_record(file(".pid"));
    if (!record) return false;
    auto process = process::Process::open(*record);
    if (!process) {
        if (process.error() != errc::not_found)
            log::error("{} cannot be adopted: {}", daemon_.name, process.error().message());
        return false;
    }
    process_ = std::move(*process);
    ++generation_;
    adopted_ = true;
    started_ = Clock::now() - process::age_of(process_.identity());
    policy_.started(Clock::now());
    take_over_sockets();
    log::info("{} runs already: adopted process {}", daemon_.name, process_.pid());
    return true;
}

/// Those that had been replaced and still have clients.
void Keeper::adopt_replaced()
{
    const std::string prefix = daemon_.name + ".", suffix = ".pid";
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(settings_.directory, error)) {
        const std::string name = entry.path().filename().string();
        if (!name.starts_with(prefix) || !name.ends_with(suffix) || name.size() <= prefix.size() + suffix.size() - 1)
            continue;
        const std::string number = name.substr(prefix.size(), name.size() - prefix.size() - suffix.size());
        if (number.empty() || number.find_first_not_of("0123456789") != std::string::npos) continue;
        const auto record = process::read_record(entry.path());
        auto process = record ? process::Process::open(*record) : result<process::Process>(errc::not_found);
        if (process)
            replaced_.push_back({.process = std::move(*process)});
        else
            std::filesystem::remove(entry.path(), error);
    }
}

void Keeper::remember(const Memory& memory)
{
    memory_ = memory;
    if (process_) memory_.wanted = true;
    due_ = memory_.wanted && !process_;
}

void Keeper::run()
{
    for (const Replaced& replaced : replaced_)
        tasks_.spawn(fmt::format("end of a replaced {}", daemon_.name), watch(copy_of(replaced.process), 0));
    tasks_.spawn(daemon_.name, keep());
}

void Keeper::start()
{
    memory_.wanted = true;
    trouble_.clear();
    if (!process_) {
        policy_.start();
        due_ = in_order_ = true;
        wake_.wake_all();
    }
    hooks_.changed();
}

void Keeper::stop()
{
    memory_.wanted = false;
    due_ = false;
    if (!process_) policy_.stop();
    close_sockets();
    const auto end = [this](const process::Process& process) {
        tasks_.spawn(fmt::format("end of {}", daemon_.name), end_process(copy_of(process)));
    };
    if (process_ && !std::exchange(asked_to_end_, true)) end(process_);
    for (Replaced& replaced : replaced_)
        if (!std::exchange(replaced.asked_to_end, true)) end(replaced.process);
    hooks_.changed();
}

void Keeper::restart()
{
    upgrade_trouble_.clear();
    if (process_ && !asked_to_end_ && ready_ && launch_.listen) {
        log::info("{} is told to replace its process {}", daemon_.name, process_.pid());
        process_.signal(SIGUSR2);
        return;
    }
    if (process_) stop();
    start();
}

void Keeper::notified(const process::Notification& notification)
{
    if (!process_ || notification.sender != process_.pid()) return;
    if (const auto pid = notification.value("MAINPID"))
        if (const auto number = config::parse_unsigned(*pid, std::numeric_limits<pid_t>::max()))
            replaced_by(static_cast<pid_t>(*number));
    if (auto why = notification.value("X_UPGRADE_FAILED")) {
        upgrade_trouble_ = fmt::format("could not be replaced, process {} goes on: {}", process_.pid(), *why);
        log::error("{} {}", daemon_.name, upgrade_trouble_);
        hooks_.changed();
    }
}

void Keeper::replaced_by(pid_t pid)
{
    const auto identity = process::identity_of(pid);
    auto process = identity ? process::Process::open(*identity) : result<process::Process>(errc::not_found);
    if (!process) { // the end of the old one, which takes no new clients, starts another
        log::error("{} says that process {} replaces it: {}", daemon_.name, pid, process.error().message());
        return;
    }
    const auto old_record = file(fmt::format(".{}.pid", process_.pid()).c_str());
    for (const auto& [path, whose] : {std::pair(old_record, process_.identity()), std::pair(file(".pid"), *identity)})
        if (const auto written = process::write_record(path, whose); !written)
            log::error("{}: {}", path.string(), written.error().message());
    replaced_.push_back({.process = std::move(process_)});
    process_ = std::move(*process);
    ++generation_;
    adopted_ = false;
    ready_ = true; // it said so to the process that it replaces
    started_ = Clock::now();
    policy_.started(started_);
    log::info("{} is process {} now, in place of process {}", daemon_.name, pid, replaced_.back().process.pid());
    watch_process();
    hooks_.changed();
}

void Keeper::forget_replaced(pid_t pid)
{
    std::error_code ignored;
    std::filesystem::remove(file(fmt::format(".{}.pid", pid).c_str()), ignored);
    const auto gone =
        std::ranges::find_if(replaced_, [&](const Replaced& replaced) { return replaced.process.pid() == pid; });
    if (gone == replaced_.end()) return;
    gone->process.reap();
    replaced_.erase(gone);
    hooks_.changed();
}

void Keeper::close_sockets()
{
    // No new connection gets into the queue while the daemon empties it.
    for (const Fd& socket : sockets_) ::listen(socket.get(), 0);
    sockets_.clear();
}

State Keeper::state() const noexcept
{
    if (process_) return asked_to_end_ ? State::stopping : ready_ ? State::running : State::starting;
    if (due_) return State::waiting;
    switch (policy_.phase()) {
    case resilience::RestartPolicy::Phase::waiting: return State::restarting;
    case resilience::RestartPolicy::Phase::given_up: return State::given_up;
    default: return memory_.wanted ? State::ended : State::stopped;
    }
}

DaemonStatus Keeper::status() const
{
    DaemonStatus out{.name = daemon_.name,
                     .state = state(),
                     .pid = process_ ? process_.pid() : 0,
                     .adopted = adopted_,
                     .ports = {},
                     .restarts = memory_.restarts,
                     .last_exit = memory_.last_exit,
                     .waits_for = {}};
    for (const Replaced& replaced : replaced_) out.replaced.push_back(replaced.process.pid());
    if (process_) out.ports = process::listening_ports(process_.pid());
    if (out.state == State::waiting && in_order_) out.waits_for = hooks_.waits_for();
    if (out.state == State::restarting) out.starts_in = std::max(Duration::zero(), policy_.restart_at() - Clock::now());
    return out;
}

// --- Its life --------------------------------------------------------------------------------------------------------

asio::awaitable<void> Keeper::keep()
{
    for (;;) {
        if (!process_) {
            co_await await_start();
            begin();
            if (!process_) continue;
        }
        tasks_.spawn(fmt::format("readiness of {}", daemon_.name), probe(generation_));
        watch_process();
        while (process_) co_await gone_.wait(TimePoint::max());
    }
}

void Keeper::watch_process()
{
    tasks_.spawn(fmt::format("end of {}", daemon_.name), watch(copy_of(process_), generation_));
}

asio::awaitable<void> Keeper::watch(process::Process process, unsigned generation)
{
    const auto end = co_await process::end_of(process);
    if (!end) {
        if (end.error() == errc::cancelled) co_return;
        throw std::runtime_error(fmt::format("cannot be watched: {}", end.error().message()));
    }
    hooks_.hear(); // its last word may have been that another process replaces it
    if (process_ && generation == generation_)
        has_ended(process_.reap().value_or(process::Exit{}));
    else
        forget_replaced(process.pid());
    gone_.wake_all();
}

/// Until it is to be started and may be.
asio::awaitable<void> Keeper::await_start()
{
    for (;;) {
        const bool pauses = policy_.phase() == resilience::RestartPolicy::Phase::waiting && !due_;
        if (pauses && Clock::now() >= policy_.restart_at()) {
            ++memory_.restarts;
            due_ = true;
            in_order_ = false; // a balancer serves with the backends that there are
        }
        if (due_ && (!in_order_ || hooks_.waits_for().empty())) co_return;
        co_await wake_.wait(pauses && !due_ ? policy_.restart_at() : TimePoint::max());
    }
}

void Keeper::begin()
{
    due_ = false;
    started_ = Clock::now();
    if (launch_.listen && sockets_.empty() && !open_sockets()) return;
    const auto path = program();
    if (!path) {
        // Without its program, another start would end in the same way.
        return not_startable(resilience::Ending::refused,
                             fmt::format("cannot be started: there is no program {}", daemon_.program));
    }
    const auto output = process::open_output(this->output());
    if (!output)
        return not_startable(resilience::Ending::failure,
                             fmt::format("cannot be started: its log: {}", output.error().message()));
    process::Command command{.program = *path,
                             .arguments = launch_.arguments,
                             .directory = settings_.directory,
                             .out = output->get(),
                             .err = output->get()};
    for (const Fd& socket : sockets_) command.sockets.push_back({"listen", socket.get()});
    if (launch_.listen) command.environment.emplace_back(process::notify_variable, notify_socket);
    auto process = process::spawn(
        command, [&](const process::Identity& identity) { return process::write_record(file(".pid"), identity); });
    if (!process)
        return not_startable(resilience::Ending::failure,
                             fmt::format("cannot be started: {}", process.error().message()));
    process_ = std::move(*process);
    ++generation_;
    adopted_ = ready_ = asked_to_end_ = false;
    policy_.started(started_);
    log::info("{} started as process {}", daemon_.name, process_.pid());
    hooks_.changed();
}

bool Keeper::open_sockets()
{
    const auto count = daemon_.sockets > 0 ? daemon_.sockets : std::max(1U, std::thread::hardware_concurrency());
    auto sockets = process::open_listeners(*launch_.listen, count);
    if (!sockets) {
        not_startable(resilience::Ending::refused,
                      fmt::format("cannot be started: cannot listen on {}: {}",
                                  config::format_host_port(*launch_.listen), sockets.error().message()));
        return false;
    }
    sockets_ = std::move(*sockets);
    return true;
}

/// Of an adopted process: it has those that were handed down to it, and with copies of them clients wait again.
void Keeper::take_over_sockets()
{
    if (!launch_.listen) return;
    sockets_ = process::copy_listeners(process_.pidfd(), *launch_.listen);
    if (sockets_.empty())
        log::warn("the listening sockets of {} cannot be copied from process {}: when it ends, connections to {} are "
                  "refused until it is started again",
                  daemon_.name, process_.pid(), config::format_host_port(*launch_.listen));
}

void Keeper::has_ended(const process::Exit& exit)
{
    const bool on_request = std::exchange(asked_to_end_, false);
    process_ = {};
    adopted_ = ready_ = false;
    std::error_code ignored;
    std::filesystem::remove(file(".pid"), ignored);
    auto cause = describe(exit);
    if (exit.kind == process::Exit::Kind::unknown) cause += " with unknown status (this supervisor has not started it)";
    if (!on_request) return conclude(ending_of(exit), cause, Clock::now() - started_);
    memory_.last_exit = LastExit{cause, Clock::now() - started_, std::chrono::system_clock::now()};
    policy_.stop();
    log::info("{} has stopped: {}", daemon_.name, describe(*memory_.last_exit));
    if (memory_.wanted) start(); // asked for again while it was ending
    hooks_.changed();
}

void Keeper::not_startable(resilience::Ending ending, const std::string& cause)
{
    conclude(ending, cause, {});
}

/// Not on request.
void Keeper::conclude(resilience::Ending ending, const std::string& cause, Duration ran)
{
    memory_.last_exit = LastExit{cause, ran, std::chrono::system_clock::now()};
    trouble_ = describe(*memory_.last_exit);
    const auto phase = policy_.ended(ending, Clock::now());
    if (phase != resilience::RestartPolicy::Phase::waiting) close_sockets();
    if (phase == resilience::RestartPolicy::Phase::given_up) {
        const auto what = fmt::format("given up: more than {} restarts in {}, at last {}", settings_.restart.limit,
                                      config::format_duration(settings_.restart.window), trouble_);
        log::critical("{} is {}", daemon_.name, what);
        tell("is " + what);
    } else {
        log::error("{} {}", daemon_.name, trouble_);
        tell(trouble_);
    }
    hooks_.changed();
}

/// SIGCONT too: a stopped process could not act on the signal.
asio::awaitable<void> Keeper::end_process(process::Process process)
{
    process.signal(number_of(daemon_.stop_signal));
    process.signal(SIGCONT);
    const TimePoint until = Clock::now() + daemon_.stop_within;
    while (!process.ended() && Clock::now() < until) co_await gone_.wait(until);
    if (process.ended()) co_return;
    log::warn("{} has not ended within {}: it is killed", daemon_.name, config::format_duration(daemon_.stop_within));
    process.signal(SIGKILL);
}

// --- Readiness -------------------------------------------------------------------------------------------------------

asio::awaitable<void> Keeper::probe(unsigned generation)
{
    asio::steady_timer pause(context_);
    const TimePoint late = Clock::now() + daemon_.ready_within;
    bool told = false;
    for (bool ready = !launch_.ready;;) {
        if (!ready) ready = co_await answers();
        if (!process_ || generation_ != generation) co_return;
        if (ready) break;
        if (!told && Clock::now() >= late) {
            told = true;
            trouble_ = fmt::format("port {}: no good answer within {}", launch_.ready->address.port,
                                   config::format_duration(daemon_.ready_within));
            log::error("{}: {}", daemon_.name, trouble_);
            hooks_.changed();
        }
        pause.expires_after(look_again);
        co_await pause.async_wait(no_throw);
    }
    ready_ = true;
    trouble_.clear();
    log::info("{} is ready{}", daemon_.name,
              adopted_ ? "" : fmt::format(", {} ms after its start", to_ms(Clock::now() - started_)));
    hooks_.changed();
}

asio::awaitable<bool> Keeper::answers() const
{
    error_code error;
    const asio::ip::tcp::endpoint endpoint(asio::ip::make_address(launch_.ready->address.host, error),
                                           launch_.ready->address.port);
    if (error) co_return false;
    if (!launch_.ready->path.empty()) {
        auto request = http::make_request(http::verb::get, launch_.ready->path);
        const http::FetchOptions options{.deadline = answer_time};
        const auto answer = co_await http::fetch(endpoint, std::move(request), options);
        co_return answer && answer->result_int() / 100 == 2;
    }
    asio::ip::tcp::socket socket(context_);
    Deadline deadline(socket);
    deadline.arm(answer_time);
    const auto [failed] = co_await socket.async_connect(endpoint, no_throw);
    co_return !failed;
}

// --- Files -----------------------------------------------------------------------------------------------------------

void Keeper::tell(const std::string& what) const
{
    process::append_line(output(), fmt::format("{} supervisor: {} {}", format_rfc3339(std::chrono::system_clock::now()),
                                               daemon_.name, what));
}

std::filesystem::path Keeper::file(const char* ending) const
{
    return std::filesystem::path(settings_.directory) / (daemon_.name + ending);
}

std::optional<std::filesystem::path> Keeper::program() const
{
    const auto is_program = [](const std::filesystem::path& path) {
        std::error_code error;
        return std::filesystem::is_regular_file(path, error) && ::access(path.c_str(), X_OK) == 0;
    };
    if (!settings_.engines.empty())
        if (const auto path = std::filesystem::path(settings_.engines) / daemon_.program; is_program(path)) return path;
    std::error_code error;
    for (const auto& folder : std::filesystem::directory_iterator(settings_.programs, error))
        if (const auto path = folder.path() / daemon_.program; is_program(path)) return path;
    return std::nullopt;
}

} // namespace hotspare::supervisor
