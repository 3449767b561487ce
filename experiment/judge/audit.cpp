#include "experiment/judge/audit.hpp"

#include "experiment/judge/measure.hpp"
#include "experiment/judge/verdict.hpp"
#include "experiment/record/arrivals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace hotspare::experiment {
namespace {

/// Clocks are read beside the things that they time, and threads wait for a processor: two witnesses may differ by so
/// much on a busy machine.
constexpr Nanos slack = milliseconds(100);
/// How early a timer may be, and how late a deadline is noticed at the worst.
constexpr Nanos early = milliseconds(10);
constexpr Nanos late = seconds(1);

/// Words of the balancer's access log.
constexpr std::array<std::string_view, 2> unsent_words{"refused", "connect_timeout"};
constexpr std::array<std::string_view, 9> sent_words{"answered", "reset",    "timed_out", "malformed", "failing_status",
                                                     "moved",    "outpaced", "cancelled", "pending"};

template <std::size_t n> bool is_one_of(const std::array<std::string_view, n>& words, std::string_view word)
{
    return std::find(words.begin(), words.end(), word) != words.end();
}

/// An answer came, whole or in part, whose head could be read.
bool has_head(const Sample& sample)
{
    return sample.status != 0;
}

/// "1771300000-17" -> {"1771300000", 17}
struct EventId {
    std::string_view origin;
    std::uint64_t number = 0;
};

std::optional<EventId> read_id(std::string_view id)
{
    const auto dash = id.rfind('-');
    if (dash == std::string_view::npos || dash + 1 == id.size()) return std::nullopt;
    EventId result{.origin = id.substr(0, dash), .number = 0};
    const char* const end = id.data() + id.size();
    const auto [rest, error] = std::from_chars(id.data() + dash + 1, end, result.number);
    if (error != std::errc() || rest != end) return std::nullopt;
    return result;
}

/// What the balancer last said, from run to run: as long as its numbers go on, so do its stories.
struct Story {
    std::string origin;
    std::uint64_t number = 0;
    std::map<std::string, std::string> status; ///< by backend
    std::set<std::string> quarantined;
};

class Audit {
public:
    Audit(const Journal& journal, std::size_t limit) : journal_(journal), limit_(limit) {}

    std::vector<std::string> run()
    {
        std::uint32_t expected = 1;
        for (const Run& run : journal_.runs) {
            run_ = &run;
            invalid_ = !why_invalid(journal_.plan, run, measure(journal_.plan, run)).empty();
            if (run.number != expected) complain("it comes where run {} should", expected);
            expected = run.number + 1;
            check_schedule();
            check_executions();
            for (const Sample& sample : run.samples) check(sample);
            check_logged();
            check_faults();
            check_probes();
            check_events();
            executed_.clear();
        }
        return std::move(complaints_);
    }

private:
    template <class... Args> void complain(fmt::format_string<Args...> what, Args&&... args)
    {
        if (complaints_.size() >= limit_) return;
        complaints_.push_back(fmt::format("run {}: {}", run_->number, fmt::format(what, std::forward<Args>(args)...)));
    }

    /// It need not have come to its end.
    bool cut_short() const { return !run_->aborted.empty() || !run_->invalid.empty(); }

    /// Of a system that was only pointed at, the backends may be unknown.
    bool is_backend(const std::string& name) const
    {
        return journal_.backends.empty() ||
               std::find(journal_.backends.begin(), journal_.backends.end(), name) != journal_.backends.end();
    }

    /// The balancer may have been killed before it wrote down what it had answered at that moment.
    bool may_be_unlogged(const Sample& sample) const
    {
        constexpr Nanos delay = seconds(1); // between an answer and its line, at the most
        return std::any_of(run_->faults.begin(), run_->faults.end(), [&](const FaultRecord& fault) {
            return is_on_balancer(fault) && sample.done > fault.triggered - delay &&
                   sample.due < fault.undone.value_or(fault.confirmed);
        });
    }

