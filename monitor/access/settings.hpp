// Who may log in, as it is written in a configuration file: a list of users, each with a name and the hash of a
// password. The daemon's settings hold the list and declare it as any other.
//
// Filled before the authenticator is made, immutable afterwards.
#pragma once

#include "common/config.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

struct UserSettings {
    std::string name;
    std::string password_hash; ///< made by hash_password(); a message about it does not show it
};

void fields(config::Fields& field, UserSettings& user);

/// The rule for the list: field("users", s.users, "…", {is_user_list, a_user_list}).
bool is_user_list(const std::vector<UserSettings>& list);
inline constexpr auto a_user_list = "at most 64 users";

/// Refuses a name that two users have and what is no hash of a password; `path` is the key of the list. For the
/// finish() of the settings that hold it.
void finish_users(const std::vector<UserSettings>& users, const config::Places& places, std::string_view path);

} // namespace hotspare::monitor
