#include "tests/support/order_trial.hpp"

#include "tests/support/own_files.hpp"
#include "tests/support/socket.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <random>
#include <stdexcept>
#include <system_error>

namespace hotspare::test {
namespace {

using Json = nlohmann::json;

/// A port that no process gets by chance while a daemon is down: below those of outgoing connections, one of which
/// might otherwise even connect to itself.
std::uint16_t free_fixed_port(const std::vector<std::uint16_t>& taken)
{
    std::mt19937 random(std::random_device{}());
    for (int attempt = 0; attempt < 100; ++attempt) {
        const auto port = static_cast<std::uint16_t>(20'000 + random() % 10'000);
        if (std::ranges::find(taken, port) != taken.end()) continue;
        try {
            (void)listen_loopback(port);
            return port;
        } catch (const std::system_error&) {
            continue;
        }
    }
    throw std::runtime_error("no free port");
}

} // namespace

std::string_view to_string(Engine engine)
{
    return engine == Engine::sqlite ? "sqlite" : "postgres+redis";
}

std::vector<std::string> lease_flag(milliseconds duration)
{
    return {"--lease", fmt::format("{}ms", duration.count())};
}

bool none_processing(std::uint16_t port)
{
    const auto page = get(port, "/get_orders?status=Processing&limit=1");
    return page.status() == 200 && page.json().at("orders").empty();
}

// --- The validator ---------------------------------------------------------------------------------------------------

FakeValidator::FakeValidator() : origin_("validator", [this](const Message& request) { return validate(request); }) {}

Reply FakeValidator::validate(const Message& request)
{
    const auto order = Json::parse(request.body, nullptr, false);
    const auto key = request.header("Idempotency-Key");
    if (!order.is_object() || !key) return Reply::json(R"({"error":"not what a worker asks"})", 400);
    const bool valid = order.value("quantity", 0) <= 1'000;
    {
        const std::lock_guard lock(mutex_);
        by_key_.emplace(*key, std::pair(order.value("order_id", ""), valid ? "Validated" : "Rejected"));
    }
    return Reply::json(valid ? R"({"valid":true})" : R"({"valid":false,"reason":"too many"})");
}

Effects FakeValidator::effects() const
{
    const std::lock_guard lock(mutex_);
    Effects effects;
    for (const auto& [key, effect] : by_key_) effects[effect.first].push_back(effect.second);
    return effects;
}

// --- The processes ---------------------------------------------------------------------------------------------------

OrderTrial::OrderTrial(Options options)
    : options_(std::move(options)), database_(std::filesystem::canonical(dir_.path()) / "orders.sqlite"),
      disk_(database_), orders_(options_.services)
{
    if (options_.engine == Engine::postgres_redis) {
        postgres_.emplace();
        redis_.emplace();
    } else if (options_.services > 1) {
        throw std::logic_error("a SQLite file has one order_service");
    }
    while (ports_.size() < options_.services) ports_.push_back(free_fixed_port(ports_));
}

Process& OrderTrial::launch_orders(std::size_t service)
{
    std::vector<std::string> arguments{"--port", std::to_string(port(service))};
    for (auto& flag : lease_flag(options_.lease)) arguments.push_back(std::move(flag));
    Process::Options options;
    if (options_.engine == Engine::sqlite) {
        arguments.insert(arguments.end(), {"--data", database_.string()});
        options.environment = disk_.environment();
    } else {
        arguments.insert(arguments.end(), {"--name", fmt::format("order_service_{}", service + 1), "--store",
                                           postgres_->url(), "--queue", redis_->url()});
    }
    arguments.insert(arguments.end(), options_.flags.begin(), options_.flags.end());
    auto& process = orders_.at(service);
    process.reset();
    process = std::make_unique<Process>(binary("order_service"), arguments, options);
    return *process;
}

Process& OrderTrial::start_orders(std::size_t service)
{
    auto& process = launch_orders(service);
    process.wait_ready();
    return process;
}

void OrderTrial::start_all_orders()
{
    for (std::size_t service = 0; service < options_.services; ++service) start_orders(service);
}

Process& OrderTrial::start_worker(const std::string& orders_url, const std::string& validator_url)
{
    const auto own = fmt::format("http://127.0.0.1:{}", port(workers_.size() % options_.services));
    workers_.push_back(std::make_unique<Process>(
        binary("validation_service"),
        std::vector<std::string>{"--port", "0", "--orders", orders_url.empty() ? own : orders_url, "--validator",
                                 validator_url.empty() ? validator_.origin().url() : validator_url}));
    workers_.back()->wait_ready();
    return *workers_.back();
}

bool OrderTrial::drained(milliseconds bound) const
{
    return eventually([&] { return none_processing(port()); }, bound, milliseconds(20));
}

OrderAudit OrderTrial::audit(const std::vector<PlacedOrder>& placed) const
{
    const auto effects = validator_.effects();
    return audit_orders(placed, read_orders(port()), &effects);
}

} // namespace hotspare::test
