#include "common/http/accept.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::http {
namespace TEST_FILE {

TEST(Accept, browsers_prefer_html)
{
    for (const char* accept :
         {"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
          "text/html, */*; q=0.1", "text/html", "TEXT/HTML", "text/*", "text/html;q=0.1",
          "application/json;q=0.5, text/html;q=0.501", "text/html; charset=\"a,b;q=0\", */*;q=0.9",
          "*/*;q=1, application/*;q=0.2", "text/html, application/json;q=0", " ,text/html ,, ", "text/html;Q=1.000"})
        EXPECT_TRUE(prefers_html(accept)) << accept;
}

TEST(Accept, programs_do_not)
{
    for (const char* accept : {"",
                               "*/*",
                               "application/json",
                               "application/problem+json, text/html",
                               "application/json, text/html",
                               "text/html;q=0",
                               "text/html;q=0, */*",
                               "text/plain",
                               "text/html;q=0.5, */*",
                               "*/html",
                               "text",
                               "/",
                               "text/html;q=2",
                               "text/html;q=",
                               "text/html;q=0.5000",
                               "text/html;q=-1",
                               "image/*, */*;q=0.5",
                               ";q=1,text/html;q=x",
                               "text/html;q=0.8, application/*;q=0.9",
                               "\"text/html"})
        EXPECT_FALSE(prefers_html(accept)) << accept;
}

TEST(Accept, any_text_can_be_judged)
{
    test::check_property(20000, [] {
        const auto text = *rc::gen::container<std::string>(rc::gen::elementOf(std::string("texthml/*,;q=01.\"\\ ")));
        (void)prefers_html(text);
    });
}

} // namespace TEST_FILE
} // namespace hotspare::http
