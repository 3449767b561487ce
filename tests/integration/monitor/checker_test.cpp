// The checks of the monitor over real sockets.
#include "monitor/check/checker.hpp"

#include "tests/support/origin.hpp"
#include "tests/support/socket.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include <sys/resource.h>

namespace hotspare::monitor {
namespace TEST_FILE {

using test::Origin;
using test::Reply;

std::string url(std::uint16_t port, const std::string& path = "/ready")
{
    return fmt::format("http://127.0.0.1:{}{}", port, path);
}

TargetSettings target(const std::string& name)
{
    TargetSettings t;
    t.name = name;
    t.interval = milliseconds(20);
    t.timeout = seconds(30);
    return t;
}

TargetSettings http_target(const std::string& name, std::uint16_t port)
{
    auto t = target(name);
    t.url = url(port);
    return t;
}

/// A checker whose event loop the test runs, and everything that it has found.
class Watch {
public:
    explicit Watch(std::vector<TargetSettings> targets, ScheduleSettings settings = {.tolerance = seconds(10)},
                   BackendLimits limits = {})
        : checker(
              io, std::move(targets), settings,
              [this](const Finding& finding) {
                  findings.push_back(finding);
                  return in_doubt;
              },
              [this](const std::string& name) { forgotten.push_back(name); }, limits)
    {
        checker.start();
    }
    ~Watch() { stop(); }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;

    /// Runs the loop until the condition holds; false if that takes too long.
    bool run_until(const std::function<bool()>& condition)
    {
        const auto deadline = Clock::now() + test::patience;
        while (!condition())
            if (Clock::now() >= deadline || io.run_one_until(deadline) == 0) return condition();
        return true;
    }
    void stop()
    {
        checker.stop();
        io.run();
    }

    /// What was found of a target, in order.
    std::vector<Finding> of(const std::string& name) const
    {
        std::vector<Finding> result;
        for (const Finding& finding : findings)
            if (checker.targets()[finding.target].name == name) result.push_back(finding);
        return result;
    }
    bool found(const std::string& name, State state) const
    {
        const auto all = of(name);
        return std::any_of(all.begin(), all.end(), [&](const Finding& f) { return f.state == state; });
    }
    /// The first finding with this state, when there is one.
    Finding first(const std::string& name, State state)
    {
        EXPECT_TRUE(run_until([&] { return found(name, state); })) << name << " never " << to_string(state);
        const auto all = of(name);
        const auto it = std::find_if(all.begin(), all.end(), [&](const Finding& f) { return f.state == state; });
        return it == all.end() ? Finding{} : *it;
    }
    void forget() { findings.clear(); }

