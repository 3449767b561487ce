#include "orders/order_service/selection.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <string>

namespace hotspare::orders {
namespace TEST_FILE {

using Json = nlohmann::json;

const WallTime now{std::chrono::duration_cast<WallTime::duration>(seconds(1'700'000'000))};

BulkRequest parsed(const std::string& body, Operation operation = Operation::replay)
{
    const auto request = parse_bulk_request(Json::parse(body), operation, now);
    EXPECT_TRUE(request) << body;
    return *request;
}

/// The field that is named.
std::string refused(const std::string& body, Operation operation = Operation::replay)
{
    const auto request = parse_bulk_request(Json::parse(body), operation, now);
    if (request) return {};
    EXPECT_EQ(request.error().status, 422U);
    return request.error().member("field");
}

Order order(Status status, Duration age, std::string reason = {})
{
    Order out;
    out.status = status;
    out.created = std::chrono::time_point_cast<WallTime::duration>(now - age);
    out.reason = std::move(reason);
    return out;
}

TEST(Selection, HoldsWhatTheOperationIsPossibleForIfItIsEmpty)
{
    const auto replay = parsed("{}");
    EXPECT_EQ(replay.most, BulkRequest::largest);
    EXPECT_TRUE(replay.selection.holds(order(Status::failed, seconds(0), "why")));
    EXPECT_FALSE(replay.selection.holds(order(Status::rejected, seconds(0))));
    EXPECT_FALSE(replay.selection.holds(order(Status::processing, seconds(0))));
    const auto cancel = parsed("{}", Operation::cancel);
    EXPECT_TRUE(cancel.selection.holds(order(Status::processing, seconds(0))));
    EXPECT_FALSE(cancel.selection.holds(order(Status::failed, seconds(0))));
}

TEST(Selection, IsByAgeAndReason)
{
    const auto request =
        parsed(R"({"status":"Failed","older_than":"10m","younger_than":"2h","reason":"404","limit":7})");
    EXPECT_EQ(request.most, 7U);
    const auto holds = [&](Duration age, const char* reason) {
        return request.selection.holds(order(Status::failed, age, reason));
    };
    EXPECT_TRUE(holds(std::chrono::minutes(11), "3 attempts failed; the last one: HTTP 404"));
    EXPECT_TRUE(holds(std::chrono::minutes(10), "404"));
    EXPECT_FALSE(holds(std::chrono::minutes(9), "404"));
    EXPECT_FALSE(holds(std::chrono::minutes(121), "404"));
    EXPECT_FALSE(holds(std::chrono::minutes(11), "403"));
    EXPECT_FALSE(holds(std::chrono::minutes(11), ""));
}

TEST(Selection, NamesWhatItCannotRead)
{
    EXPECT_EQ(refused("[]"), "body");
    EXPECT_EQ(refused("null"), "body");
    EXPECT_EQ(refused(R"({"status":"Rejected"})"), "status");
    EXPECT_EQ(refused(R"({"status":"Failed"})", Operation::cancel), "status");
    EXPECT_EQ(refused(R"({"status":3})"), "status");
    EXPECT_EQ(refused(R"({"older_than":10})"), "older_than");
    EXPECT_EQ(refused(R"({"older_than":"10"})"), "older_than");
    EXPECT_EQ(refused(R"({"younger_than":"-1s"})"), "younger_than");
    EXPECT_EQ(refused(R"({"younger_than":"99999999h"})"), "younger_than");
    EXPECT_EQ(refused(R"({"reason":1})"), "reason");
    EXPECT_EQ(refused(Json{{"reason", std::string(501, 'x')}}.dump()), "reason");
    EXPECT_EQ(refused(R"({"limit":0})"), "limit");
    EXPECT_EQ(refused(R"({"limit":1001})"), "limit");
    EXPECT_EQ(refused(R"({"limit":1.5})"), "limit");
    EXPECT_EQ(refused(R"({"statsu":"Failed"})"), "statsu");
}

} // namespace TEST_FILE
} // namespace hotspare::orders
