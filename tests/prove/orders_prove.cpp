// orders_prove: the long form of what tests/system/orders_crash_test.cpp and orders_engines_test.cpp show in short. It
// kills, cuts, freezes and starves the real processes of the order pipeline and its engines some hundred times, audits
// what is left, and ends with
//
//     lost 0, doubled 0, stuck 0 of 41234
//
// Exit: 0 if that is so and nothing else went wrong, 1 if not, 2 for wrong usage.
#include "tests/support/order_proofs.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <exception>
#include <functional>
#include <optional>
#include <random>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

namespace {

using namespace hotspare::test;

struct Plan {
    std::vector<Engine> engines{Engine::sqlite, Engine::postgres_redis};
    std::size_t crashes = 100; ///< at each point
    std::size_t losses = 100;  ///< of power
    std::size_t faults = 50;   ///< of each kind
    std::size_t kills = 500;   ///< at random
    std::size_t rate = 100;    ///< orders per second meanwhile
    std::uint64_t seed = std::random_device{}();
    std::string only;
};

constexpr auto usage = R"(usage: orders_prove [--engine NAME] [--crashes N] [--losses N] [--faults N]
                    [--kills N] [--rate N] [--seed N] [--only WORD]
  --engine   sqlite, postgres+redis or both (both)
  --crashes  number of crashes at each point of the code (100)
  --losses   number of simulated power failures; SQLite only (100)
  --faults   number of faults of each kind in PostgreSQL and Redis (50)
  --kills    number of kills of random processes (500)
  --rate     orders per second during faults and random kills (100)
  --seed     seed of the random choices; that of a run is printed at its start
  --only     run only the proofs whose name contains this word
  --help     print this help and exit
)";

bool read_engine(Plan& plan, std::string_view name)
{
    if (name == "both") return true;
    std::erase_if(plan.engines, [&](Engine engine) { return to_string(engine) != name; });
    return !plan.engines.empty();
}

bool read_number(Plan& plan, std::string_view flag, std::string_view value)
{
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    if (error != std::errc() || end != value.data() + value.size()) return false;
    if (flag == "--crashes")
        plan.crashes = number;
    else if (flag == "--losses")
        plan.losses = number;
    else if (flag == "--faults")
        plan.faults = number;
    else if (flag == "--kills")
        plan.kills = number;
    else if (flag == "--rate" && number > 0)
        plan.rate = number;
    else if (flag == "--seed")
        plan.seed = number;
    else
        return false;
    return true;
}

/// Throws std::invalid_argument, which says what is wrong.
Plan parse(const std::vector<std::string_view>& words)
{
    Plan plan;
    for (std::size_t i = 0; i < words.size(); i += 2) {
        if (i + 1 == words.size())
            throw std::invalid_argument(fmt::format("{}: unknown, or without a value", words[i]));
        const auto value = words[i + 1];
        if (words[i] == "--only")
            plan.only = value;
        else if (!(words[i] == "--engine" ? read_engine(plan, value) : read_number(plan, words[i], value)))
            throw std::invalid_argument(
                fmt::format("{} {}: unknown flag, or a value that it does not take", words[i], value));
    }
    return plan;
}

struct Named {
    std::string name;
    std::size_t cycles = 0;
    std::function<Proof(const Series&)> prove;
};

std::vector<Named> proofs(const Plan& plan, Engine engine)
{
    using Point = FaultyDisk::Point;
    const auto rate = static_cast<double>(plan.rate);
    std::vector<Named> out;
    if (engine == Engine::sqlite) {
        const auto crashes_at = [](Point point) {
            return [point](const Series& series) { return prove_crashes_at(point, series); };
        };
        out.push_back({"crash before commit", plan.crashes, crashes_at(Point::log_write)});
        out.push_back({"crash after commit, before the answer", plan.crashes, crashes_at(Point::log_synced)});
        out.push_back({"crash during a checkpoint", plan.crashes, crashes_at(Point::data_write)});
    } else {
        out.push_back({"crash of an order_service", plan.crashes, prove_crashes_of_order_services});
    }
    out.push_back({"crash after a claim", plan.crashes,
                   [engine](const Series& series) { return prove_crashes_after_claim(engine, series); }});
    out.push_back({"crash before completion", plan.crashes,
                   [engine](const Series& series) { return prove_crashes_before_completion(engine, series); }});
    if (engine == Engine::sqlite)
        out.push_back(
            {"loss of power", plan.losses, [](const Series& series) { return prove_losses_of_power(series); }});
    else
        for (const auto fault :
             {EngineFault::redis_killed, EngineFault::redis_flushed, EngineFault::redis_frozen,
              EngineFault::postgres_restarted, EngineFault::postgres_killed, EngineFault::backends_terminated})
            out.push_back({std::string(to_string(fault)), plan.faults,
                           [fault, rate](const Series& series) { return prove_engine_faults(fault, series, rate); }});
    out.push_back({"random kills", plan.kills,
                   [engine, rate](const Series& series) { return prove_random_kills(engine, series, rate); }});
    std::erase_if(out, [&](const Named& one) { return one.cycles == 0 || one.name.find(plan.only) == one.name.npos; });
    return out;
}

