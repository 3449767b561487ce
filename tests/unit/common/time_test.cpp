#include "common/time.hpp"

#include <gtest/gtest.h>

namespace hotspare {
namespace {

TEST(Rfc3339, is_utc_with_milliseconds_rounded_down)
{
    const WallTime epoch{};
    EXPECT_EQ(format_rfc3339(epoch), "1970-01-01T00:00:00.000Z");
    EXPECT_EQ(format_rfc3339(epoch + seconds(951'782'400) + microseconds(999'999)), "2000-02-29T00:00:00.999Z");
    EXPECT_EQ(format_rfc3339(epoch - microseconds(1)), "1969-12-31T23:59:59.999Z");
    EXPECT_EQ(format_rfc3339(epoch + seconds(4'102'444'799)), "2099-12-31T23:59:59.000Z");
}

} // namespace
} // namespace hotspare
