// An answer that the balancer gives itself, instead of a backend's: application/problem+json (RFC 9457), or 204.
//
// No I/O. Any thread.
#pragma once

#include "balancer/serve/buffer.hpp"

#include <string>
#include <string_view>

namespace hotspare::balancer {

struct OwnAnswer {
    unsigned status = 500;
    std::string detail{}; ///< a sentence for the reader; none with 204
};

struct AnswerContext {
    std::string_view request_id;
    std::string_view date;   ///< as the Date field has it
    bool to_head = false;    ///< the request was HEAD: no content
    bool keep_alive = false; ///< of the client's connection
};

/// Appends the response to `out`. A 503 asks the client to come again in a second.
void write_answer(const OwnAnswer& answer, const AnswerContext& context, Buffer& out);

} // namespace hotspare::balancer
