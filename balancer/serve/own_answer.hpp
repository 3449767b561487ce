// An answer that the balancer gives itself, instead of a backend's: application/problem+json (RFC 9457), a page, or
// 204.
//
// No I/O. Any thread.
#pragma once

#include "balancer/serve/buffer.hpp"
#include "common/clock.hpp"

#include <string>
#include <string_view>

namespace hotspare::balancer {

struct OwnAnswer {
    unsigned status = 500;
    std::string detail{};   ///< a sentence for the reader; none with 204
    std::string page{};     ///< HTML to send instead of the problem document
    bool own_page = true;   ///< it brings its style and nothing else
    std::string location{}; ///< of a redirect, which has no content
    seconds retry_after{1}; ///< with 503
};

struct AnswerContext {
    std::string_view request_id;
    std::string_view date; ///< as the Date field has it
    unsigned client_version = 11;
    bool to_head = false;    ///< the request was HEAD: no content
    bool keep_alive = false; ///< of the client's connection
};

/// Appends the response to `out`.
void write_answer(const OwnAnswer& answer, const AnswerContext& context, Buffer& out);

} // namespace hotspare::balancer