    bool is_on_balancer(const FaultRecord& fault) const
    {
        return fault.step < journal_.plan.method.size() && journal_.plan.method[fault.step].on == "balancer";
    }

    /// The plan and the seed say what was due; only the first deviation is told, the others follow from it.
    void check_schedule()
    {
        if (run_->seed != seed_of_run(journal_.seed, run_->number))
            complain("its seed is not that of run {} of this experiment", run_->number);
        const auto due = arrivals(journal_.plan.load, journal_.plan.duration, run_->seed);
        const auto& samples = run_->samples;
        for (std::size_t i = 0; i < std::min(due.size(), samples.size()); ++i) {
            if (samples[i].index != i) return complain("request {} is missing", i);
            if (samples[i].due != due[i].at)
                return complain("request {} was due at {} ms by plan and seed, not at {} ms", i,
                                to_milliseconds(due[i].at), to_milliseconds(samples[i].due));
            if (samples[i].stream != due[i].stream)
                return complain("request {} was one of stream {} by plan and seed, not of {}", i, due[i].stream,
                                samples[i].stream);
        }
        if (samples.size() > due.size())
            complain("there are {} requests, but by plan and seed only {} were due", samples.size(), due.size());
        else if (samples.size() < due.size() && !cut_short())
            complain("request {} is missing", samples.size());
    }

    void check(const Sample& sample)
    {
        check_times(sample);
        check_outcome(sample);
        if (run_->counted) check_ledger(sample);
        if (!sample.trail.empty()) check_trail(sample);
    }

    void check_times(const Sample& sample)
    {
        const std::array steps{Nanos(), sample.due, sample.sent, sample.first_byte, sample.done};
        if (!std::is_sorted(steps.begin(), steps.end()))
            complain("request {} was not due, sent, answered and done in this order", sample.index);
        // A stopped or overloaded machine makes late deadlines, and an invalid run.
        if (sample.latency() > journal_.plan.timeout + late && !invalid_)
            complain("request {} took {} ms, though it should have been given up after {} ms", sample.index,
                     to_milliseconds(sample.latency()), to_ms(journal_.plan.timeout));
    }

    void check_outcome(const Sample& sample)
    {
        const auto contradicts = [&](std::string_view what) {
            complain("request {} ended as '{}', but {}", sample.index, to_string(sample.outcome), what);
        };
        const bool success = sample.status >= 200 && sample.status < 300;
        const bool unsent = sample.sent == sample.done;
        const bool silent = sample.first_byte == sample.done;
        if (has_head(sample) && (sample.status < 100 || sample.status > 999)) contradicts("its status is none");
        if (has_head(sample) && unsent) contradicts("has a status although it was never sent");
        switch (sample.outcome) {
        case Outcome::good:
        case Outcome::wrong_body:
            if (!success) contradicts(fmt::format("its status is {}", sample.status));
            if (sample.outcome == Outcome::wrong_body && sample.stream < journal_.plan.load.size() &&
                journal_.plan.load[sample.stream].expect_body.empty())
                contradicts("its stream expects no particular body");
            break;
        case Outcome::status:
            if (!has_head(sample) || success) contradicts(fmt::format("its status is {}", sample.status));
            break;
        case Outcome::refused:
            if (has_head(sample) || !unsent) contradicts("something was sent");
            break;
        case Outcome::broken:
            if (has_head(sample) || !silent) contradicts("an answer had begun");
            break;
        case Outcome::timed_out:
            if (sample.latency() < journal_.plan.timeout - early)
                contradicts(fmt::format("after only {} ms", to_milliseconds(sample.latency())));
            break;
        case Outcome::truncated:
        case Outcome::malformed:
            if (unsent) contradicts("it was never sent");
            break;
        }
        if (!sample.served_by.empty() && !is_backend(sample.served_by))
            complain("request {} was served by {}, which is no backend", sample.index,
                     config::in_quotes(sample.served_by));
        if (!sample.served_by.empty() && !has_head(sample))
            complain("request {} was served by {}, but no answer came", sample.index,
                     config::in_quotes(sample.served_by));
    }

