#include "orders/order_service/dispatch_window.hpp"

#include <gtest/gtest.h>

namespace hotspare::orders {
namespace TEST_FILE {

TEST(DispatchWindow, AdmitsWhatFits)
{
    DispatchWindow window;
    for (std::size_t i = 0; i < DispatchWindow::most; ++i) ASSERT_TRUE(window.admit()) << i;
    EXPECT_FALSE(window.admit());
    EXPECT_FALSE(window.is_low());
    window.measured(DispatchWindow::most - 1);
    EXPECT_TRUE(window.admit());
    EXPECT_FALSE(window.admit());
}

TEST(DispatchWindow, IsFilledUpWhenItIsHalfEmpty)
{
    DispatchWindow window;
    EXPECT_TRUE(window.is_low()) << "at the start, and after everything was lost";
    window.measured(DispatchWindow::most / 2);
    EXPECT_FALSE(window.is_low());
    window.measured(DispatchWindow::most / 2 - 1);
    EXPECT_TRUE(window.is_low());
}

TEST(DispatchWindow, ChoosesWhatWasNotToldInItsOrder)
{
    DispatchWindow window;
    EXPECT_EQ(window.choose({5, 3, 9, 1}, {3, 1}), (std::vector<std::int64_t>{5, 9}));
    window.measured(DispatchWindow::most - 2);
    EXPECT_EQ(window.choose({1, 2, 3, 4}, {1}), (std::vector<std::int64_t>{2, 3})) << "no more than fit";
}

} // namespace TEST_FILE
} // namespace hotspare::orders