    asio::io_context io{1};
    std::vector<Finding> findings;
    bool in_doubt = false; ///< what the checker is told of each target
    std::vector<std::string> forgotten;
    Checker checker;
};

TEST(Checker, FindsATargetUpAndThenDown)
{
    Origin origin;
    Watch w({http_target("shop", origin.port())});
    const auto before = std::chrono::floor<milliseconds>(std::chrono::system_clock::now()) - seconds(1);
    const auto up = w.first("shop", State::up);
    EXPECT_TRUE(up.cause.empty());
    EXPECT_TRUE(up.latency);
    EXPECT_GE(up.at, before);
    EXPECT_LE(up.at, std::chrono::system_clock::now());
    origin.stop();
    const auto down = w.first("shop", State::down);
    EXPECT_FALSE(down.cause.empty());
    EXPECT_FALSE(down.latency);
    w.forget();
    origin.start();
    w.first("shop", State::up);
    EXPECT_FALSE(w.found("shop", State::unknown));
}

TEST(Checker, ChecksAgainSoonWhileTheStateIsInDoubt)
{
    Origin origin;
    auto t = http_target("shop", origin.port());
    t.interval = std::chrono::hours(1);
    t.doubt_interval = milliseconds(20);
    Watch w({t});
    w.in_doubt = true;
    ASSERT_TRUE(w.run_until([&] { return w.findings.size() >= 5; })) << "from the start on";
    w.in_doubt = false;
    ASSERT_TRUE(w.run_until([&] { return w.findings.size() >= 6; }));
    w.io.run_for(milliseconds(200));
    EXPECT_EQ(w.findings.size(), 6U) << "the next one is due in an hour";
}

TEST(Checker, BelievesWhatAServiceSaysOfItselfIfItIsTo)
{
    Origin origin;
    std::string body = R"({"status":"down","error":"no disk"})";
    origin.script([&](const test::Message&) { return Reply::json(body); });
    auto t = http_target("shop", origin.port());
    t.health_word = true;
    Watch w({t, http_target("other", origin.port())});
    const auto down = w.first("shop", State::down);
    EXPECT_EQ(down.cause, "says that it is down: no disk");
    EXPECT_FALSE(down.unhealthy);
    EXPECT_TRUE(down.latency);
    w.first("other", State::up);
    EXPECT_FALSE(w.found("other", State::down));
    EXPECT_GE(w.checker.outcomes(0)[static_cast<std::size_t>(resilience::ProbeOutcome::failing)], 1U);
    EXPECT_EQ(w.checker.outcomes(1)[static_cast<std::size_t>(resilience::ProbeOutcome::failing)], 0U);
}

TEST(Checker, TellsAWrongAnswerFromNone)
{
    Origin origin;
    origin.script([](const test::Message&) { return Reply::json(R"({"paused":true})", 500); });
    auto t = http_target("shop", origin.port());
    t.health_word = true;
    Watch w({t});
    const auto wrong = w.first("shop", State::down);
    EXPECT_TRUE(wrong.unhealthy);
    EXPECT_EQ(wrong.paused, true);
    w.forget();
    origin.stop();
    const auto silent = w.first("shop", State::down);
    EXPECT_FALSE(silent.unhealthy);
    EXPECT_FALSE(silent.paused);
}

TEST(Checker, FindsALostProbeDownOnce)
{
    Origin origin;
    std::atomic<int> asked = 0;
    origin.script([&](const test::Message&) {
        return ++asked == 3 ? Reply::broken(Reply::Break::reset_unanswered) : Reply::text("ok");
    });
    Watch w({http_target("shop", origin.port())});
    ASSERT_TRUE(w.run_until([&] { return w.findings.size() >= 6; }));
    EXPECT_EQ(
        std::count_if(w.findings.begin(), w.findings.end(), [](const Finding& f) { return f.state == State::down; }),
        1);
    EXPECT_EQ(w.findings[2].state, State::down);
}

TEST(Checker, AsksAsItsSettingsSay)
{
    Origin origin;
    origin.script([](const test::Message& request) {
        const bool right = request.start_line == "PATCH /ready HTTP/1.1" && request.body == "ping";
        return right ? Reply::json(R"({"state":"fine"})", 207) : Reply::text("", 400);
    });
    auto t = http_target("shop", origin.port());
    t.method = "PATCH";
    t.body = "ping";
    t.headers = {{"X-Key", "k"}, {"Host", "shop.example"}};
    t.expect_status = {{200, 200}, {207, 207}};
    t.expect_json_field = "state=fine";
    Watch w({t});
    EXPECT_EQ(w.first("shop", State::up).cause, "");
    const auto head = origin.requests().at(0).head;
    EXPECT_NE(head.find("X-Key: k\r\n"), std::string::npos) << head;
    EXPECT_NE(head.find("Host: shop.example\r\n"), std::string::npos) << head;
    EXPECT_EQ(head.find("127.0.0.1"), std::string::npos) << head;
}

TEST(Checker, SaysWhatIsWrongWithAnAnswer)
{
    Origin origin;
    origin.script([](const test::Message& request) {
        return request.start_line.find("busy") != std::string::npos ? Reply::text("", 503) : Reply::text("sorry");
    });
    auto busy = http_target("busy", origin.port());
    busy.url = url(origin.port(), "/busy");
    auto wrong = http_target("wrong", origin.port());
    wrong.expect_body = "welcome";
    auto slow = http_target("slow", origin.port());
    slow.slow = Duration(1);
    Watch w({busy, wrong, slow});
    EXPECT_EQ(w.first("busy", State::down).cause, "HTTP 503 Service Unavailable, expected 200-299");
    EXPECT_TRUE(w.first("busy", State::down).latency);
    EXPECT_EQ(w.first("wrong", State::down).cause, "HTTP 200 OK, but its body does not contain 'welcome'");
    EXPECT_NE(w.first("slow", State::degraded).cause.find("slower than 1ns"), std::string::npos);
}

TEST(Checker, FindsDownWhatDoesNotAnswerInTime)
{
    Origin origin;
    origin.script([](const test::Message&) { return Reply::broken(Reply::Break::hang); });
    auto t = http_target("shop", origin.port());
    t.timeout = milliseconds(50);
    Watch w({t});
    EXPECT_EQ(w.first("shop", State::down).cause, "no answer within 50ms");
}

TEST(Checker, ConnectsOverTcpAndByName)
{
    const auto listener = test::listen_loopback(0);
    const auto closed = test::bind_loopback(0);
    auto open = target("open");
    open.tcp = fmt::format("localhost:{}", test::local_port(listener));
    auto shut = target("shut");
    shut.tcp = fmt::format("127.0.0.1:{}", test::local_port(closed));
    auto nowhere = target("nowhere");
    nowhere.tcp = "nowhere.invalid:1";
    nowhere.timeout = seconds(2);
    Watch w({open, shut, nowhere});
    EXPECT_TRUE(w.first("open", State::up).latency);
    EXPECT_EQ(w.first("shut", State::down).cause, "Connection refused");
    ASSERT_TRUE(w.run_until([&] { return !w.of("nowhere").empty(); }));
    const auto lost = w.of("nowhere").front();
    // Down if there is a name server that says so.
    EXPECT_TRUE(lost.state == State::down || lost.state == State::unknown);
    EXPECT_NE(lost.cause.find("'nowhere.invalid' does not resolve"), std::string::npos) << lost.cause;
}

TEST(Checker, FindsUnknownWhatItLacksADescriptorFor)
{
    Origin origin;
    Watch w({http_target("shop", origin.port())});
    w.first("shop", State::up);
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &before), 0);
    // No more than are standard: poll(2) of the origin's two would fail with a limit below their number.
    const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &none), 0);
    w.run_until([&] { return w.found("shop", State::unknown); });
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_FALSE(w.first("shop", State::unknown).cause.empty());
    w.forget();
    w.first("shop", State::up);
    EXPECT_FALSE(w.found("shop", State::down));
}

