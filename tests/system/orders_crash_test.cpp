// The order pipeline on SQLite loses nothing and does nothing twice, wherever its processes die, whatever its disk
// does. Short forms; orders_prove runs the same for long.
#include "tests/support/order_proofs.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <csignal>
#include <string>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

using Point = FaultyDisk::Point;

void expect_holds(const Proof& proof, std::size_t faults)
{
    EXPECT_TRUE(proof.holds()) << proof.text();
    EXPECT_GE(proof.faults, faults) << proof.text();
    EXPECT_GT(proof.audit.acknowledged, 0U) << proof.text();
}

class OrdersCrash : public testing::Test {
protected:
    void SetUp() override
    {
        if (!FaultyDisk::available()) GTEST_SKIP() << "a sanitizer interposes the functions that the faulty disk does";
    }
};

TEST_F(OrdersCrash, BeforeTheCommit)
{
    expect_holds(prove_crashes_at(Point::log_write, {.cycles = 6, .seed = 1}), 6);
}

TEST_F(OrdersCrash, AfterTheCommitAndBeforeTheAnswer)
{
    expect_holds(prove_crashes_at(Point::log_synced, {.cycles = 6, .seed = 2}), 6);
}

TEST_F(OrdersCrash, DuringACheckpoint)
{
    expect_holds(prove_crashes_at(Point::data_write, {.cycles = 4, .seed = 3}), 4);
}

TEST_F(OrdersCrash, LossOfPower)
{
    expect_holds(prove_losses_of_power({.cycles = 8, .seed = 6}), 8);
}

/// The instrument can see a loss.
TEST_F(OrdersCrash, LossOfPowerLosesOrdersThatDidNotWaitForTheDisk)
{
    const auto proof = prove_losses_of_power({.cycles = 8, .seed = 7}, {"--synchronous", "normal"});
    EXPECT_GT(proof.audit.lost, 0U) << proof.text();
    EXPECT_EQ(proof.audit.doubled, 0U) << proof.text();
}

TEST(OrdersKill, AWorkerAfterItsClaim)
{
    expect_holds(prove_crashes_after_claim(Engine::sqlite, {.cycles = 2, .seed = 4}), 2);
}

TEST(OrdersKill, AWorkerBetweenVerdictAndCompletion)
{
    expect_holds(prove_crashes_before_completion(Engine::sqlite, {.cycles = 2, .seed = 5}), 2);
}

TEST(OrdersKill, AllDaemonsAtRandomUnderLoad)
{
    expect_holds(prove_random_kills(Engine::sqlite, {.cycles = 12, .seed = 8}, 100), 12);
}

/// One order, and a worker that stood still past its lease while the validator had its call. Another worker has the
/// order now, and the verdict that the first one comes back with is not the second one's.
class OrdersStale : public testing::Test {
protected:
    void SetUp() override
    {
        trial_.start_orders();
        RawClient client(trial_.port());
        ASSERT_TRUE(client.send(create_request(order_)));
        order_.acknowledged = client.read_response().status() == 200;
        ASSERT_TRUE(order_.acknowledged);
        stale_ = &trial_.start_worker({}, late_no_.url());
        ASSERT_TRUE(eventually([&] { return no_is_asked_.load(); }));
        ASSERT_TRUE(stale_->signal(SIGSTOP));
    }

    void resume_the_stale_worker()
    {
        say_no_ = true;
        ASSERT_TRUE(eventually([&] { return late_no_.body_bytes_sent() > 0; }));
        ASSERT_TRUE(stale_->signal(SIGCONT));
        // Its report was refused, or it has found out by itself that the order is not its own any more.
        const auto work = [port = stale_->wait_ready()] { return get(port, "/work").json(); };
        EXPECT_TRUE(eventually([&] {
            const auto now = work();
            return now.value("fenced", 0) + now.value("leases_lost", 0) > 0 && now.value("to_report", 1) == 0;
        })) << work();
    }

    SeenOrder order() const { return read_orders(trial_.port()).at(0); }

    OrderTrial trial_;
    PlacedOrder order_ = numbered_order("o", 1);
    std::atomic<bool> no_is_asked_ = false;
    std::atomic<bool> say_no_ = false;
    Origin late_no_{"late no", [this](const Message&) {
                        no_is_asked_ = true;
                        (void)eventually([this] { return say_no_.load(); }, seconds(60));
                        return Reply::json(R"({"valid":false,"reason":"late"})");
                    }};
    Process* stale_ = nullptr;
};

TEST_F(OrdersStale, AResultChangesNothingThatHasEnded)
{
    trial_.start_worker();
    ASSERT_TRUE(trial_.drained());
    const auto before = order();
    resume_the_stale_worker();
    EXPECT_EQ(order().status, "Validated");
    EXPECT_EQ(order().timeline.size(), before.timeline.size()) << "the late result left a trace";
    const auto audit = trial_.audit({order_});
    EXPECT_TRUE(audit.clean()) << audit.text();
}

