// Sets up spdlog for a daemon; the daemon then logs with spdlog::info(...) and its siblings, or with log::event() where
// a program reads along. Lines go to standard error: readable text on a terminal, else one JSON object per line
// ({"ts":…,"level":…,"service":…,"msg":…}), with everything that a client sent escaped.
//
// Logging never holds up an event loop: lines pass through a bounded queue to one background thread, the oldest are
// dropped when it overflows, and a reader that no longer reads costs the background thread its patience only once.
// run_app owns the Session; nothing else makes one, except tests.
#pragma once

#include "common/clock.hpp"

#include <nlohmann/json_fwd.hpp>
#include <spdlog/common.h>
#include <spdlog/spdlog.h>

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::log {

enum class Format { automatic, text, json };

struct Settings {
    std::string service; ///< the daemon's name, in every line
    spdlog::level::level_enum level = spdlog::level::info;
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

/// Logs `message` with `fields` (a JSON object) as further members of the JSON line; text lines show only `message`, so
/// it must say everything that matters. Without a Session the fields follow the message.
void event(spdlog::level::level_enum level, std::string_view message, const nlohmann::json& fields);

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
