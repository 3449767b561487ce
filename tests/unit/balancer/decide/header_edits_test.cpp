#include "balancer/decide/header_edits.hpp"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

using Names = std::vector<std::string>;

std::string refused(const Names& set, const Names& remove)
{
    const auto edits = HeaderEdits::parse(set, remove);
    return edits ? "accepted" : edits.error();
}

TEST(HeaderEdits, AFieldThatIsSetReplacesThoseOfItsName)
{
    const auto edits = HeaderEdits::parse({"X-Tenant:  blue ", "X-Empty:"}, {"Cookie"});
    ASSERT_TRUE(edits) << edits.error();
    EXPECT_EQ(edits->removed, (Names{"X-Tenant", "X-Empty", "Cookie"}));
    EXPECT_EQ(edits->added, "X-Tenant: blue\r\nX-Empty: \r\n");
    EXPECT_TRUE(HeaderEdits::parse({}, {})->empty());
}

TEST(HeaderEdits, RefusesWhatWouldBreakAMessage)
{
    EXPECT_EQ(refused({"X-Tenant"}, {}), "a field has no colon, expected NAME: VALUE");
    EXPECT_EQ(refused({"X Tenant: blue"}, {}), "'X Tenant' is not the name of a header field");
    EXPECT_EQ(refused({": blue"}, {}), "'' is not the name of a header field");
    EXPECT_EQ(refused({"X-Tenant: blue\r\nX-Other: red"}, {}),
              "the value of the field X-Tenant holds a control character");
    EXPECT_EQ(refused({}, {"Cookie:"}), "'Cookie:' is not the name of a header field");
    for (const std::string name :
         {"content-length", "Transfer-Encoding", "CONNECTION", "Host", "X-Forwarded-For", "X-Request-Id", "Via"}) {
        EXPECT_EQ(refused({name + ": 1"}, {}), "the field " + name + " is written by the balancer itself");
        EXPECT_EQ(refused({}, {name}), "the field " + name + " is written by the balancer itself");
    }
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