TEST_F(OrdersStale, AResultChangesNothingThatAnotherWorkerHolds)
{
    std::atomic<bool> yes_is_asked = false;
    std::atomic<bool> say_yes = false;
    Origin yes("yes", [&](const Message& request) {
        yes_is_asked = true;
        (void)eventually([&] { return say_yes.load(); }, seconds(60));
        return trial_.validator().validate(request);
    });
    trial_.start_worker({}, yes.url());
    ASSERT_TRUE(eventually([&] { return yes_is_asked.load(); }));
    resume_the_stale_worker();
    EXPECT_EQ(order().status, "Processing") << "the late result counted";
    say_yes = true;
    EXPECT_TRUE(trial_.drained());
    EXPECT_EQ(order().status, "Validated");
    const auto audit = trial_.audit({order_});
    EXPECT_TRUE(audit.clean()) << audit.text();
}

TEST_F(OrdersCrash, AFullDiskRefusesInTimeAndLosesNothing)
{
    OrderTrial trial;
    trial.start_orders();
    trial.start_worker();
    OrderClients clients({.ports = trial.ports(), .clients = 4});
    ASSERT_TRUE(clients.wait_for_more(50));

    trial.disk().set_full(true);
    const auto refused_order = numbered_order("full", 1);
    const auto create = [&] {
        RawClient client(trial.port());
        client.send(create_request(refused_order));
        return client.read_response();
    };
    for (int i = 0; i < 3; ++i) {
        const auto began = Clock::now();
        const auto refused = create();
        EXPECT_EQ(refused.status(), 503) << refused.message.body;
        EXPECT_NE(refused.message.body.find("the disk is full"), std::string::npos) << refused.message.body;
        EXPECT_TRUE(refused.message.header("Retry-After").has_value());
        EXPECT_LT(Clock::now() - began, seconds(2));
    }
    EXPECT_EQ(get(trial.port(), "/orders/o-1").status(), 200) << "reading goes on";
    EXPECT_EQ(get(trial.port(), "/get_orders").status(), 200);
    EXPECT_EQ(get(trial.port(), "/orders/" + refused_order.id).status(), 404) << "refused, and there all the same";

    trial.disk().set_full(false);
    EXPECT_TRUE(eventually([&] { return create().status() == 200; }));
    EXPECT_TRUE(clients.wait_for_more(50));
    EXPECT_TRUE(clients.finish());
    EXPECT_TRUE(clients.complaints().empty()) << clients.complaints().front();
    EXPECT_TRUE(trial.drained());
    auto placed = clients.placed();
    placed.push_back(refused_order);
    placed.back().acknowledged = true;
    const auto audit = trial.audit(placed);
    EXPECT_TRUE(audit.clean()) << audit.text();
    EXPECT_TRUE(trial.orders().running());
}

/// The kernel may have thrown away what it could not sync, and says so only once.
TEST_F(OrdersCrash, AFailedSyncIsNeverBelieved)
{
    OrderTrial trial;
    trial.disk().expect_loss_of_power();
    trial.start_orders();
    std::vector<PlacedOrder> placed;
    for (std::size_t i = 0; i < 12; ++i) placed.push_back(numbered_order("o", i));
    const auto create = [&](PlacedOrder& order) {
        RawClient client(trial.port());
        client.send(create_request(order));
        const auto answer = client.read_response();
        order.acknowledged = order.acknowledged || answer.status() == 200;
        return answer;
    };
    for (std::size_t i = 0; i < 8; ++i) ASSERT_EQ(create(placed[i]).status(), 200);

    trial.disk().fail_syncs(1);
    std::vector<RawClient> waiting;
    for (std::size_t i = 8; i < 12; ++i) {
        waiting.emplace_back(trial.port());
        waiting.back().send(create_request(placed[i]));
    }
    std::size_t refused = 0;
    for (auto& client : waiting) {
        const auto answer = client.read_response();
        EXPECT_NE(answer.status(), 200) << answer.message.body;
        if (answer.status() != 503) continue;
        ++refused;
        EXPECT_TRUE(answer.message.header("Retry-After").has_value());
    }
    EXPECT_GT(refused, 0U);
    EXPECT_EQ(trial.orders().wait_exit(), 1) << trial.orders().description();

    trial.disk().lose_power(9);
    trial.start_orders();
    const auto audit_at_once = trial.audit(placed);
    EXPECT_EQ(audit_at_once.lost + audit_at_once.wrong, 0U) << audit_at_once.text();
    for (std::size_t i = 8; i < 12; ++i) EXPECT_EQ(create(placed[i]).status(), 200) << placed[i].id;
    trial.start_worker();
    EXPECT_TRUE(trial.drained());
    const auto audit = trial.audit(placed);
    EXPECT_TRUE(audit.clean()) << audit.text();
}

} // namespace TEST_FILE
} // namespace hotspare::test
