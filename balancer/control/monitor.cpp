#include "balancer/control/monitor.hpp"

#include "common/config.hpp"
#include "common/http/address.hpp"
#include "common/log.hpp"
#include "common/machine_clocks.hpp"
#include "common/probe/request.hpp"

#include <boost/asio/post.hpp>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

#include <pthread.h>

namespace hotspare::balancer {
namespace {

/// A wall clock that differs from ours by less was only adjusted.
constexpr WallTime::duration clock_tolerance = milliseconds(50);
/// Shorter sleeps of the machine are not worth a fresh round.
constexpr Duration sleep_tolerance = seconds(1);
/// A storm of evidence must not be copied as often as it comes.
constexpr Duration snapshot_interval = milliseconds(100);

std::string to_text(const Addresses& addresses)
{
    std::string text;
    for (const auto& address : addresses)
        text += fmt::format("{}{}", text.empty() ? "" : ", ",
                            config::format_host_port({address.address().to_string(), address.port()}));
    return text;
}

/// Where the backend is, if that is no matter of names.
std::optional<asio::ip::tcp::endpoint> own_address(const BackendConfig& backend)
{
    return http::literal_address(backend.address.empty() ? backend.host : backend.address, backend.port);
}

std::string in_brackets(const std::string& reason)
{
    return reason.empty() ? "" : fmt::format(" ({})", reason);
}

/// For the operator, who may have to change what is asked for.
std::string to_text(const probe::Verdict& verdict, const ProbeConfig& settings)
{
    if (verdict.shortcoming.empty()) return verdict.detail;
    return fmt::format("{}, but {}{}", verdict.detail, verdict.shortcoming,
                       verdict.wrong_status ? fmt::format(" (probe.path is '{}'; --probe-path or probe.expect_status "
                                                          "changes that)",
                                                          settings.path)
                                            : "");
}

log::Level level_of(const Event& event)
{
    switch (event.kind) {
    case Event::Kind::outage: return is_planned(event) ? log::Level::warn : log::Level::error;
    case Event::Kind::transition:
        return event.to == Status::down || event.to == Status::unhealthy || event.to == Status::degraded
                   ? log::Level::warn
                   : log::Level::info;
    case Event::Kind::failover: return is_planned(event) ? log::Level::info : log::Level::warn;
    case Event::Kind::fail_open:
    case Event::Kind::quarantine:
    case Event::Kind::clock_jump: return log::Level::warn;
    case Event::Kind::failback:
    case Event::Kind::outage_over:
    case Event::Kind::fail_open_over:
    case Event::Kind::quarantine_over:
    case Event::Kind::preference:
    case Event::Kind::configuration:
    case Event::Kind::announcement: break;
    }
    return log::Level::info;
}

} // namespace

Monitor::Monitor(std::shared_ptr<const Topology> topology, std::vector<Addresses> addresses, unsigned workers,
                 std::uint32_t seed, std::vector<std::string> resolvers)
    : releases_(workers), addresses_(std::move(addresses)), context_(1), work_(context_.get_executor()),
      tasks_(context_), ending_(context_), timer_(context_),
      names_(context_, {.servers = std::move(resolvers)}, seed,
             {.addresses = [this](const NameQuery& name, const http::NameAnswer& found) { looked_up(name, found); },
              .records =
                  [this](const NameQuery& name, const http::ServiceAnswer& found) {
                      if (!stopping_ && name_subscriber_.records) name_subscriber_.records(name, found);
                  }}),
      core_(std::move(topology), seed), last_failover_(core_.topology().pools.size()),
      failover_time_(core_.topology().pools.size()), started_(Clock::now()), wall_offset_(wall_less_steady()),
      suspended_(time_suspended()), snapshot_timer_(context_)
{
    take_snapshot();
}

Monitor::~Monitor()
{
    stop();
    join();
}

void Monitor::subscribe(Publish publish)
{
    subscribers_.push_back(std::move(publish));
}

void Monitor::subscribe_addresses(std::function<void(BackendIndex, const Addresses&)> publish)
{
    address_subscribers_.push_back(std::move(publish));
}

void Monitor::subscribe_events(std::function<void(const ReportedEvent&)> tell)
{
    event_subscribers_.push_back(std::move(tell));
}

void Monitor::subscribe_names(NameWatch::Hearing hearing)
{
    name_subscriber_ = std::move(hearing);
}

void Monitor::restore(const SavedState& saved)
{
    core_.restore(saved);
    take_snapshot();
}

void Monitor::start()
{
    thread_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "monitor");
        started_ = Clock::now();
        react(core_.start(started_));
        watching_ = true;
        watch_names();
        context_.run();
    });
}

