// An EventFeed behind a server of its own, as a daemon that is not the balancer has it.
#include "common/http/event_feed.hpp"

#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/raw_client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>

namespace hotspare::http {
namespace TEST_FILE {

using test::eventually;
using test::RawClient;

class Daemon {
public:
    explicit Daemon(EventFeedOptions options = {}) : feed_(std::move(options))
    {
        routes_.add(verb::get, "/events", [this](const Request& request) { return feed_.events(request); });
        routes_.add(verb::get, "/logs", [this](const Request& request) { return feed_.lines(request); });
        if (!server_.listen({asio::ip::make_address("127.0.0.1"), 0})) std::abort();
        port_ = server_.endpoint().port();
        thread_ = std::thread([this] { context_.run(); });
    }
    ~Daemon()
    {
        asio::co_spawn(context_, server_.drain(milliseconds(0)), asio::use_future).get();
        work_.reset();
        thread_.join();
    }
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    void happens(const std::string& text)
    {
        on_server([&] { feed_.append("change", {{"what", text}}, text); });
    }
    void tell(const std::string& line)
    {
        on_server([&] { feed_.tell(line); });
    }
    void end_streams()
    {
        on_server([&] { feed_.end_streams(); });
    }
    bool comes_to_streams(std::size_t count)
    {
        return eventually([&] {
            std::size_t open = 0;
            on_server([&] { open = feed_.open_streams(); });
            return open == count;
        });
    }

private:
    template <class Call> void on_server(Call call)
    {
        asio::post(context_, std::packaged_task<void()>(std::move(call))).get();
    }

    asio::io_context context_{1};
    asio::executor_work_guard<asio::io_context::executor_type> work_{context_.get_executor()};
    Router routes_;
    Server server_{context_, [this](Request& request) { return routes_.dispatch(request); }};
    EventFeed feed_;
    std::uint16_t port_ = 0;
    std::thread thread_;
};

/// A reader of one stream, and what it has seen.
class Reader {
public:
    Reader(const Daemon& daemon, const std::string& target, const std::string& fields = "") : client_(daemon.port())
    {
        client_.send("GET " + target + " HTTP/1.1\r\nHost: localhost\r\n" + fields + "\r\n");
    }
    bool sees(const std::string& text)
    {
        while (seen_.find(text) == std::string::npos) {
            const auto more = client_.read_some(4096);
            if (more.empty()) return false;
            seen_ += more;
        }
        return true;
    }
    const std::string& seen() const noexcept { return seen_; }
    bool ended() { return client_.closed_by_peer(); }

private:
    RawClient client_;
    std::string seen_;
};

const std::string upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n";

TEST(EventFeed, SendsEachEventToEveryReader)
{
    Daemon daemon;
    daemon.happens("before");
    Reader events(daemon, "/events"), lines(daemon, "/logs", upgrade);
    EXPECT_TRUE(events.sees("\"what\":\"before\"")) << events.seen();
    EXPECT_TRUE(lines.sees("before")) << lines.seen();
    daemon.happens("after");
    daemon.tell("a line");
    EXPECT_TRUE(events.sees("event: change\ndata: {\"id\":")) << events.seen();
    EXPECT_TRUE(events.sees("\"what\":\"after\"")) << events.seen();
    EXPECT_TRUE(lines.sees("after"));
    EXPECT_TRUE(lines.sees("a line"));
    daemon.happens("last");
    EXPECT_TRUE(events.sees("\"what\":\"last\""));
    EXPECT_EQ(events.seen().find("a line"), std::string::npos) << "a line is no event";
}

TEST(EventFeed, ReplaysWhatAReaderMissed)
{
    Daemon daemon({.kept = 100, .recent = 2});
    for (const auto* text : {"one", "two", "three", "four"}) daemon.happens(text);
    Reader fresh(daemon, "/events");
    ASSERT_TRUE(fresh.sees("\"four\"}\n\n"));
    EXPECT_EQ(fresh.seen().find("\"two\""), std::string::npos) << "the most recent only";
    const auto begin = fresh.seen().find("id: ") + 4;
    const auto third = fresh.seen().substr(begin, fresh.seen().find('\n', begin) - begin);
    ASSERT_TRUE(third.ends_with("-3")) << third;
    for (const auto& [target, field] :
         {std::pair<std::string, std::string>{"/events", "Last-Event-ID: " + third + "\r\n"},
          {"/events?last_event_id=" + third, ""}}) {
        Reader back(daemon, target, field);
        ASSERT_TRUE(back.sees("\"four\"")) << target;
        EXPECT_EQ(back.seen().find("\"three\""), std::string::npos) << target;
    }
    Reader stranger(daemon, "/events", "Last-Event-ID: of-another-life-7\r\n");
    EXPECT_TRUE(stranger.sees("\"one\""));
    EXPECT_TRUE(stranger.sees("\"four\""));
}

TEST(EventFeed, BoundsHowManyStreamsAreOpen)
{
    Daemon daemon({.limits = {.all = 2, .per_address = 2, .kept_for_loopback = 0}});
    {
        Reader one(daemon, "/events"), other(daemon, "/logs", upgrade);
        ASSERT_TRUE(one.sees("HTTP/1.1 200"));
        ASSERT_TRUE(other.sees("HTTP/1.1 101"));
        const auto refused = test::get(daemon.port(), "/events");
        EXPECT_EQ(refused.status(), 503);
        EXPECT_EQ(refused.message.header("Retry-After"), "10");
    }
    EXPECT_TRUE(daemon.comes_to_streams(0)) << "their places are free when their connections have ended";
    EXPECT_EQ(test::get(daemon.port(), "/logs").status(), 426);
    EXPECT_TRUE(daemon.comes_to_streams(0)) << "what is no stream keeps no place";
    EXPECT_TRUE(test::request(daemon.port(), "HEAD", "/events").status() == 200);
    EXPECT_TRUE(daemon.comes_to_streams(0));
    Reader next(daemon, "/events");
    EXPECT_TRUE(next.sees("HTTP/1.1 200"));
}

TEST(EventFeed, EndsItsStreams)
{
    Daemon daemon;
    daemon.happens("something");
    Reader events(daemon, "/events");
    ASSERT_TRUE(events.sees("something"));
    daemon.end_streams();
    EXPECT_TRUE(events.ended());
    EXPECT_TRUE(daemon.comes_to_streams(0));
}

} // namespace TEST_FILE
} // namespace hotspare::http
