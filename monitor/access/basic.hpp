// The credentials that a request carries for HTTP Basic authentication (RFC 7617), read strictly: what two readers
// could understand differently is refused. Whether they are right is the authenticator's to find out
// (authenticator.hpp).
//
// PURE. Any thread.
#pragma once

#include <boost/system/result.hpp>

#include <string>
#include <string_view>

namespace hotspare::monitor {

struct Credentials {
    std::string user; ///< UTF-8 without control characters, neither is longer than 1024 bytes
    std::string password;
};

/// What is wrong with a field, a sentence for the client that shows nothing of its value.
struct MalformedCredentials {
    std::string detail;
};

/// Reads the value of an Authorization field. Read the result with operator*, never with value().
boost::system::result<Credentials, MalformedCredentials> parse_basic(std::string_view authorization);

/// The value of the WWW-Authenticate field that asks for them. `realm` has no control characters.
std::string basic_challenge(std::string_view realm);

} // namespace hotspare::monitor
