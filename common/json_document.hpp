// The one strict reader of JSON documents that come from outside (RFC 8259). It refuses what lenient readers resolve in
// different ways, because two programs that read the same bytes must see the same document: a NUL byte, which some take
// for the end of the text; a name that occurs twice in an object, of which some take the first and some the last; bytes
// behind the document; and nesting that is deeper than any document of ours.
//
// PURE. Any thread.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare {

/// Deeper documents are refused: readers of JSON recurse.
inline constexpr int max_json_depth = 64;

/// Why a text is not a JSON document, and where. Line, column and byte count from 1; 0 = no particular place.
struct MalformedJson {
    std::string what;
    std::size_t line = 0;
    std::size_t column = 0;
    std::size_t byte = 0;
};

/// Checks `text` without building the value; empty if it is one document.
std::optional<MalformedJson> check_json_document(std::string_view text);

/// The document; a discarded value (is_discarded()) if check_json_document() refuses it.
nlohmann::json read_json_document(std::string_view text);

} // namespace hotspare
