#include "orders/validation_service/settings.hpp"

namespace hotspare::resilience {

void fields(config::Fields& field, BreakerSettings& s)
{
    const config::Rule<double> share{0.001, 1};
    field("window", s.window,
          "calls that rates are computed over: count = the last window_calls calls; time = those of the last "
          "window_time");
    field("window_calls", s.window_calls, "number of calls in the window, with window: count", {1U, 100'000U});
    field("window_time", s.window_time, "length of the window, with window: time",
          {milliseconds(100), std::chrono::minutes(10)});
    field("minimum_calls", s.minimum_calls, "minimum number of calls in the window before a rate can open the breaker",
          {1U, 100'000U});
    field("failures_in_a_row", s.failures_in_a_row, "consecutive failed calls that open the breaker; 0 = off",
          {0U, 100'000U});
    field("failure_rate", s.failure_rate, "share of failed calls in the window that opens the breaker", share);
    field("slow_call", s.slow_call, "duration above which a call counts as slow",
          {milliseconds(1), std::chrono::hours(1)});
    field("slow_call_rate", s.slow_call_rate, "share of slow calls in the window that opens the breaker", share);
    field("half_open_permits", s.half_open_permits, "number of trial calls in state half-open", {1U, 1'000U});
    field("open_time", s.open_time, "time in state open before the first trial calls are made",
          {milliseconds(1), std::chrono::hours(1)});
    field("open_time_multiplier", s.open_time_multiplier, "factor for open_time after each failed trial", {1., 100.});
    field("max_open_time", s.max_open_time, "maximum time in state open", {milliseconds(1), std::chrono::hours(24)});
}

void fields(config::Fields& field, RetrySettings& s)
{
    field("attempts", s.attempts,
          "maximum number of calls per order, including the first; failed connections do not count", {1U, 60U});
    field("base_delay", s.base_delay, "upper bound of the random delay after the first failed call",
          {milliseconds(1), std::chrono::hours(1)});
    field("multiplier", s.multiplier, "factor for that upper bound after each further failed call", {1., 100.});
    field("max_delay", s.max_delay, "maximum of that upper bound", {milliseconds(1), std::chrono::hours(24)});
    field("max_retry_after", s.max_retry_after, "longer values of Retry-After from the validator are reduced to this",
          {Duration::zero(), std::chrono::hours(24)});
}

} // namespace hotspare::resilience

namespace hotspare::orders {

void fields(config::Fields& field, WorkSettings& s)
{
    field("concurrency", s.concurrency, "maximum number of concurrent calls to the validator",
          {std::size_t{1}, std::size_t{256}});
    field("give_up_after", s.give_up_after,
          "time limit for retries, from the first failed call of an order or of its replay; a later failure is final",
          {milliseconds(1), std::chrono::hours(24 * 365)});
    field("retry_ratio", s.retry_ratio, "retry budget: retries allowed per order, in addition to retries_per_second",
          {0., 10.});
    field("retries_per_second", s.retries_per_second,
          "retry budget: retries allowed per second, in addition to retry_ratio", {0., 10'000.});
    field("breaker", s.breaker, "circuit breaker for calls to the validator");
    field("retry", s.retry, "retries of failed calls");
}

void fields(config::Fields& field, ValidationServiceSettings& s)
{
    const config::Rule<std::string> origin{config::is_http_origin, config::an_http_origin};
    field("name", s.name, "name of the service in its responses",
          {[](const std::string& text) { return !text.empty() && text.size() <= 64; }, "a name of up to 64 bytes"});
    field("host", s.host, "address to listen on");
    field("port", s.port, "port to listen on; 0 = any free port");
    field("control", s.control, "control listener for operators");
    field("state", s.state,
          "file that stores whether the worker is paused, so that a restart does not end the pause; each worker needs "
          "its own; empty = hotspare-validation-PORT.state, or no file if `port` is 0");
    field("orders", s.orders, "address of the order service, or of a balancer in front of several: http://HOST[:PORT]",
          origin);
    field("validator", s.validator, "address of the validator: http://HOST[:PORT]", origin);
    field("call_timeout", s.call_timeout, "timeout of a call to the validator",
          {milliseconds(1), std::chrono::minutes(10)});
    field("poll", s.poll, "maximum time a request for orders waits while there are none (long poll)",
          {Duration::zero(), seconds(30)});
    field("drain", s.drain, "maximum time for calls in flight to complete after SIGTERM",
          {Duration::zero(), std::chrono::minutes(10)});
    field("work", s.work, "processing of orders");
}

void finish(ValidationServiceSettings& s, const config::Places& places)
{
    if (s.state.empty() && s.port != 0) s.state = "hotspare-validation-" + std::to_string(s.port) + ".state";
    const auto& breaker = s.work.breaker;
    if (breaker.window == resilience::WindowKind::count && breaker.minimum_calls > breaker.window_calls)
        places.fail("work.breaker.minimum_calls", "is more than window_calls, so that the breaker would never open");
    if (breaker.max_open_time < breaker.open_time) places.fail("work.breaker.max_open_time", "is less than open_time");
    if (s.work.retry.max_delay < s.work.retry.base_delay)
        places.fail("work.retry.max_delay", "is less than base_delay");
    // A probe's answer must not come after its permit has expired.
    s.work.breaker.permit_lifetime = 2 * s.call_timeout;
}

} // namespace hotspare::orders
