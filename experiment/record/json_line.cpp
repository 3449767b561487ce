#include "experiment/record/json_line.hpp"

#include "common/json_document.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace hotspare::experiment {

nlohmann::ordered_json json_value(const std::string& text)
{
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json::parse(text);
}

JsonLine::JsonLine(const std::string& text, const std::string& file, std::size_t number) : file_(file), number_(number)
{
    std::vector<std::string> keys;
    // A key that stands twice would be read as one thing here and as another elsewhere.
    const auto look = [&](int depth, Json::parse_event_t event, Json& parsed) {
        if (depth > max_json_depth) fail(fmt::format("nested deeper than {} levels", max_json_depth));
        if (event != Json::parse_event_t::key || depth != 1) return true;
        const auto& key = parsed.get_ref<const std::string&>();
        if (std::find(keys.begin(), keys.end(), key) != keys.end())
            fail(fmt::format("the key {} stands twice", config::in_quotes(key)));
        keys.push_back(key);
        return true;
    };
    try {
        json_ = Json::parse(text, look);
    } catch (const Json::exception&) {
        fail("this is not JSON, or cut off");
    }
    if (!json_.is_object()) fail("this is not a JSON object");
    known_.reserve(json_.size());
    type_ = this->text("type");
}

void JsonLine::fail(const std::string& what) const
{
    throw UsageError(fmt::format("{}:{}: {}", file_, number_, what));
}

bool JsonLine::has(const char* key)
{
    known_.emplace_back(key);
    return json_.contains(key);
}

const JsonLine::Json& JsonLine::any(const char* key)
{
    known_.emplace_back(key);
    const auto found = json_.find(key);
    if (found == json_.end()) fail(fmt::format("the key '{}' is missing", key));
    return *found;
}

std::string JsonLine::text(const char* key)
{
    const Json& value = any(key);
    if (!value.is_string()) fail(fmt::format("'{}' is not a text", key));
    return value.get<std::string>();
}

bool JsonLine::yes_or_no(const char* key)
{
    const Json& value = any(key);
    if (!value.is_boolean()) fail(fmt::format("'{}' is neither true nor false", key));
    return value.get<bool>();
}

std::int64_t JsonLine::whole(const char* key)
{
    const Json& value = any(key);
    constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
    if (!value.is_number_integer() || (value.is_number_unsigned() && value.get<std::uint64_t>() > most))
        fail(fmt::format("'{}' is not a whole number", key));
    return value.get<std::int64_t>();
}

std::chrono::nanoseconds JsonLine::time(const char* key)
{
    const Json& value = any(key);
    constexpr std::int64_t most = 3'200'000'000'000'000'000;
    const bool is_whole =
        value.is_number_integer() && !(value.is_number_unsigned() && value.get<std::uint64_t>() > most);
    if (!is_whole || value.get<std::int64_t>() < -most) fail(fmt::format("'{}' is not a number of nanoseconds", key));
    return std::chrono::nanoseconds(value.get<std::int64_t>());
}

void JsonLine::complete() const
{
    for (const auto& [key, value] : json_.items())
        if (std::find(known_.begin(), known_.end(), key) == known_.end())
            fail(fmt::format("unknown key {} in a line of type '{}'", config::in_quotes(key), type_));
}

} // namespace hotspare::experiment
