#include "common/backend/documents.hpp"

#include "common/http/precondition.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

namespace hotspare::backend {
namespace {

using http::Json;
using http::Request;
using http::Response;
using http::verb;

constexpr std::size_t longest_key = 255;

std::string etag_of(storage::Version version)
{
    return fmt::format("\"{}\"", version);
}

/// The fields may come in several lines, which mean the same as one list (RFC 9110 §5.3).
std::optional<std::string> joined(const Request& request, http::field name)
{
    const auto [first, last] = request.equal_range(name);
    if (first == last) return std::nullopt;
    std::string out;
    for (auto it = first; it != last; ++it)
        out.append(out.empty() ? "" : ", ").append(it->value().data(), it->value().size());
    return out;
}

boost::system::result<http::Preconditions, http::Problem> preconditions(const Request& request)
{
    const auto if_match = joined(request, http::field::if_match);
    const auto if_none_match = joined(request, http::field::if_none_match);
    return http::Preconditions::parse(if_match, if_none_match);
}

storage::Precondition as_store_precondition(http::Preconditions conditions)
{
    return [conditions = std::move(conditions)](std::optional<storage::Version> version) {
        const auto etag = version ? std::optional(etag_of(*version)) : std::nullopt;
        return conditions.hold(etag);
    };
}

bool is_key(std::string_view key)
{
    // "." and ".." mean something else in a path, whatever an intermediary makes of an escape.
    return key.size() <= longest_key && key != "." && key != ".." && std::ranges::all_of(key, [](char c) {
               return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
                      c == '_' || c == '.' || c == ':' || c == '~';
           });
}

std::optional<Response> wrong_key(const Request& request)
{
    if (is_key(request.parameter("key"))) return std::nullopt;
    return http::problem(
        request, 422,
        fmt::format("the field 'key' is not valid, expected 1 to {} letters, digits or -_.:~", longest_key),
        {{"field", "key"}});
}

/// What the store's failures mean to the client.
Response store_failure(const Request& request, error_code error, const std::optional<std::string>& trouble)
{
    if (error == errc::not_found)
        return http::problem(request, 404, fmt::format("there is no document '{}'", request.parameter("key")));
    if (error == errc::conflict)
        return http::problem(request, 412, "the document is not in the state that If-Match or If-None-Match asks for");
    auto response = http::problem(request, 503,
                                  trouble                      ? "the document store cannot be used: " + *trouble
                                  : error == errc::unavailable ? "the document store is locked, nothing was written"
                                                               : "the document store failed, nothing was written");
    response.set(http::field::retry_after, "1");
    return response;
}

} // namespace

Documents::Documents(const std::string& file) : store_(file) {}

void Documents::add_routes(http::Router& routes)
{
    const auto handler = [this](asio::awaitable<Response> (Documents::*method)(const Request&)) {
        return [this, method](const Request& request) { return (this->*method)(request); };
    };
    routes.add(verb::get, "/data/{key}", handler(&Documents::get));
    routes.add(verb::put, "/data/{key}", handler(&Documents::put));
    routes.add(verb::delete_, "/data/{key}", handler(&Documents::remove));
}

asio::awaitable<Response> Documents::get(const Request& request)
{
    if (auto wrong = wrong_key(request)) co_return *std::move(wrong);
    const auto conditions = preconditions(request);
    if (!conditions) co_return http::problem(conditions.error(), request.id);
    auto document = co_await store_.get(request.parameter("key"));
    if (!document) co_return store_failure(request, document.error(), store_.trouble());
    const auto etag = etag_of(document->version);
    if (!conditions->if_match_holds(etag)) co_return store_failure(request, errc::conflict, {});
    auto response = conditions->if_none_match_holds(etag)
                        ? Response(200, std::move(document->value), "application/json")
                        : Response(304);
    response.set(http::field::etag, etag);
    co_return response;
}

asio::awaitable<Response> Documents::put(const Request& request)
{
    if (auto wrong = wrong_key(request)) co_return *std::move(wrong);
    if (const auto wrong = http::check_json(request.body())) co_return http::problem(*wrong, request.id);
    const auto conditions = preconditions(request);
    if (!conditions) co_return http::problem(conditions.error(), request.id);
    const auto& key = request.parameter("key");
    const auto written = co_await store_.put(key, request.body(), as_store_precondition(*conditions));
    if (!written) co_return store_failure(request, written.error(), store_.trouble());
    const nlohmann::ordered_json body{{"key", key}, {"version", written->version}, {"created", written->created}};
    auto response = http::json_response(written->created ? 201 : 200, body);
    if (written->created) response.set(http::field::location, request.path);
    response.set(http::field::etag, etag_of(written->version));
    co_return response;
}

asio::awaitable<Response> Documents::remove(const Request& request)
{
    if (auto wrong = wrong_key(request)) co_return *std::move(wrong);
    const auto conditions = preconditions(request);
    if (!conditions) co_return http::problem(conditions.error(), request.id);
    const auto removed = co_await store_.remove(request.parameter("key"), as_store_precondition(*conditions));
    if (!removed) co_return store_failure(request, removed.error(), store_.trouble());
    co_return Response(204);
}

} // namespace hotspare::backend
