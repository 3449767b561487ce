#include "common/backend/fault_request.hpp"

#include "common/config.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>

namespace hotspare::backend {
namespace {

using Json = nlohmann::json;

constexpr Duration longest = std::chrono::hours(24);

/// A field that cannot be what it is; caught in parse_fault.
struct WrongField {
    std::string name, expected;
};

Duration duration(const std::string& name, const Json& value, Duration least)
{
    const auto expected = [&] {
        return fmt::format(R"(a duration from {} to {} such as "500ms" or "5s")", config::format_duration(least),
                           config::format_duration(longest));
    };
    if (!value.is_string()) throw WrongField{name, expected()};
    const auto parsed = config::parse_duration(value.get_ref<const std::string&>());
    if (!parsed || *parsed < least || *parsed > longest) throw WrongField{name, expected()};
    return *parsed;
}

/// A number, or its text when it comes from a query.
double number(const std::string& name, const Json& value, const std::string& expected)
{
    if (value.is_number()) return value.get<double>();
    if (!value.is_string()) throw WrongField{name, expected};
    const auto parsed = config::parse_number(value.get_ref<const std::string&>());
    if (!parsed) throw WrongField{name, expected};
    return *parsed;
}

std::uint64_t whole(const std::string& name, const Json& value, std::uint64_t most)
{
    const auto expected = fmt::format("a whole number from 0 to {}", most);
    if (value.is_number_integer() && value >= 0 && value <= most) return value.get<std::uint64_t>();
    if (!value.is_string()) throw WrongField{name, expected};
    const auto parsed = config::parse_unsigned(value.get_ref<const std::string&>(), most);
    if (!parsed) throw WrongField{name, expected};
    return *parsed;
}

Mode mode(const Json& value)
{
    std::string words;
    for (const auto& [word, named] : mode_names) {
        if (value.is_string() && value.get_ref<const std::string&>() == word) return named;
        words.append(words.empty() ? "" : " | ").append(word);
    }
    throw WrongField{"mode", words};
}

bool applies(const std::string& name, Mode mode)
{
    if (name == "for") return mode != Mode::crash;
    if (name == "rate") return mode != Mode::crash && mode != Mode::refuse && mode != Mode::cpu;
    if (name == "delay") return mode == Mode::slow;
    if (name == "period") return mode == Mode::flap;
    if (name == "load") return mode == Mode::cpu;
    if (name == "bytes") return mode == Mode::reset || mode == Mode::truncate;
    return true;
}

Fault read(const Json& fields, Mode default_mode)
{
    Fault fault;
    fault.mode = fields.contains("mode") ? mode(fields["mode"]) : default_mode;
    for (const auto& [name, value] : fields.items()) {
        if (name == "mode") continue;
        if (name == "for")
            fault.lasts = duration(name, value, milliseconds(1));
        else if (name == "delay")
            fault.delay = duration(name, value, Duration::zero());
        else if (name == "period")
            fault.period = duration(name, value, milliseconds(2));
        else if (name == "load")
            fault.load = static_cast<unsigned>(whole(name, value, 100));
        else if (name == "bytes")
            fault.bytes = whole(name, value, 1u << 30);
        else if (name == "rate") {
            const std::string expected = "a number above 0 and up to 1";
            fault.rate = number(name, value, expected);
            if (!(fault.rate > 0 && fault.rate <= 1)) throw WrongField{name, expected};
        } else {
            throw WrongField{name, "one of mode, for, rate, delay, period, load, bytes"};
        }
        if (!applies(name, fault.mode))
            throw WrongField{name, fmt::format("no such field with the mode {}", to_string(fault.mode))};
    }
    return fault;
}

} // namespace

boost::system::result<Fault, http::Problem> parse_fault(const std::vector<std::pair<std::string, std::string>>& query,
                                                        const Json& body, Mode default_mode)
{
    if (!body.is_object())
        return http::Problem{422, R"(the body is not a JSON object such as {"mode":"error","for":"5s"})"};
    Json fields = Json::object();
    for (const auto& [name, value] : query) {
        if (fields.contains(name))
            return http::Problem{
                422, fmt::format("the parameter '{}' is given more than once, expected one", name), {{"field", name}}};
        fields[name] = value;
    }
    fields.update(body);
    try {
        return read(fields, default_mode);
    } catch (const WrongField& wrong) {
        return http::Problem{422,
                             fmt::format("the field '{}' is not valid, expected {}", wrong.name, wrong.expected),
                             {{"field", wrong.name}}};
    }
}

} // namespace hotspare::backend
