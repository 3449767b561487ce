#include "common/backend/service.hpp"

#include "common/app.hpp"
#include "common/backend/fault_request.hpp"
#include "common/deadline.hpp"
#include "common/log.hpp"
#include "common/no_throw.hpp"
#include "common/time.hpp"
#include "common/version.hpp"

#include <boost/asio/write.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace hotspare::backend {
namespace {

using asio::ip::tcp;
using http::Json;
using OrderedJson = nlohmann::ordered_json;
using http::Request;
using http::Response;
using http::verb;

/// For what a fault writes to a socket by itself.
constexpr Duration write_time = seconds(10);

/// How soon a listener that could not be reopened is tried again.
constexpr Duration reopen_pause = milliseconds(500);

bool is_control(std::string_view route)
{
    return route == "/fail" || route == "/recover" || route.starts_with("/simulate/");
}

bool is_health_check(std::string_view route)
{
    for (const char* path : {"/health", "/healthz", "/livez", "/readyz"})
        if (route == path) return true;
    return false;
}

/// Asked by those who watch the service, not by its clients.
bool is_observation(std::string_view route)
{
    return is_health_check(route) || route == "/metrics";
}

Asked asked(std::string_view route)
{
    if (route == "/") return Asked::page;
    return is_health_check(route) ? Asked::health : Asked::other;
}

} // namespace

Service::Service(asio::io_context& context, Settings settings, std::function<void()> crash)
    : context_(context), settings_(std::move(settings)), crash_(std::move(crash)), fault_end_(context),
      delayed_(context), documents_(settings_.data), ledger_(settings_.ledger), router_(make_routes()),
      server_(context, [this](Request& request) { return handle(request); },
              {.on_exchange = [this](const http::Exchange& exchange) { counts_.add(exchange); }}),
      control_(context, [this](Request& request) { return handle_control(request); },
               {.on_exchange = [this](const http::Exchange& exchange) { counts_.add(exchange); }}),
      tasks_(context)
{
    try {
        http::listen(server_, settings_.host, settings_.port, "--port");
        http::listen(control_, settings_.host, settings_.control_port, "--control-port");
    } catch (...) {
        // One of the two may accept already; nothing will ever run that could end it in order.
        context_.stop();
        throw;
    }
}

http::Router Service::make_routes()
{
    const auto handler = [this](Response (Service::*method)(const Request&)) {
        return [this, method](const Request& request) { return (this->*method)(request); };
    };
    http::Router routes;
    routes.add(verb::get, "/data", handler(&Service::data));
    routes.add(verb::get, "/api/data", handler(&Service::data));
    documents_.add_routes(routes);
    routes.add(verb::get, "/health", handler(&Service::health));
    routes.add(verb::get, "/livez", handler(&Service::ready));
    routes.add(verb::get, "/readyz", handler(&Service::ready));
    routes.add(verb::get, "/healthz", handler(&Service::ready));
    routes.add(verb::get, "/", handler(&Service::root));
    routes.add(verb::post, "/echo", handler(&Service::echo));
    routes.add(verb::post, "/fail", handler(&Service::fail));
    routes.add(verb::post, "/recover", handler(&Service::recover));
    routes.add(verb::post, "/simulate/reset", handler(&Service::recover));
    routes.add(verb::post, "/simulate/cpu/{load}", handler(&Service::simulate_cpu));
    routes.add(verb::post, "/simulate/corruption", handler(&Service::simulate_corruption));
    routes.add(verb::get, "/metrics", handler(&Service::expose_metrics));
    return routes;
}

// --- Life ------------------------------------------------------------------------------------------------------------

void Service::stop()
{
    if (std::exchange(stopping_, true)) return;
    fault_.clear();
    fault_end_.cancel();
    burner_.set_load(0);
    delayed_.wake_all();
    error_code ignored;
    for (auto* socket : hung_) socket->cancel(ignored);
    tasks_.spawn("drain", drain());
}

asio::awaitable<void> Service::drain()
{
    co_await server_.drain(settings_.drain);
    co_await control_.drain(settings_.drain);
}

