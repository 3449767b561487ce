// Why a command of an operator is not carried out: the field that is wrong, and what is wrong with it, for people.
//
// PURE data. Any thread.
#pragma once

#include <boost/system/result.hpp>

#include <string>

namespace hotspare::monitor {

struct Refusal {
    std::string field;   ///< as the HTTP interface names it: "start_time"
    std::string message; ///< a clause: "start_time must be at least 48 h ahead"

    friend bool operator==(const Refusal&, const Refusal&) = default;
};

/// The value, or why there is none. Read it with operator*, never with value().
template <class T> using Accepted = boost::system::result<T, Refusal>;

} // namespace hotspare::monitor
