#include "experiment/runner.hpp"

#include "common/time.hpp"
#include "experiment/inject/fault.hpp"
#include "experiment/inject/prober.hpp"
#include "experiment/judge/verdict.hpp"
#include "experiment/load/events.hpp"
#include "experiment/load/fetch.hpp"
#include "experiment/load/load.hpp"
#include "experiment/record/arrivals.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <mutex>
#include <optional>
#include <thread>
#include <utility>

namespace hotspare::experiment {
namespace {

constexpr Duration head_start = milliseconds(50); ///< between the threads' start and the first request
constexpr Duration tick = milliseconds(2);
constexpr Duration between_snapshots = milliseconds(50);
constexpr Duration event_stream_time = seconds(2);
constexpr Duration rollback_time = seconds(2);

/// What the load's thread writes down and the director looks at.
class Samples {
public:
    Samples(const Plan& plan, const Target& target, std::size_t expected) : plan_(plan), target_(target)
    {
        samples_.reserve(expected); // growing in mid-run would stall the load itself
    }

    void add(const Finished& finished)
    {
        Sample sample = finished.sample;
        sample.served_by = target_.served_by(finished.header);
        const std::lock_guard lock(mutex_);
        if (plan_.load[sample.stream].must_succeed && sample.outcome != Outcome::good) ++failed_;
        if (sample.outcome == Outcome::good) served_by_ = sample.served_by;
        samples_.push_back(std::move(sample));
    }

    void look(Snapshot& out, Nanos window) const
    {
        const std::lock_guard lock(mutex_);
        out.ended = samples_.size();
        out.failed = failed_;
        out.served_by = served_by_;
        out.rate = static_cast<double>(since(out.at - window)) / std::chrono::duration<double>(window).count();
    }

    /// The share of the requests that ended since `at` and failed; 0 if too few to tell did.
    double error_rate_since(Nanos at) const
    {
        constexpr std::size_t too_few = 20;
        const std::lock_guard lock(mutex_);
        std::size_t all = 0, failed = 0;
        for (auto sample = samples_.rbegin(); sample != samples_.rend() && sample->done >= at; ++sample) {
            if (!plan_.load[sample->stream].must_succeed) continue;
            ++all;
            failed += sample->outcome == Outcome::good ? 0 : 1;
        }
        return all < too_few ? 0 : static_cast<double>(failed) / static_cast<double>(all);
    }

    std::vector<Sample> take()
    {
        const std::lock_guard lock(mutex_);
        auto out = std::exchange(samples_, {});
        std::ranges::sort(out, {}, &Sample::index);
        return out;
    }

private:
    std::size_t since(Nanos at) const
    {
        std::size_t count = 0;
        for (auto sample = samples_.rbegin(); sample != samples_.rend() && sample->done >= at; ++sample) ++count;
        return count;
    }

    const Plan& plan_;
    const Target& target_;
    mutable std::mutex mutex_;
    std::vector<Sample> samples_; ///< in the order in which they ended
    std::uint64_t failed_ = 0;
    std::string served_by_;
};

LoadPlan load_plan(const Plan& plan, const Target& target, std::vector<Due> schedule, std::string id_prefix)
{
    LoadPlan out;
    out.target = target.address;
    out.host = target.host;
    for (const Stream& stream : plan.load)
        out.requests.push_back({.method = stream.method,
                                .path = stream.path,
                                .body = stream.body,
                                .idempotency_key = stream.idempotency_key,
                                .expect_body = stream.expect_body});
    out.schedule = std::move(schedule);
    out.id_prefix = std::move(id_prefix);
    out.timeout = plan.timeout;
    out.connections = 32;
    out.most_connections = 4096; // a stall must not hold later requests back
    return out;
}

/// The load on its thread. Whatever ends the director must not wait for it to run its full time.
class LoadThread {
public:
    LoadThread(LoadPlan plan, Samples& samples, TimePoint start)
        : load_(std::move(plan), [&samples](const Finished& finished) { samples.add(finished); }),
          thread_([this, start] {
              try {
                  load_.run(start);
              } catch (const std::exception& error) {
                  problem_ = error.what();
              }
              over_ = true;
          })
    {
    }
    ~LoadThread() { load_.stop(); }

    bool over() const noexcept { return over_; }
    void stop() noexcept { load_.stop(); }
    /// Waits for the end. What was wrong with the generator; empty if nothing.
    std::string join()
    {
        thread_.join();
        return problem_;
    }

private:
    Load load_;
    std::atomic<bool> over_{false};
    std::string problem_;
    std::jthread thread_;
};

/// The director of one run: the state that its steps share.
class Director {
public:
    Director(const Plan& plan, Target& target, Run& run, const Interrupted& interrupted, const Watcher& watcher)
        : plan_(plan), target_(target), run_(run), interrupted_(interrupted), watcher_(watcher), start_(Clock::now()),
          prober_(plan, target, start_)
    {
        if (target.has_events) events_.emplace(target.address);
    }

