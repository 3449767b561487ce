// The strict reading of a request's head (RFC 9112), before any parser sees it: what two implementations could read
// differently is refused here, so that nothing behind us can be made to see another request than we did.
//
// PURE: text in, verdict out. It does not interpret the message; that is left to Beast.
#pragma once

#include "common/http/problem.hpp"

#include <cstddef>
#include <optional>
#include <string_view>

namespace hotspare::http {

struct HeadLimits {
    std::size_t request_line = 8 * 1024; ///< 414
    std::size_t head = 16 * 1024;        ///< 431, request line included
    std::size_t fields = 100;            ///< 431
};

/// Finds the end of a head that arrives in pieces. Looks at each byte once.
class HeadScanner {
public:
    explicit HeadScanner(HeadLimits limits) : limits_(limits) {}

    /// `received` is everything from the first byte of the request on, longer with every call. Returns a problem as
    /// soon as a limit is exceeded or a line ends in a bare LF: waiting for more would only end in a timeout.
    std::optional<Problem> feed(std::string_view received);

    /// Length of the head with its final empty line; 0 while it is incomplete.
    std::size_t size() const noexcept { return size_; }

private:
    HeadLimits limits_;
    std::size_t seen_ = 0;
    std::size_t line_start_ = 0;
    std::size_t lines_ = 0;
    std::size_t size_ = 0;
};

/// Checks a complete head, final empty line included: request line and version, field syntax (no obs-fold, no space
/// before the colon, no control characters), exactly one Host in HTTP/1.1, one framing at most (Content-Length once and
/// decimal, or Transfer-Encoding exactly "chunked", never both), Expect. Returns the 400, 417, 501 or 505 to answer.
std::optional<Problem> check_head(std::string_view head);

} // namespace hotspare::http
