// The reading of message heads (RFC 9112): the one place that decides what a request line, a field, a framing, a Host
// is. Who reads a head, the balancer's data plane (balancer/serve/message_head) or the suite's own servers and clients
// (head_parts.hpp), does so with these parts: they differ in what they do with them, not in what they accept.
//
// Towards clients it is strict: what two implementations could read differently is refused, so that nothing behind us
// can be made to see another request than we did. A server is configured by the operator, not an attacker: what nginx,
// HAProxy and Caddy all take from one, and what can mean only one thing, is read (docs/http.md has the list) and never
// copied, only written anew.
//
// PURE: text in, verdict out. Any thread. Views that come out point into what went in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::http {

/// Who wrote the message: how strictly it is read.
enum class Sender : std::uint8_t { client, server };

/// Why a message was refused: the status for the client and one sentence.
struct Rejection {
    unsigned status = 400;
    std::string_view detail;
    std::string_view field{}; ///< the name of the header field that is to blame, if there is one
};
/// The sentence for a reader.
std::string to_sentence(const Rejection& rejection);

struct HeadLimits {
    std::size_t request_line = 8 * 1024; ///< 414; without its line end
    std::size_t head = 16 * 1024;        ///< 431, request line included
    std::size_t fields = 100;            ///< 431
};

/// No method is longer (the longest registered one has 17 characters): 501 (RFC 9112 §3).
constexpr std::size_t longest_method = 64;

/// Finds the end of a head that arrives in pieces. What is complete already but can never become valid is refused at
/// once, because waiting for the rest would only end in a timeout.
class HeadScanner {
public:
    enum class Found : std::uint8_t { incomplete, complete, rejected };

    explicit HeadScanner(Sender sender = Sender::client) noexcept : sender_(sender) {}

    /// `received` is everything from the first byte of the message on; call again with more when incomplete. Looks for
    /// line ends, limits and obs-fold; the lines of a head that is complete are left to who parses it.
    Found scan(std::string_view received, const HeadLimits& limits);

    std::size_t head_size() const noexcept { return line_start_; }     ///< final empty line included; when complete
    const Rejection& rejection() const noexcept { return rejection_; } ///< when rejected; its views as `received`
    void reset() noexcept { *this = HeadScanner(sender_); }

private:
    Found reject(unsigned status, std::string_view detail);
    Found judge_beginning(std::string_view received, const HeadLimits& limits);
    Found judge_long_line(std::string_view line);

    Sender sender_;
    std::size_t seen_ = 0;
    std::size_t line_start_ = 0;
    std::size_t judged_ = 0; ///< up to here the lines are known to be sound
    std::size_t lines_ = 0;
    Rejection rejection_;
};

struct RequestLine {
    std::string_view method;
    std::string_view target;
    unsigned minor = 1;  ///< 0 or 1: a later version of HTTP/1 is read as 1.1 (RFC 9110 §2.5)
    bool dotted = false; ///< the target holds a character of CharKind::dotted_char
};

struct StatusLine {
    unsigned status = 0; ///< 100 to 999
    std::string_view reason;
    unsigned minor = 1;
};

struct FieldLine {
    std::string_view name;
    std::string_view value; ///< without the blanks around it
};

/// Each takes one complete line, its end included, off `head`.
std::optional<Rejection> read_request_line(std::string_view& head, RequestLine& out);
std::optional<Rejection> read_status_line(std::string_view& head, StatusLine& out);
std::optional<Rejection> read_field(std::string_view& head, Sender sender, FieldLine& out);
/// Whether only the final empty line is left.
inline bool at_end(std::string_view head) noexcept
{
    return head == "\r\n" || head == "\n" || head.empty();
}

/// How a message shows where its body ends.
enum class Framing : std::uint8_t { none, length, chunked, until_close };

/// What a head says about where its message ends (RFC 9112 §6.3).
class FramingFields {
public:
    void add_content_length(std::string_view value) noexcept;
    void add_transfer_encoding(std::string_view value) noexcept;

    bool has_content_length() const noexcept { return lengths_ != Lengths::none; }
    bool has_transfer_encoding() const noexcept { return codings_ != Codings::none; }
    bool chunked() const noexcept { return codings_ == Codings::chunked; }
    std::uint64_t content_length() const noexcept { return length_; }

    /// Of a request: all but unknown codings. A request has one framing at most, its length once.
    std::optional<Rejection> judge_request(unsigned minor) const noexcept;
    /// 501 for codings that we do not know before a final `chunked`.
    std::optional<Rejection> judge_codings() const noexcept;
    /// Of a response, `to_head` if it is one to HEAD: equal lengths count as one, and what has no body may say about it
    /// what it likes.
    std::optional<Rejection> judge_response(unsigned status, bool to_head, Framing& out) const noexcept;

private:
    enum class Lengths : std::uint8_t { none, one, equal, different, invalid };
    enum class Codings : std::uint8_t {
        none,
        chunked,
        unknown_last,        ///< no `chunked`: where such a request ends cannot be told
        unknown_and_chunked, ///< ends as chunks do, but its content is not known to us
        faulty
    };

    Lengths lengths_ = Lengths::none;
    Codings codings_ = Codings::none;
    std::uint64_t length_ = 0;
};

/// What of a request decides whether and for whom it is served. A reader gives it the fields that it meets, then asks.
class RequestRules {
public:
    FramingFields framing;
    std::string_view host{}; ///< empty if there is none
    unsigned hosts = 0;
    bool expects_continue = false;
    bool other_expectation = false;

    void take_host(std::string_view value) noexcept
    {
        ++hosts;
        host = value;
    }
    void take_expect(std::string_view value) noexcept;

    /// Whom the target names.
    struct Target {
        std::string_view authority{};    ///< of an absolute-form target, else empty
        std::string_view path_and_query; ///< "*" for the server as a whole
        bool no_path = false;            ///< "http://host?query": the path is "/" and stands nowhere
    };

    /// The first that applies: ambiguous framing, Host, CONNECT, the target's form (RFC 9112 §3.2), Expect, unknown
    /// codings.
    std::optional<Rejection> judge(const RequestLine& line, Target& target) const;
};

} // namespace hotspare::http
