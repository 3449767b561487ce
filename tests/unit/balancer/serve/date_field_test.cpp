#include "balancer/serve/date_field.hpp"

#include <gtest/gtest.h>

namespace hotspare::balancer {
namespace TEST_FILE {

TEST(DateField, ChangesWithTheSecondAndNotBefore)
{
    const WallTime then = WallTime{} + seconds(784'111'777);
    DateField date;
    EXPECT_EQ(date.at(then), "Sun, 06 Nov 1994 08:49:37 GMT");
    const char* const text = date.at(then).data();
    EXPECT_EQ(date.at(then + milliseconds(999)), "Sun, 06 Nov 1994 08:49:37 GMT");
    EXPECT_EQ(date.at(then + milliseconds(999)).data(), text);
    EXPECT_EQ(date.at(then + seconds(1)), "Sun, 06 Nov 1994 08:49:38 GMT");
    EXPECT_EQ(date.at(then), "Sun, 06 Nov 1994 08:49:37 GMT") << "the clock was set back";
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