asio::awaitable<Response> Service::handle(Request& request)
{
    router_.identify(request);
    const auto draw = std::uniform_real_distribution<double>(0, 1)(random_);
    const auto action = is_control(request.route) ? Action::serve : fault_.decide(draw, Clock::now());
    switch (action) {
    case Action::serve: break;
    case Action::error: co_return fault_answer(request, 503, "a failure mode is switched on", {});
    case Action::data_error:
        co_return fault_answer(request, 500, "DATA_ERR", // clients compare the detail, so the sentence stands beside it
                               {{"code", "DATA_ERR"},
                                {"message", "the data is corrupt since POST /simulate/corruption, "
                                            "expected POST /simulate/reset to repair it"}});
    case Action::hang: {
        http::RawSession session = [this](tcp::socket& socket) { return hang(socket); };
        co_return Response(std::move(session));
    }
    case Action::delay: {
        const auto now = Clock::now();
        const auto delay = fault_.delay(asked(request.route), now);
        if (delay > Duration::zero()) co_await delayed_.wait(now + delay);
        break;
    }
    case Action::reset:
    case Action::truncate: {
        auto response = co_await execute(request);
        co_return cut(std::move(response), request, action == Action::reset);
    }
    case Action::corrupt: {
        auto response = co_await execute(request);
        for (char& c : response.body()) c = static_cast<char>(c ^ 0x15);
        co_return response;
    }
    }
    co_return co_await execute(request);
}

asio::awaitable<Response> Service::execute(Request& request)
{
    if (!is_control(request.route) && !is_observation(request.route))
        ledger_.add(request.id, std::string_view(http::beast::http::to_string(request.method())),
                    std::string_view(request.target()));
    co_return co_await router_.dispatch(request);
}

asio::awaitable<Response> Service::handle_control(Request& request)
{
    co_return co_await router_.dispatch(request);
}

// --- Handlers --------------------------------------------------------------------------------------------------------

/// How every answer of the service begins ...
OrderedJson Service::self() const
{
    return {{"service", settings_.name}, {"role", settings_.role}};
}

/// ... and how it ends.
Response Service::answer(unsigned status, OrderedJson body) const
{
    body["timestamp"] = format_rfc3339(std::chrono::system_clock::now());
    return http::json_response(status, body);
}

Response Service::data(const Request&)
{
    auto body = self();
    body["status"] = "ok";
    body["data"] = {{"message", fmt::format("Hello from {}", settings_.name)}, {"version", settings_.version}};
    return answer(200, std::move(body));
}

Response Service::health(const Request&)
{
    auto body = self();
    body["status"] = "healthy";
    body["message"] = "Service online";
    body["version"] = settings_.version;
    body["uptime_s"] = to_s(Clock::now() - started_);
    body["fault"] = fault_json();
    return answer(200, std::move(body));
}

Response Service::ready(const Request& request)
{
    if (stopping_ && request.route == "/readyz") return http::problem(request, 503, "the service is stopping");
    return http::text_response(200, "ok\n");
}

Response Service::root(const Request&)
{
    const OrderedJson body{{"version", settings_.version},
                           {"message", fmt::format("Hello from {}", settings_.name)},
                           {"load", fmt::format("%{}", cpu_load())},
                           {"service", settings_.name}};
    return http::json_response(200, body);
}

/// Returns the body as received. It shows what a proxy changed, and serves requests that a proxy must not repeat.
Response Service::echo(const Request& request)
{
    const auto type = request.header("Content-Type");
    return http::text_response(200, request.body(), type.empty() ? "application/octet-stream" : type);
}

Response Service::fail(const Request& request)
{
    const auto wishes = http::parse_json(request.body().empty() ? std::string_view("{}") : request.body());
    if (!wishes) return http::problem(wishes.error(), request.id);
    const auto fault = parse_fault(request.query_parameters, *wishes, settings_.fail_mode);
    if (!fault) return http::problem(fault.error(), request.id);

    auto body = self();
    body["message"] = fmt::format("{} fails from now on", settings_.name);
    body["status"] = "failing";
    if (fault->mode == Mode::crash) {
        body["mode"] = "crash";
        return crash_after(answer(200, std::move(body)));
    }
    inject(*fault);
    body["mode"] = to_string(fault->mode);
    body["fault"] = fault_json();
    return answer(200, std::move(body));
}

