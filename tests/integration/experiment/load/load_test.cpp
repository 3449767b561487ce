// Every experiment relies on the generator: a server that is known to stall, lose and break must be reported as
// doing exactly that, and nothing of the generator's own may look like the server's.
#include "experiment/judge/measure.hpp"
#include "experiment/load/load.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::experiment {
namespace TEST_FILE {

using test::Message;
using test::Reply;
using Break = Reply::Break;
using Framing = Reply::Framing;

/// A sample with what the callback alone could see.
struct Seen {
    Sample sample;
    std::string header;
};

LoadPlan plan_for(std::uint16_t port, std::vector<LoadRequest> requests)
{
    LoadPlan plan;
    plan.target = {"127.0.0.1", port};
    plan.requests = std::move(requests);
    plan.id_prefix = "t";
    plan.connections = 4;
    plan.timeout = test::patience;
    return plan;
}

LoadRequest get(std::string path = "/", std::string expect_body = {})
{
    LoadRequest request;
    request.path = std::move(path);
    request.expect_body = std::move(expect_body);
    return request;
}

LoadRequest with_method(std::string method, std::string path = "/", std::string body = {})
{
    LoadRequest request = get(std::move(path));
    request.method = std::move(method);
    request.body = std::move(body);
    return request;
}

/// `count` requests of one stream.
std::vector<Due> every(Duration gap, std::size_t count)
{
    std::vector<Due> schedule;
    for (std::size_t i = 0; i < count; ++i) schedule.push_back({gap * i, 0});
    return schedule;
}

/// Runs the plan, and returns what came of it in the order of the schedule.
std::vector<Seen> run(const LoadPlan& plan, TimePoint start = Clock::now())
{
    std::vector<Seen> seen;
    Load load(plan, [&](const Finished& f) { seen.push_back({f.sample, std::string(f.header)}); });
    load.run(start);
    std::ranges::sort(seen, {}, [](const Seen& s) { return s.sample.index; });
    return seen;
}

/// One request, and how it ended.
Sample run_one(std::uint16_t port, LoadRequest request, Duration timeout = test::patience)
{
    auto plan = plan_for(port, {std::move(request)});
    plan.schedule = every(seconds(0), 1);
    plan.timeout = timeout;
    const auto seen = run(plan);
    EXPECT_EQ(seen.size(), 1U);
    return seen.empty() ? Sample{} : seen[0].sample;
}

std::uint16_t closed_port()
{
    return test::local_port(test::bind_loopback(0));
}

double to_ms(Nanos duration)
{
    return std::chrono::duration<double, std::milli>(duration).count();
}

double median(std::vector<double> values)
{
    std::ranges::sort(values);
    return values.empty() ? 0 : values[values.size() / 2];
}

// --- A known target --------------------------------------------------------------------------------------------------

/// A target whose behaviour is written down beforehand, request by request, and which notes by its own clock when it
/// let each answer go, and how often it executed what it was asked for.
class KnownTarget {
public:
    KnownTarget()
    {
        origin_.script([this](const Message& m) { return answer(m); });
    }

    std::uint16_t port() const { return origin_.port(); }
    /// Requests [from, to) are answered when request `to` is due, a millisecond apart: were all of them let go at once,
    /// their threads would queue for the processor between the note that is taken and the answer.
    void stall(std::uint64_t from, std::uint64_t to) { stalls_.emplace_back(from, to); }
    void lose(std::uint64_t index) { lost_.push_back(index); }
    void duplicate(std::uint64_t index) { duplicated_.push_back(index); }
    void starts(TimePoint start, const std::vector<Due>& schedule)
    {
        start_ = start;
        schedule_ = schedule;
    }

