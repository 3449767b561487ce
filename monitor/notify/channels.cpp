#include "monitor/notify/channels.hpp"

#include "common/text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <utility>

namespace hotspare::config {

using namespace std::string_view_literals;

template <> struct EnumNames<notify::MailServer::Security> {
    static constexpr std::array names{
        std::pair{"starttls"sv, notify::MailServer::Security::starttls},
        std::pair{"tls"sv, notify::MailServer::Security::tls},
        std::pair{"none"sv, notify::MailServer::Security::none},
    };
};

template <> struct EnumNames<monitor::WebhookShape> {
    static constexpr std::array names{
        std::pair{"json"sv, monitor::WebhookShape::json},
        std::pair{"slack"sv, monitor::WebhookShape::slack},
    };
};

} // namespace hotspare::config

namespace hotspare::monitor {
namespace {

constexpr std::size_t most_channels = 100;
constexpr Duration shortest = milliseconds(100);
constexpr Duration longest = std::chrono::minutes(10);

bool is_host_or_empty(const std::string& text)
{
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
               c == ':';
    });
}

bool is_address_or_empty(const std::string& text)
{
    return text.empty() || notify::is_mail_address(text);
}
constexpr auto an_address = "an address such as ops@example.com";

/// It goes into the head of mails.
bool is_line(const std::string& text)
{
    return is_utf8(text) && !has_control_character(text);
}

bool are_addresses(const std::vector<std::string>& list)
{
    return list.size() <= 100 && std::all_of(list.begin(), list.end(), notify::is_mail_address);
}

bool is_url_or_empty(const std::string& text)
{
    return text.empty() || ((text.starts_with("http://") || text.starts_with("https://")) &&
                            std::all_of(text.begin(), text.end(), [](char c) { return c > ' ' && c < 0x7f; }));
}

bool is_variable_or_empty(const std::string& text)
{
    return std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    });
}
constexpr auto a_variable = "the name of an environment variable";

std::string value_of(const config::Lookup& environment, const std::string& variable)
{
    return variable.empty() ? std::string() : environment(variable).value_or("");
}

std::vector<std::string> split(std::string_view list)
{
    std::vector<std::string> parts;
    while (!list.empty()) {
        const auto end = std::min(list.find(','), list.size());
        auto part = list.substr(0, end);
        while (part.starts_with(' ')) part.remove_prefix(1);
        while (part.ends_with(' ')) part.remove_suffix(1);
        if (!part.empty()) parts.emplace_back(part);
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return parts;
}

void finish_mail(MailSettings& mail, const config::Places& places, const std::string& here,
                 const config::Lookup& environment)
{
    mail.server.user = value_of(environment, mail.user_variable);
    mail.server.password = value_of(environment, mail.password_variable);
    if (mail.from.empty()) mail.from = mail.server.user;
    if (!notify::is_mail_address(mail.from))
        places.fail(here + ".from",
                    fmt::format("no sender, expected {}, here or in the variable {}", an_address, mail.user_variable));
    if (mail.to.empty()) mail.to = split(value_of(environment, mail.to_variable));
    if (mail.to.empty() || !are_addresses(mail.to))
        places.fail(here + ".to",
                    fmt::format("no recipient, expected addresses, here or in the variable {}", mail.to_variable));
}

void finish_webhook(WebhookSettings& webhook, const config::Places& places, const std::string& here,
                    const config::Lookup& environment)
{
    if (webhook.hook.url.empty()) webhook.hook.url = value_of(environment, webhook.url_variable);
    if (webhook.hook.url.empty() || !is_url_or_empty(webhook.hook.url))
        places.fail(
            here + ".url_variable",
            fmt::format("the variable {} holds no URL, expected http://... or https://...", webhook.url_variable));
    webhook.hook.secret = value_of(environment, webhook.secret_variable);
    if (!webhook.secret_variable.empty() && webhook.hook.secret.empty())
        places.fail(here + ".secret_variable",
                    fmt::format("the variable {} is not set, expected the secret", webhook.secret_variable));
}

} // namespace

// Static, not in the anonymous namespace: config::Fields finds them by argument-dependent lookup.
static void fields(config::Fields& field, MailSettings& m)
{
    field("host", m.server.host, "mail server; empty = the channel is no mail",
          {is_host_or_empty, "a name or an address"});
    field("port", m.server.port, "port of the mail server", {1, std::nullopt});
    field("security", m.server.security,
          "starttls = required; tls = from the first byte on, usually on port 465; none = a password is sent to this "
          "machine only");
    field("ca_file", m.server.ca_file, "certificates to trust, PEM; empty = those of the system");
    field("timeout", m.server.deadline, "maximum time for one attempt", {shortest, longest});
    field("from", m.from, "address of the sender; empty = the user", {is_address_or_empty, an_address});
    field("from_name", m.from_name, "name of the sender", {is_line, "a text of UTF-8 without control characters"});
    field("to", m.to, "addresses of the recipients; empty = those in to_variable",
          {are_addresses, "at most 100 addresses such as ops@example.com"});
    field("user_variable", m.user_variable, "environment variable that holds the user; not set = no authentication",
          {is_variable_or_empty, a_variable});
    field("password_variable", m.password_variable, "environment variable that holds the password",
          {is_variable_or_empty, a_variable});
    field("to_variable", m.to_variable, "environment variable that holds recipients, separated by commas",
          {is_variable_or_empty, a_variable});
}

