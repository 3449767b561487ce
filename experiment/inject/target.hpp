// What an experiment is done to: an address to send load to, and the parties behind it that faults can happen to.
//
// Either we start everything ourselves: primary, spare, gates where the plan needs them, and a balancer of one of
// several kinds in front (a testbed). Or an existing system runs already and we are told its address (attach());
// then only those faults are possible that we were given the means for: a process id, the address of a backend.
//
// Thread: the director's. Lifetime: the destructor ends what start_testbed() started; what we attached to is left as it
// was found.
#pragma once

#include "common/config.hpp"
#include "common/process/child.hpp"
#include "common/process/foreign.hpp"
#include "common/socket.hpp"
#include "experiment/inject/gate.hpp"
#include "experiment/record/plan.hpp"
#include "experiment/record/record.hpp"

#include <array>
#include <atomic>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::experiment {

/// A process or a server that something can happen to. What is absent cannot be done.
struct Party {
    std::string name;
    std::vector<Fd> sockets;                   ///< handed down to `child`, each time that it is started
    std::unique_ptr<process::Child> child;     ///< ours
    std::unique_ptr<process::Foreign> foreign; ///< of an existing system
    std::unique_ptr<Gate> gate;                ///< between the balancer and this backend
    std::optional<config::HostPort> address;   ///< where it serves; a backend's is behind its gate
    std::optional<config::HostPort> control;   ///< where a backend's /fail, /recover and /health always answer
};

/// The balancers that we know how to start.
inline constexpr std::array<std::string_view, 4> known_balancers{"hotspare", "nginx", "haproxy", "caddy"};

struct Target {
    std::string name;                  ///< "hotspare", "nginx", a URL
    config::HostPort address;          ///< where clients go
    std::string host;                  ///< the Host header
    bool has_events = false;           ///< GET /events at `address` tells what happens
    std::vector<std::string> backends; ///< in order of preference
    std::vector<Party> parties;        ///< the backends and, where it can be hit, the `balancer`
    std::string environment;           ///< a JSON object, see Journal

    /// Nothing if there is no such party.
    Party* party(std::string_view name) noexcept;

    /// Which backend the balancer holds for anything but healthy, as a sentence; empty: none, or it gives no account.
    std::string unwell() const;

    /// Ends what start_testbed() started, in order and within bounds, so that logs are complete.
    void end();

    /// The backend that an answer with this header came from, as its X-Served-By says; empty if it does not.
    std::string served_by(std::string_view header) const;
    /// The same for the field's value.
    std::string name_of(std::string_view said) const;

    std::map<std::string, std::string, std::less<>> names; ///< of backends, by what X-Served-By calls them
    std::filesystem::path access_log;                      ///< hotspare's; empty = none
    std::map<std::string, std::filesystem::path> ledgers;  ///< by backend; empty = not counted
};

struct TestbedOptions {
    std::string balancer = "hotspare";
    std::filesystem::path programs;  ///< the build's folder: primary/primary, spare/spare, balancer/balancer below it
    std::filesystem::path peers;     ///< the folder of the peers' configuration templates
    std::filesystem::path directory; ///< for logs, configuration, data; must exist and be ours alone
    std::string balancer_config; ///< hotspare: a YAML file in place of the defaults, with @PRIMARY@, @SPARE@, @PORT@
    std::uint64_t seed = 0;
    const std::atomic<bool>* interrupted = nullptr; ///< set: give up waiting
};

/// Whether this machine has the program. nginx, HAProxy and Caddy come from Debian.
std::optional<std::filesystem::path> program_of(std::string_view balancer, const std::filesystem::path& programs);

/// Starts everything and waits until it answers. Throws StartupError that says which process did not, with its last
/// words; UsageError if the balancer is unknown or not installed.
Target start_testbed(const Plan& plan, const TestbedOptions& options);

struct AttachOptions {
    std::string url;                    ///< http://HOST[:PORT]
    std::vector<std::string> backends;  ///< NAME=http://HOST:PORT, for failure modes
    std::vector<std::string> processes; ///< NAME=PIDFILE or NAME=PID, for faults of a process
    std::vector<std::string> ledgers;   ///< NAME=FILE that this backend writes (its --ledger), to count
    bool supervised = false;            ///< processes that end are started again by a supervisor
};

/// Throws UsageError if nothing answers there, if the plan needs a party or a means that was not given, or if a process
/// is not ours to hit.
Target attach(const Plan& plan, const AttachOptions& options);

/// Why the plan's faults cannot be made on this target; empty if they can.
std::string not_possible(const Plan& plan, Target& target);

/// Once nothing writes any more: which way the balancer sent each request, and what the backends executed. Requests are
/// recognised by `id_prefix`.
void collect(const Target& target, std::string_view id_prefix, Run& run);

} // namespace hotspare::experiment