/// The instrument can see a loss: without waiting for the disk, orders are lost with the power, or with PostgreSQL.
bool sees_losses(const Plan& plan, Engine engine)
{
    const Series series{.cycles = 20, .seed = plan.seed};
    const auto proof = engine == Engine::sqlite
                           ? prove_losses_of_power(series, {"--synchronous", "normal"})
                           : prove_crashes_without_waiting_for_the_disk(series, static_cast<double>(plan.rate));
    fmt::print("negative control: --synchronous normal lost {} orders in {} {}\n", proof.audit.lost, proof.faults,
               engine == Engine::sqlite ? "losses of power" : "kills of PostgreSQL");
    return proof.audit.lost > 0;
}

bool prove(const Plan& plan, Engine engine, OrderAudit& sum)
{
    const bool terminal = ::isatty(STDOUT_FILENO) == 1;
    bool holds = true;
    const auto all = proofs(plan, engine);
    if (all.empty()) return true;
    fmt::print("engine {}\n", to_string(engine));
    for (const auto& [name, cycles, prove] : all) {
        const auto began = Clock::now();
        const auto progress = [&, &name = name, &cycles = cycles](std::size_t done) {
            if (terminal)
                fmt::print("\r{}: {} of {}", name, done, cycles);
            else if (done % 25 == 0 && done < cycles)
                fmt::print("{}: {} of {}\n", name, done, cycles);
            std::fflush(stdout);
        };
        const auto proof = prove({.cycles = cycles, .seed = plan.seed, .progress = progress});
        const auto took = std::chrono::duration_cast<seconds>(Clock::now() - began);
        const bool good = proof.holds() && proof.faults >= cycles;
        fmt::print("{}{}: {} ({})\n", terminal ? "\r" : "", name, good ? proof.summary() : proof.text(), took);
        std::fflush(stdout);
        holds = holds && good;
        sum.acknowledged += proof.audit.acknowledged;
        sum.lost += proof.audit.lost;
        sum.doubled += proof.audit.doubled;
        sum.stuck += proof.audit.stuck;
    }
    const auto controlled = engine == Engine::sqlite ? "loss of power" : to_string(EngineFault::postgres_killed);
    if (std::ranges::any_of(all, [&](const Named& one) { return one.name == controlled; }))
        holds = sees_losses(plan, engine) && holds;
    return holds;
}

int run(const Plan& plan)
{
    fmt::print("seed {}\n", plan.seed);
    bool holds = true;
    OrderAudit sum;
    for (const auto engine : plan.engines) holds = prove(plan, engine, sum) && holds;
    fmt::print("{}\n", sum.summary());
    return holds ? 0 : 1;
}

} // namespace

int main(int argc, char** argv)
{
    const std::vector<std::string_view> words(argv + 1, argv + argc);
    if (std::ranges::any_of(words, [](auto word) { return word == "--help" || word == "-h"; })) {
        std::fputs(usage, stdout);
        return 0;
    }
    try {
        const auto plan = parse(words);
        if (!FaultyDisk::available() && plan.engines.front() == Engine::sqlite) {
            std::fputs("orders_prove: with SQLite not in a build with a sanitizer\n", stderr);
            return 1;
        }
        return run(plan);
    } catch (const std::invalid_argument& error) {
        fmt::print(stderr, "orders_prove: {}\n{}", error.what(), usage);
        return 2;
    } catch (const std::exception& error) {
        fmt::print(stderr, "orders_prove: {}\n", error.what());
        return 1;
    }
}
