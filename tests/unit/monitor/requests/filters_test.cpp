#include "monitor/requests/filters.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using std::chrono::November;
using std::chrono::year;

constexpr Instant noon{std::chrono::sys_days(year(2026) / 11 / 12) + 12h};

TEST(Filters, OfTheAuditLog)
{
    const auto all = read_audit_filter({});
    ASSERT_TRUE(all);
    EXPECT_EQ(all->most, 50U);
    EXPECT_FALSE(all->from || all->until || all->before);

    const auto query = read_audit_filter({{"from", "2026-11-12T12:00:00Z"},
                                          {"until", "2026-11-12T14:00:00+01:00"},
                                          {"user", "Ana María"},
                                          {"action", "login.failed"},
                                          {"target", "pool/v1"},
                                          {"before", "9223372036854775807"},
                                          {"limit", "500"}});
    ASSERT_TRUE(query) << query.error().message;
    EXPECT_EQ(query->from, noon);
    EXPECT_EQ(query->until, noon + 1h);
    EXPECT_EQ(query->user, "Ana María");
    EXPECT_EQ(query->action, "login.failed");
    EXPECT_EQ(query->target, "pool/v1");
    EXPECT_EQ(query->before, 9'223'372'036'854'775'807U);
    EXPECT_EQ(query->most, 500U);
}

TEST(Filters, OfTheHistory)
{
    EXPECT_EQ(*read_history_filter({}), HistoryFilter{});
    EXPECT_EQ(*read_history_filter({{"limit", "1"}, {"before", "2026-11-12T12:00:00.000Z"}, {"target", "api"}}),
              (HistoryFilter{"api", {}, noon, 1}));
    EXPECT_EQ(*read_history_filter({{"from", "2026-11-12T12:00:00Z"}, {"until", "2026-11-12T13:00:00Z"}}),
              (HistoryFilter{"", noon, noon + 1h, 50}));
    EXPECT_EQ(read_history_filter({{"until", "2026-11-12T13:00:00Z"}, {"before", "2026-11-12T12:00:00Z"}})->before,
              noon)
        << "the next page of that period";
    EXPECT_EQ(read_history_filter({{"until", "2026-11-12T12:00:00Z"}, {"before", "2026-11-12T13:00:00Z"}})->before,
              noon);
    EXPECT_EQ(read_history_filter({{"from", "2026-11-12T12:00:00Z"}, {"until", "2026-11-12T12:00:00Z"}}).error(),
              (Refusal{"until", "until must be after from"}));
    EXPECT_EQ(read_history_filter({{"user", "ada"}}).error().field, "user") << "no user makes a check";
}

TEST(Filters, OfIncidents)
{
    EXPECT_EQ(*read_incident_filter({}), IncidentFilter{});
    EXPECT_EQ(*read_incident_filter({{"target", "api"}, {"before", "12"}, {"limit", "20"}}),
              (IncidentFilter{"api", 12, 20}));
}

TEST(Filters, OfTheUptime)
{
    EXPECT_EQ(*read_uptime_filter({}, noon), (UptimeFilter{"", year(2026) / November}));
    EXPECT_EQ(*read_uptime_filter({{"target", "api"}, {"month", "2024-02"}}, noon),
              (UptimeFilter{"api", year(2024) / std::chrono::February}));
    EXPECT_EQ(read_uptime_filter({{"month", "2026-11"}}, noon)->month, year(2026) / November);
    EXPECT_TRUE(read_uptime_filter({{"month", "2026-12"}}, noon + std::chrono::days(19)));
}

TEST(Filters, RefuseWhatIsWrongByName)
{
    const struct {
        std::string name, value, message;
    } cases[] = {
        {"limit", "0", "limit must be a whole number from 1 to 500"},
        {"limit", "501", "limit must be a whole number from 1 to 500"},
        {"limit", "-1", "limit must be a whole number from 1 to 500"},
        {"limit", "+5", "limit must be a whole number from 1 to 500"},
        {"limit", "5 ", "limit must be a whole number from 1 to 500"},
        {"limit", "99999999999999999999999", "limit must be a whole number from 1 to 500"},
        {"limit", "", "limit must not be empty"},
        {"before", "0", "before must be a whole number from 1 to 9223372036854775807"},
        {"before", "9223372036854775808", "before must be a whole number from 1 to 9223372036854775807"},
        {"before", "2026-11-12T12:00:00Z", "before must be a whole number from 1 to 9223372036854775807"},
        {"from", "2026-11-12T12:00:00", "from must have a zone, for example 2026-11-02T22:00:00Z"},
        {"until", "2026-11-12T12:00:00 01:00", "until has a space where the offset begins: write + as %2B"},
        {"until", "2026-11-12", "until is not a valid time: no 'T' between date and time, as in 2026-11-30T09:05:00Z"},
        {"user", "", "user must not be empty"},
        {"user", " ", "user must not be empty"},
        {"user", "a\nb", "user holds a control character"},
        {"user", "\xff", "user is not UTF-8"},
        {"action", std::string(204, 'x'), "action is longer than 203 bytes"},
        {"users", "x",
         "users is not a parameter of this page, which has from, until, user, action, target, before, limit"},
        {"User", "x",
         "User is not a parameter of this page, which has from, until, user, action, target, before, limit"},
    };
    for (const auto& one : cases) {
        const auto query = read_audit_filter({{one.name, one.value}});
        ASSERT_FALSE(query) << one.name << "=" << one.value;
        EXPECT_EQ(query.error(), (Refusal{one.name, one.message})) << query.error().message;
    }
    EXPECT_EQ(read_audit_filter({{std::string(100'000, 'x') + "\n", "x"}}).error().field.size(), 67U);
    EXPECT_EQ(read_audit_filter({{"user", "a"}, {"user", "a"}}).error(),
              (Refusal{"user", "user is given more than once"}));
    EXPECT_EQ(read_audit_filter({{"from", "2026-11-12T12:00:00Z"}, {"until", "2026-11-12T12:00:00Z"}}).error(),
              (Refusal{"until", "until must be after from"}));
}

TEST(Filters, EachPageRefusesTheParametersOfTheOthers)
{
    EXPECT_EQ(read_history_filter({{"user", "x"}}).error().field, "user");
    EXPECT_EQ(read_history_filter({{"before", "7"}}).error().field, "before");
    EXPECT_EQ(read_incident_filter({{"month", "2026-11"}}).error().field, "month");
    EXPECT_EQ(read_incident_filter({{"before", "2026-11-12T12:00:00Z"}}).error().field, "before");
    EXPECT_EQ(read_uptime_filter({{"limit", "5"}}, noon).error().field, "limit");
}

TEST(Filters, RefuseAWrongMonth)
{
    for (const char* text : {"2026-13", "2026-00", "2026-1", "2026-011", "2026/11", "26-11", "November", "1969-12",
                             "2026-11-01", "+202-11", "2201-01", "9999-12", "2026- 1", "-026-11"})
        EXPECT_EQ(read_uptime_filter({{"month", text}}, noon).error(),
                  (Refusal{"month", "month must be a month such as 2026-11"}))
            << text;
    for (const char* text : {"2026-12", "2027-01", "2200-12"})
        EXPECT_EQ(read_uptime_filter({{"month", text}}, noon).error(), (Refusal{"month", "month is in the future"}))
            << text;
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
