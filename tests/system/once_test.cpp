// A POST is executed at most once: the servers behind the balancer count what they received, and no fault may make the
// same request appear twice unless its client allowed that with an Idempotency-Key, or its route did. In exchange a
// request that was never sent is never given up while another server can take it.
#include "tests/support/fleet.hpp"
#include "tests/support/gate.hpp"
#include "tests/support/load.hpp"
#include "tests/support/origin.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <functional>
#include <ostream>
#include <string>

namespace hotspare::test {
namespace TEST_FILE {

using Break = Reply::Break;

/// Two counting servers behind gates.
struct World {
    Origin first{"first"};
    Origin second{"second"};
    Gate to_first{first.port()};
    Gate to_second{second.port()};

    std::size_t executed(const std::string& id) const { return first.executed(id) + second.executed(id); }
};

struct OnceCase {
    std::string name;
    std::function<void(World&)> fault;
    /// False if a key does not help every request: an answer that has begun is not repeated.
    bool all_answered_with_key = true;
    /// False if only a second copy beside the first helps.
    bool all_answered_by_repeating = all_answered_with_key;
};

void PrintTo(const OnceCase& c, std::ostream* out)
{
    *out << c.name;
}

void break_requests(World& world, Break where)
{
    world.first.script([where](const Message&) { return Reply::broken(where); });
}

const std::vector<OnceCase>& cases()
{
    static const std::vector<OnceCase> all{
        {"Crash", [](World& w) { w.to_first.crash(); }},
        {"Refuse", [](World& w) { w.to_first.set(Fault::refuse()); }},
        {"ResetAfterExecution", [](World& w) { w.to_first.set(Fault::reset_after(0)); }},
        {"ResetByServer", [](World& w) { break_requests(w, Break::reset_unanswered); }},
        {"CloseByServer", [](World& w) { break_requests(w, Break::close_unanswered); }},
        {"CutInTheAnswer", [](World& w) { w.to_first.set(Fault::cut_after(30)); }, false},
        {"Hang",
         [](World& w) {
             w.first.probe_script([](const Message&) { return Reply::broken(Break::hang); });
             break_requests(w, Break::hang);
         }},
        {"HangWithGoodHealth", [](World& w) { break_requests(w, Break::hang); }, true, false},
        {"Slow", [](World& w) { w.to_first.set(Fault::late(milliseconds(400))); }},
        {"BlackHole", [](World& w) { w.to_first.set(Fault::black_hole()); }},
        {"HalfOpen", [](World& w) { w.to_first.set(Fault::half_open()); }, true, false},
        {"ServiceUnavailable",
         [](World& w) { w.first.script([](const Message&) { return Reply::json(R"({"error":"no"})", 503); }); }},
        {"ClosesEveryConnectionSilently",
         [](World& w) {
             w.first.script([](const Message&) {
                 Reply r;
                 r.close_silently = true;
                 return r;
             });
         }},
    };
    return all;
}

class Once : public testing::TestWithParam<OnceCase> {
protected:
    void SetUp() override
    {
        ASSERT_TRUE(balancer_.wait_for("first", "healthy")) << balancer_.status();
        ASSERT_TRUE(balancer_.wait_for("second", "healthy")) << balancer_.status();
    }

    LoadResult post_through_the_fault(std::vector<Header> headers)
    {
        return post_through_the_fault(balancer_.port(), std::move(headers));
    }

    LoadResult post_through_the_fault(std::uint16_t port, std::vector<Header> headers)
    {
        LoadPlan plan;
        plan.port = port;
        plan.rate = 200;
        plan.duration = milliseconds(1200);
        plan.method = "POST";
        plan.target = "/orders";
        plan.headers = std::move(headers);
        plan.body = R"({"product":"Medicine A","quantity":10})";
        return run_load(plan, {{milliseconds(400), [&] { GetParam().fault(world_); }}});
    }

