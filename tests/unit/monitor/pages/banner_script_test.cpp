#include "monitor/pages/banner_script.hpp"

#include "common/json_document.hpp"
#include "common/markup.hpp"
#include "tests/unit/monitor/pages/example_view.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;

/// The text and the key that the script is called with.
nlohmann::json arguments_of(const std::string& script)
{
    const auto call = script.rfind("})(document,");
    EXPECT_NE(call, std::string::npos) << script;
    const auto begin = call + 12;
    EXPECT_TRUE(script.ends_with(");\n"));
    const nlohmann::json arguments = read_json_document("[" + script.substr(begin, script.size() - 3 - begin) + "]");
    EXPECT_TRUE(arguments.is_array() && arguments.size() == 2) << script;
    return arguments;
}

View with_window(Maintenance::Phase phase)
{
    View view = example::full();
    view.incidents.clear();
    view.banner = {phase, phase == Maintenance::Phase::announced ? 3U : 2U};
    return view;
}

TEST(BannerScript, DoesNothingWhenThereIsNothing)
{
    EXPECT_EQ(banner_script({}), "// There is nothing to announce.\n");
    EXPECT_EQ(banner_text({}), "");
    EXPECT_EQ(banner_key({}), "");
}

TEST(BannerScript, TellsOfMaintenanceByPhase)
{
    EXPECT_EQ(banner_text(with_window(Maintenance::Phase::announced)),
              "Scheduled maintenance on 14 November 2026, 02:00 UTC to 04:00 UTC: Database upgrade");
    EXPECT_EQ(banner_text(with_window(Maintenance::Phase::in_progress)),
              "Scheduled maintenance in progress until 12 November 2026, 13:00 UTC: Database upgrade");
}

TEST(BannerScript, AnOpenIncidentOutranksMaintenance)
{
    EXPECT_EQ(banner_text(example::full()), "Outage of API since 12 November 2026, 11:30 UTC");
}

TEST(BannerScript, ADismissalLastsUntilThePhaseChanges)
{
    View view = with_window(Maintenance::Phase::announced);
    const std::string announced = banner_key(view);
    EXPECT_EQ(announced, "maintenance-3-announced-1794621600000");
    view.banner.phase = Maintenance::Phase::in_progress;
    EXPECT_NE(banner_key(view), announced);
    view.banner.phase = Maintenance::Phase::announced;
    view.windows[2].window.plan.start += 24h * 7; // the next occurrence of the series
    EXPECT_NE(banner_key(view), announced);

    View outage = example::full();
    EXPECT_EQ(banner_key(outage), "incident-api-2-identified");
    outage.incidents[0].incident.status = IncidentStatus::monitoring;
    EXPECT_NE(banner_key(outage), "incident-api-2-identified");
}

TEST(BannerScript, CarriesTextAndKeyAsStrings)
{
    const View view = with_window(Maintenance::Phase::announced);
    const auto arguments = arguments_of(banner_script(view));
    EXPECT_EQ(arguments[0], banner_text(view));
    EXPECT_EQ(arguments[1], banner_key(view));
}

TEST(BannerScript, PutsTheTextIntoThePageAsTextOnly)
{
    const std::string script = banner_script(example::full());
    EXPECT_NE(script.find(".textContent=t"), std::string::npos);
    EXPECT_NE(script.find("\"role\",\"status\""), std::string::npos);
    for (const char* word : {"innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval"})
        EXPECT_EQ(script.find(word), std::string::npos) << word;
}

TEST(BannerScript, HostileTitlesDoNotBreakIt)
{
    View view = example::hostile_view();
    view.incidents.clear();
    const std::string script = banner_script(view);
    const auto arguments = arguments_of(script);
    EXPECT_NE(arguments[0].get<std::string>().find("</script><script>alert(1)"), std::string::npos);
    const std::string literals = script.substr(script.rfind("})(document,"));
    EXPECT_EQ(literals.find_first_of("<>&\r"), std::string::npos);
    EXPECT_EQ(script.find("</"), std::string::npos);
    EXPECT_EQ(script.find('\n'), script.size() - 1);
    for (const char* separator : {"\xE2\x80\xA8", "\xE2\x80\xA9"}) EXPECT_EQ(script.find(separator), std::string::npos);
    EXPECT_EQ(script, valid_utf8(script));
}

TEST(BannerScript, NeverHasMoreThanAKilobyte)
{
    std::string longest;
    for (int i = 0; i < 50; ++i) longest += "\xF0\x9F\x94\xA5";
    for (const std::string& title : {std::string(200, 'x'), std::string(200, '<'), std::string(200, '\x01'), longest,
                                     example::hostile(), std::string(16'384, '&')}) {
        View view = with_window(Maintenance::Phase::announced);
        view.windows[2].window.plan.title = title;
        const std::string script = banner_script(view);
        EXPECT_LE(script.size(), longest_banner_script);
        arguments_of(script);
        View outage = example::full();
        outage.components[0].name = title;
        outage.components[0].id = outage.incidents[0].component = title;
        EXPECT_LE(banner_script(outage).size(), longest_banner_script);
        arguments_of(banner_script(outage));
    }
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
