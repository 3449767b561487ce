// PURE: one line of a record in JSON lines, read strictly: the reader asks for each key by its name and its kind,
// and a key that was not asked for is refused. What is wrong is told with file and line.
//
// Any thread.
#pragma once

#include "common/config.hpp"
#include "common/error.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::experiment {

/// The value that json_text() wrote; null of an empty text.
nlohmann::ordered_json json_value(const std::string& text);

/// Every function throws UsageError "FILE:LINE: what is wrong"; every key that is asked for counts as known.
class JsonLine {
public:
    using Json = nlohmann::ordered_json;

    /// A JSON object with a text `type`, in which no key stands twice. `file` must outlive this object.
    JsonLine(const std::string& text, const std::string& file, std::size_t number);

    [[noreturn]] void fail(const std::string& what) const;

    const std::string& type() const noexcept { return type_; }

    bool has(const char* key);
    const Json& any(const char* key);
    std::string text(const char* key);
    std::string text_if_any(const char* key) { return has(key) ? text(key) : std::string(); }
    bool yes_or_no(const char* key);
    std::int64_t whole(const char* key);
    template <std::unsigned_integral T> T number(const char* key)
    {
        const Json& value = any(key);
        if (!value.is_number_unsigned() || value.get<std::uint64_t>() > std::numeric_limits<T>::max())
            fail(fmt::format("'{}' is not a whole number from 0 to {}", key, std::numeric_limits<T>::max()));
        return value.get<T>();
    }
    /// Within a century either way: differences of such times do not overflow.
    std::chrono::nanoseconds time(const char* key);
    template <class E> E word(const char* key, std::optional<E> (*read)(std::string_view) noexcept)
    {
        const std::string word = text(key);
        const auto value = read(word);
        if (!value) fail(fmt::format("'{}' cannot be {}", key, config::in_quotes(word)));
        return *value;
    }

    /// Nothing else may stand here.
    void complete() const;

private:
    const std::string& file_;
    std::size_t number_;
    Json json_;
    std::string type_;
    std::vector<std::string_view> known_;
};

} // namespace hotspare::experiment
