// PURE: what a validation worker does with the jobs that it holds. It decides when to lease and how many, which jobs to
// call the validator for, what a call's end means for the order, and what to report back. The shell
// (validation_service/service.hpp) sends the requests and tells how they ended; a simulation does so without any.
//
// The rules:
//  1. A verdict is the validator's own word. Everything else is a failure of the call, never of the order.
//  2. retry(breaker(timeout(call))): a failed call is an attempt; after the last one, or past the deadline, the order
//     is Failed,
//     with its history. Between two attempts the job goes back to the queue, so that it survives this process.
//  3. While the breaker is open nothing is leased, and what is held but not called goes back without an attempt.
//  4. What says nothing about the order goes into its history and costs no attempt: a call that could not connect, and
//     one that failed after a half-open breaker let it through to see whether the validator is back.
//  5. What was come to is reported until the order service has taken it. A report that it refuses to read is sent again
//     in halves; a single settlement that it refuses is given up, so that it cannot stand in the way of those behind
//     it. Its order is leased again when its lease ends.
//  6. A worker that is paused says so every second. One that could not ask the order service, and has nothing to ask it
//     at the moment, sends the same message until it is answered.
//  7. A worker that stood still for longer than its lease holds nothing any more. What it saw meanwhile never fails an
//     order, and costs it no attempt.
//
// Thread: one; `now` never goes back. Owner: the service.
#pragma once

#include "common/clock.hpp"
#include "common/resilience/budget.hpp"
#include "common/resilience/circuit_breaker.hpp"
#include "common/resilience/retry.hpp"
#include "orders/model.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::orders {

/// How a call of the validator ended.
struct CallEnd {
    enum class Kind : std::uint8_t {
        valid,       ///< its word: the order is good
        rejected,    ///< its word: it is not
        failed,      ///< no answer, or none about this order: worth another try
        unreachable, ///< no connection, so that nothing was sent: whatever was wrong, it was not this order
        refused,     ///< the validator does not take the request: it would be the same next time
    };
    Kind kind = Kind::failed;
    std::string text{};                    ///< the reason, or what went wrong
    std::optional<Duration> retry_after{}; ///< as the validator asked
};

struct WorkSettings {
    std::size_t concurrency = 64;                    ///< calls at once, at least 1
    Duration give_up_after = std::chrono::hours(24); ///< since the first attempt of the round that counted
    resilience::BreakerSettings breaker{};
    /// Slower than the library's defaults: no client waits for a validation, and one that fails for a second must
    /// not cost an order all of its attempts.
    resilience::RetrySettings retry{.base_delay = seconds(1),
                                    .multiplier = 4,
                                    .max_delay = seconds(30),
                                    .max_retry_after = std::chrono::minutes(5)};
    double retry_ratio = 0.2;       ///< retries, as a share of the orders tried ...
    double retries_per_second = 10; ///< ... and so many more
};

/// Numbers a call, and with it the job that it is made for.
using CallId = std::uint64_t;

struct Call {
    CallId id = 0;
    NewOrder what;
    std::string generation{};
};

/// What to do now. Each list is to be carried out as one request; its end is to be told.
struct Actions {
    std::vector<Call> call;
    std::size_t lease = 0;          ///< so many at most; 0 = do not ask
    std::vector<Settlement> settle; ///< end: settled(), settle_refused() or settle_failed()
    std::vector<Held> extend;       ///< end: extended() or extend_failed()
    bool show = false;              ///< tell the order service that this worker is there; end: shown() or show_failed()
    TimePoint wake_at{};            ///< ask again then, if nothing happened before
};

/// Since the start.
struct WorkCounters {
    std::uint64_t validated = 0, rejected = 0, failed = 0; ///< settlements that were taken
    std::uint64_t retried = 0, snoozed = 0;                ///< the same
    std::uint64_t fenced = 0;                              ///< settlements that came too late
    std::uint64_t lost = 0;                                ///< leases that could not be extended
    std::uint64_t given_up = 0;                            ///< settlements that the order service refused to read
};

