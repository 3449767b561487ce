// What a route changes of the header fields of its requests or responses.
//
// PURE. Part of a Topology: immutable, shared by all workers.
#pragma once

#include <boost/system/result.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

struct HeaderEdits {
    std::vector<std::string> removed{}; ///< names of fields that are left out, those included that are set anew
    std::string added{};                ///< the lines of the fields that are set, each with its CRLF

    bool empty() const noexcept { return removed.empty() && added.empty(); }
    bool operator==(const HeaderEdits&) const = default;

    /// `set`: "NAME: VALUE" each. Fails, with what is wrong, if a name or a value is none (RFC 9110 §5), or the field
    /// is one that the balancer writes itself: it frames the message, belongs to one connection, or tells the way.
    static boost::system::result<HeaderEdits, std::string> parse(const std::vector<std::string>& set,
                                                                 const std::vector<std::string>& remove);
};

} // namespace hotspare::balancer
