#include "monitor/check/balancer_status.hpp"

#include "common/config.hpp"
#include "common/json_document.hpp"
#include "common/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <set>
#include <utility>

namespace hotspare::monitor {
namespace {

using nlohmann::json;

constexpr std::size_t longest_cause = 200;
constexpr double longest_latency_ms = 1e9;

std::string cause_of(const json& value)
{
    return value.is_string() ? shortened(printable(value.get<std::string>()), longest_cause) : std::string();
}

bool is_true(const json& value)
{
    return value.is_boolean() && value.get<bool>();
}

BackendStatus backend_of(const json& entry, std::string name)
{
    BackendStatus backend{.name = std::move(name)};
    const auto word = cause_of(member_of(entry, "status"));
    if (word == "healthy")
        backend.state = State::up;
    else if (word == "degraded")
        backend.state = State::degraded;
    else if (word == "unhealthy" || word == "down")
        backend.state = State::down;
    backend.unhealthy = word == "unhealthy";

    const json& probe = member_of(entry, "last_probe");
    const json& latency = member_of(probe, "latency_ms");
    if (latency.is_number() && latency.get<double>() >= 0 && latency.get<double>() < longest_latency_ms)
        backend.latency =
            std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(latency.get<double>()));

    if (backend.state == State::up) return backend;
    if (backend.state == State::unknown) {
        backend.cause = fmt::format("the balancer says '{}'", word.empty() ? "nothing" : word);
        return backend;
    }
    const auto detail = cause_of(member_of(probe, "detail"));
    const auto evidence = cause_of(member_of(entry, "evidence"));
    backend.cause = fmt::format("{} for the balancer", word);
    if (!evidence.empty() || !detail.empty()) backend.cause += ": " + (evidence.empty() ? detail : evidence);
    return backend;
}

} // namespace

boost::system::result<BalancerStatus, std::string> read_balancer_status(std::string_view text)
{
    const json document = read_json_document(text);
    const json& backends = member_of(document, "backends");
    if (document.is_discarded() || !backends.is_array() || !member_of(document, "can_answer").is_boolean())
        return std::string("its answer is not the status of a balancer");
    if (backends.size() > most_balancer_backends)
        return fmt::format("its status has more than {} backends", most_balancer_backends);

    BalancerStatus status;
    std::set<std::string> names;
    for (const json& entry : backends) {
        const json& name = member_of(entry, "name");
        const auto word = name.is_string() ? name.get<std::string>() : std::string();
        if (!config::is_name(word) || !names.insert(word).second)
            return std::string("its status has a backend without a name of its own");
        status.backends.push_back(backend_of(entry, word));
    }
    if (!is_true(member_of(document, "can_answer"))) {
        status.state = State::down;
        status.cause = "no backend can answer";
    } else if (is_true(member_of(document, "fail_open"))) {
        status.state = State::degraded;
        status.cause = "serves from backends that fail their probes";
    }
    return status;
}

} // namespace hotspare::monitor
