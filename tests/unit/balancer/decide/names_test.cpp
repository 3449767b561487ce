#include "balancer/decide/names.hpp"

#include "balancer/config_file.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

using std::chrono::hours;

// --- When
// --------------------------------------------------------------------------------------------------------------

const TimePoint start{hours(1)};

/// How long after `from` it is due.
double seconds_until(const LookupSchedule& schedule, TimePoint from)
{
    return std::chrono::duration<double>(schedule.due() - from).count();
}

void expect_due_after(const LookupSchedule& schedule, TimePoint from, double least)
{
    EXPECT_GE(seconds_until(schedule, from), least);
    EXPECT_LE(seconds_until(schedule, from), least * (1 + LookupSchedule::jitter));
}

TEST(LookupSchedule, IsDueAtOnceAndNotWhileALookupIsUnderWay)
{
    LookupSchedule schedule({}, 1);
    EXPECT_LE(schedule.due(), start);
    schedule.begin();
    EXPECT_EQ(schedule.due(), TimePoint::max());
    schedule.doubt(start);
    EXPECT_EQ(schedule.due(), TimePoint::max());
}

TEST(LookupSchedule, FollowsTheTtlWithinItsBounds)
{
    LookupSchedule schedule({}, 1);
    const auto after = [&](std::optional<Duration> ttl) -> LookupSchedule& {
        schedule.begin();
        schedule.answered(ttl, start);
        return schedule;
    };
    expect_due_after(after(seconds(30)), start, 30);
    expect_due_after(after(seconds(0)), start, 1);
    expect_due_after(after(hours(48)), start, 3600);
    expect_due_after(after(std::nullopt), start, 60);
}

TEST(LookupSchedule, FollowsTheIntervalThatIsSetInsteadOfTheTtl)
{
    LookupSchedule schedule(seconds(5), 1);
    schedule.begin();
    schedule.answered(seconds(3000), start);
    expect_due_after(schedule, start, 5);
}

TEST(LookupSchedule, AnIntervalThatIsSetLaterIsNotWaitedForUntilTheTtlIsOver)
{
    LookupSchedule schedule({}, 1);
    schedule.begin();
    schedule.answered(seconds(3000), start);
    schedule.set_interval(seconds(5), start + seconds(10));
    expect_due_after(schedule, start + seconds(10), 5);
}

TEST(LookupSchedule, ADoubtIsFollowedAtOnceButNotMoreOftenThanOnceASecond)
{
    LookupSchedule schedule({}, 1);
    schedule.begin();
    schedule.answered(seconds(3000), start);
    schedule.doubt(start + milliseconds(10));
    EXPECT_EQ(schedule.due(), start + seconds(1));
    schedule.begin();
    schedule.answered(seconds(3000), start + seconds(1));
    schedule.doubt(start + seconds(90));
    EXPECT_EQ(schedule.due(), start + seconds(90));
}

TEST(LookupSchedule, AFailedLookupIsRepeatedAfterAGrowingPauseWhateverIsDoubted)
{
    LookupSchedule schedule(hours(1), 1);
    TimePoint now = start;
    for (const double pause : {1.0, 2.0, 4.0, 5.0, 5.0}) {
        schedule.begin();
        schedule.failed(now);
        schedule.doubt(now);
        expect_due_after(schedule, now, pause);
        now = schedule.due();
    }
    schedule.begin();
    schedule.answered(std::nullopt, now);
    schedule.begin();
    schedule.failed(now);
    expect_due_after(schedule, now, 1);
}

TEST(LookupSchedule, SpreadsTheLookupsOfSeveralBalancers)
{
    std::set<TimePoint> due;
    for (std::uint32_t seed = 0; seed < 20; ++seed) {
        LookupSchedule schedule({}, seed);
        schedule.begin();
        schedule.answered(seconds(60), start);
        due.insert(schedule.due());
    }
    EXPECT_GT(due.size(), 15U);
}

RC_GTEST_PROP(LookupSchedule, NeverAsksMoreOftenThanOnceASecond, ())
{
    LookupSchedule schedule(*rc::gen::element<Duration>(Duration::zero(), seconds(1), seconds(7)),
                            *rc::gen::arbitrary<std::uint32_t>());
    TimePoint now = start;
    std::optional<TimePoint> last;
    const int steps = *rc::gen::inRange(1, 60);
    for (int i = 0; i < steps; ++i) {
        now += milliseconds(*rc::gen::inRange(0, 3000));
        if (*rc::gen::arbitrary<bool>()) schedule.doubt(now);
        if (schedule.due() > now) continue;
        if (last) RC_ASSERT(now - *last >= seconds(1));
        last = now;
        schedule.begin();
        if (*rc::gen::arbitrary<bool>())
            schedule.answered(seconds(*rc::gen::inRange(0, 10)), now);
        else
            schedule.failed(now);
    }
}

