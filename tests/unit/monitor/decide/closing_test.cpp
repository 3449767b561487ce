#include "monitor/decide/closing.hpp"

#include "common/time.hpp"
#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using Phase = ClosedBackend::Phase;
using Orders = std::vector<PoolOrder>;

const Instant now = *parse_rfc3339("2026-11-02T12:00:00Z");
const OperatedBalancer web{.component = "web", .pools = {"default"}};
const PoolAnnouncement disks{now + 1h, "Disks."};

Window window(Instant end, std::vector<std::string> components = {}, std::string message = "Disks.")
{
    Window result;
    result.plan.message = std::move(message);
    result.plan.start = now - 1h;
    result.plan.end = end;
    result.plan.components = std::move(components);
    result.plan.close_pools = true;
    result.state = WindowState::in_progress;
    return result;
}

/// Two pools: "default" with a and b, "monitor" with m.
PoolStatus status()
{
    return {.backends = {{"a"}, {"b"}, {"m"}}, .pools = {{"default", {"a", "b"}}, {"monitor", {"m"}}}, .run = "first"};
}

void put_out(PoolStatus& status, std::size_t backend, std::optional<PoolAnnouncement> announcement)
{
    status.backends[backend].out = true;
    status.backends[backend].announcement = std::move(announcement);
}

ClosedBackend closed(std::string backend, Phase phase = Phase::closed,
                     std::vector<PoolAnnouncement> announced = {disks})
{
    return {"web", std::move(backend), "first", phase, std::move(announced)};
}

// ----------------------------------------------------------------------------------------------------- what is wanted

TEST(Closing, IsWantedDuringAWindowThatAsksForItAndIsAboutTheBalancer)
{
    EXPECT_EQ(closed_now("web", {}, now), std::nullopt);
    const std::vector<Window> all{window(now + 1h)}, other{window(now + 1h, {"mail"})}, own{window(now + 1h, {"web"})};
    EXPECT_EQ(closed_now("web", all, now), disks);
    EXPECT_EQ(closed_now("web", own, now), disks);
    EXPECT_EQ(closed_now("web", other, now), std::nullopt);
    std::vector<Window> changed = own;
    changed[0].plan.close_pools = false;
    EXPECT_EQ(closed_now("web", changed, now), std::nullopt);
    for (const WindowState state : {WindowState::scheduled, WindowState::completed, WindowState::cancelled}) {
        changed = own;
        changed[0].state = state;
        EXPECT_EQ(closed_now("web", changed, now), std::nullopt);
    }
}

TEST(Closing, EndsASecondBeforeTheWindow)
{
    const std::vector<Window> windows{window(now + 1h)};
    EXPECT_EQ(closing_changes_at("web", windows, now), now + 1h - 1s);
    EXPECT_TRUE(closed_now("web", windows, now + 1h - 1s - 1ms));
    EXPECT_FALSE(closed_now("web", windows, now + 1h - 1s));
    EXPECT_EQ(closing_changes_at("web", windows, now + 1h - 1s), forever);
    EXPECT_EQ(closing_changes_at("mail", std::vector{window(now + 1h, {"web"})}, now), forever);
}

TEST(Closing, OfSeveralWindowsTheOneThatEndsLastIsAnnounced)
{
    const std::vector<Window> windows{window(now + 1h, {}, "First."), window(now + 3h, {"web"}, "Last."),
                                      window(now + 2h, {}, "Second.")};
    EXPECT_EQ(closed_now("web", windows, now), (PoolAnnouncement{now + 3h, "Last."}));
}

