#include "experiment/load_command.hpp"

#include "common/config.hpp"
#include "common/error.hpp"
#include "common/help.hpp"
#include "common/socket.hpp"
#include "experiment/judge/measure.hpp"
#include "experiment/load/load.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <sched.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <utility>

namespace hotspare::experiment {
namespace {

constexpr double self_check_rate = 5000;
constexpr double self_check_limit_us = 1000; ///< of the lag's p99

struct Options {
    std::string target;
    double rate = 0;
    double seconds = 5;
    double warmup = 0.5;
    double timeout = 10;
    bool hold = false;
    bool self_check = false;
    LoadRequest request;
    LoadPlan plan;
};

struct Tally {
    std::uint64_t requests = 0; ///< all of them, warm-up included: what CPU time is divided by
    std::uint64_t errors = 0;
    double seconds = 0; ///< until the last one was over
    // In microseconds, sorted, of the requests that were due after the warm-up.
    std::vector<double> latencies; ///< those answered with 2xx
    std::vector<double> lags;      ///< those that did not have to wait for a connection
};

Duration to_duration(double s)
{
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(s));
}

double to_us(Nanos duration)
{
    return std::chrono::duration<double, std::micro>(duration).count();
}

config::HostPort parse_target(const std::string& text)
{
    auto target = config::parse_host_port(text);
    if (!target) throw UsageError("--target: " + target.error().message);
    return *target;
}

/// False if --help was asked for and has been answered.
bool parse(const std::vector<std::string>& arguments, Options& options)
{
    CLI::App app("Sends load to an HTTP server and prints the measurements as one line of JSON.", "experiment load");
    app.formatter(narrow_help());
    auto* target = app.add_option("--target", options.target, "IP:PORT of the server");
    app.add_option("--path", options.request.path, "path to request");
    auto* post = app.add_option("--post", options.request.filler, "POST a body of this many bytes instead of GET");
    app.add_option("--connections", options.plan.connections, "number of keep-alive connections")
        ->check(CLI::PositiveNumber);
    auto* rate =
        app.add_option(
               "--rate", options.rate,
               "requests per second, open loop; 0 = closed loop: each connection sends again after its response")
            ->check(CLI::NonNegativeNumber);
    app.add_option("--seconds", options.seconds, "duration in seconds, including the warm-up")
        ->check(CLI::PositiveNumber);
    app.add_option("--warmup", options.warmup, "warm-up in seconds, not included in the quantiles");
    app.add_option("--timeout", options.timeout, "timeout of a request in seconds");
    app.add_flag("--hold", options.hold,
                 "send one request on each connection, then keep all open until standard input is closed")
        ->needs(rate);
    app.add_flag(
           "--self-check", options.self_check,
           fmt::format("instead of --target: check that this machine can send {} requests/s on time", self_check_rate))
        ->excludes(target);
    try {
        app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend())); // CLI11 wants them in reverse
    } catch (const CLI::CallForHelp&) {
        fmt::print("{}", app.help());
        return false;
    } catch (const CLI::ParseError& error) {
        throw UsageError(error.what());
    }
    if (options.self_check) {
        if (options.rate == 0) options.rate = self_check_rate;
    } else {
        if (!*target) throw UsageError("--target is required");
        options.plan.target = parse_target(options.target);
    }
    if (*post) options.request.method = "POST";
    if (options.hold) { // opened at the pace of the requests: a burst would overflow the listener's queue
        if (options.rate == 0) throw UsageError("--hold needs a --rate above 0");
        options.plan.most_connections = std::exchange(options.plan.connections, 0);
        options.plan.prefer_new = true;
        options.seconds = options.plan.most_connections / options.rate;
    }
    Stream stream;
    stream.rate = options.rate;
    if (options.rate > 0)
        options.plan.schedule = arrivals({stream}, to_duration(options.seconds), 0);
    else
        options.plan.duration = to_duration(options.seconds);
    options.plan.timeout = to_duration(options.timeout);
    options.plan.requests = {options.request};
    return true;
}

