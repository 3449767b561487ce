#include "common/notify/transfer.hpp"

#include <boost/asio/ip/address.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace hotspare::notify {
namespace {

/// What is left of the message to be sent.
std::size_t give(char* buffer, std::size_t size, std::size_t count, void* left) noexcept
{
    auto& message = *static_cast<std::string_view*>(left);
    const auto bytes = std::min(size * count, message.size());
    std::memcpy(buffer, message.data(), bytes);
    message.remove_prefix(bytes);
    return bytes;
}

/// Keeps the latest reply line that refuses something. Those of libcurl's QUIT follow it.
std::size_t note_reply(char* data, std::size_t size, std::size_t count, void* refusal)
{
    const std::string_view line(data, size * count);
    if (line.starts_with('4') || line.starts_with('5')) static_cast<std::string*>(refusal)->assign(line);
    return size * count;
}

bool is_this_machine(const std::string& host)
{
    boost::system::error_code not_an_address;
    const auto address = boost::asio::ip::make_address(host, not_an_address);
    return not_an_address ? host == "localhost" : address.is_loopback();
}

std::string authority_of(const MailServer& server)
{
    const bool is_ipv6 = server.host.find(':') != server.host.npos;
    return fmt::format("{}{}{}:{}", is_ipv6 ? "[" : "", server.host, is_ipv6 ? "]" : "", server.port);
}

} // namespace

Outcome send_mail(const MailServer& server, const Mail& mail, const std::atomic<bool>& stop)
{
    using Security = MailServer::Security;
    if (auto refused = refuse_mail(mail)) return {.why = std::move(*refused)};
    if (server.security == Security::none && !server.password.empty() && !is_this_machine(server.host))
        return {.why = "a password is not sent without TLS to another machine"};

    Transfer transfer(server.deadline, stop);
    transfer.hide(server.password);
    transfer.hide(base64(server.password));
    transfer.hide(base64(std::string("\0", 1) + server.user + std::string("\0", 1) + server.password)); // AUTH PLAIN

    const bool implicit = server.security == Security::tls;
    transfer.set_text(CURLOPT_URL, fmt::format("{}://{}", implicit ? "smtps" : "smtp", authority_of(server)));
    transfer.set_text(CURLOPT_PROTOCOLS_STR, implicit ? "smtps" : "smtp");
    transfer.set(CURLOPT_USE_SSL,
                 static_cast<long>(server.security == Security::starttls ? CURLUSESSL_ALL : CURLUSESSL_NONE));
    if (!server.ca_file.empty()) transfer.set_text(CURLOPT_CAINFO, server.ca_file);
    if (!server.user.empty()) {
        transfer.set_text(CURLOPT_USERNAME, server.user);
        transfer.set_text(CURLOPT_PASSWORD, server.password);
    }
    transfer.set_text(CURLOPT_MAIL_FROM, fmt::format("<{}>", mail.from));
    StringList recipients;
    for (const auto& address : mail.to) recipients.add(fmt::format("<{}>", address));
    transfer.set(CURLOPT_MAIL_RCPT, recipients.get());

    const auto message = mail_message(mail);
    std::string_view left = message;
    transfer.set(CURLOPT_UPLOAD, 1L);
    transfer.set(CURLOPT_READFUNCTION, &give);
    transfer.set(CURLOPT_READDATA, static_cast<void*>(&left));
    std::string refusal;
    transfer.set(CURLOPT_HEADERFUNCTION, &note_reply);
    transfer.set(CURLOPT_HEADERDATA, static_cast<void*>(&refusal));

    const auto code = transfer.run();
    if (code == CURLE_OK) return {.delivered = true};
    const auto reply = transfer.code();
    const bool refused = reply >= 400 && reply < 600 && !refusal.empty() && code != CURLE_OPERATION_TIMEDOUT && !stop;
    auto outcome = transfer.failed(code);
    if (refused) {
        outcome.retryable = reply < 500;
        outcome.why = fmt::format("answered {}", transfer.shown(refusal));
    }
    outcome.why = fmt::format("mail server {}: {}", server.host, outcome.why);
    return outcome;
}

} // namespace hotspare::notify
