// A failure to tell an HTTP client, before it becomes a response (message.hpp). Plain data, usable from PURE code.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace hotspare::http {

struct Problem {
    struct Member {
        std::string name;
        std::variant<std::string, std::uint64_t> value;
    };
    using Members = std::vector<Member>;

    unsigned status = 500;
    std::string detail;   ///< one sentence for the reader: what is wrong and what was expected
    Members members = {}; ///< of the problem document besides the usual ones, {"field", "mode"}

    /// The text of a member, or its number as text; empty if there is none.
    std::string member(std::string_view name) const
    {
        for (const Member& one : members) {
            if (one.name != name) continue;
            const auto* const text = std::get_if<std::string>(&one.value);
            return text ? *text : std::to_string(std::get<std::uint64_t>(one.value));
        }
        return {};
    }
};

} // namespace hotspare::http
