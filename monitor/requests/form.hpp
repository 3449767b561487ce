// The body of an HTML form, application/x-www-form-urlencoded, as the dashboard's buttons send it. Strict where the
// WHATWG's parser is lenient: a broken escape, a name without '=' or one that occurs twice is refused, as two readers
// could read it in two ways. What the fields mean is the caller's business.
//
// PURE. Any thread.
#pragma once

#include "monitor/decide/refusal.hpp"

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::monitor {

/// Decoded, in the order of the body; no name is empty or occurs twice.
using FormFields = std::vector<std::pair<std::string, std::string>>;

inline constexpr std::size_t longest_form = 8 * 1024; ///< bytes
inline constexpr std::size_t most_form_fields = 16;

/// An empty body has no fields. The field of a refusal is "body", or the form's field that is wrong.
Accepted<FormFields> read_form(std::string_view body);

} // namespace hotspare::monitor