static void fields(config::Fields& field, WebhookSettings& w)
{
    field("url", w.hook.url, "URL that is called with POST; empty = that in url_variable, or the channel is no webhook",
          {is_url_or_empty, "http://... or https://...", config::Secret::url_path});
    field("shape", w.shape, "body of the calls: json = the monitor's own; slack = as Slack and its imitators read it");
    field("timeout", w.hook.deadline, "maximum time for one attempt", {shortest, longest});
    field("ca_file", w.hook.ca_file, "certificates to trust, PEM; empty = those of the system");
    field("url_variable", w.url_variable, "environment variable that holds the URL, if that is a secret",
          {is_variable_or_empty, a_variable});
    field("secret_variable", w.secret_variable,
          "environment variable that holds the secret of X-Hotspare-Signature; empty = calls are not signed",
          {is_variable_or_empty, a_variable});
}

void fields(config::Fields& field, Channel& c)
{
    field("name", c.name, "name of the channel", {config::is_name, config::a_name});
    field("outages", c.outages, "tell outages and recoveries");
    field("maintenance", c.maintenance, "tell maintenance");
    field("needs_variable", c.needs_variable,
          "environment variable without which the channel is left out; empty = it always exists",
          {is_variable_or_empty, a_variable});
    field("mail", c.mail, "mail; either this or webhook");
    field("webhook", c.webhook, "webhook; either this or mail");
}

bool is_channel_list(const std::vector<Channel>& list)
{
    return list.size() <= most_channels;
}

void finish_channels(std::vector<Channel>& channels, const config::Places& places, std::string_view path,
                     const config::Lookup& environment)
{
    std::map<std::string, std::size_t> names;
    std::vector<Channel> present;
    for (std::size_t i = 0; i < channels.size(); ++i) {
        Channel& channel = channels[i];
        const auto here = fmt::format("{}[{}]", path, i);
        if (const auto [same, is_new] = names.emplace(channel.name, i); !is_new)
            places.fail(here + ".name", fmt::format("duplicate name '{}', expected another than that of {}[{}]",
                                                    channel.name, path, same->second));
        if (!channel.needs_variable.empty() && value_of(environment, channel.needs_variable).empty()) continue;
        const bool is_webhook = !channel.webhook.hook.url.empty() || !channel.webhook.url_variable.empty();
        if (channel.is_mail() == is_webhook)
            places.fail(here, fmt::format("the channel '{}' has {}, expected `mail.host`, `webhook.url` or "
                                          "`webhook.url_variable`",
                                          channel.name, is_webhook ? "two receivers" : "no receiver"));
        if (is_webhook)
            finish_webhook(channel.webhook, places, here + ".webhook", environment);
        else
            finish_mail(channel.mail, places, here + ".mail", environment);
        present.push_back(std::move(channel));
    }
    channels = std::move(present);
}

boost::asio::awaitable<Attempted> attempt(notify::Courier& courier, const Channel& channel, std::string instance,
                                          std::uint64_t delivery, Wording words, WallTime date)
{
    auto id = delivery_id(instance, delivery);
    notify::Outcome outcome;
    if (channel.is_mail()) {
        notify::Mail mail{.from_name = channel.mail.from_name,
                          .from = channel.mail.from,
                          .to = channel.mail.to,
                          .subject = std::move(words.subject),
                          .text = std::move(words.text),
                          .delivery = std::move(id),
                          .date = date};
        auto server = channel.mail.server;
        outcome = co_await courier.send(std::move(server), std::move(mail));
    } else {
        auto hook = channel.webhook.hook;
        auto body = std::move(channel.webhook.shape == WebhookShape::slack ? words.slack : words.json);
        outcome = co_await courier.call(std::move(hook), std::move(body), std::move(id));
    }
    co_return Attempted{.delivered = outcome.delivered,
                        .final = !outcome.delivered && !outcome.retryable,
                        .retry_after = outcome.retry_after,
                        .why = std::move(outcome.why)};
}

std::string delivery_id(std::string_view instance, std::uint64_t delivery)
{
    return fmt::format("{}-{}", instance, delivery);
}

} // namespace hotspare::monitor
