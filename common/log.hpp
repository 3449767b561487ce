// Sets up the log of a daemon; the daemon then logs with log::info(...) and its siblings, or with log::event() where a
// program reads along. spdlog does the work, and only log.cpp includes it: its header takes longer to compile than most
// of what logs. Lines go to standard error: readable text on a terminal, else one JSON object per line
// ({"ts":…,"level":…,"service":…,"msg":…}), with everything that a client sent escaped.
//
// Logging never holds up an event loop: lines pass through a bounded queue to one background thread, the oldest are
// dropped when it overflows, and a reader that no longer reads costs the background thread its patience only once.
// run_app owns the Session; nothing else makes one, except tests.
#pragma once

#include "common/clock.hpp"

#include <fmt/core.h>
#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
namespace details {
class thread_pool;
}
} // namespace spdlog

namespace hotspare::log {

enum class Level { trace, debug, info, warn, error, critical, off };
enum class Format { automatic, text, json };

struct Settings {
    std::string service; ///< the daemon's name, in every line
    Level level = Level::info;
    Format format = Format::automatic; ///< text if `fd` is a terminal, else JSON
    int fd = 2;                        ///< not closed
    Duration patience = seconds(1);    ///< how long the background thread waits for a reader before it drops lines
};

/// spdlog's default logger for as long as it lives. The destructor writes what is queued and then puts back the logger
/// that was there before. Construct before the first thread starts, destroy after the last has ended.
class Session {
public:
    explicit Session(const Settings& settings);
    ~Session();
    Session(const Session&) = delete;
    Session& operator=(const Session&) = delete;

    /// Lines that were lost so far; a line in the log says so once the log is read again.
    std::size_t dropped() const;

private:
    class Sink;

    std::shared_ptr<spdlog::details::thread_pool> writer_;
    std::shared_ptr<Sink> sink_;
    std::shared_ptr<spdlog::logger> logger_;
    std::shared_ptr<spdlog::logger> previous_;
};

/// The level below which lines are left out, of whatever logger is there now.
Level level();
void set_level(Level level);

/// A line from a format and its arguments, as the functions below write it.
void vwrite(Level level, fmt::string_view format, fmt::format_args arguments);

template <class... Args> void write(Level level, fmt::format_string<Args...> format, Args&&... arguments)
{
    vwrite(level, fmt::string_view(format), fmt::make_format_args(arguments...));
}
template <class... Args> void debug(fmt::format_string<Args...> format, Args&&... arguments)
{
    vwrite(Level::debug, fmt::string_view(format), fmt::make_format_args(arguments...));
}
template <class... Args> void info(fmt::format_string<Args...> format, Args&&... arguments)
{
    vwrite(Level::info, fmt::string_view(format), fmt::make_format_args(arguments...));
}
template <class... Args> void warn(fmt::format_string<Args...> format, Args&&... arguments)
{
    vwrite(Level::warn, fmt::string_view(format), fmt::make_format_args(arguments...));
}
template <class... Args> void error(fmt::format_string<Args...> format, Args&&... arguments)
{
    vwrite(Level::error, fmt::string_view(format), fmt::make_format_args(arguments...));
}
template <class... Args> void critical(fmt::format_string<Args...> format, Args&&... arguments)
{
    vwrite(Level::critical, fmt::string_view(format), fmt::make_format_args(arguments...));
}

/// Logs `message` with `fields` (a JSON object) as further members of the JSON line; text lines show only `message`, so
/// it must say everything that matters. Without a Session the fields follow the message.
void event(Level level, std::string_view message, const nlohmann::json& fields);

/// Lets one line of each kind through per `interval`: what happens thousands of times a second is told all the same,
/// and fills no disk. Any thread.
class Throttle {
public:
    explicit Throttle(Duration interval = seconds(1)) : interval_(interval) {}

    /// How many of this kind were left out since the last one that was let through; nothing: leave this one out too.
    /// There must be a bounded number of kinds.
    std::optional<std::uint64_t> admit(int kind, TimePoint now);

private:
    struct Told {
        TimePoint last;
        std::uint64_t left_out = 0;
    };

    const Duration interval_;
    std::mutex mutex_;
    std::map<int, Told> told_;
};

} // namespace hotspare::log
