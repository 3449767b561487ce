#include "common/http/precondition.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hotspare::http {
namespace {

void skip_blanks(std::string_view& text)
{
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
}

bool contains(const std::vector<std::string>& tags, std::string_view tag)
{
    return std::ranges::find(tags, tag) != tags.end();
}

} // namespace

boost::system::result<Preconditions, Problem> Preconditions::parse(std::optional<std::string_view> if_match,
                                                                   std::optional<std::string_view> if_none_match)
{
    Preconditions out;
    if (if_match) {
        auto tags = parse_tags("If-Match", *if_match);
        if (!tags) return tags.error();
        out.if_match_ = *std::move(tags);
    }
    if (if_none_match) {
        auto tags = parse_tags("If-None-Match", *if_none_match);
        if (!tags) return tags.error();
        out.if_none_match_ = *std::move(tags);
    }
    return out;
}

boost::system::result<Preconditions::Tags, Problem> Preconditions::parse_tags(std::string_view field,
                                                                              std::string_view text)
{
    const auto wrong = [&] {
        return Problem{400, fmt::format("{} is neither * nor a list of quoted entity tags", field)};
    };
    Tags out;
    skip_blanks(text);
    if (text.starts_with('*')) {
        text.remove_prefix(1);
        skip_blanks(text);
        if (!text.empty()) return wrong();
        out.any = true;
        return out;
    }
    while (true) {
        // Empty list elements are allowed (RFC 9110 §5.6.1.2).
        skip_blanks(text);
        while (text.starts_with(',')) {
            text.remove_prefix(1);
            skip_blanks(text);
        }
        if (text.empty()) break;
        const bool weak = text.starts_with("W/");
        if (weak) text.remove_prefix(2);
        if (!text.starts_with('"')) return wrong();
        const auto end = text.find('"', 1);
        if (end == text.npos) return wrong();
        (weak ? out.weak : out.strong).emplace_back(text.substr(0, end + 1));
        text.remove_prefix(end + 1);
        skip_blanks(text);
        if (!text.empty() && !text.starts_with(',')) return wrong();
    }
    if (out.strong.empty() && out.weak.empty()) return wrong();
    return out;
}

bool Preconditions::if_match_holds(std::optional<std::string_view> etag) const
{
    if (!if_match_) return true;
    // Strong comparison: a weak tag never matches.
    return etag && (if_match_->any || contains(if_match_->strong, *etag));
}

bool Preconditions::if_none_match_holds(std::optional<std::string_view> etag) const
{
    if (!if_none_match_ || !etag) return true;
    return !if_none_match_->any && !contains(if_none_match_->strong, *etag) && !contains(if_none_match_->weak, *etag);
}

} // namespace hotspare::http
