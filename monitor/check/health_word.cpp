#include "monitor/check/health_word.hpp"

#include "common/json_document.hpp"
#include "common/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace hotspare::monitor {
namespace {

/// Of what a service says, which may be anything.
constexpr std::size_t longest_reason = 200;

} // namespace

HealthWord read_health_word(std::string_view body)
{
    HealthWord result;
    const auto document = read_json_document(body);
    if (!document.is_object()) return result;
    const auto text = [&](const char* key) {
        const auto found = document.find(key);
        return found != document.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    if (const auto paused = document.find("paused"); paused != document.end() && paused->is_boolean())
        result.paused = paused->get<bool>();
    const auto word = text("status");
    if (word == "degraded")
        result.state = State::degraded;
    else if (word == "unhealthy" || word == "down")
        result.state = State::down;
    else
        return result;
    result.unhealthy = word == "unhealthy";
    const auto error = text("error");
    result.cause = fmt::format("says that it is {}{}{}", word, error.empty() ? "" : ": ",
                               shortened(printable(error), longest_reason));
    return result;
}

} // namespace hotspare::monitor
