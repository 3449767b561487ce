#include "tests/support/order_proofs.hpp"

#include "tests/support/gate.hpp"
#include "tests/support/running_system.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <fstream>
#include <random>
#include <stdexcept>

namespace hotspare::test {
namespace {

using Json = nlohmann::json;

constexpr int killed = 128 + SIGKILL;

/// Where every cycle waits for one, and no worker works for long.
constexpr auto short_lease = milliseconds(300);

/// What clients are promised of a creation.
constexpr auto promised_answer = seconds(2);
/// An order that is placed while an engine is away or just back has ended by then: a breath on a quiet machine, and
/// more than a lease and a few time-outs.
constexpr auto end_bound = seconds(10);

std::size_t up_to(std::mt19937_64& random, std::size_t most)
{
    return std::uniform_int_distribution<std::size_t>(1, most)(random);
}

/// Nothing more is placed: what the clients have to say.
void conclude(Proof& proof, OrderClients& clients, milliseconds answer_bound)
{
    if (!clients.finish()) proof.problems.emplace_back("an order was not acknowledged in the end");
    for (auto& complaint : clients.complaints()) proof.problems.push_back(complaint);
    if (clients.longest_answer() >= answer_bound)
        proof.problems.push_back(fmt::format("a creation was answered after {} ms", clients.longest_answer().count()));
}

/// The same, and the audit of what they placed and of `others`.
void conclude(Proof& proof, OrderTrial& trial, OrderClients& clients,
              milliseconds answer_bound = OrderClients::silence_bound, const std::vector<PlacedOrder>& others = {})
{
    conclude(proof, clients, answer_bound);
    (void)trial.drained(); // what is not is found stuck
    auto placed = clients.placed();
    placed.insert(placed.end(), others.begin(), others.end());
    proof.audit = trial.audit(placed);
}

/// Waits for the end that a fault must bring.
bool died(Proof& proof, Process& process, milliseconds bound = seconds(60))
{
    const auto code = process.wait_exit(bound);
    // The children of a database have ended when no process can write to its log any more.
    if (code == killed && process.wait_output_end(bound)) {
        ++proof.faults;
        return true;
    }
    proof.problems.push_back("was not killed: " + process.description());
    return false;
}

/// Places orders one by one at a service that works.
void place(Proof& proof, OrderTrial& trial, std::vector<PlacedOrder>& placed, std::size_t count)
{
    for (std::size_t i = 0; i < count; ++i) {
        auto order = numbered_order("w", placed.size());
        RawClient client(trial.port());
        client.send(create_request(order));
        const auto answer = client.read_response();
        order.acknowledged = answer.status() == 200;
        if (!order.acknowledged) proof.problems.push_back(order.id + " was not placed: " + answer.message.body);
        placed.push_back(std::move(order));
    }
}

} // namespace

std::string Proof::summary() const
{
    return fmt::format("{} faults: {}{}{}", faults, audit.summary(), note.empty() ? "" : "; ", note);
}

std::string Proof::text() const
{
    auto text = fmt::format("{} faults: {}{}{}", faults, audit.text(), note.empty() ? "" : "; ", note);
    for (const auto& problem : problems) text += "\n  " + problem;
    return text;
}

// --- On either engine ------------------------------------------------------------------------------------------------

Proof prove_crashes_after_claim(Engine engine, const Series& series)
{
    std::mt19937_64 random(series.seed);
    Proof proof;
    OrderTrial trial({.engine = engine, .lease = short_lease});
    trial.start_orders();
    Origin mute("mute", [](const Message&) { return Reply::broken(Reply::Break::hang); });
    std::vector<PlacedOrder> placed;
    for (std::size_t cycle = 0; cycle < series.cycles; ++cycle) {
        place(proof, trial, placed, up_to(random, 4));
        mute.forget();
        auto& worker = trial.start_worker({}, mute.url());
        if (!eventually([&] { return mute.executed_by_method("POST") > 0; }))
            proof.problems.push_back("the worker made no call: " + worker.description());
        worker.signal(SIGKILL);
        if (!died(proof, worker)) break;
        trial.start_worker();
        if (!trial.drained()) break;
        trial.kill_workers();
        series.progress(cycle + 1);
    }
    proof.audit = trial.audit(placed);
    return proof;
}

Proof prove_crashes_before_completion(Engine engine, const Series& series)
{
    std::mt19937_64 random(series.seed);
    Proof proof;
    OrderTrial trial({.engine = engine, .lease = short_lease});
    trial.start_orders();
    Gate gate(trial.port());
    std::atomic<bool> answered = false;
    // The way back is gone before the verdict is there, whatever the worker does next.
    Origin validator("validator", [&](const Message& request) {
        gate.set(Fault::black_hole());
        answered = true;
        return trial.validator().validate(request);
    });
    std::vector<PlacedOrder> placed;
    for (std::size_t cycle = 0; cycle < series.cycles; ++cycle) {
        place(proof, trial, placed, up_to(random, 4));
        gate.set(Fault::pass());
        answered = false;
        auto& worker = trial.start_worker(gate.url(), validator.url());
        const auto own = worker.ready_event().at("port").get<std::uint16_t>();
        // It has come to something, and cannot say so.
        const auto has_a_verdict = [&] {
            return answered && get(own, "/work").json().value("to_report", std::size_t{0}) > 0;
        };
        if (!eventually(has_a_verdict)) proof.problems.push_back("no verdict to report: " + worker.description());
        worker.signal(SIGKILL);
        if (!died(proof, worker)) break;
        trial.start_worker();
        if (!trial.drained()) break;
        trial.kill_workers();
        series.progress(cycle + 1);
    }
    proof.audit = trial.audit(placed);
    return proof;
}

Proof prove_random_kills(Engine engine, const Series& series, double rate)
{
    std::mt19937_64 random(series.seed);
    Proof proof;
    const std::string name = engine == Engine::sqlite ? "orders" : "orders-scaled";
    const auto lease = lease_flag(OrderTrial::usual_lease);
    RunningSystem system(name, {{"order_service", lease}, {"order_service_1", lease}, {"order_service_2", lease}});
    OrderClients clients({.ports = {system.port(8080)}, .clients = 16, .rate = rate});
    for (std::size_t cycle = 0; cycle < series.cycles; ++cycle) {
        auto victims = system.daemons();
        std::shuffle(victims.begin(), victims.end(), random);
        victims.resize(up_to(random, 4) == 1 ? 2 : 1);
        for (const auto& victim : victims) system.process(victim).signal(SIGKILL);
        bool all_died = true;
        for (const auto& victim : victims) all_died = died(proof, system.process(victim)) && all_died;
        if (!all_died) break;
        for (const auto& victim : victims) system.start(victim);
        if (!clients.wait_for_more(up_to(random, 10)))
            proof.problems.push_back("no order was acknowledged after the kill of " + victims.front());
        series.progress(cycle + 1);
    }
    // The gateway waits for the return of what was killed: no bound of ours.
    conclude(proof, clients, milliseconds::max());
    proof.note = fmt::format("slowest answer {} ms", clients.longest_answer().count());
    (void)eventually([&] { return none_processing(system.port(5001)); }, seconds(120), milliseconds(50));

    Effects effects;
    std::ifstream ledger(system.directory() / ".run" / name / "effects.ledger");
    if (!ledger) throw std::runtime_error("config/" + name + ".system.yaml keeps the validator's ledger elsewhere");
    for (std::string line; std::getline(ledger, line);) {
        const auto effect = Json::parse(line);
        effects[effect.at("order_id")].push_back(effect.at("verdict"));
    }
    proof.audit = audit_orders(clients.placed(), read_orders(system.port(5001)), &effects);
    return proof;
}

// --- On SQLite -------------------------------------------------------------------------------------------------------

Proof prove_crashes_at(FaultyDisk::Point point, const Series& series)
{
    // Within some commits, or one checkpoint, which writes some dozens of pages.
    const std::size_t latest = point == FaultyDisk::Point::log_write    ? 200
                               : point == FaultyDisk::Point::log_synced ? 20
                                                                        : 30;
    std::mt19937_64 random(series.seed);
    Proof proof;
    OrderTrial trial;
    trial.start_orders();
    trial.start_worker();
    OrderClients clients({.ports = trial.ports(), .clients = 8});
    std::size_t twice = 0;
    for (std::size_t cycle = 0; cycle < series.cycles; ++cycle) {
        if (!clients.wait_for_more(8)) proof.problems.emplace_back("no order was acknowledged between two crashes");
        trial.disk().kill_at(point, static_cast<std::uint32_t>(up_to(random, latest)));
        if (!died(proof, trial.orders())) break;
        if (up_to(random, 3) == 1) {
            trial.disk().kill_at(FaultyDisk::Point::data_write, static_cast<std::uint32_t>(up_to(random, 4)));
            auto& recovering = trial.launch_orders();
            // There may be less to recover than that; then it lives.
            if (eventually([&] { return !recovering.running() || !recovering.ready_event().is_null(); }) &&
                !recovering.running())
                ++twice;
        }
        trial.disk().kill_at(FaultyDisk::Point::none, 0);
        if (!trial.orders().running()) trial.start_orders();
        series.progress(cycle + 1);
    }
    conclude(proof, trial, clients);
    proof.note = fmt::format("{} of them killed again while recovering", twice);
    return proof;
}

Proof prove_losses_of_power(const Series& series, std::vector<std::string> flags)
{
    std::mt19937_64 random(series.seed);
    Proof proof;
    OrderTrial trial({.flags = std::move(flags)});
    trial.disk().expect_loss_of_power();
    trial.start_orders();
    trial.start_worker();
    OrderClients clients({.ports = trial.ports(), .clients = 8});
    FaultyDisk::Cut sum;
    const auto end = [&] {
        // Half of them at a moment when much is unsynced, the others at any.
        if (up_to(random, 2) == 1) {
            const auto point = static_cast<FaultyDisk::Point>(up_to(random, 3));
            trial.disk().kill_at(point, static_cast<std::uint32_t>(up_to(random, 30)));
            return died(proof, trial.orders());
        }
        trial.orders().signal(SIGKILL);
        return died(proof, trial.orders());
    };
    for (std::size_t cycle = 0; cycle < series.cycles; ++cycle) {
        if (!clients.wait_for_more(up_to(random, 60)))
            proof.problems.emplace_back("no order was acknowledged between two losses of power");
        if (up_to(random, 3) == 1) {
            // What a killed process left unsynced is read back by the next one, and may still be lost.
            trial.orders().signal(SIGKILL);
            trial.orders().wait_exit();
            trial.start_orders();
            if (!clients.wait_for_more(1)) proof.problems.emplace_back("no order was acknowledged after a restart");
        }
        if (!end()) break;
        trial.disk().kill_at(FaultyDisk::Point::none, 0);
        const auto cut = trial.disk().lose_power(random());
        sum = {sum.kept + cut.kept, sum.torn + cut.torn, sum.lost + cut.lost};
        trial.start_orders();
        series.progress(cycle + 1);
    }
    conclude(proof, trial, clients);
    proof.note = fmt::format("of the unsynced writes {} lost, {} torn, {} kept", sum.lost, sum.torn, sum.kept);
    return proof;
}

// --- On PostgreSQL and Redis -----------------------------------------------------------------------------------------

Proof prove_crashes_of_order_services(const Series& series)
{
    std::mt19937_64 random(series.seed);
    Proof proof;
    OrderTrial trial({.engine = Engine::postgres_redis, .services = 2});
    trial.start_all_orders();
    for (const auto port : trial.ports()) trial.start_worker(fmt::format("http://127.0.0.1:{}", port));
    OrderClients clients({.ports = trial.ports(), .clients = 8});
    std::size_t both = 0;
    for (std::size_t cycle = 0; cycle < series.cycles; ++cycle) {
        if (!clients.wait_for_more(up_to(random, 40)))
            proof.problems.emplace_back("no order was acknowledged between two crashes");
        std::vector<std::size_t> victims{up_to(random, 2) - 1};
        if (up_to(random, 4) == 1) {
            victims.push_back(1 - victims.front());
            ++both;
        }
        for (const auto victim : victims) trial.orders(victim).signal(SIGKILL);
        bool all_died = true;
        for (const auto victim : victims) all_died = died(proof, trial.orders(victim)) && all_died;
        if (!all_died) break;
        for (const auto victim : victims) trial.start_orders(victim);
        series.progress(cycle + 1);
    }
    conclude(proof, trial, clients);
    proof.note = fmt::format("both at once {} times", both);
    return proof;
}

std::string_view to_string(EngineFault fault)
{
    switch (fault) {
    case EngineFault::redis_killed: return "Redis killed";
    case EngineFault::redis_flushed: return "Redis flushed";
    case EngineFault::redis_frozen: return "Redis frozen";
    case EngineFault::postgres_restarted: return "PostgreSQL restarted";
    case EngineFault::postgres_killed: return "PostgreSQL killed";
    case EngineFault::backends_terminated: return "backends terminated";
    }
    return "invalid";
}

namespace {

/// An order that is placed at one moment and has to end soon, whatever is away then.
class Probes {
public:
    explicit Probes(const OrderTrial& trial) : trial_(trial) {}

