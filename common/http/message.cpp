#include "common/http/message.hpp"

#include "common/json_document.hpp"

#include <boost/beast/http/status.hpp>
#include <boost/url/parse.hpp>
#include <boost/url/pct_string_view.hpp>
#include <boost/url/url_view.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace hotspare::http {
namespace {

namespace urls = boost::urls;

std::string_view view(beast::string_view text)
{
    return {text.data(), text.size()};
}

std::string version_of(unsigned version)
{
    return fmt::format("HTTP/{}.{}", version / 10, version % 10);
}

Problem to_problem(const MalformedJson& wrong)
{
    if (wrong.byte == 0) return {400, fmt::format("the body is not valid JSON: {}", wrong.what)};
    return {400,
            fmt::format("the body is not valid JSON at line {}, column {} (byte {}): {}", wrong.line, wrong.column,
                        wrong.byte, wrong.what),
            {{"line", wrong.line}, {"column", wrong.column}, {"byte", wrong.byte}}};
}

/// By hand: Beast's serializer, which can also do it piece by piece, takes seconds to compile.
std::string serialize(std::string_view start_line, const beast::http::fields& fields, std::string_view body)
{
    std::string out(start_line);
    out += "\r\n";
    for (const auto& field : fields) {
        out += view(field.name_string());
        out += ": ";
        out += view(field.value());
        out += "\r\n";
    }
    out += "\r\n";
    out += body;
    return out;
}

} // namespace

boost::system::result<Target, Problem> parse_target(std::string_view target)
{
    if (target == "*") return Target{"*", {}};
    std::string encoded;
    for (const char c : target) {
        if (std::string_view("\"<>\\^`{|}").find(c) == std::string_view::npos)
            encoded += c;
        else
            encoded += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    const auto url = urls::parse_origin_form(encoded);
    if (!url) return Problem{400, "the request target is not a valid URL: " + url.error().message()};
    Target out;
    out.path = std::string(url->encoded_path());
    for (const auto& parameter : url->params()) out.query.emplace_back(parameter.key, parameter.value);
    return out;
}

std::optional<std::string> percent_decode(std::string_view text)
{
    const auto encoded = urls::make_pct_string_view(text);
    if (!encoded) return std::nullopt;
    auto decoded = encoded->decode();
    if (decoded.find('\0') != std::string::npos) return std::nullopt;
    return decoded;
}

const std::string& Request::parameter(std::string_view name) const
{
    const auto it = std::ranges::find(parameters, name, &std::pair<std::string_view, std::string>::first);
    if (it == parameters.end()) throw std::logic_error(fmt::format("route '{}' has no {{{}}}", route, name));
    return it->second;
}

std::optional<std::string_view> Request::query(std::string_view name) const
{
    for (const auto& [key, value] : query_parameters)
        if (key == name) return value;
    return std::nullopt;
}

std::string_view Request::header(std::string_view name) const
{
    return view((*this)[name]);
}

Response::Response(unsigned status, std::string body, std::string_view content_type)
{
    result(status);
    if (!content_type.empty()) set(field::content_type, content_type);
    this->body() = std::move(body);
}

std::string_view Response::header(std::string_view name) const
{
    return view((*this)[name]);
}

Response json_response(unsigned status, const Json& body)
{
    return Response(status, json_text(body) + '\n', "application/json");
}

Response json_response(unsigned status, const nlohmann::ordered_json& body)
{
    return Response(status, json_text(body) + '\n', "application/json");
}

Response text_response(unsigned status, std::string body, std::string_view content_type)
{
    return Response(status, std::move(body), content_type);
}

std::string_view reason_phrase(unsigned status) noexcept
{
    return view(beast::http::obsolete_reason(beast::http::int_to_status(status)));
}

std::string problem_document(const Problem& what, std::string_view request_id)
{
    nlohmann::ordered_json body{{"title", reason_phrase(what.status)},
                                {"status", what.status},
                                {"detail", what.detail},
                                {"error", what.detail},
                                {"request_id", request_id}};
    for (const auto& [name, value] : what.members)
        std::visit([&member = body[name]](const auto& known) { member = known; }, value);
    return json_text(body) + '\n';
}

Response problem(const Problem& what, std::string_view request_id)
{
    return Response(what.status, problem_document(what, request_id), "application/problem+json");
}

Response problem(const Request& request, unsigned status, std::string detail, Problem::Members members)
{
    return problem(Problem{status, std::move(detail), std::move(members)}, request.id);
}

boost::system::result<Json, Problem> parse_json(std::string_view text)
{
    if (text.empty()) return Problem{400, "the body is empty, expected JSON"};
    std::optional<MalformedJson> wrong;
    auto json = read_json_document(text, &wrong);
    if (wrong) return to_problem(*wrong);
    return boost::system::result<Json, Problem>(boost::system::in_place_value, std::move(json));
}

std::optional<Problem> check_json(std::string_view text)
{
    if (text.empty()) return Problem{400, "the body is empty, expected JSON"};
    if (const auto wrong = check_json_document(text)) return to_problem(*wrong);
    return std::nullopt;
}

std::string serialize(const Request& request)
{
    const auto line =
        fmt::format("{} {} {}", view(request.method_string()), view(request.target()), version_of(request.version()));
    return serialize(line, request, request.body());
}

std::string serialize(const Response& response)
{
    const auto line =
        fmt::format("{} {} {}", version_of(response.version()), response.result_int(), view(response.reason()));
    return serialize(line, response, response.body());
}

} // namespace hotspare::http
