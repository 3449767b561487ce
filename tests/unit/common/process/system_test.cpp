#include "common/process/system.hpp"

#include "tests/support/own_files.hpp"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <set>
#include <string>
#include <vector>

namespace hotspare::process {
namespace TEST_FILE {

System parse(const std::string& yaml)
{
    return config::from_yaml<System>(yaml, "some.system.yaml");
}

std::string refusal(const std::string& yaml)
{
    try {
        parse(yaml);
        return "none";
    } catch (const UsageError& error) {
        return error.what();
    }
}

const std::string two = R"(daemons:
  - name: a
    program: order_service
    arguments: >-
      --port ${port:5001} --data ${run}/a.sqlite
      --store postgres://x@127.0.0.1:${port:5432}/orders?passfile=${run_in_url}/pass
  - name: b
    program: balancer
    arguments: --config ${config}/b.yaml --port-offset ${port:0}
    after: [a]
    listen: 127.0.0.1:${port:5000}
    ready: http://127.0.0.1:${port:5000}/health
    ready_within: 3s
    stop_signal: INT
    restart: always
)";

TEST(System, FillsInPortsAndFolders)
{
    const System system = parse(two);
    const Instance instance{.port_offset = 100, .run = "/tmp/a run", .config = "/etc/x"};
    const Launch a = fill_in(system.daemons[0], instance);
    EXPECT_EQ(a.arguments, (std::vector<std::string>{"--port", "5101", "--data", "/tmp/a run/a.sqlite", "--store",
                                                     "postgres://x@127.0.0.1:5532/orders?passfile=/tmp/a%20run/pass"}));
    EXPECT_FALSE(a.listen);
    EXPECT_FALSE(a.ready);
    const Launch b = fill_in(system.daemons[1], instance);
    EXPECT_EQ(b.arguments, (std::vector<std::string>{"--config", "/etc/x/b.yaml", "--port-offset", "100"}));
    EXPECT_EQ(b.listen, (config::HostPort{"127.0.0.1", 5100}));
    ASSERT_TRUE(b.ready);
    EXPECT_EQ(b.ready->address, (config::HostPort{"127.0.0.1", 5100}));
    EXPECT_EQ(b.ready->path, "/health");
    EXPECT_EQ(system.daemons[1].ready_within, seconds(3));
    EXPECT_EQ(number_of(system.daemons[1].stop_signal), SIGINT);
    EXPECT_EQ(system.daemons[1].restart, RestartWhen::always);
    EXPECT_EQ(ports_of(system), (std::set<unsigned>{5000, 5001, 5432}));
    EXPECT_THROW(fill_in(system.daemons[1], {.port_offset = 60'600, .run = "/", .config = "/"}), UsageError);
}

TEST(System, RefusesWhatDoesNotFitTogether)
{
    const auto with = [](const std::string& line) {
        return refusal("daemons:\n  - {name: a, program: a}\n  - name: b\n    program: b\n    " + line + "\n");
    };
    EXPECT_EQ(with("ready_within: 1s"), "none");
    EXPECT_NE(with("after: [c]").find("'c' is no daemon above this one"), std::string::npos) << with("after: [c]");
    EXPECT_NE(with("after: [b]"), "none") << "not even itself";
    EXPECT_NE(with("arguments: --x ${prot:1}").find("${prot:1}"), std::string::npos);
    EXPECT_NE(with("arguments: --x ${port:70000}"), "none");
    EXPECT_NE(with("arguments: --x ${port:1"), "none");
    EXPECT_NE(with("listen: ${port:1}"), "none");
    EXPECT_NE(with("ready: 127.0.0.1:80"), "none");
    EXPECT_NE(with("ready: http://127.0.0.1:80"), "none") << "without a path";
    EXPECT_NE(with("ready: tcp://127.0.0.1:80/x"), "none");
    EXPECT_EQ(with("ready: tcp://127.0.0.1:${port:80}"), "none");
    EXPECT_NE(with("stop_signal: HUP"), "none");
    EXPECT_NE(refusal("daemons:\n  - {name: a, program: a}\n  - {name: a, program: b}\n").find("given twice"),
              std::string::npos);
    EXPECT_NE(refusal("daemons: []\n"), "none");
}

TEST(System, EveryShippedOneIsValidAndSaysWhenItIsReady)
{
    std::size_t seen = 0;
    for (const auto& entry : std::filesystem::directory_iterator(test::source_file("config"))) {
        if (!entry.path().string().ends_with(".system.yaml")) continue;
        ++seen;
        for (const Daemon& daemon : read_system(entry.path().string()).daemons) {
            EXPECT_FALSE(daemon.ready.empty()) << entry.path() << " " << daemon.name;
            EXPECT_EQ(daemon.listen.empty(), daemon.program != "balancer") << entry.path() << " " << daemon.name;
        }
    }
    EXPECT_EQ(seen, 7U);
}

} // namespace TEST_FILE
} // namespace hotspare::process
