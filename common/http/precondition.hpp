// Conditional requests: If-Match and If-None-Match (RFC 9110 §13) against the entity tag of a resource.
//
// PURE.
#pragma once

#include "common/http/problem.hpp"

#include <boost/system/result.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::http {

class Preconditions {
public:
    /// From the values of the two fields; nullopt = the field is absent. Fails with a 400 for a broken list of tags.
    static boost::system::result<Preconditions, Problem> parse(std::optional<std::string_view> if_match,
                                                               std::optional<std::string_view> if_none_match);

    /// `etag` is the strong tag of the resource with its quotes, nullopt when it does not exist.
    /// RFC 9110 §13.2.2, steps 1 and 3. A read that fails for If-None-Match is answered 304, everything else 412.
    bool if_match_holds(std::optional<std::string_view> etag) const;
    bool if_none_match_holds(std::optional<std::string_view> etag) const;
    bool hold(std::optional<std::string_view> etag) const { return if_match_holds(etag) && if_none_match_holds(etag); }

private:
    struct Tags {
        bool any = false;                      ///< "*"
        std::vector<std::string> strong, weak; ///< with quotes, without W/
    };
    static boost::system::result<Tags, Problem> parse_tags(std::string_view field, std::string_view text);

    std::optional<Tags> if_match_, if_none_match_;
};

} // namespace hotspare::http
