#include "orders/monitor_service/watch.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::orders::monitor {
namespace {

constexpr Duration probe_timeout = seconds(5);

/// How a simulated service treats a probe that starts now.
struct Behaviour {
    ProbeOutcome outcome = ProbeOutcome::ok;
    Duration latency = milliseconds(5);
    bool impaired = false;
    bool says_down = false;
};
constexpr Behaviour fine{};
constexpr Behaviour slow{ProbeOutcome::ok, seconds(3)};
constexpr Behaviour failing{ProbeOutcome::failing, milliseconds(5)};
constexpr Behaviour refusing{ProbeOutcome::refused, milliseconds(1)};
constexpr Behaviour impaired{.impaired = true};
constexpr Behaviour down_by_its_word{.outcome = ProbeOutcome::failing, .says_down = true};
constexpr Behaviour hanging{ProbeOutcome::timed_out, probe_timeout};

/// A watch over a simulated service, and the clock of both.
class World {
public:
    explicit World(WatchSettings settings = {}) : watch(settings, now) {}

    /// Runs for `span`, or until the status is `wanted`; returns how long it took.
    Duration run(Duration span, std::optional<Health> wanted = {})
    {
        const auto begin = now;
        while (!wanted || watch.health() != *wanted) {
            auto next = watch.wake_at();
            auto first = probes.end();
            for (auto probe = probes.begin(); probe != probes.end(); ++probe)
                if (first == probes.end() || ends(*probe) < ends(*first)) first = probe;
            const bool ending = first != probes.end() && ends(*first) <= next;
            if (ending) next = ends(*first);
            if (next > begin + span) {
                now = begin + span;
                break;
            }
            now = std::max(now, next);
            if (ending) {
                const auto probe = *first;
                probes.erase(first);
                note(watch.finished(probe, now));
                continue;
            }
            auto step = watch.tick(now);
            note(std::move(step.change));
            if (!step.probe) continue;
            ++sent;
            const bool good = behaviour.outcome == ProbeOutcome::ok && !behaviour.impaired;
            probes.push_back({now, behaviour.latency, behaviour.outcome, behaviour.impaired, behaviour.says_down,
                              good ? "" : std::string(words())});
            most_under_way = std::max(most_under_way, probes.size());
        }
        return now - begin;
    }
    std::string_view words() const { return behaviour.impaired ? "impaired" : to_string(behaviour.outcome); }
    static TimePoint ends(const Probe& probe) { return probe.started + probe.latency; }