// --- What
// ----------------------------------------------------------------------------------------------------------------

TEST(TakeOver, KeepsTheOrderOfWhatStays)
{
    std::vector<int> known{3, 1, 2};
    EXPECT_FALSE(take_over(known, {1, 2, 3}, true)) << "turned round";
    EXPECT_EQ(known, (std::vector{3, 1, 2}));
    EXPECT_TRUE(take_over(known, {4, 2, 3}, true));
    EXPECT_EQ(known, (std::vector{3, 2, 4}));
}

TEST(TakeOver, TakesNothingAwayByAnAnswerThatIsNotComplete)
{
    std::vector<int> known{3, 1};
    EXPECT_FALSE(take_over(known, {1}, false));
    EXPECT_TRUE(take_over(known, {2}, false));
    EXPECT_EQ(known, (std::vector{3, 1, 2}));
}

// --- Several backends by one name
// ----------------------------------------------------------------------------------------

constexpr const char* one_of_each = R"(
backends:
  - {name: web, url: "http://web.example:8080", resolve: each, weight: 3}
  - {name: api, url: "http://_http._tcp.example.com", resolve: srv}
  - {name: last, url: "http://10.0.0.9:80"}
pools:
  - {name: all, policy: round_robin}
  - {name: some, policy: random, backends: [last, web], weights: [7, 5]}
)";

const NameQuery web{.host = "web.example", .port = 8080};
const NameQuery api{.host = "_http._tcp.example.com", .service = true};

std::vector<Place> at(const std::vector<std::string>& addresses)
{
    std::vector<Place> places;
    for (const auto& address : addresses) places.push_back({.host = web.host, .port = web.port, .address = address});
    return places;
}

class Expanding {
public:
    explicit Expanding(const std::string& yaml = one_of_each) : config(load_config(yaml)) { expansion.follow(config); }

    /// "web-1=http://10.0.0.1:8080 ... ": the backends.
    std::string backends()
    {
        std::string text;
        for (const BackendConfig& backend : expansion.expanded(config).backends)
            text += (text.empty() ? "" : " ") + backend.name + '=' + backend.url.substr(7);
        return text;
    }
    /// "all: web-1(3) ...": a pool.
    std::string pool(std::size_t index)
    {
        const Config all = expansion.expanded(config);
        std::string text = all.pools[index].name + ':';
        for (std::size_t i = 0; i < all.pools[index].backends.size(); ++i)
            text += ' ' + all.backends[all.pools[index].backends[i]].name + '(' +
                    std::to_string(all.pools[index].weights[i]) + ')';
        return text;
    }

    Config config;
    Expansion expansion;
};

TEST(Expansion, ANameWithoutAnAnswerIsOneBackend)
{
    Expanding e;
    EXPECT_EQ(e.backends(), "web=web.example:8080 api=_http._tcp.example.com last=10.0.0.9:80");
    EXPECT_EQ(e.pool(1), "some: last(7) web(5)");
    EXPECT_EQ(e.expansion.names(), (std::set{web, api}));
}

TEST(Expansion, EachAddressIsABackendWithTheWeightOfTheName)
{
    Expanding e;
    EXPECT_TRUE(e.expansion.answered(web, at({"10.0.0.2", "10.0.0.1", "fd00::1"})));
    EXPECT_EQ(e.backends(), "web-1=10.0.0.1:8080 web-2=10.0.0.2:8080 web-3=[fd00::1]:8080 "
                            "api=_http._tcp.example.com last=10.0.0.9:80");
    EXPECT_EQ(e.pool(0), "all: web-1(3) web-2(3) web-3(3) api(1) last(1)");
    EXPECT_EQ(e.pool(1), "some: last(7) web-1(5) web-2(5) web-3(5)");
    const BackendConfig first = e.expansion.expanded(e.config).backends.front();
    EXPECT_EQ(first.host, "web.example") << "what probes ask for";
    EXPECT_EQ(first.address, "10.0.0.1");
    EXPECT_EQ(query_of(first), web);
}

TEST(Expansion, ABackendKeepsItsNameWhileItsAddressIsInTheAnswer)
{
    Expanding e;
    e.expansion.answered(web, at({"10.0.0.1", "10.0.0.2", "10.0.0.3"}));
    e.backends();
    EXPECT_FALSE(e.expansion.answered(web, at({"10.0.0.3", "10.0.0.2", "10.0.0.1"}))) << "turned round";
    EXPECT_TRUE(e.expansion.answered(web, at({"10.0.0.3", "10.0.0.2"})));
    EXPECT_EQ(e.pool(0), "all: web-2(3) web-3(3) api(1) last(1)");
    EXPECT_TRUE(e.expansion.answered(web, at({"10.0.0.0", "10.0.0.2", "10.0.0.3", "10.0.0.4"})));
    EXPECT_EQ(e.backends().substr(0, 79),
              "web-1=10.0.0.0:8080 web-2=10.0.0.2:8080 web-3=10.0.0.3:8080 web-4=10.0.0.4:8080");
}