TEST(Checker, MakesTargetsOfTheBackendsOfABalancer)
{
    Origin balancer;
    balancer.script([](const test::Message& request) {
        if (request.start_line != "GET /status HTTP/1.1") return Reply::text("", 404);
        return Reply::json(R"({"can_answer":true,"fail_open":false,"backends":[{"name":"primary","status":"healthy",
            "last_probe":{"latency_ms":2,"detail":"200 OK"}},{"name":"spare","status":"down","evidence":"refused"}]})");
    });
    auto lb = target("lb");
    lb.balancer = url(balancer.port(), "");
    Watch w({lb});
    w.first("lb", State::up);
    EXPECT_EQ(w.first("lb/primary", State::up).latency, milliseconds(2));
    EXPECT_EQ(w.first("lb/spare", State::down).cause, "down for the balancer: refused");
    ASSERT_EQ(w.checker.targets().size(), 3U);
    EXPECT_TRUE(w.checker.targets()[1].is_backend);
    EXPECT_EQ(w.checker.targets()[1].settings, 0U);

    w.forget();
    balancer.script([](const test::Message&) {
        return Reply::json(R"({"can_answer":false,"fail_open":false,"backends":[{"name":"primary","status":"down"}]})");
    });
    EXPECT_EQ(w.first("lb", State::down).cause, "no backend can answer");
    EXPECT_EQ(w.first("lb/primary", State::down).cause, "down for the balancer");
    EXPECT_EQ(w.first("lb/spare", State::unknown).cause, "no backend of the balancer 'lb' any more");

    w.forget();
    balancer.script([](const test::Message&) { return Reply::text("<html>"); });
    ASSERT_TRUE(w.run_until([&] { return w.found("lb/primary", State::unknown); }));

    w.forget();
    balancer.stop();
    ASSERT_TRUE(w.run_until([&] { return w.of("lb").size() > 1 && w.of("lb/primary").size() > 1; }));
    EXPECT_EQ(w.of("lb").back().state, State::down);
    EXPECT_EQ(w.of("lb/primary").back().state, State::unknown) << "it may well be up";
    EXPECT_NE(w.of("lb/primary").back().cause.find("the balancer 'lb' cannot be asked"), std::string::npos);
    EXPECT_EQ(w.checker.targets().size(), 3U) << "they are the same targets";
}

