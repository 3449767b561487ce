// run.sh as a user meets it, for the tests of it: each test has a directory and a port offset of its own, so that a
// system that is already up is not touched, and stops what it has started.
//
// Thread: the test's.
#pragma once

#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <string>
#include <vector>

#include <unistd.h>

namespace hotspare::test {

class RunSh : public ::testing::Test {
protected:
    RunSh();
    ~RunSh() override;

    Process::Options options() const;
    std::vector<std::string> with_offset(std::vector<std::string> arguments) const;
    Finished sh(const std::vector<std::string>& arguments, milliseconds bound = seconds(60)) const;

    std::uint16_t port(unsigned base) const { return static_cast<std::uint16_t>(base + offset_); }
    std::filesystem::path instance(const std::string& system) const;

    /// The process recorded in a file of the instance; 0 if there is none.
    pid_t recorded(const std::string& system, const std::string& file) const;

    /// Makes `name` a shell script instead of the real program; the others stay real.
    void replace_program(const std::string& name, const std::string& script);

    bool nothing_listens(std::initializer_list<unsigned> bases) const;

    /// Whether the process is there and is not a zombie that its parent has yet to reap.
    static bool alive(pid_t pid);

    /// Every process that this test's run.sh has started, directly or not: they all inherit where to run, and those who
    /// overwrite that with a title, as engines do, work in there.
    std::vector<std::string> left_behind() const;

    /// Interrupts an `up` with `presses` of ^C, the first one `moment` after its first daemon is about to start. It
    /// either does not notice any more, and the system is up, or leaves nothing; and that at once.
    void interrupt(milliseconds moment, int presses);

    TempDir directory_;
    std::string build_ = build_file();
    const unsigned offset_;
};

} // namespace hotspare::test
