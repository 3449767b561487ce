#include "orders/monitor_service/service.hpp"

#include "common/http/address.hpp"
#include "common/json_document.hpp"
#include "common/log.hpp"
#include "common/text.hpp"
#include "common/time.hpp"
#include "common/version.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <utility>

namespace hotspare::orders::monitor {
namespace {

using http::Json;
using http::Request;
using http::Response;
using http::verb;
using OrderedJson = nlohmann::ordered_json;

/// A timer that is this late means that we did not run, and that what was measured meanwhile is our delay.
constexpr Duration jump_tolerance = seconds(1);

/// Of what a service says, which may be anything.
constexpr std::size_t longest_reason = 200;

/// What a service that answers 2xx says of itself if it is not healthy. Words other than ours mean healthy with such a
/// status.
struct Complaint {
    Health health = Health::degraded; ///< or worse
    std::string text;
};
std::optional<Complaint> complaint_of(const std::string& answer)
{
    const auto body = read_json_document(answer);
    const auto text = [&](const char* key) {
        const auto found = body.is_object() ? body.find(key) : body.end();
        return found != body.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const auto word = text("status");
    for (const auto health : {Health::degraded, Health::unhealthy, Health::down}) {
        if (word != to_string(health)) continue;
        const auto error = text("error");
        return Complaint{health, fmt::format("says that it is {}{}{}", word, error.empty() ? "" : ": ",
                                             shortened(error, longest_reason))};
    }
    return std::nullopt;
}

/// Whether a worker says that an operator has paused it; nothing if the service is none.
std::optional<bool> paused_of(const std::string& answer)
{
    const auto body = read_json_document(answer);
    const auto found = body.is_object() ? body.find("paused") : body.end();
    if (!body.is_object() || found == body.end() || !found->is_boolean()) return std::nullopt;
    return found->get<bool>();
}

/// What the probe says about the service.
Probe assess(const probe::Result& result, TimePoint started)
{
    Probe probe{.started = started, .latency = result.latency, .outcome = result.verdict.outcome, .detail = {}};
    if (!result.body) {
        probe.detail = result.verdict.detail;
    } else if (probe.outcome != ProbeOutcome::ok) {
        probe.detail = "HTTP " + result.verdict.detail;
    } else if (auto complaint = complaint_of(*result.body)) {
        probe.impaired = complaint->health == Health::degraded;
        probe.says_down = complaint->health == Health::down;
        if (!probe.impaired) probe.outcome = ProbeOutcome::failing;
        probe.detail = std::move(complaint->text);
    }
    return probe;
}

double to_seconds(Duration duration)
{
    return static_cast<double>(std::chrono::round<microseconds>(duration).count()) / 1e6;
}

OrderedJson text_or_null(const std::string& text)
{
    return text.empty() ? OrderedJson(nullptr) : OrderedJson(text);
}

} // namespace

Service::Service(asio::io_context& context, Settings settings)
    : settings_(std::move(settings)), timer_(context), routes_(make_routes()),
      server_(context, [this](Request& request) { return routes_.dispatch(request); }), probes_(context),
      ending_(context)
{
    const WatchSettings watch{settings_.interval, settings_.fast_interval, settings_.slow};
    targets_.reserve(settings_.services.size());
    for (const auto& service : settings_.services)
        targets_.push_back(
            {.name = service.name,
             .url = service.url,
             .origin = config::parse_http_origin(service.url).value(),
             .endpoint = http::resolve_origin(service.url, fmt::format("the service '{}'", service.name)),
             .watch = Watch(watch, started_),
             .since = std::chrono::system_clock::now()});

    http::listen(server_, settings_.host, settings_.port, "--port");
    arm();
}

http::Router Service::make_routes()
{
    const auto handler = [this](Response (Service::*method)(const Request&)) {
        return [this, method](const Request& request) { return (this->*method)(request); };
    };
    http::Router routes;
    routes.add(verb::get, "/health_status", handler(&Service::health_status));
    routes.add(verb::get, "/health", handler(&Service::health));
    routes.add(verb::get, "/metrics", handler(&Service::expose_metrics));
    return routes;
}

// --- Life ------------------------------------------------------------------------------------------------------------

void Service::stop()
{
    if (std::exchange(stopping_, true)) return;
    timer_.cancel();
    ending_.spawn("end", end());
}

asio::awaitable<void> Service::end()
{
    probes_.cancel();
    co_await probes_.join();
    co_await server_.drain(settings_.drain);
}

// --- Probing ---------------------------------------------------------------------------------------------------------

void Service::tick()
{
    const auto now = Clock::now();
    check_clock(now);
    for (auto& target : targets_) {
        const auto step = target.watch.tick(now);
        if (step.change) report(target, *step.change, now);
        if (step.probe) probes_.spawn(fmt::format("probe of {}", target.name), probe(target, now));
    }
    arm();
}

/// Sets the timer to what is due next.
void Service::arm()
{
    if (stopping_) return;
    wake_at_ = TimePoint::max();
    for (const auto& target : targets_) wake_at_ = std::min(wake_at_, target.watch.wake_at());
    timer_.expires_at(wake_at_);
    timer_.async_wait([this](error_code error) {
        if (!error) tick();
    });
}

/// The first that runs after we have stood still, be it the timer or the end of a probe, finds the timer overdue.
void Service::check_clock(TimePoint now)
{
    if (now < wake_at_ || now - wake_at_ < jump_tolerance) return;
    log::warn("did not run for {}: discarding probe results of that time",
              config::format_duration(std::chrono::round<milliseconds>(now - wake_at_)));
    wake_at_ = TimePoint::max();
    for (auto& target : targets_) target.watch.clock_jumped();
}

asio::awaitable<void> Service::probe(Target& target, TimePoint started)
{
    probe::Question question{.addresses = {target.endpoint}, .origin = target.origin, .timeout = settings_.timeout};
    probe::Expectation any_success;
    const auto result = co_await probe::ask(std::move(question), std::move(any_success));
    if (stopping_) co_return;
    const auto now = Clock::now();
    check_clock(now);
    if (result.end == probe::Result::End::judged) {
        const auto probe = assess(result, started);
        target.probes[static_cast<std::size_t>(probe.outcome)].add();
        if (result.body) target.latency.observe(probe.latency);
        target.paused = result.body ? paused_of(*result.body) : std::nullopt;
        if (const auto change = target.watch.finished(probe, now)) report(target, *change, now);
    } else {
        log::warn("cannot probe {}: {}", target.name, result.hindrance);
        target.watch.not_made(started);
    }
    arm();
}

void Service::report(Target& target, const Change& change, TimePoint now)
{
    target.since = std::chrono::system_clock::now();
    target.transitions[static_cast<std::size_t>(change.to)].add();
    log::event(
        change.to == Health::healthy ? log::Level::info : log::Level::warn,
        fmt::format("{} is {}, was {}: {}", target.name, to_string(change.to), to_string(change.from), change.cause),
        {{"event", "transition"},
         {"target", target.name},
         {"from", to_string(change.from)},
         {"to", to_string(change.to)},
         {"cause", change.cause},
         {"detection_ms", to_ms(now - change.first_evidence)}});
}

// --- Handlers --------------------------------------------------------------------------------------------------------

Health Service::overall() const
{
    std::vector<Health> all;
    all.reserve(targets_.size());
    for (const auto& target : targets_) all.push_back(target.watch.health());
    return monitor::overall(all);
}

Response Service::health_status(const Request&)
{
    const auto now = Clock::now();
    OrderedJson body{{"timestamp", format_rfc3339(std::chrono::system_clock::now())},
                     {"overall", to_string(overall())},
                     {"services", OrderedJson::object()}};
    for (const auto& target : targets_) {
        const auto response_time = target.watch.response_time(now);
        body["services"][target.name] = {
            {"status", to_string(target.watch.health())},
            {"response_time", response_time ? OrderedJson(to_seconds(*response_time)) : OrderedJson(nullptr)},
            {"since", format_rfc3339(target.since)},
            {"cause", text_or_null(target.watch.cause())},
            {"last_error", text_or_null(target.watch.last_error())},
            {"url", target.url}};
        if (target.paused) body["services"][target.name]["paused"] = *target.paused;
    }
    return http::json_response(200, body);
}

Response Service::health(const Request&)
{
    const OrderedJson body{{"service", "monitor_service"},
                           {"status", "healthy"},
                           {"overall", to_string(overall())},
                           {"version", version()},
                           {"uptime_s", to_s(Clock::now() - started_)},
                           {"timestamp", format_rfc3339(std::chrono::system_clock::now())}};
    return http::json_response(200, body);
}

Response Service::expose_metrics(const Request&)
{
    metrics::Exposition out;
    const auto present = overall();
    for (std::size_t i = 0; i < status_count; ++i)
        out.gauge("hotspare_monitor_overall", "1 for the present status of all together",
                  {{"status", to_string(static_cast<Health>(i))}}, static_cast<Health>(i) == present ? 1. : 0.);
    for (const auto& target : targets_) {
        for (std::size_t i = 0; i < status_count; ++i) {
            const auto status = static_cast<Health>(i);
            out.gauge("hotspare_monitor_status", "1 for the present status of a service",
                      {{"target", target.name}, {"status", to_string(status)}},
                      status == target.watch.health() ? 1. : 0.);
            out.counter("hotspare_monitor_transitions_total", "Changes of status, by the status entered",
                        {{"target", target.name}, {"status", to_string(status)}}, target.transitions[i]);
        }
        for (std::size_t i = 0; i < outcome_count; ++i)
            out.counter("hotspare_monitor_probes_total", "Probes by outcome",
                        {{"target", target.name}, {"outcome", to_string(static_cast<ProbeOutcome>(i))}},
                        target.probes[i]);
        out.histogram("hotspare_monitor_probe_duration_seconds", "Time from sending a probe to its complete response",
                      {{"target", target.name}}, target.latency);
    }
    out.process(version());
    return http::text_response(200, out.text(), metrics::Exposition::content_type);
}

} // namespace hotspare::orders::monitor
