#include "common/text.hpp"
#include "common/time.hpp"
#include "experiment/commands.hpp"
#include "experiment/load/fetch.hpp"
#include "experiment/orders/check.hpp"
#include "experiment/orders/history.hpp"
#include "experiment/orders/recorder.hpp"
#include "experiment/orders/run.hpp"
#include "experiment/orders/summary.hpp"
#include "experiment/orders/testbed.hpp"
#include "experiment/progress.hpp"
#include "experiment/scratch.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <random>

namespace hotspare::experiment {
namespace {

namespace fs = std::filesystem;

constexpr Duration steady_time = seconds(20); ///< for what we started to be called healthy before anything is done
constexpr Duration running_time = seconds(5); ///< the same for what runs already

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
    fmt::print("\n{}", summary(history, judgement, terminal_columns, ::isatty(STDOUT_FILENO) == 1));
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
    fmt::print("orders: {} at {}/s, {} {}, at {}\n", options.orders, config::format_number(options.rate),
               external_service, to_string(options.mode), start.target);
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
        OrdersRun run({.gateway = *gateway,
                       .validator = *validator,
                       .mode = options.mode,
                       .id_prefix = id_prefix,
                       .steady_within = is_ours ? steady_time : running_time,
                       .columns = terminal_columns},
                      recorder, interrupted);
        run.run();
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
               history.mode ? fmt::format("{} {}", external_service, to_string(*history.mode)) : "other faults",
               printable(history.target));
    fmt::print("{}", summary(history, judgement, terminal_columns, ::isatty(STDOUT_FILENO) == 1));
    return exit_code(judgement.verdict);
}

} // namespace hotspare::experiment
