#include "balancer/serve/message_head.hpp"

#include "common/http/grammar.hpp"

#include <algorithm>
#include <charconv>

namespace hotspare::balancer {
namespace {

using http::equals_ignoring_case;

std::optional<std::uint64_t> to_number(std::string_view digits) noexcept
{
    std::uint64_t n = 0;
    const auto [end, ec] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
    if (ec != std::errc{} || end != digits.data() + digits.size()) return std::nullopt;
    return n;
}

bool names_websocket(std::string_view upgrade) noexcept
{
    while (!upgrade.empty())
        if (equals_ignoring_case(http::next_element(upgrade), "websocket")) return true;
    return false;
}

/// What the Connection fields say of the connection itself.
struct ConnectionOptions {
    bool close = false;
    bool keep_alive = false;
    bool upgrade = false;
    bool others = false; ///< names of fields: see FieldList::end_nominated()

    void take(std::string_view value) noexcept
    {
        while (!value.empty()) {
            const auto option = http::next_element(value);
            if (equals_ignoring_case(option, "close"))
                close = true;
            else if (equals_ignoring_case(option, "keep-alive"))
                keep_alive = true;
            else if (equals_ignoring_case(option, "upgrade"))
                upgrade = true;
            else
                others = true;
        }
    }

    bool keeps(unsigned version) const noexcept { return version >= 11 ? !close : keep_alive && !close; }
};

/// Fields that concern one hop by their definition (RFC 9110 §7.6.1), or whose meaning we take over.
bool always_ends_here(beast_http::field id) noexcept
{
    switch (id) {
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
    default: return false;
    }
}

/// Case does not matter; that other characters fall together, too, only costs a comparison.
std::uint32_t hash_of(std::string_view name) noexcept
{
    std::uint32_t hash = 2166136261U;
    for (const char c : name) hash = (hash ^ (static_cast<unsigned char>(c) | 0x20U)) * 16777619U;
    return hash ^ (hash >> 16);
}

beast_http::field field_id(std::string_view name)
{
    return beast_http::string_to_field({name.data(), name.size()});
}

constexpr Rejection too_many_fields{431, "too many header fields"};

constexpr std::string_view forwarded_prefix = "X-Forwarded-";

bool is_forwarded_field(std::string_view name) noexcept
{
    return name.size() > forwarded_prefix.size() &&
           equals_ignoring_case(name.substr(0, forwarded_prefix.size()), forwarded_prefix);
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

bool is_forwarded_for(const Field& field) noexcept
{
    return field.id == beast_http::field::unknown && equals_ignoring_case(field.name, "X-Forwarded-For");
}

// ------------------------------------------------------------------------------------------------------------ fields

bool FieldList::add(beast_http::field id, std::string_view name, std::string_view value) noexcept
{
    if (count_ == max_fields) return false;
    fields_[count_++] = {id, name, value, always_ends_here(id)};
    return true;
}

void FieldList::end_named(const std::vector<std::string>& names) noexcept
{
    for (std::size_t i = 0; i < count_; ++i)
        for (const std::string& name : names)
            if (equals_ignoring_case(fields_[i].name, name)) fields_[i].ends_here = true;
}

void FieldList::end_nominated() noexcept
{
    // The fields by the hash of their name: a head may name thousands of options.
    constexpr std::uint8_t none = 255;
    static_assert(max_fields < none);
    std::array<std::uint8_t, 256> first;
    std::array<std::uint8_t, max_fields> next;
    std::array<std::uint32_t, max_fields> hashes;
    first.fill(none);
    for (std::size_t i = 0; i < count_; ++i) {
        hashes[i] = hash_of(fields_[i].name);
        auto& head = first[hashes[i] % first.size()];
        next[i] = head;
        head = static_cast<std::uint8_t>(i);
    }
    for (std::size_t c = 0; c < count_; ++c) {
        if (fields_[c].id != beast_http::field::connection) continue;
        for (auto options = fields_[c].value; !options.empty();) {
            const auto option = http::next_element(options);
            const std::uint32_t hash = hash_of(option);
            for (std::size_t i = first[hash % first.size()]; i != none; i = next[i]) {
                Field& field = fields_[i];
                if (hashes[i] != hash || !equals_ignoring_case(field.name, option)) continue;
                if (field.ends_here) break; // and so do all of its name
                // Fields that frame or route the message cannot be taken away by naming them.
                if (field.id == beast_http::field::host || field.id == beast_http::field::content_length) break;
                field.ends_here = true;
            }
        }
    }
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

namespace {

/// The fields without an id of Beast's that mean something to us.
void take_unknown(Field& field, RequestHead& out) noexcept
{
    const auto name = field.name;
    switch (name.size()) {
    case std::string_view("X-Real-IP").size():
        // A client must not be able to claim the address of another.
        if (equals_ignoring_case(name, "X-Real-IP")) field.ends_here = true;
        return;
    case std::string_view("X-Request-Id").size():
        if (!equals_ignoring_case(name, "X-Request-Id")) break;
        if (http::is_request_id(field.value)) out.request_id = field.value;
        field.ends_here = true;
        return;
    case std::string_view("Idempotency-Key").size():
        if (equals_ignoring_case(name, "Idempotency-Key")) {
            out.idempotency_key = !field.value.empty();
            return;
        }
        if (!equals_ignoring_case(name, "X-Forwarded-For")) break;
        out.forwarded_for = true;
        field.ends_here = true;
        return;
    default: break;
    }
    if (is_forwarded_field(name)) field.ends_here = true;
}

/// What Connection names the backend does not see: we must not count on it there.
void forget_what_ends_here(RequestHead& out) noexcept
{
    out.fields.end_nominated();
    for (const Field& field : out.fields) {
        if (!field.ends_here) continue;
        if (field.id == beast_http::field::expect)
            out.expect_continue = false;
        else if (field.id == beast_http::field::unknown && equals_ignoring_case(field.name, "Idempotency-Key"))
            out.idempotency_key = false;
    }
}

} // namespace

std::optional<Rejection> parse_request(std::string_view head, const LimitConfig& limits, RequestHead& out)
{
    out.fields.clear();
    out.framing = Framing::none;
    out.content_length = 0;
    out.upgrade = out.idempotency_key = out.forwarded_for = false;
    out.request_id = {};
    out.max_forwards.reset();

    http::RequestLine line;
    if (const auto wrong = http::read_request_line(head, line)) return wrong;
    out.method = beast_http::string_to_verb({line.method.data(), line.method.size()});
    out.method_name = line.method;
    out.version = 10 + line.minor;
    out.dotted = line.dotted;
    const bool counts_hops = out.method == beast_http::verb::trace || out.method == beast_http::verb::options;

    http::RequestRules rules;
    ConnectionOptions connection;
    bool websocket = false;
    bool bad_max_forwards = false;
    while (!http::at_end(head)) {
        http::FieldLine field;
        if (const auto wrong = http::read_field(head, http::Sender::client, field)) return wrong;
        const auto id = field_id(field.name);
        // CGI and WSGI cannot tell X_Forwarded_For from X-Forwarded-For: who may write the one must not be able to
        // speak as the other, nor to frame the message with Transfer_Encoding. nginx drops them by default, too.
        if (id == beast_http::field::unknown && field.name.find('_') != std::string_view::npos) continue;
        if (!out.fields.add(id, field.name, field.value)) return too_many_fields;
        switch (id) {
        case beast_http::field::host:
            rules.take_host(field.value);
            out.fields.back().ends_here = true; // written first, and once
            break;
        case beast_http::field::content_length: rules.framing.add_content_length(field.value); break;
        case beast_http::field::transfer_encoding: rules.framing.add_transfer_encoding(field.value); break;
        case beast_http::field::connection: connection.take(field.value); break;
        case beast_http::field::expect: rules.take_expect(field.value); break;
        case beast_http::field::upgrade: websocket = websocket || names_websocket(field.value); break;
        case beast_http::field::forwarded: out.fields.back().ends_here = true; break;
        case beast_http::field::max_forwards:
            if (!counts_hops) break;
            bad_max_forwards = bad_max_forwards || out.max_forwards;
            out.max_forwards = to_number(field.value);
            bad_max_forwards = bad_max_forwards || !out.max_forwards;
            break;
        case beast_http::field::unknown: take_unknown(out.fields.back(), out); break;
        default: break;
        }
    }

    http::RequestRules::Target target;
    if (const auto wrong = rules.judge(line, target)) return wrong;
    if (bad_max_forwards) return Rejection{400, "Max-Forwards is not one number"};
    out.host = target.authority.empty() ? rules.host : target.authority; // RFC 9112 §3.2.2: it replaces Host
    out.target = target.path_and_query;
    if (target.no_path) out.target = out.path_added.assign("/").append(target.path_and_query);

    if (rules.framing.chunked()) {
        out.framing = Framing::chunked;
    } else if (rules.framing.content_length() > 0) {
        out.framing = Framing::length;
        out.content_length = rules.framing.content_length();
        if (limits.body > 0 && out.content_length > limits.body)
            return Rejection{413, "the body is larger than the limit"};
    }
    // RFC 9110 §10.1.1: ignored from HTTP/1.0, and without a body there is nothing to wait for.
    out.expect_continue = rules.expects_continue && out.version >= 11 && out.framing != Framing::none;
    if (connection.others) forget_what_ends_here(out);
    out.keep_alive = connection.keeps(out.version);
    // A tunnel hides all that follows from us, so only a protocol that cannot smuggle requests gets one: the WebSocket
    // handshake (RFC 6455 §4.1), not h2c.
    out.upgrade = websocket && connection.upgrade && out.method == beast_http::verb::get && out.version >= 11 &&
                  out.framing == Framing::none;
    return std::nullopt;
}

std::optional<std::string_view> parse_response(std::string_view head, bool to_head, ResponseHead& out)
{
    out.fields.clear();
    out.framing = Framing::none;
    out.content_length = 0;
    out.request_id = out.date = false;

    http::StatusLine line;
    if (const auto wrong = http::read_status_line(head, line)) return wrong->detail;
    out.status = line.status;
    out.reason = line.reason;
    out.version = 10 + line.minor;

    http::FramingFields framing;
    ConnectionOptions connection;
    bool websocket = false;
    while (!http::at_end(head)) {
        http::FieldLine field;
        if (const auto wrong = http::read_field(head, http::Sender::server, field)) return wrong->detail;
        const auto id = field_id(field.name);
        if (!out.fields.add(id, field.name, field.value)) return too_many_fields.detail;
        switch (id) {
        case beast_http::field::content_length:
            out.fields.back().ends_here = framing.has_content_length(); // an equal one is enough
            framing.add_content_length(field.value);
            break;
        case beast_http::field::transfer_encoding: framing.add_transfer_encoding(field.value); break;
        case beast_http::field::connection: connection.take(field.value); break;
        case beast_http::field::upgrade: websocket = websocket || names_websocket(field.value); break;
        case beast_http::field::date: out.date = true; break;
        case beast_http::field::unknown:
            if (equals_ignoring_case(field.name, "X-Request-Id")) out.request_id = true;
            if (equals_ignoring_case(field.name, "X-Served-By")) out.fields.back().ends_here = true;
            break;
        default: break;
        }
    }
    if (const auto wrong = framing.judge_response(out.status, to_head, out.framing)) return wrong->detail;
    if (out.status == 101 && !websocket) return "the connection is switched to something other than WebSocket";

    if (connection.others) {
        out.fields.end_nominated();
        for (const Field& field : out.fields)
            if (field.ends_here && field.id == beast_http::field::date) out.date = false;
    }
    out.has_content_length = framing.has_content_length();
    out.content_length = framing.content_length();
    out.keep_alive = connection.keeps(out.version);
    // RFC 9112 §6.1: chunks from HTTP/1.0 are a framing that an intermediary may not have understood.
    if (out.version < 11 && framing.has_transfer_encoding()) out.keep_alive = false;

    if (out.framing == Framing::until_close) out.keep_alive = false;
    return std::nullopt;
}

// ----------------------------------------------------------------------------------------------------------- writing

namespace {

/// The forwarding fields that are as they arrived.
struct KeptFields {
    bool proto = false;
    bool host = false;
};

/// Writes what a trusted proxy says of the way to it, whatever Connection names: the proxy means it for the backend.
/// Left to the caller are X-Forwarded-For and, if it is `extended`, Forwarded.
KeptFields keep_forwarding_fields(const RequestHead& head, bool extended, Buffer& out)
{
    KeptFields kept;
    for (const Field& f : head.fields) {
        const bool forwarded = f.id == beast_http::field::forwarded && !extended;
        if (f.value.empty() || is_forwarded_for(f) || (!forwarded && !is_forwarded_field(f.name))) continue;
        kept.proto = kept.proto || equals_ignoring_case(f.name, "X-Forwarded-Proto");
        kept.host = kept.host || equals_ignoring_case(f.name, "X-Forwarded-Host");
        append_field(out, f.name, f.value);
    }
    return kept;
}

} // namespace

void write_request(const RequestHead& head, const RequestExtras& extras, Buffer& out)
{
    out.append(head.method_name);
    out.append(" ");
    out.append(extras.target);
    out.append(" HTTP/1.1\r\n");
    append_field(out, "Host", head.host.empty() ? extras.default_host : head.host);

    for (const Field& f : head.fields) {
        if (f.ends_here) continue;
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

    out.append(extras.added);
    // One field names the whole way that can be believed, however many a trusted proxy sent (RFC 9110 §5.3).
    out.append("X-Forwarded-For: ");
    if (head.forwarded_for && extras.trusted) {
        for (const Field& f : head.fields) {
            if (f.value.empty() || !is_forwarded_for(f)) continue;
            out.append(f.value);
            out.append(", ");
        }
    }
    out.append(extras.client_ip);
    out.append("\r\n");
    const KeptFields kept = extras.trusted ? keep_forwarding_fields(head, extras.forwarded, out) : KeptFields{};
    if (!kept.proto) out.append("X-Forwarded-Proto: http\r\n");
    if (!kept.host && !head.host.empty()) append_field(out, "X-Forwarded-Host", head.host);
    if (extras.forwarded) {
        const bool v6 = extras.client_ip.find(':') != std::string_view::npos;
        out.append("Forwarded: ");
        if (extras.trusted) {
            for (const Field& f : head.fields) {
                if (f.id != beast_http::field::forwarded || f.value.empty()) continue;
                out.append(f.value);
                out.append(", ");
            }
        }
        out.append(v6 ? "for=\"[" : "for=");
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

std::string written_field(std::string_view head, std::string_view name)
{
    std::string value;
    for (std::size_t begin = 0, end = 0; (end = head.find("\r\n", begin)) != head.npos; begin = end + 2) {
        const auto line = head.substr(begin, end - begin);
        const auto colon = std::min(line.find(':'), line.size());
        if (!equals_ignoring_case(line.substr(0, colon), name)) continue;
        if (!value.empty()) value += ", ";
        value += http::trim(line.substr(std::min(colon + 1, line.size())));
    }
    return value;
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
        if (f.ends_here) continue;
        append_field(out, f.name, f.value);
    }
    out.append(extras.added);
    if (!extras.set_cookie.empty()) out.append(extras.set_cookie);
    if (!extras.served_by.empty()) append_via(out, head.version);
    if (!head.date && !extras.date.empty() && head.status >= 200) append_field(out, "Date", extras.date);
    if (!extras.served_by.empty()) append_field(out, "X-Served-By", extras.served_by);
    if (!head.request_id && !extras.request_id.empty()) append_field(out, "X-Request-Id", extras.request_id);
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

ChunkDecoder::State ChunkDecoder::decode(Buffer& in, Buffer& out, bool chunked)
{
    for (;;) {
        const auto step = reader_.read(in.text());
        switch (step.state) {
        case http::ChunkReader::State::content:
            content_ += step.content.size();
            if (chunked) {
                out.append_number(step.content.size(), 16);
                out.append("\r\n");
            }
            out.append(step.content);
            if (chunked) out.append("\r\n");
            in.consume(step.used);
            break;
        case http::ChunkReader::State::more: in.consume(step.used); return State::more;
        case http::ChunkReader::State::malformed: in.consume(step.used); return State::malformed;
        case http::ChunkReader::State::done:
            in.consume(step.used);
            if (chunked) out.append("0\r\n\r\n");
            return State::done;
        }
    }
}

} // namespace hotspare::balancer
