#include "monitor/pages/view.hpp"

#include "tests/unit/monitor/pages/example_view.hpp"

#include <gtest/gtest.h>

#include <set>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;

View of_states(std::initializer_list<State> states, std::size_t maintained = 0)
{
    View view;
    for (const State state : states)
        view.components.push_back({.id = "c", .state = state, .maintenance = maintained > view.components.size()});
    return view;
}

TEST(PagesView, TheWholeIsAsItsWorstComponentButForThoseUnderMaintenance)
{
    using enum State;
    EXPECT_EQ(overall({}), Overall::no_data);
    EXPECT_EQ(overall(of_states({unknown, unknown})), Overall::no_data);
    EXPECT_EQ(overall(of_states({up, unknown})), Overall::operational);
    EXPECT_EQ(overall(of_states({up, degraded})), Overall::degraded);
    EXPECT_EQ(overall(of_states({up, degraded, down})), Overall::partial_outage);
    EXPECT_EQ(overall(of_states({down, down})), Overall::major_outage);
    EXPECT_EQ(overall(of_states({down, up}, 1)), Overall::maintenance);
    EXPECT_EQ(overall(of_states({down, down}, 1)), Overall::major_outage);
    EXPECT_EQ(overall(of_states({down, degraded}, 1)), Overall::degraded);
    EXPECT_EQ(overall(of_states({unknown}, 1)), Overall::maintenance);
}

TEST(PagesView, ADayIsAsTheWorstThatHappenedOutsideWindows)
{
    EXPECT_EQ(kind_of({}), DayKind::no_data);
    EXPECT_EQ(kind_of({.unknown = 24h}), DayKind::no_data);
    EXPECT_EQ(kind_of({.up = 1h, .unknown = 23h}), DayKind::up);
    EXPECT_EQ(kind_of({.up = 23h, .window_down = 1h}), DayKind::maintenance);
    EXPECT_EQ(kind_of({.up = 22h, .degraded = 1h, .window_down = 1h}), DayKind::degraded);
    EXPECT_EQ(kind_of({.up = 22h, .degraded = 1h, .down = 1ms}), DayKind::down);
}

TEST(PagesView, OnlyTheDaysThatAreShownCount)
{
    Component component = example::component("api");
    component.days.insert(component.days.begin(), example::day("2026-08-14", 24h));
    EXPECT_EQ(component.days[1].begin, example::at("2026-08-15T00:00:00Z"));
    EXPECT_EQ(shown_total(component, example::now()), (Tally{.up = 24h * 89 + 12h}));
}

TEST(PagesView, OpenIncidentsAndWindowsInProgressComeFirst)
{
    const View view = example::full();
    const auto open = incidents_where(view, true), past = incidents_where(view, false);
    ASSERT_EQ(open.size(), 1U);
    ASSERT_EQ(past.size(), 2U);
    EXPECT_EQ(past[0]->incident.since(), example::at("2026-11-03T08:00:00Z"));
    const auto planned = windows_where(view, false), over = windows_where(view, true);
    ASSERT_EQ(planned.size(), 2U);
    EXPECT_EQ(planned[0]->window.id, 2U);
    ASSERT_EQ(over.size(), 2U);
    EXPECT_EQ(over[0]->window.id, 4U);
}

TEST(PagesView, AnIncidentInsideAnAnnouncedWindowIsNotShown)
{
    View view = example::full();
    for (PublicIncident& i : view.incidents) i.incident.maintenance = true;
    EXPECT_TRUE(incidents_where(view, true).empty());
    EXPECT_TRUE(incidents_where(view, false).empty());
    EXPECT_EQ(banner_subject(view).incident, nullptr);
}

TEST(PagesView, TheHistoryOfAnIncidentHasOutagesAndUpdatesButNoAuthors)
{
    const View view = example::full();
    PublicIncident incident = view.incidents[1];
    const Instant begin = incident.incident.since();
    incident.incident.outages.push_back({begin + 2h, begin + 3h});
    const auto lines = history_of(view, incident);
    ASSERT_EQ(lines.size(), 5U);
    EXPECT_EQ(lines[0].text, "API is up again after 1 h.");
    EXPECT_EQ(lines[0].status, IncidentStatus::resolved);
    EXPECT_EQ(lines[1].text, "API is down again: connection refused.");
    EXPECT_EQ(lines[2].status, IncidentStatus::monitoring);
    EXPECT_EQ(lines[3].text, "A disk is full. We make room.");
    EXPECT_EQ(lines[4].text, "API is down.");
    std::set<std::string> ids;
    for (const HistoryLine& line : lines) {
        ids.insert(line.id);
        EXPECT_EQ(line.text.find("operator@"), std::string::npos);
    }
    EXPECT_EQ(ids.size(), lines.size());
}

TEST(PagesView, AnEntryIsUpdatedWhenAnythingAboutItIsRecorded)
{
    const View view = example::full();
    PublicIncident incident = view.incidents[1];
    const Instant end = incident.incident.outages.back().end;
    EXPECT_EQ(updated_at(view, incident), end);
    incident.changed_at = end + 1min; // the end was confirmed then, and backdated
    EXPECT_EQ(updated_at(view, incident), end + 1min);
    EXPECT_EQ(updated_at(view), example::at("2026-11-12T11:40:00Z")); // the update of the open incident
    EXPECT_EQ(updated_at(View{}), Instant{});
}

TEST(PagesView, AnOpenIncidentOutranksMaintenance)
{
    View view = example::full();
    ASSERT_NE(banner_subject(view).incident, nullptr);
    EXPECT_EQ(banner_subject(view).window, nullptr);
    view.incidents.clear();
    ASSERT_NE(banner_subject(view).window, nullptr);
    EXPECT_EQ(banner_subject(view).window->window.id, 2U);
    view.banner = {};
    EXPECT_EQ(banner_subject(view).window, nullptr);
    view.banner = {Maintenance::Phase::announced, 99};
    EXPECT_EQ(banner_subject(view).window, nullptr);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
