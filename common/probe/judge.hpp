// What the end of an HTTP probe says about the server that was probed: the name of its outcome, and the sentence for an
// operator. Every prober of the suite judges by these rules; when to probe and what follows is left to the health
// detector (common/resilience/health) and its owner, the sending to common/probe/probe.
//
// PURE. Any thread.
#pragma once

#include "common/clock.hpp"
#include "common/config.hpp"
#include "common/error.hpp"
#include "common/http/status_range.hpp"
#include "common/resilience/health.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace hotspare::probe {

using resilience::ProbeOutcome;

/// What the answer of a working server looks like.
struct Expectation {
    std::vector<http::StatusRange> statuses{{200, 299}};
    std::string body{};       ///< a substring of the body; empty = any
    std::string json_field{}; ///< "status=healthy": a top-level field and its value; empty = any
};

/// A complete answer. The views must outlive the call that it is given to.
struct Answer {
    unsigned status = 0;
    std::string_view reason; ///< the standard phrase of the status, not the server's
    std::string_view body;
};

struct Verdict {
    ProbeOutcome outcome = ProbeOutcome::ok;
    /// Of an answer its status: "404 Not Found"; else why there is none: "Connection refused".
    std::string detail{};
    /// What an answer that was not as expected lacks: "expected 200-299", "its body is not a JSON object". Else empty.
    std::string shortcoming{};
    bool wrong_status = false; ///< the shortcoming is the status
};

/// Of an answer: ok or failing.
Verdict judge(const Answer& answer, const Expectation& expected);

/// Of a probe that ended without a complete answer, with the errors of http::fetch(); `timeout` is what it was given.
/// Not for errors that say nothing about the server: errc::cancelled, and those of is_own_shortage().
Verdict judge(const error_code& failure, Duration timeout);

/// The Host field of a request to `origin`: without the port that http has by default (RFC 9110 §4.2.1), IPv6 addresses
/// in brackets.
std::string host_field(const config::HostPort& origin);

} // namespace hotspare::probe
