#include "monitor/serve/answers.hpp"

#include "common/http/grammar.hpp"
#include "common/notify/mail.hpp"
#include "common/sha256.hpp"
#include "monitor/serve/recorder.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <utility>

namespace hotspare::monitor {

using http::field;
using http::Request;
using http::Response;
using http::verb;

Response refused(const Request& request, const Refusal& refusal)
{
    return http::problem(problem_of(refusal), request.id);
}

std::optional<std::string_view> header_or_nothing(const Request& request, field name)
{
    const auto it = request.find(name);
    if (it == request.end()) return std::nullopt;
    return std::string_view(it->value().data(), it->value().size());
}

std::optional<std::uint64_t> number_in(std::string_view text)
{
    std::uint64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return number;
}

std::optional<Response> read_json(const Request& request, nlohmann::json& document)
{
    const std::string_view field = request.header("Content-Type");
    const std::string_view type = http::trim(field.substr(0, field.find(';'))); // the rest are parameters
    const bool merge_patch =
        request.method() == verb::patch && http::equals_ignoring_case(type, "application/merge-patch+json");
    if (!merge_patch && !http::equals_ignoring_case(type, "application/json"))
        return http::problem(request, 415, "the body must be JSON: Content-Type: application/json");
    auto parsed = http::parse_json(request.body());
    if (!parsed) return http::problem(parsed.error(), request.id);
    document = *std::move(parsed);
    return std::nullopt;
}

std::string policy_for(std::string_view style)
{
    const Sha256 digest = sha256(style);
    const std::string_view bytes(reinterpret_cast<const char*>(digest.data()), digest.size());
    return fmt::format("default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'self'; "
                       "frame-ancestors 'none'",
                       notify::base64(bytes));
}

} // namespace hotspare::monitor