    Behaviour behaviour = fine;
    TimePoint now = TimePoint{} + std::chrono::hours(1);
    Watch watch;
    std::vector<Probe> probes; ///< under way
    std::vector<Change> changes;
    std::size_t sent = 0;
    std::size_t most_under_way = 0;

private:
    void note(std::optional<Change> change)
    {
        if (!change) return;
        EXPECT_NE(change->from, change->to);
        EXPECT_FALSE(change->cause.empty());
        EXPECT_LE(change->first_evidence, now);
        EXPECT_EQ(change->to, watch.health());
        EXPECT_EQ(change->cause, watch.cause());
        changes.push_back(std::move(*change));
    }
};

TEST(Watch, knows_nothing_before_the_first_probe_and_asks_at_once)
{
    World world;
    EXPECT_EQ(world.watch.health(), Health::unknown);
    EXPECT_EQ(world.watch.wake_at(), world.now);
    EXPECT_FALSE(world.watch.response_time(world.now));
    EXPECT_LT(world.run(seconds(1), Health::healthy), milliseconds(100));
    EXPECT_EQ(world.watch.response_time(world.now), milliseconds(5));
    EXPECT_EQ(world.watch.last_error(), "");
}

TEST(Watch, waits_for_a_service_that_is_started_together_with_it)
{
    const WatchSettings settings;
    for (const auto& fault : {refusing, failing, impaired, hanging}) {
        World world;
        world.behaviour = fault;
        world.run(seconds(1));
        EXPECT_EQ(world.watch.health(), Health::unknown);
        const bool ended = fault.latency < seconds(1);
        if (ended) {
            EXPECT_EQ(world.watch.last_error(), world.words()) << "but it does not keep that to itself";
        }
        world.behaviour = fine;
        const auto next = ended ? settings.fast_interval : settings.interval;
        EXPECT_LE(world.run(seconds(10), Health::healthy), next + milliseconds(10));
        EXPECT_EQ(world.changes.size(), 1U);
    }
}

TEST(Watch, waits_anew_when_it_stood_still_meanwhile)
{
    World world;
    world.behaviour = refusing;
    world.run(seconds(1));
    world.now += seconds(30);
    world.watch.clock_jumped();
    world.probes.clear();
    world.run(seconds(1));
    EXPECT_EQ(world.watch.health(), Health::unknown);
    EXPECT_LE(world.run(seconds(10), Health::down), seconds(3));
}

TEST(Watch, names_a_fault_that_was_there_from_the_start)
{
    const WatchSettings settings;
    for (const auto& [fault, health] : {std::pair(refusing, Health::down),
                                        {failing, Health::unhealthy},
                                        {slow, Health::degraded},
                                        {impaired, Health::degraded},
                                        {hanging, Health::degraded}}) {
        World world;
        world.behaviour = fault;
        EXPECT_LE(world.run(seconds(60), health), settings.interval + seconds(1)) << to_string(health);
        EXPECT_EQ(world.watch.health(), health);
    }
}

TEST(Watch, believes_a_service_that_says_it_is_degraded)
{
    World world;
    world.run(seconds(9));
    world.behaviour = impaired;
    EXPECT_LE(world.run(seconds(10), Health::degraded), seconds(3));
    EXPECT_EQ(world.watch.cause(), "impaired");
    EXPECT_EQ(world.watch.last_error(), "impaired");
    EXPECT_EQ(world.watch.response_time(world.now), milliseconds(5));
    world.behaviour = fine;
    EXPECT_LE(world.run(seconds(10), Health::healthy), seconds(3));
    EXPECT_EQ(world.watch.last_error(), "");
}

TEST(Watch, believes_a_service_that_says_it_is_down)
{
    World world;
    world.run(seconds(10), Health::healthy);
    world.behaviour = down_by_its_word;
    EXPECT_LE(world.run(seconds(10), Health::down), seconds(3));
    EXPECT_EQ(world.watch.health(), Health::down);
    EXPECT_TRUE(world.watch.response_time(world.now)) << "it does answer";
    world.behaviour = fine;
    world.run(seconds(10), Health::healthy);
    EXPECT_EQ(world.watch.health(), Health::healthy);
}

TEST(Watch, names_every_fault_within_a_bound)
{
    const WatchSettings settings;
    const auto two_probes = settings.interval + settings.fast_interval + milliseconds(10);
    const std::vector<std::tuple<Behaviour, Health, Duration>> cases{
        {failing, Health::unhealthy, two_probes},
        {refusing, Health::down, two_probes},
        {slow, Health::degraded, settings.interval + 2 * settings.slow},
        {hanging, Health::degraded, settings.interval + 2 * settings.slow},
        {hanging, Health::down, settings.interval + settings.slow + probe_timeout},
    };
    for (const auto& [fault, health, bound] : cases) {
        World world;
        world.run(seconds(60));
        ASSERT_EQ(world.watch.health(), Health::healthy);
        world.behaviour = fault;
        EXPECT_LE(world.run(seconds(60), health), bound) << to_string(fault.outcome) << " " << to_string(health);
        EXPECT_EQ(world.watch.health(), health);
        world.run(seconds(60));
        EXPECT_EQ(world.watch.health(), fault.outcome == ProbeOutcome::timed_out ? Health::down : health) << "it stays";

        world.behaviour = fine;
        EXPECT_LE(world.run(seconds(60), Health::healthy), two_probes) << "and is back as soon";
        EXPECT_EQ(world.watch.cause(), "answers in time");
        const auto before = world.changes.size();
        world.run(seconds(60));
        EXPECT_EQ(world.changes.size(), before) << "what ends late says nothing new";
    }
}

TEST(Watch, names_every_fault_after_every_other)
{
    const std::vector<std::pair<Behaviour, Health>> faults{{fine, Health::healthy},      {slow, Health::degraded},
                                                           {failing, Health::unhealthy}, {refusing, Health::down},
                                                           {impaired, Health::degraded}, {hanging, Health::down}};
    for (const auto& [before, first] : faults)
        for (const auto& [after, second] : faults) {
            World world;
            world.behaviour = before;
            world.run(seconds(60));
            ASSERT_EQ(world.watch.health(), first);
            world.behaviour = after;
            EXPECT_LE(world.run(seconds(60), second), seconds(12));
            world.run(seconds(60));
            EXPECT_EQ(world.watch.health(), second);
        }
}

TEST(Watch, forgives_a_single_lost_probe)
{
    for (const auto& fault : {slow, failing, refusing}) {
        World world;
        world.run(seconds(9));
        const auto sent = world.sent;
        world.behaviour = fault;
        while (world.sent == sent) world.run(milliseconds(1));
        world.behaviour = fine;
        world.run(seconds(60));
        EXPECT_EQ(world.changes.size(), 1U) << to_string(fault.outcome) << " " << world.changes.back().cause;
        EXPECT_EQ(world.watch.health(), Health::healthy);
    }
}

TEST(Watch, shows_a_service_that_comes_and_goes_as_it_is)
{
    World world;
    for (int i = 0; i < 10; ++i) {
        world.behaviour = refusing;
        EXPECT_LE(world.run(seconds(10), Health::down), seconds(3));
        world.behaviour = fine;
        EXPECT_LE(world.run(seconds(10), Health::healthy), seconds(3)) << "after " << i << " flaps";
    }
}

TEST(Watch, tells_how_long_it_waits_for_an_answer)
{
    World world;
    world.run(seconds(9));
    world.behaviour = slow;
    world.run(seconds(10), Health::degraded);
    ASSERT_TRUE(world.watch.response_time(world.now));
    EXPECT_GE(*world.watch.response_time(world.now), seconds(1));
    EXPECT_EQ(world.watch.cause(), "no answer within 500ms so far");
    world.run(seconds(10));
    EXPECT_GE(*world.watch.response_time(world.now), seconds(1));
    world.behaviour = refusing;
    world.run(seconds(20));
    EXPECT_FALSE(world.watch.response_time(world.now)) << "nothing answered";
    EXPECT_EQ(world.watch.last_error(), "refused");
}

TEST(Watch, does_not_pile_up_probes_on_a_service_that_hangs)
{
    World world;
    world.behaviour = hanging;
    world.run(seconds(300));
    EXPECT_LE(world.most_under_way, 6U);
    EXPECT_LE(world.sent, 300U / 2 + 20);
}

TEST(Watch, holds_a_bound_on_what_is_under_way)
{
    World world({.interval = milliseconds(1), .fast_interval = milliseconds(1), .slow = seconds(1)});
    world.behaviour = hanging;
    world.run(seconds(60));
    EXPECT_LE(world.most_under_way, 16U);
    EXPECT_EQ(world.watch.health(), Health::down);
}

TEST(Watch, believes_nothing_that_was_measured_while_we_stood_still)
{
    World world;
    world.run(seconds(9));
    const auto sent = world.sent;
    world.behaviour = hanging;
    while (world.sent == sent) world.run(milliseconds(1));
    world.now += seconds(30);
    world.watch.clock_jumped();
    for (const auto& probe : std::exchange(world.probes, {})) EXPECT_FALSE(world.watch.finished(probe, world.now));
    world.behaviour = fine;
    world.run(seconds(60));
    EXPECT_EQ(world.changes.size(), 1U);
}

TEST(Watch, what_was_not_made_says_nothing)
{
    World world;
    world.run(seconds(9));
    for (int i = 0; i < 20; ++i) {
        const auto at = world.watch.wake_at();
        ASSERT_TRUE(world.watch.tick(at).probe);
        world.watch.not_made(at);
        world.now = at;
    }
    EXPECT_EQ(world.watch.health(), Health::healthy);
    world.run(seconds(9));
    EXPECT_EQ(world.changes.size(), 1U);
}

/// Whatever happened before: once a service behaves in one way for a while, that is its status.
TEST(Watch, is_right_in_the_end)
{
    test::check_property(500, [] {
        const std::array behaviours{fine, slow, failing, refusing, hanging, impaired};
        World world;
        const auto spans = *rc::gen::container<std::vector<std::pair<std::size_t, int>>>(
            rc::gen::pair(rc::gen::inRange<std::size_t>(0, behaviours.size()), rc::gen::inRange(1, 8000)));
        for (const auto& [which, ms] : spans) {
            world.behaviour = behaviours[which];
            world.run(milliseconds(ms));
        }
        const auto last = *rc::gen::inRange<std::size_t>(0, behaviours.size());
        world.behaviour = behaviours[last];
        world.run(seconds(30));
        const std::array expected{Health::healthy, Health::degraded, Health::unhealthy,
                                  Health::down,    Health::down,     Health::degraded};
        RC_ASSERT(world.watch.health() == expected[last]);
        RC_ASSERT(world.most_under_way <= 16U);
    });
}

TEST(Overall, is_their_common_word_or_the_worst)
{
    using enum Health;
    const std::vector<std::pair<std::vector<Health>, Health>> cases{
        {{}, unknown},
        {{unknown, unknown}, unknown},
        {{healthy, healthy}, healthy},
        {{down, down}, down},
        {{degraded}, degraded},
        {{unhealthy, unhealthy}, unhealthy},
        {{healthy, degraded}, degraded},
        {{healthy, down}, unhealthy},
        {{healthy, unhealthy, degraded}, unhealthy},
        {{down, unhealthy}, unhealthy},
        {{degraded, down, healthy}, unhealthy},
        {{healthy, unknown}, unknown},
        {{unknown, degraded}, degraded},
    };
    for (const auto& [all, expected] : cases) EXPECT_EQ(overall(all), expected);
}

} // namespace
} // namespace hotspare::orders::monitor
