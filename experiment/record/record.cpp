#include "experiment/record/record.hpp"

#include "common/format.hpp"
#include "common/json_document.hpp"
#include "experiment/record/json_line.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <istream>
#include <iterator>
#include <limits>
#include <ostream>
#include <span>
#include <utility>

namespace hotspare::experiment {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::uint32_t format_version = 1;

constexpr std::array<std::string_view, 8> outcome_names{"good",   "status",    "wrong_body", "refused",
                                                        "broken", "truncated", "malformed",  "timed_out"};
constexpr std::array<std::string_view, 4> stage_names{"before", "during", "after", "restored"};

template <class E, std::size_t n>
std::optional<E> word_in(const std::array<std::string_view, n>& names, std::string_view word) noexcept
{
    const auto* const found = std::find(names.begin(), names.end(), word);
    if (found == names.end()) return std::nullopt;
    return static_cast<E>(found - names.begin());
}

// --- Writing ---------------------------------------------------------------------------------------------------------

std::string quoted(const std::string& text)
{
    return json_text(OrderedJson(text));
}

void add_text(OrderedJson& line, const char* key, const std::string& text)
{
    if (!text.empty()) line[key] = text;
}

OrderedJson to_json(const ProbeRecord& probe)
{
    OrderedJson line{{"type", "probe"},        {"probe", probe.probe},       {"stage", to_string(probe.stage)},
                     {"at", probe.at.count()}, {"took", probe.took.count()}, {"passed", probe.passed}};
    add_text(line, "detail", probe.detail);
    return line;
}

OrderedJson to_json(const FaultRecord& fault)
{
    OrderedJson line{{"type", "fault"},
                     {"step", fault.step},
                     {"triggered", fault.triggered.count()},
                     {"confirmed", fault.confirmed.count()},
                     {"effective", fault.effective}};
    add_text(line, "evidence", fault.evidence);
    if (fault.undone) line["undone"] = fault.undone->count();
    return line;
}

OrderedJson to_json(const EventRecord& event)
{
    OrderedJson line{{"type", "event"}, {"at", event.at.count()}};
    add_text(line, "id", event.id);
    line["kind"] = event.kind;
    add_text(line, "backend", event.backend);
    add_text(line, "pool", event.pool);
    add_text(line, "from", event.from);
    add_text(line, "to", event.to);
    add_text(line, "cause", event.cause);
    return line;
}

/// By hand, because there are so many.
void write(std::ostream& out, const Sample& sample)
{
    std::string line;
    append(line, R"({{"type":"sample","i":{},"st":{},"due":{},"sent":{},"first":{},"done":{},"end":"{}","code":{})",
           sample.index, sample.stream, sample.due.count(), sample.sent.count(), sample.first_byte.count(),
           sample.done.count(), to_string(sample.outcome), sample.status);
    if (!sample.served_by.empty()) append(line, R"(,"by":{})", quoted(sample.served_by));
    if (sample.waited) append(line, R"(,"waited":true)");
    for (std::size_t i = 0; i < sample.trail.size(); ++i) {
        const Hop& hop = sample.trail[i];
        append(line, R"({}[{},{},{},{}{}])", i == 0 ? R"(,"via":[)" : ",", quoted(hop.backend), quoted(hop.outcome),
               json_text(OrderedJson(hop.ms)), hop.status, hop.hedge ? R"(,"hedge")" : "");
    }
    append(line, "{}}}\n", sample.trail.empty() ? "" : "]");
    out.write(line.data(), static_cast<std::streamsize>(line.size()));
}

// --- Reading ---------------------------------------------------------------------------------------------------------

std::vector<Hop> read_trail(JsonLine& line, const char* key)
{
    std::vector<Hop> result;
    if (!line.has(key)) return result;
    const OrderedJson& list = line.any(key);
    const auto malformed = [&] { line.fail(fmt::format("'{}' is not a list of attempts", key)); };
    if (!list.is_array() || list.empty()) malformed();
    for (const OrderedJson& entry : list) {
        if (!entry.is_array() || entry.size() < 4 || entry.size() > 5 || !entry[0].is_string() ||
            !entry[1].is_string() || !entry[2].is_number() || !entry[3].is_number_unsigned() ||
            entry[3].get<std::uint64_t>() > 999 || (entry.size() == 5 && entry[4] != "hedge"))
            malformed();
        result.push_back({.backend = entry[0].get<std::string>(),
                          .outcome = entry[1].get<std::string>(),
                          .ms = entry[2].get<double>(),
                          .hedge = entry.size() == 5,
                          .status = entry[3].get<unsigned>()});
    }
    return result;
}

Journal read_experiment(JsonLine& line)
{
    if (line.type() != "experiment") line.fail("the first line is not of type 'experiment': this is no record of one");
    if (const auto version = line.number<std::uint32_t>("format"); version != format_version)
        line.fail(fmt::format("the format is {}, this program reads {}", version, format_version));
    Journal journal;
    const std::string name = line.text("name");
    const std::string yaml = line.text("plan");
    journal.seed = line.number<std::uint64_t>("seed");
    journal.repeat = line.number<std::uint32_t>("repeat");
    journal.target = line.text("target");
    const OrderedJson& backends = line.any("backends");
    if (!backends.is_array()) line.fail("'backends' is not a list");
    for (const OrderedJson& backend : backends) {
        if (!backend.is_string()) line.fail("'backends' is not a list of names");
        journal.backends.push_back(backend.get<std::string>());
    }
    if (const OrderedJson& environment = line.any("environment"); !environment.is_null())
        journal.environment = json_text(environment);
    line.complete();
    try {
        journal.plan = read_plan(yaml, name);
    } catch (const UsageError& error) {
        line.fail(fmt::format("the plan in it: {}", error.what()));
    }
    journal.plan.name = name;
    return journal;
}

Run read_run(JsonLine& line)
{
    Run run;
    run.number = line.number<std::uint32_t>("number");
    run.seed = line.number<std::uint64_t>("seed");
    run.started = line.text("started");
    run.counted = line.yes_or_no("counted");
    return run;
}

ProbeRecord read_probe(JsonLine& line)
{
    ProbeRecord probe;
    probe.probe = line.number<std::uint32_t>("probe");
    probe.stage = line.word("stage", &stage_of);
    probe.at = line.time("at");
    probe.took = line.time("took");
    probe.passed = line.yes_or_no("passed");
    probe.detail = line.text_if_any("detail");
    return probe;
}

FaultRecord read_fault(JsonLine& line)
{
    FaultRecord fault;
    fault.step = line.number<std::uint32_t>("step");
    fault.triggered = line.time("triggered");
    fault.confirmed = line.time("confirmed");
    fault.effective = line.yes_or_no("effective");
    fault.evidence = line.text_if_any("evidence");
    if (line.has("undone")) fault.undone = line.time("undone");
    return fault;
}

EventRecord read_event(JsonLine& line)
{
    EventRecord event;
    event.at = line.time("at");
    event.id = line.text_if_any("id");
    event.kind = line.text("kind");
    event.backend = line.text_if_any("backend");
    event.pool = line.text_if_any("pool");
    event.from = line.text_if_any("from");
    event.to = line.text_if_any("to");
    event.cause = line.text_if_any("cause");
    return event;
}

Sample read_sample(JsonLine& line)
{
    Sample sample;
    sample.index = line.number<std::uint64_t>("i");
    sample.stream = line.number<std::uint32_t>("st");
    sample.due = line.time("due");
    sample.sent = line.time("sent");
    sample.first_byte = line.time("first");
    sample.done = line.time("done");
    sample.outcome = line.word("end", &outcome_of);
    sample.status = line.number<unsigned>("code");
    sample.served_by = line.text_if_any("by");
    sample.waited = line.has("waited") && line.yes_or_no("waited");
    sample.trail = read_trail(line, "via");
    return sample;
}

Execution read_execution(JsonLine& line)
{
    Execution execution;
    execution.index = line.number<std::uint64_t>("i");
    execution.backend = line.text("backend");
    execution.times = line.number<std::uint32_t>("times");
    return execution;
}

void read_end(JsonLine& line, Run& run)
{
    if (line.number<std::uint32_t>("run") != run.number)
        line.fail(fmt::format("this ends another run than the one that began, which is run {}", run.number));
    const auto check = [&](const char* key, std::size_t found) {
        if (const auto wanted = line.number<std::uint64_t>(key); wanted != found)
            line.fail(fmt::format("run {} should have {} {}, but {} stand here", run.number, wanted, key, found));
    };
    check("probes", run.probes.size());
    check("faults", run.faults.size());
    check("events", run.events.size());
    check("samples", run.samples.size());
    check("executions", run.executions.size());
    run.invalid = line.text_if_any("invalid");
    run.aborted = line.text_if_any("aborted");
}

/// A line inside a run.
void read_part(JsonLine& line, Run& run)
{
    if (line.type() == "sample") {
        Sample sample = read_sample(line);
        if (!run.samples.empty() && sample.index <= run.samples.back().index)
            line.fail(sample.index == run.samples.back().index
                          ? fmt::format("sample {} stands twice", sample.index)
                          : fmt::format("sample {} comes after sample {}", sample.index, run.samples.back().index));
        run.samples.push_back(std::move(sample));
    } else if (line.type() == "execution") {
        run.executions.push_back(read_execution(line));
    } else if (line.type() == "event") {
        run.events.push_back(read_event(line));
    } else if (line.type() == "probe") {
        run.probes.push_back(read_probe(line));
    } else if (line.type() == "fault") {
        run.faults.push_back(read_fault(line));
    } else {
        line.fail(fmt::format("unknown type {}", config::in_quotes(line.type())));
    }
}

} // namespace

