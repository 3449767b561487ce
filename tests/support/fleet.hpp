// The programs of the suite as a system test runs them: real processes on free ports, with words for what happens to
// them. A test that needs a server which misbehaves on purpose puts an Origin or a Gate in a Backend's place.
//
// Thread: the test's. Everything ends with its object.
#pragma once

#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"

#include <nlohmann/json_fwd.hpp>

#include <csignal>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::test {

/// A `primary` or `spare` process.
class Backend {
public:
    /// Starts `program` on free ports and waits until it answers. `store` is its data file.
    Backend(std::string program, std::string store, std::vector<std::string> more_flags = {});

    const std::string& name() const noexcept { return program_; }
    std::uint16_t port() const noexcept { return port_; }
    Process& process() { return *process_; }

    void crash();   ///< SIGKILL, and waits for the end
    void restart(); ///< a new process on the same port; waits until it answers
    void stop() { process_->signal(SIGSTOP); }
    void go_on() { process_->signal(SIGCONT); }
    void fail(const std::string& query); ///< POST /fail?query, e.g. "mode=refuse"
    void recover();                      ///< POST /recover on the control port

private:
    void start();

    std::string program_;
    std::string store_;
    std::vector<std::string> more_flags_;
    std::uint16_t port_ = 0;
    std::uint16_t control_port_ = 0;
    std::unique_ptr<Process> process_;
};

/// A `balancer` process.
class Balancer {
public:
    /// Name and port of each backend in order of priority: what `--backend NAME=http://127.0.0.1:PORT` says.
    using Backends = std::vector<std::pair<std::string, std::uint16_t>>;

    /// With flags alone, on a free port, two workers unless they say otherwise; waits until it listens.
    explicit Balancer(const Backends& backends, std::vector<std::string> more_flags = {},
                      Process::Options options = {});
    /// The same with a configuration file of these lines.
    static Balancer configured(const std::string& yaml);
    /// The same with a file that the test keeps and changes.
    static Balancer from_file(const std::string& path);

    std::uint16_t port() const noexcept { return port_; }
    Process& process() { return *process_; }

    /// GET /status; null if it does not answer.
    nlohmann::json status() const;
    /// The value of a line of /metrics; -1 if there is no such line.
    double metric(const std::string& line) const;
    /// The status word of one backend; empty if unknown.
    std::string status_of(const std::string& backend) const;
    std::string active() const;
    /// Waits until /status says so; false if it does not within `patience`.
    [[nodiscard]] bool wait_for(const std::string& backend, const std::string& status) const;
    [[nodiscard]] bool wait_active(const std::string& backend) const;

private:
    explicit Balancer(std::unique_ptr<Process> process);

    std::unique_ptr<Process> process_;
    std::uint16_t port_ = 0;
};

} // namespace hotspare::test