std::string status_of(const std::vector<std::string>& backends)
{
    std::string list;
    for (const std::string& name : backends)
        list += fmt::format(R"({}{{"name":"{}","status":"healthy"}})", list.empty() ? "" : ",", name);
    return fmt::format(R"({{"can_answer":true,"fail_open":false,"backends":[{}]}})", list);
}

TEST(Checker, ForgetsABackendThatItsBalancerNamesNoMore)
{
    Origin balancer;
    balancer.script([](const test::Message&) { return Reply::json(status_of({"v1", "v2", "v3"})); });
    auto lb = target("lb");
    lb.balancer = url(balancer.port(), "");
    auto other = target("other");
    other.balancer = url(balancer.port(), "");
    Watch w({lb, other}, {.tolerance = seconds(10)}, {.kept = milliseconds(300)});
    w.first("lb/v3", State::up);
    w.first("other/v3", State::up);
    balancer.script([](const test::Message&) { return Reply::json(status_of({"v1", "v3"})); });
    EXPECT_EQ(w.first("lb/v2", State::unknown).cause, "no backend of the balancer 'lb' any more");
    EXPECT_TRUE(w.forgotten.empty()) << "it may come back";
    ASSERT_TRUE(w.run_until([&] { return w.forgotten.size() == 2; }));
    std::sort(w.forgotten.begin(), w.forgotten.end());
    EXPECT_EQ(w.forgotten, (std::vector<std::string>{"lb/v2", "other/v2"}));
    std::vector<std::string> names;
    for (const Watched& one : w.checker.targets()) names.push_back(one.name);
    std::sort(names.begin(), names.end());
    EXPECT_EQ(names, (std::vector<std::string>{"lb", "lb/v1", "lb/v3", "other", "other/v1", "other/v3"}));
    w.forget();
    EXPECT_EQ(w.first("lb/v3", State::up).cause, "") << "its index has moved";
    balancer.script([](const test::Message&) { return Reply::json(status_of({"v1", "v2"})); });
    w.first("lb/v2", State::up);
    w.forgotten.clear();
    balancer.stop();
    w.first("lb", State::down);
    w.io.run_for(milliseconds(500));
    EXPECT_FALSE(std::count(w.forgotten.begin(), w.forgotten.end(), "lb/v2")) << "it may well be named";
}

