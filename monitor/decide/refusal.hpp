// Why a command of an operator is not carried out: the field that is wrong, and what is wrong with it, for people.
//
// PURE. Any thread.
#pragma once

#include <boost/system/result.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::monitor {

struct Refusal {
    std::string field;   ///< as the HTTP interface names it: "start_time"
    std::string message; ///< a clause: "start_time must be at least 48 h ahead"

    friend bool operator==(const Refusal&, const Refusal&) = default;
};

/// The value, or why there is none. Read it with operator*, never with value().
template <class T> using Accepted = boost::system::result<T, Refusal>;

enum class TextKind : unsigned char {
    line,      ///< no line breaks and no other control characters
    paragraph, ///< line breaks and tabs are welcome
};

/// Of a message of an operator, in bytes.
inline constexpr std::size_t longest_message = 16 * 1024;

/// Why a text of an operator is not accepted: it is no UTF-8, longer than so many bytes, holds characters that its kind
/// does not, or nothing that a reader could see although it is `required`.
std::optional<Refusal> refuse_text(std::string_view field, std::string_view text, TextKind kind, std::size_t most_bytes,
                                   bool required);

/// A name that a client wrote, as a refusal shows it: printable, and cut behind 64 bytes.
std::string shown_name(std::string_view name);

} // namespace hotspare::monitor
