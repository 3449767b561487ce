#include "experiment/orders/summary.hpp"

#include "common/markup.hpp"
#include "tests/unit/experiment/orders/example_orders.hpp"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace hotspare::experiment {
namespace TEST_FILE {

std::string shown(const OrdersHistory& history)
{
    auto text = summary(history, judge(history), 80, false);
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) EXPECT_LE(columns_of(line), 80U) << line;
    return text;
}

void expect_shown(const std::string& text, std::initializer_list<const char*> words)
{
    for (const char* word : words) EXPECT_NE(text.find(word), std::string::npos) << word << " is missing in\n" << text;
}

TEST(OrdersSummary, TellsWhatWasMeasuredAgainstWhichLimit)
{
    expect_shown(shown(good_orders()), {"accepted     10 of 10, 0 refused, 0 unknown", "max 4.00 ms",
                                        "8 Validated, 2 Rejected, 0 Failed", "10 of the validator", "down: 910 ms",
                                        "1.000 s after the last fault", "PASS  4 of 4 promises held."});
    expect_shown(shown(good_orders(FailureMode::normal)), {"healthy throughout", "after the last order"});
}

TEST(OrdersSummary, NamesTheFirstOfWhatIsWrongAndCountsTheRest)
{
    auto history = good_orders(FailureMode::slow, 40);
    history.present.clear();
    history.listed.clear();
    history.effects.front().order_id = std::string(300, 'x') + "\x1b[2J"; // no text from outside may do harm
    const auto text = shown(history);
    expect_shown(text, {"FAIL  No order is lost: 40 lost", "[lost]", "more", "FAIL  3 of 4 promises held."});
    EXPECT_EQ(text.find('\x1b'), std::string::npos);
}

TEST(OrdersSummary, ClaimsNothingOfWhatWasEndedEarly)
{
    auto history = good_orders();
    history.present.clear();
    history.aborted = "interrupted";
    const auto text = shown(history);
    expect_shown(text, {"accepted", "ABORTED  Nothing can be said about the system: interrupted."});
    EXPECT_EQ(text.find("lost"), std::string::npos) << text;
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