double us(const std::vector<double>& sorted, double share)
{
    return quantile(sorted, share).value_or(0);
}

void print(const Tally& tally)
{
    fmt::print("{{\"requests\":{},\"errors\":{},\"seconds\":{:.6f},\"per_second\":{:.1f},\"p50_us\":{:.1f},"
               "\"p90_us\":{:.1f},\"p99_us\":{:.1f},\"p999_us\":{:.1f},\"max_us\":{:.1f},\"lag_p99_us\":{:.1f},"
               "\"lag_max_us\":{:.1f}}}\n",
               tally.requests, tally.errors, tally.seconds,
               static_cast<double>(tally.requests - tally.errors) / tally.seconds, us(tally.latencies, 0.5),
               us(tally.latencies, 0.9), us(tally.latencies, 0.99), us(tally.latencies, 0.999), us(tally.latencies, 1),
               us(tally.lags, 0.99), us(tally.lags, 1));
    std::fflush(stdout);
}

/// Counts what a load does.
class Counter {
public:
    explicit Counter(double warmup) : measure_from_(to_duration(warmup))
    {
        // Growing in mid-run would stall the load itself.
        tally_.latencies.reserve(1U << 22U);
        tally_.lags.reserve(1U << 22U);
    }

    void add(const Finished& finished)
    {
        const Sample& sample = finished.sample;
        ++tally_.requests;
        last_ = std::max(last_, sample.done);
        if (sample.outcome != Outcome::good) ++tally_.errors;
        if (sample.due < measure_from_) return;
        if (sample.outcome == Outcome::good) tally_.latencies.push_back(to_us(sample.latency()));
        if (!sample.waited) tally_.lags.push_back(to_us(sample.sent - sample.due));
    }

    Tally take()
    {
        tally_.seconds = std::chrono::duration<double>(last_).count();
        std::sort(tally_.latencies.begin(), tally_.latencies.end());
        std::sort(tally_.lags.begin(), tally_.lags.end());
        return std::move(tally_);
    }

private:
    Nanos measure_from_;
    Nanos last_{};
    Tally tally_;
};

// --- The self-check --------------------------------------------------------------------------------------------------

/// Answers everything that looks like the end of a request's head; on one thread of its own, as cheaply as can be.
class MinimalServer {
public:
    explicit MinimalServer(int core) : listener_(listen_on({"127.0.0.1", 0})), epoll_(make_epoll())
    {
        watch(epoll_, EPOLL_CTL_ADD, listener_.get(), EPOLLIN, listening);
        watch(epoll_, EPOLL_CTL_ADD, stop_.fd(), EPOLLIN, stopping);
        thread_ = std::thread([this, core] { serve(core); });
    }
    ~MinimalServer()
    {
        stop_.raise();
        thread_.join();
    }
    MinimalServer(const MinimalServer&) = delete;
    MinimalServer& operator=(const MinimalServer&) = delete;

    config::HostPort address() const { return {"127.0.0.1", local_port(listener_)}; }

private:
    static constexpr std::uint64_t listening = ~std::uint64_t{0};
    static constexpr std::uint64_t stopping = listening - 1;

    void serve(int core);

    Fd listener_;
    Fd epoll_;
    WakeUp stop_;
    std::unordered_map<int, Fd> clients_;
    std::thread thread_;
};

/// Keeps the calling thread on one core for as long as it lives; -1 leaves it where the kernel wants it.
class Pinned {
public:
    explicit Pinned(int core)
    {
        CPU_ZERO(&before_);
        if (core < 0 || ::sched_getaffinity(0, sizeof before_, &before_) != 0) return;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<std::size_t>(core), &one);
        pinned_ = ::sched_setaffinity(0, sizeof one, &one) == 0;
    }
    ~Pinned()
    {
        if (pinned_) ::sched_setaffinity(0, sizeof before_, &before_);
    }
    Pinned(const Pinned&) = delete;
    Pinned& operator=(const Pinned&) = delete;

