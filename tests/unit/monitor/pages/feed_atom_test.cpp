#include "monitor/pages/feed_atom.hpp"

#include "tests/support/xml.hpp"
#include "tests/unit/monitor/pages/example_view.hpp"

#include <gtest/gtest.h>

#include <map>
#include <set>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using test::XmlDocument;
using test::XmlElement;

XmlDocument feed(const View& view)
{
    XmlDocument document = test::read_xml(feed_atom(view));
    EXPECT_EQ(document.problem, "");
    return document;
}

std::string child(const XmlDocument& document, const XmlElement& parent, std::string_view name)
{
    for (const XmlElement* element : document.children(parent))
        if (element->name == name) return element->text;
    return "none";
}

/// By id.
std::map<std::string, std::string> updates(const View& view)
{
    const XmlDocument document = feed(view);
    std::map<std::string, std::string> result;
    for (const XmlElement* entry : document.all("entry"))
        result[child(document, *entry, "id")] = child(document, *entry, "updated");
    return result;
}

TEST(FeedAtom, HasWhatTheRfcDemands)
{
    const XmlDocument document = feed(example::full());
    const XmlElement& root = document.elements.at(0);
    EXPECT_EQ(root.name, "feed");
    EXPECT_EQ(root.attributes.at("xmlns"), "http://www.w3.org/2005/Atom");
    EXPECT_EQ(child(document, root, "id"), "tag:status.example.org,2026:status");
    EXPECT_EQ(child(document, root, "title"), "Example status");
    EXPECT_EQ(child(document, root, "updated"), "2026-11-12T11:40:00.000Z");
    EXPECT_EQ(child(document, root, "author"), "Example status");
    for (const XmlElement* entry : document.all("entry"))
        for (const char* part : {"id", "title", "updated", "published", "content"})
            EXPECT_NE(child(document, *entry, part), "none") << part;
    const auto links = document.all("link");
    EXPECT_EQ(links.at(0)->attributes.at("rel"), "self");
    EXPECT_EQ(links.at(0)->attributes.at("href"), "https://status.example.org/feed.atom");
}

TEST(FeedAtom, HasAnEntryPerIncidentAndPerWindowTheLatestChangeFirst)
{
    const auto entries = updates(example::full());
    EXPECT_EQ(entries.size(), 7U);
    EXPECT_EQ(entries.at("tag:status.example.org,2026:incident-api-2"), "2026-11-12T11:40:00.000Z");
    EXPECT_EQ(entries.at("tag:status.example.org,2026:maintenance-3"), "2026-11-10T02:00:00.000Z");
    const XmlDocument document = feed(example::full());
    std::string before = "9";
    for (const XmlElement* entry : document.all("entry")) {
        const std::string updated = child(document, *entry, "updated");
        EXPECT_LE(updated, before);
        before = updated;
    }
}

TEST(FeedAtom, AnEntryKeepsItsIdAndChangesUpdatedWhenItIsUpdated)
{
    View view = example::full();
    const auto before = updates(view);
    view.incidents[1].incident.updates.push_back(
        {example::at("2026-11-12T11:59:00Z"), IncidentStatus::resolved, "The report is written.", "me"});
    view.windows[2].changed_at += 1min;
    const auto after = updates(view);
    std::set<std::string> changed;
    for (const auto& [id, updated] : before) {
        ASSERT_TRUE(after.contains(id));
        if (after.at(id) != updated) changed.insert(id);
    }
    EXPECT_EQ(changed, (std::set<std::string>{"tag:status.example.org,2026:incident-api-1",
                                              "tag:status.example.org,2026:maintenance-3"}));
}

TEST(FeedAtom, TellsTheHistoryOfAnIncidentWithoutAuthors)
{
    const XmlDocument document = feed(example::full());
    EXPECT_EQ(child(document, *document.all("entry").at(0), "content"),
              "12 November 2026, 11:40 UTC (Identified): A disk is full. We make room.\n\n"
              "12 November 2026, 11:30 UTC (Investigating): API is down: connection refused.");
    EXPECT_EQ(feed_atom(example::full()).find("operator@"), std::string::npos);
}

TEST(FeedAtom, TellsOfMaintenanceWithItsTimes)
{
    View view = example::full();
    view.incidents.clear();
    view.windows = {view.windows[2]};
    const XmlDocument document = feed(view);
    EXPECT_EQ(child(document, *document.all("entry").at(0), "content"),
              "Scheduled: 14 November 2026, 02:00 UTC to 04:00 UTC\nAPI\n\nWe move to a new version.");
}

TEST(FeedAtom, HostileTextsAreShownAsText)
{
    const XmlDocument hostile = feed(example::hostile_view()), plain = feed(example::full());
    ASSERT_EQ(hostile.elements.size(), plain.elements.size());
    for (std::size_t i = 0; i < plain.elements.size(); ++i) EXPECT_EQ(hostile.elements[i].name, plain.elements[i].name);
    for (const XmlElement* entry : hostile.all("entry"))
        EXPECT_NE(child(hostile, *entry, "content").find("<script>alert(1)</script>"), std::string::npos);
    for (const XmlElement* id : hostile.all("id"))
        EXPECT_EQ(id->text.find_first_of(" <>\"\r\n"), std::string::npos) << id->text;
}

TEST(FeedAtom, AnEmptyMonitorHasAFeedWithoutEntries)
{
    const XmlDocument document = feed({});
    EXPECT_TRUE(document.all("entry").empty());
    EXPECT_EQ(child(document, document.elements.at(0), "title"), "Status");
    EXPECT_EQ(child(document, document.elements.at(0), "updated"), "1970-01-01T00:00:00.000Z");
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
