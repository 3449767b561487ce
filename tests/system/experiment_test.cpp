// The experiment runner as its users meet it: the real program, real processes, real faults. It must pass what holds,
// fail what does not (the negative control), refuse what it cannot do, and leave nothing behind however it ends.
#include "tests/support/fleet.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include <unistd.h>

namespace hotspare::test {
namespace TEST_FILE {

namespace fs = std::filesystem;

#ifdef HOTSPARE_SANITIZED
constexpr const char* rate = "60"; // a sanitizer would be overrun by more
#else
constexpr const char* rate = "300";
#endif

constexpr milliseconds whole_experiment = seconds(90);

std::string read(const fs::path& file)
{
    std::ifstream in(file, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

std::string joined(const std::vector<std::string>& lines)
{
    std::string out;
    for (const auto& line : lines) out += line + "\n";
    return out;
}

Finished experiment(std::vector<std::string> arguments)
{
    return run(binary("experiment"), arguments, {}, whole_experiment);
}

/// Processes whose command line mentions `text`, apart from zombies.
std::vector<std::string> processes_with(const std::string& text)
{
    std::vector<std::string> found;
    for (const auto& entry : fs::directory_iterator("/proc")) {
        const auto name = entry.path().filename().string();
        if (name.find_first_not_of("0123456789") != std::string::npos) continue;
        auto command = read(entry.path() / "cmdline");
        std::ranges::replace(command, '\0', ' ');
        if (command.find(text) != std::string::npos) found.push_back(name + ": " + command);
    }
    return found;
}

char state_of(pid_t pid)
{
    const auto stat = read(fmt::format("/proc/{}/stat", pid));
    const auto end = stat.rfind(')');
    return end == std::string::npos || end + 2 >= stat.size() ? '?' : stat[end + 2];
}

class ExperimentTest : public testing::Test {
protected:
    /// A short experiment: `method` and `expect` are YAML lists in one line.
    std::string plan(const std::string& method, const std::string& expect, const std::string& more = {}) const
    {
        return directory_.write("plan.yaml", fmt::format("title: a test\n"
                                                         "duration: 3s\n"
                                                         "steady_state:\n"
                                                         "  - {{name: answers, within: 5s, during_fault: false}}\n"
                                                         "generator: {{lag_p99: 5s, lag_max: 30s}}\n" // a busy machine
                                                         "load:\n"
                                                         "  - {{name: reads, path: /data, rate: {}}}\n"
                                                         "  - {{name: writes, method: POST, path: /echo, rate: 10, "
                                                         "must_succeed: false}}\n"
                                                         "method: {}\n"
                                                         "expect: {}\n{}",
                                                         rate, method, expect, more));
    }

    fs::path out() const { return directory_.path() / "out"; }
    /// Everything that a run starts has its folder in its command line.
    std::vector<std::string> left_running() const { return processes_with(out().string()); }

    TempDir directory_;
    const std::string failing_ = "[{at: 1s, fault: mode, mode: error, on: primary, for: 500ms}]";
    const std::string nothing_lost_ = "[{measure: failed, at_most: 0}, {measure: lost, at_most: 0}, "
                                      "{measure: duplicated, at_most: 0}]";
};

TEST_F(ExperimentTest, PassesWhatHoldsAndWritesEverythingDown)
{
    const auto done = experiment({"run", plan("[{at: 1s, fault: crash, on: primary, for: 500ms}]", nothing_lost_),
                                  "--repeat", "1", "--rate", rate, "--duration", "4s", "--seed", "7", "--out", out()});
    ASSERT_EQ(done.code, 0) << done.out << done.err;
    for (const char* word : {"FAULT", "DETECTED", "FAILOVER", "UNDONE", "PASS", "report:"})
        EXPECT_NE(done.out.find(word), std::string::npos) << word << " is missing in\n" << done.out;
    for (const auto& line : lines_of(done.out)) EXPECT_LE(line.size(), 100U) << line;

    const auto result = nlohmann::json::parse(read(out() / "result.json"));
    EXPECT_EQ(result["verdict"], "PASS");
    EXPECT_TRUE(result["environment"].contains("machine"));
    EXPECT_EQ(result["seed"], 7);
    EXPECT_NE(result["plan"].get<std::string>().find("duration: 4s"), std::string::npos) << "as it was carried out";
    const auto report = read(out() / "report.html");
    EXPECT_NE(report.find("<svg"), std::string::npos);
    EXPECT_EQ(report.find("<script src"), std::string::npos);
    EXPECT_NE(read(out() / "junit.xml").find("<testsuite"), std::string::npos);
    EXPECT_EQ(left_running(), std::vector<std::string>());

    const auto check = experiment({"check", out() / "samples.jsonl"});
    EXPECT_EQ(check.code, 0) << check.out << check.err;
    EXPECT_NE(check.out.find("PASS"), std::string::npos) << check.out;
    const auto compare = experiment({"compare", out(), out()});
    EXPECT_EQ(compare.code, 0) << compare.err;
    EXPECT_NE(compare.out.find("\n0 of "), std::string::npos) << "a thing differs from itself: " << compare.out;
}

/// The negative control: were this to pass, no other verdict would mean anything.
TEST_F(ExperimentTest, ABalancerThatIsBrokenOnPurposeFailsWhatOursPasses)
{
    const auto broken = directory_.write("broken.yaml", R"(listen: 127.0.0.1:@PORT@
backends:
  - {name: primary, url: "http://127.0.0.1:@PRIMARY@"}
  - {name: spare, url: "http://127.0.0.1:@SPARE@"}
pools:
  - name: default
    backends: [primary, spare]
    probe: {interval: 5s, fast_interval: 5s}
    passive: {failing_status: 599, degrade_after: 1000}
    retry: {statuses: [], budget_ratio: 0, budget_per_second: 0, hedge: false}
    park: {timeout: 0s}
)");
    auto file = directory_.path() / "failing.yaml";
    fs::rename(plan(failing_, nothing_lost_), file);
    const auto ours = experiment({"run", file, "--repeat", "1"});
    EXPECT_EQ(ours.code, 0) << ours.out << ours.err;
    const auto theirs = experiment({"run", file, "--repeat", "1", "--balancer-config", broken, "--out", out()});
    EXPECT_EQ(theirs.code, 1) << theirs.out << theirs.err;
    EXPECT_NE(theirs.out.find("FAIL"), std::string::npos) << theirs.out;

    // A server that hangs: without hedges and with slow probes its requests stand as long as it does.
    const auto hang = plan("[{at: 1s, fault: hang, on: primary, for: 1s}]", "[{measure: stalled, at_most: 30}]");
    EXPECT_EQ(experiment({"run", hang, "--repeat", "1"}).code, 0);
    EXPECT_EQ(experiment({"run", hang, "--repeat", "1", "--balancer-config", broken}).code, 1);

    // Forged to pass: a sample that failed is called good. The records of its balancer and its server contradict it.
    const auto samples = out() / "samples.jsonl";
    EXPECT_EQ(experiment({"check", samples}).code, 1) << "unforged, it is a sound record of a failure";
    auto lines = lines_of(read(samples));
    for (auto& line : lines) {
        auto sample = nlohmann::ordered_json::parse(line);
        if (sample.value("type", "") != "sample") continue;
        if (sample["code"] != 503) continue;
        sample["end"] = "good";
        sample["code"] = 200;
        line = sample.dump();
    }
    const auto forgery = experiment({"check", directory_.write("forged.jsonl", joined(lines))});
    EXPECT_EQ(forgery.code, 3) << forgery.out << forgery.err;
    EXPECT_NE(forgery.out.find("REJECTED"), std::string::npos) << forgery.out;
    lines = lines_of(read(samples));
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(lines.size() / 2));
    EXPECT_NE(experiment({"check", directory_.write("cut.jsonl", joined(lines))}).code, 1) << "a line less";
}

TEST_F(ExperimentTest, AFaultThatWasNotEffectiveMakesTheRunInvalid)
{
    // A server that is dead has no connections that it could forget. (One that is merely idle has: a hedge may use
    // them.)
    const auto done = experiment({"run",
                                  plan("[{at: 500ms, fault: crash, on: spare, for: 1s}, "
                                       "{at: 1s, fault: half_open, on: spare, for: 300ms}]",
                                       nothing_lost_, "abort_when: {error_rate: 0.5}\n"),
                                  "--repeat", "1", "--quiet"});
    EXPECT_EQ(done.code, 3) << done.out << done.err;
    EXPECT_NE(done.out.find("INVALID"), std::string::npos) << done.out;
    EXPECT_NE(done.out.find("(half_open of spare) was not effective"), std::string::npos) << done.out;
}

TEST_F(ExperimentTest, StopsEarlyWhenThePlanSaysSo)
{
    const auto done = experiment({"run",
                                  plan("[{at: 500ms, fault: mode, mode: error, on: primary}, "
                                       "{at: 500ms, fault: mode, mode: error, on: spare}]",
                                       nothing_lost_, "abort_when: {error_rate: 0.2, over: 500ms}\n"),
                                  "--repeat", "3"});
    EXPECT_EQ(done.code, 4) << done.out << done.err;
    EXPECT_NE(done.out.find("% of the requests failed within 500ms"), std::string::npos) << done.out;
}

/// Whenever it is interrupted: exit code 4, and nothing that it started or did is left.
TEST_F(ExperimentTest, AnInterruptionAtAnyMomentLeavesNothing)
{
    const auto file = plan("[{at: 300ms, fault: hang, on: primary, for: 1s}, "
                           "{at: 600ms, fault: crash, on: spare, for: 500ms}]",
                           "[{measure: requests, at_least: 1}]");
    for (const char* moment : {"a test", "run 1 of 3", "hang on primary", "crash on spare", "UNDONE", "run 2 of 3"}) {
        SCOPED_TRACE(moment);
        Process program(binary("experiment"), {"run", file, "--repeat", "3", "--out", out()});
        ASSERT_TRUE(program.wait_line(moment)) << program.description();
        const auto count = [&] {
            const auto printed = program.out();
            std::size_t faults = 0;
            for (auto at = printed.find("FAULT"); at != std::string::npos; at = printed.find("FAULT", at + 1)) ++faults;
            return faults;
        };
        const auto faults = count();
        program.signal(SIGINT);
        EXPECT_EQ(program.wait_exit(seconds(60)), 4) << program.description();
        ASSERT_TRUE(program.wait_output_end());
        // One may have been made in the moment of the signal; not one that was due later.
        EXPECT_LE(count(), faults + 1) << program.description();
        EXPECT_EQ(left_running(), std::vector<std::string>());
    }
}

/// Requests that are under way are waited for. Without a server to answer them that takes their whole timeout, in which
/// the faults must not stand and no further one may be made.
TEST_F(ExperimentTest, AnInterruptionUndoesAtOnceWhatKeepsRequestsWaiting)
{
    const auto file = plan("[{at: 300ms, fault: hang, on: primary}, {at: 300ms, fault: hang, on: spare}, "
                           "{at: 1500ms, fault: restart, on: balancer}]",
                           "[{measure: requests, at_least: 1}]");
    Process program(binary("experiment"), {"run", file, "--repeat", "1", "--out", out()});
    ASSERT_TRUE(program.wait_line("hang on spare")) << program.description();
    program.signal(SIGINT);
    EXPECT_EQ(program.wait_exit(seconds(60)), 4) << program.description();
    ASSERT_TRUE(program.wait_output_end());
    EXPECT_EQ(program.out().find("restart on balancer"), std::string::npos) << program.out();
    EXPECT_EQ(left_running(), std::vector<std::string>());
}

TEST_F(ExperimentTest, NothingSurvivesItsViolentDeath)
{
    const auto file = plan("[{at: 300ms, fault: hang, on: primary}]", "[{measure: requests, at_least: 1}]");
    Process program(binary("experiment"), {"run", file, "--repeat", "3", "--out", out()});
    ASSERT_TRUE(program.wait_line("hang on primary")) << program.description();
    EXPECT_FALSE(left_running().empty());
    program.signal(SIGKILL);
    program.wait_exit();
    EXPECT_TRUE(eventually([&] { return left_running().empty(); })) << joined(left_running());
}

TEST_F(ExperimentTest, HitsAForeignSystemAndLeavesItAsItWas)
{
    const auto store = (directory_.path() / "data.sqlite").string();
    Backend primary("primary", store), spare("spare", store);
    Balancer balancer({{"primary", primary.port()}, {"spare", spare.port()}});
    const std::vector<std::string> target{"--target", fmt::format("http://127.0.0.1:{}", balancer.port()), "--process",
                                          fmt::format("primary={}", primary.process().pid())};
    const auto with_target = [&](std::vector<std::string> arguments) {
        arguments.insert(arguments.end(), target.begin(), target.end());
        return arguments;
    };
    const auto file = plan("[{at: 500ms, fault: hang, on: primary, for: 1s}]", "[{measure: failed, at_most: 0}]");
    const auto done = experiment(with_target({"run", file, "--repeat", "1"}));
    EXPECT_EQ(done.code, 0) << done.out << done.err;
    EXPECT_NE(state_of(primary.process().pid()), 'T');

    Process interrupted(binary("experiment"), with_target({"run", file, "--repeat", "1"}));
    ASSERT_TRUE(interrupted.wait_line("hang on primary")) << interrupted.description();
    interrupted.signal(SIGINT);
    EXPECT_EQ(interrupted.wait_exit(seconds(60)), 4) << interrupted.description();
    EXPECT_NE(state_of(primary.process().pid()), 'T');
    EXPECT_TRUE(spare.process().running());

    const auto no_gate = plan("[{at: 500ms, fault: black_hole, on: primary}]", "[{measure: failed, at_most: 0}]");
    const auto refused = experiment(with_target({"run", no_gate, "--repeat", "1"}));
    EXPECT_EQ(refused.code, 2) << refused.out << refused.err;
    EXPECT_NE(refused.err.find("gate"), std::string::npos) << refused.err;
}

TEST_F(ExperimentTest, RefusesInOneLineWhatItCannotDo)
{
    int number = 0;
    const auto bad = [&](const std::string& method, const std::string& expect) {
        const auto file = directory_.path() / fmt::format("bad{}.yaml", ++number);
        fs::rename(plan(method, expect), file);
        return std::vector<std::string>{"run", file};
    };
    const auto fine = bad(failing_, nothing_lost_).back();
    const std::vector<std::pair<std::vector<std::string>, std::string>> cases{
        {{"run", "crash-primray"}, "did you mean 'crash-primary'?"},
        {bad("[{at: 1s, fault: explode, on: primary}]", nothing_lost_), "bad2.yaml:9:"},
        {bad("[{at: 9s, fault: crash, on: primary}]", nothing_lost_), "the load lasts only 3s"},
        {bad("[{at: 1s, fault: crash, on: nobody}]", nothing_lost_), "nobody"},
        {bad("[{at: 1s, fault: crash, bytez: 3}]", nothing_lost_), "did you mean 'bytes'"},
        {bad("[]", "[{measure: max, at_most: soon}]"), "bad6.yaml:10:"},
        {bad("[{at: 1s, fault: latency, on: primary, for: 1s}, {at: 1500ms, fault: cut, on: primary, for: 1s}]",
             nothing_lost_),
         "is not over by then"},
        {bad("[]", "[{measure: max, at_most: 1s}]"), "promises times"},
        {{"run", fine, "--balancer", "varnish"}, "there is no balancer 'varnish'"},
        {{"run", fine, "--target", "http://127.0.0.1:1"}, "--backend primary"},
        {{"run", "no-fault", "--target", "http://127.0.0.1:1"}, "does not answer"},
        {{"run", "crash-primary", "--target", "http://127.0.0.1:1", "--process", "primary=1"}, "add --supervised"},
        {{"run", "crash-primary", "--target", "http://127.0.0.1:1", "--process", "primary=1", "--supervised"},
         "not ours to hit"},
        {{"run", fine, "--backend", "primary=http://127.0.0.1:1"}, "--target"},
        {{"run", fine, "--process", "primary=1"}, "--target"},
        {{"run", fine, "--ledger", "primary=x"}, "--target"},
        {{"run", fine, "--rate", "1000000"}, "rate"},
        {{"check", "/nowhere/samples.jsonl"}, "cannot be read"},
        {{"bakeoff", "--balancers", "varnish"}, "varnish"},
        {{"explode"}, "subcommand"},
        {{}, "subcommand"},
    };
    for (const auto& [arguments, expected] : cases) {
        SCOPED_TRACE(expected);
        const auto done = experiment(arguments);
        EXPECT_EQ(done.code, 2) << done.out << done.err;
        EXPECT_NE(done.err.find(expected), std::string::npos) << done.err;
    }
}

TEST_F(ExperimentTest, EveryExperimentOfTheLibraryIsListedAndValid)
{
    const auto list = experiment({"list"});
    ASSERT_EQ(list.code, 0) << list.err;
    std::size_t count = 0;
    for (const auto& entry : fs::directory_iterator(source_file("experiment/library"))) {
        EXPECT_NE(list.out.find("  " + entry.path().stem().string() + " "), std::string::npos) << entry.path();
        ++count;
    }
    EXPECT_GE(count, 20U);
}

/// The faults that no other test makes.
struct Harm {
    const char* name;
    const char* method;
};

void PrintTo(const Harm& harm, std::ostream* out)
{
    *out << harm.method;
}

class ExperimentFault : public ExperimentTest, public testing::WithParamInterface<Harm> {};

TEST_P(ExperimentFault, LosesNothing)
{
    const auto done = experiment({"run", plan(GetParam().method, nothing_lost_), "--repeat", "1"});
    EXPECT_EQ(done.code, 0) << done.out << done.err;
}

INSTANTIATE_TEST_SUITE_P(
    Harms, ExperimentFault,
    testing::Values(Harm{"stop", "[{at: 500ms, fault: stop, on: primary, for: 1s}]"},
                    Harm{"restart", "[{at: 500ms, fault: restart, on: primary}]"},
                    Harm{"balancer_restart", "[{at: 500ms, fault: restart, on: balancer}]"},
                    Harm{"latency", "[{at: 500ms, fault: latency, delay: 200ms, on: primary, for: 1s}]"},
                    Harm{"jitter", "[{at: 500ms, fault: jitter, delay: 200ms, on: primary, for: 1s}]"},
                    Harm{"drip", "[{at: 500ms, fault: drip, delay: 20ms, on: primary, for: 1s}]"},
                    Harm{"bandwidth", "[{at: 500ms, fault: bandwidth, bytes: 1KiB, on: primary, for: 1s}]"},
                    Harm{"two_at_once", "[{at: 500ms, fault: black_hole, on: primary, for: 1s}, "
                                        "{at: 600ms, fault: mode, mode: error, on: primary, for: 1s}]"}),
    [](const auto& test) { return std::string(test.param.name); });

TEST_F(ExperimentTest, ACrashOfTheBalancerLosesNothingThatWasNotInFlight)
{
    const auto done =
        experiment({"run",
                    plan("[{at: 500ms, fault: crash, on: balancer, for: 200ms}]",
                         "[{measure: failed_not_in_flight, at_most: 0}, {measure: duplicated, at_most: 0}]"),
                    "--repeat", "1"});
    EXPECT_EQ(done.code, 0) << done.out << done.err;
}

TEST_F(ExperimentTest, ABakeoffShowsEachBalancerBesideEachFault)
{
    const auto done = experiment(
        {"bakeoff", "--balancers", "hotspare", "--experiments", "no-fault", "--repeat", "1", "--out", out()});
    ASSERT_EQ(done.code, 0) << done.out << done.err;
    EXPECT_NE(done.out.find("no-fault"), std::string::npos);
    EXPECT_NE(read(out() / "bakeoff.md").find("hotspare"), std::string::npos);
    EXPECT_EQ(nlohmann::json::parse(read(out() / "bakeoff.json"))[0]["target"], "hotspare");
}

} // namespace TEST_FILE
} // namespace hotspare::test
