#include "balancer/serve/own_answer.hpp"

#include "common/http/message.hpp"

namespace hotspare::balancer {

void write_answer(const OwnAnswer& answer, const AnswerContext& context, Buffer& out)
{
    const bool lengthless = answer.status == 204; // RFC 9110 §8.6
    const bool content = !lengthless && answer.location.empty();
    const bool page = !answer.page.empty();
    const std::string problem =
        content && !page
            ? http::problem_document({.status = answer.status, .detail = answer.detail}, context.request_id)
            : std::string();
    const std::string& text = page ? answer.page : problem;
    out.append("HTTP/1.1 ");
    out.append_number(answer.status);
    out.append(" ");
    out.append(http::reason_phrase(answer.status));
    out.append("\r\nDate: ");
    out.append(context.date);
    if (content) {
        out.append("\r\nContent-Type: ");
        out.append(page ? "text/html; charset=utf-8" : "application/problem+json");
        if (page && answer.own_page)
            out.append("\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'");
    }
    if (!answer.location.empty()) {
        out.append("\r\nLocation: ");
        out.append(answer.location);
    }
    if (!lengthless) {
        out.append("\r\nContent-Length: ");
        out.append_number(text.size());
    }
    out.append("\r\nVia: 1.1 hotspare\r\nX-Request-Id: ");
    out.append(context.request_id);
    if (answer.status == 503) {
        out.append("\r\nRetry-After: ");
        out.append_number(static_cast<std::uint64_t>(answer.retry_after.count()));
    }
    if (!context.keep_alive)
        out.append("\r\nConnection: close");
    else if (context.client_version < 11)
        out.append("\r\nConnection: keep-alive");
    out.append("\r\n\r\n");
    if (!context.to_head) out.append(text);
}

} // namespace hotspare::balancer
