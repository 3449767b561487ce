// The test's own PostgreSQL, as an instrument: what it claims to do to the server has happened when it says so, and
// what was committed is there after each of its ways to end.
#include "tests/support/postgres_server.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <stdexcept>
#include <string>
#include <system_error>

namespace hotspare::test {
namespace TEST_FILE {

bool refuses_connections(std::uint16_t port)
{
    try {
        (void)connect_loopback(port);
        return false;
    } catch (const std::system_error& e) {
        return e.code() == std::errc::connection_refused;
    }
}

/// The server's processes work in its data folder.
int processes_in(const std::string& folder)
{
    int found = 0;
    for (const auto& process : std::filesystem::directory_iterator("/proc")) {
        std::error_code error;
        if (std::filesystem::read_symlink(process.path() / "cwd", error) == folder) ++found;
    }
    return found;
}

TEST(PostgresServer, KeepsWhatWasCommittedHoweverItEnds)
{
    PostgresServer server;
    EXPECT_EQ(server.url(), "postgres://hotspare@127.0.0.1:" + std::to_string(server.port()) + "/orders");
    EXPECT_EQ(server.run("show fsync"), "on");
    EXPECT_EQ(server.run("create table t (n int, s text); insert into t values (1, 'a'), (2, null)"), "");
    EXPECT_EQ(server.run("select * from t order by n"), "1|a\n2|");

    server.restart_at_once();
    EXPECT_NE(server.log().find("was not properly shut down"), std::string::npos) << server.log();
    EXPECT_EQ(server.run("insert into t values (3, 'c'); select count(*) from t"), "3");

    const std::string data = server.run("show data_directory");
    EXPECT_GT(processes_in(data), 1);
    server.kill();
    EXPECT_EQ(processes_in(data), 0);
    EXPECT_FALSE(server.running());
    EXPECT_TRUE(refuses_connections(server.port()));
    server.start();
    EXPECT_EQ(server.run("select count(*) from t"), "3");

    server.stop();
    EXPECT_EQ(processes_in(data), 0);
    EXPECT_TRUE(refuses_connections(server.port()));
    server.start();
    EXPECT_EQ(server.log().find("was not properly shut down"), std::string::npos) << server.log();
    EXPECT_EQ(server.run("select count(*) from t"), "3");
}

TEST(PostgresServer, CutsTheConnectionsOfOthers)
{
    PostgresServer server({.fsync = false, .settings = {{"max_connections", "7"}}});
    EXPECT_EQ(server.run("show fsync; show max_connections"), "off\n7");
    Process client("/usr/bin/env", {"psql", "-X", server.url(), "-c", "select pg_sleep(1000)"});
    const std::string asleep = "select count(*) from pg_stat_activity where query = 'select pg_sleep(1000)'";
    ASSERT_TRUE(eventually([&] { return server.run(asleep) == "1"; }));
    EXPECT_EQ(server.terminate_backends(), 1);
    EXPECT_EQ(client.wait_exit(), 2) << client.description();
    EXPECT_EQ(server.terminate_backends(), 0);
}

TEST(PostgresServer, AnErrorIsThrownWithItsWords)
{
    PostgresServer server;
    try {
        server.run("select * from nowhere");
        FAIL() << "went through";
    } catch (const std::runtime_error& e) {
        EXPECT_NE(std::string(e.what()).find("\"nowhere\" does not exist"), std::string::npos) << e.what();
    }
    EXPECT_THROW(PostgresServer({.settings = {{"no_such_setting", "1"}}}), std::runtime_error);
}

} // namespace TEST_FILE
} // namespace hotspare::test
