#include "common/http/grammar.hpp"

#include <algorithm>
#include <array>
#include <cstddef>

namespace hotspare::http {
namespace {

using CharSet = std::array<bool, 256>;

constexpr CharSet host_chars = [] {
    CharSet set{};
    for (const char c : std::string_view("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                                         "-._~!$&'()*+,;=%:[]"))
        set[static_cast<unsigned char>(c)] = true;
    return set;
}();

constexpr CharSet id_chars = [] {
    CharSet set{};
    for (std::size_t c = 0x21; c < 0x7f; ++c) set[c] = c != '"' && c != '\\';
    return set;
}();

bool consists_of(const CharSet& set, std::string_view text) noexcept
{
    return std::all_of(text.begin(), text.end(), [&set](char c) { return set[static_cast<unsigned char>(c)]; });
}

} // namespace

bool is_host(std::string_view text) noexcept
{
    return consists_of(host_chars, text);
}

bool is_request_id(std::string_view text) noexcept
{
    return !text.empty() && text.size() <= 128 && consists_of(id_chars, text);
}

} // namespace hotspare::http
