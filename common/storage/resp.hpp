// What Redis is told and what it answers, as bytes (RESP2, https://redis.io/docs/reference/protocol-spec/): commands
// become one request, and the bytes of the answer become replies. The parsing is hiredis'; the bounds are ours.
// Connecting, waiting and deadlines are in redis.hpp.
//
// PURE. Thread: any, one at a time per ReplyReader. Owner: a connection has one ReplyReader, for as long as it is open.
#pragma once

#include "common/error.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

struct redisReader;

namespace hotspare::storage::redis {

struct Reply {
    enum class Kind : std::uint8_t { nil, integer, text, list, error };

    Kind kind = Kind::nil;
    std::int64_t integer = 0;
    std::string text; ///< any bytes; also of status lines ("OK") and of errors ("ERR syntax error")
    std::vector<Reply> list;

    bool is_error() const noexcept { return kind == Kind::error; }
};

/// The name of the command and its arguments, at least the name; any bytes.
using Command = std::vector<std::string>;

/// Of one request, and of the answer to one request: bytes received, and bytes of memory that its replies take.
constexpr std::size_t max_exchange = 16 * 1024 * 1024;

/// The commands one behind the other. errc::too_large beyond max_exchange; errc::malformed when one of them is empty:
/// Redis would never answer it.
result<std::string> encode(std::span<const Command> commands);

class ReplyReader {
public:
    ReplyReader();
    ~ReplyReader();

    ReplyReader(const ReplyReader&) = delete;
    ReplyReader& operator=(const ReplyReader&) = delete;

    /// The answer to another request begins: max_exchange is counted from here.
    void begin() noexcept;

    /// Takes bytes as they come, in pieces of any size. errc::too_large beyond max_exchange.
    result<void> feed(std::string_view bytes);

    /// The next reply, nothing if it is not complete yet. errc::malformed when the bytes are no RESP2 or nest deeper
    /// than 7 lists, errc::too_large beyond max_exchange; nothing more can be read after either.
    result<std::optional<Reply>> next();

    /// Whether bytes are left that next() has not returned.
    bool has_rest() const noexcept;

private:
    struct Bound {
        std::size_t received = 0;
        std::size_t built = 0;
        bool exceeded = false;
    };
    struct Build; ///< the functions that hiredis calls for each part of a reply
    struct Free {
        void operator()(redisReader* reader) const noexcept;
    };

    std::unique_ptr<Bound> bound_ = std::make_unique<Bound>(); ///< hiredis holds its address
    std::unique_ptr<redisReader, Free> reader_;
};

} // namespace hotspare::storage::redis
