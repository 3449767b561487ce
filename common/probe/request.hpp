// What a probe may be told to ask with and to expect, as settings. Every prober of the suite takes the same.
//
// PURE. Any thread.
#pragma once

#include "common/http/status_range.hpp"

#include <boost/system/result.hpp>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::probe {

using Field = std::pair<std::string, std::string>; ///< name and value

/// A token (RFC 9110 §9.1) of at most 32 characters. Not CONNECT: it asks for a tunnel, which no answer ends.
bool is_method(const std::string& text);
inline constexpr auto a_method = "a request method other than CONNECT";

/// Those that frame the message are set by the request itself.
bool is_field_name(const std::string& text);
inline constexpr auto a_field_name = "the name of a header field that does not frame the message";
bool is_field_value(const std::string& text);
inline constexpr auto a_field_value = "a text without control characters";

/// Of Expectation::json_field and Expectation::statuses.
bool is_field_match(const std::string& text);
inline constexpr auto a_field_match = "FIELD=VALUE";
bool is_status_list(const std::vector<http::StatusRange>& list);
inline constexpr auto a_status_list = "at least one status or range";

/// Of "NAME: VALUE" each. Fails with a sentence that does not hold the value, which may be a secret.
boost::system::result<std::vector<Field>, std::string> parse_fields(const std::vector<std::string>& lines);

} // namespace hotspare::probe
