#include "common/notify/transfer.hpp"

#include "common/http/message.hpp"

#include <sodium/crypto_auth_hmacsha256.h>
#include <sodium/utils.h>

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

namespace hotspare::notify {
namespace {

constexpr std::size_t most_read = 64 * 1024; ///< of an answer
constexpr std::size_t most_kept = 512;
constexpr curl_off_t longest_wait = 24 * 60 * 60;

struct Received {
    std::size_t bytes = 0;
    std::string kept{};
};

std::size_t receive(char* data, std::size_t size, std::size_t count, void* user)
{
    auto& received = *static_cast<Received*>(user);
    const auto bytes = size * count;
    received.kept.append(data, std::min(bytes, most_kept - received.kept.size()));
    received.bytes += bytes;
    return received.bytes > most_read ? 0 : bytes; // 0 ends the transfer
}

bool is_webhook_url(const std::string& url)
{
    return (url.starts_with("http://") || url.starts_with("https://")) &&
           std::all_of(url.begin(), url.end(), [](char c) { return c > ' ' && c < 0x7f; });
}

/// What may be told of a URL: scheme, user and path left out.
std::string host_of(const std::string& url)
{
    const auto begin = url.find("://") + 3;
    const auto authority = url.substr(begin, url.find_first_of("/?#", begin) - begin);
    return authority.substr(authority.rfind('@') + 1); // npos + 1 is 0
}

bool is_retryable(long status) noexcept
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

Outcome outcome_of(const Transfer& transfer, long status, const Received& received)
{
    if (status >= 200 && status < 300) return {.delivered = true};
    Outcome outcome{.retryable = is_retryable(status)};
    if (outcome.retryable && transfer.retry_after() > 0)
        outcome.retry_after = seconds(std::min(transfer.retry_after(), longest_wait));
    const auto reason = http::reason_phrase(static_cast<unsigned>(status));
    outcome.why = fmt::format("answered HTTP {}{}{}", status, reason.empty() ? "" : " ", reason);
    if (status >= 300 && status < 400)
        outcome.why += ", a redirect, which is not followed";
    else if (const auto said = transfer.shown(received.kept); !said.empty())
        outcome.why += ": " + said;
    return outcome;
}

} // namespace

std::string signature(std::string_view body, std::string_view secret)
{
    const auto bytes = [](std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); };
    crypto_auth_hmacsha256_state state;
    std::array<unsigned char, crypto_auth_hmacsha256_BYTES> digest{};
    ::crypto_auth_hmacsha256_init(&state, bytes(secret), secret.size());
    ::crypto_auth_hmacsha256_update(&state, bytes(body), body.size());
    ::crypto_auth_hmacsha256_final(&state, digest.data());
    std::array<char, 2 * crypto_auth_hmacsha256_BYTES + 1> hex{};
    ::sodium_bin2hex(hex.data(), hex.size(), digest.data(), digest.size());
    ::sodium_memzero(&state, sizeof state);
    return fmt::format("sha256={}", hex.data());
}

Outcome call_webhook(const Webhook& webhook, const std::string& body, const std::string& delivery,
                     const std::atomic<bool>& stop)
{
    if (!is_webhook_url(webhook.url)) return {.why = "the URL of the webhook is not http://... or https://..."};
    const auto is_visible = [](char c) { return c > ' ' && c < 0x7f; };
    if (!std::all_of(delivery.begin(), delivery.end(), is_visible)) return {.why = "the delivery has no valid id"};

    Transfer transfer(webhook.deadline, stop);
    transfer.hide(webhook.secret);
    transfer.hide(webhook.url);
    transfer.set_text(CURLOPT_URL, webhook.url);
    transfer.set_text(CURLOPT_PROTOCOLS_STR, "http,https");
    if (!webhook.ca_file.empty()) transfer.set_text(CURLOPT_CAINFO, webhook.ca_file);

    StringList fields;
    fields.add("Content-Type: application/json");
    fields.add("User-Agent: hotspare");
    fields.add("Expect:"); // a body of this size is not announced
    if (!delivery.empty()) fields.add("X-Hotspare-Delivery: " + delivery);
    if (!webhook.secret.empty()) fields.add("X-Hotspare-Signature: " + signature(body, webhook.secret));
    transfer.set(CURLOPT_HTTPHEADER, fields.get());
    transfer.set(CURLOPT_POST, 1L);
    transfer.set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
    transfer.set(CURLOPT_POSTFIELDS, body.data());
    Received received;
    transfer.set(CURLOPT_WRITEFUNCTION, &receive);
    transfer.set(CURLOPT_WRITEDATA, static_cast<void*>(&received));

    const auto code = transfer.run();
    const auto status = transfer.code();
    // A long answer is cut off; its status counts.
    const bool answered = code == CURLE_OK || (code == CURLE_WRITE_ERROR && received.bytes > most_read);
    auto outcome = answered && status >= 200 ? outcome_of(transfer, status, received) : transfer.failed(code);
    if (!outcome.delivered) outcome.why = fmt::format("webhook {}: {}", host_of(webhook.url), outcome.why);
    return outcome;
}

} // namespace hotspare::notify