TEST(Closing, TheTextOfTheWindowIsOneLineOfAtMost500Bytes)
{
    const auto line = [](std::string message) {
        return closed_now("web", std::vector{window(now + 1h, {}, std::move(message))}, now)->message;
    };
    EXPECT_EQ(line("\n We move.\r\n\r\nThe\tdatabase  is gone. \n"), "We move. The database is gone.");
    EXPECT_EQ(line("a\u2028b\u0085c"), "a b c");
    EXPECT_EQ(line(std::string(497, 'x')), std::string(497, 'x'));
    EXPECT_EQ(line(std::string(16'000, 'x')), std::string(497, 'x') + "...");
    std::string umlauts;
    for (int i = 0; i < 400; ++i) umlauts += "ä";
    EXPECT_LE(line(umlauts).size(), longest_pool_message);
}

// --------------------------------------------------------------------------------------------------- what is to be
// done

TEST(Closing, RemembersWhatItIsAboutToClose)
{
    const PoolStep step = step_towards(web, disks, {}, status());
    EXPECT_EQ(step.remembered, (std::vector{closed("a", Phase::closing), closed("b", Phase::closing)}));
    EXPECT_EQ(step.orders, (Orders{{true, "default", true}}));
    EXPECT_FALSE(step.settled());
}

TEST(Closing, WithoutPoolsItClosesAllThatHaveABackend)
{
    PoolStatus shown = status();
    shown.pools.push_back({"empty", {}});
    EXPECT_EQ(step_towards({"web", {}}, disks, {}, shown).orders,
              (Orders{{true, "default", true}, {true, "monitor", true}}));
}

TEST(Closing, NamesThePoolsThatTheBalancerDoesNotHave)
{
    const PoolStep step = step_towards({"web", {"defualt"}}, disks, {}, status());
    EXPECT_EQ(step.missing, std::vector<std::string>{"defualt"});
    EXPECT_TRUE(step.orders.empty());
    EXPECT_FALSE(step.settled());
    EXPECT_TRUE(step_towards({"web", {"defualt"}}, std::nullopt, {}, status()).settled());
}

TEST(Closing, IsSettledWhenTheBalancerShowsItSo)
{
    PoolStatus shown = status();
    put_out(shown, 0, disks);
    put_out(shown, 1, disks);
    const std::vector claims{closed("a", Phase::closing), closed("b", Phase::closing)};
    const PoolStep step = step_towards(web, disks, claims, shown);
    EXPECT_TRUE(step.settled());
    EXPECT_EQ(step.remembered, (std::vector{closed("a"), closed("b")}));
    EXPECT_EQ(step_towards(web, disks, step.remembered, shown).remembered, step.remembered);
}

TEST(Closing, RepeatsWhatDidNotArrive)
{
    PoolStatus shown = status();
    put_out(shown, 0, disks);
    const PoolStep step =
        step_towards(web, disks, std::vector{closed("a", Phase::closing), closed("b", Phase::closing)}, shown);
    EXPECT_EQ(step.orders, (Orders{{false, "b", true}}));
    EXPECT_EQ(step.remembered, (std::vector{closed("a"), closed("b", Phase::closing)}));
}

TEST(Closing, OpensAfterwardsAndForgetsWhenTheBalancerShowsItOpen)
{
    PoolStatus shown = status();
    put_out(shown, 0, disks);
    put_out(shown, 1, disks);
    const std::vector claims{closed("a"), closed("b")};
    const PoolStep step = step_towards(web, std::nullopt, claims, shown);
    EXPECT_EQ(step.orders, (Orders{{true, "default", false}}));
    EXPECT_EQ(step.remembered, claims) << "until it is confirmed";
    const PoolStep after = step_towards(web, std::nullopt, step.remembered, status());
    EXPECT_TRUE(after.settled());
    EXPECT_TRUE(after.remembered.empty());
}

TEST(Closing, OpensWhatWasOrderedBeforeTheMonitorWasKilled)
{
    PoolStatus shown = status();
    put_out(shown, 0, disks);
    put_out(shown, 1, disks);
    const std::vector claims{closed("a", Phase::closing), closed("b", Phase::closing)};
    EXPECT_EQ(step_towards(web, std::nullopt, claims, shown).orders, (Orders{{true, "default", false}}));
    EXPECT_TRUE(step_towards(web, std::nullopt, claims, status()).remembered.empty()) << "it never arrived";
}

TEST(Closing, AnnouncesAnewWhenTheWindowChangesAndKnowsTheOneBeforeMeanwhile)
{
    const PoolAnnouncement longer{now + 2h, "Disks."};
    PoolStatus shown = status();
    put_out(shown, 0, disks);
    put_out(shown, 1, disks);
    const std::vector claims{closed("a"), closed("b")};
    const PoolStep step = step_towards(web, longer, claims, shown);
    EXPECT_EQ(step.orders, (Orders{{true, "default", true}}));
    EXPECT_EQ(step.remembered[0], closed("a", Phase::closed, {disks, longer}));
    // Whether or not the order arrived before the monitor was killed: it is ours.
    EXPECT_EQ(step_towards(web, std::nullopt, step.remembered, shown).orders, (Orders{{true, "default", false}}));
    put_out(shown, 0, longer);
    put_out(shown, 1, longer);
    EXPECT_EQ(step_towards(web, std::nullopt, step.remembered, shown).orders, (Orders{{true, "default", false}}));
    const PoolStep after = step_towards(web, longer, step.remembered, shown);
    EXPECT_TRUE(after.settled());
    EXPECT_EQ(after.remembered[0], closed("a", Phase::closed, {longer}));
}

// ------------------------------------------------------------------------------------------------------------
// operators

TEST(Closing, LeavesWhatAnOperatorPutIntoMaintenance)
{
    for (const auto& announcement :
         {std::optional<PoolAnnouncement>(), std::optional(PoolAnnouncement{now + 1h, "By hand."}),
          std::optional(PoolAnnouncement{})}) {
        PoolStatus shown = status();
        put_out(shown, 0, announcement);
        put_out(shown, 1, announcement);
        const PoolStep during = step_towards(web, disks, {}, shown);
        EXPECT_TRUE(during.settled());
        EXPECT_TRUE(during.remembered.empty());
        EXPECT_TRUE(step_towards(web, std::nullopt, during.remembered, shown).orders.empty());
        // Also if the monitor was killed before its own order, which it had remembered.
        const std::vector claims{closed("a", Phase::closing), closed("b", Phase::closing)};
        EXPECT_TRUE(step_towards(web, std::nullopt, claims, shown).orders.empty());
        EXPECT_TRUE(step_towards(web, disks, claims, shown).orders.empty());
    }
}

TEST(Closing, ClosesAndOpensOnlyTheRestOfAPoolOfWhichAnOperatorHasDrainedAPart)
{
    PoolStatus shown = status();
    put_out(shown, 0, std::nullopt);
    const PoolStep during = step_towards(web, disks, {}, shown);
    EXPECT_EQ(during.orders, (Orders{{false, "b", true}}));
    put_out(shown, 1, disks);
    const PoolStep after = step_towards(web, std::nullopt, during.remembered, shown);
    EXPECT_EQ(after.orders, (Orders{{false, "b", false}}));
}

TEST(Closing, LeavesOpenWhatAnOperatorOpensDuringTheWindow)
{
    PoolStatus shown = status();
    put_out(shown, 1, disks);
    const PoolStep during = step_towards(web, disks, std::vector{closed("a"), closed("b")}, shown);
    EXPECT_TRUE(during.settled());
    EXPECT_EQ(during.remembered, (std::vector{closed("a", Phase::left_alone), closed("b")}));
    EXPECT_EQ(step_towards(web, disks, during.remembered, shown).remembered, during.remembered);
    const PoolStep after = step_towards(web, std::nullopt, during.remembered, shown);
    EXPECT_EQ(after.orders, (Orders{{false, "b", false}}));
    EXPECT_EQ(after.remembered, std::vector{closed("b")});
}

TEST(Closing, LeavesClosedWhatAnOperatorTookOverDuringTheWindow)
{
    PoolStatus shown = status();
    put_out(shown, 0, PoolAnnouncement{now + 9h, "By hand."});
    put_out(shown, 1, std::nullopt); // drained
    const PoolStep during = step_towards(web, disks, std::vector{closed("a"), closed("b")}, shown);
    EXPECT_TRUE(during.settled());
    EXPECT_TRUE(step_towards(web, std::nullopt, during.remembered, shown).orders.empty());
}

// ----------------------------------------------------------------------------------------------------------- restarts

TEST(Closing, ClosesABalancerAgainThatWasRestarted)
{
    PoolStatus shown = status();
    shown.run = "second";
    const PoolStep step = step_towards(web, disks, std::vector{closed("a"), closed("b")}, shown);
    EXPECT_EQ(step.orders, (Orders{{true, "default", true}}));
    for (const ClosedBackend& one : step.remembered) EXPECT_EQ(one.run, "second");
}

TEST(Closing, OfABalancerThatWasRestartedNothingIsOursAnyMore)
{
    PoolStatus shown = status();
    shown.run = "second";
    put_out(shown, 0, disks); // by any client
    const PoolStep step = step_towards(web, std::nullopt, std::vector{closed("a"), closed("b")}, shown);
    EXPECT_TRUE(step.settled());
    EXPECT_TRUE(step.remembered.empty());
}

TEST(Closing, ForgetsABackendThatTheBalancerNoLongerHas)
{
    PoolStatus shown = status();
    shown.backends.erase(shown.backends.begin());
    shown.pools[0].backends = {"b"};
    EXPECT_TRUE(step_towards(web, std::nullopt, std::vector{closed("a")}, shown).remembered.empty());
}

// ----------------------------------------------------------------------------------------------------------- sequences

/// A balancer that keeps orders in memory, who gave them, and what is to be remembered of it over the monitor's deaths.
struct World {
    enum class Owner : std::uint8_t { none, monitor, operator_ };
    struct Place {
        Owner owner = Owner::none;
        std::optional<PoolAnnouncement> announcement{};
    };
    std::map<std::string, Place> places{{"a", {}}, {"b", {}}, {"c", {}}, {"m", {}}};
    const std::vector<PoolStatus::Pool> pools{{"one", {"a", "b"}}, {"two", {"b", "c"}}, {"monitor", {"m"}}};
    int run = 0;
    std::vector<ClosedBackend> remembered{};
    OperatedBalancer balancer{"web", {"one", "two"}};

    PoolStatus status() const
    {
        PoolStatus result{.pools = pools, .run = std::to_string(run)};
        for (const auto& [name, place] : places)
            result.backends.push_back({name, place.owner != Owner::none, place.announcement});
        return result;
    }

    /// One step of the monitor, which is killed after so many orders, or before it has stored anything (-1).
    bool step(const std::optional<PoolAnnouncement>& wanted, int lives_for)
    {
        const PoolStep step = step_towards(balancer, wanted, remembered, status());
        if (lives_for < 0) return false;
        remembered = step.remembered;
        for (const PoolOrder& order : step.orders) {
            if (lives_for-- == 0) return false;
            std::vector<std::string> names{order.name};
            for (const auto& pool : pools)
                if (order.of_pool && pool.name == order.name) names = pool.backends;
            for (const std::string& name : names) {
                Place& place = places.at(name);
                RC_ASSERT(name != "m");
                RC_ASSERT(place.owner != Owner::operator_);
                if (!order.close) RC_ASSERT(place.owner == Owner::monitor || names.size() > 1U);
                place = order.close ? Place{Owner::monitor, wanted} : Place{};
            }
        }
        return step.settled();
    }
};

TEST(Closing, GivesBackAllThatItTookAndNothingElseWhateverHappens)
{
    test::check_property(3000, [] {
        using Owner = World::Owner;
        World world;
        std::optional<PoolAnnouncement> wanted;
        int announcements = 0;
        const auto events = *rc::gen::container<std::vector<std::pair<int, int>>>(
            rc::gen::pair(rc::gen::inRange(0, 10), rc::gen::inRange(0, 12)));
        for (const auto& [what, which] : events) {
            auto place = std::next(world.places.begin(), which % 4);
            switch (what) {
            case 0: wanted = PoolAnnouncement{now + std::chrono::minutes(++announcements), "Disks."}; break;
            case 1: wanted.reset(); break;
            case 2: // the balancer is restarted
                ++world.run;
                for (auto& [name, one] : world.places) one = {};
                break;
            case 3: place->second = {Owner::operator_, std::nullopt}; break; // drains
            case 4: place->second = {Owner::operator_, PoolAnnouncement{now + 1h, "By hand."}}; break;
            case 5: place->second = {}; break; // enables
            default: world.step(wanted, which % 6 - 1); break;
            }
        }
        // It is quiet again, and the monitor runs: what is wanted is settled, and then undone.
        if (wanted) {
            for (int i = 0; i < 3; ++i) world.step(wanted, 100);
            RC_ASSERT(world.step(wanted, 100));
        }
        std::map<std::string, bool> by_hand;
        for (const auto& [name, place] : world.places) by_hand[name] = place.owner == Owner::operator_;
        for (int i = 0; i < 3; ++i) world.step(std::nullopt, 100);
        RC_ASSERT(world.step(std::nullopt, 100));
        RC_ASSERT(world.remembered.empty());
        for (const auto& [name, place] : world.places)
            RC_ASSERT(place.owner == (by_hand[name] ? Owner::operator_ : Owner::none));
    });
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
