// A range of HTTP statuses, as settings name them: which answers count as good, as failures, as worth another attempt.
//
// PURE. Any thread.
#pragma once

namespace hotspare::http {

struct StatusRange {
    unsigned first = 200;
    unsigned last = 299; ///< included
    bool contains(unsigned status) const noexcept { return status >= first && status <= last; }
    bool operator==(const StatusRange&) const = default;
};

} // namespace hotspare::http
