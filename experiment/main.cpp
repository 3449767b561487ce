// experiment: injects a fault, measures it, proves the claim. Wiring only; each subcommand is a function of its own.
#include "common/app.hpp"
#include "common/help.hpp"
#include "common/text.hpp"
#include "common/version.hpp"
#include "experiment/commands.hpp"
#include "experiment/judge/verdict.hpp"
#include "experiment/load_command.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <sys/resource.h>

#include <csignal>
#include <cstdio>
#include <exception>

namespace {

using namespace hotspare;
using namespace hotspare::experiment;

Interrupted interrupted{false};

/// The first signal ends the run in order: faults are undone, processes ended, what was measured is kept. All of that
/// is bounded in time, so an impatient second one changes nothing.
void interrupt(int)
{
    interrupted = true;
}

void catch_signals()
{
    struct sigaction action {};
    action.sa_handler = interrupt;
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT}) ::sigaction(number, &action, nullptr);
    std::signal(SIGPIPE, SIG_IGN);
}

/// A stall needs a connection for each request that is due in it, on both sides of the balancer; the usual soft limit
/// of 1024 would be the first thing to fail. Children inherit it.
void raise_descriptor_limit()
{
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

std::filesystem::path programs_of_this_build()
{
    std::error_code error;
    return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().parent_path();
}

/// Turns a flag's text into a duration; CLI11 shows the message.
std::function<void(const std::string&)> into(std::optional<Duration>& value)
{
    return [&value](const std::string& text) {
        const auto parsed = config::parse_duration(text);
        if (!parsed) throw CLI::ValidationError("--duration", parsed.error().message);
        value = *parsed;
    };
}

struct CommandLine {
    CLI::App app{"Injects faults under load, measures their effect and checks the conditions of a plan."};
    Places places{programs_of_this_build(), HOTSPARE_LIBRARY, HOTSPARE_PEERS, HOTSPARE_CONFIG};
    RunOptions run;
    BakeoffOptions bakeoff;
    OrdersOptions orders;
    std::string a, b;
    CLI::App *run_command, *list_command, *check_command, *compare_command, *bakeoff_command, *orders_command;

    CommandLine()
    {
        app.name("experiment");
        app.formatter(narrow_help());
        app.require_subcommand(1);
        app.set_version_flag("--version", std::string(version()));
        app.footer("Exit codes: 0 PASS or done, 1 FAIL, 2 bad usage, 3 INVALID, 4 ABORTED.");

        run_command = app.add_subcommand("run", "run an experiment");
        run_command->add_option("experiment", run.experiment, "a plan file, or a name from `list`")->required();
        auto* target =
            run_command->add_option("--target", run.target, "http://HOST:PORT of a running system; default: start one");
        run_command
            ->add_option("--backend", run.backends,
                         "NAME=http://HOST:PORT of a backend of the target, for failure modes")
            ->needs(target);
        run_command
            ->add_option("--process", run.processes, "NAME=PIDFILE of a process of the target, for process faults")
            ->needs(target);
        run_command
            ->add_flag("--supervised", run.supervised,
                       "a supervisor restarts the processes of the target; required for crash and stop")
            ->needs(target);
        run_command
            ->add_option("--ledger", run.ledgers,
                         "NAME=FILE, the --ledger of a backend of the target, to count executed requests")
            ->needs(target);
        run_command->add_option("--balancer", run.balancer, "balancer to start: hotspare, nginx, haproxy, caddy");
        run_command->add_option(
            "--balancer-config", run.balancer_config,
            "configuration file for hotspare in place of its defaults; @PORT@, @PRIMARY@ and @SPARE@ are replaced");
        run_command
            ->add_option("--rate", run.rate, "requests/s of the first stream; those of the others change in proportion")
            ->check([](const std::string& text) {
                const auto rate = config::parse_number(text);
                return rate && *rate > 0 ? std::string() : "expected a number above 0";
            });
        run_command->add_option_function<std::string>("--duration", into(run.duration),
                                                      "duration of the load, such as 10s");
        run_command->add_option("--repeat", run.repeat, "number of valid runs (default 5)")->check(CLI::Range(1, 1000));
        run_command->add_option("--seed", run.seed, "seed of all random choices");
        run_command->add_option("--out", run.out, "folder for report.html, result.json, samples.jsonl, junit.xml");
        run_command->add_flag("--quiet", run.quiet, "print one line per run");

        list_command = app.add_subcommand("list", "list the experiments that come with hotspare");
        check_command = app.add_subcommand(
            "check", "recompute the verdict from the raw samples, and check that the record is consistent");
        check_command->add_option("samples", a, "samples.jsonl or its folder, or history.jsonl of `orders`")
            ->required();
        compare_command = app.add_subcommand("compare", "show significant differences between two experiments");
        compare_command->add_option("A", a, "samples.jsonl, or its folder")->required();
        compare_command->add_option("B", b, "samples.jsonl of the other experiment, or its folder")->required();

        bakeoff_command =
            app.add_subcommand("bakeoff", "run the same experiments against hotspare, nginx, HAProxy and Caddy");
        bakeoff_command
            ->add_option("--experiments", bakeoff.experiments,
                         "names, separated by commas (default: those that compare balancers)")
            ->delimiter(',');
        bakeoff_command
            ->add_option("--balancers", bakeoff.balancers, "names, separated by commas (default: all installed)")
            ->delimiter(',');
        bakeoff_command
            ->add_option("--repeat", bakeoff.repeat, "number of valid runs of each (default 3; stars need 5)")
            ->check(CLI::Range(1, 100));
        bakeoff_command->add_option("--seed", bakeoff.seed, "seed of all random choices");
        bakeoff_command->add_option("--from", bakeoff.from, "folder of an earlier --out to evaluate; nothing is run")
            ->excludes("--experiments")
            ->excludes("--balancers");
        bakeoff_command->add_option("--out", bakeoff.out, "folder for bakeoff.md, bakeoff.json and all samples");

        orders_command =
            app.add_subcommand("orders", "create orders while the validator fails, and count lost and duplicated ones");
        orders_command->add_option("--orders", orders.orders, "number of orders")
            ->required()
            ->check(CLI::Range(1, 1'000'000));
        orders_command
            ->add_option_function<std::string>(
                "--mode",
                [this](const std::string& word) {
                    const auto mode = failure_mode_of(word);
                    if (!mode)
                        throw CLI::ValidationError(
                            fmt::format("--mode: '{}' is not normal, slow, down or error", word));
                    orders.mode = *mode;
                },
                "of the validator: normal, slow, down, error")
            ->required();
        orders_command->add_option("--rate", orders.rate, "orders per second")->check(CLI::Range(0.1, 100'000.));
        orders_command->add_option("--target", orders.target,
                                   "http://HOST:PORT of the gateway of a running pipeline; default: start one");
        orders_command->add_option("--validator", orders.validator,
                                   "http://HOST:PORT of the control listener of the target's external service; "
                                   "default: the port of --target minus 2977, such as 5103 for 8080");
        orders_command->add_option("--ledger", orders.ledger,
                                   "the --ledger FILE of the target's external service, to count effects");
        orders_command->add_option("--seed", orders.seed,
                                   "seed of the choice of orders that exceed the validator's stock");
        orders_command->add_option("--out", orders.out, "folder for history.jsonl and the logs");

        // Its flags are its own: main() hands the rest of the line over before this is parsed.
        app.add_subcommand("load", "send load and print the measurements; no fault, no verdict");
        orders_command->add_option("--config", places.config, "folder of orders.system.yaml")->group("Paths");
        orders_command->add_option("--programs", places.programs, "folder of the build")->group("Paths");
        for (auto* command : {run_command, list_command, bakeoff_command}) {
            command->add_option("--library", places.library, "folder of the experiments")->group("Paths");
            command->add_option("--programs", places.programs, "folder of the build")->group("Paths");
        }
    }

    int dispatch() const
    {
        if (*run_command) return experiment::run(run, places, interrupted);
        if (*list_command) return list(places);
        if (*check_command) return check(a, places);
        if (*compare_command) return compare(a, b);
        if (*orders_command) return experiment::orders(orders, places, interrupted);
        if (*bakeoff_command) return experiment::bakeoff(bakeoff, places, interrupted);
        return 0;
    }
};

} // namespace

int main(int argc, char** argv)
{
    const std::vector<std::string> words(argv + 1, argv + argc);
    const bool is_load = !words.empty() && words.front() == "load";
    CommandLine line;
    try {
        if (!is_load) line.app.parse(argc, argv);
    } catch (const CLI::ParseError& error) {
        return line.app.exit(error) == 0 ? 0 : 2;
    }
    catch_signals();
    raise_descriptor_limit();
    try {
        return is_load ? load_command({words.begin() + 1, words.end()}) : line.dispatch();
    } catch (const UsageError& error) {
        for (const auto& message : error.messages) fmt::print(stderr, "experiment: {}\n", printable(message));
        return 2;
    } catch (const std::exception& error) {
        // The instruments failed, which says nothing about the system: 1 would.
        fmt::print(stderr, "experiment: {}\n", printable(error.what()));
        return exit_code(Verdict::invalid);
    }
}
