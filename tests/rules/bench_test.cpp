// The benchmark's configurations and report: tests in its own language, as it is in Python.
#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"

#include <gtest/gtest.h>

namespace hotspare::rules {
namespace TEST_FILE {

TEST(Benchmark, ItsConfigurationsAndItsReportRender)
{
    const auto done = test::run("/usr/bin/env", {"python3", test::source_file("tests/rules/bench_test.py")});
    EXPECT_EQ(done.code, 0) << done.out << done.err;
}

} // namespace TEST_FILE
} // namespace hotspare::rules
