// HTTP Basic authentication (RFC 7617) of the users in the configuration. A request without valid credentials is
// answered 401, one from an address that has to pause after failures 429 (backoff.hpp), and one for which too many
// others wait 503. Neither the text of an answer nor its time tells an unknown user from a wrong password. Passwords
// are checked on a thread of the authenticator's own.
//
// A dashboard sends its credentials with every request. Those that were found right are therefore remembered for five
// minutes, as a hash with a key that only this process has, and requests of one client with the same credentials at the
// same time are one try. A login from memory clears no failures, and an address that has to pause is not served from
// memory: the memory tells right guesses from wrong ones as fast as they are sent.
//
// The authenticator does not know which page made a browser send a request, and a browser adds the credentials that it
// knows to requests of any page. A request for an action must first pass http::refuse() with Access::work, which
// refuses those of pages of another origin, but not those of curl and of our own forms.
//
// The password crosses the network readable; encryption is left to a proxy. X-Forwarded-For is not read: all clients of
// a proxy have the proxy's address and share its pauses.
//
// Thread: the io_context's. Owner: the component whose handlers call enter(); its coroutines must have ended before the
// authenticator is destroyed.
#pragma once

#include "common/clock.hpp"
#include "common/http/message.hpp"
#include "common/storage/worker.hpp"
#include "common/wait_list.hpp"
#include "monitor/access/backoff.hpp"
#include "monitor/access/basic.hpp"
#include "monitor/access/password.hpp"
#include "monitor/access/settings.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <array>
#include <cstddef>
#include <functional>
#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

/// A try that was looked at and failed, or the first one that was refused in a pause, for the audit log. How many there
/// are is bounded by the pauses, and for all addresses together by the time that a look takes.
struct FailedLogin {
    std::string user; ///< as the client gave it, on one line and cut. Some people type their password here.
    std::string address;
    std::string reason; ///< a clause for the operator: "wrong password". Not for the client.
};

struct AuthenticatorOptions {
    std::function<void(const FailedLogin&)> on_failure = {}; ///< on the io_context's thread, before the answer
    /// Compares a hash with a password, on the authenticator's thread. Replaced by tests, which count.
    std::function<bool(std::string_view hash, std::string_view password)> matches = monitor::matches;
    Duration memory = std::chrono::minutes(5);
    std::size_t most_waiting = 8; ///< tries that wait for the authenticator's thread
    BackoffSettings backoff = {};
};

/// What became of a request at the authenticator: it has either a user or a refusal.
struct Entry {
    std::string user{};
    std::optional<http::Response> refusal{}; ///< to be sent as it is
};

class Authenticator {
public:
    /// `realm` is what browsers may show when they ask for the password. `users` are as finish_users() leaves them.
    Authenticator(boost::asio::io_context& context, std::vector<UserSettings> users, std::string_view realm,
                  AuthenticatorOptions options = {});
    ~Authenticator();

    Authenticator(const Authenticator&) = delete;
    Authenticator& operator=(const Authenticator&) = delete;

    /// `request` must outlive the call; `now` is the time of its beginning.
    boost::asio::awaitable<Entry> enter(const http::Request& request, TimePoint now);

private:
    using Digest = std::array<unsigned char, 32>;
    struct Try;
    class Turn;

    struct User {
        UserSettings settings;
        Digest remembered{}; ///< of the credentials that were last found right
        TimePoint remembered_until = TimePoint::min();
    };

    Digest digest_of(const Credentials& credentials) const;
    User* find(std::string_view name);
    std::shared_ptr<Try> find_try(const Digest& digest, const ClientNetwork& client) const;
    void report(const Credentials& credentials, const http::Request& request, std::string reason) const;
    Entry ask_for_login(const http::Request& request, std::string detail) const;

    boost::asio::io_context& context_;
    AuthenticatorOptions options_;
    std::string challenge_; ///< the value of WWW-Authenticate
    std::vector<User> users_;
    std::string decoy_hash_; ///< compared with the password of an unknown user, so that this takes as long
    Digest key_{};
    Backoff backoff_;
    std::list<std::shared_ptr<Try>> tries_; ///< in progress
    storage::Worker worker_;                ///< last: joined before what its work touches goes
};

} // namespace hotspare::monitor