void Monitor::stop()
{
    asio::post(context_, [this] {
        if (std::exchange(stopping_, true)) return;
        ending_.spawn("end of the monitor", end());
    });
}

void Monitor::join()
{
    if (thread_.joinable()) thread_.join();
}

void Monitor::report(const std::vector<Evidence>& evidence)
{
    const std::lock_guard lock(inbox_mutex_);
    const bool waiting = !inbox_.empty();
    for (const Evidence& e : evidence) {
        const auto same = std::find_if(inbox_.begin(), inbox_.end(), [&e](const Evidence& other) {
            return other.backend == e.backend && other.kind == e.kind;
        });
        if (same == inbox_.end()) {
            inbox_.push_back(e);
            continue;
        }
        same->count += e.count;
        same->last = std::max(same->last, e.last);
        same->total_latency += e.total_latency;
    }
    if (!waiting && !inbox_.empty()) asio::post(context_, [this] { take_evidence(); });
}

void Monitor::take_evidence()
{
    std::vector<Evidence> evidence;
    {
        const std::lock_guard lock(inbox_mutex_);
        evidence.swap(inbox_);
    }
    check_clocks();
    react(core_.evidence(evidence, Clock::now()));
}

// ---------------------------------------------------------------------------------------------------------- topology

void Monitor::release(unsigned worker, std::uint64_t generation, const SlotSet& slots)
{
    asio::post(context_, [this, worker, generation, slots] { releases_[worker] = {generation, slots}; });
}

/// Retired slots that no worker refers to: each has said so since they retired.
SlotSet Monitor::released() const
{
    const Topology& topology = core_.topology();
    SlotSet released;
    const auto by_all = [this](const Slot& slot, auto listed) {
        return slot.use == Slot::Use::retired &&
               std::all_of(releases_.begin(), releases_.end(), [&](const Release& release) {
                   return release.generation >= slot.since && listed(release.slots);
               });
    };
    for (std::size_t b = 0; b < topology.backend_slots.size(); ++b)
        released.backends[b] =
            by_all(topology.backend_slots[b], [b](const SlotSet& slots) { return slots.backends[b]; });
    for (std::size_t p = 0; p < topology.pool_slots.size(); ++p)
        released.pools[p] = by_all(topology.pool_slots[p], [p](const SlotSet& slots) { return slots.pools[p]; });
    return released;
}

boost::system::result<TopologyChange, std::string> Monitor::change(const Config& wanted)
{
    auto change = next_topology(topology(), wanted, released());
    if (change && change->topology != topology())
        adopt(change->topology, fmt::format("{}", fmt::join(change->said, "; ")));
    return change;
}

void Monitor::reloaded(bool done, std::string error)
{
    ++(done ? reloads_.done : reloads_.failed);
    reloads_.last = Clock::now();
    reloads_.error = std::move(error);
    take_snapshot();
}

