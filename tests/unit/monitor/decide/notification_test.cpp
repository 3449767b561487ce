#include "monitor/decide/notification.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;

constexpr Instant start{std::chrono::sys_days(std::chrono::year(2026) / 11 / 1)};

/// The notifications of one test, a clock, and channels that deliver as they are told.
class Desk {
public:
    explicit Desk(NotificationSettings settings = {}) : settings_(with_channel(std::move(settings))), core(settings_, 1)
    {
    }

    void down(const std::string& target) { core.went_down({target, ++incidents_, now, "refused"}, now); }
    void up(const std::string& target, milliseconds duration = 1min) { core.came_back(target, duration, now); }

    /// Lets time pass and delivers what is due; what arrived, as "outage a", "recovery a b".
    std::vector<std::string> run(milliseconds time)
    {
        std::vector<std::string> arrived;
        const Instant end = now + time;
        for (;; now = std::max(now, core.wake_at())) {
            for (const Delivery& delivery : core.take(now)) {
                ++attempts;
                if (works) arrived.push_back(text(delivery));
                core.finished(delivery.id, {.delivered = works, .why = "refused"}, now);
            }
            if (core.wake_at() > end) break;
        }
        now = end;
        return arrived;
    }

    void restart() { core = Notification(settings_, 2, core.memory()); }

    static std::string text(const Delivery& delivery)
    {
        std::string result(to_string(delivery.message.kind));
        for (const Outage& outage : delivery.message.outages) result += " " + outage.target;
        if (delivery.message.kind == Message::Kind::maintenance)
            result += " " + std::string(to_string(delivery.message.notice));
        return result;
    }

private:
    static NotificationSettings with_channel(NotificationSettings settings)
    {
        if (settings.channels.empty()) settings.channels = {{.name = "mail"}};
        return settings;
    }

    NotificationSettings settings_;
    std::uint64_t incidents_ = 0;

public:
    Notification core;
    Instant now = start;
    bool works = true;
    int attempts = 0;
};

using Texts = std::vector<std::string>;

