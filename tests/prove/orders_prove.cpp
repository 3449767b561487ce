// orders_prove: the long form of what tests/system/orders_crash_test.cpp shows in short. It kills, cuts and starves the
// real processes of the order pipeline some hundred times, audits what is left, and ends with
//
//     lost 0, doubled 0, stuck 0 of 41234
//
// Exit: 0 if that is so and nothing else went wrong, 1 if not, 2 for wrong usage.
#include "tests/support/order_trial.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <functional>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

namespace {

using namespace hotspare::test;

struct Plan {
    std::size_t crashes = 100; ///< at each point
    std::size_t losses = 100;  ///< of power
    std::size_t kills = 500;   ///< at random
    std::size_t rate = 100;    ///< orders per second meanwhile
    std::uint64_t seed = std::random_device{}();
    std::string only;
};

constexpr auto usage =
    "usage: orders_prove [--crashes N] [--losses N] [--kills N] [--rate N] [--seed N] [--only WORD]\n"
    "  --crashes  at each point of the code (100)\n"
    "  --losses   of power (100)\n"
    "  --kills    of random daemons (500)\n"
    "  --rate     orders per second while daemons are killed at random (100)\n"
    "  --seed     repeats the same choices; printed at the start\n"
    "  --only     only the proofs whose name holds this word\n";

std::optional<Plan> parse(const std::vector<std::string_view>& words)
{
    Plan plan;
    for (std::size_t i = 0; i < words.size(); i += 2) {
        if (i + 1 == words.size()) return std::nullopt;
        const auto value = words[i + 1];
        if (words[i] == "--only") {
            plan.only = value;
            continue;
        }
        std::uint64_t number = 0;
        const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
        if (error != std::errc() || end != value.data() + value.size()) return std::nullopt;
        if (words[i] == "--crashes")
            plan.crashes = number;
        else if (words[i] == "--losses")
            plan.losses = number;
        else if (words[i] == "--kills")
            plan.kills = number;
        else if (words[i] == "--rate" && number > 0)
            plan.rate = number;
        else if (words[i] == "--seed")
            plan.seed = number;
        else
            return std::nullopt;
    }
    return plan;
}

struct Named {
    std::string name;
    std::size_t cycles = 0;
    std::function<Proof(const Series&)> prove;
};

std::vector<Named> proofs(const Plan& plan)
{
    using Point = FaultyDisk::Point;
    const auto crashes_at = [](Point point) {
        return [point](const Series& series) { return prove_crashes_at(point, series); };
    };
    return {
        {"crash before commit", plan.crashes, crashes_at(Point::log_write)},
        {"crash after commit, before the answer", plan.crashes, crashes_at(Point::log_synced)},
        {"crash during a checkpoint", plan.crashes, crashes_at(Point::data_write)},
        {"crash after a claim", plan.crashes, prove_crashes_after_claim},
        {"crash before completion", plan.crashes, prove_crashes_before_completion},
        {"loss of power", plan.losses, [](const Series& series) { return prove_losses_of_power(series); }},
        {"random kills", plan.kills,
         [&plan](const Series& series) { return prove_random_kills(series, static_cast<double>(plan.rate)); }},
    };
}

/// The instrument can see a loss: without waiting for the disk, orders are lost with the power.
bool sees_losses(const Plan& plan)
{
    constexpr std::size_t cycles = 20;
    const auto proof = prove_losses_of_power({.cycles = cycles, .seed = plan.seed}, {"--synchronous", "normal"});
    fmt::print("negative control: with --synchronous normal {} orders were lost in {} losses of power\n",
               proof.audit.lost, proof.faults);
    return proof.audit.lost > 0;
}

int run(const Plan& plan)
{
    const bool terminal = ::isatty(STDOUT_FILENO) == 1;
    fmt::print("seed {}\n", plan.seed);
    bool holds = true;
    OrderAudit sum;
    for (const auto& [name, cycles, prove] : proofs(plan)) {
        if (cycles == 0 || name.find(plan.only) == name.npos) continue;
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
        fmt::print("{}{}: {} ({})\n", terminal ? "\r" : "", name, proof.text(), took);
        std::fflush(stdout);
        holds = holds && proof.holds() && proof.faults >= cycles;
        sum.acknowledged += proof.audit.acknowledged;
        sum.lost += proof.audit.lost;
        sum.doubled += proof.audit.doubled;
        sum.stuck += proof.audit.stuck;
    }
    if (plan.losses > 0 && std::string_view("loss of power").find(plan.only) != std::string_view::npos)
        holds = sees_losses(plan) && holds;
    fmt::print("{}\n", sum.summary());
    return holds ? 0 : 1;
}

} // namespace

int main(int argc, char** argv)
{
    const auto plan = parse({argv + 1, argv + argc});
    if (!plan) {
        std::fputs(usage, stderr);
        return 2;
    }
    if (!FaultyDisk::available()) {
        std::fputs("orders_prove: not in a build with a sanitizer\n", stderr);
        return 1;
    }
    try {
        return run(*plan);
    } catch (const std::exception& error) {
        fmt::print(stderr, "orders_prove: {}\n", error.what());
        return 1;
    }
}
