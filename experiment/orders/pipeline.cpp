#include "experiment/orders/pipeline.hpp"

#include "common/json_document.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <string_view>
#include <thread>

namespace hotspare::experiment {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr Duration ask_time = seconds(2);
constexpr int most_reads = 5; ///< of one order or page, while there is no answer

/// A path segment: whatever is not unreserved in RFC 3986 is encoded.
std::string segment(std::string_view text)
{
    std::string out;
    for (const char c : text) {
        const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                           c == '.' || c == '_' || c == '~';
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

OrderedJson parse(const http::Response& answer)
{
    return read_json_document(answer.body());
}

std::string unwell(const OrderedJson& services)
{
    for (const auto& [name, service] : services.items())
        if (service.is_object() && service.value("status", "") != "healthy")
            return fmt::format("{} is {}", name, service.value("status", "of no status"));
    return "no service is healthy";
}

} // namespace

Pipeline::Pipeline(const config::HostPort& gateway, const config::HostPort& validator)
    : gateway_(gateway), validator_(validator)
{
}

std::string Pipeline::set_mode(FailureMode mode)
{
    const auto answer =
        validator_.post("/set_failure_mode", json_text(OrderedJson{{"mode", to_string(mode)}}), ask_time);
    if (!answer) return answer.error().message();
    if (answer->result_int() != 200)
        return fmt::format("status {}: {}", answer->result_int(), answer->body().substr(0, 200));
    const auto present = validator_.get("/get_failure_mode", ask_time);
    if (!present) return present.error().message();
    const auto body = parse(*present);
    if (!body.is_object() || body.value("mode", "") != to_string(mode))
        return fmt::format("it was set, but GET /get_failure_mode says {}", present->body().substr(0, 200));
    return {};
}

std::string Pipeline::trouble()
{
    const auto answer = gateway_.get("/health_status", ask_time);
    if (!answer) return fmt::format("GET /health_status: {}", answer.error().message());
    const auto status = parse(*answer);
    if (answer->result_int() != 200 || !status.is_object() || !status.contains("services"))
        return fmt::format("GET /health_status: status {}", answer->result_int());
    return status.value("overall", "") == "healthy" ? std::string() : unwell(status["services"]);
}

std::vector<std::pair<std::string, std::string>> Pipeline::health()
{
    std::vector<std::pair<std::string, std::string>> words;
    const auto answer = gateway_.get("/health_status", ask_time);
    if (!answer || answer->result_int() != 200) return words;
    const auto status = parse(*answer);
    if (!status.is_object() || !status.contains("services")) return words;
    for (const auto& [name, service] : status["services"].items())
        words.emplace_back(name, service.is_object() ? service.value("status", "") : std::string());
    return words;
}

OrdersPage Pipeline::page(const std::string& query)
{
    const auto answer = read("/get_orders?limit=1000" + query);
    auto page = answer.result_int() == 200 ? page_in(parse(answer)) : std::nullopt;
    if (!page)
        throw StartupError(fmt::format("GET /get_orders: not a list of orders: {}", answer.body().substr(0, 200)));
    return *std::move(page);
}

std::optional<OrderRecord> Pipeline::order(const std::string& order_id)
{
    const auto answer = read("/orders/" + segment(order_id));
    if (answer.result_int() == 404) return std::nullopt;
    auto order = answer.result_int() == 200 ? order_in(parse(answer)) : std::nullopt;
    if (!order)
        throw StartupError(fmt::format("GET /orders/{}: not an order: {}", order_id, answer.body().substr(0, 200)));
    return order;
}

/// Asks until there is an answer with a status that means something. Throws StartupError if there is none.
http::Response Pipeline::read(const std::string& path)
{
    std::string why;
    for (int reads = 0; reads < most_reads; ++reads) {
        if (reads > 0) std::this_thread::sleep_for(milliseconds(200));
        auto answer = gateway_.get(path, ask_time);
        if (answer && answer->result_int() < 500) return *std::move(answer);
        why = answer ? fmt::format("status {}", answer->result_int()) : answer.error().message();
    }
    throw StartupError(fmt::format("GET {}: {}", path, why));
}

} // namespace hotspare::experiment