TEST(Checker, WatchesSoManyBackendsOfABalancerAndNoMore)
{
    Origin balancer;
    balancer.script([](const test::Message&) { return Reply::json(status_of({"v1", "v2"})); });
    auto lb = target("lb");
    lb.balancer = url(balancer.port(), "");
    Watch w({lb}, {.tolerance = seconds(10)}, {.most = 2});
    w.first("lb/v2", State::up);
    balancer.script([](const test::Message&) { return Reply::json(status_of({"v2", "v3"})); });
    w.first("lb/v3", State::up);
    EXPECT_EQ(w.forgotten, std::vector<std::string>{"lb/v1"});
    balancer.script([](const test::Message&) { return Reply::json(status_of({"v2", "v3", "v4"})); });
    w.forget();
    ASSERT_TRUE(w.run_until([&] { return w.of("lb").size() >= 3; }));
    EXPECT_TRUE(w.of("lb/v4").empty());
    EXPECT_EQ(w.checker.targets().size(), 3U);
}

TEST(Checker, WaitsForReports)
{
    auto backup = target("backup");
    backup.push.text = "0123456789abcdef";
    backup.grace = milliseconds(300);
    Watch w({backup});
    EXPECT_TRUE(w.findings.empty());
    EXPECT_FALSE(w.checker.report("0123456789abcdeX", {}));
    EXPECT_FALSE(w.checker.report("", {}));
    EXPECT_TRUE(w.checker.report("0123456789abcdef", {}));
    ASSERT_EQ(w.findings.size(), 1U) << "found at once";
    EXPECT_EQ(w.findings[0].state, State::up);
    EXPECT_TRUE(w.checker.report("0123456789abcdef", {.up = false, .message = "disk full"}));
    EXPECT_EQ(w.findings.back().cause, "disk full");
    EXPECT_TRUE(w.checker.report("0123456789abcdef", {}));
    w.forget();
    EXPECT_EQ(w.first("backup", State::down).cause, "no report within 320ms");
}

TEST(Checker, BlamesNoTargetForATimeInWhichItDidNotRun)
{
    Origin origin;
    origin.script([](const test::Message&) { return Reply::broken(Reply::Break::hang); });
    auto t = http_target("shop", origin.port());
    t.timeout = milliseconds(600);
    Watch w({t}, {.tolerance = milliseconds(200)});
    ASSERT_TRUE(w.run_until([&] { return origin.seen() > 0; }));
    w.forget();
    test::stand_still(milliseconds(1500));
    ASSERT_TRUE(w.run_until([&] { return w.findings.size() >= 2; }));
    EXPECT_EQ(w.findings[0].state, State::unknown);
    EXPECT_NE(w.findings[0].cause.find("the monitor did not run for"), std::string::npos) << w.findings[0].cause;
    EXPECT_EQ(w.findings[1].state, State::unknown) << w.findings[1].cause;
    EXPECT_EQ(w.findings[1].cause, "the monitor did not run during the check");
}

TEST(Checker, FindsUnknownWhatItsEndInterrupts)
{
    Origin origin;
    origin.script([](const test::Message&) { return Reply::broken(Reply::Break::hang); });
    Watch w({http_target("shop", origin.port())});
    ASSERT_TRUE(w.run_until([&] { return origin.seen() > 0; }));
    w.stop();
    ASSERT_EQ(w.findings.size(), 1U);
    EXPECT_EQ(w.findings[0].state, State::unknown);
    EXPECT_EQ(w.findings[0].cause, "the monitor is stopping");
}

TEST(Checker, ChecksManyTargetsAFewAtATime)
{
    Origin origin;
    std::vector<TargetSettings> targets;
    for (int i = 0; i < 200; ++i) {
        targets.push_back(http_target(fmt::format("t-{}", i), origin.port()));
        targets.back().interval = seconds(1);
    }
    Watch w(std::move(targets), {.at_once = 4, .tolerance = seconds(10)});
    std::size_t most = 0;
    std::vector<bool> seen(200);
    ASSERT_TRUE(w.run_until([&] {
        most = std::max(most, w.checker.schedule().under_way());
        for (const Finding& f : w.findings) seen[f.target] = true;
        w.forget();
        return std::all_of(seen.begin(), seen.end(), [](bool s) { return s; });
    }));
    EXPECT_LE(most, 4U);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
