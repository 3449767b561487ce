#include "experiment/report/result.hpp"

#include "common/markup.hpp"
#include "experiment/record/json_line.hpp"
#include "experiment/report/wording.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cctype>
#include <iterator>

namespace hotspare::experiment {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string_view name_of(Unit unit) noexcept
{
    switch (unit) {
    case Unit::count: return "count";
    case Unit::share: return "share";
    case Unit::milliseconds: return "milliseconds";
    }
    return {};
}

/// {PHASE: {MEASURE: value(measure, phase)}} of all measures that exist.
template <class Value> OrderedJson by_phase(Value value)
{
    OrderedJson result = OrderedJson::object();
    for (const Phase phase : phases) {
        OrderedJson values = OrderedJson::object();
        for (std::size_t i = 0; i < measure_count; ++i) {
            const auto measure = static_cast<Measure>(i);
            if (phase == Phase::all || has_phases(measure))
                values[std::string(to_string(measure))] = value(measure, phase);
        }
        result[std::string(to_string(phase))] = std::move(values);
    }
    return result;
}

template <class T> OrderedJson or_null(const std::optional<T>& value)
{
    return value ? OrderedJson(*value) : OrderedJson();
}

std::optional<double> to_ms(const std::optional<Nanos>& time)
{
    if (!time) return std::nullopt;
    return static_cast<double>(time->count()) / 1e6;
}

OrderedJson fault_json(const Plan& plan, const FaultRecord& fault)
{
    const Step* const step = fault.step < plan.method.size() ? &plan.method[fault.step] : nullptr;
    return {{"step", fault.step},
            {"fault", step ? OrderedJson(valid_utf8(describe(*step))) : OrderedJson()},
            {"on", step ? OrderedJson(valid_utf8(step->on)) : OrderedJson()},
            {"effective", fault.effective},
            {"evidence", valid_utf8(fault.evidence)},
            {"triggered_ms", or_null(to_ms(fault.triggered))},
            {"confirmed_ms", fault.effective ? or_null(to_ms(fault.confirmed)) : OrderedJson()},
            {"undone_ms", or_null(to_ms(fault.undone))}};
}

OrderedJson run_json(const Plan& plan, const Run& run)
{
    const Measures measures = measure(plan, run);
    const std::string invalid = why_invalid(plan, run, measures);
    OrderedJson faults = OrderedJson::array();
    for (const FaultRecord& fault : run.faults) faults.push_back(fault_json(plan, fault));
    return {{"number", run.number},
            {"seed", run.seed},
            {"started", valid_utf8(run.started)},
            {"valid", invalid.empty() && run.aborted.empty()},
            {"invalid", valid_utf8(invalid)},
            {"aborted", valid_utf8(run.aborted)},
            {"samples", run.samples.size()},
            {"counted", run.counted},
            {"faults", std::move(faults)},
            {"measures", by_phase([&](Measure what, Phase phase) { return or_null(measures.of(what, phase)); })}};
}

std::vector<std::string> all_valid(const std::vector<std::string>& texts)
{
    std::vector<std::string> result;
    std::transform(texts.begin(), texts.end(), std::back_inserter(result),
                   [](const std::string& text) { return valid_utf8(text); });
    return result;
}

/// Ant's schema wants a moment without zone and fraction.
std::string timestamp(const Journal& journal)
{
    constexpr std::string_view shape = "0000-00-00T00:00:00";
    const std::string text =
        journal.runs.empty() ? std::string() : journal.runs.front().started.substr(0, shape.size());
    const bool fits =
        text.size() == shape.size() && std::equal(text.begin(), text.end(), shape.begin(), [](char c, char wanted) {
            return wanted == '0' ? std::isdigit(static_cast<unsigned char>(c)) != 0 : c == wanted;
        });
    return fits ? text : "1970-01-01T00:00:00";
}

double seconds_of(const Journal& journal)
{
    Nanos sum{};
    for (const Run& run : journal.runs) {
        Nanos last{};
        for (const Sample& sample : run.samples) last = std::max(last, sample.done);
        sum += last;
    }
    return std::chrono::duration<double>(sum).count();
}

} // namespace

