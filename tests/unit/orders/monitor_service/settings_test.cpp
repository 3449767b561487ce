#include "orders/monitor_service/settings.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace hotspare::orders::monitor {
namespace {

Settings from_flags(const std::vector<std::string>& services)
{
    Settings settings;
    config::Loader loader(settings);
    for (const auto& flag : loader.available_flags())
        if (flag.name == "service") loader.apply(flag, services, "--service");
    loader.complete();
    return settings;
}

TEST(MonitorSettings, watch_the_order_pipeline_by_default)
{
    const auto settings = config::from_yaml<Settings>("", "x");
    std::vector<std::string> names;
    for (const auto& service : settings.services) names.push_back(service.name + "=" + service.url);
    EXPECT_EQ(names, (std::vector<std::string>{"gateway=http://127.0.0.1:8080", "order_service=http://127.0.0.1:5001",
                                               "validation_service=http://127.0.0.1:5002",
                                               "external_service=http://127.0.0.1:5003"}));
}

TEST(MonitorSettings, take_services_from_file_and_flags)
{
    const auto file = config::from_yaml<Settings>("services:\n- name: a\n  url: http://localhost:1\n", "x");
    ASSERT_EQ(file.services.size(), 1U);
    EXPECT_EQ(file.services[0].name, "a");
    const auto flags = from_flags({"a=http://127.0.0.1:1", "b=http://[::1]:2"});
    ASSERT_EQ(flags.services.size(), 2U);
    EXPECT_EQ(flags.services[1].url, "http://[::1]:2");
}

TEST(MonitorSettings, refuse_what_cannot_be_meant)
{
    for (const char* value : {"a", "a=", "=http://x:1", "a=https://x:1", "a=http://x:1/health", "A b=http://x:1"})
        EXPECT_THROW(from_flags({value}), UsageError) << value;
    EXPECT_THROW(from_flags({"a=http://x:1", "a=http://x:2"}), UsageError);
    for (const char* yaml : {"services: []", "interval: 0s", "slow: 6s", "fast_interval: 3s", "timeout: 2", "x: 1"})
        EXPECT_THROW(config::from_yaml<Settings>(yaml, "x"), UsageError) << yaml;
    EXPECT_EQ(config::from_yaml<Settings>("interval: 100ms", "x").fast_interval, milliseconds(100));
    EXPECT_EQ(config::from_yaml<Settings>("timeout: 100ms", "x").slow, milliseconds(100));
}

} // namespace
} // namespace hotspare::orders::monitor
