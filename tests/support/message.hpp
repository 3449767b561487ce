// An HTTP/1.x message as a test sees it, and a reader that takes it apart byte by byte. Deliberately independent of
// common/http and of Beast, and unforgiving: whatever the balancer sends to either side must be well-formed, so
// anything that is not is reported as broken rather than repaired. Bodies are counted and hashed, not kept, past a
// small limit.
//
// Thread: none; a value used by its owner.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::test {

struct Header {
    std::string name;
    std::string value;
};

/// FNV-1a, 64 bits, over a sequence of pieces.
class BodyHash {
public:
    void add(std::string_view bytes) noexcept;
    std::uint64_t value() const noexcept { return value_; }

private:
    std::uint64_t value_ = 0xcbf29ce484222325U;
};

/// A body of any size that both ends can make and check without keeping it: byte i depends on i, and the period is a
/// prime, so that a lost, repeated or swapped buffer changes the hash.
class Pattern {
public:
    explicit Pattern(std::uint64_t size) noexcept : left_(size) {}
    std::uint64_t left() const noexcept { return left_; }
    /// The next bytes, at most `limit` of them; empty at the end. Valid for ever.
    std::string_view next(std::size_t limit = std::numeric_limits<std::size_t>::max()) noexcept;
    static std::uint64_t hash(std::uint64_t size);

private:
    std::uint64_t left_;
    std::size_t position_ = 0;
};

struct Message {
    std::string start_line;
    std::vector<Header> headers; ///< in the order received
    std::string head;            ///< start line and header exactly as received, with the empty line
    std::string body;            ///< its first bytes, as many as the reader was told to keep
    std::uint64_t body_bytes = 0;
    std::uint64_t body_hash = 0;
    std::vector<Header> trailers;
    std::vector<int> interim; ///< statuses of the 1xx answers before this response
    bool chunked = false;

    /// Requests: the words of the start line; empty if there are fewer.
    std::string_view method() const noexcept;
    std::string_view target() const noexcept;
    /// Responses: 0 if the start line holds none.
    int status() const noexcept;
    /// Value of the first field of this name, in any case.
    std::optional<std::string> header(std::string_view name) const;
    std::size_t count(std::string_view name) const noexcept;
    /// True if the comma-separated list in any field of this name holds `token`, in any case.
    bool lists(std::string_view name, std::string_view token) const noexcept;
    /// Whether the sender allows another message on the connection.
    bool keep_alive() const noexcept;
};

class MessageReader {
public:
    enum class Kind { request, response };

    explicit MessageReader(Kind kind, std::size_t keep_body = 64 * 1024) noexcept : kind_(kind), keep_body_(keep_body)
    {
    }

    /// For responses: the next one answers a HEAD request and has no body whatever its header says.
    void expect_no_body() noexcept { bodiless_ = true; }

    /// Takes bytes up to the end of the message and returns how many; the rest belongs to the next message.
    std::size_t feed(std::string_view bytes);
    /// The peer closed: completes a body that ends with the connection.
    void feed_end() noexcept;
    /// Forgets the message and begins the next one.
    void restart();

    bool untouched() const noexcept { return state_ == State::head && line_.empty() && message_.head.empty(); }
    bool head_complete() const noexcept { return state_ != State::head && state_ != State::broken; }
    bool complete() const noexcept { return state_ == State::complete; }
    bool broken() const noexcept { return state_ == State::broken; }
    const std::string& reason() const noexcept { return reason_; } ///< why it is broken
    const Message& message() const noexcept { return message_; }

private:
    enum class State {
        head,
        sized_body,
        chunk_size,
        chunk_data,
        chunk_end,
        trailers,
        body_until_close,
        complete,
        broken
    };

    void take_line();
    void end_of_head();
    void take_body(std::string_view bytes);
    void finish() noexcept;
    void fail(std::string reason);
    bool parse_field(std::string_view line, std::vector<Header>& into);

    Kind kind_;
    std::size_t keep_body_;
    State state_ = State::head;
    bool bodiless_ = false;
    std::string line_;
    std::uint64_t left_ = 0;
    BodyHash hash_;
    Message message_;
    std::string reason_;
};

bool equal_ignoring_case(std::string_view a, std::string_view b) noexcept;

} // namespace hotspare::test
