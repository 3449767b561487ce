// Shows in the terminal what an experiment is doing: on a terminal one line that changes, below what has happened;
// elsewhere plain lines.
//
// Thread: the director's. Writes to standard output.
#pragma once

#include "experiment/record/plan.hpp"
#include "experiment/runner.hpp"

#include <string>

namespace hotspare::experiment {

/// Of a line of what is printed.
inline constexpr unsigned terminal_columns = 80;

class Progress {
public:
    /// `quiet`: nothing but one line per run.
    Progress(const Plan& plan, bool quiet);
    ~Progress(); ///< leaves no half line behind

    /// "run 3 of 20", or what stands in its place.
    void begin(const std::string& what);
    void end(const std::string& how);
    Watcher watcher();

private:
    void update(const Snapshot& snapshot);
    void line(Nanos at, const std::string& text);
    void clear();

    const Plan& plan_;
    bool quiet_;
    bool terminal_;
    bool drawn_ = false; ///< the changing line stands
    std::string what_;
};

} // namespace hotspare::experiment
