#include "tests/support/order_clients.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <stdexcept>
#include <system_error>

namespace hotspare::test {
namespace {

using Json = nlohmann::json;

/// Between two tries, so that a service that is down is not hammered.
constexpr milliseconds between_tries{10};

bool carries_key(const PlacedOrder& order)
{
    return (order.id.back() - '0') % 2 == 1;
}

} // namespace

PlacedOrder numbered_order(const std::string& prefix, std::size_t number)
{
    return {.id = fmt::format("{}-{}", prefix, number),
            .product = fmt::format("Medicine {}", static_cast<char>('A' + number % 26)),
            .quantity = number % 10 == 9 ? 5'000 : static_cast<std::int64_t>(1 + number % 100)};
}

std::string create_request(const PlacedOrder& order)
{
    std::vector<Header> headers{{"Content-Type", "application/json"}};
    if (carries_key(order)) headers.push_back({"Idempotency-Key", "key-of-" + order.id});
    const Json body{{"order_id", order.id}, {"product", order.product}, {"quantity", order.quantity}};
    return format_request("POST", "/create_order", headers, body.dump());
}

LoadPlan unkeyed_creations(std::uint16_t port)
{
    LoadPlan plan;
    plan.port = port;
    plan.rate = 200;
    plan.duration = seconds(1);
    plan.method = "POST";
    plan.target = "/create_order";
    plan.headers = {{"Content-Type", "application/json"}};
    plan.body = R"({"order_id":"{id}","product":"x","quantity":1})";
    return plan;
}

std::vector<SeenOrder> read_orders(std::uint16_t port)
{
    RawClient connection(port);
    const auto ask = [&](const std::string& target) {
        connection.send(format_request("GET", target));
        const auto answer = connection.read_response();
        if (!answer.complete() || answer.status() != 200)
            throw std::runtime_error(
                fmt::format("GET {} is answered with {} ({})", target, answer.status(), to_string(answer.end)));
        return Json::parse(answer.message.body);
    };
    std::vector<SeenOrder> seen;
    for (std::string before;;) {
        // Small pages: what a test keeps of a body is bounded.
        const auto page = ask("/get_orders?limit=100" + before);
        for (const auto& order : page.at("orders"))
            seen.push_back({.id = order.at("order_id"),
                            .product = order.at("product"),
                            .quantity = order.at("quantity"),
                            .status = order.at("status"),
                            .timeline = {}});
        if (page.at("next").is_null()) break;
        before = "&before=" + page.at("next").get<std::string>();
    }
    for (auto& order : seen) {
        const auto file = ask("/orders/" + order.id);
        order.status = file.at("status");
        for (const auto& event : file.at("timeline")) order.timeline.push_back({event.at("event"), event.at("epoch")});
    }
    return seen;
}

OrderClients::OrderClients(Options options) : options_(std::move(options)), running_(options_.clients)
{
    for (std::size_t i = 0; i < options_.clients; ++i)
        threads_.emplace_back([this, i] { run({.port = i % options_.ports.size()}); });
}

OrderClients::~OrderClients()
{
    finishing_ = true;
    abandoned_ = true;
    for (auto& thread : threads_) thread.join();
}

bool OrderClients::wait_for_more(std::size_t count, milliseconds bound) const
{
    const auto wanted = acknowledged_ + count;
    return eventually([&] { return acknowledged_ >= wanted; }, bound);
}

bool OrderClients::finish(milliseconds bound)
{
    finishing_ = true;
    const bool done = eventually([&] { return running_ == 0; }, bound);
    abandoned_ = true;
    return done;
}

std::vector<PlacedOrder> OrderClients::placed() const
{
    const std::lock_guard lock(mutex_);
    return placed_;
}

std::vector<std::string> OrderClients::complaints() const
{
    const std::lock_guard lock(mutex_);
    return complaints_;
}

void OrderClients::run(Line line)
{
    while (!finishing_) {
        const auto number = next_++;
        if (options_.rate > 0) {
            const std::chrono::duration<double> after(static_cast<double>(number) / options_.rate);
            const auto due = start_ + std::chrono::duration_cast<Clock::duration>(after);
            while (!finishing_ && pause(due)) {
            }
            if (finishing_) break;
        }
        const auto order = numbered_order(options_.prefix, number);
        std::size_t place_in_list = 0;
        {
            const std::lock_guard lock(mutex_);
            place_in_list = placed_.size();
            placed_.push_back(order);
        }
        while (!place(line, order)) {
            if (abandoned_) break;
            if (options_.ports.size() > 1) line = {.port = (line.port + 1) % options_.ports.size()};
            const auto again = Clock::now() + between_tries;
            while (pause(again)) {
            }
        }
        if (abandoned_) break;
        ++acknowledged_;
        const std::lock_guard lock(mutex_);
        placed_[place_in_list].acknowledged = true;
    }
    --running_;
}

/// A part of the time until `until`; false once it has come.
bool OrderClients::pause(TimePoint until) const
{
    const auto left = until - Clock::now();
    if (left <= Clock::duration::zero()) return false;
    std::this_thread::sleep_for(std::min<Clock::duration>(left, milliseconds(5)));
    return true;
}

void OrderClients::answered_after(Clock::duration duration)
{
    const auto ms = std::chrono::ceil<milliseconds>(duration).count();
    auto longest = longest_answer_ms_.load();
    while (ms > longest && !longest_answer_ms_.compare_exchange_weak(longest, ms)) {
    }
}

bool OrderClients::place(Line& line, const PlacedOrder& order)
{
    const auto complain = [&](const std::string& what) {
        const std::lock_guard lock(mutex_);
        complaints_.push_back(fmt::format("{} {}", order.id, what));
    };
    auto& connection = line.connection;
    try {
        if (!connection) connection.emplace(options_.ports[line.port]);
        const auto sent = Clock::now();
        if (!connection->send(create_request(order), silence_bound)) {
            connection.reset();
            return false;
        }
        const auto answer = connection->read_response(silence_bound);
        if (answer.complete() || answer.end == Answer::End::timed_out) answered_after(Clock::now() - sent);
        if (!answer.complete() || !answer.message.keep_alive()) connection.reset();
        if (!answer.complete()) return false;
        if (answer.status() == 200) {
            const auto body = answer.json();
            if (body.value("order_id", "") != order.id || body.value("quantity", std::int64_t{0}) != order.quantity)
                complain("was acknowledged as another one: " + answer.message.body);
            return true;
        }
        if (answer.status() >= 500) {
            // A service or a gateway that cannot tell, or not now.
            ++refused_;
        } else {
            complain(fmt::format("was answered with {}: {}", answer.status(), answer.message.body));
            connection.reset();
        }
        return false;
    } catch (const std::system_error&) {
        connection.reset();
        return false;
    }
}

} // namespace hotspare::test