    World world_;
    /// A short deadline for the requests that may not be repeated and get no answer.
    Balancer balancer_{{{"first", world_.to_first.port()}, {"second", world_.to_second.port()}},
                       {"--timeouts-request", "2s"}};
};

TEST_P(Once, WithoutAKeyNothingIsExecutedTwice)
{
    const LoadResult result = post_through_the_fault({});
    std::size_t answered = 0;
    for (const Sample& s : result.samples) {
        const std::string id = "load-" + std::to_string(s.number);
        const std::size_t times = world_.executed(id);
        EXPECT_LE(times, 1U) << id;
        if (s.failure == Failure::none) {
            EXPECT_EQ(times, 1U) << id << " was answered with success";
            ++answered;
        }
    }
    // What could not be repeated is an honest answer, never a connection that just goes away, except inside an answer.
    EXPECT_EQ(result.failed(), result.count(Failure::status) + result.count(Failure::truncated)) << result.summary();
    EXPECT_GT(answered, result.total() / 4) << result.summary();
    EXPECT_EQ(world_.first.unparsed() + world_.second.unparsed(), "");
}

TEST_P(Once, WithAKeyItIsRepeatedUntilAnswered)
{
    const LoadResult result = post_through_the_fault({{"Idempotency-Key", "{id}"}});
    if (GetParam().all_answered_with_key)
        EXPECT_EQ(result.failed(), 0U) << result.summary();
    else
        EXPECT_EQ(result.failed(), result.count(Failure::status) + result.count(Failure::truncated))
            << result.summary();
    for (const Sample& s : result.samples) {
        const std::size_t times = world_.executed("load-" + std::to_string(s.number));
        EXPECT_TRUE(times >= 1 || s.failure != Failure::none) << s.number << " was answered but never executed";
    }
}

TEST_P(Once, ByTheWordOfItsRouteItIsRepeatedUntilAnswered)
{
    const auto balancer = Balancer::configured(fmt::format("backends:\n"
                                                           "  - {{name: first, url: 'http://127.0.0.1:{}'}}\n"
                                                           "  - {{name: second, url: 'http://127.0.0.1:{}'}}\n"
                                                           "routes:\n"
                                                           "  - {{path: /orders, repeatable: true, timeout: 2s}}\n",
                                                           world_.to_first.port(), world_.to_second.port()));
    ASSERT_TRUE(balancer.wait_for("first", "healthy")) << balancer.status();
    ASSERT_TRUE(balancer.wait_for("second", "healthy")) << balancer.status();
    const LoadResult result = post_through_the_fault(balancer.port(), {});
    // A server that answers other requests lets one wait for its deadline, as that is not sent to two at once.
    const auto waited_in_vain =
        GetParam().all_answered_by_repeating ? 0U : result.count(Failure::status) + result.count(Failure::truncated);
    EXPECT_EQ(result.failed(), waited_in_vain) << result.summary();
    EXPECT_GT(result.total() - result.failed(), result.total() / 4) << result.summary();
    const bool stays_where_it_is = GetParam().all_answered_with_key && !GetParam().all_answered_by_repeating;
    for (const Sample& s : result.samples) {
        const std::size_t times = world_.executed("load-" + std::to_string(s.number));
        EXPECT_TRUE(times >= 1 || s.failure != Failure::none) << s.number << " was answered but never executed";
        EXPECT_TRUE(times <= 1 || !stays_where_it_is) << s.number << " was sent to two at once";
    }
}

INSTANTIATE_TEST_SUITE_P(Faults, Once, testing::ValuesIn(cases()),
                         [](const auto& parameter) { return parameter.param.name; });

/// A request of which no byte was sent moves on, whatever its method and however large its body.
TEST(OnceNotSent, MovesToAnotherServer)
{
    World world;
    Balancer balancer({{"first", world.to_first.port()}, {"second", world.to_second.port()}});
    ASSERT_TRUE(balancer.wait_for("first", "healthy"));
    ASSERT_TRUE(balancer.wait_for("second", "healthy"));
    // Kept-alive connections exist, then die unnoticed together with the listener.
    for (int i = 0; i < 4; ++i) EXPECT_EQ(post(balancer.port(), "/warm", "x").status(), 200);
    world.to_first.crash();

    const std::string large(3'000'000, 'b'); // far beyond what is kept for a repetition
    for (const std::string& body : {std::string(), std::string("small"), large}) {
        const std::string id = "not-sent-" + std::to_string(body.size());
        const Answer answer = request(balancer.port(), "POST", "/orders", {{"X-Test-Id", id}}, body);
        EXPECT_EQ(answer.status(), 200) << id << ": " << answer.message.body;
        EXPECT_EQ(world.first.executed(id), 0U);
        EXPECT_EQ(world.second.executed(id), 1U);
    }
}

/// All of it under load, so that some requests meet a connection at the very moment of its death.
TEST(OnceNotSent, ARefusingServerCostsNoPost)
{
    World world;
    Balancer balancer({{"first", world.to_first.port()}, {"second", world.to_second.port()}});
    ASSERT_TRUE(balancer.wait_for("first", "healthy"));
    ASSERT_TRUE(balancer.wait_for("second", "healthy"));
    LoadPlan plan;
    plan.port = balancer.port();
    plan.rate = 300;
    plan.duration = milliseconds(1000);
    plan.method = "POST";
    plan.target = "/orders";
    plan.body = "order";
    const LoadResult result = run_load(plan, {{milliseconds(300), [&] { world.to_first.set(Fault::refuse()); }}});
    EXPECT_EQ(result.failed(), 0U) << result.summary();
    for (const Sample& s : result.samples)
        EXPECT_EQ(world.executed("load-" + std::to_string(s.number)), 1U) << s.number;
}

/// Why a POST was not repeated is said in the answer.
TEST(OnceAnswer, NamesTheReason)
{
    World world;
    Balancer balancer({{"first", world.first.port()}, {"second", world.second.port()}});
    ASSERT_TRUE(balancer.wait_for("first", "healthy"));
    break_requests(world, Break::reset_unanswered);
    const Answer answer = request(balancer.port(), "POST", "/orders", {{"X-Test-Id", "1"}}, "order");
    EXPECT_EQ(answer.status(), 502);
    EXPECT_EQ(answer.message.header("Content-Type"), "application/problem+json");
    EXPECT_EQ(answer.json().value("status", 0), 502) << answer.message.body;
    EXPECT_FALSE(answer.json().value("error", "").empty()) << answer.message.body;
    EXPECT_EQ(world.executed("1"), 1U);
}

} // namespace TEST_FILE
} // namespace hotspare::test
