#include "balancer/serve/own_answer.hpp"

#include "common/http/message.hpp"

namespace hotspare::balancer {

void write_answer(const OwnAnswer& answer, const AnswerContext& context, Buffer& out)
{
    const bool content = answer.status != 204; // RFC 9110 §8.6: nor a Content-Length
    const std::string text = content ? http::problem_document({.status = answer.status, .detail = answer.detail},
                                                              std::string(context.request_id))
                                     : std::string();
    out.append("HTTP/1.1 ");
    out.append_number(answer.status);
    out.append(" ");
    out.append(http::reason_phrase(answer.status));
    out.append("\r\nDate: ");
    out.append(context.date);
    if (content) {
        out.append("\r\nContent-Type: application/problem+json\r\nContent-Length: ");
        out.append_number(text.size());
    }
    out.append("\r\nVia: 1.1 hotspare\r\nX-Request-Id: ");
    out.append(context.request_id);
    if (answer.status == 503) out.append("\r\nRetry-After: 1");
    if (!context.keep_alive)
        out.append("\r\nConnection: close");
    else if (context.client_version < 11)
        out.append("\r\nConnection: keep-alive");
    out.append("\r\n\r\n");
    if (!context.to_head) out.append(text);
}

} // namespace hotspare::balancer
