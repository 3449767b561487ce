// JSON documents (RFC 8259) as text: the one writer, and the one strict reader, of those that come from outside and of
// our own. Both are compiled here, once: nlohmann's templates cost each file that writes or reads by itself a second or
// more.
//
// The reader refuses what lenient readers resolve in different ways, because two programs that read the same bytes must
// see the same document: a NUL byte, which some take for the end of the text; a name that occurs twice in an object, of
// which some take the first and some the last; bytes behind the document; and nesting that is deeper than any document
// of ours.
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

/// The document; a discarded value (is_discarded()) if check_json_document() refuses it, and then `wrong` tells why.
nlohmann::json read_json_document(std::string_view text, std::optional<MalformedJson>* wrong = nullptr);

/// The member of an object; null if `object` is none, or has no such member.
const nlohmann::json& member_of(const nlohmann::json& object, const char* name);

/// One line without an end, or lines that are indented by `indent` spaces. Bytes that are no UTF-8 become U+FFFD, as
/// what a client sent may come back in a document of ours and must not turn it into an exception.
std::string json_text(const nlohmann::json& json, int indent = -1);
std::string json_text(const nlohmann::ordered_json& json, int indent = -1);

/// `text` as a JSON string, in quotes; as above.
std::string json_string(std::string_view text);

} // namespace hotspare
