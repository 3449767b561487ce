#include "common/http/head_parts.hpp"

#include "common/http/grammar.hpp"

namespace hotspare::http {

std::optional<Rejection> read_request(std::string_view head, RequestParts& out)
{
    out.fields.clear();
    if (const auto wrong = read_request_line(head, out.line)) return wrong;
    RequestRules rules;
    while (!at_end(head)) {
        FieldLine field;
        if (const auto wrong = read_field(head, Sender::client, field)) return wrong;
        out.fields.push_back(field);
        if (equals_ignoring_case(field.name, "host"))
            rules.take_host(field.value);
        else if (equals_ignoring_case(field.name, "content-length"))
            rules.framing.add_content_length(field.value);
        else if (equals_ignoring_case(field.name, "transfer-encoding"))
            rules.framing.add_transfer_encoding(field.value);
        else if (equals_ignoring_case(field.name, "expect"))
            rules.take_expect(field.value);
    }
    out.framing = rules.framing;
    out.expects_continue = rules.expects_continue;
    return rules.judge(out.line, out.target);
}

std::optional<Rejection> read_response(std::string_view head, bool to_head, ResponseParts& out)
{
    out.fields.clear();
    if (const auto wrong = read_status_line(head, out.line)) return wrong;
    FramingFields framing;
    bool close = false;
    bool keep = false;
    while (!at_end(head)) {
        FieldLine field;
        if (const auto wrong = read_field(head, Sender::server, field)) return wrong;
        out.fields.push_back(field);
        if (equals_ignoring_case(field.name, "content-length")) {
            framing.add_content_length(field.value);
        } else if (equals_ignoring_case(field.name, "transfer-encoding")) {
            framing.add_transfer_encoding(field.value);
        } else if (equals_ignoring_case(field.name, "connection")) {
            while (!field.value.empty()) {
                const auto option = next_element(field.value);
                close = close || equals_ignoring_case(option, "close");
                keep = keep || equals_ignoring_case(option, "keep-alive");
            }
        }
    }
    out.length = framing.content_length();
    out.keep_alive = !close && (out.line.minor > 0 || keep);
    // RFC 9112 §6.1: chunks from HTTP/1.0 are a framing that an intermediary may not have understood.
    if (out.line.minor == 0 && framing.has_transfer_encoding()) out.keep_alive = false;
    return framing.judge_response(out.line.status, to_head, out.framing);
}

} // namespace hotspare::http
