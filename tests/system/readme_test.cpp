// The README is true: every command that it shows for a running system is executed here as it is written, against the
// system that the README has started by then, only with the ports shifted. (The commands of run.sh are
// run_sh_*test.cpp's; tests/rules checks that no command is left over.)
#include "tests/support/eventually.hpp"
#include "tests/support/markdown.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/running_system.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <memory>
#include <regex>
#include <string>

namespace hotspare::test {
namespace TEST_FILE {

/// Shifts localhost:PORT and 127.0.0.1:PORT where PORT belongs to the system.
std::string shift(const std::string& command, const RunningSystem& system)
{
    static const std::regex address(R"re((localhost|127\.0\.0\.1):(\d+))re");
    std::string out;
    auto rest = command.begin();
    for (std::sregex_iterator m(command.begin(), command.end(), address), end; m != end; ++m) {
        const auto original = static_cast<unsigned>(std::stoul((*m)[2]));
        out.append(rest, command.begin() + m->position());
        rest = command.begin() + m->position() + m->length();
        out += (*m)[1].str() + ":" +
               std::to_string(system.original_ports().contains(original) ? system.port(original) : original);
        EXPECT_TRUE(system.original_ports().contains(original))
            << "no daemon of the system on the port of: " << command;
    }
    return out.append(rest, command.end());
}

TEST(Readme, CommandsForARunningSystemWork)
{
    static const std::regex up(R"re(^\./run\.sh(?: +up)?(?: +([a-z][a-z-]*))?(?: .*)?$)re");
    static const std::regex other(
        R"re(^\./run\.sh +(demo|status|logs|stop|test|bench|experiment|bakeoff|restart|help)\b.*)re");
    std::ifstream readme(source_file("README.md"), std::ios::binary);
    ASSERT_TRUE(readme) << "README.md is missing";

    std::string name = "failover";
    std::unique_ptr<RunningSystem> system;
    for (const std::string& command : shell_commands({std::istreambuf_iterator<char>(readme), {}})) {
        SCOPED_TRACE(command);
        std::smatch m;
        if (std::regex_match(command, other)) continue;
        if (std::regex_match(command, m, up)) {
            const std::string wanted = m[1].matched ? m[1].str() : "failover";
            if (wanted != name) system.reset();
            name = wanted;
            continue;
        }
        if (command.find("curl ") == std::string::npos) continue;
        if (!system) system = std::make_unique<RunningSystem>(name);

        // A stream never ends by itself: it counts if it says something.
        const bool streams = command.find("/events") != std::string::npos || command.find("/logs") != std::string::npos;
        Process process("/bin/sh", {"-c", "exec 2>&1; " + shift(command, *system)});
        if (streams) {
            EXPECT_TRUE(eventually([&] { return !process.out().empty(); })) << process.description();
            continue;
        }
        EXPECT_EQ(process.wait_exit(), 0) << process.description();
        EXPECT_TRUE(process.wait_output_end());
    }
}

} // namespace TEST_FILE
} // namespace hotspare::test
