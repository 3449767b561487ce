#include "balancer/serve/maintenance_answer.hpp"

#include "tests/support/xml.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

const WallTime now = WallTime() + std::chrono::hours(1'000'000);

std::string page(const Maintenance& maintenance)
{
    return maintenance_answer(maintenance, "text/html", now).page;
}

/// What a reader sees.
std::string text_of(const Maintenance& maintenance)
{
    const auto document = test::read_xml(page(maintenance));
    EXPECT_EQ(document.problem, "");
    const auto main = document.all("main");
    return main.size() == 1 ? main[0]->text : "";
}

TEST(MaintenanceAnswer, ThePageSaysWhatWasAnnounced)
{
    const Maintenance all{.until = now + seconds(5400), .message = "Moving the database."};
    const std::string text = text_of(all);
    for (const char* part :
         {"Under maintenance", "Moving the database.", "expected to be back at 2084-01-29 17:30 UTC"})
        EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
    EXPECT_NE(page(all).find("datetime=\"2084-01-29T17:30:00.000Z\""), std::string::npos);
    EXPECT_NE(text_of({}).find("try again later"), std::string::npos);
    EXPECT_NE(text_of({.until = now - seconds(1)}).find("at any moment"), std::string::npos);
}

TEST(MaintenanceAnswer, MarkupInTheMessageIsShownAsText)
{
    const std::string message = R"(<script>alert("1")</script> & <b>'bold'</b> ]]> &lt; über)";
    EXPECT_NE(text_of({.message = message}).find(message), std::string::npos);
    EXPECT_EQ(page({.message = message}).find("<script"), std::string::npos);
}

TEST(MaintenanceAnswer, ThePageNeedsNothingElse)
{
    const std::string html = page({.until = now, .message = "m"});
    for (const char* foreign : {"http:", "https:", "src=", "href=", "url(", "@import"})
        EXPECT_EQ(html.find(foreign), std::string::npos) << foreign;
    EXPECT_LT(html.size(), 3000U);
    EXPECT_NE(html.find("prefers-color-scheme: dark"), std::string::npos);
    EXPECT_NE(html.find("name=\"viewport\""), std::string::npos);
}

TEST(MaintenanceAnswer, AProgramGetsASentence)
{
    const Maintenance maintenance{.until = now + seconds(90), .message = "m"};
    for (const char* accept : {"", "*/*", "application/json"}) {
        const OwnAnswer answer = maintenance_answer(maintenance, accept, now);
        EXPECT_EQ(answer.status, 503U);
        EXPECT_EQ(answer.page, "");
        EXPECT_EQ(answer.detail, "the service is under maintenance until 2084-01-29T16:01:30.000Z: m");
        EXPECT_EQ(answer.retry_after, seconds(90));
    }
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
