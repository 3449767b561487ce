#include "experiment/record/plan.hpp"

#include "common/backend/fault.hpp"
#include "common/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>

using namespace std::string_view_literals;

namespace hotspare::experiment {
namespace {

constexpr std::array fault_names{
    std::pair{"crash"sv, FaultKind::crash},
    std::pair{"stop"sv, FaultKind::stop},
    std::pair{"hang"sv, FaultKind::hang},
    std::pair{"restart"sv, FaultKind::restart},
    std::pair{"mode"sv, FaultKind::mode},
    std::pair{"latency"sv, FaultKind::latency},
    std::pair{"jitter"sv, FaultKind::jitter},
    std::pair{"black_hole"sv, FaultKind::black_hole},
    std::pair{"unroutable"sv, FaultKind::unroutable},
    std::pair{"refuse"sv, FaultKind::refuse},
    std::pair{"reset"sv, FaultKind::reset},
    std::pair{"cut"sv, FaultKind::cut},
    std::pair{"drip"sv, FaultKind::drip},
    std::pair{"bandwidth"sv, FaultKind::bandwidth},
    std::pair{"half_open"sv, FaultKind::half_open},
};

} // namespace
} // namespace hotspare::experiment

namespace hotspare::config {

namespace exp = hotspare::experiment;

template <> struct EnumNames<exp::FaultKind> {
    static constexpr auto names = exp::fault_names;
};

template <> struct EnumNames<exp::Arrival> {
    static constexpr std::array names{std::pair{"constant"sv, exp::Arrival::constant},
                                      std::pair{"poisson"sv, exp::Arrival::poisson}};
};

/// The first `n` values of E, as its to_string() names them.
template <class E, std::size_t n> std::array<std::pair<std::string_view, E>, n> all_words()
{
    std::array<std::pair<std::string_view, E>, n> out;
    for (std::size_t i = 0; i < n; ++i) out[i] = {to_string(static_cast<E>(i)), static_cast<E>(i)};
    return out;
}

template <> struct EnumNames<exp::Phase> {
    static inline const auto names = all_words<exp::Phase, exp::phases.size()>();
};

template <> struct EnumNames<exp::Measure> {
    static inline const auto names = all_words<exp::Measure, exp::measure_count>();
};

} // namespace hotspare::config

