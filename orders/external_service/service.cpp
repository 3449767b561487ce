#include "orders/external_service/service.hpp"

#include "common/http/caller.hpp"
#include "common/log.hpp"
#include "common/no_throw.hpp"
#include "common/time.hpp"
#include "common/version.hpp"
#include "orders/external_service/failure_mode.hpp"
#include "orders/external_service/validation.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <iterator>
#include <utility>

namespace hotspare::orders::external {
namespace {

using asio::ip::tcp;
using backend::Action;
using backend::Fault;
using backend::Mode;
using http::Json;
using http::Request;
using http::Response;
using http::verb;
using OrderedJson = nlohmann::ordered_json;

/// How soon a listener that could not be reopened is tried again.
constexpr Duration reopen_pause = milliseconds(500);

asio::awaitable<void> hang_up(tcp::socket& socket)
{
    error_code ignored;
    socket.close(ignored);
    co_return;
}

std::int64_t now_ms()
{
    return std::chrono::floor<milliseconds>(std::chrono::system_clock::now()).time_since_epoch().count();
}

std::string timestamp(std::int64_t at_ms)
{
    return format_rfc3339(WallTime(milliseconds(at_ms)));
}

OrderedJson answer_document(const NewOrder& order, const Effect& effect, bool replayed)
{
    return {{"order_id", order.order_id},           {"valid", effect.valid},
            {"status", status_of(effect)},          {"reason", reason_of(order, effect)},
            {"timestamp", timestamp(effect.at_ms)}, {"replayed", replayed}};
}

/// What a monitor would call a service in this mode.
std::string_view health_word(Mode mode)
{
    switch (mode) {
    case Mode::slow: return "degraded";
    case Mode::error: return "unhealthy";
    case Mode::refuse: return "down";
    default: return "healthy";
    }
}

} // namespace

Service::Service(asio::io_context& context, Settings settings)
    : context_(context), settings_(std::move(settings)), mode_end_(context), effects_(settings_.keys),
      ledger_(settings_.ledger,
              [this](const LedgerEntry& entry) {
                  if (entry.key) effects_.remember(*entry.key, entry.effect);
              }),
      access_(settings_.control), routes_(make_routes(Listener::clients)),
      control_routes_(make_routes(Listener::control)),
      server_(context, [this](Request& request) { return handle(request); }),
      control_(context, [this](Request& request) { return handle_control(request); }), tasks_(context)
{
    if (effects_.size() > 0) log::info("the ledger holds {} idempotency keys", effects_.size());
    try {
        http::listen(server_, settings_.host, settings_.port, "--port");
        http::listen(control_, settings_.control.host, settings_.control.port, "--control-port");
        access_.listens_on(control_port());
    } catch (...) {
        // One of the two may accept already; nothing will ever run that could end it in order.
        context_.stop();
        throw;
    }
}

http::Router Service::make_routes(Listener listener)
{
    const bool control = listener == Listener::control;
    const auto handler = [this](Response (Service::*method)(const Request&)) {
        return [this, method](const Request& request) { return (this->*method)(request); };
    };
    http::Router routes;
    if (!control) routes.add(verb::post, "/validate", handler(&Service::validate));
    routes.add(verb::post, "/set_failure_mode", [this, listener](const Request& request) {
        const auto problem = access_.refuse(http::caller_of(request), Party::operators, listener);
        return problem ? http::problem(*problem, request.id) : set_failure_mode(request);
    });
    routes.add(verb::get, "/get_failure_mode", handler(&Service::get_failure_mode));
    routes.add(verb::get, "/health", handler(control ? &Service::control_health : &Service::health));
    routes.add(verb::get, "/metrics", handler(&Service::expose_metrics));
    return routes;
}

// --- Life ------------------------------------------------------------------------------------------------------------

void Service::stop()
{
    if (std::exchange(stopping_, true)) return;
    fault_.clear();
    mode_end_.cancel();
    for (auto& timer : waiting_) timer.cancel();
    tasks_.spawn("drain", drain());
}

asio::awaitable<void> Service::drain()
{
    co_await server_.drain(settings_.drain);
    co_await control_.drain(settings_.drain);
}

asio::awaitable<Response> Service::handle(Request& request)
{
    routes_.identify(request);
    const auto now = Clock::now();
    if (!fault_.listens(now)) co_return cut();
    const bool is_call = request.route == "/validate";
    if (!is_call && request.route != "/health") co_return co_await routes_.dispatch(request);

    const auto action = fault_.decide(std::uniform_real_distribution<double>(0, 1)(random_), now);
    if (action == Action::error) {
        if (is_call) outcomes_[static_cast<std::size_t>(Outcome::failed)].add();
        co_return fail(request);
    }
    auto pause = is_call ? settings_.latency : Duration::zero();
    if (action == Action::delay) pause = fault_.active(now).delay;
    auto response = co_await routes_.dispatch(request);
    if (pause > Duration::zero() && !stopping_) co_await wait(pause);
    if (!fault_.listens(Clock::now())) co_return cut();
    co_return response;
}

asio::awaitable<Response> Service::handle_control(Request& request)
{
    co_return co_await control_routes_.dispatch(request);
}

/// Ends early when its timer is cancelled.
asio::awaitable<void> Service::wait(Duration duration)
{
    struct Place {
        std::list<asio::steady_timer>& timers;
        std::list<asio::steady_timer>::iterator timer;
        ~Place() { timers.erase(timer); }
    };
    const Place place{waiting_, waiting_.emplace(waiting_.end(), context_, duration)};
    co_await place.timer->async_wait(no_throw);
}

Response Service::cut()
{
    cuts_.add();
    return Response(http::RawSession(hang_up));
}

// --- Handlers --------------------------------------------------------------------------------------------------------

Response Service::validate(const Request& request)
{
    auto outcome = Outcome::invalid;
    auto response = decide(request, outcome);
    outcomes_[static_cast<std::size_t>(outcome)].add();
    return response;
}

Response Service::decide(const Request& request, Outcome& outcome)
{
    const auto keys = request.count("Idempotency-Key");
    if (keys > 1)
        return http::problem(request, 422, "the field 'Idempotency-Key' is given more than once, expected one key",
                             {{"field", "Idempotency-Key"}});
    LedgerEntry entry;
    if (keys == 1) {
        auto key = parse_idempotency_key(request.header("Idempotency-Key"));
        if (!key) return http::problem(key.error(), request.id);
        entry.key = *std::move(key);
    }
    const auto body = http::parse_json(request.body());
    if (!body) return http::problem(body.error(), request.id);
    const auto order = parse_new_order(*body);
    if (!order) return http::problem(order.error(), request.id);

    // From here to remember() nothing may wait: another call with the key would be a first one as well.
    if (entry.key) {
        const auto found = effects_.find(*entry.key, digest_of(*order));
        if (found.call == EffectTable::Call::repeated) {
            outcome = Outcome::replayed;
            return http::json_response(200, answer_document(*order, found.effect, true));
        }
        if (found.call == EffectTable::Call::conflicting) {
            outcome = Outcome::conflict;
            return http::problem(request, 422,
                                 "the field 'Idempotency-Key' is not valid: this key came with another body before, "
                                 "expected a key of its own",
                                 {{"field", "Idempotency-Key"}});
        }
    }
    entry.order_id = order->order_id;
    entry.effect = judge(*order, settings_.stock, now_ms());
    if (!ledger_.add(entry)) {
        outcome = Outcome::unavailable;
        auto response = http::problem(request, 503, "the ledger cannot be written, so the order was not validated");
        response.set(http::field::retry_after, "1");
        return response;
    }
    if (entry.key) effects_.remember(*entry.key, entry.effect);
    effects_made_.add();
    outcome = entry.effect.valid ? Outcome::validated : Outcome::rejected;
    return http::json_response(200, answer_document(*order, entry.effect, false));
}

Response Service::set_failure_mode(const Request& request)
{
    const auto body = http::parse_json(request.body());
    if (!body) return http::problem(body.error(), request.id);
    const auto fault = parse_failure_mode(*body);
    if (!fault) return http::problem(fault.error(), request.id);

    fault_.inject(*fault, Clock::now());
    log::write(fault->mode == Mode::none ? log::Level::info : log::Level::warn, "told so: {}", describe(*fault));
    apply_mode();
    if (fault->mode != Mode::refuse && server_.suspended() && !stopping_)
        return http::problem(request, 503, "the mode is set, but the port cannot be opened again yet; retrying");
    auto answer = mode_document();
    answer["message"] = describe(*fault);
    return http::json_response(200, answer);
}

Response Service::get_failure_mode(const Request&)
{
    return http::json_response(200, mode_document());
}

/// Only called when the present mode does not forbid it.
Response Service::health(const Request&)
{
    return http::json_response(200, health_document("healthy"));
}

Response Service::control_health(const Request&)
{
    return http::json_response(200, health_document(health_word(fault_.active(Clock::now()).mode)));
}

Response Service::fail(const Request& request) const
{
    constexpr std::string_view error = "a failure mode is switched on";
    if (request.route != "/health") return http::problem(request, 500, std::string(error));
    auto body = health_document("unhealthy");
    body["error"] = error;
    return http::json_response(500, body);
}

OrderedJson Service::health_document(std::string_view status) const
{
    return {{"service", "external_service"},
            {"status", status},
            {"mode", word_for(fault_.active(Clock::now()).mode)},
            {"version", version()},
            {"uptime_s", to_s(Clock::now() - started_)},
            {"timestamp", timestamp(now_ms())}};
}

OrderedJson Service::mode_document() const
{
    const auto now = Clock::now();
    const auto& fault = fault_.active(now);
    OrderedJson out{{"mode", word_for(fault.mode)}};
    if (fault.mode == Mode::slow) out["delay"] = config::format_duration(fault.delay);
    if (fault.mode == Mode::slow || fault.mode == Mode::error) out["rate"] = fault.rate;
    if (const auto end = fault_.ends_at(now))
        out["ends_in_s"] = static_cast<double>(std::chrono::ceil<milliseconds>(*end - now).count()) / 1000;
    return out;
}

Response Service::expose_metrics(const Request&)
{
    metrics::Exposition out;
    for (std::size_t i = 0; i < outcomes_.size(); ++i)
        out.counter("hotspare_external_calls_total", "Calls of /validate by result", {{"outcome", outcome_names[i]}},
                    outcomes_[i]);
    out.counter("hotspare_external_effects_total",
                "Validations that took effect: first calls with a key, and calls without one", {}, effects_made_);
    out.counter("hotspare_external_replays_total",
                "Calls answered with the result of an earlier call with the same key", {},
                outcomes_[static_cast<std::size_t>(Outcome::replayed)]);
    out.counter("hotspare_external_cuts_total", "Requests left without a response by mode down", {}, cuts_);
    out.gauge("hotspare_external_keys", "Idempotency keys that are remembered", {},
              static_cast<double>(effects_.size()));
    const auto mode = fault_.active(Clock::now()).mode;
    for (const auto& [word, named] : mode_names)
        out.gauge("hotspare_external_mode", "1 for the present failure mode", {{"mode", word}},
                  named == mode ? 1. : 0.);
    out.gauge("hotspare_external_connections", "Open connections", {},
              static_cast<double>(server_.connections() + control_.connections()));
    out.process(version());
    return http::text_response(200, out.text(), metrics::Exposition::content_type);
}

/// Makes the listener and the answers in waiting what the present mode wants them to be, and comes back when that
/// changes by itself.
void Service::apply_mode()
{
    if (stopping_) return;
    const auto now = Clock::now();
    auto next = fault_.ends_at(now);
    if (!fault_.listens(now)) {
        server_.suspend();
        for (auto& timer : waiting_) timer.cancel();
    } else if (const auto listening = server_.resume(); !listening) {
        log::error("cannot listen on port {} again: {}", port(), listening.error().message());
        next = now + reopen_pause;
    }
    mode_end_.cancel();
    if (!next) return;
    mode_end_.expires_at(*next);
    mode_end_.async_wait([this](error_code error) {
        if (!error) apply_mode();
    });
}

} // namespace hotspare::orders::external
