#include "monitor/decide/closing.hpp"

#include "common/text.hpp"

#include <algorithm>
#include <set>
#include <utility>

namespace hotspare::monitor {
namespace {

using Phase = ClosedBackend::Phase;

bool closes(const Window& window, std::string_view balancer)
{
    return window.plan.close_pools && window.state == WindowState::in_progress &&
           is_about(window.plan.components, balancer);
}

/// A window's text as one line for a client who waits.
std::string line_of(const WindowPlan& plan)
{
    std::string line;
    for (std::string_view rest = plan.message; !rest.empty();) {
        const CodePoint character = first_character(rest);
        const std::string_view bytes = rest.substr(0, std::max<std::size_t>(character.bytes, 1));
        rest.remove_prefix(bytes.size());
        if (character.bytes == 0) continue;
        if (has_control_character(bytes) || bytes == " ")
            line.append(line.empty() || line.back() == ' ' ? "" : " ");
        else
            line.append(bytes);
    }
    if (!line.empty() && line.back() == ' ') line.pop_back();
    return shortened(std::move(line), longest_pool_message - 3); // and "..."
}

const PoolStatus::Backend* find(const PoolStatus& status, std::string_view name)
{
    const auto it = std::find_if(status.backends.begin(), status.backends.end(),
                                 [&](const PoolStatus::Backend& one) { return one.name == name; });
    return it == status.backends.end() ? nullptr : &*it;
}

/// Drops what was announced before the one that is in force; false if that is none of them.
bool is_ours(ClosedBackend& claim, const PoolStatus::Backend& shown)
{
    if (!shown.announcement) return false;
    const auto in_force = std::find(claim.announced.begin(), claim.announced.end(), *shown.announcement);
    if (in_force == claim.announced.end()) return false;
    claim.announced.erase(claim.announced.begin(), in_force);
    return true;
}

/// What became of a backend that is remembered, with what is to be done about it. Nothing: it need not be remembered.
std::optional<ClosedBackend> look_at(ClosedBackend claim, const std::optional<PoolAnnouncement>& wanted,
                                     const PoolStatus& status, std::set<std::string>& to_close,
                                     std::set<std::string>& to_open)
{
    const PoolStatus::Backend* const shown = find(status, claim.backend);
    if (shown == nullptr || claim.run != status.run) return std::nullopt;
    if (claim.phase == Phase::left_alone) return wanted ? std::optional(std::move(claim)) : std::nullopt;
    if (shown->out && !is_ours(claim, *shown)) {
        claim.phase = Phase::left_alone;
        return wanted ? std::optional(std::move(claim)) : std::nullopt;
    }
    if (!wanted) {
        if (!shown->out) return std::nullopt;
        to_open.insert(claim.backend);
        claim.phase = Phase::closed;
        return claim;
    }
    if (shown->out) claim.phase = Phase::closed;
    if (!shown->out && claim.phase == Phase::closed) {
        claim.phase = Phase::left_alone;
        return claim;
    }
    if (shown->out && claim.announced.front() == *wanted) return claim;
    if (claim.announced.back() != *wanted) claim.announced.push_back(*wanted);
    to_close.insert(claim.backend);
    return claim;
}

/// Orders for these backends and no other, for whole pools where possible.
void order(std::vector<PoolOrder>& orders, std::set<std::string> backends,
           const std::vector<const PoolStatus::Pool*>& pools, bool close)
{
    std::set<std::string> left = backends;
    for (const PoolStatus::Pool* const pool : pools) {
        const auto is_meant = [&](const std::string& name) { return backends.contains(name); };
        const auto is_left = [&](const std::string& name) { return left.contains(name); };
        if (!std::all_of(pool->backends.begin(), pool->backends.end(), is_meant)) continue;
        if (std::none_of(pool->backends.begin(), pool->backends.end(), is_left)) continue;
        orders.push_back({true, pool->name, close});
        for (const std::string& name : pool->backends) left.erase(name);
    }
    for (const std::string& name : left) orders.push_back({false, name, close});
}

} // namespace

std::string_view to_string(ClosedBackend::Phase phase) noexcept
{
    switch (phase) {
    case Phase::closing: return "closing";
    case Phase::closed: return "closed";
    case Phase::left_alone: return "left_alone";
    }
    return "invalid";
}

std::optional<PoolAnnouncement> closed_now(std::string_view balancer, std::span<const Window> windows, Instant now)
{
    const Window* last = nullptr;
    for (const Window& window : windows) {
        if (!closes(window, balancer) || now >= window.plan.end - opened_before_end) continue;
        if (last == nullptr || window.plan.end > last->plan.end) last = &window;
    }
    if (last == nullptr) return std::nullopt;
    return PoolAnnouncement{last->plan.end, line_of(last->plan)};
}

Instant closing_changes_at(std::string_view balancer, std::span<const Window> windows, Instant now)
{
    Instant earliest = forever;
    for (const Window& window : windows)
        if (closes(window, balancer) && now < window.plan.end - opened_before_end)
            earliest = std::min(earliest, window.plan.end - opened_before_end);
    return earliest;
}

PoolStep step_towards(const OperatedBalancer& balancer, const std::optional<PoolAnnouncement>& wanted,
                      std::span<const ClosedBackend> remembered, const PoolStatus& status)
{
    PoolStep step;
    std::set<std::string> known, to_close, to_open;
    for (const ClosedBackend& claim : remembered)
        if (auto still = look_at(claim, wanted, status, to_close, to_open)) {
            known.insert(still->backend);
            step.remembered.push_back(*std::move(still));
        }

    std::vector<const PoolStatus::Pool*> pools;
    for (const PoolStatus::Pool& pool : status.pools)
        if (!pool.backends.empty() && (balancer.pools.empty() || std::find(balancer.pools.begin(), balancer.pools.end(),
                                                                           pool.name) != balancer.pools.end()))
            pools.push_back(&pool);
    if (wanted) {
        for (const std::string& name : balancer.pools)
            if (std::none_of(status.pools.begin(), status.pools.end(),
                             [&](const PoolStatus::Pool& pool) { return pool.name == name; }))
                step.missing.push_back(name);
        for (const PoolStatus::Pool* const pool : pools)
            for (const std::string& name : pool->backends) {
                const PoolStatus::Backend* const shown = find(status, name);
                if (shown == nullptr || shown->out || !known.insert(name).second) continue;
                step.remembered.push_back({.balancer = balancer.component,
                                           .backend = name,
                                           .run = status.run,
                                           .phase = Phase::closing,
                                           .announced = {*wanted}});
                to_close.insert(name);
            }
    }
    order(step.orders, std::move(to_close), pools, true);
    order(step.orders, std::move(to_open), pools, false);
    return step;
}

} // namespace hotspare::monitor
