#include "monitor/access/basic.hpp"

#include "common/http/grammar.hpp"
#include "common/text.hpp"
#include "monitor/access/password.hpp"

#include <sodium/utils.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <optional>

namespace hotspare::monitor {
namespace {

constexpr std::string_view scheme = "Basic";
constexpr std::size_t longest_user = 1024;
constexpr std::size_t longest_encoded = (longest_user + 1 + longest_password + 2) / 3 * 4;

/// RFC 4648 §4, with the padding and nothing else; unused bits must be zero.
std::optional<std::string> decode_base64(std::string_view text)
{
    std::string bytes(text.size() / 4 * 3, '\0');
    std::size_t size = 0;
    if (::sodium_base642bin(reinterpret_cast<unsigned char*>(bytes.data()), bytes.size(), text.data(), text.size(),
                            nullptr, &size, nullptr, sodium_base64_VARIANT_ORIGINAL) != 0)
        return std::nullopt;
    bytes.resize(size);
    return bytes;
}

bool has_control(std::string_view text)
{
    return std::any_of(text.begin(), text.end(),
                       [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

MalformedCredentials malformed(std::string_view what)
{
    return {fmt::format("the Authorization field {}", what)};
}

} // namespace

boost::system::result<Credentials, MalformedCredentials> parse_basic(std::string_view authorization)
{
    const std::string_view text = http::trim(authorization);
    const auto blank = std::min(text.find(' '), text.size());
    if (!http::equals_ignoring_case(text.substr(0, blank), scheme))
        return malformed("has another scheme, expected Basic");
    std::string_view encoded = text.substr(blank);
    encoded.remove_prefix(std::min(encoded.find_first_not_of(' '), encoded.size()));
    if (encoded.size() > longest_encoded) return malformed("is too long");
    const auto decoded = decode_base64(encoded);
    if (!decoded) return malformed("is not valid base64");
    const auto colon = decoded->find(':');
    if (colon == std::string::npos) return malformed("has no colon between user name and password");
    Credentials credentials{decoded->substr(0, colon), decoded->substr(colon + 1)};
    if (credentials.user.size() > longest_user || credentials.password.size() > longest_password)
        return malformed("is too long");
    if (!is_utf8(*decoded)) return malformed("is not UTF-8");
    if (has_control(*decoded)) return malformed("contains a control character");
    return credentials;
}

std::string basic_challenge(std::string_view realm)
{
    std::string quoted;
    for (const char c : realm) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return fmt::format(R"(Basic realm="{}", charset="UTF-8")", quoted);
}

} // namespace hotspare::monitor
