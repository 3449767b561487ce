// PURE: what the supervisor says of its daemons, for people (`run.sh status`) and as JSON.
//
// Any thread.
#pragma once

#include "common/clock.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::supervisor {

enum class State : std::uint8_t {
    stopped,    ///< on request, or not started yet
    waiting,    ///< for daemons that must be ready first
    starting,   ///< runs, and is not ready yet
    running,    ///< and was ready
    stopping,   ///< was asked to end
    restarting, ///< has ended, and is started again after a pause
    ended,      ///< by its own decision: exit code 0 or 2
    given_up,   ///< restarted too often
};
std::string_view to_string(State state) noexcept;

struct LastExit {
    std::string cause; ///< "exited with 1", "was ended by SIGKILL", "cannot be started: ..."
    Duration ran{};
    WallTime at{};
};
/// "exited with 1 after 3 s".
std::string describe(const LastExit& exit);

struct DaemonStatus {
    std::string name;
    State state = State::stopped;
    int pid = 0;                      ///< 0: no process
    bool adopted = false;             ///< it was started by an earlier supervisor
    std::vector<std::uint16_t> ports; ///< that it listens on
    std::vector<int> replaced{};      ///< processes before it that finish what they had begun
    unsigned restarts = 0;            ///< since the system was started
    std::optional<LastExit> last_exit;
    std::vector<std::string> waits_for; ///< while it waits
    Duration starts_in{};               ///< while it restarts
};

/// Two spaces, then what there is to say; a second line for the last exit of a daemon that runs again.
std::string to_text(const DaemonStatus& status);
nlohmann::ordered_json to_json(const DaemonStatus& status);

/// Whether `up` starts it: it does not run, or only after a pause.
bool is_missing(State state) noexcept;

} // namespace hotspare::supervisor
