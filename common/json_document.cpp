#include "common/json_document.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <vector>

namespace hotspare {
namespace {

using Json = nlohmann::json;

/// Reads JSON without keeping it; remembers what was wrong.
class Checker : public nlohmann::json_sax<Json> {
public:
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t) override { return true; }
    bool number_unsigned(number_unsigned_t) override { return true; }
    bool number_float(number_float_t, const string_t&) override { return true; }
    bool string(string_t&) override { return true; }
    bool binary(binary_t&) override { return true; }
    bool start_object(std::size_t) override
    {
        names_.emplace_back();
        return enter();
    }
    bool start_array(std::size_t) override { return enter(); }
    bool end_object() override
    {
        names_.pop_back();
        return leave();
    }
    bool end_array() override { return leave(); }

    bool key(string_t& name) override
    {
        if (names_.back().insert(name).second) return true;
        what_ = fmt::format("the name {} occurs more than once in an object",
                            Json(name).dump(-1, ' ', true, Json::error_handler_t::replace)); // in ASCII
        return false;
    }

    bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override
    {
        byte_ = position;
        what_ = error.what();
        // "[json.exception.parse_error.101] parse error at line 1, column 2: syntax error ..." -> "syntax error ..."
        if (const auto colon = what_.find(": "); colon != std::string::npos) what_.erase(0, colon + 2);
        return false;
    }

    std::string take_what() { return std::move(what_); }
    std::size_t byte() const noexcept { return byte_; }

private:
    bool enter()
    {
        if (++depth_ <= max_json_depth) return true;
        what_ = fmt::format("it is nested deeper than {} levels", max_json_depth);
        return false;
    }
    bool leave()
    {
        --depth_;
        return true;
    }

    int depth_ = 0;
    std::vector<std::set<std::string>> names_; ///< of each object that is open
    std::size_t byte_ = 0;
    std::string what_;
};

MalformedJson malformed(std::string_view text, std::string what, std::size_t byte)
{
    if (byte == 0) return {.what = std::move(what)};
    const auto before = text.substr(0, byte - 1);
    const auto newline = before.rfind('\n');
    return {.what = std::move(what),
            .line = 1 + static_cast<std::size_t>(std::ranges::count(before, '\n')),
            .column = before.size() - (newline == before.npos ? 0 : newline + 1) + 1,
            .byte = byte};
}

} // namespace

std::optional<MalformedJson> check_json_document(std::string_view text)
{
    // nlohmann's reader takes a NUL for the end of the text, and would not look at what follows it.
    if (const auto nul = text.find('\0'); nul != text.npos)
        return malformed(text, "a NUL byte is not part of any JSON text", nul + 1);
    Checker checker;
    if (Json::sax_parse(text, &checker)) return std::nullopt;
    return malformed(text, checker.take_what(), checker.byte());
}

Json read_json_document(std::string_view text, std::optional<MalformedJson>* wrong)
{
    if (auto found = check_json_document(text)) {
        if (wrong != nullptr) *wrong = std::move(found);
        return Json(Json::value_t::discarded);
    }
    return Json::parse(text, nullptr, false);
}

const Json& member_of(const Json& object, const char* name)
{
    static const Json none;
    if (!object.is_object()) return none;
    const auto found = object.find(name);
    return found != object.end() ? *found : none;
}

std::string json_text(const Json& json, int indent)
{
    return json.dump(indent, ' ', false, Json::error_handler_t::replace);
}

std::string json_text(const nlohmann::ordered_json& json, int indent)
{
    return json.dump(indent, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string json_string(std::string_view text)
{
    return json_text(Json(text));
}

} // namespace hotspare