Response Service::recover(const Request& request)
{
    if (auto wrong = wrong_body(request)) return *std::move(wrong);
    fault_.clear();
    apply_fault();
    if (server_.suspended() && !stopping_)
        return http::problem(request, 503, "recovered, but the port cannot be opened again yet; retrying");
    log::info("recovered");
    auto body = self();
    body["message"] = fmt::format("{} is back to normal", settings_.name);
    body["status"] = "healthy";
    return answer(200, std::move(body));
}

/// They need no body. One that is there all the same is read, so that a request that says two things is refused.
std::optional<Response> Service::wrong_body(const Request& request)
{
    if (request.body().empty()) return std::nullopt;
    if (const auto wrong = http::check_json(request.body())) return http::problem(*wrong, request.id);
    return std::nullopt;
}

Response Service::simulate_cpu(const Request& request)
{
    if (auto wrong = wrong_body(request)) return *std::move(wrong);
    const auto& text = request.parameter("load");
    const auto load = config::parse_unsigned(text, 100);
    if (!load)
        return http::problem(request, 422, "the field 'load' is not valid, expected a whole number from 0 to 100",
                             {{"field", "load"}});
    if (*load == 0) {
        fault_.clear();
        apply_fault();
    } else {
        inject({.mode = Mode::cpu, .load = static_cast<unsigned>(*load)});
    }
    auto body = self();
    body["message"] = fmt::format("one core is {} % busy", *load);
    body["status"] = "ok";
    body["load"] = fmt::format("%{}", *load);
    return answer(200, std::move(body));
}

Response Service::simulate_corruption(const Request& request)
{
    if (auto wrong = wrong_body(request)) return *std::move(wrong);
    inject({.mode = Mode::data_error});
    auto body = self();
    body["message"] = "the data is corrupt from now on";
    body["status"] = "failing";
    body["mode"] = to_string(Mode::data_error);
    return answer(200, std::move(body));
}

Response Service::expose_metrics(const Request&)
{
    metrics::Exposition out;
    counts_.expose(out, "hotspare_backend");
    const auto mode = fault_.active(Clock::now()).mode;
    for (const auto& [word, named] : mode_names)
        out.gauge("hotspare_backend_fault", "1 while this fault is active", {{"mode", word}}, named == mode ? 1. : 0.);
    out.gauge("hotspare_backend_fault", "1 while this fault is active", {{"mode", to_string(Mode::data_error)}},
              mode == Mode::data_error ? 1. : 0.);
    out.counter("hotspare_backend_faults_injected_total", "Faults injected by requests", {}, faults_injected_);
    out.gauge("hotspare_backend_connections", "Open connections", {},
              static_cast<double>(server_.connections() + control_.connections()));
    out.gauge("hotspare_backend_cpu_load_percent", "Share of one core that the fault cpu burns", {},
              static_cast<double>(cpu_load()));
    out.process(version());
    return http::text_response(200, out.text(), metrics::Exposition::content_type);
}

// --- Faults ----------------------------------------------------------------------------------------------------------

void Service::inject(const Fault& fault)
{
    fault_.inject(fault, Clock::now());
    faults_injected_.add();
    log::warn("fault injected: {}", to_string(fault.mode));
    apply_fault();
}

/// Makes the listener, the CPU load, and the hung and delayed requests what the present fault wants them to be, and
/// comes back when that changes by itself.
void Service::apply_fault()
{
    if (stopping_) return;
    const auto now = Clock::now();
    const auto& fault = fault_.active(now);
    burner_.set_load(fault_.cpu_load(now));
    if (fault.mode != Mode::slow && fault.mode != Mode::cpu) delayed_.wake_all();
    if (fault.mode != Mode::hang) {
        error_code ignored;
        for (auto* socket : hung_) socket->cancel(ignored);
    }
    auto next = fault_.ends_at(now);
    if (!fault_.listens(now)) {
        server_.suspend();
    } else if (const auto listening = server_.resume(); !listening) {
        log::error("cannot listen on port {} again: {}", port(), listening.error().message());
        next = now + reopen_pause;
    }
    fault_end_.cancel();
    if (!next) return;
    fault_end_.expires_at(*next);
    fault_end_.async_wait([this](error_code error) {
        if (!error) apply_fault();
    });
}