void Monitor::adopt(std::shared_ptr<const Topology> topology, std::string what)
{
    const auto before = this->topology();
    addresses_.resize(topology->backends.size());
    last_failover_.resize(topology->pools.size());
    failover_time_.resize(topology->pools.size());
    for (std::size_t p = 0; p < topology->pools.size(); ++p) {
        if (topology->same_pool(*before, static_cast<PoolIndex>(p))) continue;
        last_failover_[p].reset();
        failover_time_[p] = {};
    }
    std::vector<BackendIndex> added;
    for (std::size_t b = 0; b < topology->backends.size(); ++b) {
        const auto backend = static_cast<BackendIndex>(b);
        if (topology->same_backend(*before, backend)) continue;
        added.push_back(backend);
        const BackendConfig& config = topology->backends[b];
        addresses_[b].clear();
        if (!config.socket.empty()) continue;
        if (const auto address = own_address(config))
            addresses_[b].push_back(*address);
        else if (config.resolve == Resolve::any)
            addresses_[b] = names_.known(query_of(config));
    }
    const TimePoint now = Clock::now();
    auto reaction = core_.adopt(std::move(topology), now);
    reaction.events.insert(reaction.events.begin(), {.kind = Event::Kind::configuration,
                                                     .at = now,
                                                     .cause = "configuration",
                                                     .evidence = what.empty() ? "the order of backends" : what});
    watch_names(); // before probes begin, which wait for the first answer
    react(std::move(reaction));
    for (const BackendIndex backend : added) publish_addresses(backend);
}

void Monitor::expand_names(std::vector<NameWatch::Name> names)
{
    expanded_names_ = std::move(names);
    if (watching_) watch_names();
}

asio::awaitable<void> Monitor::end()
{
    tasks_.cancel();
    co_await tasks_.join();
    ended_ = true; // evidence may still arrive: it must not arm the timer again
    timer_.cancel();
    snapshot_timer_.cancel();
    names_.stop();
    work_.reset();
}

WallTime Monitor::wall(TimePoint t) const noexcept
{
    return WallTime(std::chrono::duration_cast<WallTime::duration>(t.time_since_epoch()) + wall_offset_);
}

void Monitor::operate(const std::vector<BackendIndex>& backends, OperatorWord word, const Maintenance& announced)
{
    react(core_.operate(backends, word, Clock::now(), announced));
    take_snapshot();
}

boost::system::result<void, std::string> Monitor::prefer(BackendIndex target)
{
    auto reaction = core_.prefer(target, Clock::now());
    if (!reaction) return std::move(reaction.error());
    react(std::move(*reaction));
    take_snapshot();
    return {};
}

void Monitor::prefer_configured()
{
    react(core_.prefer_configured(Clock::now()));
    take_snapshot();
}

/// Probes the backend and learns from that where it is. Throws what it cannot help.
asio::awaitable<probe::Result> Monitor::ask(BackendIndex backend)
{
    const auto topology = this->topology(); // may be another one when the answer comes
    const BackendConfig& target = topology->backends[backend];
    const ProbeConfig settings = probe_of(core_.probe_config(backend), target.probe);
    const bool elsewhere = target.socket.empty() && settings.port != 0 && settings.port != target.port;
    probe::Question question{.addresses = addresses_[backend],
                             .socket = target.socket,
                             .origin = {target.host, elsewhere ? settings.port : target.port},
                             .path = settings.path,
                             .timeout = settings.timeout,
                             .method = settings.method,
                             .fields = *probe::parse_fields(settings.headers)};
    if (!settings.host.empty()) question.fields.emplace_back("Host", settings.host);
    if (elsewhere)
        for (auto& address : question.addresses) address.port(settings.port);
    else // what listens on another port does not expect one
        question.preamble = proxy_header(target.proxy_protocol, std::nullopt);
    probe::Expectation expected{
        .statuses = settings.expect_status, .body = settings.expect_body, .json_field = settings.expect_json_field};
    auto result = co_await probe::ask(std::move(question), std::move(expected));
    if (result.end == probe::Result::End::cancelled) co_return result;
    if (!core_.topology().same_backend(*topology, backend)) co_return result;

    Addresses& addresses = addresses_[backend]; // as they are now
    if (result.connected) {
        result.connected->port(target.port);
        const auto used = std::find(addresses.begin(), addresses.end(), *result.connected);
        if (used != addresses.begin() && used != addresses.end()) {
            std::rotate(addresses.begin(), used, used + 1);
            publish_addresses(backend);
        }
    } else {
        if (elsewhere) result.verdict.detail += fmt::format(" (port {})", settings.port);
        look_up(backend);
    }
    co_return result;
}