    /// False: the run is over before it began.
    bool settle_before()
    {
        if (!settle(Stage::before)) return false;
        const TimePoint deadline = Clock::now() + event_stream_time;
        while (events_ && !events_->connected()) {
            if (Clock::now() >= deadline) {
                run_.invalid = "the balancer's /events could not be read";
                return false;
            }
            std::this_thread::sleep_for(tick);
        }
        if (events_) events_->take(); // what happened before
        return true;
    }

    void play(std::string id_prefix)
    {
        auto schedule = arrivals(plan_.load, plan_.duration, run_.seed);
        Samples samples(plan_, target_, schedule.size());
        begin_at(Clock::now() + head_start);
        Faults faults(plan_, target_, start_);
        prober_.start(start_, fault_stands_);
        LoadThread load(load_plan(plan_, target_, std::move(schedule), std::move(id_prefix)), samples, start_);
        TimePoint next_snapshot = start_;
        while (!load.over()) {
            const TimePoint now = Clock::now();
            faults.poll(now);
            fault_stands_ = faults.active();
            tell(faults);
            take_events();
            if (run_.aborted.empty() && should_abort(samples, now)) {
                faults.undo_all(); // at once, and no further one is made
                load.stop();
            }
            if (now >= next_snapshot) {
                snapshot(samples, faults);
                next_snapshot = now + between_snapshots;
            }
            std::this_thread::sleep_for(tick);
        }
        if (const auto problem = load.join(); !problem.empty())
            run_.invalid = fmt::format("the generator failed: {}", problem);
        faults.undo_all();
        fault_stands_ = false;
        tell(faults);
        run_.samples = samples.take();
        run_.faults = faults.records();
        for (auto& record : prober_.stop()) run_.probes.push_back(std::move(record));
        for (const auto& left : faults.left_behind()) {
            say(left);
            if (run_.invalid.empty()) run_.invalid = left;
        }
    }

    void roll_back()
    {
        if (run_.invalid.empty() && run_.aborted.empty()) settle(Stage::after);
        for (const RollbackRequest& request : plan_.rollback) {
            const Party* party = target_.party(request.on);
            const auto at = party && party->control ? party->control : party ? party->address : std::nullopt;
            const auto method = http::beast::http::string_to_verb(request.method);
            const auto answer = at ? fetch(*at, method, request.path, rollback_time)
                                   : result<http::Response>(make_error_code(errc::malformed));
            if (answer && answer->result_int() / 100 == 2) continue;
            run_.invalid =
                fmt::format("rollback: {} {} of {} failed: {}", request.method, request.path, request.on,
                            answer ? fmt::format("status {}", answer->result_int()) : answer.error().message());
            say(run_.invalid);
        }
        if (run_.invalid.empty() && run_.aborted.empty()) settle(Stage::restored);
        take_events();
    }

private:
    bool settle(Stage stage)
    {
        auto round = prober_.settle(stage, [this] { return interrupted_.load(); });
        bool passed = true;
        for (auto& record : round) {
            if (!record.passed && passed && stage == Stage::before)
                run_.invalid = fmt::format("no steady state before the fault: {}: {}",
                                           plan_.steady_state[record.probe].name, record.detail);
            passed = passed && record.passed;
            run_.probes.push_back(std::move(record));
        }
        if (interrupted_) run_.aborted = "interrupted";
        return passed && !interrupted_;
    }

    /// The load begins then; what was recorded before counts from that moment, too.
    void begin_at(TimePoint start)
    {
        const auto shift = std::chrono::duration_cast<Nanos>(start_ - start);
        for (ProbeRecord& probe : run_.probes) probe.at += shift;
        start_ = start;
    }

    bool should_abort(const Samples& samples, TimePoint now)
    {
        if (interrupted_) {
            run_.aborted = "interrupted";
        } else if (plan_.abort_when.error_rate < 1) {
            const auto rate = samples.error_rate_since(since_start(now - plan_.abort_when.over));
            if (rate > plan_.abort_when.error_rate)
                run_.aborted =
                    fmt::format("{:.1f} % of the requests failed within {}, the plan allows {:.1f} %", rate * 100,
                                config::format_duration(plan_.abort_when.over), plan_.abort_when.error_rate * 100);
        }
        if (!run_.aborted.empty()) say(run_.aborted);
        return !run_.aborted.empty();
    }