TEST(Expansion, AnAnswerThatIsNotCompleteTakesNoBackendAway)
{
    Expanding e;
    e.expansion.answered(web, at({"10.0.0.1", "fd00::1"}));
    EXPECT_FALSE(e.expansion.answered(web, at({"10.0.0.1"}), false));
    EXPECT_TRUE(e.expansion.answered(web, at({"10.0.0.1"}), true));
}

TEST(Expansion, GivesNoNameThatAnotherBackendHas)
{
    Expanding e(R"(
backends:
  - {name: web, url: "http://web.example:8080", resolve: each}
  - {name: web-1, url: "http://10.0.0.9:80"}
)");
    e.expansion.answered(web, at({"10.0.0.1", "10.0.0.2"}));
    EXPECT_EQ(e.backends(), "web-2=10.0.0.1:8080 web-3=10.0.0.2:8080 web-1=10.0.0.9:80");
    e.config.backends[1].name = "web-2"; // by a request, later
    EXPECT_EQ(e.backends(), "web-1=10.0.0.1:8080 web-3=10.0.0.2:8080 web-2=10.0.0.9:80");
}

TEST(Expansion, RecordsOfAServiceHaveTheirOwnPortsWeightsAndOrder)
{
    Expanding e;
    const auto record = [](const std::string& host, std::uint16_t port, unsigned priority, unsigned weight) {
        return Place{.host = host, .port = port, .priority = priority, .weight = weight};
    };
    EXPECT_TRUE(e.expansion.answered(
        api, {record("a.example", 81, 20, 5), record("b.example", 82, 10, 0), record("c.example", 83, 10, 9)}));
    EXPECT_EQ(e.backends(), "web=web.example:8080 api-2=b.example:82 api-3=c.example:83 api-1=a.example:81 "
                            "last=10.0.0.9:80");
    EXPECT_EQ(e.pool(0), "all: web(3) api-2(1) api-3(9) api-1(5) last(1)");
    EXPECT_TRUE(e.expansion.answered(api, {record("a.example", 81, 20, 65'535), record("c.example", 83, 10, 13'107)}));
    EXPECT_EQ(e.pool(0), "all: web(3) api-3(200) api-1(1000) last(1)") << "as shares of the largest weight";
    const BackendConfig one = e.expansion.expanded(e.config).backends[1];
    EXPECT_EQ(query_of(one), (NameQuery{.host = "c.example", .port = 83})) << "its target is a name like any other";
    EXPECT_EQ(one.service, api.host);
    EXPECT_TRUE(e.expansion.answered(api, {}));
    EXPECT_EQ(e.pool(0), "all: web(3) last(1)") << "decidedly not available";
}

TEST(Expansion, ForgetsNamesThatAreNotFollowedAnyMore)
{
    Expanding e;
    e.expansion.answered(web, at({"10.0.0.1"}));
    e.expansion.follow(load_config(R"(backends: [{name: last, url: "http://10.0.0.9:80"}])"));
    EXPECT_TRUE(e.expansion.names().empty());
    EXPECT_FALSE(e.expansion.answered(web, at({"10.0.0.2"})));
    EXPECT_EQ(e.backends().substr(0, 4), "web=");
}

RC_GTEST_PROP(Expansion, GivesEachAddressOneNameAndKeepsIt, ())
{
    Expanding e;
    std::map<std::string, std::string> before; // address -> name
    const int steps = *rc::gen::inRange(1, 20);
    for (int i = 0; i < steps; ++i) {
        const auto present = *rc::gen::container<std::vector<bool>>(12, rc::gen::arbitrary<bool>());
        std::vector<std::string> addresses;
        for (std::size_t n = 0; n < present.size(); ++n)
            if (present[n]) addresses.push_back("10.0.0." + std::to_string(n));
        e.expansion.answered(web, at(addresses));
        std::map<std::string, std::string> now;
        std::set<std::string> names;
        for (const BackendConfig& backend : e.expansion.expanded(e.config).backends) {
            RC_ASSERT(names.insert(backend.name).second);
            if (backend.address.empty()) continue;
            now[backend.address] = backend.name;
            const auto earlier = before.find(backend.address);
            if (earlier != before.end()) RC_ASSERT(earlier->second == backend.name);
        }
        RC_ASSERT(now.size() == addresses.size());
        before = std::move(now);
    }
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
