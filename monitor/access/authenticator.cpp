#include "monitor/access/authenticator.hpp"

#include "common/http/address.hpp"
#include "common/text.hpp"

#include <sodium/crypto_generichash.h>
#include <sodium/randombytes.h>
#include <sodium/utils.h>

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>
#include <utility>

namespace hotspare::monitor {

/// A look at the credentials of one client. Requests that come meanwhile with the same credentials from the same client
/// wait for its outcome.
struct Authenticator::Try {
    Try(boost::asio::io_context& context, const Digest& what, const ClientNetwork& who)
        : digest(what), client(who), ended(context)
    {
    }

    const Digest digest;
    const ClientNetwork client;
    std::optional<bool> right{}; ///< nothing: not looked at, or not yet
    WaitList ended;
};

/// Lists a Try for as long as it lives, and ends it however the coroutine does.
class Authenticator::Turn {
public:
    Turn(Authenticator& authenticator, std::shared_ptr<Try> look)
        : authenticator_(authenticator),
          place_(authenticator.tries_.insert(authenticator.tries_.end(), std::move(look)))
    {
    }
    ~Turn()
    {
        const auto look = *place_;
        authenticator_.tries_.erase(place_);
        if (!look->right) authenticator_.backoff_.withdrawn(look->client);
        look->ended.wake_all();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

private:
    Authenticator& authenticator_;
    std::list<std::shared_ptr<Try>>::iterator place_;
};

namespace {

constexpr std::size_t longest_reported = 64;
constexpr Duration busy_wait = seconds(1);
constexpr auto wrong_credentials = "the user name or the password is wrong";

std::string random_password()
{
    std::array<unsigned char, 32> bytes{};
    ::randombytes_buf(bytes.data(), bytes.size());
    return {bytes.begin(), bytes.end()};
}

Entry refused(http::Response response)
{
    // What depends on credentials is not for caches.
    response.set(http::field::cache_control, "no-store");
    Entry entry;
    entry.refusal = std::move(response);
    return entry;
}

Entry admitted(std::string user)
{
    Entry entry;
    entry.user = std::move(user);
    return entry;
}

Entry refuse_for(Duration wait, const http::Request& request, unsigned status, std::string detail)
{
    auto response = http::problem(request, status, std::move(detail));
    response.set(http::field::retry_after, std::to_string(std::chrono::ceil<seconds>(wait).count()));
    return refused(std::move(response));
}

Entry refuse_in_pause(Duration left, const http::Request& request)
{
    return refuse_for(left, request, 429,
                      fmt::format("too many failed logins from this address, the next one is accepted in {} s",
                                  std::chrono::ceil<seconds>(left).count()));
}

} // namespace

Authenticator::Authenticator(boost::asio::io_context& context, std::vector<UserSettings> users, std::string_view realm,
                             AuthenticatorOptions options)
    : context_(context), options_(std::move(options)), challenge_(basic_challenge(realm)),
      decoy_hash_(hash_password(random_password())), backoff_(options_.backoff)
{
    ::randombytes_buf(key_.data(), key_.size());
    users_.reserve(users.size());
    for (auto& user : users) users_.push_back({.settings = std::move(user)});
}

Authenticator::~Authenticator() = default;

boost::asio::awaitable<Entry> Authenticator::enter(const http::Request& request, TimePoint now)
{
    const auto begun = Clock::now();
    const auto present = [&] { return now + (Clock::now() - begun); };

    const auto given = request.count(http::field::authorization);
    if (given == 0) co_return ask_for_login(request, "a user name and a password are required");
    if (given > 1) co_return ask_for_login(request, "the request has several Authorization fields, expected one");
    const auto credentials = parse_basic(request.header("Authorization"));
    if (!credentials) co_return ask_for_login(request, credentials.error().detail);

    const auto client = network_of(request.peer.address().to_string());
    const auto digest = digest_of(*credentials);
    User* const user = find(credentials->user);
    for (;;) {
        if (const auto left = backoff_.pause_left(client, present())) {
            if (backoff_.first_in_pause(client))
                report(*credentials, request,
                       "refused unchecked: the address has to pause; later logins in this pause have no entry");
            co_return refuse_in_pause(*left, request);
        }
        if (user != nullptr && present() < user->remembered_until &&
            ::sodium_memcmp(user->remembered.data(), digest.data(), digest.size()) == 0)
            co_return admitted(credentials->user);
        const auto same = find_try(digest, client);
        if (!same) break;
        co_await same->ended.wait(TimePoint::max()); // it ends when the authenticator's thread has looked at it
        if (!same->right) continue;                  // its request was given up
        if (*same->right) co_return admitted(credentials->user);
        co_return ask_for_login(request, wrong_credentials);
    }

    if (tries_.size() > options_.most_waiting)
        co_return refuse_for(busy_wait, request, 503, "too many logins are being checked, try again in 1 s");
    if (const auto wait = backoff_.begin(client, present()))
        co_return refuse_for(*wait, request, 429, "too many logins from this address at the same time");

    const auto look = std::make_shared<Try>(context_, digest, client);
    const Turn turn(*this, look);
    auto work = [this, hash = user ? user->settings.password_hash : decoy_hash_, password = credentials->password] {
        return options_.matches(hash, password);
    };
    bool no_memory = false;
    bool matched = false;
    try {
        matched = co_await worker_.run(std::move(work));
    } catch (const std::bad_alloc&) {
        no_memory = true;
    }
    if (no_memory) co_return refuse_for(busy_wait, request, 503, "there is no memory to check the password");

    look->right = matched && user != nullptr;
    if (*look->right) {
        backoff_.succeeded(client);
        user->remembered = digest;
        user->remembered_until = present() + options_.memory;
        co_return admitted(credentials->user);
    }
    const auto pause = backoff_.failed(client, present());
    std::string reason = user != nullptr ? "wrong password" : "unknown user";
    if (pause > Duration::zero()) reason += ", next login accepted in " + config::format_duration(pause);
    report(*credentials, request, std::move(reason));
    co_return ask_for_login(request, wrong_credentials);
}

Authenticator::Digest Authenticator::digest_of(const Credentials& credentials) const
{
    // Neither part holds NUL, so that no two credentials become the same text.
    const std::string text = credentials.user + '\0' + credentials.password;
    Digest digest{};
    ::crypto_generichash(digest.data(), digest.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                         key_.data(), key_.size());
    return digest;
}

Authenticator::User* Authenticator::find(std::string_view name)
{
    const auto found =
        std::find_if(users_.begin(), users_.end(), [&](const User& user) { return user.settings.name == name; });
    return found == users_.end() ? nullptr : &*found;
}

std::shared_ptr<Authenticator::Try> Authenticator::find_try(const Digest& digest, const ClientNetwork& client) const
{
    const auto found = std::find_if(tries_.begin(), tries_.end(), [&](const std::shared_ptr<Try>& one) {
        return one->client == client && ::sodium_memcmp(one->digest.data(), digest.data(), digest.size()) == 0;
    });
    return found == tries_.end() ? nullptr : *found;
}

void Authenticator::report(const Credentials& credentials, const http::Request& request, std::string reason) const
{
    if (!options_.on_failure) return;
    options_.on_failure({.user = printable(shortened(credentials.user, longest_reported)),
                         .address = http::plain_address(request.peer.address()).to_string(),
                         .reason = std::move(reason)});
}

Entry Authenticator::ask_for_login(const http::Request& request, std::string detail) const
{
    auto response = http::problem(request, 401, std::move(detail));
    response.set(http::field::www_authenticate, challenge_);
    return refused(std::move(response));
}

} // namespace hotspare::monitor