    void take_events()
    {
        if (!events_) return;
        for (auto& event : events_->take()) {
            event.record.at = since_start(event.at);
            say(event.record.at, sentence(event.record));
            run_.events.push_back(std::move(event.record));
        }
    }

    /// DETECTED is the event that Measure::detection counts to, and no other one.
    std::string sentence(const EventRecord& event)
    {
        const bool detected = !detected_ && first_fault_ && event.at >= first_fault_->triggered &&
                              is_detection(event, plan_.method[first_fault_->step].on);
        detected_ = detected_ || detected;
        if (event.kind == "transition") {
            const std::string_view what = detected ? "DETECTED" : event.to == "healthy" ? "RECOVERY" : "";
            return fmt::format("{:<9} {} is {}, was {}", what, event.backend, event.to, event.from);
        }
        if (event.kind == "failover" || event.kind == "failback")
            return fmt::format("{:<9} {} is active", event.kind == "failback" ? "FAILBACK" : "FAILOVER", event.to);
        return fmt::format("{:<9} {} {}", "", event.kind, event.backend);
    }

    /// Says what has changed about the faults since the last call.
    void tell(const Faults& faults)
    {
        told_.resize(faults.records().size(), Told::nothing);
        for (std::size_t i = 0; i < told_.size(); ++i) {
            const FaultRecord& record = faults.records()[i];
            const Step& step = plan_.method[record.step];
            if (told_[i] == Told::nothing) {
                if (!first_fault_) first_fault_ = record;
                say(record.triggered, fmt::format("{:<9} {} on {}", "FAULT", describe(step), step.on));
                told_[i] = Told::begun;
            }
            if (told_[i] == Told::begun && record.undone) {
                say(*record.undone, fmt::format("{:<9} {} on {}", "UNDONE", describe(step), step.on));
                told_[i] = Told::over;
            }
        }
    }

    void snapshot(const Samples& samples, const Faults& faults)
    {
        if (!watcher_.progress) return;
        Snapshot out;
        out.at = since_start(Clock::now());
        samples.look(out, seconds(1));
        for (const FaultRecord& record : faults.records()) {
            if (record.undone) continue;
            const Step& step = plan_.method[record.step];
            out.faults += fmt::format("{}{} on {}", out.faults.empty() ? "" : ", ", describe(step), step.on);
        }
        watcher_.progress(out);
    }

    void say(const std::string& text) { say(since_start(Clock::now()), text); }
    void say(Nanos at, const std::string& text)
    {
        if (watcher_.say) watcher_.say(at, text);
    }

    Nanos since_start(TimePoint at) const { return std::chrono::duration_cast<Nanos>(at - start_); }

    const Plan& plan_;
    Target& target_;
    Run& run_;
    const Interrupted& interrupted_;
    const Watcher& watcher_;
    TimePoint start_; ///< of the load; until that is known, of the run
    std::atomic<bool> fault_stands_{false};
    Prober prober_;
    std::optional<EventReader> events_;
    enum class Told : std::uint8_t { nothing, begun, over };
    std::vector<Told> told_; ///< by fault record
    std::optional<FaultRecord> first_fault_;
    bool detected_ = false;
};

} // namespace

Run run_once(const Plan& plan, Target& target, std::uint32_t number, std::uint64_t seed, const Interrupted& interrupted,
             const Watcher& watcher)
{
    if (const auto why = not_possible(plan, target); !why.empty()) throw UsageError(why);
    Run run;
    run.number = number;
    run.seed = seed_of_run(seed, number);
    run.started = format_rfc3339(std::chrono::system_clock::now());
    run.counted = !target.backends.empty() && target.ledgers.size() == target.backends.size();
    // What an earlier run left in a target that lives on must not be counted for this one.
    const auto id_prefix =
        fmt::format("x{:x}-{:x}", run.seed, std::chrono::system_clock::now().time_since_epoch().count());
    Director director(plan, target, run, interrupted, watcher);
    if (director.settle_before()) director.play(id_prefix);
    director.roll_back();
    target.end();
    collect(target, id_prefix, run);
    return run;
}

void run_series(const Plan& plan, const Series& series, const Interrupted& interrupted, const Watcher& watcher,
                const std::function<void(const Target&, Run)>& on_run)
{
    std::uint32_t valid = 0;
    for (std::uint32_t number = 1; valid < series.repeat && number <= 2 * series.repeat; ++number) {
        Target target = series.start(number);
        auto run = run_once(plan, target, number, series.seed, interrupted, watcher);
        const bool aborted = !run.aborted.empty();
        if (why_invalid(plan, run, measure(plan, run)).empty()) ++valid;
        on_run(target, std::move(run));
        if (aborted) return;
    }
}

} // namespace hotspare::experiment
