// The members of a JSON object that a client sent, read strictly and as a merge patch (RFC 7396): a member that is
// absent leaves its value as it is, null sets the default, and what is unknown or of another type is refused by name.
// The first refusal is kept, and nothing is read after it. What the values may be, the cores in decide/ check.
//
// PURE. Any thread. Values, for the time of one reading.
#pragma once

#include "monitor/decide/instant.hpp"
#include "monitor/decide/refusal.hpp"

#include <nlohmann/json_fwd.hpp>

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

/// A date-time of RFC 3339, of a query parameter or a JSON member; `earliest_year` is compared in UTC. Unlike
/// parse_rfc3339() it refuses leap seconds: neither tzdata nor calendars know them, so that a window that begins with
/// one would be shown with another time than was asked for.
Accepted<Instant> read_instant(std::string_view field, std::string_view text, int earliest_year = 1970);

class Members {
public:
    /// Refuses what is no object, and members that are not `known`. `document` must outlive it.
    Members(const nlohmann::json& document, std::initializer_list<std::string_view> known);

    /// Refuses null, and, unless it `may_be_absent`, that it is absent.
    void require(std::string_view name, bool may_be_absent = false);

    void text(std::string_view name, std::string& value);
    void flag(std::string_view name, bool& value);
    void texts(std::string_view name, std::vector<std::string>& value);
    void instant(std::string_view name, Instant& value, int earliest_year);

    /// The enumerator from `first` to `last` whose to_string() is the text.
    template <class Enum> void one_of(std::string_view name, Enum& value, Enum first, Enum last, Enum otherwise)
    {
        std::optional<std::string> word;
        if (!optional_text(name, word)) return;
        value = otherwise;
        if (!word) return;
        std::string words;
        for (int i = static_cast<int>(first); i <= static_cast<int>(last); ++i) {
            const auto one = static_cast<Enum>(i);
            if (to_string(one) == *word) {
                value = one;
                return;
            }
            words.append(words.empty() ? "" : ", ").append(to_string(one));
        }
        refuse(name, "must be one of " + words);
    }

    const std::optional<Refusal>& refusal() const noexcept { return refusal_; }

private:
    /// The member; null if it is absent, or something was refused before.
    const nlohmann::json* find(std::string_view name) const;
    /// False: leave the value as it is. Nothing in `value`: set the default.
    bool optional_text(std::string_view name, std::optional<std::string>& value);
    void refuse(std::string_view name, const std::string& what);

    const nlohmann::json& document_;
    std::optional<Refusal> refusal_;
};

} // namespace hotspare::monitor
