#include "monitor/check/pool_status.hpp"

#include "common/time.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

TEST(PoolStatus, TellsWhoIsOutAndWhatWasAnnounced)
{
    const auto status = read_pool_status(
        R"({"started":"2026-11-02T12:00:00.000Z","backends":[)"
        R"({"name":"a","status":"healthy","maintenance":null},{"name":"b","status":"draining","maintenance":null},)"
        R"({"name":"c","status":"maintenance","maintenance":{"until":null,"message":null}},)"
        R"({"name":"d","status":"maintenance","maintenance":{"until":"2026-11-02T14:00:00.250Z","message":"Disks."}},)"
        R"({"name":"e","status":"down"}],"pools":[{"name":"default","candidates":[{"backend":"a","tier":"serving"},)"
        R"({"backend":"b","tier":"excluded"}]},{"name":"none","candidates":[]}]})");
    ASSERT_TRUE(status);
    EXPECT_EQ(status->run, "2026-11-02T12:00:00.000Z");
    ASSERT_EQ(status->backends.size(), 5U);
    const std::vector<bool> out{false, true, true, true, false};
    for (std::size_t i = 0; i < out.size(); ++i) EXPECT_EQ(status->backends[i].out, out[i]) << i;
    EXPECT_FALSE(status->backends[1].announcement);
    EXPECT_EQ(status->backends[2].announcement, PoolAnnouncement{});
    EXPECT_EQ(status->backends[3].announcement,
              (PoolAnnouncement{*parse_rfc3339("2026-11-02T14:00:00.250Z"), "Disks."}));
    ASSERT_EQ(status->pools.size(), 2U);
    EXPECT_EQ(status->pools[0].backends, (std::vector<std::string>{"a", "b"}));
    EXPECT_TRUE(status->pools[1].backends.empty());
}

TEST(PoolStatus, RefusesWhatIsNotAStatus)
{
    for (const char* text :
         {"", "<html>", "{}", "[]", R"({"backends":[],"pools":[]})", R"({"started":1,"backends":[],"pools":[]})",
          R"({"started":"x","backends":{},"pools":[]})", R"({"started":"x","backends":[1],"pools":[]})",
          R"({"started":"x","backends":[{"name":"a"}],"pools":[]})", R"({"started":"x","backends":[],"pools":[{}]})",
          R"({"started":"x","backends":[],"pools":[{"name":"p","candidates":[{}]}]})"}) {
        const auto status = read_pool_status(text);
        EXPECT_FALSE(status) << text;
    }
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
