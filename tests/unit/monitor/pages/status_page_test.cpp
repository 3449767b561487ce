#include "monitor/pages/status_page.hpp"

#include "common/markup.hpp"
#include "monitor/pages/status_style.hpp"
#include "tests/support/xml.hpp"
#include "tests/unit/monitor/pages/example_view.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using test::XmlDocument;
using test::XmlElement;

XmlDocument page(const View& view)
{
    XmlDocument document = test::read_xml(status_page(view));
    EXPECT_EQ(document.problem, "");
    return document;
}

std::vector<const XmlElement*> of_class(const XmlDocument& document, std::string_view element, std::string_view css)
{
    std::vector<const XmlElement*> found = document.all(element);
    std::erase_if(found, [css](const XmlElement* e) {
        const auto attribute = e->attributes.find("class");
        return attribute == e->attributes.end() || attribute->second != css;
    });
    return found;
}

std::vector<std::string> texts(const std::vector<const XmlElement*>& elements)
{
    std::vector<std::string> result;
    for (const XmlElement* element : elements) result.push_back(element->text);
    return result;
}

struct Bars {
    std::string css;
    std::string text;
    std::size_t days = 1;
    bool focusable = false;
};

/// The bars of the component, the oldest first: for each element what it says of how many days.
std::vector<Bars> bars(const XmlDocument& document, std::size_t component)
{
    std::vector<Bars> result;
    for (const XmlElement* element : document.children(*of_class(document, "ol", "days").at(component))) {
        Bars one{.css = element->attributes.at("class"),
                 .text = element->text,
                 .focusable = element->attributes.contains("tabindex")};
        if (const auto space = one.css.find(" n"); space != std::string::npos) {
            one.days = std::stoul(one.css.substr(space + 2));
            one.css.resize(space);
        }
        result.push_back(std::move(one));
    }
    return result;
}

std::size_t count_days(const std::vector<Bars>& all, std::string_view css = {})
{
    std::size_t count = 0;
    for (const Bars& one : all) count += css.empty() || one.css == css ? one.days : 0;
    return count;
}

TEST(StatusPage, BeginsWithTheStateOfTheWholeAndThenWithWhatIsOpen)
{
    const XmlDocument document = page(example::full());
    EXPECT_EQ(texts(document.all("title")), std::vector<std::string>{"Partial outage: Example status"});
    EXPECT_EQ(texts(of_class(document, "p", "overall down")), std::vector<std::string>{"✕ Partial outage"});
    EXPECT_EQ(texts(document.all("h2")), (std::vector<std::string>{"Open incidents", "Maintenance", "Components",
                                                                   "Past incidents", "Past maintenance"}));
}

TEST(StatusPage, ShowsNinetyDaysOfEachComponent)
{
    const XmlDocument document = page(example::full());
    for (std::size_t component = 0; component < 3; ++component) EXPECT_EQ(count_days(bars(document, component)), 90U);
    std::vector<std::string> texts;
    for (const Bars& one : bars(document, 0)) texts.push_back(one.text);
    EXPECT_EQ(texts, (std::vector<std::string>{
                         "15 August 2026 to 13 September 2026: no downtime",
                         "14 September 2026: no data", // the day was left out
                         "15 September 2026 to 23 September 2026: no downtime", "24 September 2026: no data",
                         "25 September 2026 to 3 October 2026: no downtime",
                         "4 October 2026: announced maintenance for 4 h, down for 4 h of it",
                         "5 October 2026 to 13 October 2026: no downtime",
                         "14 October 2026: degraded for 4 h, uptime 100 %\nslower than 500 ms",
                         "15 October 2026 to 2 November 2026: no downtime",
                         "3 November 2026: down for 30 min, uptime 97.916 %\nHTTP 503, expected 200",
                         "4 November 2026 to 12 November 2026: no downtime"}));
}

TEST(StatusPage, OnlyDaysThatSayTheSameAreOneElement)
{
    View view;
    view.now = example::now();
    view.components = {example::component("api")};
    auto& days = view.components[0].days;
    days[10].tally = days[11].tally = {.up = 23h, .unknown = 1h};
    days[12].tally = {.up = 22h, .unknown = 2h};
    for (const std::size_t i : {20U, 21U}) days[i].tally = {.up = 23h, .down = 1h};
    const XmlDocument document = page(view);
    const auto all = bars(document, 0);
    ASSERT_EQ(all.size(), 7U);
    EXPECT_EQ(all[0].text, "15 August 2026 to 24 August 2026: no downtime");
    EXPECT_EQ(all[1].text, "25 August 2026 to 26 August 2026: no downtime, no data for 1 h");
    EXPECT_EQ(all[2].text, "27 August 2026: no downtime, no data for 2 h");
    for (const std::size_t i : {4U, 5U}) {
        EXPECT_EQ(all[i].css, "down");
        EXPECT_EQ(all[i].days, 1U) << "each outage has a day to be looked at";
    }
    EXPECT_EQ(count_days(all), 90U);
    for (std::size_t i = 2; i <= 90; ++i)
        EXPECT_NE(status_style().find(".n" + std::to_string(i) + "{--n:" + std::to_string(i) + "}"), std::string::npos);
}

