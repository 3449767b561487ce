#include "common/json_document.hpp"
#include "common/text.hpp"
#include "experiment/commands.hpp"
#include "experiment/judge/audit.hpp"
#include "experiment/judge/verdict.hpp"
#include "experiment/library.hpp"
#include "experiment/progress.hpp"
#include "experiment/report/result.hpp"
#include "experiment/report/summary.hpp"
#include "experiment/scratch.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <fstream>
#include <map>
#include <random>

namespace hotspare::experiment {
namespace {

namespace fs = std::filesystem;

/// What can happen to any balancer's servers and what it can make good. Not among them: variations on the same, the
/// restart of a balancer, and an answer that is cut in the middle, which no balancer can make good.
constexpr std::array<std::string_view, 14> compared{
    "no-fault", "crash-return", "stop-primary", "refuse", "error-503", "error-500", "reset",
    "close",    "hang-return",  "black-hole",   "slow",   "half-open", "flap",      "both-down",
};

struct Contestant {
    std::string name;
    std::map<std::string, Journal> journals; ///< by experiment
};

std::vector<std::string> wanted_balancers(const BakeoffOptions& options, const Places& places)
{
    std::vector<std::string> out;
    const auto& asked = options.balancers;
    for (const auto& name : asked)
        if (std::ranges::find(known_balancers, name) == known_balancers.end())
            throw UsageError(fmt::format("--balancers: there is no balancer '{}'", name));
    for (const auto name : known_balancers) {
        const bool wanted = asked.empty() || std::ranges::find(asked, name) != asked.end();
        if (!wanted) continue;
        if (program_of(name, places.programs))
            out.emplace_back(name);
        else if (asked.empty())
            fmt::print("{} is not installed and left out\n", name);
        else
            throw UsageError(fmt::format("--balancers: {} is not installed", name));
    }
    return out;
}

/// One run; a second one if the first says nothing of the balancer or could not even begin.
void compete(Contestant& contestant, const Plan& plan, const Places& places, const Scratch& scratch, std::uint64_t seed,
             const Interrupted& interrupted, Progress& progress)
{
    Journal& journal = contestant.journals[plan.name];
    for (int attempt = 0; attempt < 2 && !interrupted; ++attempt) {
        try {
            auto target = start_testbed(plan, {.balancer = contestant.name,
                                               .programs = places.programs,
                                               .peers = places.peers,
                                               .directory = scratch.make(contestant.name),
                                               .balancer_config = {},
                                               .seed = seed,
                                               .interrupted = &interrupted});
            journal.target = target.name;
            journal.backends = target.backends;
            journal.environment = target.environment;
            const auto number = static_cast<std::uint32_t>(journal.runs.size() + 1);
            auto run = run_once(plan, target, number, seed, interrupted, progress.watcher());
            const auto measures = measure(plan, run);
            const auto invalid = run.aborted.empty() ? why_invalid(plan, run, measures) : run.aborted;
            const auto text = [&](Measure which) {
                const auto value = measures.of(which);
                return value ? format(which, *value) : std::string("?");
            };
            progress.end(!invalid.empty() ? "invalid: " + invalid
                                          : fmt::format("failed {}, worst {}, stalled {}", text(Measure::failed),
                                                        text(Measure::max), text(Measure::stalled)));
            if (run.aborted.empty()) journal.runs.push_back(std::move(run));
            if (invalid.empty()) return;
        } catch (const StartupError& error) {
            progress.end(error.what());
        }
    }
}

/// For `experiment check`: the table's numbers can be computed again from the samples.
void save_samples(const fs::path& folder, const Journal& journal)
{
    fs::create_directories(folder);
    std::ofstream out(folder / "samples.jsonl", std::ios::binary | std::ios::trunc);
    write_header(out, journal);
    for (const Run& run : journal.runs) write_run(out, run);
    if (!out.flush()) throw StartupError(fmt::format("cannot write {}", (folder / "samples.jsonl").string()));
}

/// All balancers take their turn at each fault before the next round, each round beginning with another, so that what
/// changes on the machine hits all of them.
void hold(const BakeoffOptions& options, const std::vector<Plan>& plans, std::vector<Contestant>& contestants,
          const Places& places, const Interrupted& interrupted)
{
    const Scratch scratch{{}};
    const auto seed = options.seed ? *options.seed : std::random_device{}();
    for (const Plan& plan : plans) {
        for (Contestant& contestant : contestants) {
            Journal& journal = contestant.journals[plan.name];
            journal.plan = plan;
            journal.seed = seed;
            journal.repeat = options.repeat;
        }
        if (interrupted) continue;
        Progress progress(plan, true);
        fmt::print("{}: {}\n", printable(plan.name), printable(plan.title));
        for (std::uint32_t round = 0; round < options.repeat && !interrupted; ++round)
            for (std::size_t i = 0; i < contestants.size() && !interrupted; ++i) {
                Contestant& contestant = contestants[(round + i) % contestants.size()];
                progress.begin(fmt::format("  {:<9} {}/{}", contestant.name, round + 1, options.repeat));
                compete(contestant, plan, places, scratch, seed, interrupted, progress);
            }
    }
}

/// What an earlier bake-off wrote to `folder`, in the usual order. Returns how many runs of each were wanted.
std::uint32_t load_samples(const fs::path& folder, std::vector<Plan>& plans, std::vector<Contestant>& contestants)
{
    std::uint32_t repeat = 0;
    std::vector<std::string> names(compared.begin(), compared.end());
    if (!fs::is_directory(folder)) throw UsageError(fmt::format("--from: there is no folder {}", folder.string()));
    std::vector<std::string> others;
    for (const auto& entry : fs::directory_iterator(folder))
        if (entry.is_directory() && std::ranges::find(names, entry.path().filename().string()) == names.end())
            others.push_back(entry.path().filename().string());
    std::ranges::sort(others);
    names.insert(names.end(), others.begin(), others.end());
    for (const auto balancer : known_balancers) {
        Contestant contestant{std::string(balancer), {}};
        for (const auto& name : names) {
            const auto file = folder / name / balancer / "samples.jsonl";
            std::ifstream in(file, std::ios::binary);
            if (!in) continue;
            auto journal = read_journal(in, file.string());
            if (const auto problems = audit(journal); !problems.empty())
                throw UsageError(fmt::format("{}: {}", file.string(), problems.front()));
            repeat = std::max(repeat, journal.repeat);
            if (std::ranges::find(plans, name, &Plan::name) == plans.end()) plans.push_back(journal.plan);
            contestant.journals.emplace(name, std::move(journal));
        }
        if (!contestant.journals.empty()) contestants.push_back(std::move(contestant));
    }
    if (contestants.empty())
        throw UsageError(fmt::format("--from: no FAULT/BALANCER/samples.jsonl below {}", folder.string()));
    return repeat;
}

} // namespace

int bakeoff(const BakeoffOptions& options, const Places& places, const Interrupted& interrupted)
{
    std::vector<Plan> plans;
    std::vector<Contestant> contestants;
    std::uint32_t repeat = options.repeat;
    if (options.from.empty()) {
        if (options.experiments.empty())
            for (const auto name : compared) plans.push_back(find_plan(std::string(name), places.library));
        for (const auto& name : options.experiments) plans.push_back(find_plan(name, places.library));
        for (auto& name : wanted_balancers(options, places)) contestants.push_back({std::move(name), {}});
        if (!options.out.empty()) fs::create_directories(options.out);
        hold(options, plans, contestants, places, interrupted);
    } else {
        repeat = load_samples(options.from, plans, contestants);
    }

    std::vector<BakeoffRow> rows;
    auto results = nlohmann::ordered_json::array();
    bool complete = !interrupted;
    for (const Plan& plan : plans) {
        BakeoffRow& row = rows.emplace_back();
        row.fault = plan.name;
        for (Contestant& contestant : contestants) {
            Journal& journal = contestant.journals[plan.name];
            const auto judgement = judge(journal, repeat);
            complete = complete && judgement.valid == repeat;
            auto& cell = row.cells.emplace_back(bakeoff_cell(contestant.name, judgement));
            if (judgement.valid == 0) cell.not_possible = "no valid run";
            results.push_back(result_json(journal, judgement));
            if (!options.out.empty() && !journal.runs.empty())
                save_samples(options.out / plan.name / contestant.name, journal);
        }
        mark_lowest(row);
    }
    fmt::print("\n{}", bakeoff_table(rows));
    if (!options.out.empty()) {
        write_file(options.out / "bakeoff.md", bakeoff_markdown(rows));
        write_file(options.out / "bakeoff.json", json_text(results, 1) + "\n");
    }
    if (interrupted) return exit_code(Verdict::aborted);
    return exit_code(complete ? Verdict::pass : Verdict::invalid);
}

} // namespace hotspare::experiment