nlohmann::ordered_json result_json(const Journal& journal, const Judgement& judgement)
{
    const Plan& plan = journal.plan;
    OrderedJson findings = OrderedJson::array();
    for (const Finding& finding : judgement.findings)
        findings.push_back({{"what", valid_utf8(finding.what)},
                            {"limit", valid_utf8(finding.limit)},
                            {"measured", valid_utf8(finding.measured)},
                            {"judged", finding.judged},
                            {"held", finding.held},
                            {"held_in", finding.held_in},
                            {"runs", finding.runs}});
    const auto spread_json = [&](Measure measure, Phase phase) -> OrderedJson {
        const auto values = spread(judgement.runs, measure, phase);
        if (!values) return {};
        return {{"unit", name_of(unit_of(measure))},
                {"median", values->median},
                {"min", values->min},
                {"max", values->max},
                {"runs", values->runs}};
    };
    OrderedJson runs = OrderedJson::array();
    for (const Run& run : journal.runs) runs.push_back(run_json(plan, run));
    return {{"format", "hotspare-experiment-result-1"},
            {"name", valid_utf8(plan.name)},
            {"title", valid_utf8(plan.title)},
            {"about", valid_utf8(plan.about)},
            {"target", valid_utf8(journal.target)},
            {"backends", all_valid(journal.backends)},
            {"verdict", to_string(judgement.verdict)},
            {"exit_code", exit_code(judgement.verdict)},
            {"sentence", valid_utf8(sentence(judgement))},
            {"reasons", all_valid(judgement.reasons)},
            {"valid", judgement.valid},
            {"total", judgement.total},
            {"wanted", journal.repeat},
            {"findings", std::move(findings)},
            {"measures", by_phase(spread_json)},
            {"runs", std::move(runs)},
            {"seed", journal.seed},
            {"plan", valid_utf8(plan.text)},
            {"environment", json_value(journal.environment)}};
}

std::string junit_xml(const Journal& journal, const Judgement& judgement)
{
    const bool judged = judgement.verdict == Verdict::pass || judgement.verdict == Verdict::fail;
    const std::string class_name = escape("experiment." + journal.plan.name);
    std::string cases;
    std::size_t failures = 0;
    const auto add_case = [&](std::string_view name, const std::string& content) {
        cases += fmt::format(R"(    <testcase name="{}" classname="{}" time="0")", escape(name), class_name);
        cases += content.empty() ? "/>\n" : ">\n      " + content + "\n    </testcase>\n";
    };
    if (!judged) {
        std::string reasons;
        for (const std::string& reason : judgement.reasons) reasons += escape(reason) + "\n";
        add_case("the experiment can be judged",
                 fmt::format(R"(<error message="{}" type="{}">{}</error>)", escape(sentence(judgement)),
                             to_string(judgement.verdict), reasons));
    }
    for (const Finding& finding : judgement.findings) {
        const std::string what = fmt::format("measured {}, promised {}, held in {} of {}", finding.measured,
                                             finding.limit, finding.held_in, counted(finding.runs, "run", "runs"));
        if (!judged || !finding.judged) {
            add_case(finding.what, "<skipped/>");
        } else if (finding.held) {
            add_case(finding.what, "");
        } else {
            ++failures;
            add_case(finding.what,
                     fmt::format(R"(<failure message="{0}" type="condition">{0}</failure>)", escape(what)));
        }
    }

    const std::size_t errors = judged ? 0 : 1;
    const auto skipped =
        std::ranges::count_if(judgement.findings, [&](const Finding& finding) { return !judged || !finding.judged; });
    std::string xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n";
    xml +=
        fmt::format("  <testsuite id=\"0\" package=\"experiment\" name=\"{}\" hostname=\"localhost\" timestamp=\"{}\" "
                    "tests=\"{}\" failures=\"{}\" errors=\"{}\" skipped=\"{}\" time=\"{:.3f}\">\n",
                    escape(journal.plan.name), timestamp(journal), judgement.findings.size() + errors, failures, errors,
                    skipped, seconds_of(journal));
    xml += "    <properties>\n";
    const auto add_property = [&](std::string_view name, std::string_view value) {
        xml += fmt::format("      <property name=\"{}\" value=\"{}\"/>\n", name, escape(value));
    };
    add_property("verdict", to_string(judgement.verdict));
    add_property("target", journal.target);
    add_property("seed", std::to_string(journal.seed));
    add_property("valid runs", fmt::format("{} of {}", judgement.valid, judgement.total));
    xml += "    </properties>\n" + cases;
    xml += fmt::format("    <system-out>{}</system-out>\n    <system-err/>\n  </testsuite>\n</testsuites>\n",
                       escape(sentence(judgement)));
    return xml;
}

} // namespace hotspare::experiment