    void check_executions()
    {
        if (!run_->counted && !run_->executions.empty()) complain("there are executions although none were counted");
        for (const Execution& execution : run_->executions) {
            if (!is_backend(execution.backend))
                complain("request {} was executed by {}, which is no backend", execution.index,
                         config::in_quotes(execution.backend));
            if (execution.times == 0) complain("request {} was executed no times", execution.index);
            if (!executed_[execution.index].emplace(execution.backend, execution.times).second)
                complain("request {} stands twice in the ledger of {}", execution.index,
                         config::in_quotes(execution.backend));
            // Samples stand in the order of their indices.
            const auto found =
                std::lower_bound(run_->samples.begin(), run_->samples.end(), execution.index,
                                 [](const Sample& sample, std::uint64_t index) { return sample.index < index; });
            if (found == run_->samples.end() || found->index != execution.index)
                complain("request {} was executed, but there is no such request", execution.index);
        }
    }

    void check_ledger(const Sample& sample)
    {
        const auto found = executed_.find(sample.index);
        const bool executed = found != executed_.end();
        if (executed && sample.sent == sample.done)
            complain("request {} was executed although it was never sent", sample.index);
        if (sample.outcome != Outcome::good) return;
        if (!executed)
            complain("request {} got a good answer, but was not executed", sample.index);
        else if (!sample.served_by.empty() && !found->second.contains(sample.served_by))
            complain("request {} was served by {}, which did not execute it", sample.index,
                     config::in_quotes(sample.served_by));
    }

    void check_trail(const Sample& sample)
    {
        if (sample.sent == sample.done)
            complain("request {} was never sent, but the balancer's log has it", sample.index);
        const Hop* answered = nullptr;
        std::map<std::string_view, std::uint64_t> sent;
        for (const Hop& hop : sample.trail) {
            if (!is_backend(hop.backend))
                complain("request {} was tried at {}, which is no backend", sample.index,
                         config::in_quotes(hop.backend));
            const bool was_sent = is_one_of(sent_words, hop.outcome);
            if (!was_sent && !is_one_of(unsent_words, hop.outcome))
                complain("request {}: no attempt of the balancer ends as {}", sample.index,
                         config::in_quotes(hop.outcome));
            if (!(hop.ms >= 0)) complain("request {}: an attempt took {} ms", sample.index, hop.ms);
            if (was_sent) ++sent[hop.backend];
            if (hop.outcome != "answered") continue;
            if (answered != nullptr) complain("request {} was answered twice by the balancer's log", sample.index);
            answered = &hop;
        }
        if (sample.outcome == Outcome::good) {
            if (answered == nullptr)
                complain("request {} got a good answer, but the balancer's log has none", sample.index);
            else if (answered->backend != sample.served_by)
                complain("request {} was served by {}, by the balancer's log by {}", sample.index,
                         config::in_quotes(sample.served_by), config::in_quotes(answered->backend));
            // A balancer that was stopped finishes its accounts when it goes on, long after the client has its answer.
            const bool stopped = std::any_of(run_->faults.begin(), run_->faults.end(),
                                             [&](const FaultRecord& fault) { return is_on_balancer(fault); });
            if (answered != nullptr && !stopped && answered->ms > to_milliseconds(sample.done - sample.sent + slack))
                complain("request {} took {} ms, the attempt alone {} ms", sample.index,
                         to_milliseconds(sample.done - sample.sent), answered->ms);
        } else if (!sample.served_by.empty() &&
                   std::none_of(sample.trail.begin(), sample.trail.end(),
                                [&](const Hop& hop) { return hop.backend == sample.served_by; })) {
            complain("request {} was served by {}, which the balancer did not try", sample.index,
                     config::in_quotes(sample.served_by));
        }
        // A client that had read no head when it gave up may still be in the log as answered.
        if (answered != nullptr && answered->status != 0 && has_head(sample) && answered->status != sample.status)
            complain("request {} ended with status {}, by the balancer's log with {}", sample.index, sample.status,
                     answered->status);
        check_attempts(sample, sent);
    }

