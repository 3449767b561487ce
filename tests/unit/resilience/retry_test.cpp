#include "common/resilience/retry.hpp"

#include "common/resilience/circuit_breaker.hpp"
#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::resilience {

// For the messages of failed assertions.
static void PrintTo(GiveUp reason, std::ostream* out)
{
    *out << to_string(reason);
}

namespace TEST_FILE {

const TimePoint now = TimePoint{} + std::chrono::hours(3);

RetryBudget plenty()
{
    return RetryBudget(0, 1000);
}

FailedAttempt failed(unsigned attempts)
{
    return {.attempts = attempts, .now = now, .deadline = now + std::chrono::hours(1), .draw = 0.5};
}

TEST(Retry, waits_a_random_part_of_a_delay_that_grows_up_to_a_cap)
{
    RetrySettings s;
    s.attempts = 10;
    s.base_delay = milliseconds(100);
    s.multiplier = 2;
    s.max_delay = milliseconds(700);
    const RetryPolicy policy(s);
    RetryBudget budget = plenty();
    const std::vector<std::pair<unsigned, int>> longest{{1, 100}, {2, 200}, {3, 400}, {4, 700}, {5, 700}, {9, 700}};
    for (const auto& [attempts, ms] : longest) {
        EXPECT_EQ(policy.longest_backoff(attempts), milliseconds(ms)) << attempts;
        for (const auto& [draw, share] :
             {std::pair(0.0, 0), std::pair(0.25, 1), std::pair(0.5, 2), std::pair(0.75, 3)}) {
            FailedAttempt f = failed(attempts);
            f.draw = draw;
            const RetryDecision d = policy.decide(f, budget);
            ASSERT_TRUE(d);
            EXPECT_EQ(*d.retry_at, now + milliseconds(ms) * share / 4) << attempts;
        }
    }
}

TEST(Retry, a_draw_outside_its_range_does_no_harm)
{
    const RetryPolicy policy({});
    RetryBudget budget = plenty();
    const double nan = std::nan(""), infinite = std::numeric_limits<double>::infinity();
    for (const double draw : {-1.0, 1.0, 2.0, nan, infinite, -infinite}) {
        FailedAttempt f = failed(1);
        f.draw = draw;
        const RetryDecision d = policy.decide(f, budget);
        ASSERT_TRUE(d);
        EXPECT_GE(*d.retry_at, now);
        EXPECT_LE(*d.retry_at, now + milliseconds(100));
    }
}

TEST(Retry, delays_do_not_overflow)
{
    RetrySettings s;
    s.attempts = std::numeric_limits<unsigned>::max();
    s.multiplier = 100;
    EXPECT_EQ(RetryPolicy(s).longest_backoff(4'000'000'000U), s.max_delay);
    s.base_delay = Duration::zero();
    EXPECT_EQ(RetryPolicy(s).longest_backoff(4'000'000'000U), Duration::zero());
    s.multiplier = 1;
    s.base_delay = milliseconds(5);
    EXPECT_EQ(RetryPolicy(s).longest_backoff(4'000'000'000U), milliseconds(5));
    EXPECT_EQ(RetryPolicy(s).longest_backoff(0), milliseconds(5));
}

TEST(Retry, gives_up_for_one_reason_and_spends_budget_only_on_retries)
{
    struct Case {
        const char* what;
        unsigned attempts;
        bool retryable;
        Duration left; ///< until the deadline; the wait is 50 ms
        unsigned budget;
        std::optional<GiveUp> reason;
    };
    const Duration wait = milliseconds(50);
    const std::vector<Case> cases{
        {"the first of three", 1, true, seconds(1), 1, {}},
        {"the second of three", 2, true, seconds(1), 1, {}},
        {"all made", 3, true, seconds(1), 1, GiveUp::attempts},
        {"more than all made", 7, true, seconds(1), 1, GiveUp::attempts},
        {"final", 1, false, seconds(1), 1, GiveUp::not_retryable},
        {"final, and everything else as well", 9, false, -seconds(1), 0, GiveUp::not_retryable},
        {"just in time", 1, true, wait + Duration(1), 1, {}},
        {"just too late", 1, true, wait, 1, GiveUp::deadline},
        {"long too late", 1, true, -seconds(1), 1, GiveUp::deadline},
        {"now is the deadline", 1, true, Duration(0), 1, GiveUp::deadline},
        {"all made, too late", 3, true, -seconds(1), 0, GiveUp::attempts},
        {"no budget", 1, true, seconds(1), 0, GiveUp::budget},
        {"too late, no budget", 1, true, wait, 0, GiveUp::deadline},
    };
    RetrySettings s;
    s.multiplier = 1;
    const RetryPolicy policy(s);
    for (const Case& c : cases) {
        RetryBudget budget(0, c.budget / 10.0);
        const RetryDecision d = policy.decide(
            {.attempts = c.attempts, .retryable = c.retryable, .now = now, .deadline = now + c.left, .draw = 0.5},
            budget);
        ASSERT_EQ(d.retry_at.has_value(), !c.reason) << c.what;
        EXPECT_EQ(static_cast<bool>(d), d.retry_at.has_value());
        if (c.reason) {
            EXPECT_EQ(d.reason, *c.reason) << c.what;
        } else {
            EXPECT_EQ(*d.retry_at, now + wait) << c.what;
        }
        EXPECT_EQ(budget.available(now), c.reason ? c.budget : c.budget - 1) << c.what;
    }
}

TEST(Retry, one_attempt_means_none_after_it)
{
    RetrySettings s;
    s.attempts = 1;
    RetryBudget budget = plenty();
    EXPECT_EQ(RetryPolicy(s).decide(failed(1), budget).reason, GiveUp::attempts);
}

TEST(Retry, comes_no_sooner_than_the_server_asked)
{
    struct Case {
        Duration asked, left;
        std::optional<Duration> wait; ///< nullopt = gives up
    };
    const Duration jitter = milliseconds(50);
    const std::vector<Case> cases{
        {seconds(0), seconds(60), jitter},
        {seconds(1), seconds(60), seconds(1) + jitter},
        {-seconds(5), seconds(60), jitter},
        {seconds(30), seconds(60), seconds(30) + jitter},
        {seconds(31), seconds(60), seconds(30) + jitter}, // no server parks a job for longer
        {longest_retry_after, seconds(60), seconds(30) + jitter},
        {Duration::max(), seconds(60), seconds(30) + jitter},
        {Duration::min(), seconds(60), jitter},
        {seconds(10), seconds(9), {}}, // to come sooner would disobey
        {seconds(10), seconds(10), {}},
        {seconds(10), seconds(10) + jitter, {}},
        {seconds(10), seconds(10) + jitter + Duration(1), seconds(10) + jitter},
    };
    const RetryPolicy policy({});
    for (const Case& c : cases) {
        RetryBudget budget = plenty();
        FailedAttempt f = failed(1);
        f.retry_after = c.asked;
        f.deadline = now + c.left;
        const RetryDecision d = policy.decide(f, budget);
        ASSERT_EQ(d.retry_at.has_value(), c.wait.has_value()) << c.asked.count();
        if (c.wait) {
            EXPECT_EQ(*d.retry_at, now + *c.wait) << c.asked.count();
        } else {
            EXPECT_EQ(d.reason, GiveUp::deadline);
        }
    }
}

TEST(Retry, refuses_settings_with_which_it_could_not_work)
{
    const std::vector<std::pair<std::string, std::function<void(RetrySettings&)>>> wrong{
        {"attempts", [](auto& s) { s.attempts = 0; }},
        {"base_delay", [](auto& s) { s.base_delay = Duration(-1); }},
        {"multiplier", [](auto& s) { s.multiplier = 0.5; }},
        {"multiplier", [](auto& s) { s.multiplier = std::nan(""); }},
        {"max_delay", [](auto& s) { s.max_delay = milliseconds(99); }},
        {"max_delay", [](auto& s) { s.max_delay = Duration::max(); }},
        {"max_retry_after", [](auto& s) { s.max_retry_after = Duration(-1); }},
        {"max_retry_after", [](auto& s) { s.max_retry_after = Duration::max(); }},
    };
    for (const auto& [name, change] : wrong) {
        RetrySettings s;
        change(s);
        try {
            const RetryPolicy policy(s);
            ADD_FAILURE() << name << " was taken";
        } catch (const std::invalid_argument& error) {
            EXPECT_NE(std::string(error.what()).find(name), std::string::npos) << error.what();
        }
    }
}

TEST(Retry, keeps_its_bounds_for_any_job)
{
    test::check_property(5000, [](const std::vector<std::pair<std::uint16_t, std::uint32_t>>& failures) {
        RetrySettings s;
        s.attempts = *rc::gen::inRange(1U, 6U);
        s.base_delay = milliseconds(*rc::gen::inRange(0, 300));
        s.max_delay = s.base_delay + milliseconds(*rc::gen::inRange(0, 2000));
        s.multiplier = *rc::gen::inRange(100, 500) / 100.0;
        s.max_retry_after = milliseconds(*rc::gen::inRange(0, 5000));
        const TimePoint deadline = now + milliseconds(*rc::gen::inRange(0, 20'000));
        const RetryPolicy policy(s);
        RetryBudget budget(0, *rc::gen::inRange(0, 10) / 10.0);

        TimePoint t = now;
        unsigned attempts = 0;
        for (const auto& [took, what] : failures) {
            t += milliseconds(took % 1000);
            ++attempts;
            FailedAttempt f{.attempts = attempts, .now = t, .deadline = deadline, .draw = (what % 1000) / 1000.0};
            f.retryable = what % 16 != 3;
            Duration asked{};
            if (what % 3 == 0) f.retry_after = asked = milliseconds(what / 16 % 7000);
            asked = std::min(asked, s.max_retry_after);

            const auto before = budget.available(t);
            const RetryDecision d = policy.decide(f, budget);
            RC_ASSERT(budget.available(t) == before - (d ? 1 : 0));
            RC_ASSERT(attempts <= s.attempts);
            const double most =
                std::min(static_cast<double>(s.max_delay.count()),
                         static_cast<double>(s.base_delay.count()) * std::pow(s.multiplier, attempts - 1));
            const Duration latest = asked + Duration(static_cast<Duration::rep>(most * f.draw) + 1);
            if (!d) {
                const bool right = d.reason == GiveUp::not_retryable ? !f.retryable
                                   : d.reason == GiveUp::attempts    ? attempts == s.attempts
                                   : d.reason == GiveUp::deadline    ? t + latest >= deadline
                                                                     : before == 0;
                RC_ASSERT(right);
                return;
            }
            RC_ASSERT(f.retryable);
            RC_ASSERT(*d.retry_at < deadline);
            RC_ASSERT(*d.retry_at >= t + asked);
            RC_ASSERT(*d.retry_at <= t + latest);
            t = *d.retry_at;
        }
    });
}

// --- Retry-After -----------------------------------------------------------------------------------------------------

TEST(RetryAfter, reads_seconds_and_dates_and_nothing_else)
{
    const WallTime wall = WallTime(seconds(784'111'777)); // Sun, 06 Nov 1994 08:49:37 GMT
    const auto most = longest_retry_after;
    const std::vector<std::pair<std::string, std::optional<Duration>>> cases{
        {"0", seconds(0)},
        {"120", seconds(120)},
        {"007", seconds(7)},
        {"31536000", most},
        {"31536001", most},
        {"18446744073709551617", most},
        {std::string(10'000, '9'), most},
        {std::string(10'000, '0') + "1", seconds(1)},
        {"Sun, 06 Nov 1994 08:49:38 GMT", seconds(1)},
        {"Sunday, 06-Nov-94 08:50:37 GMT", seconds(60)},
        {"Sun Nov  6 09:49:37 1994", seconds(3600)},
        {"Sun, 06 Nov 1994 08:49:37 GMT", seconds(0)},
        {"Sun, 06 Nov 1994 08:49:36 GMT", seconds(0)}, // has passed
        {"Thu, 01 Jan 1970 00:00:00 GMT", seconds(0)},
        {"Fri, 31 Dec 9999 23:59:59 GMT", most},
        {"", {}},
        {" 1", {}},
        {"1 ", {}},
        {"+1", {}},
        {"-1", {}},
        {"1.5", {}},
        {"1s", {}},
        {"0x10", {}},
        {"1, 2", {}},
        {"1e3", {}},
        {"soon", {}},
        {std::string("1\0", 2), {}},
        {"\xd9\xa1", {}}, // a digit, but not of ASCII
        {"Sun, 06 Nov 1994 08:49:38 GMT ", {}},
        {"1994-11-06T08:49:38Z", {}},
    };
    for (const auto& [text, expected] : cases) EXPECT_EQ(parse_retry_after(text, wall), expected) << text.substr(0, 40);
}

TEST(RetryAfter, a_date_is_reached_to_the_moment)
{
    const WallTime wall = WallTime(seconds(784'111'777)) + milliseconds(250);
    EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:39 GMT", wall), milliseconds(1750));
    EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:38 GMT", wall), milliseconds(750));
    EXPECT_EQ(parse_retry_after("Sun, 06 Nov 1994 08:49:37 GMT", wall), milliseconds(0));
}

TEST(RetryAfter, whatever_it_reads_is_bounded)
{
    test::check_property(5000, [] {
        const auto text = *rc::gen::oneOf(
            rc::gen::element<std::string>("Fri, 31 Dec 9999 23:59:59 GMT", "Sat, 01 Jan 0000 00:00:00 GMT",
                                          "Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT"),
            rc::gen::container<std::string>(rc::gen::inRange('0', static_cast<char>('9' + 1))),
            rc::gen::arbitrary<std::string>());
        const auto year = *rc::gen::inRange(1680, 2260);
        const WallTime wall = std::chrono::sys_days(std::chrono::year(year) / 1 / 1) +
                              std::chrono::nanoseconds(*rc::gen::inRange<std::int64_t>(0, 31'000'000'000'000'000));
        const auto wait = parse_retry_after(text, wall);
        if (wait) RC_ASSERT(*wait >= Duration::zero() && *wait <= longest_retry_after);
    });
}

// --- retry(breaker(timeout(call))) -----------------------------------------------------------------------------------

/// Jobs that call one dependency through a breaker, as the validation service runs them, in simulated time.
class Pipeline {
public:
    Pipeline(std::uint64_t seed, TimePoint outage_begins, TimePoint outage_ends, bool with_breaker)
        : random_(seed), breaker_({}, seed, now), begins_(outage_begins), ends_(outage_ends)
    {
        if (!with_breaker) breaker_.disable(now);
    }

    struct Job {
        TimePoint deadline{};
        unsigned attempts = 0; ///< calls that were made
        unsigned put_off = 0;  ///< times that the breaker refused one
        bool done = false;
        std::optional<GiveUp> given_up = std::nullopt;
        TimePoint ended{};
    };

    void add(TimePoint at, Duration allowed)
    {
        due_.emplace(at, jobs_.size());
        jobs_.push_back({.deadline = at + allowed});
    }

    void run()
    {
        while (!due_.empty() || !calls_.empty()) {
            if (calls_.empty() || (!due_.empty() && due_.begin()->first <= calls_.begin()->first))
                start_call(due_.extract(due_.begin()));
            else
                end_call(calls_.extract(calls_.begin()));
        }
    }

    const std::vector<Job>& jobs() const { return jobs_; }
    const BreakerCounters& counters() const { return breaker_.counters(); }
    unsigned calls_in_outage() const { return calls_in_outage_; }
    std::optional<TimePoint> found_again() const { return found_again_; } ///< first call after the outage

private:
    struct Call {
        std::size_t job;
        Permit permit;
        TimePoint started;
        bool good;
    };

    bool well(TimePoint at) const { return at < begins_ || at >= ends_; }

    void start_call(std::multimap<TimePoint, std::size_t>::node_type node)
    {
        const TimePoint at = node.key();
        Job& job = jobs_[node.mapped()];
        Admission admission = breaker_.acquire(at);
        if (!admission) {
            ++job.put_off;
            EXPECT_GT(admission.retry_at, at);
            due_.emplace(admission.retry_at, node.mapped());
            return;
        }
        if (++job.attempts == 1) budget_.deposit(at);
        if (!well(at)) ++calls_in_outage_;
        if (at >= ends_ && !found_again_) found_again_ = at;
        const Duration took = microseconds(500 + random_() % 20'000);
        calls_.emplace(at + took, Call{node.mapped(), *std::move(admission.permit), at, well(at)});
    }

    void end_call(std::multimap<TimePoint, Call>::node_type node)
    {
        const TimePoint at = node.key();
        Call call = std::move(node.mapped());
        Job& job = jobs_[call.job];
        breaker_.report(std::move(call.permit), call.good ? CallOutcome::success : CallOutcome::failure,
                        at - call.started, at);
        job.ended = at;
        if (call.good) {
            job.done = true;
            return;
        }
        const RetryDecision next = policy_.decide({.attempts = job.attempts,
                                                   .now = at,
                                                   .deadline = job.deadline,
                                                   .draw = static_cast<double>(random_() % 1000) / 1000},
                                                  budget_);
        if (next) {
            EXPECT_LT(*next.retry_at, job.deadline);
            due_.emplace(*next.retry_at, call.job);
        } else {
            job.given_up = next.reason;
        }
    }

    std::mt19937_64 random_;
    CircuitBreaker breaker_;
    RetryPolicy policy_{RetrySettings{}};
    RetryBudget budget_{0.2, 1000};
    TimePoint begins_, ends_;
    std::vector<Job> jobs_;
    std::multimap<TimePoint, std::size_t> due_;
    std::multimap<TimePoint, Call> calls_;
    unsigned calls_in_outage_ = 0;
    std::optional<TimePoint> found_again_;
};

TEST(RetryAroundBreaker, a_refusal_of_the_breaker_costs_no_attempt)
{
    // The dependency is down from the start, 20 jobs burn the breaker's evidence, and one job comes while it is open.
    Pipeline world(1, now, now + seconds(2), true);
    for (int i = 0; i < 20; ++i) world.add(now + milliseconds(i), std::chrono::hours(1));
    world.run();
    unsigned put_off = 0;
    std::uint64_t attempts = 0;
    for (const Pipeline::Job& job : world.jobs()) {
        put_off += job.put_off;
        attempts += job.attempts;
        EXPECT_LE(job.attempts, 3U);
        if (job.done) continue;
        EXPECT_EQ(job.given_up, GiveUp::attempts);
        EXPECT_EQ(job.attempts, 3U) << "only calls that were made count";
    }
    EXPECT_GT(put_off, 20U);
    EXPECT_EQ(world.counters().refused, put_off);
    EXPECT_EQ(world.counters().permitted, attempts);
}

TEST(RetryAroundBreaker, survives_outages_at_the_cost_of_a_few_probes)
{
    test::check_property(1000, [](std::uint64_t seed) {
        const TimePoint begins = now + milliseconds(*rc::gen::inRange(0, 2000));
        const Duration outage = milliseconds(*rc::gen::inRange(0, 30'000));
        const TimePoint ends = begins + outage;
        const auto jobs = *rc::gen::inRange(200, 400);
        const auto run = [&](bool with_breaker) {
            Pipeline world(seed, begins, ends, with_breaker);
            // Jobs come in all the time until the outage is over.
            for (int i = 0; i < jobs; ++i) world.add(now + (ends - now) * i / jobs, std::chrono::hours(1));
            world.run();
            return world;
        };
        const Pipeline world = run(true);

        unsigned lost = 0;
        TimePoint last = now;
        for (const Pipeline::Job& job : world.jobs()) {
            RC_ASSERT(job.done != job.given_up.has_value());
            RC_ASSERT(job.attempts >= 1U && job.attempts <= 3U);
            if (!job.done) RC_ASSERT(job.given_up == GiveUp::attempts && job.attempts == 3U);
            lost += job.done ? 0 : 1;
            last = std::max(last, job.ended);
        }
        RC_ASSERT(last <= ends + seconds(3));
        if (world.found_again()) RC_ASSERT(*world.found_again() <= ends + seconds(1));

        // Five failures and what was under way beside them, then at most three probes per open time.
        const auto rounds = outage / milliseconds(200) + 1;
        const auto first_burst = 5 + jobs * seconds(1) / (ends - now + milliseconds(1)) + 20;
        RC_ASSERT(world.calls_in_outage() <= first_burst + 3 * rounds);
        RC_ASSERT(lost * 3 <= world.calls_in_outage());
        if (outage > seconds(5)) {
            const Pipeline unprotected = run(false);
            const auto lost_without =
                std::ranges::count_if(unprotected.jobs(), [](const Pipeline::Job& job) { return !job.done; });
            RC_ASSERT(static_cast<unsigned>(lost_without) > lost);
        }
    });
}

} // namespace TEST_FILE
} // namespace hotspare::resilience
