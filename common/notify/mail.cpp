#include "common/notify/mail.hpp"

#include "common/text.hpp"
#include "common/time.hpp"

#include <sodium/utils.h>

#include <fmt/format.h>

#include <algorithm>

namespace hotspare::notify {
namespace {

constexpr std::size_t longest_address = 254; // RFC 5321 §4.5.3.1.3, without the angle brackets
constexpr std::size_t longest_subject = 400;
constexpr std::size_t longest_name = 200;
constexpr std::size_t most_recipients = 100; // what every server takes (RFC 5321 §4.5.3.1.8)
constexpr std::size_t longest_text = 1 << 20;
constexpr std::string_view line_end = "\r\n";

bool is_printable_ascii(std::string_view text) noexcept
{
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= ' ' && c < 0x7f; });
}

bool is_delivery(std::string_view text) noexcept
{
    return !text.empty() && text.size() <= 100 && std::all_of(text.begin(), text.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
               c == '-';
    });
}

std::optional<std::string> refuse_line(std::string_view what, std::string_view text, std::size_t most)
{
    if (text.size() > most) return fmt::format("{} is longer than {} bytes", what, most);
    if (!is_utf8(text)) return fmt::format("{} is not UTF-8", what);
    if (has_control_character(text)) return fmt::format("{} holds a line break or another control character", what);
    return std::nullopt;
}

/// A name before an address: in quotes, or encoded.
std::string phrase(std::string_view name)
{
    auto words = encoded_words(name);
    if (words != name) return words;
    std::string quoted = "\"";
    for (const char c : name) {
        if (c == '"' || c == '\\') quoted += '\\';
        quoted += c;
    }
    return quoted + "\"";
}

/// Lines of 76 characters (RFC 2045 §6.8) of the text, whose own lines end in CR LF.
std::string encoded_body(std::string_view text)
{
    constexpr std::size_t width = 76;
    std::string lines;
    lines.reserve(text.size() + text.size() / 16);
    char before = 0;
    for (const char c : text) {
        if (c == '\n' && before != '\r') lines += '\r';
        lines += c;
        before = c;
    }
    const auto encoded = base64(lines);
    std::string body;
    for (std::size_t at = 0; at < encoded.size(); at += width) {
        body.append(encoded, at, width);
        body += line_end;
    }
    return body;
}

} // namespace

bool is_mail_address(std::string_view text) noexcept
{
    const auto at = text.find('@');
    if (text.size() > longest_address || at == text.npos || at == 0 || at + 1 == text.size()) return false;
    if (text.find('@', at + 1) != text.npos || text.front() == '-') return false;
    return std::all_of(text.begin(), text.end(), [](char c) {
        return c > ' ' && c < 0x7f && std::string_view("()<>[]:;,\\\"").find(c) == std::string_view::npos;
    });
}

std::optional<std::string> refuse_mail(const Mail& mail)
{
    if (!is_mail_address(mail.from)) return "the sender is not an address";
    if (mail.to.empty()) return "there is no recipient";
    if (mail.to.size() > most_recipients) return fmt::format("there are more than {} recipients", most_recipients);
    for (const auto& address : mail.to)
        if (!is_mail_address(address)) return fmt::format("the recipient '{}' is not an address", printable(address));
    if (!is_delivery(mail.delivery)) return "the delivery has no valid id";
    if (auto refused = refuse_line("the sender's name", mail.from_name, longest_name)) return refused;
    if (auto refused = refuse_line("the subject", mail.subject, longest_subject)) return refused;
    if (mail.text.size() > longest_text) return fmt::format("the text is longer than {} bytes", longest_text);
    return std::nullopt;
}

std::string mail_message(const Mail& mail)
{
    auto date = format_http_date(mail.date);
    date.replace(date.size() - 3, 3, "+0000"); // RFC 5322 takes GMT only as an obsolete form
    std::string message = fmt::format("Date: {}\r\n", date);
    message += fmt::format("From: {}<{}>\r\n", mail.from_name.empty() ? "" : phrase(mail.from_name) + " ", mail.from);
    message += "To: ";
    for (std::size_t i = 0; i < mail.to.size(); ++i) message += (i == 0 ? "" : ",\r\n ") + mail.to[i];
    message += fmt::format("\r\nSubject: {}\r\n", encoded_words(mail.subject));
    message += fmt::format("Message-ID: <{}@{}>\r\n", mail.delivery, mail.from.substr(mail.from.find('@') + 1));
    // RFC 3834: so that no absence notice answers it.
    message += "Auto-Submitted: auto-generated\r\n"
               "MIME-Version: 1.0\r\n"
               "Content-Type: text/plain; charset=utf-8\r\n"
               "Content-Transfer-Encoding: base64\r\n"
               "\r\n";
    return message + encoded_body(mail.text);
}

std::string encoded_words(std::string_view text)
{
    constexpr std::size_t longest_plain = 60; // with "Subject: " below 78, the length of a line that RFC 5322 asks for
    constexpr std::size_t longest_word = 39;  // 52 characters of base64, in a line of at most 76 (RFC 2047)
    const bool is_plain = text.size() <= longest_plain && is_printable_ascii(text) && text.find("=?") == text.npos &&
                          !text.starts_with(' ') && !text.ends_with(' ');
    if (is_plain) return std::string(text);
    std::string words;
    while (!text.empty()) {
        std::size_t size = 0;
        while (size < text.size()) {
            const auto bytes = std::max<std::size_t>(first_character(text.substr(size)).bytes, 1);
            if (size + bytes > longest_word) break;
            size += bytes;
        }
        words += fmt::format("{}=?UTF-8?B?{}?=", words.empty() ? "" : "\r\n ", base64(text.substr(0, size)));
        text.remove_prefix(size);
    }
    return words;
}

std::string base64(std::string_view bytes)
{
    constexpr int variant = sodium_base64_VARIANT_ORIGINAL;
    std::string text(sodium_base64_ENCODED_LEN(bytes.size(), variant), '\0');
    ::sodium_bin2base64(text.data(), text.size(), reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size(),
                        variant);
    text.pop_back(); // the NUL
    return text;
}

} // namespace hotspare::notify
