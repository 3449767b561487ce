#include "balancer/decide/names.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

namespace hotspare::balancer {
namespace {

constexpr unsigned most_weight = 1000; // as of a backend

std::string key_of(const Place& place)
{
    return fmt::format("{} {} {}", place.host, place.port, place.address);
}

std::string url_of(const Place& place)
{
    const std::string& host = place.address.empty() ? place.host : place.address;
    return host.find(':') != std::string::npos ? fmt::format("http://[{}]:{}", host, place.port)
                                               : fmt::format("http://{}:{}", host, place.port);
}

/// RFC 2782 has weights from 0 to 65535, of which 0 is hardly any: as shares of what a backend's may be.
unsigned share_of(const Place& place, unsigned heaviest)
{
    const std::uint64_t weight =
        heaviest > most_weight ? std::uint64_t{place.weight} * most_weight / heaviest : std::uint64_t{place.weight};
    return static_cast<unsigned>(std::max<std::uint64_t>(weight, 1));
}

} // namespace

// -------------------------------------------------------------------------------------------------------------
// schedule

TimePoint LookupSchedule::later(TimePoint from, Duration by)
{
    std::uniform_real_distribution<double> share(0, jitter);
    return from + by + Duration(static_cast<Duration::rep>(static_cast<double>(by.count()) * share(random_)));
}

void LookupSchedule::set_interval(Duration interval, TimePoint now)
{
    if (std::exchange(interval_, interval) == interval || interval == Duration::zero()) return;
    due_ = std::min(due_, later(now, interval));
}

void LookupSchedule::answered(std::optional<Duration> ttl, TimePoint now)
{
    running_ = false;
    failures_ = 0;
    not_before_ = now + shortest;
    const Duration asked = ttl.value_or(hosts_file);
    due_ = later(now, interval_ > Duration::zero() ? interval_ : std::clamp(asked, shortest, longest));
}

void LookupSchedule::failed(TimePoint now)
{
    running_ = false;
    const Duration backoff = std::min<Duration>(shortest * (1U << std::min(failures_++, 8U)), longest_backoff);
    due_ = later(now, backoff);
    not_before_ = due_;
}

void LookupSchedule::doubt(TimePoint now) noexcept
{
    due_ = std::min(due_, std::max(now, not_before_));
}

// ------------------------------------------------------------------------------------------------------------
// expansion

NameQuery query_of(const BackendConfig& backend)
{
    if (backend.resolve == Resolve::srv) return {.host = backend.host, .service = true};
    return {.host = backend.host, .port = backend.port};
}

bool Expansion::answered(const NameQuery& name, std::vector<Place> places, bool complete)
{
    if (!names_.contains(name)) return false;
    // Two balancers that get the same answer at start give the same numbers, in whatever order it comes.
    std::sort(places.begin(), places.end(), [](const Place& a, const Place& b) { return key_of(a) < key_of(b); });
    places.erase(std::unique(places.begin(), places.end(),
                             [](const Place& a, const Place& b) { return key_of(a) == key_of(b); }),
                 places.end());
    const auto [it, is_new] = answers_.try_emplace(name);
    if (name.service) return std::exchange(it->second, places) != places || is_new;
    return take_over(it->second, places, complete) || is_new;
}

void Expansion::follow(const Config& config)
{
    names_.clear();
    std::set<std::string> backends;
    for (const BackendConfig& backend : config.backends) {
        if (backend.resolve == Resolve::any) continue;
        names_.insert(query_of(backend));
        backends.insert(backend.name);
    }
    std::erase_if(answers_, [&](const auto& entry) { return !names_.contains(entry.first); });
    std::erase_if(numbers_, [&](const auto& entry) { return !backends.contains(entry.first); });
}

Config Expansion::expanded(const Config& config)
{
    std::set<std::string> names;
    for (const BackendConfig& backend : config.backends) names.insert(backend.name);

    Config all = config;
    all.backends.clear();
    std::vector<std::vector<BackendIndex>> became(config.backends.size());
    for (std::size_t b = 0; b < config.backends.size(); ++b) {
        const BackendConfig& backend = config.backends[b];
        const auto add = [&](BackendConfig one) {
            became[b].push_back(static_cast<BackendIndex>(all.backends.size()));
            all.backends.push_back(std::move(one));
        };
        const auto answer = answers_.find(query_of(backend));
        if (backend.resolve == Resolve::any || answer == answers_.end()) {
            add(backend);
            continue;
        }
        auto& numbers = numbers_[backend.name];
        const auto holds = [](const Place& place) {
            return [key = key_of(place)](const std::optional<std::string>& number) { return number == key; };
        };
        for (std::size_t n = 0; n < numbers.size(); ++n)
            if (numbers[n] && (names.contains(fmt::format("{}-{}", backend.name, n + 1)) ||
                               std::none_of(answer->second.begin(), answer->second.end(),
                                            [&](const Place& place) { return key_of(place) == *numbers[n]; })))
                numbers[n].reset();
        for (const Place& place : answer->second) {
            if (std::any_of(numbers.begin(), numbers.end(), holds(place))) continue;
            std::size_t n = 0;
            while ((n < numbers.size() && numbers[n]) || names.contains(fmt::format("{}-{}", backend.name, n + 1))) ++n;
            if (numbers.size() <= n) numbers.resize(n + 1);
            numbers[n] = key_of(place);
        }

        std::vector<std::pair<std::size_t, const Place*>> ordered;
        unsigned heaviest = 0;
        for (const Place& place : answer->second) {
            const auto number = std::find_if(numbers.begin(), numbers.end(), holds(place));
            ordered.emplace_back(static_cast<std::size_t>(number - numbers.begin()) + 1, &place);
            heaviest = std::max(heaviest, place.weight);
        }
        std::sort(ordered.begin(), ordered.end(), [](const auto& x, const auto& y) {
            return std::pair(x.second->priority, x.first) < std::pair(y.second->priority, y.first);
        });
        for (const auto& [number, place] : ordered) {
            BackendConfig one = backend;
            one.name = fmt::format("{}-{}", backend.name, number);
            one.url = url_of(*place);
            one.host = place->host;
            one.port = place->port;
            one.address = place->address;
            if (backend.resolve == Resolve::srv) {
                one.service = backend.host;
                one.weight = share_of(*place, heaviest);
            }
            one.resolve = Resolve::any;
            add(std::move(one));
        }
    }

    for (PoolConfig& pool : all.pools) {
        const auto members = std::exchange(pool.backends, {});
        const auto weights = std::exchange(pool.weights, {});
        for (std::size_t i = 0; i < members.size(); ++i)
            for (const BackendIndex one : became[members[i]]) {
                pool.backends.push_back(one);
                const bool own = all.backends[one].service.empty() && i < weights.size();
                pool.weights.push_back(own ? weights[i] : all.backends[one].weight);
            }
    }
    return all;
}

} // namespace hotspare::balancer
