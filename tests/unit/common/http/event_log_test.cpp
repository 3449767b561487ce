#include "common/http/event_log.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace hotspare::http {
namespace TEST_FILE {

void append(EventLog& log, int count)
{
    for (int i = 0; i < count; ++i) log.append("outage", {{"event", "outage"}}, "outage of pool 'web'");
}

std::vector<std::string> ids(const std::vector<const LogEntry*>& entries)
{
    std::vector<std::string> result;
    for (const LogEntry* entry : entries) result.push_back(entry->id);
    return result;
}

TEST(EventLog, ReplaysWhatCameAfterAnId)
{
    EventLog log("run");
    append(log, 5);
    EXPECT_EQ(ids(log.after("run-3")), (std::vector<std::string>{"run-4", "run-5"}));
    EXPECT_TRUE(log.after("run-5").empty());
    EXPECT_EQ(log.after("run-0").size(), 5U);
}

TEST(EventLog, ReplaysEverythingToAReaderThatItDoesNotKnow)
{
    EventLog log("run");
    append(log, 5);
    for (const auto* id :
         {"", "3", "other-3", "run-", "run-x", "run-3x", "run-6", "run--1", "run-99999999999999999999"})
        EXPECT_EQ(log.after(id).size(), 5U) << id;
}

TEST(EventLog, KeepsTheLatestAndSaysSoByNumbersThatGoOn)
{
    EventLog log("run", 3);
    append(log, 10);
    EXPECT_EQ(ids(log.latest(100)), (std::vector<std::string>{"run-8", "run-9", "run-10"}));
    EXPECT_EQ(ids(log.latest(1)), (std::vector<std::string>{"run-10"}));
    EXPECT_EQ(ids(log.after("run-2")), (std::vector<std::string>{"run-8", "run-9", "run-10"}));
    EXPECT_EQ(ids(log.after("run-9")), (std::vector<std::string>{"run-10"}));
}

TEST(EventLog, ReturnsWhatItHasKept)
{
    EventLog log("run", 0);
    append(log, 1);
    const LogEntry& entry = log.append("failover", {{"to", "spare"}}, "failover to 'spare'");
    EXPECT_EQ(entry.number, 2U);
    EXPECT_EQ(entry.id, "run-2");
    EXPECT_EQ(entry.kind, "failover");
    EXPECT_EQ(entry.text, "failover to 'spare'");
    EXPECT_EQ(log.latest(9).size(), 1U) << "at least one is kept";
}

TEST(EventLog, WritesAnEntryAsOneLineOfJsonWithItsId)
{
    EventLog log("run");
    const auto& text = log.append("outage", {{"evidence", "two\nlines and a broken byte: \xff"}}, "").json;
    EXPECT_EQ(text.find('\n'), std::string::npos);
    const auto json = nlohmann::json::parse(text);
    EXPECT_EQ(json["id"], "run-1");
}

} // namespace TEST_FILE
} // namespace hotspare::http
