// Makes the checks of all targets and hands what each of them found to a handler. It decides nothing about outages
// (monitor/decide/incident.hpp does), stores nothing and sends no notifications.
//
// A finding is `up`, `degraded` (a good answer that took longer than `slow`, or that says so), `down` (refused, reset,
// wrong answer, not within the timeout, or an answer that says so), or `unknown` when the check could not be made for a
// reason of ours: no descriptor, no memory, no port, no name server, the end of the daemon, or a time in which the
// daemon did not run. After a whole interval in which nothing was checked an unknown finding is dated back to its
// beginning.
//
// A balancer's backends become targets when it first names them, and are unknown while it cannot be asked. One that it
// has not named for a day is forgotten.
//
// Thread: the io_context's. Owner: main; it must live until the io_context has run out of work after stop().
#pragma once

#include "common/log.hpp"
#include "common/metrics.hpp"
#include "common/resilience/health.hpp"
#include "common/task_group.hpp"
#include "monitor/check/balancer_status.hpp"
#include "monitor/check/names.hpp"
#include "monitor/check/push.hpp"
#include "monitor/check/schedule.hpp"
#include "monitor/check/settings.hpp"
#include "monitor/decide/instant.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::probe {
struct Result;
} // namespace hotspare::probe

namespace hotspare::monitor {

namespace asio = boost::asio;

struct Finding {
    std::size_t target = 0; ///< of Checker::targets()
    Instant at{};           ///< when the check started
    State state = State::unknown;
    std::string cause{};               ///< for people; empty when it is up
    std::optional<Duration> latency{}; ///< of an answer; of a backend as the balancer measured it
    bool unhealthy = false;            ///< of a finding that is down: it does answer, but not as it should
    std::optional<bool> paused{};      ///< a worker's own word
};

/// What is watched. The name stays the same over restarts; the index moves when a backend before it is forgotten.
struct Watched {
    std::string name;         ///< of a backend NAME/BACKEND
    std::size_t settings = 0; ///< the target in the settings, of a backend its balancer's
    bool is_backend = false;
};

/// Every rollout may give new names to the backends of a balancer.
struct BackendLimits {
    /// How long a backend is kept after the balancer last named it: it may come back after a restart or a rollback, and
    /// its failures of the last day stay visible.
    Duration kept = std::chrono::hours(24);
    /// For each balancer: those that its status may name, and as many that it named before. To make room for a new one
    /// that which is missing longest is forgotten at once; if none is missing, the new one is not watched.
    std::size_t most = 2 * most_balancer_backends;
};

class Checker {
public:
    /// Called on the io_context's thread for every finding; it must not block or throw. A target that it has not heard
    /// of is new. It says whether the state of the target is in doubt.
    using Handler = std::function<bool(const Finding&)>;
    /// Called with the name of a backend that is no target any more. As for a handler.
    using Forgotten = std::function<void(const std::string& name)>;
    /// How many checks of a target ended in each way.
    using Outcomes = std::array<std::uint64_t, static_cast<std::size_t>(resilience::ProbeOutcome::timed_out) + 1>;

    /// `targets` are complete (finish_targets()).
    Checker(asio::io_context& context, std::vector<TargetSettings> targets, const ScheduleSettings& settings,
            Handler handler, Forgotten forgotten = {}, BackendLimits limits = {});

    Checker(const Checker&) = delete;
    Checker& operator=(const Checker&) = delete;

    void start();
    /// Begins the end: checks under way are unknown. After that the checker has no work left in the io_context.
    void stop();

    /// The report of a push check, found at once. False: no target has this token. As long for any wrong token.
    bool report(std::string_view token, PushReport report);

    /// First those of the settings in their order, then backends in the order in which they were met.
    const std::deque<Watched>& targets() const noexcept { return watched_; }
    /// Of a target of the settings. A push check has none.
    const Outcomes& outcomes(std::size_t target) const { return targets_[target].outcomes; }
    /// Lag, and checks made and skipped. After start().
    const Schedule& schedule() const noexcept { return *schedule_; }
    /// By how much checks began later than due.
    const metrics::Histogram& lag() const noexcept { return lag_; }

private:
    /// What a check says before it is known when it started and whether it counts.
    struct Said {
        State state = State::unknown;
        std::string cause{};
        std::optional<Duration> latency{};
        bool unhealthy = false;
        std::optional<bool> paused{};
        std::vector<BackendStatus> backends{}; ///< of a balancer that was asked
        bool asked = false;                    ///< it was
    };
    struct Backend {
        std::size_t index = 0;
        std::optional<TimePoint> missing_since{}; ///< the first answer without it
    };
    struct Target {
        TargetSettings settings;
        config::HostPort origin{}; ///< of all but push
        std::string path{};        ///< of url and balancer
        Names::Id name = 0;
        std::optional<PushWatch> push{};
        std::map<std::string, Backend> backends{}; ///< by their own names
        Outcomes outcomes{};
    };

    void tick();
    void arm();
    void look();
    void begin(std::size_t index);
    asio::awaitable<void> check(std::size_t index, TimePoint started);
    asio::awaitable<Said> make(std::size_t index);
    asio::awaitable<void> end();
    Said judge(Target& target, probe::Result result) const;
    void tell(std::size_t index, Instant at, Said said);
    void tell_backends(std::size_t index, Instant at, const Said& said);
    void tell_missing_backends(std::size_t index, Instant at, const Said& said);
    bool make_room(Target& balancer);
    void forget(Target& balancer, std::map<std::string, Backend>::iterator backend);
    void tell_push(std::size_t index, TimePoint now);
    Instant wall(TimePoint at) const noexcept;

    ScheduleSettings settings_;
    Handler handler_;
    Forgotten forgotten_;
    BackendLimits limits_;
    std::vector<Target> targets_; ///< never resized: coroutines refer to them
    std::deque<Watched> watched_;
    Names names_;
    std::optional<Schedule> schedule_;
    WallTime::duration wall_offset_{};
    metrics::Histogram lag_;
    asio::steady_timer timer_;
    log::Throttle throttle_;
    bool stopping_ = false;
    TaskGroup checks_;
    TaskGroup ending_; ///< the one task that ends them
};

} // namespace hotspare::monitor
