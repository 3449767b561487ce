#include "common/time.hpp"
#include "experiment/commands.hpp"
#include "experiment/load/fetch.hpp"
#include "experiment/load/load.hpp"
#include "experiment/orders/check.hpp"
#include "experiment/orders/history.hpp"
#include "experiment/orders/summary.hpp"
#include "experiment/orders/testbed.hpp"
#include "experiment/report/markup.hpp"
#include "experiment/report/wording.hpp"
#include "experiment/scratch.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <fstream>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

namespace hotspare::experiment {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr unsigned columns = 80;
constexpr std::string_view external = "external_service";

constexpr Duration ask_time = seconds(2);
constexpr Duration look_pause = milliseconds(50);
constexpr Duration steady_time = seconds(20);   ///< for what we started to be called healthy before anything is done
constexpr Duration running_time = seconds(5);   ///< the same for what runs already
constexpr Duration after_creation = seconds(2); ///< the fault lasts at least so much longer than the load
constexpr Duration healing_time = seconds(10);
constexpr int most_reads = 5; ///< of one order or page, while there is no answer

/// More than any validator has in stock: it is to be rejected.
constexpr std::int64_t too_many = 1'000'000;
constexpr std::int64_t few = 10;
constexpr std::uint64_t one_in = 10; ///< of the orders is too large

/// A path segment: whatever is not unreserved in RFC 3986 is encoded.
std::string segment(std::string_view text)
{
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '.' || c == '_' || c == '~';
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

Json parse(const http::Response& answer)
{
    return Json::parse(answer.body(), nullptr, false);
}

/// The history as it grows, in memory and, if there is a folder for it, on disk. Any thread.
class Recorder {
public:
    Recorder(OrdersHistory history, const fs::path& folder) : history_(std::move(history))
    {
        if (!folder.empty()) {
            std::error_code error;
            fs::create_directories(folder, error);
            file_ = folder / "history.jsonl";
            out_.open(file_, std::ios::binary | std::ios::trunc);
            if (!out_) throw UsageError(fmt::format("--out: cannot write {}", file_.string()));
        }
        write_header(out_, history_);
    }

    void fault(Turn turn)
    {
        const std::scoped_lock lock(mutex_);
        write_fault(out_, turn);
        history_.faults.push_back(std::move(turn));
    }
    void heal(Turn turn)
    {
        const std::scoped_lock lock(mutex_);
        write_heal(out_, turn);
        history_.heals.push_back(std::move(turn));
    }
    void drained(Nanos at)
    {
        const std::scoped_lock lock(mutex_);
        write_drained(out_, at);
        history_.drained = at;
    }
    template <class T> void add(std::vector<T> OrdersHistory::*list, T entry)
    {
        const std::scoped_lock lock(mutex_);
        write_line(out_, entry);
        (history_.*list).push_back(std::move(entry));
    }
    void invalidate(const std::string& why)
    {
        if (history_.invalid.empty()) history_.invalid = why;
    }
    void abort(const std::string& why) { history_.aborted = why; }
    void counted() { history_.counted = true; }

    struct Tally {
        std::size_t created = 0, accepted = 0;
    };
    Tally tally() const
    {
        const std::scoped_lock lock(mutex_);
        const auto accepted = std::ranges::count(history_.creates, CreateOutcome::ok, &CreateRecord::outcome);
        return {history_.creates.size(), static_cast<std::size_t>(accepted)};
    }

    /// Only after the last record was added.
    const OrdersHistory& finish()
    {
        write_end(out_, history_);
        if (out_.is_open() && !out_.flush()) throw StartupError(fmt::format("cannot write {}", file_.string()));
        return history_;
    }
    const OrdersHistory& history() const noexcept { return history_; }
    const fs::path& file() const noexcept { return file_; }

private:
    mutable std::mutex mutex_;
    OrdersHistory history_;
    fs::path file_;
    std::ofstream out_; ///< without a file it swallows everything
};

/// What happens, as it happens.
class Story {
public:
    Story() : terminal_(::isatty(STDOUT_FILENO) == 1) {}
    ~Story() { clear(); }

    Story(const Story&) = delete;
    Story& operator=(const Story&) = delete;

    void tell(Nanos at, const std::string& text)
    {
        clear();
        fmt::print("{:>9.3f} s  {}\n", std::chrono::duration<double>(at).count(),
                   shorten(printable(text), columns - 13));
        std::fflush(stdout);
    }

    /// On a terminal one line that changes; elsewhere a line now and then.
    void progress(Nanos at, const std::string& text)
    {
        if (terminal_) {
            fmt::print("\r\x1b[K{:>9.3f} s  {}", std::chrono::duration<double>(at).count(),
                       shorten(printable(text), columns - 14));
            std::fflush(stdout);
            drawn_ = true;
        } else if (at >= next_) {
            next_ = at + pause_;
            pause_ = std::min<Nanos>(2 * pause_, seconds(30)); // keeps the output short
            tell(at, text);
        }
    }

private:
    void clear()
    {
        if (std::exchange(drawn_, false)) fmt::print("\r\x1b[K");
    }

    bool terminal_;
    bool drawn_ = false;
    Nanos next_ = seconds(1);
    Nanos pause_ = seconds(1);
};

class OrdersExperiment {
public:
    OrdersExperiment(const OrdersOptions& options, config::HostPort gateway, const config::HostPort& validator,
                     Recorder& recorder, const std::string& id_prefix, const Interrupted& interrupted)
        : options_(options), gateway_(std::move(gateway)), recorder_(recorder), id_prefix_(id_prefix),
          interrupted_(interrupted), conversation_(gateway_), validator_(validator)
    {
    }
    ~OrdersExperiment()
    {
        try {
            heal();
        } catch (const std::exception& error) {
            fmt::print(stderr, "experiment: {}\n", error.what());
        }
    }

    OrdersExperiment(const OrdersExperiment&) = delete;
    OrdersExperiment& operator=(const OrdersExperiment&) = delete;

    void run()
    {
        await_steady_state();
        began_ = Clock::now();
        look();
        if (options_.mode != FailureMode::normal) make_fault();
        create();
        if (options_.mode != FailureMode::normal) hold();
        heal();
        if (interrupted_) {
            recorder_.abort("interrupted");
            return;
        }
        await_drain();
        read_back();
    }

private:
    Nanos now() const { return std::chrono::duration_cast<Nanos>(Clock::now() - began_); }
    bool is_interrupted() const { return interrupted_; }

    // --- The fault ---------------------------------------------------------------------------------------------------

    /// Why the mode could not be set; empty: it is.
    std::string set_mode(FailureMode mode)
    {
        const auto answer = validator_.post("/set_failure_mode", Json{{"mode", to_string(mode)}}.dump(), ask_time);
        if (!answer) return answer.error().message();
        if (answer->result_int() != 200)
            return fmt::format("status {}: {}", answer->result_int(), answer->body().substr(0, 200));
        const auto present = validator_.get("/get_failure_mode", ask_time);
        if (!present) return present.error().message();
        const auto body = parse(*present);
        if (!body.is_object() || body.value("mode", "") != to_string(mode))
            return fmt::format("it was set, but GET /get_failure_mode says {}", present->body().substr(0, 200));
        return {};
    }

    void make_fault()
    {
        healthy_ = false;
        const Nanos at = now();
        if (const auto why = set_mode(options_.mode); !why.empty())
            throw StartupError(fmt::format("POST /set_failure_mode: {}", why));
        recorder_.fault({.at = at, .what = fmt::format("{}: {}", external, to_string(options_.mode))});
        story_.tell(at, fmt::format("FAULT      {}: {}", external, to_string(options_.mode)));
    }

    /// Sets the mode back, whatever happened before.
    void heal()
    {
        if (std::exchange(healthy_, true)) return;
        const auto deadline = Clock::now() + healing_time;
        auto why = set_mode(FailureMode::normal);
        while (!why.empty() && Clock::now() < deadline) {
            std::this_thread::sleep_for(look_pause);
            why = set_mode(FailureMode::normal);
        }
        if (!why.empty()) {
            recorder_.invalidate(fmt::format("the fault could not be undone: {}", why));
            story_.tell(now(), "the mode could NOT be set back: " + why);
            return;
        }
        recorder_.heal({.at = now(), .what = fmt::format("{}: normal", external)});
        story_.tell(now(), fmt::format("HEALED     {}: normal", external));
    }

    /// The fault lasts until the monitor has had its time to name it, and so do the orders that meet it.
    void hold()
    {
        const auto least = Clock::now() + after_creation;
        const auto fault = recorder_.history().faults.front().at;
        while (!is_interrupted()) {
            const bool overdue = now() - fault > OrdersLimits::detection + seconds(1);
            if (Clock::now() >= least && (named_ == health_word(options_.mode) || overdue)) return;
            std::this_thread::sleep_for(look_pause);
            look();
        }
    }

    // --- The monitor -------------------------------------------------------------------------------------------------

    void await_steady_state()
    {
        const auto deadline = Clock::now() + (options_.target.empty() ? steady_time : running_time);
        std::string trouble = "the monitor was not asked";
        while (!is_interrupted()) {
            const auto answer = conversation_.get("/health_status", ask_time);
            const auto status = answer ? parse(*answer) : Json();
            if (!answer)
                trouble = fmt::format("GET /health_status: {}", answer.error().message());
            else if (answer->result_int() != 200 || !status.is_object() || !status.contains("services"))
                trouble = fmt::format("GET /health_status: status {}", answer->result_int());
            else if (status.value("overall", "") == "healthy")
                return;
            else
                trouble = unwell(status["services"]);
            if (Clock::now() > deadline)
                throw StartupError(
                    fmt::format("the pipeline was not healthy before the experiment began: {}", trouble));
            std::this_thread::sleep_for(look_pause);
        }
        throw StartupError("interrupted");
    }

    static std::string unwell(const Json& services)
    {
        for (const auto& [name, service] : services.items())
            if (service.is_object() && service.value("status", "") != "healthy")
                return fmt::format("{} is {}", name, service.value("status", "of no status"));
        return "no service is healthy";
    }

    /// Notes what the monitor says now, where it is something else than before.
    void look()
    {
        const auto answer = conversation_.get("/health_status", ask_time);
        if (!answer || answer->result_int() != 200) return; // nothing was seen
        const auto status = parse(*answer);
        if (!status.is_object() || !status.contains("services")) return;
        for (const auto& [name, service] : status["services"].items()) {
            const auto word = service.is_object() ? service.value("status", "") : std::string();
            auto& last = seen_[name];
            if (word == last) continue;
            const bool is_first = last.empty();
            last = word;
            recorder_.add(&OrdersHistory::healths, Sighting{.at = now(), .service = name, .status = word});
            if (name == external) named_ = word;
            if (!is_first) story_.tell(now(), fmt::format("MONITOR    {} is {}", name, word));
        }
    }

    // --- Creation ----------------------------------------------------------------------------------------------------

    OrderContent content(std::uint64_t index) const
    {
        return {.order_id = fmt::format("{}-{}", id_prefix_, index),
                .product = is_large(index) ? "Medicine B" : "Medicine A",
                .quantity = is_large(index) ? too_many : few};
    }
    bool is_large(std::uint64_t index) const
    {
        const auto& history = recorder_.history();
        return history.orders > 1 && (index + history.seed) % std::min(one_in, history.orders) == 0;
    }

    LoadPlan load_plan() const
    {
        const auto request = [](const char* product, std::int64_t quantity) {
            LoadRequest out;
            out.method = "POST";
            out.path = "/create_order";
            out.body = Json{{"order_id", LoadRequest::id_here}, {"product", product}, {"quantity", quantity}}.dump();
            out.numbered = true;
            out.expect_body = fmt::format("\"{}\"", LoadRequest::id_here);
            return out;
        };
        const auto& history = recorder_.history();
        LoadPlan plan;
        plan.target = gateway_;
        plan.requests = {request("Medicine A", few), request("Medicine B", too_many)};
        plan.id_prefix = id_prefix_;
        plan.connections = 8;
        plan.most_connections = 1'000;
        for (std::uint64_t i = 0; i < history.orders; ++i) {
            const std::chrono::duration<double> at(static_cast<double>(i) / history.rate);
            plan.schedule.push_back({std::chrono::duration_cast<Nanos>(at), is_large(i) ? 1U : 0U});
        }
        return plan;
    }

    void create()
    {
        const auto start = Clock::now() + milliseconds(20); // connections are opened before
        const auto offset = std::chrono::duration_cast<Nanos>(start - began_);
        Load load(load_plan(), [&](const Finished& finished) {
            const Sample& sample = finished.sample;
            recorder_.add(&OrdersHistory::creates, CreateRecord{.what = content(sample.index),
                                                                .due = sample.due + offset,
                                                                .invoked = sample.sent + offset,
                                                                .ended = sample.done + offset,
                                                                .outcome = judge_create(sample.outcome, sample.status),
                                                                .status = sample.status,
                                                                .waited = sample.waited});
        });
        std::atomic<bool> done{false};
        std::exception_ptr failure;
        std::thread thread([&] {
            try {
                load.run(start);
            } catch (...) {
                failure = std::current_exception();
            }
            done = true;
        });
        // Whatever goes wrong here, the thread must be joined.
        try {
            while (!done) {
                std::this_thread::sleep_for(look_pause);
                if (is_interrupted()) load.stop();
                look();
                const auto tally = recorder_.tally();
                story_.progress(now(), fmt::format("{} of {} created, {} accepted; {} is {}", tally.created,
                                                   recorder_.history().orders, tally.accepted, external, named_));
            }
        } catch (...) {
            load.stop();
            thread.join();
            throw;
        }
        thread.join();
        if (failure) std::rethrow_exception(failure);
        const auto tally = recorder_.tally();
        story_.tell(now(), fmt::format("CREATED    {}, {} of them accepted", tally.created, tally.accepted));
    }

    // --- The end -----------------------------------------------------------------------------------------------------

    bool is_ours(const std::string& order_id) const { return order_id.starts_with(recorder_.history().prefix); }

    /// Asks until there is an answer with a status that means something. Throws StartupError if there is none.
    http::Response read(const std::string& path)
    {
        std::string why;
        for (int reads = 0; reads < most_reads; ++reads) {
            if (reads > 0) std::this_thread::sleep_for(milliseconds(200));
            auto answer = conversation_.get(path, ask_time);
            if (answer && answer->result_int() < 500) return *std::move(answer);
            why = answer ? fmt::format("status {}", answer->result_int()) : answer.error().message();
        }
        throw StartupError(fmt::format("GET {}: {}", path, why));
    }

    OrdersPage read_page(const std::string& query)
    {
        const auto answer = read("/get_orders?limit=1000" + query);
        auto page = answer.result_int() == 200 ? page_in(parse(answer)) : std::nullopt;
        if (!page)
            throw StartupError(fmt::format("GET /get_orders: not a list of orders: {}", answer.body().substr(0, 200)));
        return *std::move(page);
    }

    /// How many of our orders are Processing, of the newest thousand that are.
    std::size_t processing()
    {
        const auto page = read_page("&status=Processing");
        return static_cast<std::size_t>(
            std::ranges::count_if(page.orders, [&](const ListedOrder& order) { return is_ours(order.what.order_id); }));
    }

    void await_drain()
    {
        const auto deadline = Clock::now() + drain_limit(recorder_.history()) + seconds(2);
        while (!is_interrupted() && Clock::now() < deadline) {
            const Nanos at = now(); // before it was asked: nothing had to happen after this moment
            const auto left = processing();
            look();
            if (left == 0) {
                recorder_.drained(at);
                story_.tell(at, "DRAINED    nothing is Processing any more");
                return;
            }
            story_.progress(now(), fmt::format("{}{} still Processing", left, left == 1'000 ? " or more" : ""));
            std::this_thread::sleep_for(look_pause);
        }
        if (is_interrupted()) recorder_.abort("interrupted");
    }

    void read_back()
    {
        std::set<std::string> wanted;
        for (const CreateRecord& create : recorder_.history().creates) wanted.insert(create.what.order_id);
        const auto asked = wanted.size();
        const auto most_pages = asked / 1'000 + 1'000; // other clients may create orders meanwhile
        std::string next;
        for (std::size_t pages = 0; pages < most_pages; ++pages) {
            auto page = read_page(next.empty() ? "" : "&before=" + next);
            bool any = page.orders.empty();
            for (ListedOrder& order : page.orders) {
                if (!is_ours(order.what.order_id)) continue;
                any = true;
                wanted.insert(order.what.order_id);
                recorder_.add(&OrdersHistory::listed, std::move(order));
            }
            next = page.next;
            // Ours stand together: behind them nothing of ours follows.
            if (next.empty() || (!any && recorder_.history().listed.size() >= asked)) break;
        }
        for (const std::string& order_id : wanted) {
            if (is_interrupted()) return recorder_.abort("interrupted");
            const auto answer = read("/orders/" + segment(order_id));
            if (answer.result_int() == 404) continue;
            auto order = answer.result_int() == 200 ? order_in(parse(answer)) : std::nullopt;
            if (!order)
                throw StartupError(
                    fmt::format("GET /orders/{}: not an order: {}", order_id, answer.body().substr(0, 200)));
            recorder_.add(&OrdersHistory::present, *std::move(order));
        }
    }

    const OrdersOptions& options_;
    const config::HostPort gateway_;
    Recorder& recorder_;
    const std::string id_prefix_;
    const Interrupted& interrupted_;
    Conversation conversation_;
    Conversation validator_; ///< of the control listener of the external service
    Story story_;
    TimePoint began_ = Clock::now();
    bool healthy_ = true; ///< the mode is normal, or was not touched
    std::map<std::string, std::string> seen_;
    std::string named_ = "unknown";
};

void read_effects(const fs::path& ledger, Recorder& recorder)
{
    std::ifstream in(ledger, std::ios::binary);
    if (!in) throw UsageError(fmt::format("--ledger: {}: cannot be read", ledger.string()));
    for (auto& effect : read_ledger(in, ledger.string()))
        if (effect.order_id.starts_with(recorder.history().prefix))
            recorder.add(&OrdersHistory::effects, std::move(effect));
    recorder.counted();
}

/// A foreign pipeline may hold orders of other clients; a unique prefix distinguishes those of this experiment.
std::string unique_prefix()
{
    std::random_device random;
    return fmt::format("experiment-{:08x}{:08x}", random(), random());
}

/// Where the mode of a running pipeline's validator is set.
config::HostPort validator_of(const OrdersOptions& options, const config::HostPort& gateway)
{
    if (!options.validator.empty()) {
        const auto origin = config::parse_http_origin(options.validator);
        if (!origin) throw UsageError(fmt::format("--validator: {}", origin.error().message));
        return resolve(*origin);
    }
    constexpr int distance = 8080 - 5103; // of the two ports in config/orders.system.yaml
    if (gateway.port <= distance) throw UsageError("--target: a gateway on this port needs a --validator as well");
    return {gateway.host, static_cast<std::uint16_t>(gateway.port - distance)};
}

int conclude(Recorder& recorder)
{
    const auto& history = recorder.finish();
    const auto judgement = judge(history);
    fmt::print("\n{}", summary(history, judgement, columns, ::isatty(STDOUT_FILENO) == 1));
    if (!recorder.file().empty()) fmt::print("\nhistory: {}\n", recorder.file().string());
    return exit_code(judgement.verdict);
}

} // namespace

int orders(const OrdersOptions& options, const Places& places, const Interrupted& interrupted)
{
    const bool is_ours = options.target.empty();
    if (is_ours && !options.ledger.empty()) throw UsageError("--ledger goes with --target: otherwise it is known");
    if (is_ours && !options.validator.empty())
        throw UsageError("--validator goes with --target: otherwise it is known");
    OrdersHistory start;
    start.mode = options.mode;
    start.orders = options.orders;
    start.rate = options.rate;
    start.seed = options.seed ? *options.seed : std::random_device{}();
    start.target = is_ours ? "five processes of its own" : options.target;
    start.started = format_rfc3339(std::chrono::system_clock::now());
    const auto id_prefix = is_ours ? std::string("order") : unique_prefix();
    if (!is_ours) start.prefix = id_prefix + "-";

    std::optional<config::HostPort> gateway, validator;
    if (!is_ours) {
        const auto origin = config::parse_http_origin(options.target);
        if (!origin) throw UsageError(fmt::format("--target: {}", origin.error().message));
        gateway = resolve(*origin);
        validator = validator_of(options, *gateway);
        if (!options.ledger.empty() && !std::ifstream(options.ledger))
            throw UsageError(fmt::format("--ledger: {}: cannot be read", options.ledger.string()));
    }
    fmt::print("orders: {} at {}/s, {} {}, at {}\n", options.orders, config::format_number(options.rate), external,
               to_string(options.mode), start.target);
    std::fflush(stdout);

    Recorder recorder(start, options.out);
    const Scratch scratch(options.out.empty() ? fs::path() : options.out / "run");
    std::optional<OrdersTestbed> testbed;
    if (is_ours) {
        testbed.emplace(OrdersTestbed::Options{.programs = places.programs,
                                               .config = places.config,
                                               .directory = scratch.make("orders")},
                        interrupted);
        gateway = testbed->gateway();
        validator = testbed->validator();
    }
    {
        OrdersExperiment experiment(options, *gateway, *validator, recorder, id_prefix, interrupted);
        experiment.run();
    }
    const auto ledger = testbed ? testbed->ledger() : options.ledger;
    if (!ledger.empty()) read_effects(ledger, recorder);
    if (testbed)
        if (const auto trouble = testbed->ended(); !trouble.empty()) recorder.invalidate(trouble);
    testbed.reset();
    return conclude(recorder);
}

int check_orders(std::istream& in, const std::string& file)
{
    const auto history = read_history(in, file);
    const auto judgement = judge(history);
    fmt::print("{}: {} orders, {}, at {}\n\n", printable(file), history.orders,
               history.mode ? fmt::format("{} {}", external, to_string(*history.mode)) : "other faults",
               printable(history.target));
    fmt::print("{}", summary(history, judgement, columns, ::isatty(STDOUT_FILENO) == 1));
    return exit_code(judgement.verdict);
}

} // namespace hotspare::experiment