std::string_view to_string(Outcome outcome) noexcept
{
    return outcome_names[static_cast<std::size_t>(outcome)];
}

std::optional<Outcome> outcome_of(std::string_view word) noexcept
{
    return word_in<Outcome>(outcome_names, word);
}

std::string_view to_string(Stage stage) noexcept
{
    return stage_names[static_cast<std::size_t>(stage)];
}

std::optional<Stage> stage_of(std::string_view word) noexcept
{
    return word_in<Stage>(stage_names, word);
}

void write_header(std::ostream& out, const Journal& journal)
{
    out << json_text(OrderedJson{{"type", "experiment"},
                                 {"format", format_version},
                                 {"name", journal.plan.name},
                                 {"plan", journal.plan.text},
                                 {"seed", journal.seed},
                                 {"repeat", journal.repeat},
                                 {"target", journal.target},
                                 {"backends", journal.backends},
                                 {"environment", json_value(journal.environment)}})
        << '\n';
}

void write_run(std::ostream& out, const Run& run)
{
    out << json_text(OrderedJson{{"type", "run"},
                                 {"number", run.number},
                                 {"seed", run.seed},
                                 {"started", run.started},
                                 {"counted", run.counted}})
        << '\n';
    for (const ProbeRecord& probe : run.probes) out << json_text(to_json(probe)) << '\n';
    for (const FaultRecord& fault : run.faults) out << json_text(to_json(fault)) << '\n';
    for (const EventRecord& event : run.events) out << json_text(to_json(event)) << '\n';
    for (const Sample& sample : run.samples) write(out, sample);
    for (const Execution& execution : run.executions)
        out << fmt::format("{{\"type\":\"execution\",\"i\":{},\"backend\":{},\"times\":{}}}\n", execution.index,
                           quoted(execution.backend), execution.times);
    OrderedJson end{{"type", "end"},
                    {"run", run.number},
                    {"probes", run.probes.size()},
                    {"faults", run.faults.size()},
                    {"events", run.events.size()},
                    {"samples", run.samples.size()},
                    {"executions", run.executions.size()}};
    add_text(end, "invalid", run.invalid);
    add_text(end, "aborted", run.aborted);
    out << json_text(end) << '\n';
}

Journal read_journal(std::istream& in, const std::string& file)
{
    std::optional<Journal> journal;
    std::optional<Run> run;
    std::size_t number = 0;
    for (std::string text; std::getline(in, text);) {
        JsonLine line(text, file, ++number);
        if (!journal) {
            journal = read_experiment(line);
            continue;
        }
        if (line.type() == "run") {
            if (run) line.fail(fmt::format("run {} has no end before this one begins", run->number));
            run = read_run(line);
        } else if (!run) {
            line.fail(fmt::format("a line of type {} stands outside a run", config::in_quotes(line.type())));
        } else if (line.type() == "end") {
            read_end(line, *run);
            journal->runs.push_back(std::move(*run));
            run.reset();
        } else {
            read_part(line, *run);
        }
        line.complete();
    }
    if (in.bad()) throw UsageError(fmt::format("{}: cannot be read", file));
    if (!journal) throw UsageError(fmt::format("{}:1: the file is empty", file));
    if (run)
        throw UsageError(fmt::format("{}:{}: run {} has no end: the file is cut off", file, number + 1, run->number));
    return std::move(*journal);
}

} // namespace hotspare::experiment
