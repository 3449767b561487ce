// The channels that notifications go to, as they are written in a configuration file: each has a name and either a mail
// server with recipients or the URL of a webhook. Secrets are not written there but taken from the environment, so that
// no printed configuration shows them.
//
// Filled before the daemon starts, immutable afterwards.
#pragma once

#include "common/config.hpp"
#include "common/notify/courier.hpp"
#include "monitor/decide/notification.hpp"
#include "monitor/notify/wording.hpp"

#include <boost/asio/awaitable.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

struct MailSettings {
    notify::MailServer server{}; ///< user and password from the environment
    std::string from{};          ///< empty: the user
    std::string from_name = "Availability monitor";
    std::vector<std::string> to{};
    // Variables of the environment:
    std::string user_variable = "MAIL_USER";
    std::string password_variable = "MAIL_PASS";
    std::string to_variable = "MAIL_RECEIVER"; ///< addresses, separated by commas; used if `to` is empty
};

enum class WebhookShape : std::uint8_t { json, slack };

struct WebhookSettings {
    notify::Webhook hook{}; ///< its secret from the environment
    WebhookShape shape = WebhookShape::json;
    std::string url_variable{}; ///< used if there is no URL, which may be a secret itself
    std::string secret_variable{};
};

struct Channel {
    std::string name;
    bool outages = true;
    bool maintenance = true;
    std::string needs_variable{}; ///< of the environment: without it the channel is left out
    MailSettings mail{};
    WebhookSettings webhook{};

    bool is_mail() const noexcept { return !mail.server.host.empty(); }
};

void fields(config::Fields& field, Channel& channel);

/// The rule for the list: field("channels", s.channels, "…", {is_channel_list, a_channel_list}).
bool is_channel_list(const std::vector<Channel>& list);
inline constexpr auto a_channel_list = "at most 100 channels";

/// Takes the secrets from the environment, leaves out channels whose variable is not set, and refuses what is
/// incomplete or does not fit together; `path` is the key of the list. For the start of the daemon.
void finish_channels(std::vector<Channel>& channels, const config::Places& places, std::string_view path,
                     const config::Lookup& environment);

/// Makes one attempt of a delivery, with its words. `instance` tells this monitor from others whose mails and calls
/// reach the same receivers: letters, digits, '.', '_' and '-'. `courier` and `channel` must outlive the call.
boost::asio::awaitable<Attempted> attempt(notify::Courier& courier, const Channel& channel, std::string instance,
                                          std::uint64_t delivery, Wording words, WallTime date);
/// The id under which its receivers know a delivery.
std::string delivery_id(std::string_view instance, std::uint64_t delivery);

} // namespace hotspare::monitor
