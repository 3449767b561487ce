// Delivers mails (SMTP) and calls webhooks (HTTP), one attempt each, through libcurl. Its transfers block, so that they
// run on a few threads of the Courier's own; a coroutine waits for the outcome on its own executor. When to try again
// is the caller's.
//
// Every transfer has a deadline. What went wrong is told as a clause for people, without passwords, secrets, and the
// paths of URLs, which may be secrets as well.
//
// Thread: all calls on the one of the coroutines that call it. Owner: the component that notifies; its coroutines must
// have ended before it is destroyed, which stop() hastens.
#pragma once

#include "common/clock.hpp"
#include "common/notify/mail.hpp"
#include "common/storage/worker.hpp"

#include <boost/asio/awaitable.hpp>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::notify {

namespace asio = boost::asio;

/// How an attempt ended.
struct Outcome {
    bool delivered = false;
    bool retryable = false;                    ///< not delivered, but may be another time
    std::optional<milliseconds> retry_after{}; ///< what the receiver asked for
    std::string why{};                         ///< not delivered: the reason, for people
};

struct MailServer {
    enum class Security : std::uint8_t {
        starttls, ///< required: without it nothing is sent
        tls,      ///< from the first byte on
        none,     ///< then a password is sent to this machine only
    };

    std::string host{};
    std::uint16_t port = 587;
    Security security = Security::starttls;
    std::string user{}; ///< empty: no authentication
    std::string password{};
    std::string ca_file{};           ///< certificates to trust; empty: those of the system
    Duration deadline = seconds(30); ///< of everything
};

struct Webhook {
    std::string url{}; ///< http or https
    /// If not empty, calls have the header field X-Hotspare-Signature: sha256=<hex HMAC of the body>.
    std::string secret{};
    std::string ca_file{};
    Duration deadline = seconds(10);
};

/// "sha256=" and the HMAC-SHA-256 (RFC 2104) of the body in hexadecimal.
std::string signature(std::string_view body, std::string_view secret);

class Courier {
public:
    /// `most_waiting`: transfers under way and waiting; another one is refused as retryable.
    explicit Courier(std::size_t threads = 2, std::size_t most_waiting = 64);
    ~Courier();

    Courier(const Courier&) = delete;
    Courier& operator=(const Courier&) = delete;

    /// A reply 4yz and a failure of the network are retryable, 5yz is final.
    asio::awaitable<Outcome> send(MailServer server, Mail mail);

    /// Posts a JSON document. 2xx is delivered; 408, 425, 429, 5xx and a failure of the network are retryable, every
    /// other status is final, also a redirect, which is not followed. `delivery` is sent as X-Hotspare-Delivery.
    asio::awaitable<Outcome> call(Webhook webhook, std::string body, std::string delivery);

    /// Ends what is under way, within about a second, and refuses more. May be repeated.
    void stop() noexcept { stopping_ = true; }

private:
    template <class Work> asio::awaitable<Outcome> run(Work work);

    const std::size_t most_waiting_;
    std::size_t waiting_ = 0;
    std::atomic<bool> stopping_ = false; ///< read by the transfers
    storage::Worker worker_;
};

} // namespace hotspare::notify
