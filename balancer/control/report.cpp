#include "balancer/control/report.hpp"

#include "common/time.hpp"
#include "common/version.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <string_view>

#include <unistd.h>

namespace hotspare::balancer {
namespace {

using nlohmann::json;

constexpr std::array all_statuses{Status::unknown, Status::healthy,  Status::degraded,   Status::unhealthy,
                                  Status::down,    Status::draining, Status::maintenance};
constexpr std::array all_outcomes{ProbeOutcome::ok,      ProbeOutcome::failing, ProbeOutcome::malformed,
                                  ProbeOutcome::refused, ProbeOutcome::reset,   ProbeOutcome::timed_out};
constexpr std::array<std::string_view, 6> code_classes{"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
constexpr auto saved_reasons = static_cast<std::size_t>(Saved::count_);
constexpr auto lost_reasons = static_cast<std::size_t>(Lost::count_);

double sec(Duration d)
{
    return std::chrono::duration<double>(d).count();
}

std::string_view to_string(Tier tier) noexcept
{
    return tier == Tier::serving ? "serving" : tier == Tier::fallback ? "fallback" : "excluded";
}

/// Sums one value over all workers.
template <class Value> double sum(const std::vector<const WorkerCounters*>& workers, Value value)
{
    double total = 0;
    for (const WorkerCounters* worker : workers) total += static_cast<double>(value(*worker));
    return total;
}

/// The same for JSON, where a count is no fraction.
template <class Value> std::int64_t count(const std::vector<const WorkerCounters*>& workers, Value value)
{
    return static_cast<std::int64_t>(sum(workers, value));
}

template <class Snapshot>
metrics::Histogram::Snapshot merged(const std::vector<const WorkerCounters*>& workers, Snapshot snapshot)
{
    metrics::Histogram::Snapshot total;
    for (const WorkerCounters* worker : workers) total += snapshot(*worker);
    return total;
}

json to_json(const std::optional<Maintenance>& maintenance)
{
    if (!maintenance) return {};
    return {{"until", maintenance->until ? json(format_rfc3339(*maintenance->until)) : json()},
            {"message", maintenance->message.empty() ? json() : json(maintenance->message)}};
}

json to_json(const ConnectionLimits::Occupancy& occupancy)
{
    if (occupancy.limit == 0) return {};
    return {{"max", occupancy.limit}, {"in_use", occupancy.in_use}, {"waiting", occupancy.waiting}};
}

/// A worker that does not know the slot yet has counted nothing there.
template <class Cells, std::size_t Most> const Cells& cells(const CellTable<Cells, Most>& table, std::size_t slot)
{
    static const Cells none;
    const Cells* const found = table.find(slot);
    return found != nullptr ? *found : none;
}

struct RequestCounts {
    std::uint64_t total = 0;
    std::array<std::uint64_t, saved_reasons> saved{};
    std::array<std::uint64_t, lost_reasons> lost{};

    void add(const WorkerCounters& worker, PoolIndex index)
    {
        const PoolCounters& pool = cells(worker.pools, index);
        total += pool.requests.value();
        for (std::size_t i = 0; i < saved.size(); ++i) saved[i] += pool.saved[i].value();
        for (std::size_t i = 0; i < lost.size(); ++i) lost[i] += pool.lost[i].value();
    }

    json to_json() const
    {
        json by_saved = json::object(), by_lost = json::object();
        std::uint64_t all_saved = 0, all_lost = 0;
        for (std::size_t i = 0; i < saved.size(); ++i) {
            by_saved[std::string(to_string(static_cast<Saved>(i)))] = saved[i];
            all_saved += saved[i];
        }
        for (std::size_t i = 0; i < lost.size(); ++i) {
            by_lost[std::string(to_string(static_cast<Lost>(i)))] = lost[i];
            all_lost += lost[i];
        }
        return {{"total", total},
                {"saved", all_saved},
                {"lost", all_lost},
                {"saved_by", std::move(by_saved)},
                {"lost_by", std::move(by_lost)}};
    }
};

} // namespace

std::optional<BackendIndex> Report::active() const
{
    for (const PoolIndex p : topology().present_pools)
        if (topology().pools[p].policy == Policy::failover) return snapshot->pools[p].state.active;
    const Routing& routing = *snapshot->routing;
    if (routing.pools.empty()) return std::nullopt;
    for (const Tier tier : {Tier::serving, Tier::fallback})
        for (const Candidate& c : routing.pools.front().candidates)
            if (c.tier == tier) return c.backend;
    return std::nullopt;
}

bool Report::can_answer() const
{
    for (const PoolIndex p : topology().present_pools)
        if (!snapshot->pools[p].state.can_answer) return false;
    return true;
}

std::string Report::trouble() const
{
    const auto works = [this](BackendIndex b) {
        const Status status = snapshot->backends[b].state.status;
        return status == Status::unknown || status == Status::healthy || status == Status::degraded;
    };
    std::string text;
    for (const PoolIndex p : topology().present_pools) {
        const PoolConfig& pool = topology().pools[p];
        const PoolState& state = snapshot->pools[p].state;
        if (state.fail_open || std::any_of(pool.backends.begin(), pool.backends.end(), works)) continue;
        if (!text.empty()) text += "; ";
        if (topology().present_pools.size() > 1) text += fmt::format("pool '{}': ", pool.name);
        text += state.can_answer ? "every backend answers with a failure" : "no backend can answer";
    }
    return text;
}

std::size_t Report::usable(PoolIndex index) const
{
    const PoolConfig& pool = topology().pools[index];
    const std::vector<std::optional<TimePoint>>& quarantine = snapshot->pools[index].state.quarantined_until;
    std::size_t count = 0;
    for (std::size_t i = 0; i < pool.backends.size(); ++i) {
        const Status status = snapshot->backends[pool.backends[i]].state.status;
        const bool works = status == Status::healthy || status == Status::degraded;
        if (works && !quarantine[i]) ++count;
    }
    return count;
}

bool Report::fails_open() const
{
    for (const PoolIndex p : topology().present_pools)
        if (snapshot->pools[p].state.fail_open) return true;
    return false;
}

json Report::backend(BackendIndex index) const
{
    const BackendConfig& settings = topology().backends[index];
    const BackendState& state = snapshot->backends[index].state;
    json last_probe;
    if (const auto& probe = state.last_probe)
        last_probe = {{"at", format_rfc3339(snapshot->wall(probe->started))},
                      {"latency_ms", to_ms(probe->latency)},
                      {"outcome", to_string(probe->outcome)},
                      {"detail", probe->detail}};
    std::uint64_t probes = 0;
    for (const std::uint64_t n : state.probes) probes += n;
    const auto own = [index](const WorkerCounters& w) -> const BackendCounters& { return cells(w.backends, index); };
    return {
        {"name", settings.name},
        {"url", settings.url},
        {"status", to_string(state.status)},
        {"healthy", state.status == Status::healthy},
        {"since", format_rfc3339(snapshot->wall(state.since))},
        {"cause", state.cause},
        {"evidence", state.evidence},
        {"maintenance", to_json(state.maintenance)},
        {"last_probe", std::move(last_probe)},
        {"probes", {{"total", probes}, {"failed", probes - state.probes[static_cast<std::size_t>(ProbeOutcome::ok)]}}},
        {"flaps", snapshot->backends[index].flaps},
        {"requests_in_flight", count(counters, [&](const WorkerCounters& w) { return own(w).active.value(); })},
        {"connections_idle", count(counters, [&](const WorkerCounters& w) { return own(w).idle.value(); })},
        {"connection_limit", limits != nullptr ? to_json(limits->occupancy(index)) : json()}};
}

json Report::pool(PoolIndex index) const
{
    const PoolConfig& settings = topology().pools[index];
    const PoolSnapshot& shown = snapshot->pools[index];
    const PoolState& state = shown.state;
    const auto name = [this](std::optional<BackendIndex> b) { return b ? json(topology().backends[*b].name) : json(); };

    json candidates = json::array(), maintenance;
    if (const Routing& routing = *snapshot->routing; !routing.pools.empty()) {
        maintenance = to_json(routing.pools[index].maintenance);
        for (const Candidate& c : routing.pools[index].candidates) {
            json candidate{{"backend", name(c.backend)}, {"tier", to_string(c.tier)}, {"weight", c.weight}};
            for (std::size_t i = 0; i < settings.backends.size(); ++i)
                if (settings.backends[i] == c.backend && state.quarantined_until[i])
                    candidate["quarantined_until"] = format_rfc3339(snapshot->wall(*state.quarantined_until[i]));
            candidates.push_back(std::move(candidate));
        }
    }
    RequestCounts requests;
    for (const WorkerCounters* worker : counters) requests.add(*worker, index);
    return {{"name", settings.name},
            {"policy", to_string(settings.policy)},
            {"members_by", settings.by_request ? "request" : "configuration"},
            {"active", name(state.active)},
            {"preferred", name(state.preferred)},
            {"can_answer", state.can_answer},
            {"fail_open", state.fail_open},
            {"maintenance", std::move(maintenance)},
            {"failback_at", shown.failback_at ? json(format_rfc3339(snapshot->wall(*shown.failback_at))) : json()},
            {"failovers", state.failovers},
            {"failbacks", state.failbacks},
            {"last_failover", shown.last_failover ? to_json(*shown.last_failover) : json()},
            {"candidates", std::move(candidates)},
            {"requests", requests.to_json()}};
}

/// The dynamic ones in the order in which they are matched. Of a condition only the name is shown: the value may be
/// what lets a request in.
json Report::dynamic_routes() const
{
    json list = json::array();
    const auto& stated = topology().stated_routes;
    for (std::size_t i = 0; i < stated.size(); ++i) {
        if (!stated[i].dynamic) continue;
        const RouteConfig& route = topology().routes.routes()[i];
        json shown{{route.path.empty() ? "prefix" : "path", route.path.empty() ? route.prefix : route.path},
                   {"pool", stated[i].pool.empty() ? json() : json(stated[i].pool)}};
        if (!route.query.name.empty()) shown["query"] = route.query.name;
        if (!route.header.name.empty()) shown["header"] = route.header.name;
        if (!route.redirect.empty()) shown["redirect"] = route.redirect;
        list.push_back(std::move(shown));
    }
    return list;
}

json Report::status() const
{
    json backends = json::array(), pools = json::array();
    for (const BackendIndex b : topology().present_backends) backends.push_back(backend(b));
    std::uint64_t failovers = 0;
    const ReportedEvent* last = nullptr;
    RequestCounts requests;
    for (const PoolIndex p : topology().present_pools) {
        pools.push_back(pool(p));
        failovers += snapshot->pools[p].state.failovers;
        const auto& own = snapshot->pools[p].last_failover;
        if (own && (!last || own->event.at > last->event.at)) last = &*own;
        for (const WorkerCounters* worker : counters) requests.add(*worker, p);
    }
    const auto current = active();
    json result{
        {"service", "balancer"},
        {"pid", ::getpid()},
        {"version", version()},
        {"started", format_rfc3339(snapshot->wall(snapshot->started))},
        {"uptime_s", std::floor(sec(Clock::now() - snapshot->started) * 10) / 10},
        {"active", current ? json(topology().backends[*current].name) : json()},
        {"can_answer", can_answer()},
        {"fail_open", fails_open()},
        {"backends", std::move(backends)},
        {"pools", std::move(pools)},
        {"failovers", failovers},
        {"last_failover", last ? to_json(*last) : json()},
        {"requests", requests.to_json()},
        {"routing_version", snapshot->routing->version},
        {"generation", topology().generation},
        {"dynamic_routes", dynamic_routes()},
        {"dynamic_routes_by", topology().dynamic_by_request ? "request" : "configuration"},
        {"reload", snapshot->reloads.last
                       ? json{{"at", format_rfc3339(snapshot->wall(*snapshot->reloads.last))},
                              {"done", snapshot->reloads.error.empty()},
                              {"error", snapshot->reloads.error.empty() ? json() : json(snapshot->reloads.error)}}
                       : json()},
        {"workers", counters.size()},
        {"connections", count(counters, [](const WorkerCounters& w) { return w.connections.value(); })}};
    for (const json& shown : result["backends"])
        result[shown["name"].get<std::string>() + "_healthy"] = shown["healthy"];
    return result;
}

std::string Report::metrics() const
{
    metrics::Exposition out;

    for (const PoolIndex p : topology().present_pools) {
        const std::string& pool_name = topology().pools[p].name;
        const PoolState& state = snapshot->pools[p].state;
        const auto counter = [&](std::string_view name, std::string_view help, auto member) {
            out.counter(name, help, {{"pool", pool_name}},
                        sum(counters, [&](const WorkerCounters& w) { return (cells(w.pools, p).*member).value(); }));
        };
        counter("hotspare_requests_total", "Requests received for the pool.", &PoolCounters::requests);
        for (std::size_t code = 0; code < code_classes.size(); ++code)
            out.counter(
                "hotspare_responses_total", "Responses to clients by status; none: the connection was closed instead.",
                {{"pool", pool_name}, {"code", code_classes[code]}},
                sum(counters, [&](const WorkerCounters& w) { return cells(w.pools, p).responses[code].value(); }));
        for (std::size_t i = 0; i < saved_reasons; ++i)
            out.counter("hotspare_requests_saved_total",
                        "Requests answered only because of a retry, hedge, move or park.",
                        {{"pool", pool_name}, {"reason", to_string(static_cast<Saved>(i))}},
                        sum(counters, [&](const WorkerCounters& w) { return cells(w.pools, p).saved[i].value(); }));
        for (std::size_t i = 0; i < lost_reasons; ++i)
            out.counter("hotspare_requests_lost_total", "Requests that the balancer had to fail.",
                        {{"pool", pool_name}, {"reason", to_string(static_cast<Lost>(i))}},
                        sum(counters, [&](const WorkerCounters& w) { return cells(w.pools, p).lost[i].value(); }));
        counter("hotspare_retries_total", "Attempts after a failed one.", &PoolCounters::retries);
        counter("hotspare_hedges_total", "Second attempts beside a slow one.", &PoolCounters::hedges);
        counter("hotspare_moves_total", "Attempts given up because their backend went down.", &PoolCounters::moves);
        counter("hotspare_retry_budget_exhausted_total", "Retries and hedges that the retry budget did not allow.",
                &PoolCounters::budget_exhausted);
        out.gauge("hotspare_requests_parked", "Requests that wait until a backend returns, or at a connection limit.",
                  {{"pool", pool_name}},
                  sum(counters, [&](const WorkerCounters& w) { return cells(w.pools, p).parked.value(); }));
        out.histogram("hotspare_request_duration_seconds", "Request header complete to response complete.",
                      {{"pool", pool_name}},
                      merged(counters, [&](const WorkerCounters& w) { return cells(w.pools, p).latency.snapshot(); }));

        out.counter("hotspare_failovers_total",
                    "Changes of the active backend because the one before failed; those by an operator not counted.",
                    {{"pool", pool_name}}, static_cast<double>(state.failovers));
        out.counter("hotspare_planned_failovers_total", "Changes of the active backend that an operator caused.",
                    {{"pool", pool_name}}, static_cast<double>(state.planned));
        out.counter("hotspare_failbacks_total", "Returns to a preferred backend.", {{"pool", pool_name}},
                    static_cast<double>(state.failbacks));
        out.counter("hotspare_failover_seconds_total", "First evidence to new routing, summed over all failovers.",
                    {{"pool", pool_name}}, sec(snapshot->pools[p].failover_time));
        out.gauge("hotspare_pool_can_answer", "1 while some backend of the pool may be tried.", {{"pool", pool_name}},
                  state.can_answer ? 1 : 0);
        out.gauge("hotspare_pool_fail_open", "1 while the pool serves although every backend fails its probes.",
                  {{"pool", pool_name}}, state.fail_open ? 1 : 0);
        out.gauge("hotspare_pool_backends", "Backends of the pool, by whether they are usable: healthy or degraded.",
                  {{"pool", pool_name}, {"usable", "yes"}}, static_cast<double>(usable(p)));
        out.gauge("hotspare_pool_backends", "Backends of the pool, by whether they are usable: healthy or degraded.",
                  {{"pool", pool_name}, {"usable", "no"}},
                  static_cast<double>(topology().pools[p].backends.size() - usable(p)));
        for (const BackendIndex b : topology().pools[p].backends)
            out.gauge("hotspare_pool_member", "Always 1: the pool has the backend. Joins the pool to backend series.",
                      {{"pool", pool_name}, {"backend", topology().backends[b].name}}, 1);
        if (topology().pools[p].policy != Policy::failover) continue;
        for (const BackendIndex b : topology().pools[p].backends)
            out.gauge("hotspare_pool_active", "1 for the backend that is active in the pool.",
                      {{"pool", pool_name}, {"backend", topology().backends[b].name}}, state.active == b ? 1 : 0);
    }

    for (const BackendIndex b : topology().present_backends) {
        const std::string& backend_name = topology().backends[b].name;
        const BackendState& state = snapshot->backends[b].state;
        const auto cell = [&](auto member) {
            return sum(counters, [&](const WorkerCounters& w) { return (cells(w.backends, b).*member).value(); });
        };
        for (const Status status : all_statuses)
            out.gauge("hotspare_backend_status", "1 for the status that the backend has.",
                      {{"backend", backend_name}, {"status", to_string(status)}}, state.status == status ? 1 : 0);
        for (const Status status : all_statuses)
            out.counter("hotspare_backend_transitions_total", "Changes of the backend's status, by the one entered.",
                        {{"backend", backend_name}, {"to", to_string(status)}},
                        static_cast<double>(state.transitions[static_cast<std::size_t>(status)]));
        for (const ProbeOutcome outcome : all_outcomes)
            out.counter("hotspare_probes_total", "Heartbeats sent to the backend, by how they ended.",
                        {{"backend", backend_name}, {"outcome", to_string(outcome)}},
                        static_cast<double>(state.probes[static_cast<std::size_t>(outcome)]));
        if (state.last_probe)
            out.gauge("hotspare_probe_latency_seconds", "Duration of the latest probe.", {{"backend", backend_name}},
                      sec(state.last_probe->latency));
        for (std::size_t code = 0; code < code_classes.size(); ++code)
            out.counter(
                "hotspare_backend_responses_total", "Responses of the backend by status; none: no response.",
                {{"backend", backend_name}, {"code", code_classes[code]}},
                sum(counters, [&](const WorkerCounters& w) { return cells(w.backends, b).responses[code].value(); }));
        out.histogram(
            "hotspare_backend_latency_seconds", "Request sent to response header.", {{"backend", backend_name}},
            merged(counters, [&](const WorkerCounters& w) { return cells(w.backends, b).latency.snapshot(); }));
        out.counter("hotspare_backend_connects_total", "Connections opened to the backend.",
                    {{"backend", backend_name}}, cell(&BackendCounters::connects));
        out.counter("hotspare_backend_connect_failures_total", "Connections that could not be opened.",
                    {{"backend", backend_name}}, cell(&BackendCounters::connect_failures));
        out.counter("hotspare_backend_connections_reused_total", "Requests sent over a pooled connection.",
                    {{"backend", backend_name}}, cell(&BackendCounters::reused));
        out.gauge("hotspare_backend_requests_in_flight", "Requests that the backend works on.",
                  {{"backend", backend_name}}, cell(&BackendCounters::active));
        out.gauge("hotspare_backend_connections_idle", "Pooled connections.", {{"backend", backend_name}},
                  cell(&BackendCounters::idle));
        if (limits == nullptr || !limits->limited(b)) continue;
        const ConnectionLimits::Occupancy occupancy = limits->occupancy(b);
        out.gauge("hotspare_backend_connection_limit", "backends[].max_connections, where it is set.",
                  {{"backend", backend_name}}, occupancy.limit);
        out.gauge("hotspare_backend_connections_in_use",
                  "Connections that count against the limit: requests in flight and tunnels.",
                  {{"backend", backend_name}}, occupancy.in_use);
        out.gauge("hotspare_backend_requests_waiting",
                  "Requests that wait for a connection to the backend, or to another one that is at its limit too.",
                  {{"backend", backend_name}}, occupancy.waiting);
    }

    for (std::size_t i = 0; i < counters.size(); ++i) {
        const WorkerCounters& worker = *counters[i];
        const std::string number = std::to_string(i);
        out.counter("hotspare_connections_accepted_total", "Client connections accepted.", {{"worker", number}},
                    worker.connections_accepted);
        out.counter("hotspare_connections_refused_total",
                    "Client connections closed at limits.connections or the limit of file descriptors.",
                    {{"worker", number}}, worker.connections_refused);
        for (std::size_t reason = 0; reason < worker.bad_proxy_headers.size(); ++reason)
            out.counter("hotspare_bad_proxy_headers_total",
                        "Client connections closed for their PROXY header, by what was wrong with it.",
                        {{"worker", number}, {"reason", to_string(static_cast<BadProxyHeader>(reason))}},
                        worker.bad_proxy_headers[reason]);
        out.counter("hotspare_bad_requests_total", "Requests refused before they had a route.", {{"worker", number}},
                    worker.bad_requests);
        out.counter("hotspare_unrouted_requests_total", "Requests answered with 404 because no route takes their path.",
                    {{"worker", number}}, worker.unrouted_requests);
        out.gauge("hotspare_relay_memory_bytes", "Buffers of requests that wait for a peer.", {{"worker", number}},
                  worker.relay_memory);
        out.counter("hotspare_access_log_dropped_total", "Access log lines dropped: the log is full, broken or behind.",
                    {{"worker", number}}, worker.access_log_dropped);
        out.gauge("hotspare_connections", "Client connections.", {{"worker", number}}, worker.connections);
        out.gauge("hotspare_connections_idle", "Client connections between two requests.", {{"worker", number}},
                  worker.connections_idle);
        out.gauge("hotspare_event_loop_lag_seconds", "How late the thread's latest timer ran.",
                  {{"thread", fmt::format("worker-{}", i)}}, static_cast<double>(worker.loop_lag_us.value()) / 1e6);
    }
    out.gauge("hotspare_event_loop_lag_seconds", "How late the thread's latest timer ran.", {{"thread", "monitor"}},
              sec(snapshot->lag));
    out.gauge("hotspare_page_connections", "Requests for the built-in pages that are being served.", {{"kind", "page"}},
              static_cast<double>(pages.connections));
    out.gauge("hotspare_page_connections", "Requests for the built-in pages that are being served.",
              {{"kind", "stream"}}, static_cast<double>(pages.streams));
    out.counter("hotspare_page_connections_refused_total",
                "Requests for a built-in page answered with 503 because too many came at once.", {},
                static_cast<double>(pages.refused));
    out.gauge("hotspare_relay_memory_limit_bytes", "limits.relay_memory, for all workers together.", {},
              static_cast<double>(relay_memory_limit));
    out.gauge("hotspare_routing_version", "Version of the routing in use.", {},
              static_cast<double>(snapshot->routing->version));
    for (const auto& [result, count] :
         {std::pair("done", snapshot->reloads.done), std::pair("failed", snapshot->reloads.failed)})
        out.counter("hotspare_reloads_total", "Times that the configuration was read again, by whether it was valid.",
                    {{"result", result}}, static_cast<double>(count));
    out.gauge("hotspare_last_reload_successful", "0 if the configuration was invalid when it was read last.", {},
              snapshot->reloads.error.empty() ? 1 : 0);
    out.gauge("hotspare_topology_generation", "Counts the changes of backends, pools, routes and their settings.", {},
              static_cast<double>(topology().generation));
    out.process(version());
    return out.text();
}

} // namespace hotspare::balancer
