// A failure to tell an HTTP client, before it becomes a response (message.hpp). Plain data, usable from PURE code.
#pragma once

#include <nlohmann/json.hpp>

#include <string>

namespace hotspare::http {

struct Problem {
    unsigned status = 500;
    std::string detail; ///< one sentence for the reader: what is wrong and what was expected
    nlohmann::json members =
        nlohmann::json::object(); ///< of the problem document besides the usual ones, {"field":"mode"}
};

} // namespace hotspare::http