Json Service::fault_json() const
{
    const auto now = Clock::now();
    const auto& fault = fault_.active(now);
    if (fault.mode == Mode::none) return nullptr;
    Json out{{"mode", to_string(fault.mode)}, {"rate", fault.rate}};
    if (const auto end = fault_.ends_at(now))
        out["ends_in_s"] = static_cast<double>(std::chrono::ceil<milliseconds>(*end - now).count()) / 1000;
    if (fault.mode == Mode::slow) out["delay"] = config::format_duration(fault.delay);
    if (fault.mode == Mode::flap) out["period"] = config::format_duration(fault.period);
    if (fault.mode == Mode::cpu) out["load"] = fault.load;
    if (fault.bytes) out["bytes"] = *fault.bytes;
    return out;
}

/// The answer of a service that knows that it fails; health checks get it in their own words.
Response Service::fault_answer(const Request& request, unsigned status, std::string detail,
                               http::Problem::Members members)
{
    if (request.route != "/health") {
        members.push_back({"service", settings_.name});
        return http::problem(request, status, std::move(detail), std::move(members));
    }
    auto body = self();
    body["status"] = "unhealthy";
    body["version"] = settings_.version;
    body["error"] = detail;
    body["fault"] = fault_json();
    for (const auto& [name, value] : members)
        std::visit([&member = body[name]](const auto& known) { member = known; }, value);
    return answer(503, std::move(body));
}

Response Service::crash_after(Response response)
{
    response.version(11);
    response.set(http::field::connection, "close");
    response.content_length(response.body().size());
    http::RawSession session = [this, whole = http::serialize(response)](tcp::socket& socket) {
        return send_and_crash(socket, whole);
    };
    return Response(std::move(session));
}

asio::awaitable<void> Service::send_and_crash(tcp::socket& socket, std::string answer)
{
    Deadline deadline(socket);
    deadline.arm(write_time);
    co_await asio::async_write(socket, asio::buffer(answer), no_throw);
    crash_();
}

asio::awaitable<void> Service::hang(tcp::socket& socket)
{
    const auto place = hung_.insert(hung_.end(), &socket);
    std::array<char, 512> ignored;
    // Ends when the client leaves, the fault is over or the server is cancelled. It must not unwind before the entry is
    // erased.
    co_await asio::this_coro::throw_if_cancelled(false);
    while (true) {
        const auto [error, count] = co_await socket.async_read_some(asio::buffer(ignored), no_throw);
        if (error) break;
    }
    hung_.erase(place);
}

/// The answer up to the point where a reset or truncate fault ends it.
Response Service::cut(Response response, const Request& request, bool reset)
{
    response.version(11);
    response.set("X-Request-Id", request.id);
    response.content_length(response.body().size());
    if (request.method() == verb::head) response.body().clear();
    auto part = http::serialize(response);
    const auto header = part.size() - response.body().size();
    const auto half = response.body().empty() ? header / 2 : header + response.body().size() / 2;
    part.resize(std::min(part.size(), fault_.active(Clock::now()).bytes.value_or(half)));
    http::RawSession session = [this, part = std::move(part), reset](tcp::socket& socket) {
        return send_part(socket, part, reset);
    };
    return Response(std::move(session));
}

asio::awaitable<void> Service::send_part(tcp::socket& socket, std::string part, bool reset)
{
    Deadline deadline(socket);
    deadline.arm(write_time);
    co_await asio::async_write(socket, asio::buffer(part), no_throw);
    deadline.disarm();
    error_code ignored;
    // Closing with SO_LINGER 0 sends RST instead of FIN.
    if (reset) socket.set_option(asio::socket_base::linger(true, 0), ignored);
    socket.close(ignored);
}

} // namespace hotspare::backend
