// What is checked, how and how often, as it is written in a configuration file: a list of targets, each with a name and
// one of `url`, `tcp`, `balancer` and `push`. The daemon's settings hold the list and declare it as any other.
//
// Filled before the checker starts, immutable afterwards.
#pragma once

#include "common/config.hpp"
#include "common/http/status_range.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::monitor {

enum class CheckKind : std::uint8_t {
    http,
    tcp,
    balancer, ///< its backends are targets too, called NAME/BACKEND
    push,     ///< the target calls the monitor
};
std::string_view to_string(CheckKind) noexcept;

struct HeaderSettings {
    std::string name;
    std::string value;
};

/// A secret that is part of a URL. A message about it does not show it.
struct PushToken {
    std::string text;

    friend bool operator==(const PushToken&, const PushToken&) = default;
};

struct TargetSettings {
    std::string name;
    // One of these four:
    std::string url;      ///< http://HOST[:PORT][/PATH]
    std::string tcp;      ///< HOST:PORT
    std::string balancer; ///< as `url`; without a path its /status
    PushToken push{};

    Duration interval = seconds(10);
    Duration doubt_interval{}; ///< while the state is in doubt; zero: the interval
    Duration timeout = seconds(5);
    Duration slow{};  ///< zero: no answer is slow
    Duration grace{}; ///< of push, beyond the interval
    unsigned confirm_down = 3;
    unsigned confirm_up = 2;
    unsigned confirm_degraded = 1;

    // Of `url`:
    std::string method = "GET";
    std::vector<HeaderSettings> headers{};
    std::string body{};
    std::vector<http::StatusRange> expect_status{{200, 299}};
    std::string expect_body{};
    std::string expect_json_field{};
    bool health_word = false; ///< what a service says of itself counts (health_word.hpp)

    // Of `balancer`:
    bool operate = false;             ///< its pools may be closed during windows that ask for it
    std::vector<std::string> pools{}; ///< those of them that may; none: all that have a backend

    /// After finish_targets(): of the one that is given.
    CheckKind kind() const noexcept;
};

void fields(config::Fields& field, TargetSettings& target);

/// The rule for the list: field("targets", s.targets, "…", {is_target_list, a_target_list}).
bool is_target_list(const std::vector<TargetSettings>& list);
inline constexpr auto a_target_list = "at most 10000 targets";

/// Completes what depends on other keys and refuses what does not fit together; `path` is the key of the list. For the
/// finish() of the settings that hold it.
void finish_targets(std::vector<TargetSettings>& targets, const config::Places& places, std::string_view path);

/// A URL in the two parts that a request needs. Nothing if it is not http://HOST[:PORT][/PATH][?QUERY].
struct HttpUrl {
    config::HostPort origin;
    std::string target; ///< "/" if there is no path
};
std::optional<HttpUrl> parse_http_url(std::string_view text);

} // namespace hotspare::monitor
