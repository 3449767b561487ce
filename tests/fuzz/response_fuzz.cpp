// Any bytes as a backend's response: found, judged, and written for a client, to GET and to HEAD, for clients of 1.0
// and 1.1. The client must find the end of the body where the proxy puts it.

#include "tests/fuzz/check.hpp"
#include "tests/fuzz/plain_head.hpp"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include <string>
#include <utility>

namespace hotspare::fuzz {
namespace {

using namespace balancer;

void check_fields_survive(const PlainHead& backend, const PlainHead& client, bool length_goes, std::string_view written)
{
    const auto end_to_end = [](const PlainHead& head) {
        std::vector<PlainHead::FieldLine> out;
        for (const auto& [name, value] : head.fields)
            if (!head.hop_by_hop(name) && !same_name(name, "X-Served-By")) out.emplace_back(name, value);
        return out;
    };
    auto wanted = end_to_end(backend);
    // Equal lengths are one.
    bool length_there = length_goes;
    std::erase_if(wanted, [&](const auto& field) {
        return same_name(field.first, "Content-Length") && std::exchange(length_there, true);
    });
    auto got = end_to_end(client);
    if (backend.count("X-Request-Id") == 0) {
        check(!got.empty() && got.back() == PlainHead::FieldLine{"X-Request-Id", "fuzz"},
              "a response has a request id");
        got.pop_back();
    }
    check(!got.empty() && same_name(got.back().first, "Via"), "the proxy adds Via");
    got.pop_back();
    check(got == wanted, "end-to-end fields arrive as they were sent, in their order", written);
    const auto served_by = client.values_of("X-Served-By");
    check(served_by.size() == 1 && served_by[0] == "primary", "a response names who served it, once");
}

void check_beast_agrees(std::string_view written, bool to_head, const ResponseHead& head, Framing framing)
{
    beast_http::response_parser<beast_http::empty_body> parser;
    parser.header_limit(1 << 20);
    parser.body_limit(boost::none);
    parser.skip(to_head);
    boost::system::error_code ec;
    parser.put(boost::asio::buffer(written.data(), written.size()), ec);
    check((!ec || ec == beast_http::error::need_more) && parser.is_header_done(), "Beast reads what we wrote", written);
    check(parser.get().result_int() == head.status, "Beast reads the same status");
    switch (framing) {
    case Framing::none: check(parser.is_done(), "Beast expects no body", written); break;
    case Framing::length:
        check(!parser.chunked() && parser.content_length() == head.content_length, "Beast reads the same length");
        break;
    case Framing::chunked: check(parser.chunked(), "Beast expects chunks"); break;
    case Framing::until_close: check(parser.need_eof(), "Beast expects the body to end with the connection"); break;
    }
}

void check_response(std::string_view bytes, bool to_head, unsigned client_version)
{
    const auto [size, refused_early] = head_in(bytes, generous_limits(), http::Sender::server);
    if (!size) return;
    ResponseHead head;
    if (const auto wrong = parse_response(bytes.substr(0, *size), to_head, head)) {
        check(!wrong->empty(), "a refusal has a reason");
        return;
    }
    check(!refused_early, "what is refused in pieces is refused as a whole", bytes);
    const PlainHead backend = read_plainly(bytes.substr(0, *size), http::Sender::server);
    check(head.status >= 100 && head.status <= 999, "a status has its range");
    check(head.framing != Framing::until_close || !head.keep_alive, "a body that ends with the connection ends it");
    check(head.version >= 11 || backend.count("Transfer-Encoding") == 0 || !head.keep_alive,
          "a connection is not used again after chunks from HTTP/1.0 (RFC 9112 §6.1)", bytes);
    const bool bodiless = to_head || head.status / 100 == 1 || head.status == 204 || head.status == 304;
    check(!bodiless || head.framing == Framing::none, "what has no body has no framing");

    // As the proxy forwards it: see Exchange::choose().
    const bool chunked =
        client_version >= 11 && (head.framing == Framing::chunked || head.framing == Framing::until_close);
    const Framing framing = chunked                            ? Framing::chunked
                            : head.framing == Framing::chunked ? Framing::until_close
                                                               : head.framing;
    for (const bool keep_alive : {false, true}) {
        if (keep_alive && framing == Framing::until_close) continue;
        Buffer out;
        write_response(head,
                       {.served_by = "primary",
                        .request_id = "fuzz",
                        .client_version = client_version,
                        .keep_alive = keep_alive,
                        .chunked = chunked},
                       out);
        const std::string_view written = out.text();
        const PlainHead client = read_plainly(written);
        check(client.start_line == "HTTP/1.1 " + std::to_string(head.status) + " " + std::string(head.reason),
              "the status line says the same", written);
        const bool upgrade = head.status == 101;
        check_written(client, framing, head.content_length, upgrade);
        const bool no_length = head.status / 100 == 1 || head.status == 204;
        check(!no_length || client.count("Content-Length") == 0, "1xx and 204 have no length (RFC 9110 §8.6)", written);
        check_fields_survive(backend, client, chunked || no_length, written);
        check_beast_agrees(written, to_head, head, framing);
        if (!upgrade && !keep_alive) check(client.connection_lists("close"), "the end of a connection is announced");
        if (!upgrade && keep_alive && client_version < 11)
            check(client.connection_lists("keep-alive"), "a 1.0 client is told that the connection stays");

        check(head_in(written, generous_limits(), http::Sender::client).size == written.size(),
              "what we wrote is one head", written);
        ResponseHead again;
        check(!parse_response(written, to_head, again), "what we wrote we accept", written);
        check(again.status == head.status && again.reason == head.reason && again.framing == framing,
              "what we wrote we read as the same response", written);
        if (!upgrade && framing != Framing::until_close)
            check(again.keep_alive == keep_alive, "client and proxy agree whether the connection stays");
    }
}

} // namespace
} // namespace hotspare::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace hotspare;
    const auto bytes = fuzz::text_of(data, size);
    for (const bool to_head : {false, true})
        for (const unsigned client_version : {10U, 11U}) fuzz::check_response(bytes, to_head, client_version);
    return 0;
}
