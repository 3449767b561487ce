// Any bytes as a client's request: found, judged, and written for a backend. What we accept, the backend must read as
// we did, and it must be what the client sent: Boost.Beast's own parser and a plain reading of the lines are the
// judges.

#include "tests/fuzz/check.hpp"
#include "tests/fuzz/plain_head.hpp"

#include "common/http/head_parts.hpp"

#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

namespace hotspare::fuzz {
namespace {

using namespace balancer;

constexpr std::string_view client_ip = "192.0.2.1";

/// The fields that the proxy sets itself, whatever the client says.
bool ours(std::string_view name)
{
    for (const char* set : {"Host", "Forwarded", "X-Real-IP", "X-Request-Id"})
        if (same_name(name, set)) return true;
    constexpr std::string_view family = "X-Forwarded-";
    return name.size() > family.size() && same_name(name.substr(0, family.size()), family);
}

void check_fields_survive(const PlainHead& client, const PlainHead& backend, const RequestHead& head, bool forwarded)
{
    const std::string hops_left = std::to_string(std::max<std::uint64_t>(head.max_forwards.value_or(0), 1) - 1);
    std::vector<PlainHead::FieldLine> wanted;
    for (const auto& [name, value] : client.fields)
        if (!ours(name) && !client.hop_by_hop(name) && name.find('_') == std::string_view::npos &&
            !(same_name(name, "Expect") && !head.expect_continue))
            wanted.emplace_back(name, same_name(name, "Max-Forwards") && head.max_forwards ? hops_left : value);
    std::vector<PlainHead::FieldLine> got;
    for (const auto& [name, value] : backend.fields)
        if (!ours(name) && !backend.hop_by_hop(name)) got.emplace_back(name, value);
    check(!got.empty() && same_name(got.back().first, "Via") &&
              got.back().second == (head.version >= 11 ? "1.1 hotspare" : "1.0 hotspare"),
          "the proxy adds Via with the version that it received");
    got.pop_back();
    check(backend.count("Forwarded") == (forwarded ? 1U : 0U) && backend.count("X-Real-IP") == 0,
          "a client cannot say whom it speaks for");
    check(got == wanted, "end-to-end fields arrive as they were sent, in their order");

    const auto sent = backend.values_of("X-Forwarded-For");
    check(sent.size() == 1 && sent[0] == client_ip, "X-Forwarded-For names the client alone");
    check(backend.count("X-Request-Id") == 1 && backend.count("X-Forwarded-Proto") == 1 &&
              backend.count("X-Forwarded-Host") == (head.host.empty() ? 0U : 1U),
          "what the proxy sets is there once");
}

void check_beast_agrees(std::string_view written, const RequestHead& head)
{
    beast_http::request_parser<beast_http::empty_body> parser;
    parser.header_limit(1 << 20);
    parser.body_limit(boost::none);
    boost::system::error_code ec;
    parser.put(boost::asio::buffer(written.data(), written.size()), ec);
    check((!ec || ec == beast_http::error::need_more) && parser.is_header_done(), "Beast reads what we wrote", written);
    const auto& read = parser.get();
    check(read.method_string() == head.method_name, "Beast reads the same method");
    check(read.target() == head.target, "Beast reads the same target");
    check(read[beast_http::field::host] == head.host, "Beast reads the same host");
    check(read.version() == 11, "what we write is HTTP/1.1");
    check(parser.chunked() == (head.framing == Framing::chunked), "Beast agrees whether there are chunks");
    check(parser.content_length().value_or(0) == head.content_length, "Beast reads the same length");
    check(parser.upgrade() == head.upgrade && parser.keep_alive(), "Beast agrees about the connection");
}

void check_request(std::string_view bytes, const LimitConfig& limits)
{
    const auto [size, refused_early] = head_in(bytes, limits, http::Sender::client);
    if (!size) return;
    const std::string own(bytes.substr(0, *size)); // a sanitizer sees what is read beyond the head
    RequestHead head;
    http::RequestParts parts;
    const auto other = http::read_request(own, parts);
    if (const auto rejection = parse_request(own, limits, head)) {
        const unsigned status = rejection->status;
        check((status >= 400 && status < 500) || status == 501 || status == 505, "a refusal has a status");
        check(!rejection->detail.empty(), "a refusal has a reason");
        const bool of_the_proxy_alone = status == 413 || status == 431 || rejection->detail.starts_with("Max-Forwards");
        check(of_the_proxy_alone || (other && other->status == status), "the suite's own servers refuse the same", own);
        return;
    }
    check(!other, "the suite's own servers accept the same", own);
    check(!refused_early, "what is refused in pieces is refused as a whole", own);
    const PlainHead client = read_plainly(own);
    check(client.count("Content-Length") + client.count("Transfer-Encoding") <= 1, "one framing is accepted at most");
    check(client.count("Host") + (head.version < 11 ? 1U : 0U) >= 1 && client.count("Host") <= 1,
          "one Host is accepted");

    for (const bool forwarded : {false, true}) {
        Buffer out;
        write_request(
            head, {.target = head.target, .client_ip = client_ip, .request_id = "fuzz", .forwarded = forwarded}, out);
        const std::string_view written = out.text();
        const PlainHead backend = read_plainly(written);
        check(backend.count("Host") == 1, "a backend sees one Host", written);
        check_written(backend, head.framing, head.content_length, head.upgrade);
        check_fields_survive(client, backend, head, forwarded);
        check_beast_agrees(written, head);

        check(head_in(written, generous_limits(), http::Sender::client).size == written.size(),
              "what we wrote is one head", written);
        RequestHead again;
        const auto refused = parse_request(written, generous_limits(), again);
        check(!refused, "what we wrote we accept", written);
        check(again.method == head.method && again.method_name == head.method_name && again.target == head.target &&
                  again.host == head.host && again.framing == head.framing &&
                  again.content_length == head.content_length,
              "what we wrote we read as the same request", written);
        check(again.expect_continue == head.expect_continue, "a backend is asked to continue if we wait for it",
              written);
        check(again.upgrade == head.upgrade, "a backend sees the same upgrade", written);
        check(again.idempotency_key == head.idempotency_key,
              "a request is only repeated for its key if the backend sees the key", written);
    }

    for (const bool forwarded : {false, true}) {
        Buffer out;
        write_request(head,
                      {.target = head.target,
                       .client_ip = client_ip,
                       .request_id = "fuzz",
                       .forwarded = forwarded,
                       .trusted = true},
                      out);
        const std::string_view written = out.text();
        check_written(read_plainly(written), head.framing, head.content_length, head.upgrade);
        check_beast_agrees(written, head);
        RequestHead again;
        check(!parse_request(written, generous_limits(), again), "what a trusted proxy says we accept as we write it",
              written);
    }
}

} // namespace
} // namespace hotspare::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace hotspare;
    auto bytes = fuzz::text_of(data, size);
    if (bytes.starts_with("\r\n")) bytes.remove_prefix(2); // as Session does
    if (bytes.empty()) return 0;
    fuzz::check_request(bytes, balancer::LimitConfig{});
    balancer::LimitConfig narrow; // so that small inputs meet every limit
    narrow.request_line = 32;
    narrow.header = 128;
    narrow.fields = 4;
    narrow.body = 10;
    fuzz::check_request(bytes, narrow);
    return 0;
}