TEST(StatusPage, TwoHundredComponentsWithSomeOutagesTakeAQuarterOfAMegabyte)
{
    View view;
    view.now = example::now();
    for (int i = 0; i < 200; ++i) {
        Component one = example::component("component-" + std::to_string(i));
        for (const std::size_t bad : {11U, 42U, 77U}) {
            one.days[bad].tally = {.up = 24h - 5min, .down = 5min};
            one.days[bad].causes = {"HTTP 503, expected 200"};
        }
        view.components.push_back(std::move(one));
    }
    EXPECT_LT(status_page(view).size(), 262'144U);
}

TEST(StatusPage, OnlyDaysWithSomethingToTellCanHaveTheFocus)
{
    const XmlDocument document = page(example::full());
    for (const Bars& one : bars(document, 0))
        EXPECT_EQ(one.focusable, one.css != "up" && one.css != "none") << one.text;
}

TEST(StatusPage, ShowsTheUptimeByMonthTheLatestFirst)
{
    const XmlDocument document = page(example::full());
    const auto lists = of_class(document, "dl", "months");
    ASSERT_EQ(lists.size(), 3U);
    EXPECT_EQ(texts(document.children(*lists[0])),
              (std::vector<std::string>{"November 202699.818 %", "October 2026100 %", "September 2026100 %",
                                        "August 2026100 %"}));
}

TEST(StatusPage, TellsUptimeWithMaintenanceWhereItDiffers)
{
    View view = example::full();
    view.components.resize(1);
    view.components[0].months = {{example::at("2026-11-01T00:00:00Z"),
                                  {.up = 6852h, .down = 5h, .unknown = 6h, .window_up = 10h, .window_down = 30h}}};
    const XmlDocument document = page(view);
    EXPECT_EQ(texts(document.children(*of_class(document, "dl", "months").at(0))),
              std::vector<std::string>{"November 202699.927 %99.492 % with maintenanceno data for 6 h"});
}

TEST(StatusPage, TellsOfIncidentsWithTheirUpdates)
{
    const XmlDocument document = page(example::full());
    const auto open = of_class(document, "article", "card open");
    ASSERT_EQ(open.size(), 1U);
    EXPECT_EQ(open[0]->attributes.at("id"), "incident-api-2");
    for (const char* part : {"Outage of API", "Identified", "Since12 November 2026, 11:30 UTC", "Down for30 min",
                             "A disk is full. We make room.", "API is down: connection refused."})
        EXPECT_NE(open[0]->text.find(part), std::string::npos) << part << " in " << open[0]->text;
    EXPECT_EQ(texts(of_class(document, "h3", "day")), (std::vector<std::string>{"3 November 2026", "20 October 2026"}));
    EXPECT_EQ(status_page(example::full()).find("operator@example.org"), std::string::npos);
}

TEST(StatusPage, TellsOfMaintenanceWithItsNextOccurrences)
{
    const XmlDocument document = page(example::full());
    const auto planned = of_class(document, "article", "card planned");
    ASSERT_EQ(planned.size(), 2U);
    EXPECT_NE(planned[0]->text.find("In progress"), std::string::npos);
    EXPECT_NE(planned[0]->text.find("WhatWeb shop"), std::string::npos) << planned[0]->text;
    EXPECT_NE(planned[1]->text.find("When14 November 2026, 02:00 UTC to 04:00 UTC"), std::string::npos)
        << planned[1]->text;
    EXPECT_NE(planned[1]->text.find("12 December 2026"), std::string::npos);
    EXPECT_EQ(planned[1]->text.find("19 December 2026"), std::string::npos) << "only four more are listed";
}

TEST(StatusPage, TimesCanBeReadByPrograms)
{
    const XmlDocument document = page(example::full());
    const auto times = document.all("time");
    ASSERT_FALSE(times.empty());
    EXPECT_EQ(times[0]->attributes.at("datetime"), "2026-11-12T12:00:00.000Z");
    EXPECT_EQ(times[0]->text, "12 November 2026, 12:00 UTC");
}

TEST(StatusPage, IsAccessibleInItsStructure)
{
    for (const View& view : {example::full(), View{}, example::hostile_view()}) {
        const XmlDocument document = page(view);
        ASSERT_EQ(document.all("html").size(), 1U);
        EXPECT_EQ(document.all("html")[0]->attributes.at("lang"), "en");
        EXPECT_EQ(document.all("h1").size(), 1U);
        EXPECT_EQ(document.all("main").size(), 1U);
        std::set<std::string> ids;
        int level = 1;
        for (const XmlElement& element : document.elements) {
            if (const auto id = element.attributes.find("id"); id != element.attributes.end()) {
                EXPECT_TRUE(ids.insert(id->second).second) << id->second << " is there twice";
                EXPECT_EQ(id->second.find_first_of(" \n\t<"), std::string::npos);
            }
            if (element.name.size() == 2 && element.name[0] == 'h' && element.name[1] <= '6') {
                EXPECT_LE(element.name[1] - '0', level + 1) << "a heading is left out before " << element.text;
                level = element.name[1] - '0';
            }
        }
        for (const XmlElement* section : document.all("section"))
            EXPECT_TRUE(ids.contains(section->attributes.at("aria-labelledby")));
        for (const char* list : {"ol", "ul"})
            for (const XmlElement* element : document.all(list))
                for (const XmlElement* child : document.children(*element)) EXPECT_EQ(child->name, "li");
    }
}

TEST(StatusPage, LoadsNothingAndRunsNothing)
{
    const XmlDocument document = page(example::full());
    for (const char* element : {"script", "img", "iframe", "object"}) EXPECT_TRUE(document.all(element).empty());
    for (const XmlElement& element : document.elements)
        for (const auto& [name, value] : element.attributes) {
            EXPECT_FALSE(name.starts_with("on") || name == "style" || name == "src") << name;
        }
    EXPECT_EQ(status_style().find_first_of("<&"), std::string_view::npos);
    EXPECT_EQ(status_style().find("url("), std::string_view::npos);
    EXPECT_EQ(document.all("style").at(0)->text, status_style());
}

TEST(StatusPage, HostileTextsAreShownAsText)
{
    const XmlDocument hostile = page(example::hostile_view()), plain = page(example::full());
    std::vector<std::string> names, expected;
    for (const XmlElement& element : hostile.elements) names.push_back(element.name);
    for (const XmlElement& element : plain.elements) expected.push_back(element.name);
    EXPECT_EQ(names, expected) << "a text became an element";
    EXPECT_NE(hostile.all("h1").at(0)->text.find("</script><script>alert(1)</script>"), std::string::npos);
    for (const XmlElement* card : of_class(hostile, "article", "card planned"))
        EXPECT_NE(card->text.find("<script>alert(1)</script>"), std::string::npos);
    const std::string bytes = status_page(example::hostile_view());
    EXPECT_EQ(bytes, valid_utf8(bytes));
}

TEST(StatusPage, AMonitorWithoutComponentsSaysSo)
{
    View view;
    view.now = example::now();
    const XmlDocument document = page(view);
    EXPECT_EQ(texts(of_class(document, "p", "overall none")), std::vector<std::string>{"? No data yet"});
    EXPECT_EQ(texts(document.all("h2")), (std::vector<std::string>{"Components", "Past incidents"}));
    EXPECT_EQ(texts(of_class(document, "p", "card")), (std::vector<std::string>{"Nothing is monitored yet.", "None."}));
}

TEST(StatusPage, ATargetThatBeganThisMonthHasNoDataBefore)
{
    View view;
    view.now = example::now();
    view.components = {{.id = "new", .state = State::up, .watched_since = view.now - 13h}};
    view.components[0].days = {{view.now - 40h, {}, {}},
                               {example::at("2026-11-11T00:00:00Z"), {.up = 1h}, {}},
                               {example::at("2026-11-12T00:00:00Z"), {.up = 12h}, {}}};
    view.components[0].months = {{example::at("2026-11-01T00:00:00Z"), {.up = 13h}}};
    const XmlDocument document = page(view);
    const auto days = bars(document, 0);
    EXPECT_EQ(count_days(days), 90U);
    EXPECT_EQ(count_days(days, "none"), 88U);
    ASSERT_EQ(days.size(), 2U);
    EXPECT_EQ(days[0].text, "15 August 2026 to 10 November 2026: no data");
    EXPECT_EQ(days[1].text, "11 November 2026 to 12 November 2026: no downtime");
    EXPECT_EQ(texts(document.children(*of_class(document, "dl", "months").at(0))),
              std::vector<std::string>{"November 2026100 %"});
}

TEST(StatusPage, ATargetWithoutDataHasNoFigure)
{
    View view;
    view.now = example::now();
    view.components = {{.id = "silent"}};
    const XmlDocument document = page(view);
    EXPECT_EQ(texts(of_class(document, "p", "state none")), std::vector<std::string>{"? No data"});
    EXPECT_EQ(texts(of_class(document, "p", "scale")), std::vector<std::string>{"90 days agono datatoday"});
    EXPECT_EQ(status_page(view).find(" %<"), std::string::npos);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
