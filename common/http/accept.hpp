// What a client wants to read: its Accept field, for answers that exist as a page for people and as a JSON document for
// programs (RFC 9110 §12.5.1).
//
// PURE. Any thread.
#pragma once

#include <string_view>

namespace hotspare::http {

/// Whether the client wants text/html rather than a problem document (application/problem+json, application/json). Not
/// if it wants both alike, as `*/*` does, or says nothing. `accept` is the field's value, of several fields one list.
bool prefers_html(std::string_view accept) noexcept;

} // namespace hotspare::http