void Monitor::publish_addresses(BackendIndex backend)
{
    for (const auto& publish : address_subscribers_) publish(backend, addresses_[backend]);
}

/// Nothing could be connected to where the backend was: its name may lead elsewhere by now.
void Monitor::look_up(BackendIndex backend)
{
    if (stopping_ || !core_.topology().present(backend)) return;
    const BackendConfig& config = core_.topology().backends[backend];
    if (!config.socket.empty()) return;
    names_.doubt(query_of(config));
    if (!config.service.empty()) names_.doubt({.host = config.service, .service = true});
}

/// The names of all backends that are not at one address for good.
void Monitor::watch_names()
{
    if (stopping_) return;
    auto names = expanded_names_;
    const Topology& topology = core_.topology();
    for (const BackendIndex backend : topology.present_backends) {
        const BackendConfig& config = topology.backends[backend];
        if (config.socket.empty() && !own_address(config)) names.push_back({query_of(config), config.resolve_interval});
    }
    names_.watch(names);
}

void Monitor::looked_up(const NameQuery& name, const http::NameAnswer& found)
{
    if (stopping_) return;
    if (name_subscriber_.addresses) name_subscriber_.addresses(name, found);
    const auto topology = this->topology();
    for (const BackendIndex backend : topology->present_backends) {
        const BackendConfig& config = topology->backends[backend];
        if (config.resolve != Resolve::any || own_address(config) || query_of(config) != name) continue;
        if (!take_over(addresses_[backend], found.addresses, found.complete)) continue;
        log::info("the name '{}' of backend '{}' resolves to {}", config.host, config.name,
                  to_text(addresses_[backend]));
        publish_addresses(backend);
    }
}

asio::awaitable<void> Monitor::probe(BackendIndex backend)
{
    ProbeReport report{.backend = backend, .started = Clock::now()};
    const auto topology = this->topology();
    const BackendConfig& target = topology->backends[backend];
    const ProbeConfig settings = probe_of(core_.probe_config(backend), target.probe);
    if (target.socket.empty() && addresses_[backend].empty() && names_.is_unanswered(query_of(target))) {
        // Added just now: nothing is known against it until its name has been looked up, which takes 5 s at most.
        if (!stopping_) react(core_.probe_not_made(backend, report.started, Clock::now()));
        co_return;
    }
    std::optional<std::string> hindrance; // of our own: says nothing about the backend
    try {
        const auto result = co_await ask(backend);
        if (result.end == probe::Result::End::cancelled) co_return; // we are stopping
        report.latency = result.latency;
        report.outcome = result.verdict.outcome;
        report.detail = to_text(result.verdict, settings);
        if (result.end == probe::Result::End::hindered) hindrance = result.hindrance;
        if (addresses_[backend].empty() && target.socket.empty())
            report.detail = fmt::format("the name '{}' does not resolve{}", target.host,
                                        in_brackets(names_.error(query_of(target))));
    } catch (const std::exception& e) {
        hindrance = e.what();
    }
    check_clocks();
    if (!hindrance) {
        react(core_.probe_finished(std::move(report), Clock::now()));
    } else if (!stopping_) {
        // The core waits for the end of every probe that it asked for: one that ended untold would be the last.
        log::warn("cannot probe '{}': {}", target.name, *hindrance);
        react(core_.probe_not_made(backend, report.started, Clock::now()));
    }
}

void Monitor::tick()
{
    check_clocks();
    const TimePoint now = Clock::now();
    lag_ = now - std::exchange(timer_at_, TimePoint::max());
    react(core_.tick(now));
}

/// The clocks may have moved in ways that the steady one does not show.
void Monitor::check_clocks()
{
    const auto offset = wall_less_steady();
    if (std::chrono::abs(offset - wall_offset_) > clock_tolerance) wall_offset_ = offset;

    const Duration total = time_suspended();
    if (total - std::exchange(suspended_, total) > sleep_tolerance) react(core_.clock_jumped(Clock::now()));
}