namespace hotspare::experiment {
namespace {

const config::Rule<std::string> a_target{config::is_target, config::a_target};
const config::Rule<std::string> not_empty{[](const std::string& text) { return !text.empty(); }, "a name"};
const config::Rule<std::string> a_method{[](const std::string& text) {
                                             return !text.empty() && text.size() <= 16 &&
                                                    std::ranges::all_of(text,
                                                                        [](char c) { return c >= 'A' && c <= 'Z'; });
                                         },
                                         "an HTTP method such as GET"};
const config::Rule<std::string> a_mode{
    [](const std::string& text) {
        if (text.empty()) return true;
        // The service has it for /simulate/corruption.
        if (text == backend::to_string(backend::Mode::data_error)) return true;
        return std::ranges::any_of(backend::mode_names, [&](const auto& name) { return name.first == text; });
    },
    "a failure mode of the backend: error crash hang slow reset truncate corrupt refuse flap cpu data_error"};

constexpr Duration longest = std::chrono::hours(24);

} // namespace

void fields(config::Fields& field, Probe& probe)
{
    field("name", probe.name, "how it is called in the report", not_empty);
    field("path", probe.path, "asked with GET", a_target);
    field("status", probe.status, "the answer's", {100, 599});
    field("body", probe.body, "text that the answer's body must contain");
    field("served_by", probe.served_by, "the backend that must have answered");
    field("within", probe.within, "the whole answer", {milliseconds(1), seconds(60)});
    field("during_fault", probe.during_fault, "false: only before the fault and after it");
}

void fields(config::Fields& field, Stream& stream)
{
    field("name", stream.name, "how it is called in the report", not_empty);
    field("method", stream.method, "of every request", a_method);
    field("path", stream.path, "of every request", a_target);
    field("body", stream.body, "of every request");
    field("rate", stream.rate, "requests per second", {0.1, 100000});
    field("arrival", stream.arrival, "evenly, or as independent clients come");
    field("idempotency_key", stream.idempotency_key, "every request carries an Idempotency-Key of its own");
    field("expect_body", stream.expect_body, "text without which an answer is a failure");
    field("must_succeed", stream.must_succeed,
          "false: failures are reported apart; what is judged is that nothing is executed twice");
}

void fields(config::Fields& field, Step& step)
{
    field("at", step.at, "after the first request is due", {Duration::zero(), longest});
    field("fault", step.fault, "what happens");
    field("on", step.on, "to whom: a backend's name, or balancer", not_empty);
    field("for", step.lasts, "until it is undone; 0: until the load has ended", {Duration::zero(), longest});
    field("mode", step.mode, "of the fault mode; empty = error", a_mode);
    field("delay", step.delay, "of latency, jitter, drip and the mode slow; half the period of the mode flap; 0s = 1s",
          {Duration::zero(), seconds(60)});
    field("bytes", config::Bytes{step.bytes},
          "reset, cut, modes reset and truncate: of the answer before it ends; bandwidth: per second");
}

void fields(config::Fields& field, RollbackRequest& request)
{
    field("on", request.on, "who is asked", not_empty);
    field("method", request.method, "of the request",
          {[](const std::string& text) { return text == "POST" || text == "PUT" || text == "GET" || text == "DELETE"; },
           "GET, POST, PUT or DELETE"});
    field("path", request.path, "of the request", a_target);
}

void fields(config::Fields& field, AbortWhen& abort)
{
    field("error_rate", abort.error_rate, "more than this share of requests failed; 1 = never", {0, 1});
    field("over", abort.over, "... of those that ended in the latest so long", {milliseconds(100), seconds(60)});
}

void fields(config::Fields& field, GeneratorLimits& limits)
{
    field("lag_p99", limits.lag_p99, "how late requests may be sent, 99 of 100", {microseconds(1), seconds(60)});
    field("lag_max", limits.lag_max, "... and each of them", {microseconds(1), seconds(60)});
}

void fields(config::Fields& field, Condition& condition)
{
    field("measure", condition.measure, "what is measured");
    field("phase", condition.phase, "over which requests");
    field("at_most", condition.at_most, "a number, a share such as 0.1%, or a duration such as 50ms");
    field("at_least", condition.at_least, "the same");
}

void fields(config::Fields& field, Plan& plan)
{
    field("title", plan.title, "one line", not_empty);
    field("about", plan.about, "what it shows");
    field("duration", plan.duration, "of the load", {milliseconds(100), longest});
    field("timeout", plan.timeout, "of one request, from the moment it was due", {milliseconds(10), seconds(120)});
    field("settle", plan.settle, "within it the steady state must be there, before and after",
          {milliseconds(100), seconds(600)});
    field("steady_state", plan.steady_state, "what must be true before, during and after");
    field("load", plan.load, "the streams of requests",
          {[](const std::vector<Stream>& load) { return !load.empty() && load.size() <= 16; }, "1 to 16 streams"});
    field("method", plan.method, "the faults");
    field("rollback", plan.rollback, "requests made at the end, whatever happened; faults undo themselves");
    field("abort_when", plan.abort_when, "when to stop early");
    field("generator", plan.generator, "how late it may be for a run to say anything");
    field("expect", plan.expect, "what is promised",
          {[](const std::vector<Condition>& expect) { return !expect.empty(); }, "at least one condition"});
}

namespace {

bool uses_delay(const Step& step)
{
    switch (step.fault) {
    case FaultKind::latency:
    case FaultKind::jitter:
    case FaultKind::drip: return true;
    case FaultKind::mode: return step.mode == "slow" || step.mode == "flap";
    default: return false;
    }
}

bool uses_bytes(const Step& step)
{
    switch (step.fault) {
    case FaultKind::reset:
    case FaultKind::cut:
    case FaultKind::bandwidth: return true;
    case FaultKind::mode: return step.mode == "reset" || step.mode == "truncate";
    default: return false;
    }
}

template <class Item>
void refuse_equal_names(const std::vector<Item>& items, const char* list, const config::Places& places)
{
    for (std::size_t i = 0; i < items.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (items[i].name == items[j].name)
                places.fail(fmt::format("{}[{}].name", list, i),
                            fmt::format("duplicate name {}, expected another than that of {}[{}]",
                                        config::in_quotes(items[i].name), list, j));
}

/// Two faults that cannot be told apart once both stand: of one party, on the same layer, or one of them ends the
/// process that has the other.
bool collide(const Step& first, const Step& second)
{
    const auto layer = [](const Step& step) {
        return is_process_fault(step.fault) ? 0 : step.fault == FaultKind::mode ? 1 : 2;
    };
    const bool overlap = first.lasts == Duration::zero() || second.at < first.at + first.lasts;
    const bool entangled = layer(first) == layer(second) || (layer(first) < 2 && layer(second) < 2);
    return first.on == second.on && first.fault != FaultKind::restart && overlap && entangled;
}

} // namespace

void finish(Plan& plan, const config::Places& places)
{
    refuse_equal_names(plan.steady_state, "steady_state", places);
    refuse_equal_names(plan.load, "load", places); // the report and the record tell streams apart by them
    for (std::size_t i = 0; i < plan.method.size(); ++i) {
        Step& step = plan.method[i];
        if (step.fault == FaultKind::mode && step.mode.empty()) step.mode = "error";
        if (step.delay == Duration::zero() && uses_delay(step)) step.delay = seconds(1);
        const auto path = fmt::format("method[{}]", i);
        if (step.at >= plan.duration)
            places.fail(path + ".at", fmt::format("the load lasts only {}", config::format_duration(plan.duration)));
        if (i > 0 && step.at < plan.method[i - 1].at) places.fail(path + ".at", "the faults must be in order of time");
        if (step.fault == FaultKind::restart && step.lasts > Duration::zero())
            places.fail(path + ".for", "a restart is over by itself");
        if (step.on == "balancer" && !is_process_fault(step.fault))
            places.fail(path + ".fault", "the balancer can only have crash, stop, hang or restart");
        if (step.fault == FaultKind::bandwidth && step.bytes == 0)
            places.fail(path + ".bytes", "bandwidth needs the bytes per second");
        const auto refuse = [&](const char* key) {
            places.fail(path + key, fmt::format("no effect with the fault '{}', expected none", describe(step)));
        };
        if (!step.mode.empty() && step.fault != FaultKind::mode) refuse(".mode");
        if (step.delay > Duration::zero() && !uses_delay(step)) refuse(".delay");
        if (step.bytes > 0 && !uses_bytes(step)) refuse(".bytes");
    }
    for (std::size_t i = 0; i < plan.method.size(); ++i)
        for (std::size_t j = 0; j < i; ++j)
            if (collide(plan.method[j], plan.method[i]))
                places.fail(fmt::format("method[{}]", i),
                            fmt::format("'{}' on '{}' is not over by then, and undoing one would undo the other",
                                        describe(plan.method[j]), plan.method[j].on));
    for (std::size_t i = 0; i < plan.expect.size(); ++i)
        if (const auto problem = problem_of(plan.expect[i]); !problem.empty())
            places.fail(fmt::format("expect[{}]", i), problem);
    const bool promises_times = std::ranges::any_of(
        plan.expect, [](const Condition& condition) { return unit_of(condition.measure) == Unit::milliseconds; });
    const GeneratorLimits usual;
    if (promises_times && (plan.generator.lag_p99 > usual.lag_p99 || plan.generator.lag_max > usual.lag_max))
        places.fail("generator",
                    fmt::format("a plan that promises times needs a generator that is late by {} and {} "
                                "at most",
                                config::format_duration(usual.lag_p99), config::format_duration(usual.lag_max)));
    double rate = 0;
    for (const Stream& stream : plan.load) rate += stream.rate;
    // Every sample is kept in memory until the run is written; this many take about 2 GiB.
    constexpr double most_samples = 10e6;
    if (rate * std::chrono::duration<double>(plan.duration).count() > most_samples)
        places.fail("duration", fmt::format("{:.0f} requests/s for {} are more than the {:.0f} requests a run may have",
                                            rate, config::format_duration(plan.duration), most_samples));
}

bool Stream::repeatable() const noexcept
{
    static constexpr std::array idempotent{"GET"sv, "HEAD"sv, "OPTIONS"sv, "TRACE"sv, "PUT"sv, "DELETE"sv};
    return idempotency_key || std::ranges::find(idempotent, method) != idempotent.end();
}

Plan read_plan(const std::string& yaml, const std::string& file)
{
    // A record holds the plan as JSON, which is UTF-8 and nothing else (RFC 8259 §8.1); yaml-cpp reads UTF-16 too.
    if (!is_utf8(yaml) || yaml.find('\0') != std::string::npos)
        throw UsageError(fmt::format("{}:1:1: not a text in UTF-8, expected a plan in that encoding", file));
    auto plan = config::from_yaml<Plan>(yaml, file);
    plan.name = std::filesystem::path(file).stem();
    plan.text = yaml;
    return plan;
}

std::string_view to_string(FaultKind kind) noexcept
{
    for (const auto& [word, value] : fault_names)
        if (value == kind) return word;
    return "?";
}

std::string describe(const Step& step)
{
    const auto word = to_string(step.fault);
    switch (step.fault) {
    case FaultKind::mode: return fmt::format("mode {}", step.mode);
    case FaultKind::latency:
    case FaultKind::jitter:
    case FaultKind::drip: return fmt::format("{} {}", word, config::format_duration(step.delay));
    case FaultKind::reset:
    case FaultKind::cut: return fmt::format("{} after {} bytes", word, step.bytes);
    case FaultKind::bandwidth: return fmt::format("bandwidth {}/s", config::format_size(step.bytes));
    default: return std::string(word);
    }
}

} // namespace hotspare::experiment