private:
    cpu_set_t before_{};
    bool pinned_ = false;
};

void MinimalServer::serve(int core)
{
    const Pinned pinned(core);
    constexpr std::string_view answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    std::array<char, 4096> request{};
    std::array<epoll_event, 64> events{};
    for (;;) {
        const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
        for (int i = 0; i < n; ++i) {
            const auto id = events[static_cast<std::size_t>(i)].data.u64;
            if (id == stopping) return;
            if (id == listening) {
                while (Fd client = accept_from(listener_)) {
                    const int key = client.get();
                    watch(epoll_, EPOLL_CTL_ADD, key, EPOLLIN, static_cast<std::uint64_t>(key));
                    clients_[key] = std::move(client);
                }
                continue;
            }
            const int key = static_cast<int>(id);
            const auto got = ::recv(key, request.data(), request.size(), 0);
            if (got <= 0 || ::send(key, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) clients_.erase(key);
        }
    }
}

/// The first two cores that we may use; -1 where there are no two.
std::pair<int, int> two_cores()
{
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<int> cores;
    if (::sched_getaffinity(0, sizeof set, &set) == 0)
        for (int core = 0; core < CPU_SETSIZE; ++core)
            if (CPU_ISSET(static_cast<std::size_t>(core), &set)) cores.push_back(core);
    if (cores.size() < 2) return {-1, -1};
    return {cores[0], cores[1]};
}

double cpu_seconds_of_this_thread()
{
    rusage usage{};
    ::getrusage(RUSAGE_THREAD, &usage);
    const auto seconds_in = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds_in(usage.ru_utime) + seconds_in(usage.ru_stime);
}

int self_check(Options options)
{
    const auto [server_core, load_core] = two_cores();
    const MinimalServer server(server_core);
    const Pinned pinned(load_core);
    options.plan.target = server.address();
    Counter counter(options.warmup);
    Load load(options.plan, [&](const Finished& finished) { counter.add(finished); });
    const auto begun = Clock::now();
    const double cpu_before = cpu_seconds_of_this_thread();
    load.run(begun + milliseconds(10));
    const double cpu = cpu_seconds_of_this_thread() - cpu_before;
    const double wall = std::chrono::duration<double>(Clock::now() - begun).count();
    const Tally tally = counter.take();
    const bool kept = tally.errors == 0 && !tally.lags.empty() && us(tally.lags, 0.99) < self_check_limit_us;
    fmt::print("{} requests at {:.0f}/s from one core, {} failed\n"
               "lag      p50 {:8.1f} us   p99 {:8.1f} us   max {:8.1f} us\n"
               "latency  p50 {:8.1f} us   p99 {:8.1f} us   max {:8.1f} us\n"
               "busy     {:.1f} % of its core\n"
               "{}: the lag's p99 must stay below {:.0f} us\n",
               tally.requests, options.rate, tally.errors, us(tally.lags, 0.5), us(tally.lags, 0.99), us(tally.lags, 1),
               us(tally.latencies, 0.5), us(tally.latencies, 0.99), us(tally.latencies, 1), 100 * cpu / wall,
               kept ? "PASS" : "FAIL", self_check_limit_us);
    std::fflush(stdout);
    return kept ? 0 : 1;
}

} // namespace

int load_command(const std::vector<std::string>& arguments)
{
    Options options;
    if (!parse(arguments, options)) return 0;
    if (options.self_check) return self_check(std::move(options));
    Counter counter(options.warmup);
    Load load(options.plan, [&](const Finished& finished) { counter.add(finished); });
    try {
        load.run(Clock::now());
    } catch (const std::invalid_argument& error) {
        throw UsageError(fmt::format("--target: {}", error.what()));
    }
    print(counter.take());
    while (options.hold && std::getchar() != EOF) {
    }
    return 0;
}

} // namespace hotspare::experiment
