// The chunked transfer coding (RFC 9112 §7.1), read byte by byte: the content comes out, its framing stays here. What
// no further byte can make valid is refused with the byte that shows it. Chunk extensions and trailers are checked and
// dropped: no field in a trailer may be needed to understand the message (RFC 9110 §6.5.1).
//
// PURE. Any thread, one at a time. Both readers of bodies use it, the balancer's and those of the suite's own servers
// and clients.
#pragma once

#include "common/http/head.hpp"

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace hotspare::http {

class ChunkReader {
public:
    enum class State : std::uint8_t {
        more,      ///< all of the input was taken, the body goes on
        content,   ///< some content was found: ask again with what is left of the input
        done,      ///< the body is complete; what was not taken is not part of it
        malformed, ///< for ever
    };
    struct Step {
        State state = State::more;
        std::size_t used = 0; ///< bytes of the input that were taken
        std::string_view content{};
    };

    /// Of a server, blanks behind a chunk's size and an empty extension are read over, as nginx, HAProxy and Caddy do.
    explicit ChunkReader(Sender sender = Sender::client) noexcept : sender_(sender) {}

    Step read(std::string_view input) noexcept;

private:
    /// What the next byte belongs to.
    enum class Part : std::uint8_t {
        size_start,
        size,
        behind_size, ///< blanks before ';'
        extension_start,
        extension_name,
        behind_name,
        value_start,
        value,
        quoted,
        quoted_pair,
        behind_value,
        header_lf, ///< of the line that the size stands in
        content,
        content_cr,
        content_lf,
        trailer_start,
        trailer_name,
        trailer_value,
        trailer_lf,
        last_lf,
        done,
        malformed,
    };

    Part next(char c) noexcept;
    Part end_of_header(char c, Part otherwise) const noexcept;

    Sender sender_;
    Part part_ = Part::size_start;
    std::uint64_t left_ = 0; ///< of the chunk
    std::size_t line_ = 0;   ///< bytes of this chunk's header, or of all trailers
};

} // namespace hotspare::http
