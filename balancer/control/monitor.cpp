#include "balancer/control/monitor.hpp"

#include "common/config.hpp"
#include "common/http/client.hpp"
#include "common/log.hpp"

#include <boost/asio/post.hpp>
#include <boost/beast/http/status.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>

#include <pthread.h>
#include <time.h>

namespace hotspare::balancer {
namespace {

/// A wall clock that differs from ours by less was only adjusted.
constexpr WallTime::duration clock_tolerance = milliseconds(50);
/// Shorter sleeps of the machine are not worth a fresh round.
constexpr Duration sleep_tolerance = seconds(1);
/// A storm of evidence must not be copied as often as it comes.
constexpr Duration snapshot_interval = milliseconds(100);

/// Time that the steady clock has not counted because the machine slept.
Duration slept() noexcept
{
    timespec with{}, without{};
    ::clock_gettime(CLOCK_BOOTTIME, &with);
    ::clock_gettime(CLOCK_MONOTONIC, &without);
    return seconds(with.tv_sec - without.tv_sec) + std::chrono::nanoseconds(with.tv_nsec - without.tv_nsec);
}

WallTime::duration wall_less_steady()
{
    return std::chrono::system_clock::now().time_since_epoch() -
           std::chrono::duration_cast<WallTime::duration>(Clock::now().time_since_epoch());
}

/// RFC 9110 §7.2: without the port that http has by default.
std::string host_field(const BackendConfig& target)
{
    std::string authority = config::format_host_port({target.host, target.port});
    if (target.port == 80) authority.resize(authority.rfind(':'));
    return authority;
}

std::string to_text(const Addresses& addresses)
{
    std::string text;
    for (const auto& address : addresses)
        text += fmt::format("{}{}", text.empty() ? "" : ", ",
                            config::format_host_port({address.address().to_string(), address.port()}));
    return text;
}

std::string in_brackets(const std::string& reason)
{
    return reason.empty() ? "" : fmt::format(" ({})", reason);
}

ProbeOutcome outcome_of(const error_code& error)
{
    if (error == errc::timed_out || error == asio::error::timed_out) return ProbeOutcome::timed_out;
    if (error == errc::malformed) return ProbeOutcome::malformed;
    if (error == errc::too_large) return ProbeOutcome::failing;
    if (error == errc::closed_early || error == asio::error::connection_reset ||
        error == asio::error::connection_aborted || error == asio::error::broken_pipe)
        return ProbeOutcome::reset;
    return ProbeOutcome::refused;
}

std::string to_text(const std::vector<StatusRange>& ranges)
{
    std::string text;
    for (const StatusRange& r : ranges) {
        if (!text.empty()) text += ", ";
        text += r.first == r.last ? fmt::format("{}", r.first) : fmt::format("{}-{}", r.first, r.last);
    }
    return text;
}

/// What the answer lacks; empty if it is as expected.
std::string shortcoming(const http::Response& response, const ProbeConfig& expected)
{
    const unsigned status = response.result_int();
    const bool wanted = std::any_of(expected.expect_status.begin(), expected.expect_status.end(),
                                    [status](const StatusRange& range) { return range.contains(status); });
    if (!wanted)
        return fmt::format("expected {} (probe.path is '{}'; --probe-path or probe.expect_status changes that)",
                           to_text(expected.expect_status), expected.path);
    if (!expected.expect_body.empty() && response.body().find(expected.expect_body) == std::string::npos)
        return fmt::format("its body does not contain '{}'", expected.expect_body);
    if (expected.expect_json_field.empty()) return {};

    const auto equals = expected.expect_json_field.find('=');
    const std::string field = expected.expect_json_field.substr(0, equals);
    const std::string value = equals == std::string::npos ? "" : expected.expect_json_field.substr(equals + 1);
    const auto body = http::parse_json(response.body());
    if (!body || !body->is_object()) return "its body is not a JSON object";
    const auto found = body->find(field);
    if (found == body->end()) return fmt::format("its body has no field '{}'", field);
    const std::string actual = found->is_string() ? found->get<std::string>() : found->dump();
    if (actual != value) return fmt::format("its {} is '{}', not '{}'", field, actual.substr(0, 40), value);
    return {};
}

void assess(ProbeReport& report, const result<http::Response>& answer, const ProbeConfig& expected)
{
    if (!answer) {
        report.outcome = outcome_of(answer.error());
        const auto limit = std::chrono::duration_cast<milliseconds>(expected.timeout).count();
        report.detail = report.outcome == ProbeOutcome::timed_out ? fmt::format("no answer within {} ms", limit)
                                                                  : answer.error().message();
        return;
    }
    const auto reason = boost::beast::http::obsolete_reason(answer->result());
    report.detail = fmt::format("{} {}", answer->result_int(), std::string_view(reason));
    const std::string lacks = shortcoming(*answer, expected);
    report.outcome = lacks.empty() ? ProbeOutcome::ok : ProbeOutcome::failing;
    if (!lacks.empty()) report.detail += ", but " + lacks;
}

log::Level level_of(const Event& event)
{
    switch (event.kind) {
    case Event::Kind::outage: return event.cause == "operator" ? log::Level::warn : log::Level::error;
    case Event::Kind::transition:
        return event.to == Status::down || event.to == Status::unhealthy || event.to == Status::degraded
                   ? log::Level::warn
                   : log::Level::info;
    case Event::Kind::failover: return event.cause == "operator" ? log::Level::info : log::Level::warn;
    case Event::Kind::fail_open:
    case Event::Kind::quarantine:
    case Event::Kind::clock_jump: return log::Level::warn;
    case Event::Kind::failback:
    case Event::Kind::outage_over:
    case Event::Kind::fail_open_over:
    case Event::Kind::quarantine_over:
    case Event::Kind::preference: break;
    }
    return log::Level::info;
}

} // namespace

Monitor::Monitor(const Config& config, std::vector<Addresses> addresses, std::uint32_t seed)
    : config_(config), addresses_(std::move(addresses)), lookups_(addresses_.size()), context_(1),
      work_(context_.get_executor()), tasks_(context_), ending_(context_), timer_(context_), resolver_(context_),
      core_(config, seed), last_failover_(config.pools.size()), failover_time_(config.pools.size()),
      started_(Clock::now()), wall_offset_(wall_less_steady()), suspended_(slept()), snapshot_timer_(context_)
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

void Monitor::start()
{
    thread_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "monitor");
        started_ = Clock::now();
        react(core_.start(started_));
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

asio::awaitable<void> Monitor::end()
{
    tasks_.cancel();
    co_await tasks_.join();
    ended_ = true; // evidence may still arrive: it must not arm the timer again
    timer_.cancel();
    snapshot_timer_.cancel();
    work_.reset();
}

WallTime Monitor::wall(TimePoint t) const noexcept
{
    return WallTime(std::chrono::duration_cast<WallTime::duration>(t.time_since_epoch()) + wall_offset_);
}

void Monitor::operate(BackendIndex backend, OperatorWord word)
{
    react(core_.operate(backend, word, Clock::now()));
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

/// What the backend answers, or nothing if we are stopping. Throws what it cannot help.
asio::awaitable<std::optional<result<http::Response>>> Monitor::ask(BackendIndex backend)
{
    const ProbeConfig& settings = core_.probe_config(backend);
    auto request = http::make_request(http::verb::get, settings.path);
    const BackendConfig& target = config_.backends[backend];
    request.set(http::field::host, host_field(target));
    asio::ip::tcp::endpoint connected;
    const http::FetchOptions options{.deadline = settings.timeout};
    auto answer = co_await http::fetch(addresses_[backend], std::move(request), options, &connected);
    if (!answer && answer.error() == errc::cancelled) co_return std::nullopt;

    Addresses& addresses = addresses_[backend]; // as they are now
    const auto used = std::find(addresses.begin(), addresses.end(), connected);
    if (used != addresses.begin() && used != addresses.end()) {
        std::rotate(addresses.begin(), used, used + 1);
        publish_addresses(backend);
    }
    if (connected == asio::ip::tcp::endpoint{}) look_up(backend);
    co_return answer;
}

void Monitor::publish_addresses(BackendIndex backend)
{
    for (const auto& publish : address_subscribers_) publish(backend, addresses_[backend]);
}

/// Nothing could be connected to where the backend was: its name may lead elsewhere by now.
void Monitor::look_up(BackendIndex backend)
{
    Lookup& lookup = lookups_[backend];
    const TimePoint now = Clock::now();
    if (stopping_ || lookup.running || now < lookup.next) return;
    error_code not_an_address;
    const BackendConfig& target = config_.backends[backend];
    asio::ip::make_address(target.host, not_an_address);
    if (!not_an_address) return;
    lookup.running = true;
    resolver_.look_up(target.host, target.port,
                      [this, backend](result<Addresses> found) { looked_up(backend, std::move(found)); });
}

void Monitor::looked_up(BackendIndex backend, result<Addresses> found)
{
    Lookup& lookup = lookups_[backend];
    lookup.running = false;
    lookup.next = Clock::now() + lookup_interval;
    lookup.error = found ? "" : found.error().message();
    // A name server that is gone takes nothing away that was known.
    if (!found || stopping_) return;
    Addresses& addresses = addresses_[backend];
    if (std::is_permutation(addresses.begin(), addresses.end(), found->begin(), found->end())) return;
    addresses = std::move(*found);
    log::info("the name '{}' of backend '{}' resolves to {}", config_.backends[backend].host,
              config_.backends[backend].name, to_text(addresses));
    publish_addresses(backend);
}

asio::awaitable<void> Monitor::probe(BackendIndex backend)
{
    ProbeReport report{.backend = backend, .started = Clock::now()};
    std::optional<std::string> hindrance; // of our own: says nothing about the backend
    try {
        const auto answer = co_await ask(backend);
        report.latency = Clock::now() - report.started;
        if (!answer) co_return;
        if (!*answer && is_own_shortage(answer->error()))
            hindrance = answer->error().message();
        else
            assess(report, *answer, core_.probe_config(backend));
        if (addresses_[backend].empty())
            report.detail = fmt::format("the name '{}' does not resolve{}", config_.backends[backend].host,
                                        in_brackets(lookups_[backend].error));
    } catch (const std::exception& e) {
        hindrance = e.what();
    }
    check_clocks();
    if (!hindrance) {
        react(core_.probe_finished(std::move(report), Clock::now()));
    } else if (!stopping_) {
        // The core waits for the end of every probe that it asked for: one that ended untold would be the last.
        log::warn("cannot probe '{}': {}", config_.backends[backend].name, *hindrance);
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

    const Duration total = slept();
    if (total - std::exchange(suspended_, total) > sleep_tolerance) react(core_.clock_jumped(Clock::now()));
}

void Monitor::react(Reaction reaction)
{
    if (ended_) return;
    if (reaction.routing)
        for (const Publish& publish : subscribers_) publish(reaction.routing);
    const TimePoint published = Clock::now();

    for (const BackendIndex backend : reaction.probe)
        tasks_.spawn(fmt::format("probe of '{}'", config_.backends[backend].name), probe(backend));

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
        ReportedEvent reported{.event = std::move(event), .at = {}, .failover = {}};
        const Event& e = reported.event;
        reported.at = wall(e.at);
        if (e.kind == Event::Kind::failover || e.kind == Event::Kind::failback)
            reported.failover = published - e.first_evidence;
        log::event(level_of(e), to_text(reported, config_), to_json(reported, config_));
        if (e.kind == Event::Kind::failover) {
            if (e.cause != "operator") failover_time_[*e.pool] += reported.failover;
            last_failover_[*e.pool] = reported;
        }
        events.push_back(std::move(reported));
    }
    show(reaction.routing || !events.empty());
    for (const ReportedEvent& event : events)
        for (const auto& tell : event_subscribers_) tell(event);
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
    for (std::size_t b = 0; b < config_.backends.size(); ++b) {
        const auto index = static_cast<BackendIndex>(b);
        snapshot->backends.push_back({core_.backend(index), core_.flaps(index, now)});
    }
    for (std::size_t p = 0; p < config_.pools.size(); ++p) {
        const auto index = static_cast<PoolIndex>(p);
        snapshot->pools.push_back(
            {core_.pool(index), core_.failback_at(index, now), last_failover_[p], failover_time_[p]});
    }
    snapshot->routing = core_.routing_in_force();
    snapshot->started = started_;
    snapshot->wall_offset = wall_offset_;
    snapshot->lag = lag_;
    snapshot_due_ = now + snapshot_interval;
    std::shared_ptr<const Snapshot> latest = std::move(snapshot);
    const std::lock_guard lock(snapshot_mutex_);
    snapshot_.swap(latest); // the old one goes after the lock
}

} // namespace hotspare::balancer
