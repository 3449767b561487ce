// A system of config/, started from its own files as run.sh starts it, but with every port shifted to a free one and
// its data in a directory of its own.
//
// Thread: the test's. Everything ends with the object.
#pragma once

#include "common/process/system.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace hotspare::test {

class RunningSystem {
public:
    /// Added to the command lines, by daemon.
    using Flags = std::map<std::string, std::vector<std::string>>;

    /// Starts every daemon of config/NAME.system.yaml, in the order of the file, and waits until each is ready; an
    /// engine (one of engines/, which needs its package) when it takes connections. Throws if one does not start.
    explicit RunningSystem(const std::string& name, const Flags& flags = {});
    ~RunningSystem();

    RunningSystem(const RunningSystem&) = delete;
    RunningSystem& operator=(const RunningSystem&) = delete;

    /// Where the daemon that `original` names in the files listens here.
    std::uint16_t port(unsigned original) const { return static_cast<std::uint16_t>(original + offset_); }
    /// The ports of the files, without the shift.
    const std::set<unsigned>& original_ports() const noexcept { return ports_; }
    /// The names of its daemons and engines, in the order of the file.
    std::vector<std::string> daemons() const;
    Process& process(const std::string& daemon) { return *processes_.at(daemon); }
    /// Where the daemons run: their .run/NAME is below it.
    const std::filesystem::path& directory() const noexcept { return dir_.path(); }

    /// Starts a daemon that has ended, with the same command line.
    void start(const std::string& daemon);

    /// The systems that config/ holds.
    static std::vector<std::string> names();

private:
    struct Daemon {
        std::string name;
        std::string program;
        std::vector<std::string> arguments;
        bool engine = false; ///< `program` is a script in engines/
    };

    void choose_ports();
    /// Engines last and in order: a PostgreSQL that is killed leaves a segment of shared memory.
    void end();

    TempDir dir_;
    process::System system_;
    std::set<unsigned> ports_;
    unsigned offset_ = 0;
    std::vector<Daemon> daemons_;
    std::map<std::string, std::unique_ptr<Process>> processes_;
};

} // namespace hotspare::test
