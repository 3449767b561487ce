#include "monitor/access/settings.hpp"

#include "common/text.hpp"
#include "monitor/access/password.hpp"

#include <fmt/format.h>

#include <cstddef>
#include <map>

namespace hotspare::monitor {
namespace {

constexpr std::size_t most_users = 64;
constexpr std::size_t longest_name = 64;

/// RFC 7617 §2: the first colon ends the name.
bool is_user_name(const std::string& text)
{
    return text.size() <= longest_name && is_utf8(text) && !is_blank(text) && !has_control_character(text) &&
           text.find(':') == std::string::npos;
}

} // namespace

void fields(config::Fields& field, UserSettings& u)
{
    field("name", u.name, "name of the user", {is_user_name, "a name of 1 to 64 bytes of UTF-8, without ':'"});
    // Checked by finish_users(): without a hash there is no user.
    field("password_hash", u.password_hash, "hash of the user's password, made by `monitor --hash-password`",
          {nullptr, "", config::Secret::whole});
}

bool is_user_list(const std::vector<UserSettings>& list)
{
    return list.size() <= most_users;
}

void finish_users(const std::vector<UserSettings>& users, const config::Places& places, std::string_view path)
{
    std::map<std::string_view, std::size_t> names;
    for (std::size_t i = 0; i < users.size(); ++i) {
        const auto here = fmt::format("{}[{}]", path, i);
        if (const auto [same, is_new] = names.emplace(users[i].name, i); !is_new)
            places.fail(here + ".name", fmt::format("duplicate name '{}', expected another than that of {}[{}]",
                                                    users[i].name, path, same->second));
        if (!is_password_hash(users[i].password_hash))
            places.fail(here + ".password_hash",
                        "not the hash of a password, expected one that `monitor --hash-password` has made");
    }
}

} // namespace hotspare::monitor
