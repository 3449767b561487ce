#include "monitor/decide/refusal.hpp"

#include "common/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hotspare::monitor {

std::optional<Refusal> refuse_text(std::string_view field, std::string_view text, TextKind kind, std::size_t most_bytes,
                                   bool required)
{
    const auto refuse = [&](std::string what) {
        return Refusal{std::string(field), fmt::format("{} {}", field, what)};
    };
    // The length first: the other checks read all of it.
    if (text.size() > most_bytes) return refuse(fmt::format("is longer than {} bytes", most_bytes));
    if (!is_utf8(text)) return refuse("is not UTF-8");
    std::string visible(text);
    if (kind == TextKind::paragraph) std::erase_if(visible, [](char c) { return c == '\n' || c == '\r' || c == '\t'; });
    if (has_control_character(visible)) return refuse("holds a control character");
    if (required && is_blank(visible)) return refuse("must not be empty");
    return std::nullopt;
}

std::string shown_name(std::string_view name)
{
    return shortened(printable(name), 64);
}

} // namespace hotspare::monitor
