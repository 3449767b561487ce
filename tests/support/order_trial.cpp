#include "tests/support/order_trial.hpp"

#include "tests/support/gate.hpp"
#include "tests/support/running_system.hpp"
#include "tests/support/socket.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <csignal>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace hotspare::test {
namespace {

using Json = nlohmann::json;

constexpr int killed = 128 + SIGKILL;

constexpr auto lease = OrderTrial::usual_lease;
/// Where every cycle waits for one, and no worker works for long.
constexpr auto short_lease = milliseconds(300);

std::vector<std::string> lease_flag(milliseconds duration)
{
    return {"--lease", fmt::format("{}ms", duration.count())};
}

/// A port that nobody gets by chance while a daemon is down: below those of outgoing connections, one of which might
/// otherwise even connect to itself.
std::uint16_t free_fixed_port()
{
    std::mt19937 random(std::random_device{}());
    for (int attempt = 0; attempt < 100; ++attempt) {
        const auto port = static_cast<std::uint16_t>(20'000 + random() % 10'000);
        try {
            (void)listen_loopback(port);
            return port;
        } catch (const std::system_error&) {
            continue;
        }
    }
    throw std::runtime_error("no free port");
}

/// Whether no order is Processing. Not GET /queue, which may tell of a moment ago.
bool none_processing(std::uint16_t port)
{
    const auto page = get(port, "/get_orders?status=Processing&limit=1");
    return page.status() == 200 && page.json().at("orders").empty();
}

std::size_t up_to(std::mt19937_64& random, std::size_t most)
{
    return std::uniform_int_distribution<std::size_t>(1, most)(random);
}

/// The audit of what the clients placed, when they have come to an end.
void conclude(Proof& proof, OrderTrial& trial, OrderClients& clients)
{
    if (!clients.finish()) proof.problems.emplace_back("an order was not acknowledged in the end");
    for (auto& complaint : clients.complaints()) proof.problems.push_back(complaint);
    (void)trial.drained(); // what is not is found stuck
    proof.audit = trial.audit(clients.placed());
}

/// Waits for the end that a fault must bring.
bool died(Proof& proof, Process& process, milliseconds bound = seconds(60))
{
    const auto code = process.wait_exit(bound);
    if (code == killed) {
        ++proof.faults;
        return true;
    }
    proof.problems.push_back("was not killed: " + process.description());
    return false;
}

/// Places orders one by one at a service that is well.
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

// --- The validator ---------------------------------------------------------------------------------------------------

FakeValidator::FakeValidator() : origin_("validator", [this](const Message& request) { return validate(request); }) {}

Reply FakeValidator::validate(const Message& request)
{
    const auto order = Json::parse(request.body, nullptr, false);
    const auto key = request.header("Idempotency-Key");
    if (!order.is_object() || !key) return Reply::json(R"({"error":"not what a worker asks"})", 400);
    const bool valid = order.value("quantity", 0) <= 1'000;
    {
        const std::lock_guard lock(mutex_);
        by_key_.emplace(*key, std::pair(order.value("order_id", ""), valid ? "Validated" : "Rejected"));
    }
    return Reply::json(valid ? R"({"valid":true})" : R"({"valid":false,"reason":"too many"})");
}

Effects FakeValidator::effects() const
{
    const std::lock_guard lock(mutex_);
    Effects effects;
    for (const auto& [key, effect] : by_key_) effects[effect.first].push_back(effect.second);
    return effects;
}

// --- The processes ---------------------------------------------------------------------------------------------------

OrderTrial::OrderTrial(std::vector<std::string> flags, milliseconds lease_duration)
    : port_(free_fixed_port()), database_(std::filesystem::canonical(dir_.path()) / "orders.sqlite"), disk_(database_),
      flags_(std::move(flags))
{
    for (auto& flag : lease_flag(lease_duration)) flags_.push_back(std::move(flag));
}

Process& OrderTrial::launch_orders()
{
    std::vector<std::string> arguments{"--port", std::to_string(port_), "--data", database_.string()};
    arguments.insert(arguments.end(), flags_.begin(), flags_.end());
    Process::Options options;
    options.environment = disk_.environment();
    orders_.reset();
    orders_ = std::make_unique<Process>(binary("order_service"), arguments, options);
    return *orders_;
}

Process& OrderTrial::start_orders()
{
    launch_orders().wait_ready();
    return *orders_;
}

Process& OrderTrial::start_worker(const std::string& orders_url, const std::string& validator_url)
{
    const auto own = "http://127.0.0.1:" + std::to_string(port_);
    workers_.push_back(std::make_unique<Process>(
        binary("validation_service"),
        std::vector<std::string>{"--port", "0", "--orders", orders_url.empty() ? own : orders_url, "--validator",
                                 validator_url.empty() ? validator_.origin().url() : validator_url}));
    workers_.back()->wait_ready();
    return *workers_.back();
}

bool OrderTrial::drained(milliseconds bound) const
{
    return eventually([&] { return none_processing(port_); }, bound, milliseconds(20));
}

OrderAudit OrderTrial::audit(const std::vector<PlacedOrder>& placed) const
{
    const auto effects = validator_.effects();
    return audit_orders(placed, read_orders(port_), &effects);
}

std::string Proof::text() const
{
    auto text = fmt::format("{} faults: {}{}{}", faults, audit.text(), note.empty() ? "" : "; ", note);
    for (const auto& problem : problems) text += "\n  " + problem;
    return text;
}

// --- The proofs ------------------------------------------------------------------------------------------------------

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
    OrderClients clients({.port = trial.port(), .clients = 8});
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

Proof prove_crashes_after_claim(const Series& series)
{
    std::mt19937_64 random(series.seed);
    Proof proof;
    OrderTrial trial({}, short_lease);
    trial.start_orders();
    Origin mute("mute", [](const Message&) { return Reply::broken(Reply::Break::hang); });
    std::vector<PlacedOrder> placed;
    for (std::size_t cycle = 0; cycle < series.cycles; ++cycle) {
        place(proof, trial, placed, up_to(random, 4));
        mute.forget();
        auto& worker = trial.start_worker({}, mute.url());
        if (!eventually([&] { return mute.executed_by_method("POST") > 0; }))
            proof.problems.push_back("the worker called nobody: " + worker.description());
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

Proof prove_crashes_before_completion(const Series& series)
{
    std::mt19937_64 random(series.seed);
    Proof proof;
    OrderTrial trial({}, short_lease);
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

Proof prove_losses_of_power(const Series& series, std::vector<std::string> flags)
{
    std::mt19937_64 random(series.seed);
    Proof proof;
    OrderTrial trial(std::move(flags));
    trial.disk().expect_loss_of_power();
    trial.start_orders();
    trial.start_worker();
    OrderClients clients({.port = trial.port(), .clients = 8});
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

Proof prove_random_kills(const Series& series, double rate)
{
    const std::array<std::string, 5> daemons{"order_service", "validation_service", "external_service",
                                             "monitor_service", "gateway"};
    std::mt19937_64 random(series.seed);
    Proof proof;
    RunningSystem system("orders", {{"order_service", lease_flag(lease)}});
    OrderClients clients({.port = system.port(8080), .clients = 16, .rate = rate});
    for (std::size_t cycle = 0; cycle < series.cycles; ++cycle) {
        std::vector<std::string> victims(daemons.begin(), daemons.end());
        std::shuffle(victims.begin(), victims.end(), random);
        victims.resize(up_to(random, 4) == 1 ? 2 : 1);
        for (const auto& victim : victims) system.process(victim).signal(SIGKILL);
        bool all_died = true;
        for (const auto& victim : victims) all_died = died(proof, system.process(victim)) && all_died;
        if (!all_died) break;
        for (const auto& victim : victims) system.start(victim);
        if (!clients.wait_for_more(up_to(random, 10)))
            proof.problems.emplace_back("no order was acknowledged between two kills");
        series.progress(cycle + 1);
    }
    if (!clients.finish()) proof.problems.emplace_back("an order was not acknowledged in the end");
    for (auto& complaint : clients.complaints()) proof.problems.push_back(complaint);
    (void)eventually([&] { return none_processing(system.port(5001)); }, seconds(120), milliseconds(50));

    Effects effects;
    std::ifstream ledger(system.directory() / ".run/orders/effects.ledger");
    if (!ledger) throw std::runtime_error("config/orders.system keeps the validator's ledger elsewhere");
    for (std::string line; std::getline(ledger, line);) {
        const auto effect = Json::parse(line);
        effects[effect.at("order_id")].push_back(effect.at("verdict"));
    }
    proof.audit = audit_orders(clients.placed(), read_orders(system.port(5001)), &effects);
    return proof;
}

} // namespace hotspare::test
