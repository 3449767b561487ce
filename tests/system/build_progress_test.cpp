// What run.sh shows while it builds: its functions alone, fed with the lines that ninja would print.
#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>

namespace hotspare::test {
namespace TEST_FILE {

/// What `commands` print that may use the functions of run.sh.
std::string with_run_sh(const std::string& commands)
{
    const auto done = run("/bin/bash", {"-c", "source '" + source_file("run.sh") + "'\n" + commands});
    EXPECT_EQ(done.code, 0) << done.err;
    return done.out;
}

TEST(BuildProgress, EstimatesFromWhatIsDone)
{
    EXPECT_EQ(with_run_sh("progress 50 100 100"), "  step 50 of 100, 1:40, about 1:40 left");
    EXPECT_EQ(with_run_sh("progress 300 400 3660"), "  step 300 of 400, 61:00, about 20:20 left");
}

TEST(BuildProgress, EstimatesNothingBeforeItCanAndNothingAtTheEnd)
{
    EXPECT_EQ(with_run_sh("progress 0 400 0"), "  step 0 of 400, 0:00");
    EXPECT_EQ(with_run_sh("progress 5 100 4"), "  step 5 of 100, 0:04");
    EXPECT_EQ(with_run_sh("progress 400 400 61"), "  step 400 of 400, 1:01");
}

TEST(BuildProgress, IsALineNowAndThenInAPipe)
{
    const std::string built = "printf '[1/3] Building a\\nwarning\\n[2/3] Building b\\n' | show_progress";
    EXPECT_EQ(with_run_sh(built), "");
    EXPECT_EQ(with_run_sh("PROGRESS_SECONDS=0\n" + built),
              "  step 1 of 3, 0:00, about 0:00 left\n  step 2 of 3, 0:00, about 0:00 left\n");
}

TEST(BuildProgress, IsOneShortLineOnATerminal)
{
    const auto shown = run("/usr/bin/script",
                           {"-qec",
                            "bash -c \"source '" + source_file("run.sh") +
                                "'; printf '[1/3] Building\\n%s\\n[2/3] Building\\n' not-of-ninja | show_progress\"",
                            "/dev/null"});
    ASSERT_EQ(shown.code, 0) << shown.err;
    EXPECT_EQ(std::count(shown.out.begin(), shown.out.end(), '\n'), 0) << shown.out;
    EXPECT_NE(shown.out.find("\r\x1b[K  step 1 of 3"), std::string::npos) << shown.out;
    EXPECT_NE(shown.out.find("\r\x1b[K  step 2 of 3"), std::string::npos) << shown.out;
    EXPECT_TRUE(shown.out.ends_with("\r\x1b[K")) << shown.out;
    std::istringstream lines(shown.out);
    for (std::string line; std::getline(lines, line, '\r');) EXPECT_LT(line.size(), 80U) << line;
}

} // namespace TEST_FILE
} // namespace hotspare::test