TEST(Notification, TellsAnOutageOnceAndItsRecoveryWithTheDuration)
{
    Desk d;
    d.down("api");
    EXPECT_EQ(d.run(4'999ms), Texts{});
    EXPECT_EQ(d.run(1ms), Texts{"outage api"});
    d.down("api");
    EXPECT_EQ(d.run(1h), Texts{}) << "told already";
    d.up("api", 61min);
    d.now += 5s;
    const auto recovery = d.core.take(d.now);
    ASSERT_EQ(recovery.size(), 1U);
    EXPECT_EQ(recovery[0].message.kind, Message::Kind::recovery);
    EXPECT_EQ(recovery[0].message.outages[0].duration, 61min);
    EXPECT_EQ(recovery[0].message.outages[0].cause, "refused");
    d.core.finished(recovery[0].id, {.delivered = true}, d.now);
    d.up("api");
    EXPECT_EQ(d.run(1h), Texts{});
    EXPECT_TRUE(d.core.memory().cases.empty());
}

TEST(Notification, SaysNothingOfWhatIsOverBeforeItWasTold)
{
    Desk d;
    d.down("api");
    d.run(3s);
    d.up("api");
    EXPECT_EQ(d.run(1h), Texts{});
    d.up("web");
    EXPECT_EQ(d.run(1h), Texts{}) << "a recovery without an outage";
}

TEST(Notification, TellsWhatFailsTogetherInOneMessage)
{
    Desk d;
    for (const char* target : {"a", "b", "c"}) d.down(target);
    EXPECT_EQ(d.run(10s), (Texts{"outage a", "outage b", "outage c"})) << "three are not too many";
    Desk many;
    for (const char* target : {"a", "b", "c", "d"}) {
        many.down(target);
        many.run(1s);
    }
    EXPECT_EQ(many.run(10s), Texts{"outage a b c d"});
    many.up("b");
    EXPECT_EQ(many.run(10s), Texts{"recovery b"}) << "each is told of on its own";
    for (const char* target : {"a", "b", "c", "d"}) many.up(target);
    EXPECT_EQ(many.run(10s), (Texts{"recovery a", "recovery c", "recovery d"}));
}

TEST(Notification, HoldsBackATargetThatFlaps)
{
    Desk d;
    d.down("api");
    EXPECT_EQ(d.run(10s), Texts{"outage api"}); // at 5 s; its cooldown ends at 15 min 5 s
    d.up("api");
    EXPECT_EQ(d.run(1min), Texts{"recovery api"});
    d.down("api");
    d.run(1min);
    d.up("api");
    EXPECT_EQ(d.run(1min), Texts{}) << "over within the cooldown";
    d.down("api");
    d.down("web");
    EXPECT_EQ(d.run(1min), Texts{"outage web"}) << "the cooldown is the target's own";
    d.now = start + 15min + 5s - 1ms;
    EXPECT_EQ(d.run(0ms), Texts{});
    EXPECT_EQ(d.run(1ms), Texts{"outage api"}) << "still down when the cooldown is over";
    d.up("api");
    EXPECT_EQ(d.run(1min), Texts{"recovery api"});
}

TEST(Notification, WithdrawsARecoveryThatIsNoLongerTrue)
{
    Desk d;
    d.down("api");
    d.run(10s);
    d.up("api");
    d.run(2s);
    d.down("api");
    EXPECT_EQ(d.run(1h), Texts{}) << "down, as was told";
    d.works = false;
    d.up("api");
    d.run(1min);
    d.down("api");
    d.works = true;
    EXPECT_EQ(d.run(1h), Texts{});
    d.up("api", 3h);
    EXPECT_EQ(d.run(1min), Texts{"recovery api"});
}

TEST(Notification, TellsARecoveryThatCameWhileTheOutageWasUnderWay)
{
    Desk d;
    d.down("api");
    d.now += 5s;
    const auto outage = d.core.take(d.now);
    ASSERT_EQ(outage.size(), 1U);
    d.up("api");
    EXPECT_EQ(d.run(1min), Texts{}) << "nothing is known of the outage yet";
    d.core.finished(outage[0].id, {.delivered = true}, d.now);
    EXPECT_EQ(d.run(1min), Texts{"recovery api"});

    Desk fails;
    fails.down("api");
    fails.now += 5s;
    const auto lost = fails.core.take(fails.now);
    fails.up("api");
    fails.core.finished(lost[0].id, {.why = "refused"}, fails.now);
    EXPECT_EQ(fails.run(1h), Texts{}) << "neither the outage, which is over, nor its recovery";
    EXPECT_TRUE(fails.core.memory().queue.empty());
}

TEST(Notification, RepeatsWithGrowingPausesAndGivesUpInTheEnd)
{
    Desk d({.most_attempts = 5});
    d.works = false;
    d.down("api");
    std::vector<Instant> attempts;
    while (d.core.memory().failures.empty()) {
        d.now = d.core.wake_at();
        ASSERT_NE(d.now, forever);
        for (const Delivery& delivery : d.core.take(d.now)) {
            attempts.push_back(d.now);
            d.core.finished(delivery.id, {.why = "connection refused"}, d.now);
        }
    }
    ASSERT_EQ(attempts.size(), 5U);
    milliseconds pause = 5s;
    for (std::size_t i = 1; i < attempts.size(); ++i, pause *= 2) {
        EXPECT_LE(attempts[i] - attempts[i - 1], pause);
        EXPECT_GE(attempts[i] - attempts[i - 1], pause / 2);
    }
    EXPECT_EQ(d.core.memory().failures[0].why, "connection refused");
    EXPECT_EQ(d.core.memory().failures[0].delivery.attempts, 5U);
    d.works = true;
    d.down("api");
    EXPECT_EQ(d.run(1h), Texts{}) << "given up is given up";
    d.up("api");
    EXPECT_EQ(d.run(1h), Texts{}) << "no recovery of what was never told";
    d.down("api");
    EXPECT_EQ(d.run(1h), Texts{"outage api"}) << "the next one is another matter";
}

TEST(Notification, HonoursWhatTheReceiverAsksForWithinBounds)
{
    Desk d;
    d.core.maintenance({1, Notice::announcement, {}}, d.now);
    const auto first = d.core.take(d.now);
    d.core.finished(first[0].id, {.retry_after = 2min}, d.now);
    EXPECT_EQ(d.core.wake_at(), d.now + 2min);
    d.now += 2min;
    d.core.finished(d.core.take(d.now)[0].id, {.retry_after = 24h}, d.now);
    EXPECT_EQ(d.core.wake_at(), d.now + 10min);
    d.now += 10min;
    d.core.finished(d.core.take(d.now)[0].id, {.final = true, .why = "550 no such mailbox"}, d.now);
    EXPECT_EQ(d.core.memory().failures.size(), 1U);
    EXPECT_EQ(d.core.wake_at(), forever);
}

TEST(Notification, EachChannelHearsWhatItIsFor)
{
    Desk d({.channels = {{.name = "mail", .maintenance = false}, {.name = "hook", .outages = false}}});
    d.down("api");
    d.core.maintenance({1, Notice::start, {}}, d.now);
    EXPECT_EQ(d.run(10s), (Texts{"maintenance start", "outage api"}));
}

TEST(Notification, AFullQueueLosesNoOutage)
{
    Desk d({.digest_above = 100, .most_queued = 2, .most_failures = 3});
    d.works = false;
    for (const char* target : {"a", "b", "c", "d"}) d.down(target);
    d.run(1min);
    EXPECT_EQ(d.core.memory().queue.size(), 2U);
    for (int i = 0; i < 5; ++i) d.core.maintenance({1, Notice::start, {}}, d.now);
    EXPECT_EQ(d.core.memory().queue.size(), 2U);
    EXPECT_EQ(d.core.memory().failures.size(), 3U) << "shown, and bounded, too";
    d.works = true;
    auto arrived = d.run(1h);
    std::sort(arrived.begin(), arrived.end()); // those that were tried before wait longer
    EXPECT_EQ(arrived, (Texts{"outage a", "outage b", "outage c", "outage d"}));
}

TEST(Notification, GoesOnAfterARestart)
{
    Desk d;
    d.down("api");
    d.run(10s);
    d.down("web");
    d.run(1s);
    d.restart();
    EXPECT_EQ(d.run(1min), Texts{"outage web"});
    d.up("api");
    d.now += 5s;
    const auto under_way = d.core.take(d.now);
    ASSERT_EQ(under_way.size(), 1U);
    d.restart();
    const auto again = d.core.take(d.now);
    ASSERT_EQ(again.size(), 1U) << "its outcome is not known";
    EXPECT_EQ(again[0].id, under_way[0].id) << "the receiver may tell that it is the same";
    EXPECT_EQ(again[0].attempts, 2U);
}

TEST(Notification, ARestartWithdrawsARecoveryThatIsNoLongerTrue)
{
    Desk d;
    d.down("api");
    d.run(10s);
    d.up("api");
    d.now += 5s;
    ASSERT_EQ(d.core.take(d.now).size(), 1U);
    d.down("api");
    d.restart();
    EXPECT_EQ(d.run(1h), Texts{});
    d.up("api");
    EXPECT_EQ(d.run(1min), Texts{"recovery api"});
}

TEST(Notification, RepeatsAMessageAsThingsAreByThen)
{
    Desk d;
    d.down("api");
    d.run(10s);
    d.up("api", 1min);
    d.now += 5s;
    const auto first = d.core.take(d.now);
    ASSERT_EQ(first.size(), 1U);
    EXPECT_EQ(first[0].message.outages[0].duration, 1min);
    d.down("api");
    d.up("api", 3min);
    d.core.finished(first[0].id, {.why = "refused"}, d.now);
    d.now = d.core.wake_at();
    const auto second = d.core.take(d.now);
    ASSERT_EQ(second.size(), 1U);
    EXPECT_EQ(second[0].message.outages[0].duration, 3min);
}

TEST(Notification, DropsWhatIsForAChannelThatIsGone)
{
    Desk d;
    d.down("api");
    d.works = false;
    d.run(10s);
    Notification other({.channels = {{.name = "hook"}}}, 1, d.core.memory());
    EXPECT_TRUE(other.memory().queue.empty());
    EXPECT_TRUE(other.memory().cases.empty());
}

/// Whatever targets and channels do: what arrives alternates between outage and recovery, is true when it is sent,
/// comes no oftener than the cooldown allows, and in the end all is told.
TEST(Notification, KeepsItsPromisesUnderAnySequence)
{
    test::check_property(600, [](std::uint32_t seed) {
        std::mt19937 random(seed);
        const auto below = [&](int bound) { return static_cast<int>(random() % static_cast<unsigned>(bound)); };
        NotificationSettings settings{.channels = {{.name = "mail"}, {.name = "hook"}}};
        settings.digest_above = static_cast<std::size_t>(below(4));
        settings.most_queued = static_cast<std::size_t>(3 + below(20));
        settings.most_attempts = 1 + static_cast<unsigned>(below(6));
        const std::vector<std::string> targets{"a", "b", "c", "d", "e"};
        Notification core(settings, seed);
        Instant now = start;
        std::map<std::string, bool> down;
        std::map<std::pair<std::string, std::string>, bool> told; // channel, target
        std::map<std::pair<std::string, std::string>, Instant> last_outage;
        std::map<std::uint64_t, Delivery> under_way;
        std::uint64_t incident = 0;

        const auto take = [&] {
            std::set<std::pair<std::string, std::string>> named;
            for (const Delivery& delivery : core.take(now)) {
                RC_ASSERT(under_way.emplace(delivery.id, delivery).second);
                for (const Outage& outage : delivery.message.outages) {
                    RC_ASSERT(down[outage.target] == (delivery.message.kind == Message::Kind::outage));
                    RC_ASSERT(named.emplace(delivery.channel, outage.target).second);
                }
            }
            RC_ASSERT(core.memory().queue.size() <= settings.most_queued);
        };
        const auto end_one = [&](bool delivered) {
            const Delivery delivery = under_way.begin()->second;
            under_way.erase(under_way.begin());
            if (delivered) {
                for (const Outage& outage : delivery.message.outages) {
                    const std::pair key(delivery.channel, outage.target);
                    const bool is_outage = delivery.message.kind == Message::Kind::outage;
                    RC_ASSERT(told[key] != is_outage);
                    told[key] = is_outage;
                    if (!is_outage) continue;
                    if (last_outage.contains(key)) RC_ASSERT(now - last_outage[key] >= settings.cooldown);
                    last_outage[key] = now;
                }
            }
            const bool gives_up = !delivered && delivery.message.kind == Message::Kind::recovery &&
                                  delivery.attempts >= settings.most_attempts;
            if (gives_up) // the recovery is lost for good, and listed
                for (const Outage& outage : delivery.message.outages) told[{delivery.channel, outage.target}] = false;
            core.finished(delivery.id, {.delivered = delivered, .why = "x"}, now);
        };

        for (int i = 0; i < 300; ++i) {
            now += milliseconds(below(4) == 0 ? below(600'000) : below(4'000));
            take();
            const std::string& target = targets[random() % targets.size()];
            switch (below(6)) {
            case 0:
            case 1:
                if (!down[target]) ++incident;
                core.went_down({target, incident, now, "x"}, now);
                down[target] = true;
                break;
            case 2:
                if (down[target]) core.came_back(target, 1min, now);
                down[target] = false;
                break;
            case 3:
                if (under_way.empty()) core = Notification(settings, seed, core.memory());
                break;
            default:
                if (!under_way.empty()) end_one(below(3) > 0);
            }
        }
        // Everything works from now on, and stays down for a day, and up for another.
        for (const bool to : {true, false}) {
            for (const std::string& target : targets) {
                if (to && !down[target]) core.went_down({target, ++incident, now, "x"}, now);
                if (!to) core.came_back(target, 1min, now);
                down[target] = to;
            }
            for (const Instant end = now + 24h; now < end;) {
                while (!under_way.empty()) end_one(true);
                take();
                if (under_way.empty()) now = std::max(now + 1ms, std::min(core.wake_at(), end));
            }
            for (const std::string& target : targets)
                for (const auto& channel : settings.channels) {
                    const auto it = core.memory().cases.find({channel.name, target});
                    const bool given_up =
                        it != core.memory().cases.end() && it->second.phase == ToldCase::Phase::given_up;
                    RC_ASSERT((told[{channel.name, target}] == to || given_up));
                }
        }
        RC_ASSERT(core.memory().cases.empty());
        RC_ASSERT(core.memory().queue.empty());
        RC_ASSERT(core.wake_at() == forever);
    });
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
