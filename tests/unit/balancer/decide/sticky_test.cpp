#include "balancer/decide/sticky.hpp"

#include "balancer/decide/attempt.hpp"
#include "balancer/decide/placement.hpp"
#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

StickyCookies cookies_of(const std::vector<std::string>& names, StickyConfig config = {.cookie = "SID"})
{
    std::vector<StickyCookies::Member> members;
    for (const auto& name : names) members.push_back({name, static_cast<BackendIndex>(members.size() + 10)});
    return {config, members};
}

TEST(Sticky, ATokenIsTheSameInEveryProcess)
{
    // Clients hold these: another value would move every session.
    EXPECT_EQ(sticky_token("primary"), "c2a5fb5a04e6c3a1");
    EXPECT_EQ(sticky_token("spare"), "9131d81b209240d0");
    EXPECT_EQ(sticky_token(""), "f52a15e9a9b5e89b");
}

TEST(Sticky, AlikeNamesHaveDifferentTokens)
{
    std::set<std::string> tokens;
    for (int i = 0; i < 10'000; ++i) tokens.insert(sticky_token("web-" + std::to_string(i)));
    EXPECT_EQ(tokens.size(), 10'000U);
}

TEST(Sticky, TheLineSaysWhatTheConfigurationDoes)
{
    const auto a = sticky_token("a");
    EXPECT_EQ(cookies_of({"a"}).line_for(10), "Set-Cookie: SID=" + a + "; Path=/; HttpOnly; SameSite=Lax\r\n");
    EXPECT_EQ(cookies_of({"a"}, {.cookie = "s", .secure = true, .max_age = std::chrono::hours(1)}).line_for(10),
              "Set-Cookie: s=" + a + "; Path=/; HttpOnly; SameSite=Lax; Secure; Max-Age=3600\r\n");
    EXPECT_EQ(cookies_of({"a"}).line_for(11), "") << "it has left the pool";
}

TEST(Sticky, TheFirstPairWithAKnownTokenCounts)
{
    const auto cookies = cookies_of({"a", "b"});
    const auto a = sticky_token("a"), b = sticky_token("b");
    EXPECT_EQ(cookies.find("SID=" + a), 10);
    EXPECT_EQ(cookies.find("SID=" + b + "; SID=" + a), 11);
    EXPECT_EQ(cookies.find("SID=forged; SID=" + a + "; SID=" + b), 10);
    EXPECT_EQ(cookies.find("theme=dark; SID=" + b + "; lang=de"), 11);
}

TEST(Sticky, ReadsWhatClientsWriteInPlaceOfTheGrammar)
{
    const auto cookies = cookies_of({"a"});
    const auto a = sticky_token("a");
    for (const std::string& field : {"SID=" + a, " SID = " + a + " ", "\tSID=\t" + a, "SID=\"" + a + "\"", ";;SID=" + a,
                                     "x;SID=" + a + ";", "a=b;SID=" + a, "=;SID=" + a, "bare; SID=" + a})
        EXPECT_EQ(cookies.find(field), 10) << field;
    for (const std::string& field :
         {std::string(), std::string("SID"), std::string("SID="), std::string(";"), "sid=" + a, "XSID=" + a,
          "SID=" + a + "0", "SID=" + a.substr(1), "SID=\"" + a, "SID==" + a, "SID=" + a + ",", "x=\"; SID=" + a + "x\"",
          "SID=" + std::string(100'000, 'f')})
        EXPECT_EQ(cookies.find(field), std::nullopt) << field.substr(0, 60);
}

TEST(Sticky, FindsItsOwnCookieInAnySurroundings)
{
    test::check_property(5000, [] {
        const auto cookies = cookies_of({"a", "b", "c"});
        const auto junk = [] {
            std::string text;
            for (const int c : *rc::gen::container<std::vector<int>>(rc::gen::inRange(1, 256)))
                text += static_cast<char>(c);
            return text;
        };
        const auto member = *rc::gen::inRange<BackendIndex>(10, 13);
        auto line = cookies.line_for(member);
        line.remove_prefix(std::string_view("Set-Cookie: ").size());
        const std::string pair(line.substr(0, line.find(';')));
        const auto before = junk(), behind = junk();
        // Random bytes do not make up a token, so nothing but the pair itself can be found.
        RC_ASSERT(cookies.find(before + ";" + pair + ";" + behind) == member);
        RC_ASSERT(cookies.find(before + behind) == std::nullopt);
    });
}

TEST(Sticky, ARequestIsPlacedWhereItsCookieSaysAsLongAsRoutingAllows)
{
    const TimePoint now{std::chrono::hours(1)};
    test::check_property(2000, [now] {
        Config config;
        config.backends.resize(4);
        PoolConfig pool;
        pool.policy = *rc::gen::element(Policy::round_robin, Policy::random, Policy::least_connections);
        pool.backends = {0, 1, 2, 3};
        pool.weights = {1, 1, 1, 1};
        config.pools.push_back(pool);
        Placement placement{first_topology(config), *rc::gen::arbitrary<std::uint32_t>()};

        auto routing = std::make_shared<Routing>();
        routing->backends.resize(4);
        for (auto& backend : routing->backends) backend.good_probe_started = now;
        std::vector<Candidate> candidates;
        for (BackendIndex b = 0; b < 4; ++b)
            candidates.push_back({b, *rc::gen::element(Tier::serving, Tier::fallback, Tier::excluded), 1});
        routing->pools.push_back({pool.policy, candidates, {}});
        placement.update(routing);
        const auto failing = *rc::gen::inRange<BackendIndex>(0, 8);
        if (failing < 4) placement.observe(failing, EvidenceKind::refused, now + seconds(1));
        AttemptLedger ledger{RequestFacts{}};
        const auto tried = *rc::gen::inRange<BackendIndex>(0, 8);
        if (tried < 4) ledger.begin(tried, false, false, now);

        const auto cookie = *rc::gen::inRange<BackendIndex>(0, 6); // some are of no member
        const std::vector<unsigned> active(4);
        const auto picked = placement.pick(0, ledger, active, cookie);
        const bool serves =
            cookie < 4 && candidates[cookie].tier != Tier::excluded && cookie != failing && cookie != tried;
        if (serves) RC_ASSERT(picked == cookie);
        if (picked) RC_ASSERT(candidates[*picked].tier != Tier::excluded && *picked != tried);
        const bool any = std::any_of(candidates.begin(), candidates.end(), [&](const Candidate& c) {
            return c.tier != Tier::excluded && c.backend != tried;
        });
        RC_ASSERT(picked.has_value() == any);
    });
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
