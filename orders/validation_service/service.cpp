#include "orders/validation_service/service.hpp"

#include "common/http/address.hpp"
#include "common/http/caller.hpp"
#include "common/json_document.hpp"
#include "common/log.hpp"
#include "common/no_throw.hpp"
#include "common/text.hpp"
#include "common/time.hpp"
#include "common/version.hpp"
#include "orders/validation_service/validator.hpp"
#include "orders/wire.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <random>
#include <type_traits>

namespace hotspare::orders {
namespace {

using http::Request;
using http::Response;
using http::verb;
using resilience::BreakerState;
using OrderedJson = nlohmann::ordered_json;

/// For the order service to answer anything but a request for jobs: its own limit for a write, and the way.
constexpr Duration orders_timeout = seconds(5);
/// Of the reason why it refuses something, in bytes.
constexpr std::size_t longest_detail = 300;
constexpr std::uint64_t largest_answer = 1024 * 1024;
/// A core that is not woken by anything else looks around this often.
constexpr Duration longest_sleep = seconds(10);
/// A report that was given up is trouble for so long: until its order has been leased and reported again.
constexpr Duration given_up_memory = seconds(60);

std::string describe(const resilience::BreakerTransition& change)
{
    auto text = fmt::format("{} -> {}: {}", to_string(change.from), to_string(change.to), to_string(change.cause));
    if (change.tally.calls > 0)
        text += fmt::format(" ({} of {} calls failed, {} were slow)", change.tally.failures, change.tally.calls,
                            change.tally.slow);
    if (change.to == BreakerState::open) text += fmt::format("; the first probe in {} ms", to_ms(change.open_for));
    return text;
}

OrderedJson to_json(const resilience::CallTally& tally)
{
    return {{"calls", tally.calls},
            {"failures", tally.failures},
            {"slow", tally.slow},
            {"failure_rate", tally.failure_rate()},
            {"slow_call_rate", tally.slow_call_rate()}};
}

} // namespace

ValidationService::ValidationService(asio::io_context& context, ValidationServiceSettings settings, std::string worker)
    : context_(context), settings_(std::move(settings)), worker_(std::move(worker)),
      work_(settings_.work, std::random_device{}(), Clock::now()), pause_file_(settings_.state),
      orders_(http::resolve_origin(settings_.orders, "--orders")),
      validator_(http::resolve_origin(settings_.validator, "--validator")), wake_(context),
      reported_(context, TimePoint::max()), control_(settings_.control), router_(make_routes(Listener::clients)),
      control_router_(make_routes(Listener::control)),
      server_(context, [this](Request& request) { return router_.dispatch(request); },
              {.on_exchange = [this](const http::Exchange& exchange) { counts_.add(exchange); }}),
      control_server_(context, [this](Request& request) { return control_router_.dispatch(request); },
                      {.on_exchange = [this](const http::Exchange& exchange) { counts_.add(exchange); }}),
      tasks_(context), life_(context)
{
    if (pause_file_.load()) {
        work_.pause();
        log::warn("paused by an operator before this start (see {}): no order is validated by this worker until "
                  "POST /resume",
                  pause_file_.path());
    }
    try {
        http::listen(server_, settings_.host, settings_.port, "--port");
        http::listen(control_server_, settings_.control.host, settings_.control.port, "--control-port");
    } catch (...) {
        // One of the two may accept already; nothing will ever run that could end it in order.
        context_.stop();
        throw;
    }
    control_.listens_on(control_port());
}

http::Router ValidationService::make_routes(Listener listener)
{
    http::Router routes;
    using Member = Response (ValidationService::*)(const Request&);
    using LongMember = asio::awaitable<Response> (ValidationService::*)(const Request&);
    const auto on = [&](verb method, std::string path, Member member) {
        routes.add(method, std::move(path),
                   [this, member](const Request& request) { return (this->*member)(request); });
    };
    const auto operator_on = [&](verb method, std::string path, auto member) {
        if constexpr (std::is_same_v<decltype(member), LongMember>) {
            auto act = [this, member](const Request& request) { return (this->*member)(request); };
            routes.add(method, std::move(path), control_.guard(Party::operators, listener, std::move(act)));
        } else {
            routes.add(method, std::move(path), [this, member, listener](const Request& request) {
                const auto problem = control_.refuse(http::caller_of(request), Party::operators, listener);
                return problem ? http::problem(*problem, request.id) : (this->*member)(request);
            });
        }
    };
    on(verb::get, "/health", &ValidationService::health);
    on(verb::get, "/metrics", &ValidationService::expose_metrics);
    on(verb::get, "/work", &ValidationService::queue);
    operator_on(verb::post, "/pause", &ValidationService::pause);
    operator_on(verb::post, "/resume", &ValidationService::resume);
    on(verb::get, "/breaker", &ValidationService::breaker);
    operator_on(verb::post, "/breaker/force_open", &ValidationService::force_open);
    operator_on(verb::post, "/breaker/disable", &ValidationService::disable);
    operator_on(verb::post, "/breaker/reset", &ValidationService::reset);
    return routes;
}

void ValidationService::start()
{
    proceed();
}

void ValidationService::stop()
{
    if (std::exchange(stopping_, true)) return;
    work_.stop();
    proceed();
    life_.spawn("drain", drain());
}

asio::awaitable<void> ValidationService::drain()
{
    co_await server_.drain(seconds(1));
    co_await control_server_.drain(seconds(1));
    reported_.expires_after(settings_.drain);
    while (!work_.idle() && reported_.expiry() > Clock::now()) {
        const auto until = reported_.expiry();
        co_await reported_.async_wait(no_throw);
        reported_.expires_at(until);
    }
    if (!work_.idle())
        log::warn("{} jobs are left without a report; their leases end by themselves",
                  work_.held() + work_.to_report());
    ended_ = true;
    wake_.cancel();
    tasks_.cancel();
    co_await tasks_.join();
}

// --- The work --------------------------------------------------------------------------------------------------------

void ValidationService::proceed()
{
    if (ended_) return;
    const auto now = Clock::now();
    if (now - proceeded_at_ > 2 * longest_sleep)
        log::warn("this process was suspended for {} s; it held {} orders, and those whose lease has ended are leased "
                  "again",
                  to_s(now - proceeded_at_), work_.held());
    proceeded_at_ = now;
    auto actions = work_.next(now);
    log_transitions();
    for (auto& one : actions.call) tasks_.spawn("call", call(std::move(one)));
    if (!actions.settle.empty()) tasks_.spawn("settle", settle(std::move(actions.settle)));
    if (!actions.extend.empty()) tasks_.spawn("extend", extend(std::move(actions.extend)));
    if (actions.lease > 0) tasks_.spawn("lease", lease(actions.lease));
    if (actions.show) tasks_.spawn("show", show());
    if (stopping_ && work_.idle()) reported_.cancel();
    const auto at = std::min(actions.wake_at, now + longest_sleep);
    if (wake_.expiry() == at) return;
    wake_.expires_at(at);
    wake_.async_wait([this](error_code error) {
        if (!error) proceed();
    });
}

asio::awaitable<void> ValidationService::call(Call call)
{
    const auto began = Clock::now();
    const auto wall = std::chrono::system_clock::now();
    auto request = http::make_request(verb::post, "/validate", validation_body(call.what), "application/json");
    request.set("Idempotency-Key", validation_key(call.what.order_id, call.generation));
    const auto response = co_await validator_.send(std::move(request), {.deadline = settings_.call_timeout});
    const auto now = Clock::now();
    calls_.observe(now - began);
    result<ValidatorAnswer> answer = errc::unavailable;
    if (response)
        answer =
            ValidatorAnswer{response->result_int(), response->body(), std::string(response->header("Retry-After"))};
    else
        answer = response.error();
    work_.call_ended(call.id, judge_answer(answer, call.what.order_id, std::chrono::system_clock::now()), began, wall,
                     now);
    proceed();
}

asio::awaitable<void> ValidationService::lease(std::size_t most)
{
    const auto body = wire::to_json(wire::LeaseCall{.worker = worker_, .most = most, .wait = settings_.poll});
    const auto answer = co_await ask_orders("/jobs/lease", body, settings_.poll + orders_timeout);
    const auto now = Clock::now();
    if (answer.json) {
        auto leased = wire::parse_lease_answer(*answer.json);
        if (leased) {
            work_.leased(std::move(leased->jobs), leased->lasts, now);
            proceed();
            co_return;
        }
        log::error("cannot read a lease response of the order service: {}", leased.error().detail);
    }
    work_.lease_failed(now);
    proceed();
}

asio::awaitable<void> ValidationService::settle(std::vector<Settlement> settlements)
{
    const auto answer = co_await ask_orders("/jobs/settle", wire::settle_call(settlements), orders_timeout);
    const auto now = Clock::now();
    const auto settled = answer.json ? wire::parse_settle_answer(*answer.json, settlements.size())
                                     : wire::Parsed<std::vector<Settled>>(http::Problem{});
    if (settled)
        work_.settled(*settled, now);
    else if (answer.refused)
        work_.settle_refused(now);
    else
        work_.settle_failed(now);
    log_given_up();
    proceed();
}

asio::awaitable<void> ValidationService::extend(std::vector<Held> held)
{
    const auto answer = co_await ask_orders("/jobs/extend", wire::extend_call(held), orders_timeout);
    const auto now = Clock::now();
    const auto still = answer.json ? wire::parse_extend_answer(*answer.json, held.size())
                                   : wire::Parsed<std::vector<bool>>(http::Problem{});
    if (still)
        work_.extended(*still, now);
    else
        work_.extend_failed(now);
    proceed();
}

asio::awaitable<void> ValidationService::show()
{
    const auto body = wire::to_json(wire::PresenceCall{.worker = worker_, .paused = work_.paused()});
    const auto answer = co_await ask_orders("/jobs/presence", body, orders_timeout);
    if (answer.json)
        work_.shown(Clock::now());
    else
        work_.show_failed(Clock::now());
    proceed();
}

/// Why there is no answer that can be used is logged, once per trouble.
asio::awaitable<ValidationService::OrdersAnswer> ValidationService::ask_orders(std::string path, http::Json body,
                                                                               Duration deadline)
{
    auto request = http::make_request(verb::post, path, json_text(body), "application/json");
    const auto answer = co_await orders_.send(std::move(request), {.deadline = deadline, .max_body = largest_answer});
    std::string trouble;
    bool refused = false;
    if (!answer) {
        trouble = answer.error().message();
    } else if (answer->result_int() != 200) {
        const auto status = answer->result_int();
        // By its own word it cannot read what it was sent; everything else may be over the next time.
        refused = status == 400 || status == 413 || status == 422;
        const auto problem = read_json_document(answer->body());
        const auto detail = problem.is_object() ? problem.find("detail") : problem.end();
        trouble = fmt::format("status {} to {}", status, path);
        if (problem.is_object() && detail != problem.end() && detail->is_string())
            trouble += ": " + shortened(detail->get<std::string>(), longest_detail);
    } else {
        auto json = read_json_document(answer->body());
        if (!json.is_discarded()) {
            if (orders_trouble_) log::info("the order service answers again");
            orders_trouble_.reset();
            co_return OrdersAnswer{.json = std::move(json)};
        }
        trouble = "an answer that is not JSON";
    }
    if (!stopping_ && orders_trouble_ != trouble)
        log::warn("requests to the order service at {} fail ({}); retrying", settings_.orders, trouble);
    orders_trouble_ = trouble;
    co_return OrdersAnswer{.refused = refused};
}

void ValidationService::log_given_up()
{
    for (const auto& report : work_.take_given_up()) {
        given_up_at_ = Clock::now();
        log::error("gave up the report about order '{}' (epoch {}), which the order service refuses to read ({}); the "
                   "order is leased again when its lease ends",
                   report.order_id, report.epoch, orders_trouble_.value_or("no reason given"));
    }
}

void ValidationService::log_transitions()
{
    for (const auto& change : work_.take_transitions()) {
        const auto level = change.to == BreakerState::closed ? log::Level::info : log::Level::warn;
        log::write(level, "circuit breaker {}", describe(change));
    }
}

// --- Operators -------------------------------------------------------------------------------------------------------

Response ValidationService::health(const Request&)
{
    const auto now = Clock::now();
    const auto breaker = work_.breaker().snapshot(now);
    std::vector<std::string> troubles;
    if (work_.paused()) troubles.emplace_back("paused by an operator");
    if (orders_trouble_) troubles.push_back("requests to the order service fail: " + *orders_trouble_);
    if (breaker.in_trouble(now)) troubles.push_back(fmt::format("the circuit breaker is {}", to_string(breaker.state)));
    if (given_up_at_ && now - *given_up_at_ < given_up_memory)
        troubles.emplace_back("the order service refuses to read a report; see the log");
    const auto trouble = fmt::format("{}", fmt::join(troubles, "; "));
    OrderedJson out{{"service", settings_.name},
                    {"status", trouble.empty() ? "healthy" : "degraded"},
                    {"timestamp", format_rfc3339(std::chrono::system_clock::now())},
                    {"version", version()},
                    {"uptime_s", to_s(now - started_)},
                    {"breaker", to_string(breaker.state)},
                    {"paused", work_.paused()}};
    if (!trouble.empty()) out["error"] = trouble;
    return http::json_response(200, out);
}

Response ValidationService::queue(const Request&)
{
    const auto& counters = work_.counters();
    return http::json_response(200, OrderedJson{{"worker", worker_},
                                                {"paused", work_.paused()},
                                                {"breaker", to_string(work_.breaker().state())},
                                                {"held", work_.held()},
                                                {"calling", work_.calling()},
                                                {"to_report", work_.to_report()},
                                                {"validated", counters.validated},
                                                {"rejected", counters.rejected},
                                                {"failed", counters.failed},
                                                {"retried", counters.retried},
                                                {"snoozed", counters.snoozed},
                                                {"fenced", counters.fenced},
                                                {"leases_lost", counters.lost},
                                                {"reports_given_up", counters.given_up}});
}

asio::awaitable<Response> ValidationService::pause(const Request& request)
{
    if (!work_.paused()) log::warn("paused by an operator: no order is validated by this worker");
    work_.pause();
    proceed();
    return keep_pause(request);
}

asio::awaitable<Response> ValidationService::resume(const Request& request)
{
    if (work_.paused()) log::info("resumed by an operator");
    work_.resume();
    proceed();
    return keep_pause(request);
}

/// The worker does what the operator wants at once; the answer says whether it will after a restart as well.
asio::awaitable<Response> ValidationService::keep_pause(const Request& request)
{
    const bool paused = work_.paused();
    auto store = [this, paused] {
        const auto stored = pause_file_.store(paused);
        return stored ? error_code() : stored.error();
    };
    const auto error = co_await disk_.run(std::move(store));
    if (!error) co_return queue(request);
    log::error("cannot write {}: {}", pause_file_.path(), error.message());
    auto response =
        http::problem(request, 503,
                      fmt::format("the worker is {}, but this could not be stored ({}) and will not survive a restart",
                                  paused ? "paused" : "not paused", error.message()));
    response.set(http::field::retry_after, "1");
    co_return response;
}

Response ValidationService::breaker(const Request&)
{
    const auto now = Clock::now();
    const auto breaker = work_.breaker().snapshot(now);
    const auto& counters = breaker.counters;
    OrderedJson out{
        {"state", to_string(breaker.state)},
        {"since_s", to_s(now - breaker.since)},
        {"retry_in_s", breaker.retry_at ? OrderedJson(std::max(0., to_s(*breaker.retry_at - now))) : OrderedJson()},
        {"window", to_json(breaker.window)},
        {"failures_in_a_row", breaker.failures_in_a_row},
        {"probes", to_json(breaker.probes)},
        {"probes_in_flight", breaker.probes_in_flight},
        {"reopenings", breaker.reopenings},
        {"counters",
         {{"permitted", counters.permitted},
          {"refused", counters.refused},
          {"successes", counters.successes},
          {"failures", counters.failures},
          {"slow", counters.slow},
          {"ignored", counters.ignored},
          {"late", counters.late},
          {"expired", counters.expired},
          {"opened", counters.opened}}}};
    return http::json_response(200, out);
}

Response ValidationService::force_open(const Request& request)
{
    if (const auto change = work_.breaker().force_open(Clock::now()))
        log::warn("circuit breaker {}", describe(*change));
    return breaker(request);
}

Response ValidationService::disable(const Request& request)
{
    if (const auto change = work_.breaker().disable(Clock::now())) log::warn("circuit breaker {}", describe(*change));
    proceed();
    return breaker(request);
}

Response ValidationService::reset(const Request& request)
{
    if (const auto change = work_.breaker().reset(Clock::now())) log::warn("circuit breaker {}", describe(*change));
    proceed();
    return breaker(request);
}

Response ValidationService::expose_metrics(const Request&)
{
    metrics::Exposition out;
    counts_.expose(out, "hotspare_validation");
    out.histogram("hotspare_validation_call_duration_seconds", "Duration of calls to the validator", {}, calls_);
    const auto count = [&](std::string_view name, std::string_view help, metrics::Labels labels, std::uint64_t value) {
        metrics::Counter counter;
        counter.add(value);
        out.counter(name, help, labels, counter);
    };
    const auto& work = work_.counters();
    const auto settled = [&](std::string_view outcome, std::uint64_t value) {
        count("hotspare_validation_settled_total", "Jobs by outcome of their report", {{"outcome", outcome}}, value);
    };
    settled("validated", work.validated);
    settled("rejected", work.rejected);
    settled("failed", work.failed);
    settled("retried", work.retried);
    settled("snoozed", work.snoozed);
    settled("fenced", work.fenced);
    settled("given_up", work.given_up);
    const auto gauge = [&](std::string_view name, std::string_view help, std::size_t value) {
        out.gauge(name, help, {}, static_cast<double>(value));
    };
    gauge("hotspare_validation_held", "Jobs held", work_.held());
    gauge("hotspare_validation_calling", "Calls to the validator in flight", work_.calling());
    gauge("hotspare_validation_paused", "1 while the worker is paused", work_.paused() ? 1 : 0);

    const auto breaker = work_.breaker().snapshot(Clock::now());
    constexpr std::array states{BreakerState::closed, BreakerState::open, BreakerState::half_open,
                                BreakerState::forced_open, BreakerState::disabled};
    for (const auto state : states)
        out.gauge("hotspare_validation_breaker_state", "1 for the state that the circuit breaker is in",
                  {{"state", to_string(state)}}, state == breaker.state ? 1. : 0.);
    const auto calls = [&](std::string_view outcome, std::uint64_t value) {
        count("hotspare_validation_breaker_calls_total", "Calls by their result for the circuit breaker",
              {{"outcome", outcome}}, value);
    };
    calls("success", breaker.counters.successes);
    calls("failure", breaker.counters.failures);
    calls("ignored", breaker.counters.ignored);
    calls("late", breaker.counters.late);
    calls("refused", breaker.counters.refused);
    count("hotspare_validation_breaker_opened_total", "Number of times the circuit breaker opened", {},
          breaker.counters.opened);
    out.process(version());
    return http::text_response(200, out.text(), metrics::Exposition::content_type);
}

} // namespace hotspare::orders
