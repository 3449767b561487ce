#include "orders/external_service/effects.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::orders::external {
namespace TEST_FILE {

using Call = EffectTable::Call;

TEST(EffectTable, knows_a_key_by_its_body)
{
    EffectTable table(10);
    const auto body = digest("body");
    EXPECT_EQ(table.find("k", body).call, Call::first);
    table.remember("k", {.body = body, .at_ms = 7, .stock = 9, .valid = true});
    const auto again = table.find("k", body);
    EXPECT_EQ(again.call, Call::repeated);
    EXPECT_EQ(again.effect.at_ms, 7);
    EXPECT_EQ(again.effect.stock, 9U);
    EXPECT_TRUE(again.effect.valid);
    EXPECT_EQ(table.find("k", digest("other")).call, Call::conflicting);
    EXPECT_EQ(table.find("K", body).call, Call::first) << "keys differ by case";
}

TEST(EffectTable, forgets_the_oldest_key_first)
{
    EffectTable table(2);
    const auto body = digest("body");
    for (const char* key : {"a", "b", "c"}) table.remember(key, {.body = body});
    EXPECT_EQ(table.size(), 2U);
    EXPECT_EQ(table.find("a", body).call, Call::first);
    EXPECT_EQ(table.find("b", body).call, Call::repeated);
    EXPECT_EQ(table.find("c", body).call, Call::repeated);
}

TEST(EffectTable, agrees_with_a_list_whatever_happens)
{
    test::check_property(2000, [] {
        const auto capacity = *rc::gen::inRange<std::size_t>(1, 6);
        EffectTable table(capacity);
        std::vector<std::pair<std::string, std::string>> model; // key, body; the oldest first
        const auto calls = *rc::gen::container<std::vector<std::pair<int, int>>>(
            rc::gen::pair(rc::gen::inRange(0, 8), rc::gen::inRange(0, 2)));
        for (const auto& [k, b] : calls) {
            const auto key = std::to_string(k);
            const auto body = std::to_string(b);
            const auto known =
                std::find_if(model.begin(), model.end(), [&key](const auto& entry) { return entry.first == key; });
            const auto expected = known == model.end()    ? Call::first
                                  : known->second == body ? Call::repeated
                                                          : Call::conflicting;
            RC_ASSERT(table.find(key, digest(body)).call == expected);
            if (expected == Call::first) {
                table.remember(key, {.body = digest(body)});
                model.emplace_back(key, body);
                if (model.size() > capacity) model.erase(model.begin());
            }
            RC_ASSERT(table.size() == model.size());
        }
    });
}

TEST(EffectTable, keeps_its_bound_over_many_keys)
{
    EffectTable table(1000);
    for (int i = 0; i < 20'000; ++i) table.remember(std::to_string(i), {.at_ms = i});
    EXPECT_EQ(table.size(), 1000U);
    EXPECT_EQ(table.find("18999", {}).call, Call::first);
    for (int i = 19'000; i < 20'000; ++i) ASSERT_EQ(table.find(std::to_string(i), {}).effect.at_ms, i);
}

} // namespace TEST_FILE
} // namespace hotspare::orders::external
