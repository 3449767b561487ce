// An interrupted `./run.sh up` leaves nothing, at whatever moment it is interrupted.
#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/run_sh.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

namespace fs = std::filesystem;

TEST_F(RunSh, AnInterruptedUpLeavesNothing)
{
    replace_program("balancer", "exec sleep 1000"); // never ready
    Process up(source_file("run.sh"), with_offset({"up"}), options());
    ASSERT_TRUE(eventually([&] { return get(port(5001), "/health").status() == 200; }));
    const pid_t supervisor = recorded("failover", "supervisor.pid");
    ASSERT_TRUE(eventually([&] { return alive(recorded("failover", "balancer.pid")); }));
    const pid_t balancer = recorded("failover", "balancer.pid");
    up.signal(SIGTERM);
    EXPECT_EQ(up.wait_exit(seconds(30)), 130) << up.description();
    EXPECT_FALSE(alive(supervisor));
    EXPECT_FALSE(alive(balancer));
    EXPECT_TRUE(nothing_listens({5000, 5001, 5002}));
    EXPECT_EQ(left_behind(), std::vector<std::string>());
}

TEST_F(RunSh, AnInterruptionAtAnyMomentLeavesNothing)
{
    for (auto moment = milliseconds(0); moment <= milliseconds(200); moment += milliseconds(10)) interrupt(moment, 1);
}

TEST_F(RunSh, AnImpatientInterruptionDoesNotCutTheCleanUpShort)
{
    for (auto moment = milliseconds(5); moment <= milliseconds(200); moment += milliseconds(20)) interrupt(moment, 2);
}

TEST_F(RunSh, AnInterruptedFirstStartOfEnginesLeavesNothing)
{
    for (const auto moment : {milliseconds(0), milliseconds(300), milliseconds(700), milliseconds(1500)}) {
        SCOPED_TRACE(std::to_string(moment.count()) + " ms");
        fs::remove_all(instance("orders-scaled"));
        auto as_a_job = options();
        as_a_job.own_group = true;
        Process up(source_file("run.sh"), with_offset({"up", "orders", "--engine=postgres+redis"}), as_a_job);
        ASSERT_TRUE(eventually([&] { return fs::exists(instance("orders-scaled") / "postgres.log"); }));
        stand_still(moment);
        up.signal_group(SIGINT);
        const auto code = up.wait_exit();
        EXPECT_TRUE(code == 130 || (code == 0 && sh({"stop"}).code == 0)) << up.description();
        EXPECT_EQ(left_behind(), std::vector<std::string>());
    }
}

} // namespace TEST_FILE
} // namespace hotspare::test
