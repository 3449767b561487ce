// A strict reader of XML, for tests of programs that write it: every tag closed in order, every attribute quoted and
// given once, every entity known, no character that XML 1.0 forbids. It knows neither namespaces nor CDATA nor
// comments, which none of our documents has; a doctype or an XML declaration may stand at the beginning.
//
// Thread: none. Values.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::test {

struct XmlElement {
    std::string name;
    std::map<std::string, std::string> attributes; ///< entities resolved
    std::string text;                              ///< of itself and all within, entities resolved
    std::size_t parent = 0;                        ///< index in XmlDocument::elements; the root is its own
};

struct XmlDocument {
    std::string problem;              ///< why it is not well-formed, with the line; empty if it is
    std::vector<XmlElement> elements; ///< in the order of their start tags

    std::vector<const XmlElement*> all(std::string_view name) const;
    /// The children of `parent`, in order.
    std::vector<const XmlElement*> children(const XmlElement& parent) const;
};

XmlDocument read_xml(std::string_view text);

} // namespace hotspare::test
