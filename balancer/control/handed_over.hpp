// What a balancer hands over to the process that takes its place, as the document that goes between them: what it knows
// of the backends, and the operators' requests that hold. Either side may be an older or a newer version: what is not
// known is ignored, what is missing is as at a start.
//
// Any thread; no state.
#pragma once

#include "balancer/decide/saved_state.hpp"
#include "balancer/decide/wanted.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

struct HandedOver {
    SavedState state;
    Requests requests;
    bool sockets_held = false; ///< a supervisor holds the listening sockets as well
};

std::string to_document(const HandedOver& handed_over);

/// Nothing if it is no such document.
std::optional<HandedOver> read_handed_over(std::string_view document);

} // namespace hotspare::balancer