    /// After the run. Nanoseconds after its start.
    std::map<std::uint64_t, Nanos> answered() const
    {
        const std::lock_guard lock(mutex_);
        return answered_;
    }
    std::vector<Execution> executions() const
    {
        const std::lock_guard lock(mutex_);
        std::vector<Execution> out;
        for (const auto& [index, times] : executed_) out.push_back({index, "known", times});
        return out;
    }

private:
    Reply answer(const Message& request)
    {
        const auto index = std::stoull(request.header("X-Request-Id").value_or("t-0").substr(2));
        if (std::ranges::count(lost_, index) > 0) return Reply::broken(Break::reset_unanswered);
        for (const auto& [from, to] : stalls_)
            if (index >= from && index < to)
                test::stand_still(std::chrono::ceil<milliseconds>(start_ + schedule_[to].at - Clock::now()) +
                                  milliseconds(index - from));
        const std::lock_guard lock(mutex_);
        executed_[index] += std::ranges::count(duplicated_, index) > 0 ? 2 : 1;
        answered_[index] = std::chrono::duration_cast<Nanos>(Clock::now() - start_);
        return Reply::text("known");
    }

    TimePoint start_;
    std::vector<Due> schedule_;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> stalls_;
    std::vector<std::uint64_t> lost_, duplicated_;
    mutable std::mutex mutex_; ///< guards the rest
    std::map<std::uint64_t, Nanos> answered_;
    std::map<std::uint64_t, std::uint32_t> executed_;
    test::Origin origin_; ///< last: its threads end first
};

/// Two streams, 200 GET/s and 50 POST/s for two seconds.
Plan known_plan()
{
    Plan plan;
    plan.duration = seconds(2);
    Stream reads, writes;
    reads.rate = 200;
    writes.name = "writes";
    writes.method = "POST";
    writes.rate = 50;
    writes.must_succeed = false;
    plan.load = {reads, writes};
    return plan;
}

TEST(ExperimentLoad, AKnownTargetIsMeasuredExactly)
{
    const Plan plan = known_plan();
    const auto schedule = arrivals(plan.load, plan.duration, 1);
    const auto index_of = [&](milliseconds at, std::uint32_t stream) {
        const auto found =
            std::ranges::find_if(schedule, [&](const Due& d) { return d.at >= at && d.stream == stream; });
        return static_cast<std::uint64_t>(found - schedule.begin());
    };
    KnownTarget target;
    const auto from = index_of(milliseconds(500), 0), to = index_of(milliseconds(800), 0);
    target.stall(from, to);
    for (const int ms : {1000, 1100, 1105, 1600}) target.lose(index_of(milliseconds(ms), 0));
    for (const int ms : {100, 1300, 1900}) target.duplicate(index_of(milliseconds(ms), 1));
    target.duplicate(index_of(milliseconds(1500), 0)); // may be repeated: no harm done

    auto load = plan_for(target.port(), {get("/", "known"), with_method("POST", "/", "order")});
    load.schedule = schedule;
    load.connections = 16;
    load.most_connections = 500;
    const auto start = Clock::now() + milliseconds(20);
    target.starts(start, schedule);
    const auto seen = run(load, start);

    experiment::Run result;
    result.counted = true;
    result.executions = target.executions();
    for (const Seen& s : seen) result.samples.push_back(s.sample);
    ASSERT_EQ(result.samples.size(), schedule.size());
    const Measures measures = measure(plan, result);
    EXPECT_EQ(measures.of(Measure::requests), 400.0);
    EXPECT_EQ(measures.of(Measure::failed), 4.0);
    EXPECT_EQ(measures.of(Measure::lost), 4.0);
    EXPECT_EQ(measures.of(Measure::given_up), 0.0);
    EXPECT_EQ(measures.of(Measure::duplicated), 3.0);

    // The stall, by the target's clock and by the generator's. A busy machine may hold back single answers: the median
    // tells what the instrument does.
    const auto answered = target.answered();
    std::vector<double> differences;
    for (const Sample& sample : result.samples) {
        if (sample.outcome != Outcome::good) continue;
        EXPECT_GE(sample.done, answered.at(sample.index));
        if (sample.index >= from && sample.index < to)
            differences.push_back(to_ms(sample.latency() - (answered.at(sample.index) - sample.due)));
    }
    ASSERT_EQ(differences.size(), to - from);
#ifndef HOTSPARE_SANITIZED
    EXPECT_LT(median(differences), 2);
#endif
    const auto& first = result.samples[from];
    EXPECT_GE(first.latency(), schedule[to].at - schedule[from].at); // 300 ms of it
    EXPECT_GE(measures.of(Measure::max).value_or(0), 295);
    EXPECT_GE(measures.of(Measure::stalled).value_or(0), 40); // those that waited more than 100 ms
}

// --- How a request can end -------------------------------------------------------------------------------------------

TEST(ExperimentLoad, EveryEndHasItsOwnName)
{
    test::Origin origin;
    origin.script([](const Message& m) {
        const auto path = std::string(m.target());
        if (path == "/status") return Reply::text("no", 503);
        if (path == "/fin") return Reply::broken(Break::close_unanswered);
        if (path == "/rst") return Reply::broken(Break::reset_unanswered);
        if (path == "/hang") return Reply::broken(Break::hang);
        Reply reply = Reply::text(std::string(1000, 'x'));
        reply.break_after = 10;
        if (path == "/fin-inside") reply.break_at = Break::close_in_body;
        if (path == "/rst-inside") reply.break_at = Break::reset_in_body;
        if (path == "/half-head") reply.raw = "HTTP/1.1 200 OK\r\nConte";
        if (path == "/noise") reply.raw = "220 mail.example ESMTP\r\n";
        return reply;
    });
    const auto end_of = [&](const std::string& path, std::string expect_body = {}) {
        return run_one(origin.port(), get(path, std::move(expect_body)));
    };
    const Sample good = end_of("/", "xxx");
    EXPECT_EQ(good.outcome, Outcome::good);
    EXPECT_EQ(good.status, 200U);
    EXPECT_LE(good.due, good.sent);
    EXPECT_LT(good.sent, good.first_byte);
    EXPECT_LE(good.first_byte, good.done);
    EXPECT_EQ(end_of("/", "y").outcome, Outcome::wrong_body);
    const Sample status = end_of("/status", "y");
    EXPECT_EQ(status.outcome, Outcome::status);
    EXPECT_EQ(status.status, 503U);
    for (const char* path : {"/fin", "/rst"}) {
        const Sample broken = end_of(path);
        EXPECT_EQ(broken.outcome, Outcome::broken) << path;
        EXPECT_LT(broken.sent, broken.done) << path;
        EXPECT_EQ(broken.first_byte, broken.done) << path;
        EXPECT_EQ(broken.status, 0U) << path;
    }
    for (const char* path : {"/fin-inside", "/rst-inside"}) {
        const Sample truncated = end_of(path);
        EXPECT_EQ(truncated.outcome, Outcome::truncated) << path;
        EXPECT_EQ(truncated.status, 200U) << path;
        EXPECT_LE(truncated.first_byte, truncated.done) << path;
    }
    EXPECT_EQ(end_of("/half-head").outcome, Outcome::truncated);
    EXPECT_EQ(end_of("/half-head").status, 0U);
    EXPECT_EQ(end_of("/noise").outcome, Outcome::malformed);

    const Sample timed_out = run_one(origin.port(), get("/hang"), milliseconds(100));
    EXPECT_EQ(timed_out.outcome, Outcome::timed_out);
    EXPECT_GE(timed_out.latency(), milliseconds(100));
    EXPECT_LT(timed_out.sent, timed_out.done);

    const Sample refused = run_one(closed_port(), get());
    EXPECT_EQ(refused.outcome, Outcome::refused);
    EXPECT_EQ(refused.sent, refused.done);
}

TEST(ExperimentLoad, UnderstandsWhateverServersSend)
{
    test::Origin origin;
    Reply reply = Reply::text("hello");
    origin.script([&](const Message&) { return reply; });
    const auto expect_good = [&](LoadRequest request, const char* what) {
        const Sample sample = run_one(origin.port(), std::move(request));
        EXPECT_EQ(sample.outcome, Outcome::good) << what;
    };
    reply.framing = Framing::chunked;
    reply.piece = 2;
    expect_good(get("/", "hello"), "chunked");
    reply.framing = Framing::until_close;
    expect_good(get("/", "hello"), "until the end of the stream");
    reply = Reply::text("hello");
    reply.before = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    expect_good(get("/", "hello"), "an interim answer first");
    reply = Reply::text("", 204);
    reply.framing = Framing::none;
    expect_good(get(), "204");
    reply.raw = "HTTP/1.0 200 OK\r\n\r\nhello";
    expect_good(get("/", "hello"), "HTTP/1.0");
    reply.raw = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
    expect_good(with_method("HEAD"), "HEAD");
    reply = Reply::text("");
    reply.pattern = 5'000'000;
    expect_good(get(), "a body that is not wanted");
    expect_good(get("/", std::string(test::Pattern(100).next())), "a long body whose beginning is wanted");
    LoadRequest upload = with_method("POST");
    upload.filler = 3'000'000;
    expect_good(upload, "a large upload");
    EXPECT_EQ(origin.body_bytes_received(), 3'000'000U);
}

// --- What is sent ----------------------------------------------------------------------------------------------------

TEST(ExperimentLoad, SendsEachRequestOfItsScheduleOnceUnderItsOwnName)
{
    test::Origin origin;
    LoadRequest write = with_method("POST", "/writes", "{}");
    write.idempotency_key = true;
    auto plan = plan_for(origin.port(), {get("/reads"), write});
    for (std::uint32_t i = 0; i < 100; ++i) plan.schedule.push_back({microseconds(500) * i, i % 4 == 0 ? 1U : 0U});
    plan.host = "shop.example";
    const auto seen = run(plan);
    ASSERT_EQ(seen.size(), 100U);
    for (std::size_t i = 0; i < seen.size(); ++i) {
        const Sample& sample = seen[i].sample;
        EXPECT_EQ(sample.index, i);
        EXPECT_EQ(sample.stream, plan.schedule[i].stream);
        EXPECT_EQ(sample.due, plan.schedule[i].at);
        EXPECT_GE(sample.sent, sample.due);
        EXPECT_EQ(sample.outcome, Outcome::good);
        EXPECT_TRUE(seen[i].header.starts_with("HTTP/1.1 200")) << seen[i].header;
    }
    std::map<std::string, int> ids;
    for (const Message& m : origin.requests()) {
        const auto id = m.header("X-Request-Id").value_or("");
        ++ids[id];
        const bool is_write = m.target() == "/writes";
        EXPECT_EQ(m.header("Idempotency-Key"), is_write ? std::optional(id) : std::nullopt);
        EXPECT_EQ(m.header("Host"), "shop.example");
        EXPECT_EQ(m.body, is_write ? "{}" : "");
    }
    EXPECT_EQ(ids.size(), 100U);
    EXPECT_EQ(ids["t-0"], 1);
    EXPECT_EQ(ids["t-99"], 1);
}

TEST(ExperimentLoad, ABodyCanCarryItsRequestsId)
{
    test::Origin origin;
    origin.script([](const Message& m) { return Reply::json(m.header("X-Request-Id") == "t-11" ? "t-1" : m.body); });
    auto create = with_method("POST", "/create", R"({"id":"@ID@","again":"@ID@"})");
    create.numbered = true;
    create.expect_body = R"("@ID@")";
    auto plan = plan_for(origin.port(), {get("/", ""), create});
    for (std::uint32_t i = 0; i < 12; ++i) plan.schedule.push_back({milliseconds(1) * i, i == 5 ? 0U : 1U});
    for (const Seen& seen : run(plan)) // only t-11 was answered as if it were another
        EXPECT_EQ(seen.sample.outcome, seen.sample.index == 11 ? Outcome::wrong_body : Outcome::good)
            << seen.sample.index;
    for (const Message& m : origin.requests()) {
        const auto id = m.header("X-Request-Id").value_or("");
        EXPECT_EQ(m.body, id == "t-5" ? "" : R"({"id":")" + id + R"(","again":")" + id + R"("})");
    }
}

TEST(ExperimentLoad, RefusesPlansThatDoNotFitTogether)
{
    const auto ignore = [](const Finished&) {};
    auto plan = plan_for(1, {get()});
    plan.schedule = {{Nanos(0), 1}};
    EXPECT_THROW(Load(plan, ignore), std::invalid_argument);
    plan = plan_for(1, {get()});
    plan.requests[0].idempotency_key = true;
    plan.id_prefix.clear();
    EXPECT_THROW(Load(plan, ignore), std::invalid_argument);
    plan.requests[0].idempotency_key = false;
    plan.requests[0].numbered = true;
    EXPECT_THROW(Load(plan, ignore), std::invalid_argument);
    plan = plan_for(1, {});
    EXPECT_THROW(Load(plan, ignore), std::invalid_argument);
}

// --- Open loop -------------------------------------------------------------------------------------------------------

TEST(ExperimentLoad, AStallHoldsNoOtherRequestBack)
{
    test::Origin origin;
    std::promise<void> release;
    const std::shared_future<void> released = release.get_future().share();
    origin.script([&](const Message& m) {
        if (m.target() == "/held") released.wait();
        return Reply::text("ok");
    });
    auto plan = plan_for(origin.port(), {get("/held"), get("/free")});
    plan.connections = 1;
    for (std::uint32_t i = 0; i < 20; ++i) plan.schedule.push_back({milliseconds(i), i < 10 ? 0U : 1U});
    std::vector<Seen> seen;
    int free_ones = 0;
    Load load(plan, [&](const Finished& f) {
        seen.push_back({f.sample, {}});
        if (f.sample.stream == 1 && ++free_ones == 10) release.set_value(); // else this would never end
    });
    load.run(Clock::now());
    ASSERT_EQ(seen.size(), 20U);
    for (const Seen& s : seen) {
        EXPECT_EQ(s.sample.outcome, Outcome::good);
        EXPECT_FALSE(s.sample.waited);
    }
}

TEST(ExperimentLoad, WhoFindsNoConnectionSaysSoAndTimesOutFromTheMomentItWasDue)
{
    test::Origin origin;
    origin.script([](const Message&) { return Reply::broken(Break::hang); });
    auto plan = plan_for(origin.port(), {get()});
    plan.connections = plan.most_connections = 1;
    plan.timeout = milliseconds(150);
    plan.schedule = every(milliseconds(40), 3);
    const auto seen = run(plan);
    ASSERT_EQ(seen.size(), 3U);
    for (const Seen& s : seen) {
        EXPECT_EQ(s.sample.outcome, Outcome::timed_out);
        EXPECT_GE(s.sample.latency(), plan.timeout);
    }
    EXPECT_FALSE(seen[0].sample.waited);
    EXPECT_TRUE(seen[1].sample.waited);
    EXPECT_TRUE(seen[2].sample.waited);
}

TEST(ExperimentLoad, StopsEarlyAndStillWaitsForWhatIsUnderWay)
{
    test::Origin origin;
    auto plan = plan_for(origin.port(), {get()});
    plan.schedule = every(milliseconds(1), 1'000'000); // a quarter of an hour
    std::size_t finished = 0;
    Load load(plan, [&](const Finished&) { ++finished; });
    std::thread stopper([&] {
        EXPECT_TRUE(test::eventually([&] { return load.started() > 20; }));
        load.stop();
    });
    load.run(Clock::now());
    stopper.join();
    EXPECT_EQ(finished, load.started());
    EXPECT_LT(finished, plan.schedule.size());
}

// --- Connections -----------------------------------------------------------------------------------------------------

TEST(ExperimentLoad, AKeptConnectionThatTheServerClosedIsReplaced)
{
    test::Origin origin;
    origin.script([](const Message&) {
        Reply reply = Reply::text("ok");
        reply.close_silently = true;
        return reply;
    });
    auto plan = plan_for(origin.port(), {get()});
    plan.connections = 1;
    plan.schedule = every(milliseconds(300), 4);
    for (const Seen& s : run(plan)) EXPECT_EQ(s.sample.outcome, Outcome::good);
    EXPECT_EQ(origin.connections(), 4U);
}

TEST(ExperimentLoad, NothingIsSentTwice)
{
    test::Origin origin;
    std::atomic<int> number = 0;
    origin.script(
        [&](const Message&) { return number++ % 2 == 0 ? Reply::text("ok") : Reply::broken(Break::close_unanswered); });
    auto plan = plan_for(origin.port(), {get()});
    plan.connections = plan.most_connections = 1;
    plan.schedule = every(milliseconds(5), 10);
    std::size_t broken = 0;
    for (const Seen& s : run(plan)) broken += s.sample.outcome == Outcome::broken ? 1U : 0U;
    EXPECT_EQ(broken, 5U);
    EXPECT_EQ(origin.seen(), 10U);
}

TEST(ExperimentLoad, ASecondAnswerBelongsToNoRequest)
{
    test::Origin origin;
    origin.script([](const Message& m) {
        const auto id = m.header("X-Request-Id").value_or("");
        const auto answer = "HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(id.size()) + "\r\n\r\n" + id;
        Reply reply;
        reply.raw = answer + answer;
        return reply;
    });
    auto plan = plan_for(origin.port(), {get("/", "t-0"), get("/", "t-1"), get("/", "t-2")});
    plan.connections = plan.most_connections = 1;
    plan.schedule = {{Nanos(0), 0}, {milliseconds(1), 1}, {milliseconds(2), 2}};
    const auto seen = run(plan);
    ASSERT_EQ(seen.size(), 3U);
    for (const Seen& s : seen) EXPECT_EQ(s.sample.outcome, Outcome::good);
}

TEST(ExperimentLoad, PreparesItsConnectionsAndUsesAllOfThem)
{
    test::Origin origin;
    auto plan = plan_for(origin.port(), {get()});
    plan.connections = 8;
    plan.schedule = every(milliseconds(2), 64);
    Load load(plan, [](const Finished&) {});
    load.run(Clock::now() + milliseconds(50));
    EXPECT_EQ(load.open_connections(), 8U);
    EXPECT_EQ(origin.connections(), 8U);
}

TEST(ExperimentLoad, ATargetThatComesUpAfterThePreparationIsNotRefused)
{
    test::Origin origin;
    origin.stop();
    auto plan = plan_for(origin.port(), {get()});
    plan.schedule = every(milliseconds(1), 10);
    std::vector<Seen> seen;
    Load load(plan, [&](const Finished& f) { seen.push_back({f.sample, {}}); });
    const auto start = Clock::now() + milliseconds(300);
    std::thread loader([&] { load.run(start); });
    EXPECT_TRUE(test::eventually([&] { return load.open_connections() == 0; }));
    origin.start();
    loader.join();
    ASSERT_EQ(seen.size(), 10U);
    for (const Seen& s : seen) EXPECT_EQ(s.sample.outcome, Outcome::good);
}

TEST(ExperimentLoad, OneRequestPerConnectionWhereThatIsWanted)
{
    test::Origin origin;
    auto plan = plan_for(origin.port(), {get()});
    plan.connections = 0;
    plan.most_connections = 30;
    plan.prefer_new = true;
    plan.schedule = every(milliseconds(1), 30);
    Load load(plan, [](const Finished& f) { EXPECT_EQ(f.sample.outcome, Outcome::good); });
    load.run(Clock::now());
    EXPECT_EQ(load.open_connections(), 30U);
    EXPECT_EQ(origin.connections(), 30U);
}

// --- Closed loop -----------------------------------------------------------------------------------------------------

TEST(ExperimentLoad, ClosedLoopKeepsEveryConnectionBusy)
{
    test::Origin origin;
    auto plan = plan_for(origin.port(), {get()});
    plan.duration = milliseconds(100);
    const auto seen = run(plan);
    EXPECT_GT(seen.size(), 8U);
    EXPECT_EQ(origin.connections(), 4U);
    EXPECT_EQ(origin.seen(), seen.size());
    for (const Seen& s : seen) {
        EXPECT_EQ(s.sample.outcome, Outcome::good);
        EXPECT_LT(s.sample.due, plan.duration);
    }
}

TEST(ExperimentLoad, ClosedLoopAgainstAClosedPortDoesNotSpin)
{
    auto plan = plan_for(closed_port(), {get()});
    plan.duration = milliseconds(50);
    const auto seen = run(plan);
    EXPECT_GT(seen.size(), 0U);
    EXPECT_LT(seen.size(), 4U * 60U); // each connection tries again once a millisecond
    for (const Seen& s : seen) EXPECT_EQ(s.sample.outcome, Outcome::refused);
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
