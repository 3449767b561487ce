#include "orders/validation_service/settings.hpp"

namespace hotspare::resilience {

void fields(config::Fields& field, BreakerSettings& s)
{
    const config::Rule<double> share{0.001, 1};
    field("window", s.window, "judge the last window_calls calls, or those of the last window_time");
    field("window_calls", s.window_calls, "calls in a window by count", {1U, 100'000U});
    field("window_time", s.window_time, "length of a window by time", {milliseconds(100), std::chrono::minutes(10)});
    field("minimum_calls", s.minimum_calls, "with fewer calls in the window no rate is judged", {1U, 100'000U});
    field("failures_in_a_row", s.failures_in_a_row, "opens at once after so many; 0 = never", {0U, 100'000U});
    field("failure_rate", s.failure_rate, "share of failed calls that opens it", share);
    field("slow_call", s.slow_call, "a call that takes longer is slow", {milliseconds(1), std::chrono::hours(1)});
    field("slow_call_rate", s.slow_call_rate, "share of slow calls that opens it", share);
    field("half_open_permits", s.half_open_permits, "probes that decide whether it closes", {1U, 1'000U});
    field("open_time", s.open_time, "how long it stays open the first time", {milliseconds(1), std::chrono::hours(1)});
    field("open_time_multiplier", s.open_time_multiplier, "so much longer each time that the probes fail", {1., 100.});
    field("max_open_time", s.max_open_time, "but no longer than this", {milliseconds(1), std::chrono::hours(24)});
}

void fields(config::Fields& field, RetrySettings& s)
{
    field("attempts", s.attempts, "calls per order, the first included", {1U, 60U});
    field("base_delay", s.base_delay, "longest pause after the first failed call",
          {milliseconds(1), std::chrono::hours(1)});
    field("multiplier", s.multiplier, "so much longer after each further one", {1., 100.});
    field("max_delay", s.max_delay, "but no longer than this", {milliseconds(1), std::chrono::hours(24)});
    field("max_retry_after", s.max_retry_after, "longest Retry-After that is honoured",
          {Duration::zero(), std::chrono::hours(24)});
}

} // namespace hotspare::resilience

namespace hotspare::orders {

void fields(config::Fields& field, WorkSettings& s)
{
    field("concurrency", s.concurrency, "calls of the validator at once", {std::size_t{1}, std::size_t{256}});
    field("give_up_after", s.give_up_after, "an order as old as this is not tried again after a failure",
          {milliseconds(1), std::chrono::hours(24 * 365)});
    field("retry_ratio", s.retry_ratio, "retries, as a share of the orders tried ...", {0., 10.});
    field("retries_per_second", s.retries_per_second, "... and so many more", {0., 10'000.});
    field("breaker", s.breaker, "the circuit breaker before the validator");
    field("retry", s.retry, "what becomes of an order whose call failed");
}

void fields(config::Fields& field, ValidationServiceSettings& s)
{
    const config::Rule<std::string> origin{config::is_http_origin, config::an_http_origin};
    field("name", s.name, "how the service calls itself in its answers",
          {[](const std::string& text) { return !text.empty() && text.size() <= 64; }, "a name of up to 64 bytes"});
    field("host", s.host, "address to listen on");
    field("port", s.port, "port to listen on; 0 = any free one");
    field("orders", s.orders, "where the order service, or a balancer before several, is", origin);
    field("validator", s.validator, "where the external validator is", origin);
    field("call_timeout", s.call_timeout, "a call of the validator without a whole answer by then has failed",
          {milliseconds(1), std::chrono::minutes(10)});
    field("poll", s.poll, "how long one request for jobs may wait for work", {Duration::zero(), seconds(30)});
    field("drain", s.drain, "how long calls in flight may take after SIGTERM",
          {Duration::zero(), std::chrono::minutes(10)});
    field("work", s.work, "how jobs are worked on");
}

void finish(ValidationServiceSettings& s, const config::Places& places)
{
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
