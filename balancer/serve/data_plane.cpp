#include "balancer/serve/data_plane.hpp"

#include "balancer/serve/exchange.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hotspare::balancer {
namespace {

std::uint64_t splitmix64(std::uint64_t& state) noexcept
{
    std::uint64_t z = (state += 0x9e3779b97f4a7c15ULL);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
    return z ^ (z >> 31);
}

/// Each byte of the result is the digit of four bits of `word`, which has 32.
std::uint64_t eight_hex_digits(std::uint64_t word) noexcept
{
    constexpr std::uint64_t ones = 0x0101010101010101ULL;
    word = (word | word << 16) & 0x0000ffff0000ffffULL;
    word = (word | word << 8) & 0x00ff00ff00ff00ffULL;
    word = (word | word << 4) & 0x0f0f0f0f0f0f0f0fULL;
    const std::uint64_t letters = (word + 6 * ones) >> 4 & ones; // of a digit above 9 the sum reaches 16
    return word + '0' * ones + letters * ('a' - '0' - 10);
}

} // namespace

DataPlane::DataPlane(Connector& connector, const Settings& settings, std::shared_ptr<const Topology> topology,
                     ConnectionLimits& connection_limits, WorkerCounters& worker_counters,
                     AccessLog::Writer* log_writer, Report report, std::function<void()> earlier_deadline)
    : worker(settings.worker), log_traffic(settings.log_traffic), proxy_protocol(settings.proxy_protocol),
      limits(connection_limits), counters(worker_counters), access_log(log_writer),
      wheel(Clock::now(), std::move(earlier_deadline)), placement(topology, settings.seed),
      upstreams(connector, wheel, worker_counters), relay_memory(settings.relay_memory, settings.workers),
      workers_(settings.workers), report_(std::move(report))
{
    adopt(std::move(topology));
    std::random_device entropy;
    for (auto& word : id_state_) word = (std::uint64_t{entropy()} << 32) | entropy();
    wheel.arm(*this, Clock::now() + report_interval);
}

DataPlane::~DataPlane() = default;

std::vector<BackendIndex> DataPlane::update(std::shared_ptr<const Routing> routing)
{
    if (routing->topology && routing->topology.get() != &topology()) adopt(routing->topology);
    placement_changed_ = true;
    auto down = placement.update(std::move(routing));
    for (const BackendIndex backend : down) upstreams.drop(backend);
    return down;
}

void DataPlane::adopt(std::shared_ptr<const Topology> next)
{
    static const Topology nothing;
    const TopologyPin before = pin_;
    const Topology& earlier = before ? before->topology() : nothing;
    pin_ = std::make_unique<WorkerTopology>(next).release();

    active.resize(next->backends.size());
    tallies_.resize(next->backends.size());
    for (std::size_t b = 0; b < next->backends.size(); ++b)
        if (!next->same_backend(earlier, static_cast<BackendIndex>(b))) counters.backends.open(b);
    upstreams.adopt(next);
    limits.adopt(*next);

    lots_.resize(next->pools.size());
    limited_.resize(next->pools.size());
    authorities.resize(next->pools.size());
    sticky.resize(next->pools.size());
    for (std::size_t p = 0; p < next->pools.size(); ++p) {
        const PoolConfig& pool = next->pools[p];
        const bool same = next->same_pool(earlier, static_cast<PoolIndex>(p));
        if (!same) counters.pools.open(p);
        if (!same || earlier.pools[p].retry != pool.retry) {
            // The kernel spreads connections over the workers: each gets its share of what the whole process may retry.
            resilience::RetryBudget budget(pool.retry.budget_ratio, pool.retry.budget_per_second / workers_);
            HedgeDelay delay(pool.retry.hedge_floor, pool.retry.hedge_factor);
            if (p == budgets.size()) {
                budgets.push_back(budget);
                hedge_delays.push_back(delay);
            } else {
                budgets[p] = budget;
                hedge_delays[p] = delay;
            }
        }
        limited_[p] = std::any_of(pool.backends.begin(), pool.backends.end(),
                                  [&](BackendIndex b) { return next->backends[b].max_connections > 0; });
        // Without the scheme. The head is written before a backend is chosen: the preferred one stands for the pool.
        authorities[p] = pool.backends.empty()
                             ? pool.name
                             : next->backends[pool.backends.front()].url.substr(std::string_view("http://").size());
    }
    for (std::size_t p = 0; p < next->pools.size(); ++p) {
        const PoolConfig& pool = next->pools[p];
        std::vector<StickyCookies::Member> members;
        for (const BackendIndex backend : pool.backends) members.push_back({next->backends[backend].name, backend});
        sticky[p] = pool.sticky.cookie.empty() ? nullptr : std::make_unique<StickyCookies>(pool.sticky, members);
    }
    if (access_log != nullptr) access_log->use(next);
}

