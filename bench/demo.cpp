// The failover story, told by its clients: steady open-loop traffic through the balancer, a SIGKILL for the backend
// that serves it, and then what the clients and the balancer's /events saw, on one timeline. Ends with the measured
// times, and with exit code 1 if a single request was lost.
//
//   demo --balancer 127.0.0.1:5000 --victim .run/failover/primary.pid      (what ./run.sh demo runs)
//
// The victim's file is named after it and holds its process id; whoever started it starts it again. Three threads: the
// load, the reader of the event stream, and main, which kills, watches and prints.
#include "bench/http_load.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <thread>

namespace {

using namespace hotspare::bench;
using namespace std::chrono_literals;
using Json = nlohmann::json;

constexpr auto before_fault = 2s;
constexpr auto after_failback = 2s;
constexpr auto patience = 30s; ///< for the whole story; the numbers of a slower one are printed all the same
constexpr std::size_t columns = 78;

struct Options {
    Endpoint balancer;
    std::string victim_file;
    double rate = 500;
};

struct Record {
    Clock::time_point due, done;
    bool good = false;  ///< a complete 2xx answer
    std::string server; ///< X-Served-By
};

/// Something that the balancer reported, stamped when it reached us.
struct Event {
    Clock::time_point at;
    Json data;

    std::string text(const char* name) const
    {
        const auto found = data.find(name);
        return found != data.end() && found->is_string() ? found->get<std::string>() : std::string();
    }
};

/// A list that one thread fills while another takes from it.
template <class T> class Inbox {
public:
    void put(T value)
    {
        const std::lock_guard lock(mutex_);
        values_.push_back(std::move(value));
    }
    std::vector<T> take()
    {
        const std::lock_guard lock(mutex_);
        return std::exchange(values_, {});
    }

private:
    std::mutex mutex_;
    std::vector<T> values_;
};

/// Reads /events until asked to stop or until the stream ends.
void read_events(const Endpoint& balancer, Inbox<Event>& inbox, const std::stop_token& stop)
{
    const Fd fd = start_connect(balancer);
    // HTTP/1.0: the stream is then not chunked, so its lines are the body's.
    const std::string request =
        "GET /events HTTP/1.0\r\nHost: " + balancer.host + "\r\nAccept: text/event-stream\r\n\r\n";
    bool sent = false;
    std::string text;
    while (!stop.stop_requested()) {
        pollfd ready{fd.get(), static_cast<short>(sent ? POLLIN : POLLOUT), 0};
        if (::poll(&ready, 1, 100) <= 0) continue;
        if (!sent) {
            if (::send(fd.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return;
            sent = true;
            continue;
        }
        std::array<char, 4096> buffer{};
        const auto n = ::recv(fd.get(), buffer.data(), buffer.size(), 0);
        if (n <= 0) return;
        const auto now = Clock::now();
        text.append(buffer.data(), static_cast<std::size_t>(n));
        for (auto end = text.find('\n'); end != std::string::npos; end = text.find('\n')) {
            const auto line = text.substr(0, end);
            text.erase(0, end + 1);
            if (!line.starts_with("data:")) continue;
            auto data = Json::parse(line.substr(5), nullptr, false);
            if (data.is_object()) inbox.put({now, std::move(data)});
        }
    }
}

int victim_pid(const std::string& file)
{
    std::ifstream in(file);
    int pid = 0;
    if (!(in >> pid) || pid <= 1) throw std::runtime_error("no process id in " + file);
    return pid;
}

double to_ms(Clock::duration duration)
{
    return std::chrono::duration<double, std::milli>(duration).count();
}

/// What is known so far, and how to say it in lines of at most 80 columns.
class Story {
public:
    Story(Clock::time_point start, std::string victim)
        : start_(start), live_(::isatty(STDOUT_FILENO) == 1), victim_(std::move(victim))
    {
    }

    void fault(int pid)
    {
        fault_ = Clock::now();
        line(*fault_, fmt::format("FAULT     SIGKILL for {} (pid {})", victim_, pid));
    }

    void add(const std::vector<Record>& records)
    {
        for (const auto& record : records) {
            answered_ += record.good ? 1 : 0;
            failed_ += record.good ? 0 : 1;
            if (!record.good) continue;
            if (fault_ && record.server != victim_ && !first_answer_elsewhere_) first_answer_elsewhere_ = record.done;
            if (!record.server.empty()) server_ = record.server;
        }
        records_.insert(records_.end(), records.begin(), records.end());
    }

    void add(const Event& event)
    {
        if (!fault_ || event.at < *fault_) return; // the stream begins with what happened before
        const auto kind = event.text("event");
        const auto to = event.text("to");
        if (kind == "transition" && event.text("backend") == victim_) {
            const bool bad = to == "down" || to == "unhealthy";
            if (bad && !detected_) detected_ = event.at;
            line(event.at, fmt::format("{:<10}{} is {}: {}",
                                       bad               ? "DETECTED"
                                       : to == "healthy" ? "RECOVERY"
                                                         : "",
                                       victim_, to, event.text("evidence")));
        } else if (kind == "failover" || kind == "failback") {
            if (to == victim_ && first_answer_elsewhere_ && !failed_back_) failed_back_ = event.at;
            line(event.at, fmt::format("{:<10}{} is active", kind == "failover" ? "FAILOVER" : "FAILBACK", to));
        } else {
            line(event.at, fmt::format("{:<10}{} {} {}", "", kind, event.text("backend"), to));
        }
    }

    /// The line at the bottom that changes while the story goes on; only on a terminal.
    void progress()
    {
        if (!live_) return;
        fmt::print("\r\x1b[K{:>8.1f} s  {} answered, {} failed, served by {}", seconds(Clock::now()), answered_,
                   failed_, server_);
        std::fflush(stdout);
    }

    void say(std::string_view text) { line(Clock::now(), text); }
    std::optional<Clock::time_point> failed_back() const { return failed_back_; }
    /// Whether the victim answered the latest request.
    bool victim_serves() const { return server_ == victim_; }

    /// Prints the whole; true if nobody lost anything.
    bool finish()
    {
        if (live_) fmt::print("\r\x1b[K");
        print_strip();
        print_phases();
        const auto since_fault = [&](const std::optional<Clock::time_point>& moment) {
            return moment && fault_ ? fmt::format("{:.1f} ms", to_ms(*moment - *fault_)) : std::string("not seen");
        };
        fmt::print("\n  detection  {:>10}   from the kill to the balancer's verdict\n", since_fault(detected_));
        fmt::print("  failover   {:>10}   from the kill to the first answer by another backend\n",
                   since_fault(first_answer_elsewhere_));
        fmt::print("  failback   {:>10}   from the kill to {} serving again\n", since_fault(failed_back_), victim_);
        fmt::print("  failed     {:>10}   of {} requests\n", failed_, records_.size());
        return failed_ == 0 && first_answer_elsewhere_ && failed_back_;
    }

private:
    double seconds(Clock::time_point moment) const { return to_ms(moment - start_) / 1000; }

    /// Longer texts go on below, under their own beginning.
    void line(Clock::time_point at, std::string_view text)
    {
        constexpr std::size_t text_column = 24;
        const bool bad = text.starts_with("FAULT") || text.starts_with("DETECTED");
        const char* colour = bad ? "\x1b[31m" : text.starts_with("LOAD") ? "" : "\x1b[32m";
        auto whole = live_ ? fmt::format("\r\x1b[K{:>8.3f} s  {}", seconds(at), colour)
                           : fmt::format("{:>8.3f} s  ", seconds(at));
        for (std::size_t room = columns - 12; text.size() > room; room = columns - text_column) {
            const auto space = std::min(text.rfind(' ', room), room);
            whole += fmt::format("{}\n{:{}}", text.substr(0, space), "", text_column);
            text.remove_prefix(std::min(space + 1, text.size()));
        }
        fmt::print("{}{}{}\n", whole, text, live_ ? "\x1b[0m" : "");
        std::fflush(stdout);
    }

    /// One column per slice of time: who answered the requests that were due in it, and how long the slowest took.
    void print_strip() const
    {
        constexpr std::size_t width = 70;
        const auto end = std::max_element(records_.begin(), records_.end(),
                                          [](const Record& a, const Record& b) { return a.due < b.due; });
        if (end == records_.end()) return;
        const auto slice = (end->due - start_) / width + 1ns;
        std::string who(width, ' ');
        std::array<double, width> worst{};
        for (const auto& record : records_) {
            const auto column = static_cast<std::size_t>(std::max<Clock::duration>(record.due - start_, 0ns) / slice);
            char& cell = who[std::min(column, width - 1)];
            worst[std::min(column, width - 1)] =
                std::max(worst[std::min(column, width - 1)], to_ms(record.done - record.due));
            if (!record.good)
                cell = 'X';
            else if (cell != 'X')
                cell = record.server == victim_ ? '=' : '#';
        }
        std::string height;
        for (const double ms : worst) height += ms < 2 ? '.' : ms < 10 ? ':' : ms < 50 ? 'o' : ms < 300 ? 'O' : '@';
        fmt::print("\n  {}\n  {}\n  = {}   # another backend   X failed      {:.0f} ms a column\n"
                   "  slowest answer: . under 2 ms   : under 10   o under 50   O under 300   @ more\n\n",
                   who, height, victim_, to_ms(slice));
    }

    void print_phases() const
    {
        fmt::print("  {:<28}{:>9}{:>8}{:>10}{:>10}{:>10}\n", "requests due", "requests", "failed", "p50 ms", "p99 ms",
                   "max ms");
        const auto fault = fault_.value_or(Clock::time_point::max());
        const auto back = failed_back_.value_or(Clock::time_point::max());
        print_phase("before the fault", start_, fault);
        print_phase("from the fault to failback", fault, back);
        print_phase("after failback", back, Clock::time_point::max());
    }

    void print_phase(std::string_view name, Clock::time_point from, Clock::time_point to) const
    {
        std::vector<Clock::duration> latencies;
        std::size_t failed = 0;
        for (const auto& record : records_) {
            if (record.due < from || record.due >= to) continue;
            if (record.good)
                latencies.push_back(record.done - record.due);
            else
                ++failed;
        }
        std::sort(latencies.begin(), latencies.end());
        fmt::print("  {:<28}{:>9}{:>8}{:>10.2f}{:>10.2f}{:>10.2f}\n", name, latencies.size() + failed, failed,
                   to_ms(quantile(latencies, 0.5)), to_ms(quantile(latencies, 0.99)), to_ms(quantile(latencies, 1)));
    }

    Clock::time_point start_;
    bool live_;
    std::string victim_;
    std::string server_;
    std::size_t answered_ = 0, failed_ = 0;
    std::vector<Record> records_;
    std::optional<Clock::time_point> fault_, detected_, first_answer_elsewhere_, failed_back_;
};

Options parse(int argc, char** argv)
{
    Options options;
    std::string balancer;
    CLI::App app("Kills a backend under load and shows what its clients notice.");
    app.add_option("--balancer", balancer, "HOST:PORT")->required();
    app.add_option("--victim", options.victim_file, "the file with the process id of the backend to kill")->required();
    app.add_option("--rate", options.rate, "requests per second")->check(CLI::PositiveNumber);
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        std::exit(app.exit(error) == 0 ? 0 : 2);
    }
    options.balancer = Endpoint::parse(balancer);
    return options;
}

LoadPlan plan_of(const Options& options)
{
    LoadPlan plan;
    plan.target = options.balancer;
    plan.path = "/data";
    plan.connections = 16;
    plan.most_connections = 2000; // a stall must not hold later requests back
    plan.rate = options.rate;
    plan.duration = patience;
    plan.timeout = 10s;
    return plan;
}

/// Whatever ends the story early must not wait for the load to run its full time.
struct StopsAtExit {
    HttpLoad& load;
    ~StopsAtExit() { load.stop(); }
};

bool play(const Options& options)
{
    Inbox<Record> records;
    Inbox<Event> events;
    HttpLoad load(plan_of(options), [&](const Sample& sample) {
        records.put({sample.due, sample.done, sample.outcome == Outcome::answered && sample.status / 100 == 2,
                     std::string(field(sample.header, "X-Served-By"))});
    });
    const std::jthread reader([&](const std::stop_token& stop) { read_events(options.balancer, events, stop); });

    fmt::print("Steady traffic: {} requests/s through {}:{}, and then one server dies.\n\n", options.rate,
               options.balancer.host, options.balancer.port);
    const auto start = Clock::now();
    Story story(start, std::filesystem::path(options.victim_file).stem());
    story.say("LOAD      starts");
    std::atomic<bool> loading{true};
    std::jthread loader([&] {
        load.run();
        loading = false;
    });
    const StopsAtExit stops_at_exit{load};
    bool killed = false;
    while (loading) {
        std::this_thread::sleep_for(20ms);
        story.add(records.take());
        for (const auto& event : events.take()) story.add(event);
        story.progress();
        const auto now = Clock::now();
        if (!killed && now - start >= before_fault && story.victim_serves()) {
            const int pid = victim_pid(options.victim_file);
            story.fault(pid);
            killed = ::kill(pid, SIGKILL) == 0;
            if (!killed) throw std::runtime_error(fmt::format("cannot kill process {}", pid));
        }
        if (story.failed_back() && now - *story.failed_back() >= after_failback) load.stop();
    }
    loader.join();
    story.add(records.take());
    story.say("LOAD      ends");
    return story.finish();
}

} // namespace

int main(int argc, char** argv)
{
    try {
        return play(parse(argc, argv)) ? 0 : 1;
    } catch (const std::exception& error) {
        fmt::print(stderr, "demo: {}\n", error.what());
        return 2;
    }
}
