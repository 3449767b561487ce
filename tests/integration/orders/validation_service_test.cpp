// validation_service in this process, asked over real sockets: what operators can rely on.
#include "orders/validation_service/service.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::orders {
namespace TEST_FILE {

using test::eventually;
using test::get;
using test::post;

/// A worker on a thread of its own.
class RunningWorker {
public:
    explicit RunningWorker(const ValidationServiceSettings& settings)
        : service_(io_, settings, "w"), thread_([this] {
              service_.start();
              io_.run();
          })
    {
    }
    ~RunningWorker()
    {
        asio::post(io_, [this] { service_.stop(); });
        thread_.join();
    }
    RunningWorker(const RunningWorker&) = delete;
    RunningWorker& operator=(const RunningWorker&) = delete;

    std::uint16_t port() const noexcept { return port_; }
    std::uint16_t control_port() const noexcept { return control_port_; }

private:
    asio::io_context io_{1};
    ValidationService service_;
    const std::uint16_t port_ = service_.port();
    const std::uint16_t control_port_ = service_.control_port();
    std::thread thread_;
};

class ValidationServiceTest : public testing::Test {
protected:
    ValidationServiceTest()
    {
        settings_.port = 0;
        settings_.state = (folder_.path() / "worker.state").string();
        settings_.orders = "http://127.0.0.1:" + std::to_string(orders_.port());
        settings_.validator = settings_.orders; // which is never asked
        settings_.poll = milliseconds(50);
        settings_.drain = seconds(1);
        answer(200, R"({"jobs":[],"lease_ms":30000})");
        start();
    }

    void start()
    {
        worker_.reset();
        worker_ = std::make_unique<RunningWorker>(settings_);
    }

    /// What the order service says to everything.
    void answer(int status, std::string body)
    {
        orders_.script([status, body = std::move(body)](const test::Message&) {
            test::Reply reply;
            reply.status = status;
            reply.delay = milliseconds(20); // a worker without jobs asks again at once
            reply.body = body;
            return reply;
        });
    }

    std::string error() { return get(worker_->port(), "/health").json().value("error", ""); }

    test::TempDir folder_;
    test::Origin orders_;
    ValidationServiceSettings settings_;
    std::unique_ptr<RunningWorker> worker_;
};

TEST_F(ValidationServiceTest, StaysPausedOverARestart)
{
    EXPECT_EQ(post(worker_->port(), "/pause").status(), 200);
    start();
    EXPECT_EQ(get(worker_->port(), "/work").json()["paused"], true);
    const auto health = get(worker_->port(), "/health").json();
    EXPECT_EQ(health["status"], "degraded");
    EXPECT_EQ(health.value("error", ""), "paused by an operator");
    EXPECT_EQ(post(worker_->port(), "/resume").status(), 200);
    start();
    EXPECT_EQ(get(worker_->port(), "/work").json()["paused"], false);
}

TEST_F(ValidationServiceTest, SaysSoWhenAPauseWouldNotSurvive)
{
    std::filesystem::create_directory(folder_.path() / "worker.state"); // which no file can take the name of
    const auto answer = post(worker_->port(), "/pause");
    EXPECT_EQ(answer.status(), 503);
    EXPECT_NE(answer.json().value("error", "").find("not survive a restart"), std::string::npos) << answer.message.body;
    EXPECT_EQ(get(worker_->port(), "/work").json()["paused"], true) << "it is paused all the same";
}

TEST_F(ValidationServiceTest, TellsOfATroubleOnlyAsLongAsItLastsAlsoWhilePaused)
{
    answer(503, "{}");
    EXPECT_TRUE(eventually([&] { return error().find("requests to the order service fail") != std::string::npos; }));
    EXPECT_EQ(post(worker_->port(), "/pause").status(), 200);
    EXPECT_TRUE(eventually([&] {
        const auto text = error();
        return text.find("requests to the order service fail") != std::string::npos &&
               text.find("paused") != std::string::npos;
    })) << "both are true";
    answer(200, "{}");
    EXPECT_TRUE(eventually([&] { return error() == "paused by an operator"; })) << error();
}

TEST_F(ValidationServiceTest, TellsOfATroubleOnlyAsLongAsItLastsAlsoWhileItsBreakerIsForcedOpen)
{
    answer(503, "{}");
    EXPECT_TRUE(eventually([&] { return error().find("requests to the order service fail") != std::string::npos; }));
    EXPECT_EQ(post(worker_->port(), "/breaker/force_open").status(), 200);
    answer(200, "{}");
    EXPECT_TRUE(eventually([&] { return error() == "the circuit breaker is forced_open"; })) << error();
}

TEST_F(ValidationServiceTest, ObeysNeitherWebPagesNorWhoComesThroughAProxy)
{
    const std::vector<std::vector<test::Header>> others{
        {{"Origin", "http://evil.example"}}, {{"Sec-Fetch-Site", "cross-site"}}, {{"Content-Type", "text/plain"}},
        {{"X-Forwarded-For", "127.0.0.1"}},  {{"Via", "1.1 gateway"}},           {{"Forwarded", "for=127.0.0.1"}}};
    for (const auto port : {worker_->port(), worker_->control_port()}) {
        for (const auto* target : {"/pause", "/resume", "/breaker/force_open", "/breaker/disable", "/breaker/reset"})
            for (const auto& headers : others)
                EXPECT_EQ(test::request(port, "POST", target, headers).status(), 403) << target << headers[0].name;
        EXPECT_EQ(test::request(port, "GET", "/work", {{"Via", "1.1 gateway"}}).status(), 200) << "who only looks may";
    }
    EXPECT_EQ(get(worker_->port(), "/work").json()["paused"], false);
    EXPECT_EQ(get(worker_->port(), "/breaker").json()["state"], "closed");
    EXPECT_EQ(post(worker_->control_port(), "/pause").status(), 200);
}

} // namespace TEST_FILE
} // namespace hotspare::orders