    void send(Proof& proof)
    {
        const auto began = Clock::now();
        auto order = numbered_order("probe", orders_.size());
        const auto port = trial_.ports()[orders_.size() % trial_.ports().size()];
        order.acknowledged = eventually([&] { return is_placed(port, order); }, patience, milliseconds(10));
        const auto has_ended = [&] {
            const auto answer = get(port, "/orders/" + order.id);
            return answer.status() == 200 && answer.json().value("status", "Processing") != "Processing";
        };
        if (!order.acknowledged)
            proof.problems.push_back(order.id + " was never acknowledged");
        else if (!eventually(has_ended, end_bound, milliseconds(10)))
            proof.problems.push_back(fmt::format("{} had not ended after {}", order.id, end_bound));
        longest_ = std::max(longest_, std::chrono::ceil<milliseconds>(Clock::now() - began));
        orders_.push_back(std::move(order));
    }

    /// From the first request to the end that a client sees.
    milliseconds longest() const noexcept { return longest_; }
    const std::vector<PlacedOrder>& orders() const noexcept { return orders_; }

private:
    static bool is_placed(std::uint16_t port, const PlacedOrder& order)
    {
        RawClient client(port);
        return client.send(create_request(order)) && client.read_response().status() == 200;
    }

    const OrderTrial& trial_;
    std::vector<PlacedOrder> orders_;
    milliseconds longest_{0};
};

/// Whether it happened as it should. What does not end by itself lasts until heal().
bool inject(EngineFault fault, OrderTrial& trial)
{
    switch (fault) {
    case EngineFault::redis_killed: trial.redis().kill(); return true;
    case EngineFault::redis_flushed: trial.redis().flush_all(); return true;
    case EngineFault::redis_frozen: trial.redis().freeze(); return true;
    case EngineFault::postgres_restarted: trial.postgres().restart_at_once(); return true;
    case EngineFault::postgres_killed: trial.postgres().kill(); return true;
    case EngineFault::backends_terminated: return trial.postgres().terminate_backends() > 0;
    }
    return false;
}

void heal(EngineFault fault, OrderTrial& trial)
{
    if (fault == EngineFault::redis_killed) trial.redis().start();
    if (fault == EngineFault::redis_frozen) trial.redis().thaw();
    if (fault == EngineFault::postgres_killed) trial.postgres().start();
}

bool redis_dispatches(const OrderTrial& trial)
{
    return std::ranges::all_of(trial.ports(), [](auto port) {
        const auto queue = get(port, "/queue");
        return queue.status() == 200 && queue.json()["dispatch"].value("by", "") == "redis";
    });
}

/// `flags` of order_service. Without a `log_writer` PostgreSQL writes nothing that is not waited for.
Proof run_engine_faults(EngineFault fault, const Series& series, double rate, std::vector<std::string> flags = {},
                        bool log_writer = true)
{
    std::mt19937_64 random(series.seed);
    Proof proof;
    OrderTrial trial({.engine = Engine::postgres_redis, .services = 2, .flags = std::move(flags)});
    trial.start_all_orders();
    for (const auto port : trial.ports()) trial.start_worker(fmt::format("http://127.0.0.1:{}", port));
    if (!eventually([&] { return redis_dispatches(trial); })) proof.problems.emplace_back("Redis is not used");
    OrderClients clients({.ports = trial.ports(), .clients = 16, .rate = rate});
    Probes probes(trial);
    for (std::size_t cycle = 0; cycle < series.cycles; ++cycle) {
        if (!log_writer) trial.postgres().freeze_log_writer();
        if (!clients.wait_for_more(up_to(random, 20)))
            proof.problems.emplace_back("no order was acknowledged between two faults");
        const auto refused = clients.refused();
        if (inject(fault, trial)) ++proof.faults;
        if (fault == EngineFault::postgres_killed) {
            if (up_to(random, 4) == 1 && !eventually([&] { return clients.refused() > refused; }))
                proof.problems.emplace_back("no client was told that the database is away");
            heal(fault, trial);
            probes.send(proof);
        } else {
            probes.send(proof);
            heal(fault, trial);
        }
        if (!clients.wait_for_more(1)) proof.problems.emplace_back("no order was acknowledged after a fault");
        if (!eventually([&] { return redis_dispatches(trial); })) proof.problems.emplace_back("Redis is used no more");
        series.progress(cycle + 1);
    }
    const bool needs_what_was_away = fault == EngineFault::postgres_restarted || fault == EngineFault::postgres_killed;
    conclude(proof, trial, clients, needs_what_was_away ? OrderClients::silence_bound : promised_answer,
             probes.orders());
    proof.note = fmt::format("slowest answer {} ms, slowest order {} ms", clients.longest_answer().count(),
                             probes.longest().count());
    return proof;
}

} // namespace

Proof prove_engine_faults(EngineFault fault, const Series& series, double rate)
{
    return run_engine_faults(fault, series, rate);
}

Proof prove_crashes_without_waiting_for_the_disk(const Series& series, double rate)
{
    return run_engine_faults(EngineFault::postgres_killed, series, rate, {"--synchronous", "normal"}, false);
}

} // namespace hotspare::test
