#include "monitor/check/checker.hpp"

#include "common/machine_clocks.hpp"
#include "common/probe/probe.hpp"
#include "monitor/check/health_word.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <exception>
#include <iterator>
#include <utility>

namespace hotspare::monitor {
namespace {

constexpr auto end_of_daemon = "the monitor is stopping";

ClockReading read_clocks() noexcept
{
    return {.now = Clock::now(), .slept = time_suspended(), .wall_offset = wall_less_steady()};
}

Instant to_instant(TimePoint at, WallTime::duration wall_offset) noexcept
{
    const auto wall = WallTime(std::chrono::duration_cast<WallTime::duration>(at.time_since_epoch()) + wall_offset);
    return std::chrono::floor<milliseconds>(wall);
}

std::string in_milliseconds(Duration duration)
{
    return config::format_duration(std::chrono::round<milliseconds>(duration));
}

/// For people: "HTTP 503 Service Unavailable, expected 200-299".
std::string cause_of(const probe::Result& result)
{
    const auto& verdict = result.verdict;
    if (!result.body) return verdict.detail;
    if (verdict.shortcoming.empty()) return "HTTP " + verdict.detail;
    return fmt::format("HTTP {}, {}{}", verdict.detail, verdict.wrong_status ? "" : "but ", verdict.shortcoming);
}

} // namespace

Checker::Checker(asio::io_context& context, std::vector<TargetSettings> targets, const ScheduleSettings& settings,
                 Handler handler, Forgotten forgotten, BackendLimits limits)
    : settings_(settings), handler_(std::move(handler)), forgotten_(std::move(forgotten)), limits_(limits),
      names_(context), timer_(context), checks_(context), ending_(context)
{
    targets_.reserve(targets.size());
    for (TargetSettings& one : targets) {
        watched_.push_back({.name = one.name, .settings = targets_.size()});
        Target target{.settings = std::move(one)};
        const TargetSettings& s = target.settings;
        const auto kind = s.kind();
        if (kind == CheckKind::tcp) {
            target.origin = config::parse_host_port(s.tcp).value();
        } else if (kind != CheckKind::push) {
            auto url = parse_http_url(kind == CheckKind::http ? s.url : s.balancer).value();
            target.origin = std::move(url.origin);
            target.path = kind == CheckKind::balancer && url.target == "/" ? "/status" : std::move(url.target);
        }
        if (kind != CheckKind::push) target.name = names_.add(target.origin);
        targets_.push_back(std::move(target));
    }
}

// --- Life ------------------------------------------------------------------------------------------------------------

void Checker::start()
{
    const auto clocks = read_clocks();
    wall_offset_ = clocks.wall_offset;
    std::vector<Schedule::Entry> entries;
    entries.reserve(targets_.size());
    for (Target& target : targets_) {
        const TargetSettings& s = target.settings;
        entries.push_back(
            {.interval = s.interval, .offset = offset_of(s.name, s.interval), .doubt_interval = s.doubt_interval});
        if (s.kind() == CheckKind::push) target.push.emplace(s.interval, s.grace, clocks.now);
    }
    schedule_.emplace(entries, settings_, clocks);
    arm();
}

void Checker::stop()
{
    if (std::exchange(stopping_, true)) return;
    timer_.cancel();
    ending_.spawn("end of the checks", end());
}

asio::awaitable<void> Checker::end()
{
    checks_.cancel();
    co_await checks_.join();
    names_.stop();
}

// --- Checking --------------------------------------------------------------------------------------------------------

void Checker::tick()
{
    look();
    const auto now = Clock::now();
    // A push check ends where it begins, and makes room for another.
    for (auto begun = schedule_->tick(now); !begun.empty(); begun = schedule_->tick(now))
        for (const std::size_t index : begun) {
            lag_.observe(schedule_->lag());
            begin(index);
        }
    arm();
}

/// Sets the timer to what is due next.
void Checker::arm()
{
    if (stopping_) return;
    const auto at = schedule_->wake_at();
    if (at == TimePoint::max()) return;
    timer_.expires_at(at);
    timer_.async_wait([this](const error_code& error) {
        if (!error && !stopping_) tick();
    });
}

/// The clocks may have moved in ways that nothing else shows. Whatever runs first afterwards finds out here.
void Checker::look()
{
    const auto clocks = read_clocks();
    const auto jump = schedule_->look(clocks);
    wall_offset_ = clocks.wall_offset;
    if (!jump) return;
    log::warn("did not run for {}, or the clock was set: the checks under way do not count",
              in_milliseconds(jump->length));
    const Instant since = to_instant(jump->since, jump->wall_then);
    for (std::size_t i = 0; i < targets_.size(); ++i) {
        Target& target = targets_[i];
        if (target.push) target.push->was_unreachable(jump->length, clocks.now);
        if (jump->length < target.settings.interval) continue;
        tell(i, since, {.cause = fmt::format("the monitor did not run for {}", in_milliseconds(jump->length))});
    }
}

void Checker::begin(std::size_t index)
{
    const auto now = Clock::now();
    std::string why;
    try {
        if (!targets_[index].push)
            return checks_.spawn(fmt::format("check of '{}'", targets_[index].settings.name), check(index, now));
    } catch (const std::exception& e) {
        why = e.what();
    }
    schedule_->ended(index);
    if (targets_[index].push)
        tell_push(index, now);
    else
        tell(index, wall(now), {.cause = std::move(why)});
}

asio::awaitable<void> Checker::check(std::size_t index, TimePoint started)
{
    Said said;
    try {
        said = co_await make(index);
    } catch (const std::exception& e) {
        said = {.cause = stopping_ ? end_of_daemon : e.what()};
    }
    look();
    if (!schedule_->ended(index)) said = {.cause = "the monitor did not run during the check"};
    tell(index, wall(started), std::move(said));
    if (!stopping_) tick();
}

asio::awaitable<Checker::Said> Checker::make(std::size_t index)
{
    Target& target = targets_[index];
    auto addresses = co_await names_.find(target.name, Clock::now() + target.settings.timeout);
    if (!addresses) {
        Said said{.cause = fmt::format("the name '{}' does not resolve ({})", target.origin.host,
                                       addresses.error().message())};
        if (says_no_such_name(addresses.error())) said.state = State::down;
        if (addresses.error() == errc::cancelled) said.cause = end_of_daemon;
        co_return said;
    }

    const TargetSettings& settings = target.settings;
    probe::Result result;
    if (settings.kind() == CheckKind::tcp) {
        result = co_await probe::connect(std::move(*addresses), settings.timeout);
    } else {
        probe::Question question{.addresses = std::move(*addresses),
                                 .origin = target.origin,
                                 .path = target.path,
                                 .timeout = settings.timeout};
        probe::Expectation expected;
        if (settings.kind() == CheckKind::http) {
            question.method = settings.method;
            for (const auto& [name, value] : settings.headers) question.fields.emplace_back(name, value);
            question.body = settings.body;
            expected = {settings.expect_status, settings.expect_body, settings.expect_json_field};
        }
        result = co_await probe::ask(std::move(question), std::move(expected));
    }
    if (result.end == probe::Result::End::judged && !result.connected) names_.doubt(target.name);
    co_return judge(target, std::move(result));
}

Checker::Said Checker::judge(Target& target, probe::Result result) const
{
    using End = probe::Result::End;
    using Outcome = probe::ProbeOutcome;
    const TargetSettings& settings = target.settings;
    if (result.end == End::cancelled) return {.cause = end_of_daemon};
    if (result.end == End::hindered) return {.cause = std::move(result.hindrance)};

    Said said{.state = State::down};
    if (result.connected && (result.body || settings.kind() == CheckKind::tcp)) said.latency = result.latency;
    Outcome outcome = result.verdict.outcome;
    const auto count = [&] { ++target.outcomes[static_cast<std::size_t>(outcome)]; };
    HealthWord word;
    if (settings.health_word && result.body) word = read_health_word(*result.body);
    said.paused = word.paused;
    if (outcome != Outcome::ok) {
        said.cause = cause_of(result);
        said.unhealthy = outcome == Outcome::failing || outcome == Outcome::malformed;
        count();
        return said;
    }
    said.state = word.state;
    said.cause = std::move(word.cause);
    said.unhealthy = word.unhealthy;
    if (said.state == State::down) outcome = Outcome::failing;
    if (settings.kind() == CheckKind::balancer) {
        auto status = read_balancer_status(*result.body);
        if (!status) {
            said.state = State::down;
            said.cause = std::move(status.error());
            said.unhealthy = true;
            outcome = Outcome::failing;
            count();
            return said;
        }
        said.asked = true;
        said.state = status->state;
        said.cause = std::move(status->cause);
        said.backends = std::move(status->backends);
    }
    count();
    if (said.state == State::up && settings.slow > Duration::zero() && result.latency > settings.slow) {
        said.state = State::degraded;
        said.cause = fmt::format("answered after {}, which is slower than {}", in_milliseconds(result.latency),
                                 config::format_duration(settings.slow));
    }
    return said;
}

// --- Push checks -----------------------------------------------------------------------------------------------------

bool Checker::report(std::string_view token, PushReport report)
{
    std::optional<std::size_t> found;
    for (std::size_t i = 0; i < targets_.size(); ++i)
        if (targets_[i].push && equal_in_constant_time(targets_[i].settings.push.text, token)) found = i;
    if (!found) return false;
    if (stopping_) return true;
    look();
    const auto now = Clock::now();
    targets_[*found].push->reported(std::move(report), now);
    tell_push(*found, now);
    return true;
}

void Checker::tell_push(std::size_t index, TimePoint now)
{
    auto view = targets_[index].push->look(now);
    tell(index, wall(now), {.state = view.state, .cause = std::move(view.cause)});
}

// --- Telling ---------------------------------------------------------------------------------------------------------

void Checker::tell(std::size_t index, Instant at, Said said)
{
    constexpr int not_made = 0;
    const Target& target = targets_[index];
    if (said.state == State::unknown && !stopping_ && !target.push)
        if (const auto left_out = throttle_.admit(not_made, Clock::now()))
            log::warn("cannot check '{}': {}{}", target.settings.name, said.cause,
                      *left_out > 0 ? fmt::format(" ({} more like this)", *left_out) : "");
    const bool in_doubt = handler_({.target = index,
                                    .at = at,
                                    .state = said.state,
                                    .cause = said.cause,
                                    .latency = said.latency,
                                    .unhealthy = said.unhealthy,
                                    .paused = said.paused});
    schedule_->doubt(index, in_doubt, Clock::now());
    if (target.settings.kind() == CheckKind::balancer) tell_backends(index, at, said);
}

void Checker::tell_backends(std::size_t index, Instant at, const Said& said)
{
    Target& target = targets_[index];
    // First, as they may have to make room.
    tell_missing_backends(index, at, said);
    for (const BackendStatus& backend : said.backends) {
        auto place = target.backends.find(backend.name);
        if (place == target.backends.end()) {
            if (!make_room(target)) continue;
            place = target.backends.emplace(backend.name, Backend{watched_.size(), {}}).first;
            watched_.push_back({target.settings.name + "/" + backend.name, index, true});
        }
        place->second.missing_since.reset();
        handler_({.target = place->second.index,
                  .at = at,
                  .state = backend.state,
                  .cause = backend.cause,
                  .latency = backend.latency,
                  .unhealthy = backend.unhealthy});
    }
}

void Checker::tell_missing_backends(std::size_t index, Instant at, const Said& said)
{
    Target& target = targets_[index];
    const std::string& balancer = target.settings.name;
    const TimePoint now = Clock::now();
    for (auto known = target.backends.begin(); known != target.backends.end();) {
        const auto next = std::next(known);
        const auto is_this = [&](const BackendStatus& backend) { return backend.name == known->first; };
        if (std::none_of(said.backends.begin(), said.backends.end(), is_this)) {
            auto& missing_since = known->second.missing_since;
            if (said.asked && !missing_since) missing_since = now;
            handler_({.target = known->second.index,
                      .at = at,
                      .cause = said.asked
                                   ? fmt::format("no backend of the balancer '{}' any more", balancer)
                                   : fmt::format("the balancer '{}' cannot be asked: {}", balancer, said.cause)});
            if (missing_since && now - *missing_since >= limits_.kept) forget(target, known);
        }
        known = next;
    }
}

/// False if the balancer names so many backends that another one is not watched.
bool Checker::make_room(Target& target)
{
    constexpr int too_many = 1;
    if (target.backends.size() < limits_.most) return true;
    auto longest = target.backends.end();
    for (auto one = target.backends.begin(); one != target.backends.end(); ++one)
        if (one->second.missing_since &&
            (longest == target.backends.end() || *one->second.missing_since < *longest->second.missing_since))
            longest = one;
    if (longest != target.backends.end()) {
        forget(target, longest);
        return true;
    }
    if (throttle_.admit(too_many, Clock::now()))
        log::warn("the balancer '{}' names more than {} backends: the others are not watched", target.settings.name,
                  limits_.most);
    return false;
}

void Checker::forget(Target& balancer, std::map<std::string, Backend>::iterator backend)
{
    const std::size_t index = backend->second.index;
    const std::string name = watched_[index].name;
    balancer.backends.erase(backend);
    watched_.erase(watched_.begin() + static_cast<std::ptrdiff_t>(index));
    for (Target& target : targets_)
        for (auto& [other, known] : target.backends)
            if (known.index > index) --known.index;
    if (forgotten_) forgotten_(name);
}

Instant Checker::wall(TimePoint at) const noexcept
{
    return to_instant(at, wall_offset_);
}

} // namespace hotspare::monitor
