// Any bytes as a chunked body. How it is delivered must not matter; what we accept, a plain reading of RFC 9112 §7.1
// and Boost.Beast must read as the same content with the same end; and what we frame anew must mean the same again.
//
// Inputs are shorter than the 8 KiB that ChunkDecoder allows one line: past that it may depend on the delivery whether
// a line is refused for its length.

#include "tests/fuzz/check.hpp"

#include "balancer/serve/message_head.hpp"

#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/string_body.hpp>

#include <charconv>
#include <optional>
#include <string>

namespace hotspare::fuzz {
namespace {

using namespace balancer;
using State = ChunkDecoder::State;

constexpr std::size_t longest_input = 4096;

struct Decoded {
    State state = State::more;
    std::string out;
    std::uint64_t content = 0;
    std::size_t rest = 0; ///< bytes behind the body that were not taken; when done
};

Decoded decode(std::string_view bytes, http::Sender sender, std::size_t longest_piece, bool chunked)
{
    ChunkDecoder decoder(sender);
    Buffer in;
    Buffer out;
    Decoded result;
    std::size_t given = 0;
    for (const std::string_view piece : pieces(bytes, longest_piece)) {
        in.append(piece);
        given += piece.size();
        result.state = decoder.decode(in, out, chunked);
        if (result.state != State::more) break;
    }
    result.out = out.text();
    result.content = decoder.content_bytes();
    result.rest = in.size() + bytes.size() - given;
    return result;
}

struct Plain {
    std::string content;
    std::size_t rest = 0;
};

/// Whether every quoted string in a chunk extension ends.
bool quotes_end(std::string_view extension)
{
    bool quoted = false;
    for (std::size_t i = 0; i < extension.size(); ++i) {
        if (quoted && extension[i] == '\\')
            ++i;
        else if (extension[i] == '"')
            quoted = !quoted;
    }
    return !quoted;
}

/// A body by the letter of the grammar, except that an extension may be anything without CR and LF whose quotes end;
/// nothing if it is not one, or not all of one. (Beast waits for a quote to end beyond the line, in vain.)
std::optional<Plain> read_plainly(std::string_view bytes)
{
    Plain body;
    const auto line = [&]() -> std::optional<std::string_view> {
        const auto end = bytes.find("\r\n");
        if (end == std::string_view::npos) return std::nullopt;
        const auto text = bytes.substr(0, end);
        if (text.find_first_of("\r\n") != std::string_view::npos) return std::nullopt;
        bytes.remove_prefix(end + 2);
        return text;
    };
    for (;;) {
        const auto header = line();
        if (!header) return std::nullopt;
        std::uint64_t size = 0;
        const auto [end, error] = std::from_chars(header->data(), header->data() + header->size(), size, 16);
        if (error != std::errc{} || header->empty() || header->front() == '-') return std::nullopt;
        const std::string_view extension = header->substr(static_cast<std::size_t>(end - header->data()));
        if (!extension.empty() && std::string_view("; \t").find(extension.front()) == std::string_view::npos)
            return std::nullopt;
        if (!quotes_end(extension)) return std::nullopt;
        if (size == 0) break;
        if (bytes.size() < size || !bytes.substr(size).starts_with("\r\n")) return std::nullopt;
        body.content += bytes.substr(0, size);
        bytes.remove_prefix(size + 2);
    }
    for (;;) {
        const auto trailer = line();
        if (!trailer) return std::nullopt;
        if (trailer->empty()) break;
    }
    body.rest = bytes.size();
    return body;
}

void check_reframed(const std::string& reframed, const std::string& content)
{
    const auto plain = read_plainly(reframed);
    check(plain && plain->content == content && plain->rest == 0,
          "what we frame anew is one body with the same content", reframed);
    const std::string message = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + reframed;
    beast_http::response_parser<beast_http::string_body> parser;
    parser.eager(true);
    boost::system::error_code ec;
    const auto used = parser.put(boost::asio::buffer(message), ec);
    check(!ec && parser.is_done() && used == message.size(), "Beast reads what we framed anew", reframed);
    check(parser.get().body() == content, "Beast reads the same content", reframed);
}

} // namespace
} // namespace hotspare::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace hotspare::fuzz;
    using hotspare::http::Sender;
    const auto bytes = text_of(data, std::min(size, longest_input));
    const auto plain_reading = read_plainly(bytes);
    for (const Sender sender : {Sender::client, Sender::server}) {
        const Decoded whole = decode(bytes, sender, bytes.size() + 1, false);
        check(whole.content == whole.out.size(), "the content is counted");
        for (const std::size_t longest : {std::size_t{1}, std::size_t{5}, bytes.size() + 1}) {
            const Decoded plain = decode(bytes, sender, longest, false);
            check(plain.state == whole.state, "how a body is delivered does not decide whether it is accepted", bytes);
            check(plain.out == whole.out || whole.state == State::malformed, "nor what its content is", bytes);
            check(plain.rest == whole.rest || whole.state != State::done, "nor where it ends", bytes);

            const Decoded framed = decode(bytes, sender, longest, true);
            check(framed.state == whole.state, "how a body is framed anew does not decide whether it is accepted",
                  bytes);
            if (whole.state == State::done) check_reframed(framed.out, whole.out);
            if (whole.state == State::more) check_reframed(framed.out + "0\r\n\r\n", whole.out);
        }
        if (whole.state == State::done)
            check(plain_reading && plain_reading->content == whole.out && plain_reading->rest == whole.rest,
                  "what we accept means the same by the letter of the grammar", bytes);
        if (whole.state == State::more) check(!plain_reading, "a body that is complete is known to be", bytes);
        if (sender == Sender::client && whole.state == State::done)
            check(decode(bytes, Sender::server, bytes.size() + 1, false).state == State::done,
                  "a server may write what a client may", bytes);
    }
    return 0;
}
