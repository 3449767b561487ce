// Operators' requests over a door of their own: a Unix socket, and routes that say more than their pool.
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/temp_dir.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <csignal>
#include <sys/stat.h>

#include <filesystem>
#include <string>

namespace hotspare::test {
namespace TEST_FILE {

TEST(OperatorsSocket, TakesRequestsOfItsOwnerAndLeavesNoFile)
{
    const TempDir directory;
    const Origin origin("origin");
    const auto socket = directory.path() / "admin.sock";
    const auto ask = [&socket](const std::string& target) {
        return run("/usr/bin/curl", {"-sS", "-X", "POST", "-w", "%{http_code}", "-o", "/dev/null", "--unix-socket",
                                     socket.string(), "http://localhost" + target});
    };
    {
        auto balancer = Balancer::configured(fmt::format(
            "backends:\n  - {{name: origin, url: '{}'}}\nadmin_listen: unix:{}\n", origin.url(), socket.string()));
        struct stat file {};
        ASSERT_EQ(::stat(socket.c_str(), &file), 0);
        EXPECT_EQ(file.st_mode & 0777, 0600U);
        EXPECT_EQ(ask("/admin/backends/origin/drain").out, "200");
        EXPECT_EQ(post(balancer.port(), "/admin/backends/origin/enable", "").status(), 403) << "the clients' port";
        EXPECT_EQ(ask("/admin/backends/origin/enable").out, "200");
        EXPECT_EQ(get(balancer.port(), "/data").status(), 200);
        balancer.process().signal(SIGTERM);
        EXPECT_EQ(balancer.process().wait_exit(), 0);
    }
    EXPECT_FALSE(std::filesystem::exists(socket));
}

} // namespace TEST_FILE
} // namespace hotspare::test