void DataPlane::observe(BackendIndex backend, EvidenceKind kind, TimePoint now, Duration latency)
{
    Tally& tally = tallies_[backend][static_cast<std::size_t>(kind)];
    ++tally.count;
    tally.last = now;
    tally.total_latency += latency;
    tallied_ = true;
    if (placement.observe(backend, kind, now)) {
        // Idle connections to a backend that has just failed are worth nothing until it has proved itself.
        if (placement.suspect(backend)) upstreams.drop(backend);
        if (std::any_of(lots_.begin(), lots_.end(), [](const Lot& lot) { return !lot.at_limit.empty(); })) {
            placement_changed_ = true;
            wheel.arm(*this, now + DeadlineWheel::tick);
        }
        flush();
    }
}

void DataPlane::tell_traffic(std::string_view method, std::string_view target, BackendIndex backend)
{
    if (traffic_.size() < most_traffic_lines)
        traffic_.push_back(
            fmt::format("Proxying request: {} {} -> {}", method, target, topology().backends[backend].url));
}

std::span<char> DataPlane::window()
{
    window_used_ = true;
    if (!window_) window_ = std::make_unique_for_overwrite<char[]>(relay_window);
    return {window_.get(), relay_window};
}

void DataPlane::flush()
{
    if (!tallied_) return;
    tallied_ = false;
    std::vector<Evidence> evidence;
    for (std::size_t b = 0; b < tallies_.size(); ++b) {
        for (std::size_t k = 0; k < kinds; ++k) {
            Tally& tally = tallies_[b][k];
            if (tally.count == 0) continue;
            evidence.push_back({static_cast<BackendIndex>(b), static_cast<EvidenceKind>(k), tally.count, tally.last,
                                tally.total_latency});
            tally = Tally{};
        }
    }
    report_(std::move(evidence));
}

std::optional<BackendIndex> DataPlane::choose_with_room(PoolIndex pool, const AttemptLedger& ledger,
                                                        std::optional<BackendIndex> cookie, Admission& admission)
{
    if (cookie && placement.keeps(pool, ledger, *cookie) && limits.admit(*cookie, admission)) return cookie;
    BackendSet full;
    for (const Candidate& c : placement.routing().pools[pool].candidates) full.set(c.backend, limits.full(c.backend));
    for (;;) {
        const auto backend = placement.pick_with_room(pool, ledger, active, full);
        if (!backend || limits.admit(*backend, admission)) return backend;
        full.set(*backend); // another worker was quicker
    }
}

bool DataPlane::room_elsewhere(PoolIndex pool, const AttemptLedger& ledger) const noexcept
{
    if (!placement.alternative(pool, ledger)) return false;
    if (!limited_[pool]) return true;
    const BackendSet eligible = placement.eligible(pool, ledger);
    for (const Candidate& c : placement.routing().pools[pool].candidates)
        if (eligible[c.backend] && !limits.full(c.backend)) return true;
    return false;
}

bool DataPlane::park(PoolIndex pool, Parked& request, bool at_limit, TimePoint now)
{
    Lot& lot = lots_[pool];
    if (lot.count >= topology().pools[pool].park.limit) return false;
    (at_limit ? lot.at_limit : lot.waiting).push_back(request);
    counters.pools[pool].parked.set(static_cast<std::int64_t>(++lot.count));
    if (!at_limit) wheel.arm(*this, now + DeadlineWheel::tick);
    return true;
}

