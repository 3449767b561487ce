// Passwords as a configuration file holds them: as Argon2id hashes (RFC 9106) with a random salt. Every guess at the
// password of such a hash takes 64 MiB and tens of milliseconds. All hashes cost the same, so that the time of a login
// does not tell whose it is. Who may log in, and how often a client may try, is decided by the authenticator
// (authenticator.hpp).
//
// Any thread, but for the command, which is the main thread's; hashing and matching take too long for an event loop.
#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>

namespace hotspare::monitor {

inline constexpr std::size_t longest_password = 1024; ///< bytes

/// Why no client could send the password (RFC 7617 §2), a clause for people: "is empty"; nothing if one could.
std::string refuse_password(std::string_view password);

/// "$argon2id$…". Throws std::bad_alloc if there is no memory for it.
std::string hash_password(std::string_view password);

/// False also if `hash` is none. Throws std::bad_alloc if there is no memory for it, so that a machine in need does not
/// call a right password wrong.
bool matches(std::string_view hash, std::string_view password);

/// Whether it is one that hash_password() could have made, by its form: no password is tried.
bool is_password_hash(std::string_view text);

/// Reads a line from `in` and writes its hash. If that is std::cin and a terminal, it asks, and does not echo what is
/// typed. The password is no argument of the program since every user of the machine can read those. Returns the exit
/// code: 2 if the password is refused.
int hash_password_command(std::istream& in, std::ostream& out, std::ostream& error);

} // namespace hotspare::monitor
