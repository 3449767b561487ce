// What the routes of the monitor answer alike: how a request's body and conditions are read, and how it is refused.
//
// Functions without a state. Thread: the io_context's.
#pragma once

#include "common/http/message.hpp"
#include "monitor/decide/refusal.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::monitor {

inline constexpr std::string_view json_type = "application/json";
inline constexpr std::string_view html_type = "text/html; charset=utf-8";

/// What problem_of() (recorder.hpp) says of it.
http::Response refused(const http::Request& request, const Refusal& refusal);

std::optional<std::string_view> header_or_nothing(const http::Request& request, http::field name);

/// Decimal digits only.
std::optional<std::uint64_t> number_in(std::string_view text);

/// The body as JSON, or the answer that says why it is none.
std::optional<http::Response> read_json(const http::Request& request, nlohmann::json& document);

/// The Content-Security-Policy of a page with exactly this style sheet.
std::string policy_for(std::string_view style);

} // namespace hotspare::monitor