void DataPlane::leave_lot(PoolIndex pool, Parked& request) noexcept
{
    if (!request.parked()) return;
    request.unlink();
    counters.pools[pool].parked.set(static_cast<std::int64_t>(--lots_[pool].count));
}

void DataPlane::release_all(PoolIndex pool, ParkedList& requests)
{
    while (!requests.empty()) {
        Parked& request = requests.front();
        leave_lot(pool, request);
        request.unpark();
    }
}

/// Those that wait at a limit, in their order. One that has to wait on keeps its place among those of all workers.
void DataPlane::place_anew(PoolIndex pool)
{
    ParkedList requests;
    requests.swap(lots_[pool].at_limit);
    release_all(pool, requests);
}

void DataPlane::release_parked(TimePoint now)
{
    const bool changed = std::exchange(placement_changed_, false);
    for (std::size_t p = 0; p < lots_.size(); ++p) {
        Lot& lot = lots_[p];
        const auto pool = static_cast<PoolIndex>(p);
        if (changed) place_anew(pool);
        if (lot.waiting.empty()) continue;
        if (placement.maintenance(pool) != nullptr) {
            release_all(pool, lot.waiting);
            continue;
        }
        if (!placement.can_serve(pool)) continue;
        const double rate = topology().pools[p].park.release_per_second;
        const double earned = rate * std::chrono::duration<double>(now - lot.last).count();
        lot.allowance = std::min(lot.allowance + earned, std::max(1.0, rate * 0.01)); // at most 10 ms' worth at once
        lot.last = now;
        while (!lot.waiting.empty() && lot.allowance >= 1) {
            lot.allowance -= 1;
            Parked& request = lot.waiting.front();
            leave_lot(pool, request);
            request.unpark();
        }
        if (!lot.waiting.empty()) wheel.arm(*this, now + DeadlineWheel::tick);
    }
}

void DataPlane::deadline_passed(TimePoint now)
{
    flush();
    if (access_log != nullptr) counters.access_log_dropped.add(access_log->flush());
    shrink_stalled(now);
    shrink_stock(now);
    counters.relay_memory.set(static_cast<std::int64_t>(relay_memory.held()));
    wheel.arm(*this, now + report_interval);
    release_parked(now);
}

void DataPlane::shrink_stalled(TimePoint now)
{
    for (auto it = stalled_.begin(); it != stalled_.end();) {
        Stalled& request = *it++;
        if (request.shrink(now)) request.Stalled::unlink();
    }
}

/// Gives back what a whole interval did not need.
void DataPlane::shrink_stock(TimePoint now)
{
    if (now < next_shrink_) return;
    next_shrink_ = now + stock_interval;
    const auto needed =
        std::find_if(stock_.begin(), stock_.end(), [](const auto& exchange) { return !exchange->rested; });
    const auto unused = static_cast<std::size_t>(needed - stock_.begin());
    if (unused > stock_kept) stock_.erase(stock_.begin(), needed - static_cast<std::ptrdiff_t>(stock_kept));
    for (auto& exchange : stock_) exchange->rested = true;
    if (!std::exchange(window_used_, false)) window_.reset();
}

std::unique_ptr<Exchange> DataPlane::borrow()
{
    if (stock_.empty()) return std::make_unique<Exchange>(*this);
    auto exchange = std::move(stock_.back());
    stock_.pop_back();
    return exchange;
}

void DataPlane::give_back(std::unique_ptr<Exchange> exchange) noexcept
{
    if (stock_.size() >= stock_limit) return;
    exchange->reset();
    if (stock_.capacity() == 0) stock_.reserve(stock_limit);
    stock_.push_back(std::move(exchange));
}

std::string_view DataPlane::new_request_id(std::array<char, 32>& storage) noexcept
{
    // Every request has one: eight digits at once are a fifth of the instructions of one by one.
    char* out = storage.data();
    for (auto& state : id_state_) {
        const std::uint64_t word = splitmix64(state);
        for (const std::uint64_t half : {word & 0xffffffffU, word >> 32U}) {
            const std::uint64_t digits = eight_hex_digits(half);
            out = std::copy_n(reinterpret_cast<const char*>(&digits), sizeof digits, out);
        }
    }
    return {storage.data(), storage.size()};
}

} // namespace hotspare::balancer
