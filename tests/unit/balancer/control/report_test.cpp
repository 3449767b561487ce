#include "balancer/control/report.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <memory>
#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

/// Two pools, `web` with the backends a and b and `api` with c, and what the monitor knows of them.
struct TwoPools : ::testing::Test {
    TwoPools()
    {
        for (const auto* name : {"a", "b", "c"}) config.backends.emplace_back().name = name;
        config.pools.resize(2);
        config.pools[0].name = "web";
        config.pools[0].backends = {0, 1};
        config.pools[1].name = "api";
        config.pools[1].backends = {2};
        snapshot.backends.resize(3);
        for (BackendSnapshot& backend : snapshot.backends) backend.state.status = Status::healthy;
        snapshot.pools.resize(2);
        for (std::size_t p = 0; p < 2; ++p)
            snapshot.pools[p].state.quarantined_until.resize(config.pools[p].backends.size());
        topology = first_topology(config);
        route({});
    }

    void route(Routing routing)
    {
        routing.topology = topology;
        snapshot.routing = std::make_shared<const Routing>(std::move(routing));
    }
    Report report() const { return {std::make_shared<const Snapshot>(snapshot), counters}; }

    Config config;
    std::shared_ptr<const Topology> topology;
    Snapshot snapshot;
    std::vector<const WorkerCounters*> counters;
};

TEST_F(TwoPools, OneThatWorksHidesNoneThatDoesNot)
{
    EXPECT_EQ(report().trouble(), "");
    EXPECT_TRUE(report().can_answer());
    snapshot.backends[2].state.status = Status::down;
    snapshot.pools[1].state.can_answer = false;
    EXPECT_EQ(report().trouble(), "pool 'api': no backend can answer");
    EXPECT_FALSE(report().can_answer());
    // Neither does one that fails open.
    for (const std::size_t b : {0, 1}) snapshot.backends[b].state.status = Status::down;
    snapshot.pools[0].state.fail_open = true;
    EXPECT_EQ(report().trouble(), "pool 'api': no backend can answer");
    EXPECT_TRUE(report().fails_open());
    snapshot.pools[0].state.fail_open = false;
    snapshot.backends[0].state.status = Status::unhealthy;
    EXPECT_EQ(report().trouble(),
              "pool 'web': every backend answers with a failure; pool 'api': no backend can answer");
}

TEST_F(TwoPools, SayWhatWasAnnouncedOfTheirMaintenance)
{
    using nlohmann::json;
    for (const BackendIndex backend : {0, 1, 2}) EXPECT_EQ(report().backend(backend)["maintenance"], json());
    Routing routing;
    routing.pools.resize(2);
    routing.pools[1].maintenance = Maintenance{.until = WallTime(seconds(90)), .message = "new disks"};
    route(std::move(routing));
    snapshot.backends[0].state.maintenance = Maintenance{};
    EXPECT_EQ(report().pool(0)["maintenance"], json());
    EXPECT_EQ(report().pool(1)["maintenance"], (json{{"until", "1970-01-01T00:01:30.000Z"}, {"message", "new disks"}}));
    EXPECT_EQ(report().backend(0)["maintenance"], (json{{"until", nullptr}, {"message", nullptr}}));
}

TEST_F(TwoPools, AreInNoTroubleWhileOneBackendOfEachWorks)
{
    snapshot.backends[0].state.status = Status::down;
    snapshot.backends[1].state.status = Status::degraded;
    EXPECT_EQ(report().trouble(), "");
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
