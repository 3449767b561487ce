#include "monitor/pages/badge_svg.hpp"

#include "tests/support/xml.hpp"
#include "tests/unit/monitor/pages/example_view.hpp"

#include <gtest/gtest.h>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using test::XmlDocument;

XmlDocument badge(const Component& component)
{
    XmlDocument document = test::read_xml(badge_svg(component, example::now()));
    EXPECT_EQ(document.problem, "");
    return document;
}

std::string title(const Component& component)
{
    return badge(component).all("title").at(0)->text;
}

TEST(BadgeSvg, ShowsStateAndUptimeOfTheShownDays)
{
    Component component = example::component("api", "API");
    EXPECT_EQ(title(component), "API: Operational, 100 %");
    component.days[80] = example::day("2026-11-03", 30min); // of 89.5 days
    EXPECT_EQ(title(component), "API: Operational, 99.976 %");
    component.state = State::down;
    EXPECT_EQ(title(component), "API: Down, 99.976 %");
    component.maintenance = true;
    EXPECT_EQ(title(component), "API: Under maintenance, 99.976 %");
}

TEST(BadgeSvg, WithoutDataThereIsNoFigure)
{
    EXPECT_EQ(title({.id = "new"}), "new: No data");
    EXPECT_EQ(title({.id = "new", .state = State::up}), "new: Operational");
}

TEST(BadgeSvg, HasOneNameForScreenReaders)
{
    const XmlDocument document = badge(example::component("api", "API"));
    const auto& svg = document.elements.at(0);
    EXPECT_EQ(svg.attributes.at("role"), "img");
    EXPECT_EQ(svg.attributes.at("aria-label"), document.all("title").at(0)->text);
}

TEST(BadgeSvg, IsAsWideAsItsTexts)
{
    const XmlDocument document = badge({.id = "abc", .state = State::up});
    EXPECT_EQ(document.elements.at(0).attributes.at("width"), "130"); // 3 * 7 + 16 + 11 * 7 + 16
    EXPECT_EQ(document.elements.at(0).attributes.at("viewBox"), "0 0 130 20");
    const auto rects = document.all("rect");
    EXPECT_EQ(rects.at(0)->attributes.at("width"), "37");
    EXPECT_EQ(rects.at(1)->attributes.at("x"), "37");
    EXPECT_EQ(rects.at(1)->attributes.at("width"), "93");
    EXPECT_EQ(badge({.id = std::string(1000, 'x')}).all("text").at(0)->attributes.at("textLength"), "280");
}

TEST(BadgeSvg, HostileNamesAreShownAsText)
{
    const XmlDocument document = badge({.id = "x", .name = example::hostile()});
    EXPECT_EQ(document.elements.size(), 7U);
    EXPECT_TRUE(document.all("text").at(0)->text.starts_with("</script><script>alert(1)"));
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
