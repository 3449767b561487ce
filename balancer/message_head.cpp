#include "balancer/message_head.hpp"

#include "common/http/grammar.hpp"

#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/rfc7230.hpp>

#include <algorithm>
#include <cstring>

namespace hotspare::balancer {
namespace {

using boost::beast::iequals;
using boost::beast::string_view;
using boost::system::error_code;

std::string_view sv(string_view s) noexcept
{
    return {s.data(), s.size()};
}
string_view bsv(std::string_view s) noexcept
{
    return {s.data(), s.size()};
}

std::optional<std::uint64_t> to_number(std::string_view digits) noexcept
{
    std::uint64_t n = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (ec != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return n;
}

bool names_websocket(std::string_view upgrade)
{
    const beast_http::token_list protocols{bsv(upgrade)};
    return std::any_of(protocols.begin(), protocols.end(),
                       [](string_view protocol) { return iequals(protocol, "websocket"); });
}

/// Shared by both directions: collects fields, and the judgements that do not depend on the direction.
struct FieldCollector {
    FieldList& fields;
    bool close = false;
    bool keep_alive = false;
    bool upgrade_option = false;
    bool content_length = false;
    bool transfer_encoding = false;
    bool chunked = false;
    Rejection rejection{0, {}};

    bool reject(unsigned status, std::string_view detail)
    {
        rejection = {status, detail};
        return false;
    }

    bool take(beast_http::field id, std::string_view name, std::string_view value)
    {
        switch (id) {
        case beast_http::field::connection:
            for (const string_view option : beast_http::token_list{bsv(value)}) {
                if (iequals(option, "close"))
                    close = true;
                else if (iequals(option, "keep-alive"))
                    keep_alive = true;
                else if (iequals(option, "upgrade"))
                    upgrade_option = true;
                else if (!fields.nominate(sv(option)))
                    return reject(400, "Connection names too many fields");
            }
            break;
        case beast_http::field::content_length:
            // RFC 9112 §6.3 lets a recipient merge equal duplicates; we refuse them, as no honest sender makes them.
            if (content_length) return reject(400, "more than one Content-Length");
            if (value.find(',') != std::string_view::npos) return reject(400, "Content-Length is a list");
            if (value.empty() || value.find_first_not_of("0123456789") != std::string_view::npos)
                return reject(400, "Content-Length is not a number");
            content_length = true;
            break;
        case beast_http::field::transfer_encoding:
            if (transfer_encoding) return reject(400, "more than one Transfer-Encoding");
            transfer_encoding = true;
            if (!iequals(bsv(value), "chunked")) return reject(501, "a Transfer-Encoding other than chunked");
            chunked = true;
            break;
        default: break;
        }
        if (!fields.add(id, name, value)) return reject(431, "too many header fields");
        return true;
    }
};

Rejection from_beast(const error_code& ec)
{
    if (ec == beast_http::error::bad_method) return {400, "the method is not a token"};
    if (ec == beast_http::error::bad_target) return {400, "the request target holds an invalid character"};
    if (ec == beast_http::error::bad_field)
        return {400, "a header field name is not a token directly followed by a colon"};
    if (ec == beast_http::error::bad_value) return {400, "a header field value holds an invalid character"};
    if (ec == beast_http::error::bad_content_length)
        return {400, "Content-Length is invalid or beside Transfer-Encoding"};
    if (ec == beast_http::error::bad_transfer_encoding)
        return {400, "Transfer-Encoding is beside Content-Length or repeated"};
    if (ec == beast_http::error::multiple_content_length) return {400, "more than one Content-Length"};
    return {400, "the request line is malformed"};
}

class RequestParser final : public beast_http::basic_parser<true> {
public:
    RequestParser(RequestHead& head, const LimitConfig& limits) : head_(head), limits_(limits), collector_{head.fields}
    {
        header_limit((std::numeric_limits<std::uint32_t>::max)()); // HeadScanner has applied ours
        body_limit(boost::none);
    }

    FieldCollector& collector() noexcept { return collector_; }
    std::string_view host_field;
    unsigned hosts = 0;
    bool bad_expect = false;
    bool bad_max_forwards = false;
    bool websocket = false;

private:
    void on_request_impl(beast_http::verb method, string_view name, string_view target, int version,
                         error_code& ec) override
    {
        if (target.size() > limits_.request_line) {
            collector_.reject(414, "the request target is longer than the limit");
            ec = beast_http::error::bad_target;
            return;
        }
        head_.method = method;
        head_.method_name = sv(name);
        head_.target = sv(target);
        head_.version = static_cast<unsigned>(version);
    }

    void on_field_impl(beast_http::field id, string_view name, string_view value, error_code& ec) override
    {
        switch (id) {
        case beast_http::field::host:
            ++hosts;
            host_field = sv(value);
            break;
        case beast_http::field::expect:
            if (iequals(value, "100-continue"))
                head_.expect_continue = true;
            else
                bad_expect = true;
            break;
        case beast_http::field::upgrade: websocket = websocket || names_websocket(sv(value)); break;
        case beast_http::field::max_forwards:
            if (head_.method == beast_http::verb::trace || head_.method == beast_http::verb::options) {
                bad_max_forwards = bad_max_forwards || head_.max_forwards;
                head_.max_forwards = to_number(sv(value));
                bad_max_forwards = bad_max_forwards || !head_.max_forwards;
            }
            break;
        case beast_http::field::unknown:
            // CGI and WSGI cannot tell X_Forwarded_For from X-Forwarded-For: who may write the one must not be able to
            // speak as the other, nor to frame the message with Transfer_Encoding. nginx drops them by default, too.
            if (name.find('_') != string_view::npos) return;
            if (iequals(name, "X-Request-Id")) {
                if (http::is_request_id(sv(value))) head_.request_id = sv(value);
            } else if (iequals(name, "X-Forwarded-For")) {
                head_.forwarded_for = true;
            } else if (iequals(name, "Idempotency-Key")) {
                head_.idempotency_key = !value.empty();
            }
            break;
        default: break;
        }
        if (!collector_.take(id, sv(name), sv(value))) ec = beast_http::error::bad_value;
    }

    void on_response_impl(int, string_view, int, error_code&) override {}
    void on_header_impl(error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(string_view body, error_code&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code&) override { return body.size(); }
    void on_finish_impl(error_code&) override {}

    RequestHead& head_;
    const LimitConfig& limits_;
    FieldCollector collector_;
};

class ResponseParser final : public beast_http::basic_parser<false> {
public:
    explicit ResponseParser(ResponseHead& head) : head_(head), collector_{head.fields}
    {
        header_limit((std::numeric_limits<std::uint32_t>::max)());
        body_limit(boost::none);
    }

    FieldCollector& collector() noexcept { return collector_; }
    bool websocket = false;

private:
    void on_response_impl(int status, string_view reason, int version, error_code&) override
    {
        head_.status = static_cast<unsigned>(status);
        head_.reason = sv(reason);
        head_.version = static_cast<unsigned>(version);
    }

    void on_field_impl(beast_http::field id, string_view name, string_view value, error_code& ec) override
    {
        if (id == beast_http::field::unknown && iequals(name, "X-Request-Id")) head_.request_id = true;
        if (id == beast_http::field::upgrade) websocket = websocket || names_websocket(sv(value));
        if (id == beast_http::field::date) head_.date = true;
        if (!collector_.take(id, sv(name), sv(value))) ec = beast_http::error::bad_value;
    }

    void on_request_impl(beast_http::verb, string_view, string_view, int, error_code&) override {}
    void on_header_impl(error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(string_view body, error_code&) override { return body.size(); }
    void on_chunk_header_impl(std::uint64_t, string_view, error_code&) override {}
    std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code&) override { return body.size(); }
    void on_finish_impl(error_code&) override {}

    ResponseHead& head_;
    FieldCollector collector_;
};

/// Reduces an absolute-form target ("http://host/path?query") to its parts. False if it is not one we serve.
bool split_absolute(std::string_view target, std::string_view& authority, std::string_view& origin) noexcept
{
    constexpr std::string_view scheme = "http://";
    if (target.size() <= scheme.size() || !iequals(bsv(target.substr(0, scheme.size())), bsv(scheme))) return false;
    const std::string_view rest = target.substr(scheme.size());
    const auto slash = rest.find_first_of("/?");
    authority = rest.substr(0, slash);
    origin = slash == std::string_view::npos ? std::string_view{"/"} : rest.substr(slash);
    return !authority.empty() && origin.front() == '/';
}

/// Whether a request line that Beast refused for its version is sound otherwise: method SP target SP HTTP/x.y.
bool names_other_version(std::string_view head) noexcept
{
    const std::string_view line = head.substr(0, head.find('\r'));
    const auto version = line.rfind(' ');
    return std::count(line.begin(), line.end(), ' ') == 2 && line.size() - version == 9 &&
           line.substr(version + 1).starts_with("HTTP/");
}

void append_field(Buffer& out, std::string_view name, std::string_view value)
{
    const auto room = out.prepare(name.size() + value.size() + 4);
    char* p = room.data();
    p = std::copy(name.begin(), name.end(), p);
    *p++ = ':';
    *p++ = ' ';
    p = std::copy(value.begin(), value.end(), p);
    *p++ = '\r';
    *p++ = '\n';
    out.commit(name.size() + value.size() + 4);
}

/// With the version that was received, not the one that is sent (RFC 9110 §7.6.3).
void append_via(Buffer& out, unsigned version)
{
    out.append(version >= 11 ? "Via: 1.1 hotspare\r\n" : "Via: 1.0 hotspare\r\n");
}

} // namespace

// ---------------------------------------------------------------------------------------------------------- scanning

HeadScanner::Found HeadScanner::scan(std::string_view bytes, const LimitConfig& limits)
{
    for (;;) {
        const char* const start = bytes.data() + line_start_;
        const std::size_t left = bytes.size() - line_start_;
        const auto* lf = left == 0 ? nullptr : static_cast<const char*>(std::memchr(start, '\n', left));
        if (lf == nullptr) {
            if (lines_ == 0 && left > limits.request_line + 64)
                return reject(414, "the request line is longer than the limit");
            if (bytes.size() > limits.header) return reject(431, "the header is larger than the limit");
            return Found::incomplete;
        }
        const auto length = static_cast<std::size_t>(lf - start); // without the LF
        if (length == 0 || start[length - 1] != '\r') return reject(400, "a line ends with LF instead of CRLF");
        if (lines_ == 0 && length > limits.request_line + 64)
            return reject(414, "the request line is longer than the limit");
        line_start_ += length + 1;
        if (line_start_ > limits.header) return reject(431, "the header is larger than the limit");
        if (length == 1) {
            // RFC 9112 §2.2: an empty line before the request line is left over from an older client's body; ignore it.
            if (lines_ == 0) return reject(400, "an empty line instead of a request");
            return Found::complete;
        }
        if (lines_ > 0 && (*start == ' ' || *start == '\t'))
            return reject(400, "a header field is continued on a second line (obs-fold)");
        if (++lines_ > limits.fields + 1) return reject(431, "too many header fields");
    }
}

// ------------------------------------------------------------------------------------------------------------ fields

bool FieldList::add(beast_http::field id, std::string_view name, std::string_view value) noexcept
{
    if (count_ == max_fields) return false;
    fields_[count_++] = {id, name, value};
    return true;
}

bool FieldList::nominate(std::string_view option) noexcept
{
    if (nominated_ == nominated_names_.size()) return false;
    nominated_names_[nominated_++] = option;
    return true;
}

bool FieldList::hop_by_hop(const Field& field) const noexcept
{
    switch (field.id) {
    case beast_http::field::connection:
    case beast_http::field::keep_alive:
    case beast_http::field::proxy_connection:
    case beast_http::field::te:
    case beast_http::field::trailer:
    case beast_http::field::transfer_encoding:
    case beast_http::field::upgrade:
    case beast_http::field::http2_settings:
    case beast_http::field::proxy_authenticate:
    case beast_http::field::proxy_authorization: return true;
    // Fields that frame or route the message cannot be taken away by naming them in Connection.
    case beast_http::field::host:
    case beast_http::field::content_length: return false;
    default: return nominated(field.name);
    }
}

bool FieldList::nominated(std::string_view name) const noexcept
{
    for (std::size_t i = 0; i < nominated_; ++i)
        if (iequals(bsv(name), bsv(nominated_names_[i]))) return true;
    return false;
}

// ----------------------------------------------------------------------------------------------------------- parsing

bool RequestHead::safe() const noexcept
{
    return method == beast_http::verb::get || method == beast_http::verb::head || method == beast_http::verb::options ||
           method == beast_http::verb::trace;
}

bool RequestHead::idempotent() const noexcept
{
    return safe() || method == beast_http::verb::put || method == beast_http::verb::delete_;
}

std::optional<Rejection> parse_request(std::string_view head, const LimitConfig& limits, RequestHead& out)
{
    out.fields.clear();
    out.framing = Framing::none;
    out.content_length = 0;
    out.expect_continue = out.upgrade = out.idempotency_key = out.forwarded_for = false;
    out.request_id = {};
    out.max_forwards.reset();

    RequestParser parser(out, limits);
    FieldCollector& seen = parser.collector();
    error_code ec;
    const std::size_t used = parser.put({head.data(), head.size()}, ec);
    if (seen.rejection.status != 0) return seen.rejection;
    if (ec == beast_http::error::need_more || (!ec && used != head.size()))
        return Rejection{400, "the request line is malformed"};
    if (ec == beast_http::error::bad_version && names_other_version(head))
        return Rejection{505, "the HTTP version is not 1.0 or 1.1"};
    if (ec) return from_beast(ec);

    if (parser.hosts > 1) return Rejection{400, "more than one Host"};
    if (parser.hosts == 0 && out.version >= 11) return Rejection{400, "no Host (RFC 9112 §3.2 requires one)"};
    out.host = parser.host_field;
    if (!http::is_host(out.host)) return Rejection{400, "Host holds an invalid character"};

    if (out.method == beast_http::verb::connect)
        return Rejection{501, "CONNECT is not supported: this is not a forward proxy"};
    if (out.target.find('#') != std::string_view::npos) return Rejection{400, "the request target holds a fragment"};
    if (out.target.front() != '/' && !(out.target == "*" && out.method == beast_http::verb::options)) {
        std::string_view authority;
        std::string_view origin;
        if (!split_absolute(out.target, authority, origin))
            return Rejection{400, "the request target is neither a path nor an http:// URL"};
        if (!http::is_host(authority)) return Rejection{400, "the authority of the target holds an invalid character"};
        out.host = authority; // RFC 9112 §3.2.2: it replaces Host
        out.target = origin;
    }

    if (parser.bad_max_forwards) return Rejection{400, "Max-Forwards is not one number"};
    if (parser.bad_expect) return Rejection{417, "an expectation other than 100-continue"};
    if (seen.transfer_encoding && seen.content_length)
        return Rejection{400, "both Transfer-Encoding and Content-Length"};
    if (seen.transfer_encoding && out.version < 11) return Rejection{400, "Transfer-Encoding in an HTTP/1.0 request"};
    if (seen.chunked) {
        out.framing = Framing::chunked;
    } else if (seen.content_length) {
        out.content_length = parser.content_length().value_or(0);
        if (out.content_length > 0) out.framing = Framing::length;
    }
    if (limits.body > 0 && out.content_length > limits.body) return Rejection{413, "the body is larger than the limit"};
    if (out.version < 11) out.expect_continue = false; // RFC 9110 §10.1.1: ignored
    if (out.framing == Framing::none) out.expect_continue = false;
    // What Connection names ends here: the backend does not see it, so we must not count on it there.
    if (out.fields.nominated("Expect")) out.expect_continue = false;
    if (out.fields.nominated("Idempotency-Key")) out.idempotency_key = false;

    out.keep_alive = out.version >= 11 ? !seen.close : seen.keep_alive && !seen.close;
    // A tunnel hides all that follows from us, so only a protocol that cannot smuggle requests gets one: the WebSocket
    // handshake (RFC 6455 §4.1), not h2c.
    out.upgrade = parser.websocket && seen.upgrade_option && out.method == beast_http::verb::get && out.version >= 11 &&
                  out.framing == Framing::none;
    return std::nullopt;
}

std::optional<std::string_view> parse_response(std::string_view head, bool to_head, ResponseHead& out)
{
    out.fields.clear();
    out.framing = Framing::none;
    out.content_length = 0;
    out.has_content_length = out.request_id = out.date = false;

    ResponseParser parser(out);
    FieldCollector& seen = parser.collector();
    error_code ec;
    const std::size_t used = parser.put({head.data(), head.size()}, ec);
    if (seen.rejection.status != 0) return seen.rejection.detail;
    if (ec == beast_http::error::need_more || (!ec && used != head.size())) return "the status line is malformed";
    if (ec) return from_beast(ec).detail;
    if (out.status < 100 || out.status > 599) return "the status is not between 100 and 599";
    if (out.status == 101 && !parser.websocket) return "the connection is switched to something other than WebSocket";

    if (out.fields.nominated("Date")) out.date = false;
    out.has_content_length = seen.content_length;
    if (seen.content_length)
        out.content_length = to_number([&] {
                                 for (const Field& f : out.fields)
                                     if (f.id == beast_http::field::content_length) return f.value;
                                 return std::string_view{};
                             }())
                                 .value_or(0);
    out.keep_alive = out.version >= 11 ? !seen.close : seen.keep_alive && !seen.close;
    // RFC 9112 §6.1: chunks from HTTP/1.0 are a framing that somebody on the way may not have understood.
    if (out.version < 11 && seen.transfer_encoding) out.keep_alive = false;

    // RFC 9112 §6.3, in its order.
    if (to_head || out.status / 100 == 1 || out.status == 204 || out.status == 304) {
        out.framing = Framing::none;
    } else if (seen.transfer_encoding) {
        if (seen.content_length) return "both Transfer-Encoding and Content-Length";
        out.framing = Framing::chunked;
    } else if (seen.content_length) {
        out.framing = out.content_length > 0 ? Framing::length : Framing::none;
    } else {
        out.framing = Framing::until_close;
        out.keep_alive = false;
    }
    return std::nullopt;
}

// ----------------------------------------------------------------------------------------------------------- writing

void write_request(const RequestHead& head, const RequestExtras& extras, Buffer& out)
{
    out.append(head.method_name);
    out.append(" ");
    out.append(extras.target);
    out.append(" HTTP/1.1\r\n");
    append_field(out, "Host", head.host.empty() ? extras.default_host : head.host);

    for (const Field& f : head.fields) {
        if (f.id == beast_http::field::host || head.fields.hop_by_hop(f)) continue;
        if (f.id == beast_http::field::unknown &&
            (iequals(bsv(f.name), "X-Forwarded-For") || iequals(bsv(f.name), "X-Forwarded-Proto") ||
             iequals(bsv(f.name), "X-Forwarded-Host") || iequals(bsv(f.name), "X-Request-Id")))
            continue;
        if (f.id == beast_http::field::expect && !head.expect_continue) continue;
        if (f.id == beast_http::field::max_forwards && head.max_forwards) {
            out.append(f.name);
            out.append(": ");
            out.append_number(std::max<std::uint64_t>(*head.max_forwards, 1) - 1);
            out.append("\r\n");
            continue;
        }
        append_field(out, f.name, f.value);
    }

    // One field names the whole way, however many the client sent (RFC 9110 §5.3).
    out.append("X-Forwarded-For: ");
    if (head.forwarded_for) {
        for (const Field& f : head.fields) {
            if (f.value.empty() || !iequals(bsv(f.name), "X-Forwarded-For")) continue;
            out.append(f.value);
            out.append(", ");
        }
    }
    out.append(extras.client_ip);
    out.append("\r\n");
    out.append("X-Forwarded-Proto: http\r\n");
    if (!head.host.empty()) append_field(out, "X-Forwarded-Host", head.host);
    if (extras.forwarded) {
        const bool v6 = extras.client_ip.find(':') != std::string_view::npos;
        out.append(v6 ? "Forwarded: for=\"[" : "Forwarded: for=");
        out.append(extras.client_ip);
        if (v6) out.append("]\"");
        if (!head.host.empty()) {
            out.append(";host=\"");
            out.append(head.host);
            out.append("\"");
        }
        out.append(";proto=http\r\n");
    }
    append_field(out, "X-Request-Id", extras.request_id);
    append_via(out, head.version);
    if (head.framing == Framing::chunked) out.append("Transfer-Encoding: chunked\r\n");
    if (head.upgrade) out.append("Upgrade: websocket\r\nConnection: Upgrade\r\n");
    out.append("\r\n");
}

void write_response(const ResponseHead& head, const ResponseExtras& extras, Buffer& out)
{
    out.append("HTTP/1.1 ");
    out.append_number(head.status);
    out.append(" ");
    out.append(head.reason);
    out.append("\r\n");
    // RFC 9110 §8.6: what never has a body has no length either, whatever the backend says.
    const bool lengthless = extras.chunked || head.status / 100 == 1 || head.status == 204;
    for (const Field& f : head.fields) {
        if (f.id == beast_http::field::content_length && lengthless) continue;
        if (head.fields.hop_by_hop(f)) continue;
        if (f.id == beast_http::field::unknown && iequals(bsv(f.name), "X-Served-By")) continue;
        append_field(out, f.name, f.value);
    }
    append_via(out, head.version);
    if (!head.date && !extras.date.empty() && head.status >= 200) append_field(out, "Date", extras.date);
    append_field(out, "X-Served-By", extras.served_by);
    if (!head.request_id) append_field(out, "X-Request-Id", extras.request_id);
    if (extras.chunked) out.append("Transfer-Encoding: chunked\r\n");
    if (head.status == 101)
        out.append("Upgrade: websocket\r\nConnection: Upgrade\r\n");
    else if (!extras.keep_alive)
        out.append("Connection: close\r\n");
    else if (extras.client_version < 11)
        out.append("Connection: keep-alive\r\n");
    out.append("\r\n");
}

// ------------------------------------------------------------------------------------------------------------ chunks

/// Beast's own chunk grammar, entered through a head of ours that announces chunks.
class ChunkDecoder::Parser final : public beast_http::basic_parser<true> {
public:
    Parser()
    {
        body_limit(boost::none);
        constexpr std::string_view head = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
        error_code ec;
        put({head.data(), head.size()}, ec);
    }

    Buffer* out = nullptr;
    bool chunked = true;
    std::uint64_t content = 0;

private:
    /// Beast lets anything stand between the quotes of an extension. Whoever is before us may take a bare LF there for
    /// the end of the line, and so see other chunks than we do.
    void on_chunk_header_impl(std::uint64_t, string_view extensions, error_code& ec) override
    {
        const auto is_control = [](unsigned char c) { return (c < 0x20 && c != '\t') || c == 0x7f; };
        if (std::any_of(extensions.begin(), extensions.end(), is_control)) ec = beast_http::error::bad_chunk_extension;
    }

    std::size_t on_chunk_body_impl(std::uint64_t, string_view body, error_code&) override
    {
        content += body.size();
        if (chunked) {
            out->append_number(body.size(), 16);
            out->append("\r\n");
        }
        out->append(sv(body));
        if (chunked) out->append("\r\n");
        return body.size();
    }

    void on_finish_impl(error_code&) override
    {
        if (chunked && out != nullptr) out->append("0\r\n\r\n");
    }

    void on_request_impl(beast_http::verb, string_view, string_view, int, error_code&) override {}
    void on_response_impl(int, string_view, int, error_code&) override {}
    void on_field_impl(beast_http::field, string_view, string_view, error_code&) override {}
    void on_header_impl(error_code&) override {}
    void on_body_init_impl(const boost::optional<std::uint64_t>&, error_code&) override {}
    std::size_t on_body_impl(string_view body, error_code&) override { return body.size(); }
};

ChunkDecoder::ChunkDecoder() : parser_(std::make_unique<Parser>()) {}
ChunkDecoder::~ChunkDecoder() = default;

ChunkDecoder::State ChunkDecoder::decode(Buffer& in, Buffer& out, bool chunked)
{
    // A chunk header or a trailer section this long has no honest use (Beast would wait for its end without a bound).
    constexpr std::size_t longest_line = 8 * 1024;

    parser_->out = &out;
    parser_->chunked = chunked;
    while (!in.empty() && !parser_->is_done()) {
        error_code ec;
        const auto data = in.data();
        const std::size_t used = parser_->put({data.data(), data.size()}, ec);
        in.consume(used);
        if (ec == beast_http::error::need_more) return in.size() > longest_line ? State::malformed : State::more;
        if (ec) return State::malformed;
        if (used == 0) return State::more;
    }
    return parser_->is_done() ? State::done : State::more;
}

std::uint64_t ChunkDecoder::content_bytes() const noexcept
{
    return parser_->content;
}

} // namespace hotspare::balancer