void Monitor::react(Reaction reaction)
{
    if (ended_) return;
    // A worker that knows of a page asks for it at once: what the pages look at must know of it first.
    if (reaction.routing && reaction.routing->topology != snapshot_->routing->topology) take_snapshot();
    if (reaction.routing)
        for (const Publish& publish : subscribers_) publish(reaction.routing);
    const TimePoint published = Clock::now();

    for (const BackendIndex backend : reaction.probe)
        tasks_.spawn(fmt::format("probe of '{}'", core_.topology().backends[backend].name), probe(backend));

    if (reaction.wake_at != timer_at_) {
        timer_at_ = reaction.wake_at;
        timer_.expires_at(timer_at_);
        timer_.async_wait([this](const error_code& error) {
            if (!error) tick();
        });
    }

    // Last: whatever happens to the words, the heartbeat goes on.
    std::vector<ReportedEvent> events;
    for (Event& event : reaction.events) {
        ReportedEvent reported = named(std::move(event));
        const Event& e = reported.event;
        reported.at = wall(e.at);
        if (e.kind == Event::Kind::failover || e.kind == Event::Kind::failback)
            reported.failover = published - e.first_evidence;
        log::event(level_of(e), to_text(reported), to_json(reported));
        if (e.kind == Event::Kind::failover) {
            if (!is_planned(e)) failover_time_[*e.pool] += reported.failover;
            last_failover_[*e.pool] = reported;
        }
        events.push_back(std::move(reported));
    }
    show(reaction.routing || !events.empty());
    for (const ReportedEvent& event : events)
        for (const auto& tell : event_subscribers_) tell(event);
}

ReportedEvent Monitor::named(Event event) const
{
    ReportedEvent reported;
    reported.event = std::move(event);
    const Topology& topology = core_.topology();
    const Event& e = reported.event;
    if (e.backend) {
        reported.backend = topology.backends[*e.backend].name;
        reported.url = topology.backends[*e.backend].url;
    }
    if (e.previous) reported.previous = topology.backends[*e.previous].name;
    if (e.pool) reported.pool = topology.pools[*e.pool].name;
    return reported;
}

// ---------------------------------------------------------------------------------------------------------- snapshots

std::shared_ptr<const Snapshot> Monitor::snapshot() const
{
    const std::lock_guard lock(snapshot_mutex_);
    return snapshot_;
}

/// What has changed is shown at once, the rest (counts of probes, the latest latency) within snapshot_interval.
void Monitor::show(bool changed)
{
    if (changed || Clock::now() >= snapshot_due_) return take_snapshot();
    if (std::exchange(snapshot_waits_, true)) return;
    snapshot_timer_.expires_at(snapshot_due_);
    snapshot_timer_.async_wait([this](const error_code& error) {
        snapshot_waits_ = false;
        if (!error) take_snapshot();
    });
}

void Monitor::take_snapshot()
{
    const TimePoint now = Clock::now();
    auto snapshot = std::make_shared<Snapshot>();
    for (std::size_t b = 0; b < core_.topology().backends.size(); ++b) {
        const auto index = static_cast<BackendIndex>(b);
        snapshot->backends.push_back({core_.backend(index), core_.flaps(index, now)});
    }
    for (std::size_t p = 0; p < core_.topology().pools.size(); ++p) {
        const auto index = static_cast<PoolIndex>(p);
        snapshot->pools.push_back(
            {core_.pool(index), core_.failback_at(index, now), last_failover_[p], failover_time_[p]});
    }
    snapshot->routing = core_.routing_in_force();
    snapshot->reloads = reloads_;
    snapshot->started = started_;
    snapshot->wall_offset = wall_offset_;
    snapshot->lag = lag_;
    snapshot_due_ = now + snapshot_interval;
    std::shared_ptr<const Snapshot> latest = std::move(snapshot);
    const std::lock_guard lock(snapshot_mutex_);
    snapshot_.swap(latest); // the old one goes after the lock
}

} // namespace hotspare::balancer
