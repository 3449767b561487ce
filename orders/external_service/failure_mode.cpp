#include "orders/external_service/failure_mode.hpp"

#include "common/backend/fault_request.hpp"
#include "common/config.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace hotspare::orders::external {
namespace {

using backend::Fault;
using backend::Mode;
using Json = nlohmann::json;

constexpr Duration default_delay = seconds(3);

http::Problem wrong(std::string_view field, std::string_view what, std::string_view expected)
{
    return {422, fmt::format("the field '{}' {}, expected {}", field, what, expected), {{"field", std::string(field)}}};
}

bool is_field(std::string_view name)
{
    return name == "mode" || name == "delay" || name == "for" || name == "rate";
}

bool applies(std::string_view name, Mode mode)
{
    if (name == "delay") return mode == Mode::slow;
    if (name == "for") return mode != Mode::none;
    if (name == "rate") return mode == Mode::slow || mode == Mode::error;
    return true;
}

} // namespace

std::string_view word_for(Mode mode) noexcept
{
    for (const auto& [word, named] : mode_names)
        if (named == mode) return word;
    return "invalid";
}

boost::system::result<Fault, http::Problem> parse_failure_mode(const Json& body)
{
    constexpr std::string_view words = "normal | slow | down | error";
    if (!body.is_object())
        return http::Problem{422, R"(the body is not a JSON object such as {"mode":"slow","for":"10s"})"};
    const auto given = body.find("mode");
    if (given == body.end()) return wrong("mode", "is missing", words);
    auto mode = Mode::crash; // none of ours
    for (const auto& [word, named] : mode_names)
        if (given->is_string() && given->get_ref<const std::string&>() == word) mode = named;
    if (mode == Mode::crash) return wrong("mode", "is not valid", words);

    auto details = body;
    details.erase("mode");
    for (const auto& [name, value] : details.items()) {
        if (!is_field(name)) return wrong(name, "is unknown", "one of mode, delay, for, rate");
        if (!applies(name, mode))
            return wrong(name, "is not valid", fmt::format("no such field with the mode {}", word_for(mode)));
    }
    auto fault = backend::parse_fault({}, details, mode);
    if (fault && !details.contains("delay")) fault->delay = default_delay;
    return fault;
}

std::string describe(const Fault& fault)
{
    std::string out;
    switch (fault.mode) {
    case Mode::slow:
        out = fmt::format("external_service answers after {}", config::format_duration(fault.delay));
        break;
    case Mode::error: out = "external_service answers 500"; break;
    case Mode::refuse: return "external_service refuses connections; the control port still answers";
    default: return "external_service is back to normal";
    }
    if (fault.rate < 1) out += fmt::format(", to {} of the calls", config::format_number(fault.rate));
    return out;
}

} // namespace hotspare::orders::external
