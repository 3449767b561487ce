#include "monitor/pages/dashboard.hpp"

#include "common/markup.hpp"
#include "monitor/pages/dashboard_style.hpp"
#include "monitor/pages/latency_chart.hpp"
#include "tests/support/xml.hpp"
#include "tests/unit/monitor/pages/example_view.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using test::XmlDocument;
using test::XmlElement;

DashboardView full()
{
    const Instant now = example::now();
    DashboardView view{.title = "Shop", .user = "admin", .base_url = "http://127.0.0.1:8000", .now = now};
    view.versions = Versions{.active = "v2",
                             .versions = {{.name = "v1",
                                           .url = "http://127.0.0.1:8001",
                                           .status = "unhealthy",
                                           .since = now - 65s,
                                           .cause = "probes",
                                           .evidence = "500 Internal Server Error",
                                           .quarantined_until = now + 15s},
                                          {.name = "v2",
                                           .url = "http://127.0.0.1:8002",
                                           .status = "healthy",
                                           .since = now - 26h,
                                           .cause = "first_probe",
                                           .active = true},
                                          {.name = "v3",
                                           .url = "http://127.0.0.1:8003",
                                           .status = "down",
                                           .evidence = "Connection refused"}},
                             .last_failover = LastFailover{.from = "v1",
                                                           .to = "v2",
                                                           .cause = "failure_limit",
                                                           .evidence = "'v1' is quarantined: 5 failures in 10 s",
                                                           .detection_ms = 812.4,
                                                           .failover_ms = 814.55,
                                                           .at = now - 64s}};
    for (int i = 0; i < 12; ++i)
        view.checks.push_back({.at = now - i * 5s,
                               .target = "v2",
                               .state = i == 3   ? State::down
                                        : i == 6 ? State::degraded
                                        : i == 8 ? State::unknown
                                                 : State::up,
                               .latency = i == 3 ? std::nullopt : std::optional<microseconds>(1'840 + 37 * i),
                               .cause = i == 3   ? "GET /health: no answer within 2 s"
                                        : i == 6 ? "slower than 500 ms"
                                                 : ""});
    for (int i = 0; i < 130; ++i) {
        LatencyPoint point{
            .at = now - (130 - i) * 5s, .latency = microseconds(2'000 + i * i % 700), .state = State::up};
        if (i >= 60 && i < 66)
            point = {.at = point.at, .latency = microseconds(11'000 + i * 30), .state = State::degraded};
        if (i >= 66 && i < 70) point = {.at = point.at, .latency = std::nullopt, .state = State::down};
        if (i >= 100 && i < 104) point = {.at = point.at, .latency = std::nullopt, .state = State::unknown};
        view.points.push_back(point);
    }
    view.latency_of = "v2";
    for (std::uint64_t i = 0; i < 22; ++i)
        view.audit.push_back(
            {.number = 40 - i,
             .at = now - i * 1h,
             .user = i % 3 == 2 ? "" : "admin",
             .address = "127.0.0.1",
             .action = i % 3 == 2 ? "login.failed" : "chaos.corruption",
             .target = i % 3 == 2 ? "" : "v1",
             .detail = i % 3 == 2 ? "wrong password" : "POST http://127.0.0.1:8001/simulate/corruption: 200"});
    view.result = ActionResult{true, "the data of v1 are corrupted"};
    return view;
}

DashboardView hostile()
{
    DashboardView view = full();
    const std::string bad = example::hostile();
    view.title = view.user = view.base_url = view.latency_of = view.problem = bad;
    view.result->text = bad;
    view.versions->active = bad;
    for (Version& v : view.versions->versions) v.name = v.url = v.cause = v.evidence = bad;
    LastFailover& failover = *view.versions->last_failover;
    failover.from = failover.to = failover.cause = failover.evidence = bad;
    for (DashboardCheck& c : view.checks) c.target = c.cause = bad;
    for (AuditEntry& a : view.audit) a.user = a.address = a.action = a.target = a.detail = bad;
    return view;
}

XmlDocument page(const DashboardView& view)
{
    XmlDocument document = test::read_xml(dashboard(view));
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

/// The texts of the cells of each row of the table.
std::vector<std::vector<std::string>> rows(const XmlDocument& document, std::string_view table)
{
    std::vector<std::vector<std::string>> result;
    const XmlElement* body = nullptr;
    for (const XmlElement* element : document.all("table"))
        if (element->attributes.at("aria-labelledby") == table) body = document.children(*element).at(1);
    if (body == nullptr) return result;
    for (const XmlElement* row : document.children(*body)) result.push_back(texts(document.children(*row)));
    return result;
}

TEST(Dashboard, BeginsWithTheActiveVersion)
{
    const XmlDocument document = page(full());
    EXPECT_EQ(texts(document.all("title")), std::vector<std::string>{"v2 is active: Shop"});
    EXPECT_EQ(texts(of_class(document, "p", "overall up")), std::vector<std::string>{"✓ v2 is active"});
    EXPECT_EQ(texts(document.all("h2")), (std::vector<std::string>{"Versions", "Last failover", "Chaos",
                                                                   "Latency of v2", "Last checks", "Audit log"}));
    const auto note = of_class(document, "p", "note bar");
    ASSERT_EQ(note.size(), 1U);
    EXPECT_EQ(note[0]->text,
              "As of 12 November 2026, 12:00:00, in UTC as all times.Signed in as admin.Stop refreshing");
}

TEST(Dashboard, ShowsEachVersion)
{
    const XmlDocument document = page(full());
    const auto idle = of_class(document, "li", "card");
    ASSERT_GE(idle.size(), 2U);
    EXPECT_EQ(idle[0]->text, "\nv1✕ unhealthy\nSince11:58:55, for 1 min 5 sCause500 Internal Server ErrorQuarantined "
                             "until12:00:15Addresshttp://127.0.0.1:8001\n");
    EXPECT_EQ(idle[1]->text, "\nv3✕ down\nCauseConnection refusedAddresshttp://127.0.0.1:8003\n");
    const auto active = of_class(document, "li", "card active");
    ASSERT_EQ(active.size(), 1U);
    EXPECT_EQ(active[0]->text, "\nv2 (active)✓ healthy\nSince11 November 2026, 10:00:00, for 1 d 2 h"
                               "Causefirst_probeAddresshttp://127.0.0.1:8002\n");
}

TEST(Dashboard, ShowsTheLastFailoverWithItsCauseAndItsDuration)
{
    const XmlDocument document = page(full());
    const auto facts = of_class(document, "dl", "facts wide");
    ASSERT_EQ(facts.size(), 1U);
    EXPECT_EQ(texts(document.children(*facts[0])),
              (std::vector<std::string>{"Fromv1", "Tov2", "At11:58:56", "Cause'v1' is quarantined: 5 failures in 10 s",
                                        "Detected after812 ms", "Done after815 ms"}));
    DashboardView view = full();
    view.versions->last_failover->detection_ms = 3.14;
    view.versions->last_failover->failover_ms = 62'000;
    EXPECT_NE(dashboard(view).find("<dd>3.1 ms</dd>"), std::string::npos);
    EXPECT_NE(dashboard(view).find("<dd>1 min 2 s</dd>"), std::string::npos);
    view.versions->last_failover.reset();
    EXPECT_NE(dashboard(view).find("None since the balancer started."), std::string::npos);
}

TEST(Dashboard, EveryActionIsAFormWithItsCurlLine)
{
    const XmlDocument document = page(full());
    std::vector<std::string> paths;
    for (const XmlElement* form : document.all("form")) {
        EXPECT_EQ(form->attributes.at("method"), "post");
        paths.push_back(form->attributes.at("action"));
    }
    EXPECT_EQ(paths, (std::vector<std::string>{"chaos/cpu", "chaos/corruption", "crash", "chaos/reset"}));
    EXPECT_EQ(texts(document.all("button")),
              (std::vector<std::string>{"Load the CPU", "Corrupt the data", "Crash", "Reset"}));
    for (const XmlElement* button : document.all("button")) EXPECT_FALSE(button->attributes.contains("disabled"));
    EXPECT_EQ(texts(document.all("code")),
              (std::vector<std::string>{"curl -X POST -u admin http://127.0.0.1:8000/chaos/cpu",
                                        "curl -X POST -u admin http://127.0.0.1:8000/chaos/corruption",
                                        "curl -X POST -u admin http://127.0.0.1:8000/crash",
                                        "curl -X POST -u admin http://127.0.0.1:8000/chaos/reset"}));
}

TEST(Dashboard, ACurlLineIsOneCommandWhateverTheUserIsCalled)
{
    DashboardView view = full();
    view.user = "it's; rm -rf $(x)\n";
    view.base_url = "http://[::1]:8000";
    const auto lines = texts(page(view).all("code"));
    ASSERT_EQ(lines.size(), 4U);
    EXPECT_EQ(lines[2], R"(curl -X POST -u 'it'\''s; rm -rf $(x)\x0a' 'http://[::1]:8000/crash')");
    view.user.clear();
    EXPECT_EQ(texts(page(view).all("code")).at(2), "curl -X POST 'http://[::1]:8000/crash'");
}

TEST(Dashboard, WithoutAnActiveVersionThereIsNothingToPress)
{
    DashboardView none = full();
    none.versions->active.clear();
    for (Version& version : none.versions->versions) version.active = false;
    EXPECT_EQ(texts(of_class(page(none), "p", "overall down")), std::vector<std::string>{"✕ No version is active"});
    DashboardView unknown = full();
    unknown.versions.reset();
    unknown.problem = "connection refused";
    const XmlDocument document = page(unknown);
    EXPECT_EQ(texts(of_class(document, "p", "overall none")), std::vector<std::string>{"? The versions are not known"});
    EXPECT_EQ(texts(of_class(document, "p", "card")),
              std::vector<std::string>{"The balancer could not be asked: connection refused."});
    for (const DashboardView& view : {none, unknown}) {
        const XmlDocument disabled = page(view);
        for (const XmlElement* button : disabled.all("button"))
            EXPECT_EQ(button->attributes.at("disabled"), "disabled");
    }
}

TEST(Dashboard, ShowsTheStateOfTheActiveVersion)
{
    const std::pair<const char*, const char*> cases[] = {{"healthy", "overall up"},
                                                         {"degraded", "overall degraded"},
                                                         {"unhealthy", "overall down"},
                                                         {"down", "overall down"},
                                                         {"draining", "overall maintenance"},
                                                         {"maintenance", "overall maintenance"},
                                                         {"unknown", "overall none"},
                                                         {"", "overall none"},
                                                         {"<b>", "overall none"}};
    for (const auto& [status, css] : cases) {
        DashboardView view = full();
        view.versions->versions[1].status = status;
        EXPECT_EQ(of_class(page(view), "p", css).size(), 1U) << status;
    }
}

TEST(Dashboard, ShowsTheLastTenChecks)
{
    const auto checks = rows(page(full()), "checks");
    ASSERT_EQ(checks.size(), 10U);
    EXPECT_EQ(checks[0], (std::vector<std::string>{"12:00:00", "v2", "✓ up", "1.8 ms", ""}));
    EXPECT_EQ(checks[3],
              (std::vector<std::string>{"11:59:45", "v2", "✕ down", "", "GET /health: no answer within 2 s"}));
    EXPECT_EQ(checks[6], (std::vector<std::string>{"11:59:30", "v2", "! degraded", "2.1 ms", "slower than 500 ms"}));
    EXPECT_EQ(checks[8][2], "? unknown");
}

TEST(Dashboard, ShowsTheLastTwentyLinesOfTheAuditLog)
{
    const auto audit = rows(page(full()), "audit");
    ASSERT_EQ(audit.size(), 20U);
    EXPECT_EQ(audit[0], (std::vector<std::string>{"12:00:00", "admin", "chaos.corruption", "v1",
                                                  "POST http://127.0.0.1:8001/simulate/corruption: 200", "127.0.0.1"}));
    EXPECT_EQ(audit[14][0], "11 November 2026, 22:00:00");
}

TEST(Dashboard, SaysWhatBecameOfTheLastAction)
{
    EXPECT_EQ(texts(of_class(page(full()), "p", "card result")),
              std::vector<std::string>{"Done: the data of v1 are corrupted"});
    DashboardView view = full();
    view.result = ActionResult{false, "v1 did not answer within 2 s"};
    const XmlDocument document = page(view);
    const auto result = of_class(document, "p", "card result down");
    EXPECT_EQ(texts(result), std::vector<std::string>{"Failed: v1 did not answer within 2 s"});
    EXPECT_EQ(result.at(0)->attributes.at("role"), "status");
    view.result.reset();
    EXPECT_EQ(dashboard(view).find("role=\"status\""), std::string::npos);
}

TEST(Dashboard, ReloadsUnlessItIsToldNotTo)
{
    DashboardView view = full();
    EXPECT_NE(dashboard(view).find("<meta http-equiv=\"refresh\" content=\"5\"/>"), std::string::npos);
    view.refreshes = false;
    EXPECT_EQ(dashboard(view).find("http-equiv"), std::string::npos);
    EXPECT_EQ(page(view).all("a").at(0)->attributes.at("href"), "./");
}

TEST(Dashboard, LinksToWhatItShowsAsJson)
{
    const auto links = [](const DashboardView& view) {
        std::vector<std::string> result;
        const XmlDocument document = page(view);
        for (const XmlElement* link : document.all("a")) result.push_back(link->attributes.at("href"));
        return result;
    };
    DashboardView view = full();
    EXPECT_EQ(links(view), (std::vector<std::string>{"?refresh=off", "audit", "history?target=v2"}));
    view.latency_of = "pool/v1&x";
    EXPECT_EQ(links(view).back(), "history?target=pool%2Fv1%26x");
    EXPECT_EQ(links({}).back(), "history");
}

TEST(Dashboard, AnEmptyOneIsAPage)
{
    const XmlDocument document = page({});
    EXPECT_EQ(texts(document.all("h1")), std::vector<std::string>{"Dashboard"});
    EXPECT_TRUE(document.all("table").empty());
    EXPECT_TRUE(document.all("svg").empty());
    EXPECT_EQ(
        texts(of_class(document, "p", "card")),
        (std::vector<std::string>{"The balancer could not be asked.", "No checks yet.", "None yet.", "None yet."}));
}

TEST(Dashboard, IsAccessibleInItsStructure)
{
    for (const DashboardView& view : {full(), DashboardView{}, hostile()}) {
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
            }
            if (element.name.size() == 2 && element.name[0] == 'h' && element.name[1] <= '6') {
                EXPECT_LE(element.name[1] - '0', level + 1) << "a heading is left out before " << element.text;
                level = element.name[1] - '0';
            }
        }
        for (const char* element : {"section", "table", "svg"})
            for (const XmlElement* named : document.all(element))
                if (const auto label = named->attributes.find("aria-labelledby"); label != named->attributes.end()) {
                    EXPECT_TRUE(ids.contains(label->second)) << label->second;
                }
        for (const XmlElement* use : document.all("use"))
            EXPECT_TRUE(ids.contains(use->attributes.at("href").substr(1)));
        for (const XmlElement* list : document.all("ul"))
            for (const XmlElement* child : document.children(*list)) EXPECT_EQ(child->name, "li");
        for (const XmlElement* cell : document.all("td")) EXPECT_FALSE(cell->attributes.at("data-label").empty());
    }
}

TEST(Dashboard, LoadsNothingAndRunsNothing)
{
    const XmlDocument document = page(full());
    for (const char* element : {"script", "img", "iframe", "object", "link"})
        EXPECT_TRUE(document.all(element).empty());
    for (const XmlElement& element : document.elements)
        for (const auto& [name, value] : element.attributes)
            EXPECT_FALSE(name.starts_with("on") || name == "style" || name == "src") << name;
    EXPECT_EQ(dashboard_style().find_first_of("<&"), std::string_view::npos);
    EXPECT_EQ(dashboard_style().find("url("), std::string_view::npos);
    ASSERT_EQ(document.all("style").size(), 1U);
    EXPECT_EQ(document.all("style")[0]->text, dashboard_style());
}

TEST(Dashboard, HostileTextsAreShownAsText)
{
    DashboardView same = full();
    same.versions->versions[2].cause = "x"; // as the hostile one has a text everywhere
    const XmlDocument strange = page(hostile()), plain = page(same);
    std::vector<std::string> names, expected;
    for (const XmlElement& element : strange.elements) names.push_back(element.name);
    for (const XmlElement& element : plain.elements) expected.push_back(element.name);
    EXPECT_EQ(names, expected) << "a text became an element";
    EXPECT_NE(strange.all("h1").at(0)->text.find("</script><script>alert(1)</script>"), std::string::npos);
    const std::string bytes = dashboard(hostile());
    EXPECT_EQ(bytes, valid_utf8(bytes));
}

TEST(Dashboard, LongTextsAreShortened)
{
    DashboardView view = full();
    const std::string before = dashboard(view);
    for (AuditEntry& entry : view.audit) entry.detail = std::string(16'384, 'x');
    for (DashboardCheck& check : view.checks) check.cause = std::string(16'384, 'x');
    EXPECT_LT(dashboard(view).size(), before.size() + 30 * 300);
    EXPECT_LT(before.size(), 40'000U);
}

TEST(LatencyChart, TellsTheSameInWords)
{
    const std::vector<LatencyPoint> points = full().points;
    EXPECT_EQ(
        latency_text(std::span(points).last(120)),
        "120 checks from 11:50:00 to 11:59:55. Latency: least 2.0 ms, median 2.4 ms, greatest 12.9 ms. 6 degraded, "
        "4 down.");
    EXPECT_EQ(latency_text({}), "No checks yet.");
    const LatencyPoint lost{.at = example::now(), .state = State::down};
    EXPECT_EQ(latency_text({&lost, 1}), "1 check from 12:00:00 to 12:00:00. 0 degraded, 1 down.");
    EXPECT_EQ(page(full()).all("figcaption").at(0)->text, latency_text(std::span(points).last(120)));
}

/// Of the chart's own marks, not of its key.
std::vector<const XmlElement*> marks(const XmlDocument& document, std::string_view id)
{
    std::vector<const XmlElement*> found = document.all("use");
    std::erase_if(found,
                  [id](const XmlElement* e) { return e->attributes.at("href") != id || !e->attributes.contains("x"); });
    return found;
}

TEST(LatencyChart, HasAMarkForEachCheckWithAState)
{
    const XmlDocument document = page(full());
    EXPECT_EQ(marks(document, "#mark-up").size(), 106U);
    EXPECT_EQ(marks(document, "#mark-degraded").size(), 6U);
    EXPECT_EQ(marks(document, "#mark-down").size(), 4U);
    const auto labels = texts(document.all("text"));
    EXPECT_EQ(labels, (std::vector<std::string>{"0 ms", "10 ms", "20 ms", "11:50:00", "11:54:57", "11:59:55"}));
}

TEST(LatencyChart, TheLineBreaksWhereThereIsNoAnswer)
{
    const XmlDocument document = page(full());
    const auto run = of_class(document, "path", "run");
    ASSERT_EQ(run.size(), 1U);
    EXPECT_EQ(std::ranges::count(run[0]->attributes.at("d"), 'M'), 3);
    EXPECT_EQ(std::ranges::count(run[0]->attributes.at("d"), 'L'), 109);
}

TEST(LatencyChart, EveryPointLiesInThePicture)
{
    const Instant now = example::now();
    const std::vector<std::vector<LatencyPoint>> cases{
        {{now, 0us, State::up}},
        {{now, 5us, State::up}, {now, 9us, State::up}},
        {{now, -5us, State::up}, {now + 1s, 3'600'000'000us, State::degraded}},
        {{now, std::nullopt, State::down}, {now + 1ms, std::nullopt, State::unknown}},
        {{now + 1s, 1us, State::up}, {now, 1us, State::up}}, // not ascending
    };
    for (const auto& points : cases) {
        const XmlDocument document = test::read_xml(latency_chart(points));
        EXPECT_EQ(document.problem, "");
        for (const XmlElement* mark : document.all("use")) {
            if (!mark->attributes.contains("x")) continue;
            for (const char* side : {"x", "y"}) {
                const double percent = std::stod(mark->attributes.at(side));
                EXPECT_GE(percent, 0) << side;
                EXPECT_LE(percent, 100) << side;
            }
        }
    }
}

TEST(LatencyChart, TheAxisEndsWithARoundNumber)
{
    const std::pair<microseconds, const char*> cases[] = {
        {1us, "1 ms"},      {1'000us, "1 ms"},    {1'001us, "2 ms"},     {2'100us, "5 ms"},
        {5'100us, "10 ms"}, {99'000us, "100 ms"}, {100'001us, "200 ms"}, {3'000'000us, "5000 ms"}};
    for (const auto& [latency, label] : cases) {
        const LatencyPoint point{.at = example::now(), .latency = latency, .state = State::up};
        const XmlDocument document = test::read_xml(latency_chart({&point, 1}));
        EXPECT_EQ(document.all("text").at(2)->text, label);
    }
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
