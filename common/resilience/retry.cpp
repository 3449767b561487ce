#include "common/resilience/retry.hpp"

#include "common/time.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>

namespace hotspare::resilience {
namespace {

bool is_digit(char c) noexcept
{
    return c >= '0' && c <= '9';
}

} // namespace

std::string_view to_string(GiveUp reason) noexcept
{
    switch (reason) {
    case GiveUp::not_retryable: return "not_retryable";
    case GiveUp::attempts: return "attempts";
    case GiveUp::deadline: return "deadline";
    case GiveUp::budget: return "budget";
    }
    return "invalid";
}

RetryPolicy::RetryPolicy(const RetrySettings& settings) : settings_(settings)
{
    const auto require = [](bool holds, const char* what) {
        if (!holds) throw std::invalid_argument(std::string("retry: ") + what);
    };
    require(settings.attempts >= 1, "attempts must be at least 1");
    require(settings.base_delay >= Duration::zero(), "base_delay must not be negative");
    require(settings.multiplier >= 1 && settings.multiplier <= 100, "multiplier must be from 1 to 100");
    require(settings.max_delay >= settings.base_delay, "max_delay must not be below base_delay");
    require(settings.max_delay <= std::chrono::hours(24), "max_delay must be at most 24 h");
    require(settings.max_retry_after >= Duration::zero(), "max_retry_after must not be negative");
    require(settings.max_retry_after <= std::chrono::hours(24), "max_retry_after must be at most 24 h");
}

RetryDecision RetryPolicy::decide(const FailedAttempt& failed, RetryBudget& budget) const
{
    if (!failed.retryable) return {std::nullopt, GiveUp::not_retryable};
    if (failed.attempts >= settings_.attempts) return {std::nullopt, GiveUp::attempts};

    const double draw = failed.draw > 0 ? std::min(failed.draw, 1.0) : 0; // NaN is zero, too
    Duration wait(static_cast<Duration::rep>(static_cast<double>(longest_backoff(failed.attempts).count()) * draw));
    if (failed.retry_after) wait += std::clamp(*failed.retry_after, Duration::zero(), settings_.max_retry_after);
    if (failed.now >= failed.deadline || wait >= failed.deadline - failed.now) return {std::nullopt, GiveUp::deadline};

    if (!budget.withdraw(failed.now)) return {std::nullopt, GiveUp::budget};
    return {failed.now + wait, {}};
}

Duration RetryPolicy::longest_backoff(unsigned attempts) const noexcept
{
    const double grown =
        static_cast<double>(settings_.base_delay.count()) * std::pow(settings_.multiplier, std::max(attempts, 1U) - 1);
    // Compared before it is converted: it may be infinite, or not a number where base_delay is zero.
    return grown < static_cast<double>(settings_.max_delay.count()) ? Duration(static_cast<Duration::rep>(grown))
           : settings_.base_delay == Duration::zero()               ? Duration::zero()
                                                                    : settings_.max_delay;
}

std::optional<Duration> parse_retry_after(std::string_view value, WallTime now)
{
    constexpr auto longest = std::chrono::duration_cast<seconds>(longest_retry_after);
    if (value.empty()) return std::nullopt;
    if (std::ranges::all_of(value, is_digit)) {
        seconds::rep delay = 0;
        for (const char digit : value) delay = std::min(delay * 10 + (digit - '0'), longest.count());
        return seconds(delay);
    }
    const auto date = parse_http_date(value, now);
    if (!date) return std::nullopt;
    // In whole seconds first, the comparison as well: the year 9999 is out of WallTime's and Duration's range.
    const auto this_second = std::chrono::floor<seconds>(now);
    const seconds ahead = *date - this_second;
    if (ahead > longest) return longest;
    if (ahead <= seconds::zero()) return Duration::zero();
    return ahead - (now - this_second);
}

} // namespace hotspare::resilience
