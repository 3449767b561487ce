#include "common/json_document.hpp"
#include "common/text.hpp"
#include "experiment/commands.hpp"
#include "experiment/judge/verdict.hpp"
#include "experiment/library.hpp"
#include "experiment/progress.hpp"
#include "experiment/report/report.hpp"
#include "experiment/report/result.hpp"
#include "experiment/report/summary.hpp"
#include "experiment/report/timeline.hpp"
#include "experiment/scratch.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <random>

namespace hotspare::experiment {
namespace {

namespace fs = std::filesystem;

void override_plan(Plan& plan, const RunOptions& options)
{
    if (!options.rate && !options.duration) return;
    if (options.rate) {
        const double factor = *options.rate / plan.load.front().rate;
        for (Stream& stream : plan.load) stream.rate *= factor;
    }
    if (options.duration) plan.duration = *options.duration;
    // What is recorded must be what was done: the text is made anew, and read again, which checks it.
    const auto name = plan.name;
    try {
        plan = read_plan(config::to_yaml(plan), name);
    } catch (const UsageError& error) {
        // "NAME:LINE:COLUMN: what": a place in a generated text, which no user has seen.
        const std::string text = error.what();
        throw UsageError(fmt::format("{} with {}: {}", name,
                                     options.rate && options.duration ? "this --rate and --duration"
                                     : options.rate                   ? "this --rate"
                                                                      : "this --duration",
                                     text.substr(text.find(": ") + 2)));
    }
}

Journal begin_journal(const Plan& plan, const RunOptions& options)
{
    Journal journal;
    journal.plan = plan;
    journal.seed = options.seed ? *options.seed : std::random_device{}();
    journal.repeat = options.repeat;
    return journal;
}

/// samples.jsonl, which grows run by run: what has been measured survives whatever ends the experiment.
class SampleFile {
public:
    explicit SampleFile(const fs::path& directory)
    {
        if (directory.empty()) return;
        std::error_code error;
        fs::create_directories(directory, error);
        // Those of an earlier experiment do not belong to these samples.
        for (const char* old : {"report.html", "result.json", "junit.xml"}) fs::remove(directory / old, error);
        file_ = directory / "samples.jsonl";
        out_.open(file_, std::ios::binary | std::ios::trunc);
        if (!out_) throw UsageError(fmt::format("--out: cannot write {}", file_.string()));
    }
    void add(const Journal& journal, const Run& run)
    {
        if (!out_.is_open()) return;
        if (journal.runs.empty()) write_header(out_, journal);
        write_run(out_, run);
        if (!out_.flush()) throw StartupError(fmt::format("cannot write {}", file_.string()));
    }

private:
    fs::path file_;
    std::ofstream out_;
};

std::string outcome_of_run(const Plan& plan, const Run& run)
{
    if (!run.aborted.empty()) return "aborted: " + run.aborted;
    const auto measures = measure(plan, run);
    if (const auto why = why_invalid(plan, run, measures); !why.empty()) return "invalid: " + why;
    std::string text;
    for (const auto which :
         {Measure::requests, Measure::failed, Measure::max, Measure::detection, Measure::failover, Measure::failback})
        if (const auto value = measures.of(which))
            text += fmt::format("{}{} {}", text.empty() ? "" : ", ", to_string(which), format(which, *value));
    return text;
}

} // namespace

int run(const RunOptions& options, const Places& places, const Interrupted& interrupted)
{
    auto plan = find_plan(options.experiment, places.library);
    override_plan(plan, options);
    auto journal = begin_journal(plan, options);
    SampleFile samples(options.out);
    const Scratch scratch(options.out.empty() ? fs::path() : options.out / "runs");
    Progress progress(plan, options.quiet);
    fmt::print("{}: {}\n", printable(plan.name), printable(plan.title));
    Series series;
    series.repeat = options.repeat;
    series.seed = journal.seed;
    series.start = [&](std::uint32_t number) {
        progress.begin(number <= options.repeat ? fmt::format("run {} of {}", number, options.repeat)
                                                : fmt::format("run {}, in place of an invalid one", number));
        if (!options.target.empty())
            return attach(plan, {.url = options.target,
                                 .backends = options.backends,
                                 .processes = options.processes,
                                 .ledgers = options.ledgers,
                                 .supervised = options.supervised});
        return start_testbed(plan, {.balancer = options.balancer,
                                    .programs = places.programs,
                                    .peers = places.peers,
                                    .directory = scratch.make(std::to_string(number)),
                                    .balancer_config = options.balancer_config,
                                    .seed = journal.seed,
                                    .interrupted = &interrupted});
    };
    std::string cut_short;
    try {
        run_series(plan, series, interrupted, progress.watcher(), [&](const Target& target, Run run) {
            if (journal.runs.empty()) {
                journal.target = target.name;
                journal.backends = target.backends;
                journal.environment = target.environment;
            }
            samples.add(journal, run);
            progress.end(outcome_of_run(plan, run));
            if (options.repeat == 1) fmt::print("\n{}", timeline(plan, run, target.backends, terminal_columns));
            journal.runs.push_back(std::move(run));
        });
    } catch (const std::exception& error) {
        // A target that cannot be started again does not undo what has been measured.
        if (journal.runs.empty() && !interrupted) throw;
        cut_short = error.what();
    }
    if (!cut_short.empty())
        fmt::print("{}\n", interrupted ? "interrupted while the target was started" : printable(cut_short));
    if (journal.runs.empty()) return exit_code(Verdict::aborted);

    const auto judgement = judge(journal, journal.repeat);
    fmt::print("\n{}", summary(journal, judgement, terminal_columns, ::isatty(STDOUT_FILENO) == 1));
    if (!options.out.empty()) {
        write_file(options.out / "report.html", html_report(journal, judgement));
        write_file(options.out / "result.json", json_text(result_json(journal, judgement), 2) + "\n");
        write_file(options.out / "junit.xml", junit_xml(journal, judgement));
        fmt::print("\nreport: {}\n", (options.out / "report.html").string());
    }
    return exit_code(interrupted ? Verdict::aborted : judgement.verdict);
}

int list(const Places& places)
{
    for (const auto& name : names_in(places.library))
        fmt::print("  {:<18} {}\n", name, printable(find_plan(name, places.library).title));
    return 0;
}

} // namespace hotspare::experiment