class Work {
public:
    Work(const WorkSettings& settings, std::uint64_t seed, TimePoint now);

    Actions next(TimePoint now);

    void leased(std::vector<Lease> jobs, Duration lasts, TimePoint now);
    void lease_failed(TimePoint now);
    /// `began` is when the call was sent, `wall` the same moment for people.
    void call_ended(CallId id, CallEnd end, TimePoint began, WallTime wall, TimePoint now);
    /// Of the settlements that next() gave out last, one for each.
    void settled(const std::vector<Settled>& results, TimePoint now);
    /// The order service says that it cannot read them, and would say so the next time.
    void settle_refused(TimePoint now);
    void settle_failed(TimePoint now);
    void extended(const std::vector<bool>& held, TimePoint now);
    void extend_failed(TimePoint now);
    void shown(TimePoint now);
    void show_failed(TimePoint now);

    /// Leases nothing and calls for nothing until resume(); calls under way go on.
    void pause() noexcept { paused_ = true; }
    void resume() noexcept { paused_ = false; }
    bool paused() const noexcept { return paused_; }
    /// Leases nothing any more and puts back what is not being called.
    void stop() noexcept { stopping_ = true; }
    /// Nothing is held, nothing is left to report, and no lease is on its way.
    bool idle() const noexcept { return jobs_.empty() && reports_.empty() && !leasing_; }

    /// The operator's word for it.
    resilience::CircuitBreaker& breaker() noexcept { return breaker_; }
    /// Changes of the breaker since the last call.
    std::vector<resilience::BreakerTransition> take_transitions() { return std::exchange(transitions_, {}); }

    /// Settlements that were given up since the last call.
    std::vector<Settlement> take_given_up() { return std::exchange(given_up_, {}); }

    std::size_t held() const noexcept { return jobs_.size(); }
    std::size_t calling() const noexcept { return calling_; }
    std::size_t to_report() const noexcept { return reports_.size(); }
    const WorkCounters& counters() const noexcept { return counters_; }

private:
    struct Job {
        Lease lease;
        TimePoint since{}; ///< it is held
        TimePoint until{}; ///< its lease ends, unless it is extended
        bool calling = false;
        resilience::Permit permit{};
    };

    void start_calls(Actions& actions, TimePoint now);
    void answered() noexcept { unanswered_ = false; }
    void put_back(CallId id, std::string reason, Duration pause);
    void report(CallId id, Settlement settlement);
    Settlement after_failure(const Job& job, const CallEnd& end, bool counts, Settlement settlement, TimePoint now);
    std::size_t wanted(TimePoint now);
    double draw();
    void note(std::optional<resilience::BreakerTransition> transition);

    WorkSettings settings_;
    std::mt19937_64 random_;
    resilience::CircuitBreaker breaker_;
    resilience::RetryPolicy retry_;
    resilience::RetryBudget budget_;
    std::vector<resilience::BreakerTransition> transitions_;

    std::map<CallId, Job> jobs_; ///< held and not yet reported
    std::deque<CallId> ready_;   ///< of those, not being called
    std::size_t calling_ = 0;
    CallId last_id_ = 0;

    std::deque<Settlement> reports_; ///< come to and not yet taken
    std::size_t reporting_ = 0;      ///< so many of the first are on their way
    std::size_t report_most_;        ///< in one request: fewer after one was refused
    std::vector<Settlement> given_up_;
    TimePoint report_at_{}; ///< not before

    bool leasing_ = false; ///< one request is on its way
    TimePoint lease_at_{}; ///< not before
    Duration lasts_ = seconds(30);

    std::vector<CallId> extending_; ///< on its way
    TimePoint extending_since_{};
    TimePoint extend_at_ = TimePoint::max();

    bool unanswered_ = false; ///< the latest request to the order service failed
    bool showing_ = false;    ///< on its way
    TimePoint show_at_{};     ///< not before

    bool paused_ = false;
    bool stopping_ = false;
    WorkCounters counters_;
};

} // namespace hotspare::orders
