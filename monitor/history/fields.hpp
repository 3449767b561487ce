// A JSON object that must be exactly as it was written: each member there, of its type and in its range, and no other.
// Only for what this program wrote itself: what is wrong is thrown as WrongField, which names the place, and is caught
// where the text is decoded (codec.cpp).
//
// PURE. One thread. No owner: it lives within a decoder.
#pragma once

#include "monitor/decide/instant.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

struct WrongField {
    std::string place, expected;
};

/// The least and the greatest instant that is written. Not `forever`.
inline constexpr Instant first_instant{};
inline constexpr Instant last_instant{std::chrono::sys_days(std::chrono::year(2400) / 1 / 1)};

class Fields {
public:
    /// `value` must outlive it. `place` is its name in messages.
    Fields(const nlohmann::json& value, std::string place, std::initializer_list<std::string_view> members);

    bool has(std::string_view name) const; ///< and is not null
    std::string text(std::string_view name) const;
    bool flag(std::string_view name) const;
    std::int64_t whole(std::string_view name, std::int64_t least, std::int64_t most) const;
    std::uint64_t number(std::string_view name, std::uint64_t most = std::numeric_limits<std::int64_t>::max()) const;
    Instant instant(std::string_view name) const;
    Instant instant_or_forever(std::string_view name) const;
    std::optional<Instant> optional_instant(std::string_view name) const;
    milliseconds span_of_time(std::string_view name) const;
    std::vector<std::string> texts(std::string_view name) const;
    /// [begin, end]; not before its begin.
    Span span(std::string_view name) const;
    const nlohmann::json& object(std::string_view name) const;
    const nlohmann::json& list(std::string_view name) const;

    /// The enumerator from `first` to `last` whose to_string() is the text.
    template <class Enum> Enum one_of(std::string_view name, Enum first, Enum last) const
    {
        const std::string value = text(name);
        for (int i = static_cast<int>(first); i <= static_cast<int>(last); ++i)
            if (to_string(static_cast<Enum>(i)) == value) return static_cast<Enum>(i);
        wrong(name, "one of the known words");
    }

    std::string at(std::string_view name) const;
    [[noreturn]] void wrong(std::string_view name, std::string_view expected) const;

private:
    const nlohmann::json& member(std::string_view name) const;

    const nlohmann::json& value_;
    std::string place_;
};

/// Of [begin, end].
Span read_span(const nlohmann::json& value, const std::string& place);

} // namespace hotspare::monitor
