#include "orders/order_service/settings.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::orders {
namespace TEST_FILE {

TEST(OrderServiceSettings, PrintNoPassword)
{
    OrderServiceSettings settings;
    settings.store = "postgres://ann:s3cret@db:5432/orders?password=s3cret";
    settings.queue = "redis://:s3cret@cache/0?prefix=shop:";
    const auto printed = config::Loader(settings).print();
    EXPECT_EQ(printed.find("s3cret"), std::string::npos) << printed;
    EXPECT_NE(printed.find(R"(store: "postgres://***@db:5432/orders?***")"), std::string::npos) << printed;
    EXPECT_NE(printed.find(R"(queue: "redis://***@cache/0?***")"), std::string::npos) << printed;
}

} // namespace TEST_FILE
} // namespace hotspare::orders
