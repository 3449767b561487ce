#include "common/http/accept.hpp"

#include "common/http/grammar.hpp"

#include <algorithm>

namespace hotspare::http {
namespace {

/// Takes what stands before the next `separator` off `text`, blanks trimmed. One inside a quoted string separates
/// nothing.
std::string_view next_part(std::string_view& text, char separator) noexcept
{
    bool quoted = false;
    std::size_t end = 0;
    for (; end < text.size() && (quoted || text[end] != separator); ++end) {
        if (text[end] == '"') quoted = !quoted;
        if (quoted && text[end] == '\\' && end + 1 < text.size()) ++end;
    }
    const auto part = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return trim(part);
}

/// A qvalue in thousandths; -1 if it is none.
int thousandths(std::string_view text) noexcept
{
    if (text.empty() || text.size() > 5 || (text[0] != '0' && text[0] != '1')) return -1;
    if (text.size() > 1 && text[1] != '.') return -1;
    int value = (text[0] - '0') * 1000, place = 100;
    for (const char c : text.substr(std::min<std::size_t>(2, text.size()))) {
        if (c < '0' || c > '9') return -1;
        value += (c - '0') * place;
        place /= 10;
    }
    return value <= 1000 ? value : -1;
}

struct Range {
    std::string_view type;
    std::string_view subtype;
    int quality = 1000;
};

Range read_range(std::string_view text) noexcept
{
    Range range;
    const auto media = next_part(text, ';');
    const auto slash = std::min(media.find('/'), media.size());
    range.type = media.substr(0, slash);
    range.subtype = media.substr(std::min(slash + 1, media.size()));
    while (!text.empty()) {
        const auto parameter = next_part(text, ';');
        if (parameter.size() >= 2 && (parameter[0] == 'q' || parameter[0] == 'Q') && parameter[1] == '=')
            range.quality = thousandths(parameter.substr(2));
    }
    return range;
}

/// How much the client wants a type: what the most specific range that fits says.
int quality_of(std::string_view accept, std::string_view type, std::string_view subtype) noexcept
{
    int quality = 0, fit = -1;
    while (!accept.empty()) {
        const Range range = read_range(next_part(accept, ','));
        if (range.quality < 0) continue;
        const bool any_type = range.type == "*", any_subtype = range.subtype == "*";
        if (!any_subtype && (any_type || !equals_ignoring_case(range.subtype, subtype))) continue;
        if (!any_type && !equals_ignoring_case(range.type, type)) continue;
        const int own_fit = any_type ? 0 : any_subtype ? 1 : 2;
        if (own_fit < fit) continue;
        quality = own_fit == fit ? std::max(quality, range.quality) : range.quality;
        fit = own_fit;
    }
    return quality;
}

} // namespace

bool prefers_html(std::string_view accept) noexcept
{
    const int document =
        std::max(quality_of(accept, "application", "problem+json"), quality_of(accept, "application", "json"));
    return quality_of(accept, "text", "html") > document;
}

} // namespace hotspare::http
