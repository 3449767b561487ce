// A mail as a message of RFC 5322: plain text in UTF-8, made so that nothing in a subject, a name or an address can add
// a header field. Sending it is the Courier's.
//
// PURE. Any thread.
#pragma once

#include "common/clock.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::notify {

struct Mail {
    std::string from_name{}; ///< may be empty
    std::string from{};      ///< local@domain
    std::vector<std::string> to{};
    std::string subject{};
    std::string text{};
    /// Letters, digits, '.', '_' and '-': the same for every attempt of a delivery and for no other, as it becomes the
    /// Message-ID, by which a mailbox recognises what it has already.
    std::string delivery{};
    WallTime date{};
};

/// Why the mail cannot be sent, a clause for people; nothing if it can.
std::optional<std::string> refuse_mail(const Mail& mail);

/// Header and body, lines ended by CR LF. Precondition: not refused.
std::string mail_message(const Mail& mail);

/// One address, local@domain in ASCII, without quotes and comments.
bool is_mail_address(std::string_view text) noexcept;

/// A text as the value of a header field: itself if it is short printable ASCII, else as encoded words (RFC 2047), each
/// of whole characters and on a line of its own.
std::string encoded_words(std::string_view text);

std::string base64(std::string_view bytes);

} // namespace hotspare::notify