    /// A backend executes only what was sent to it.
    void check_attempts(const Sample& sample, const std::map<std::string_view, std::uint64_t>& sent)
    {
        const auto found = executed_.find(sample.index);
        if (found == executed_.end()) return;
        for (const auto& [backend, times] : found->second) {
            const auto there = sent.find(backend);
            const std::uint64_t attempts = there == sent.end() ? 0 : there->second;
            if (times > attempts)
                complain("request {} was executed {} times by {}, to which it was sent {} times", sample.index, times,
                         config::in_quotes(backend), attempts);
        }
    }

    /// A balancer that keeps trails keeps one of every request that it answered; one that is killed may not come to
    /// write its last ones down.
    void check_logged()
    {
        const auto& samples = run_->samples;
        const auto logged = [](const Sample& sample) { return !sample.trail.empty(); };
        if (std::none_of(samples.begin(), samples.end(), logged)) return;
        for (const Sample& sample : samples)
            if (sample.outcome == Outcome::good && sample.trail.empty() && !may_be_unlogged(sample))
                complain("request {} got a good answer, but the balancer's log does not know it", sample.index);
    }

    /// What was not made, not effective or not asked is verdict.hpp's concern: it never makes a run look better.
    void check_faults()
    {
        const auto& method = journal_.plan.method;
        std::vector<bool> made(method.size());
        const Nanos end = run_->samples.empty() ? Nanos() : run_->samples.back().due; // all are undone with the load
        Nanos last = Nanos::min();
        for (const FaultRecord& fault : run_->faults) {
            if (fault.step >= method.size()) {
                complain("fault {} is none of the plan", fault.step + 1);
                continue;
            }
            const Step& step = method[fault.step];
            if (made[fault.step]) complain("fault {} was made twice", fault.step + 1);
            made[fault.step] = true;
            if (fault.triggered < last) complain("fault {} was made before the one ahead of it", fault.step + 1);
            last = std::max(last, fault.triggered);
            if (fault.triggered < step.at - early)
                complain("fault {} was made at {} ms, before its time", fault.step + 1,
                         to_milliseconds(fault.triggered));
            if (!fault.effective) continue;
            if (fault.confirmed < fault.triggered) complain("fault {} was seen before it was made", fault.step + 1);
            if (fault.undone && *fault.undone < fault.confirmed)
                complain("fault {} was undone before it was seen", fault.step + 1);
            if (cut_short() || step.fault == FaultKind::restart) continue;
            if (!fault.undone)
                complain("fault {} was never undone", fault.step + 1);
            else if (step.lasts > Duration::zero() &&
                     *fault.undone < std::min(Nanos(step.at + step.lasts), end) - early)
                complain("fault {} was undone at {} ms, before its time", fault.step + 1,
                         to_milliseconds(*fault.undone));
        }
    }

    void check_probes()
    {
        const auto& plan = journal_.plan;
        Stage stage = Stage::before;
        Nanos latest = Nanos::min(); // start of any probe of the earlier stages
        Nanos latest_here = Nanos::min();
        for (const ProbeRecord& probe : run_->probes) {
            if (probe.probe >= plan.steady_state.size()) {
                complain("probe {} is none of the plan", probe.probe + 1);
                continue;
            }
            const std::string& name = plan.steady_state[probe.probe].name;
            if (probe.stage < stage)
                complain("probe '{}': the stage '{}' comes after '{}'", name, to_string(probe.stage), to_string(stage));
            if (probe.stage > stage) {
                stage = probe.stage;
                latest = latest_here;
            }
            if (probe.at < latest)
                complain("probe '{}' of the stage '{}' was made before the stage ahead of it was over", name,
                         to_string(probe.stage));
            latest_here = std::max(latest_here, probe.at);
            if (probe.took < Nanos::zero()) complain("probe '{}' took less than no time", name);
            if (probe.stage != Stage::during) continue;
            if (!plan.steady_state[probe.probe].during_fault)
                complain("probe '{}' was made during the fault against the plan", name);
            if (run_->faults.empty() || probe.at < run_->faults.front().triggered)
                complain("probe '{}' of the stage 'during' was made before any fault", name);
        }
    }

