#include "monitor/serve/pools.hpp"

#include "common/config.hpp"
#include "common/json_document.hpp"
#include "common/text.hpp"
#include "common/time.hpp"
#include "monitor/check/pool_status.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <exception>
#include <utility>

namespace hotspare::monitor {
namespace {

constexpr Duration retry_interval = seconds(1);
constexpr Duration review_interval = seconds(5);
constexpr Duration complaint_interval = seconds(30);
constexpr std::size_t longest_reason = 200;

enum ComplaintKind : int { not_asked, not_ordered, not_remembered, no_such_pool, complaint_kinds };

/// The sentence of a refusal, if it has one.
std::string reason_in(const std::string& body)
{
    const auto document = read_json_document(body);
    if (!document.is_object()) return {};
    const auto found = document.find("error");
    if (found == document.end() || !found->is_string()) return {};
    return ": " + shortened(printable(found->get<std::string>()), longest_reason);
}

std::string in_words_of(const PoolOrder& order)
{
    return fmt::format("{} {} '{}'", order.close ? "close" : "open", order.of_pool ? "pool" : "backend", order.name);
}

/// At most an hour, which a Duration holds, unlike the time until `forever`.
Duration until(Instant at, Instant now)
{
    return std::clamp<milliseconds>(at - now, milliseconds(0), std::chrono::hours(1));
}

} // namespace

Pools::Pools(asio::io_context& context, const MonitorSettings& settings, Recorder& recorder)
    : recorder_(recorder), peers_(context), woken_(context), throttle_(complaint_interval), tasks_(context)
{
    for (const TargetSettings& target : settings.targets) {
        if (!target.operate) continue;
        Balancer balancer{.operated = {target.name, target.pools},
                          .index = balancers_.size(),
                          .status_url = status_url_of(target.balancer)};
        if (const auto url = parse_http_url(target.balancer))
            balancer.admin_url = fmt::format("http://{}/admin", config::format_host_port(url->origin));
        balancers_.push_back(std::move(balancer));
    }
}

void Pools::start()
{
    for (const ClosedBackend& closed : recorder_.board().maintenance().memory().closed)
        if (std::none_of(balancers_.begin(), balancers_.end(),
                         [&](const Balancer& one) { return one.operated.component == closed.balancer; }))
            log::warn(
                "backend '{}' of balancer '{}' was closed by this monitor, which may not operate that balancer any "
                "more: POST its /admin/backends/{}/enable, or set `operate: true`",
                closed.backend, closed.balancer, closed.backend);
    for (Balancer& balancer : balancers_)
        tasks_.spawn(fmt::format("pools of '{}'", balancer.operated.component), watch(balancer));
}

void Pools::stop()
{
    stopping_ = true;
    woken_.wake_all();
}

std::size_t Pools::pending() const noexcept
{
    return static_cast<std::size_t>(
        std::count_if(balancers_.begin(), balancers_.end(), [](const Balancer& one) { return one.pending; }));
}

std::vector<ClosedBackend> Pools::remembered(const Balancer& balancer) const
{
    std::vector<ClosedBackend> own;
    for (const ClosedBackend& closed : recorder_.board().maintenance().memory().closed)
        if (closed.balancer == balancer.operated.component) own.push_back(closed);
    return own;
}

void Pools::complain(const Balancer& balancer, int kind, std::string_view what)
{
    const int of_balancer = static_cast<int>(balancer.index) * complaint_kinds + kind;
    if (const auto left_out = throttle_.admit(of_balancer, Clock::now()))
        log::warn("pools of '{}': {}{}", balancer.operated.component, what,
                  *left_out > 0 ? fmt::format(" ({} more like this)", *left_out) : "");
}

asio::awaitable<void> Pools::watch(Balancer& balancer)
{
    const std::string& name = balancer.operated.component;
    while (!stopping_) {
        const Instant at = Recorder::now();
        auto wanted = closed_now(name, recorder_.board().maintenance().windows(), at);
        if (!wanted && remembered(balancer).empty()) {
            balancer.pending = false;
            balancer.settled_for.reset();
        } else if (!wanted || balancer.settled_for != wanted || Clock::now() >= balancer.ask_again) {
            if (balancer.settled_for != wanted) balancer.pending = true;
            bool settled = false;
            try {
                settled = co_await work(balancer, wanted);
            } catch (const std::exception& e) {
                complain(balancer, not_asked, e.what());
            }
            balancer.pending = !settled;
            balancer.settled_for = settled ? wanted : std::nullopt;
            balancer.ask_again = Clock::now() + review_interval;
        }
        if (stopping_) break;
        const Instant now = Recorder::now();
        const Instant change = closing_changes_at(name, recorder_.board().maintenance().windows(), now);
        // Outside of the co_await: GCC 12 evaluates both sides of a conditional inside.
        const TimePoint wake_at = Clock::now() + std::min<Duration>(retry_interval, until(change, now));
        co_await woken_.wait(wake_at);
    }
}

/// Closes or opens what it may. True if nothing is left to do.
asio::awaitable<bool> Pools::work(Balancer& balancer, std::optional<PoolAnnouncement> wanted)
{
    // The second round sees what became of the orders of the first.
    for (int round = 0; round < 2 && !stopping_; ++round) {
        const auto status = co_await ask(balancer);
        if (!status) co_return false;
        const auto before = remembered(balancer);
        PoolStep step = step_towards(balancer.operated, wanted, before, *status);
        for (const std::string& pool : step.missing)
            complain(balancer, no_such_pool, fmt::format("the balancer has no pool '{}', which `pools` names", pool));
        bool stored = true;
        if (step.remembered != before) {
            const auto answer = co_await recorder_.remember_closed(balancer.operated.component, step.remembered);
            stored = answer.has_value();
            if (!stored) complain(balancer, not_remembered, answer.error().detail);
        }
        // What is to be opened is remembered already, and opened also while the disk is full.
        if (!stored && wanted) co_return false;
        if (step.orders.empty()) co_return stored&& step.settled();
        for (const PoolOrder& order : step.orders) {
            const bool given = co_await give(balancer, order, wanted);
            if (!given) co_return false;
        }
    }
    co_return false;
}

asio::awaitable<std::optional<PoolStatus>> Pools::ask(Balancer& balancer)
{
    const auto reply = co_await peers_.get("the balancer", balancer.status_url);
    if (!reply) {
        complain(balancer, not_asked, reply.error().detail);
        co_return std::nullopt;
    }
    if (reply->status != 200) {
        complain(balancer, not_asked,
                 fmt::format("{} answered {}{}", config::without_secret(balancer.status_url, config::Secret::url),
                             reply->status, reason_in(reply->body)));
        co_return std::nullopt;
    }
    auto status = read_pool_status(reply->body);
    if (!status) {
        complain(balancer, not_asked, status.error());
        co_return std::nullopt;
    }
    co_return *std::move(status);
}

/// False if it was not carried out. What was, is in the audit log.
asio::awaitable<bool> Pools::give(Balancer& balancer, PoolOrder order, std::optional<PoolAnnouncement> wanted)
{
    const auto url = fmt::format("{}/{}/{}/{}", balancer.admin_url, order.of_pool ? "pools" : "backends", order.name,
                                 order.close ? "maintenance" : "enable");
    std::string body, detail;
    if (order.close && wanted) {
        const auto until = format_rfc3339(WallTime(wanted->until));
        body = json_text(nlohmann::json{{"until", until}, {"message", wanted->message}});
        detail = fmt::format("until {}: {}", until, wanted->message);
    }
    const auto reply = co_await peers_.post("the balancer", url, std::move(body));
    if (!reply) {
        complain(balancer, not_ordered, fmt::format("cannot {}: {}", in_words_of(order), reply.error().detail));
        co_return false;
    }
    if (reply->status == 403) {
        complain(balancer, not_ordered,
                 fmt::format("cannot {}: the balancer refuses operators' requests of this monitor (403{}); it needs "
                             "`admin: true` or --admin, and takes them from the same machine only",
                             in_words_of(order), reason_in(reply->body)));
        co_return false;
    }
    if (reply->status / 100 != 2) {
        complain(
            balancer, not_ordered,
            fmt::format("cannot {}: {} answered {}{}", in_words_of(order), url, reply->status, reason_in(reply->body)));
        co_return false;
    }
    log::info("{} '{}' of '{}' is {}", order.of_pool ? "pool" : "backend", order.name, balancer.operated.component,
              order.close ? "closed for maintenance" : "open again");
    AuditEntry entry{.at = Recorder::now(),
                     .user = "monitor",
                     .action = fmt::format("{}.{}", order.of_pool ? "pool" : "backend", order.close ? "close" : "open"),
                     .target = fmt::format("{}/{}", balancer.operated.component, order.name),
                     .detail = std::move(detail)};
    const auto audited = co_await recorder_.audit(std::move(entry));
    if (!audited) complain(balancer, not_remembered, "the audit log: " + audited.error().detail);
    co_return true;
}

} // namespace hotspare::monitor
