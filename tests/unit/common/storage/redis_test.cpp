// Where a Redis server is, as an operator writes it. The connection itself: tests/integration/redis_test.cpp.
#include "common/storage/redis.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::storage::redis {
namespace TEST_FILE {

TEST(RedisTarget, HasDefaults)
{
    const auto target = resolve("redis://127.0.0.1", "--queue");
    EXPECT_EQ(target.endpoint.address().to_string(), "127.0.0.1");
    EXPECT_EQ(target.endpoint.port(), 6379);
    EXPECT_EQ(target.user, "");
    EXPECT_EQ(target.password, "");
    EXPECT_EQ(target.database, 0U);
    EXPECT_EQ(target.shown, "redis://127.0.0.1:6379/0");
}

TEST(RedisTarget, TakesEveryPart)
{
    const auto target = resolve("redis://shop:p%40ss%2Fw%3Ard@[::1]:7000/12", "--queue");
    EXPECT_EQ(target.endpoint.address().to_string(), "::1");
    EXPECT_EQ(target.endpoint.port(), 7000);
    EXPECT_EQ(target.user, "shop");
    EXPECT_EQ(target.password, "p@ss/w:rd");
    EXPECT_EQ(target.database, 12U);
    EXPECT_EQ(target.shown, "redis://shop@[::1]:7000/12");
}

TEST(RedisTarget, TakesAPasswordWithoutAUser)
{
    const auto target = resolve("redis://:secret@127.0.0.1:7000/", "--queue");
    EXPECT_EQ(target.user, "");
    EXPECT_EQ(target.password, "secret");
    EXPECT_EQ(target.shown, "redis://127.0.0.1:7000/0");
    EXPECT_EQ(resolve("redis://:a:b@127.0.0.1", "--queue").password, "a:b");
}

TEST(RedisTarget, TakesAPrefixOfKeys)
{
    const auto target = resolve("redis://:secret@127.0.0.1:7000/2?prefix=shop-1:", "--queue");
    EXPECT_EQ(target.prefix, "shop-1:");
    EXPECT_EQ(target.database, 2U);
    EXPECT_EQ(target.shown, "redis://127.0.0.1:7000/2?prefix=shop-1:");
    EXPECT_EQ(resolve("redis://127.0.0.1", "--queue").prefix, "");
    EXPECT_EQ(resolve("redis://127.0.0.1?prefix=a", "--queue").prefix, "a");
}

TEST(RedisTarget, NeverEchoesAPassword)
{
    for (const std::string url : {"redis://127.0.0.1?password=secret", "redis://127.0.0.1/0?prefix=a&password=secret",
                                  "redis://127.0.0.1?password=a@secret", "redis://a:se?cret@127.0.0.1?x=secret"}) {
        try {
            resolve(url, "--queue");
            FAIL() << url;
        } catch (const UsageError& error) {
            EXPECT_EQ(std::string(error.what()).find("cret"), std::string::npos) << error.what();
        }
    }
}

TEST(RedisTarget, RefusesEverythingElse)
{
    for (const std::string url : {"",
                                  "redis",
                                  "redis:",
                                  "redis://",
                                  "127.0.0.1:6379",
                                  "rediss://127.0.0.1",
                                  "http://127.0.0.1",
                                  "REDIS:/127.0.0.1",
                                  "redis://127.0.0.1:0",
                                  "redis://127.0.0.1:65536",
                                  "redis://127.0.0.1:x",
                                  "redis://127.0.0.1:",
                                  "redis://:7000",
                                  "redis://127.0.0.1/x",
                                  "redis://127.0.0.1/-1",
                                  "redis://127.0.0.1/1/2",
                                  "redis://127.0.0.1/4294967296",
                                  "redis://127.0.0.1?db=1",
                                  "redis://127.0.0.1?prefix=",
                                  "redis://127.0.0.1?prefix=a b",
                                  "redis://127.0.0.1?prefix=a&prefix=b",
                                  "redis://127.0.0.1?prefix=a/1",
                                  "redis://127.0.0.1?passfile=",
                                  "redis://127.0.0.1?passfile=a&passfile=b",
                                  "redis://127.0.0.1?prefix=a&",
                                  "redis://127.0.0.1?prefix=a&user=b",
                                  "redis://127.0.0.1/1#a",
                                  "redis://user@127.0.0.1",
                                  "redis://:@127.0.0.1",
                                  "redis://user:@127.0.0.1",
                                  "redis://:%zz@127.0.0.1",
                                  "redis://:a%00b@127.0.0.1",
                                  "redis://:a/b@127.0.0.1",
                                  "redis://:a@b@127.0.0.1",
                                  "redis://[::1",
                                  "redis://::1",
                                  "redis://a b",
                                  "redis://127.0.0.1\n",
                                  " redis://127.0.0.1"}) {
        EXPECT_FALSE(is_url(url)) << url;
        EXPECT_THROW(resolve(url, "--queue"), UsageError) << url;
    }
    EXPECT_TRUE(is_url("redis://a-name-that-nobody-has.invalid:1/3")) << "no name is looked up";
}

TEST(RedisTarget, SaysWhereAndWhatIsExpectedButNotThePassword)
{
    const auto message = [](const std::string& url) -> std::string {
        try {
            resolve(url, "orders.yaml:3:8");
        } catch (const UsageError& error) {
            return error.what();
        }
        return "";
    };
    EXPECT_TRUE(message("rediss://h").starts_with("orders.yaml:3:8: 'rediss://h' is not valid, expected redis://"))
        << message("rediss://h");
    for (const std::string url :
         {"rediss://:hush@h", "redis://:hush@", "redis://:hush/x@h", "redis://u:hush@h@", ":hush@h", "redis:u:hush@h",
          "redis://u:hush://@h", "redis://u:hush@a-name-that-nobody-has.invalid"}) {
        EXPECT_NE(message(url), "") << url;
        EXPECT_EQ(message(url).find("hush"), std::string::npos) << message(url);
    }
}

} // namespace TEST_FILE
} // namespace hotspare::storage::redis