    /// Whether the balancer may have begun anew at that moment.
    bool may_restart(Nanos at) const
    {
        return std::any_of(run_->faults.begin(), run_->faults.end(),
                           [&](const FaultRecord& fault) { return is_on_balancer(fault) && fault.triggered <= at; });
    }

    void check_events()
    {
        Nanos last = Nanos::min();
        bool first = true;
        for (const EventRecord& event : run_->events) {
            if (event.at < last) complain("event {} came before the one ahead of it", config::in_quotes(event.id));
            last = event.at;
            if (const auto id = read_id(event.id))
                follow(event, *id, first);
            else
                complain("event {} has no number", config::in_quotes(event.id));
            first = false;
            if (event.kind == "transition") check_transition(event);
            if (event.kind == "quarantine") story_.quarantined.insert(event.backend);
            if (event.kind == "failover" || event.kind == "failback") check_move(event);
        }
    }

    /// Numbers go up one by one. Between runs no client listens: there some may be missing.
    void follow(const EventRecord& event, const EventId& id, bool first)
    {
        if (id.origin != story_.origin) {
            if (!first && !may_restart(event.at))
                complain("event {} is of another process than those ahead of it, but the balancer was not restarted",
                         config::in_quotes(event.id));
            // A new process is asked for everything that it has said.
            if (!first && id.number != 1)
                complain("event {} is the first one of its process that is known, but not number 1",
                         config::in_quotes(event.id));
            story_ = Story{.origin = std::string(id.origin), .number = id.number, .status = {}, .quarantined = {}};
            return;
        }
        if (id.number <= story_.number)
            complain("event {} comes after number {}", config::in_quotes(event.id), story_.number);
        else if (id.number > story_.number + 1 && !first)
            complain("event {} comes after number {}: what was between them is missing", config::in_quotes(event.id),
                     story_.number);
        if (id.number != story_.number + 1) story_.status.clear();
        story_.number = id.number;
    }

    void check_transition(const EventRecord& event)
    {
        if (!is_backend(event.backend))
            return complain("event {} is about {}, which is no backend", config::in_quotes(event.id),
                            config::in_quotes(event.backend));
        if (event.from == event.to)
            complain("event {}: {} went from {} to the same", config::in_quotes(event.id),
                     config::in_quotes(event.backend), config::in_quotes(event.from));
        const auto [known, is_new] = story_.status.try_emplace(event.backend, event.to);
        if (is_new) return;
        if (known->second != event.from)
            complain("event {}: {} was {} before, not {}", config::in_quotes(event.id),
                     config::in_quotes(event.backend), config::in_quotes(known->second), config::in_quotes(event.from));
        known->second = event.to;
    }

    void check_move(const EventRecord& event)
    {
        if (!is_backend(event.from) || !is_backend(event.to) || event.from == event.to)
            complain("event {} is a {} from {} to {}", config::in_quotes(event.id), event.kind,
                     config::in_quotes(event.from), config::in_quotes(event.to));
        // Only an operator makes it leave a backend that works.
        const auto known = story_.status.find(event.from);
        if (event.kind == "failover" && event.cause != "operator" && known != story_.status.end() &&
            known->second == "healthy" && !story_.quarantined.contains(event.from))
            complain("event {}: a failover from {}, which was healthy", config::in_quotes(event.id),
                     config::in_quotes(event.from));
    }

    const Journal& journal_;
    const std::size_t limit_;
    const Run* run_ = nullptr;
    bool invalid_ =
        false; ///< says nothing of the system by its own account; a lagging generator is late with all it does
    std::unordered_map<std::uint64_t, std::map<std::string, std::uint32_t>> executed_; ///< by request, by backend
    Story story_;
    std::vector<std::string> complaints_;
};

} // namespace

std::vector<std::string> audit(const Journal& journal, std::size_t limit)
{
    return Audit(journal, limit).run();
}

} // namespace hotspare::experiment
