// The backend service over its two listeners: every request, every fault, every validation rule.
#include "common/backend/service.hpp"
#include "common/storage/sqlite.hpp"

#include "tests/support/raw_client.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <ctime>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::backend {
namespace TEST_FILE {

using test::Answer;
using test::RawClient;

/// A service on a thread of its own.
class Running {
public:
    explicit Running(const std::string& data, std::string name = "primary", Mode fail_mode = Mode::error,
                     std::string ledger = {})
        : service_(io_, settings(data, std::move(name), fail_mode, std::move(ledger)), [this] { crashed_ = true; }),
          thread_([this] { io_.run(); })
    {
    }
    ~Running()
    {
        asio::post(io_, [this] { service_.stop(); });
        thread_.join();
    }

    std::uint16_t port() const noexcept { return port_; }
    std::uint16_t control_port() const noexcept { return control_port_; }
    bool crashed() const noexcept { return crashed_; }

private:
    static Settings settings(const std::string& data, std::string name, Mode fail_mode, std::string ledger)
    {
        Settings out;
        out.role = "primary";
        out.name = std::move(name);
        out.data = data;
        out.version = "v7";
        out.fail_mode = fail_mode;
        out.ledger = std::move(ledger);
        out.drain = seconds(1);
        return out;
    }

    asio::io_context io_{1};
    std::atomic<bool> crashed_ = false;
    Service service_;
    // The service belongs to its thread from now on; these are the test's.
    const std::uint16_t port_ = service_.port();
    const std::uint16_t control_port_ = service_.control_port();
    std::thread thread_;
};

class BackendTest : public testing::Test {
protected:
    Answer get(const std::string& target) { return test::get(service_.port(), target); }
    Answer post(const std::string& target, const std::string& body = {})
    {
        return test::post(service_.port(), target, body);
    }
    Answer put(const std::string& target, const std::string& body, const std::vector<test::Header>& headers = {})
    {
        return test::request(service_.port(), "PUT", target, headers, body);
    }
    Answer del(const std::string& target, const std::vector<test::Header>& headers = {})
    {
        return test::request(service_.port(), "DELETE", target, headers);
    }
    void expect_problem(const Answer& answer, int status)
    {
        EXPECT_EQ(answer.status(), status) << answer.message.body;
        EXPECT_EQ(answer.message.header("Content-Type"), "application/problem+json");
        const auto body = answer.json();
        ASSERT_TRUE(body.is_object());
        EXPECT_EQ(body["status"], status);
        EXPECT_EQ(body["error"], body["detail"]);
        EXPECT_FALSE(body["title"].get<std::string>().empty());
        EXPECT_EQ(answer.message.header("X-Request-Id"), body["request_id"].get<std::string>());
    }
    void expect_field_problem(const Answer& answer, const std::string& field)
    {
        expect_problem(answer, 422);
        EXPECT_EQ(answer.json()["field"], field);
        EXPECT_NE(answer.json()["detail"].get<std::string>().find(field), std::string::npos);
    }
    void expect_recovers()
    {
        EXPECT_EQ(post("/recover").status(), 200);
        EXPECT_EQ(get("/data").status(), 200);
        EXPECT_EQ(get("/health").status(), 200);
    }

    test::TempDir directory_;
    std::string data_ = (directory_.path() / "data.sqlite").string();
    Running service_{data_};
};

TEST_F(BackendTest, AnswersData)
{
    for (const char* path : {"/data", "/api/data"}) {
        const auto answer = get(path);
        EXPECT_EQ(answer.status(), 200);
        EXPECT_TRUE(answer.message.body.starts_with(
            "{\"service\":\"primary\",\"role\":\"primary\",\"status\":\"ok\",\"data\":{"))
            << answer.message.body;
        const auto timestamp = answer.json()["timestamp"].get<std::string>();
        EXPECT_EQ(timestamp.size(), std::string("2026-02-03T04:05:06.789Z").size());
        EXPECT_EQ(timestamp.back(), 'Z');
    }
}

TEST_F(BackendTest, AnswersHealthInEveryonesWords)
{
    const auto health = get("/health");
    EXPECT_EQ(health.status(), 200);
    EXPECT_EQ(health.json()["service"], "primary");
    EXPECT_EQ(health.json()["status"], "healthy");
    EXPECT_EQ(health.json()["version"], "v7");
    EXPECT_GE(health.json()["uptime_s"].get<double>(), 0);
    for (const char* path : {"/livez", "/readyz", "/healthz"}) {
        EXPECT_EQ(get(path).status(), 200);
        EXPECT_EQ(get(path).message.body, "ok\n");
    }
}

TEST_F(BackendTest, AnswersRoot)
{
    const auto body = get("/").json();
    EXPECT_EQ(body["version"], "v7");
    EXPECT_EQ(body["load"], "%0");
    EXPECT_TRUE(body["message"].is_string());
}

TEST_F(BackendTest, RefusesWhatItDoesNotServe)
{
    expect_problem(get("/nothing"), 404);
    expect_problem(get("/data/a/b"), 404);
    const auto wrong = post("/data");
    expect_problem(wrong, 405);
    EXPECT_EQ(wrong.message.header("Allow"), "OPTIONS, GET, HEAD");
    EXPECT_EQ(get("/fail").message.header("Allow"), "OPTIONS, POST");
    EXPECT_EQ(test::request(service_.port(), "OPTIONS", "/data/x").message.header("Allow"),
              "OPTIONS, GET, HEAD, PUT, DELETE");
}

TEST_F(BackendTest, KeepsDocuments)
{
    expect_problem(get("/data/a"), 404);
    const auto created = put("/data/a", R"({"x":1})");
    EXPECT_EQ(created.status(), 201);
    EXPECT_EQ(created.message.header("Location"), "/data/a");
    const auto tag = created.message.header("ETag");
    ASSERT_TRUE(tag);

    const auto read = get("/data/a");
    EXPECT_EQ(read.status(), 200);
    EXPECT_EQ(read.message.body, R"({"x":1})");
    EXPECT_EQ(read.message.header("Content-Type"), "application/json");
    EXPECT_EQ(read.message.header("ETag"), tag);

    const auto replaced = put("/data/a", "[2]");
    EXPECT_EQ(replaced.status(), 200);
    EXPECT_NE(replaced.message.header("ETag"), tag);
    EXPECT_EQ(del("/data/a").status(), 204);
    expect_problem(del("/data/a"), 404);
}

TEST_F(BackendTest, HonoursPreconditions)
{
    expect_problem(put("/data/a", "1", {{"If-Match", "*"}}), 412);
    const auto first = *put("/data/a", "1", {{"If-None-Match", "*"}}).message.header("ETag");
    expect_problem(put("/data/a", "2", {{"If-None-Match", "*"}}), 412);
    const auto second = *put("/data/a", "2", {{"If-Match", "\"x\", " + first}}).message.header("ETag");
    expect_problem(put("/data/a", "3", {{"If-Match", first}}), 412);
    expect_problem(del("/data/a", {{"If-Match", first}}), 412);
    EXPECT_EQ(get("/data/a").message.body, "2");

    const auto unchanged = test::request(service_.port(), "GET", "/data/a", {{"If-None-Match", second}});
    EXPECT_EQ(unchanged.status(), 304);
    EXPECT_EQ(unchanged.message.header("ETag"), second);
    expect_problem(test::request(service_.port(), "GET", "/data/a", {{"If-Match", first}}), 412);
    expect_problem(put("/data/a", "3", {{"If-Match", "unquoted"}}), 400);

    EXPECT_EQ(del("/data/a", {{"If-Match", second}}).status(), 204);
    EXPECT_EQ(put("/data/a", "1").status(), 201);
    // A tag never comes back, not even for the same bytes.
    expect_problem(put("/data/a", "2", {{"If-Match", first}}), 412);
}

TEST_F(BackendTest, ValidatesDocuments)
{
    const auto malformed = put("/data/a", "{\"x\":\n oops}");
    expect_problem(malformed, 400);
    EXPECT_EQ(malformed.json()["line"], 2);
    expect_problem(put("/data/a", ""), 400);
    for (const std::string& text : {std::string(R"({"a":1,"a":2})"), std::string(R"({"b":{"a":1,"a":1}})"),
                                    std::string("{}\0", 3), std::string("{}\0{}", 5), std::string("{} {}")})
        expect_problem(put("/data/a", text), 400);
    EXPECT_EQ(get("/data/a").status(), 404);
    expect_problem(put("/data/a", "\"" + std::string(1024 * 1024, 'x') + "\""), 413);
    EXPECT_EQ(put("/data/a", "\"" + std::string(1024 * 1024 - 2, 'x') + "\"").status(), 201) << "exactly the limit";
    for (const char* key : {"a%20b", "%2e%2e", "a%2Fb", "%C3%A9"})
        expect_field_problem(put(std::string("/data/") + key, "1"), "key");
    expect_field_problem(get("/data/" + std::string(256, 'k')), "key");
    EXPECT_EQ(put("/data/" + std::string(255, 'k'), "1").status(), 201);
    EXPECT_EQ(put("/data/A-z_0.9:~", "1").status(), 201);
}

TEST_F(BackendTest, SharesDocumentsWithItsSpare)
{
    const auto tag = put("/data/a", "1").message.header("ETag");
    const Running spare(data_, "spare");
    EXPECT_EQ(test::get(spare.port(), "/data/a").message.body, "1");
    EXPECT_EQ(test::get(spare.port(), "/data/a").message.header("ETag"), tag);
}

TEST_F(BackendTest, AnswersNothingGoodWhileTheStoreIsLocked)
{
    auto other = storage::Database::open(data_, seconds(1));
    {
        const auto transaction = storage::Transaction::begin(*other);
        const auto answer = put("/data/a", "1");
        expect_problem(answer, 503);
        EXPECT_EQ(answer.message.header("Retry-After"), "1");
        EXPECT_EQ(get("/data").status(), 200) << "the event loop does not wait for the store";
    }
    expect_problem(get("/data/a"), 404);
    EXPECT_EQ(put("/data/a", "1").status(), 201);
}

// --- Faults ----------------------------------------------------------------------------------------------------------

TEST_F(BackendTest, ErrorIsTheDefaultFault)
{
    EXPECT_EQ(post("/fail").status(), 200);
    expect_problem(get("/data"), 503);
    expect_problem(put("/data/a", "1"), 503);
    for (const char* path : {"/", "/metrics", "/livez", "/readyz", "/nothing"})
        EXPECT_EQ(get(path).status(), 503) << path;
    const auto health = get("/health");
    EXPECT_EQ(health.status(), 503);
    EXPECT_EQ(health.json()["service"], "primary");
    EXPECT_EQ(health.json()["status"], "unhealthy");
    expect_recovers();
    expect_problem(get("/data/a"), 404);
}

TEST_F(BackendTest, HangNeverAnswersButRecovers)
{
    EXPECT_EQ(post("/fail?mode=hang").status(), 200);
    RawClient data(service_.port()), health(service_.port());
    data.send("GET /data HTTP/1.1\r\nHost: a\r\n\r\n");
    health.send("GET /health HTTP/1.1\r\nHost: a\r\n\r\n");
    EXPECT_EQ(data.read_response(milliseconds(100)).end, Answer::End::timed_out);
    EXPECT_EQ(health.read_response(milliseconds(1)).end, Answer::End::timed_out);
    EXPECT_EQ(test::get(service_.control_port(), "/data").status(), 200);
    EXPECT_EQ(post("/simulate/reset").status(), 200);
    EXPECT_EQ(data.read_response().end, Answer::End::closed) << "what was hung is never answered";
    expect_recovers();
}

TEST_F(BackendTest, SlowAddsItsDelayToEveryAnswer)
{
    ASSERT_EQ(post("/fail", R"({"mode":"slow","delay":"80ms"})").status(), 200);
    for (const char* path : {"/data", "/health"}) {
        const auto before = Clock::now();
        EXPECT_EQ(get(path).status(), 200);
        EXPECT_GE(Clock::now() - before, milliseconds(80));
    }
    expect_recovers();
}

TEST_F(BackendTest, ResetCutsTheAnswerWithRst)
{
    ASSERT_EQ(post("/fail?mode=reset").status(), 200);
    const auto answer = get("/data");
    EXPECT_EQ(answer.end, Answer::End::reset);
    ASSERT_EQ(post("/fail", R"({"mode":"reset","bytes":0})").status(), 200);
    const auto nothing = get("/health");
    EXPECT_EQ(nothing.end, Answer::End::reset);
    EXPECT_EQ(nothing.message.start_line, "");
    expect_recovers();
}

TEST_F(BackendTest, TruncateEndsTheBodyEarly)
{
    ASSERT_EQ(post("/fail?mode=truncate").status(), 200);
    const auto answer = get("/data");
    EXPECT_EQ(answer.end, Answer::End::closed);
    EXPECT_EQ(answer.status(), 200);
    const auto promised = std::stoul(*answer.message.header("Content-Length"));
    EXPECT_GT(answer.message.body_bytes, 0u);
    EXPECT_LT(answer.message.body_bytes, promised);
    expect_recovers();
}

TEST_F(BackendTest, ATruncatedWriteWasMade)
{
    ASSERT_EQ(post("/fail?mode=truncate").status(), 200);
    EXPECT_FALSE(put("/data/a", "1").complete());
    expect_recovers();
    EXPECT_EQ(get("/data/a").message.body, "1");
}

TEST_F(BackendTest, CorruptAnswersAWrongBody)
{
    const auto right = get("/data").message.body;
    ASSERT_EQ(post("/fail?mode=corrupt").status(), 200);
    const auto answer = get("/data");
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.message.body.size(), right.size());
    EXPECT_TRUE(answer.json().is_discarded()) << answer.message.body;
    EXPECT_TRUE(get("/health").json().is_discarded());
    expect_recovers();
}

TEST_F(BackendTest, RefuseClosesThePortUntilTheControlListenerIsAsked)
{
    RawClient idle(service_.port());
    idle.send("GET /data HTTP/1.1\r\nHost: a\r\n\r\n");
    ASSERT_EQ(idle.read_response().status(), 200);
    ASSERT_EQ(post("/fail?mode=refuse").status(), 200);
    EXPECT_THROW(RawClient{service_.port()}, std::system_error);
    EXPECT_TRUE(idle.closed_by_peer());
    EXPECT_EQ(test::get(service_.control_port(), "/health").json()["fault"]["mode"], "refuse");
    EXPECT_EQ(test::post(service_.control_port(), "/recover").status(), 200);
    expect_recovers();
}

TEST_F(BackendTest, RecoverySaysSoWhenThePortWasTaken)
{
    ASSERT_EQ(post("/fail?mode=refuse").status(), 200);
    {
        const auto thief = test::listen_loopback(service_.port());
        expect_problem(test::post(service_.control_port(), "/recover"), 503);
    }
    EXPECT_TRUE(test::eventually([&] { return get("/data").status() == 200; })) << "it keeps trying";
}

TEST_F(BackendTest, FlapAlternates)
{
    ASSERT_EQ(post("/fail", R"({"mode":"flap","period":"40ms"})").status(), 200);
    for (int turn = 0; turn < 2; ++turn) {
        EXPECT_TRUE(test::eventually([&] { return get("/health").status() == 503; }));
        EXPECT_TRUE(test::eventually([&] { return get("/health").status() == 200; }));
    }
    expect_recovers();
}

TEST_F(BackendTest, CpuBurnsForReal)
{
    const auto load = [&] { return test::get(service_.control_port(), "/").json()["load"]; };
    const auto answer = post("/simulate/cpu/50");
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(load(), "%50");
    const auto before = std::clock();
    EXPECT_TRUE(
        test::eventually([&] { return std::clock() - before > CLOCKS_PER_SEC / 5; }, test::patience, milliseconds(20)));
    EXPECT_EQ(get("/health").status(), 200);
    EXPECT_EQ(post("/simulate/cpu/0").status(), 200);
    EXPECT_EQ(load(), "%0");
    ASSERT_EQ(post("/fail?mode=cpu&load=30").status(), 200);
    EXPECT_EQ(load(), "%30");
    expect_recovers();
    EXPECT_EQ(load(), "%0");
    for (const char* path : {"/simulate/cpu/101", "/simulate/cpu/-1", "/simulate/cpu/x"})
        expect_field_problem(post(path), "load");
}

TEST_F(BackendTest, CpuAnswersAsAnOverloadedServerDoes)
{
    ASSERT_EQ(post("/simulate/cpu/4").status(), 200);
    const auto begun = Clock::now();
    EXPECT_EQ(get("/").status(), 200);
    EXPECT_GE(Clock::now() - begun, milliseconds(200));

    ASSERT_EQ(post("/simulate/cpu/100").status(), 200);
    const std::string head = " HTTP/1.1\r\nHost: a\r\n\r\n";
    RawClient page(service_.port());
    RawClient health(service_.port());
    page.send("GET /" + head);
    health.send("GET /health" + head);
    EXPECT_EQ(get("/data").status(), 200) << "what waits holds nothing else up";
    EXPECT_EQ(health.read_some(1, milliseconds(300)), "");
    EXPECT_EQ(page.read_some(1, milliseconds(0)), "");

    // The end of the fault ends what it delays.
    const auto recovered = Clock::now();
    EXPECT_EQ(post("/simulate/reset").status(), 200);
    EXPECT_EQ(page.read_response().status(), 200);
    EXPECT_EQ(health.read_response().status(), 200);
    EXPECT_LT(Clock::now() - recovered, seconds(1));
}

TEST_F(BackendTest, CorruptionAnswersDataErr)
{
    ASSERT_EQ(post("/simulate/corruption").status(), 200);
    for (const char* path : {"/", "/data"}) {
        const auto data = get(path);
        expect_problem(data, 500);
        EXPECT_EQ(data.json()["detail"], "DATA_ERR");
        EXPECT_EQ(data.json()["code"], "DATA_ERR");
        EXPECT_NE(data.json()["message"].get<std::string>().find("/simulate/reset"), std::string::npos);
    }
    EXPECT_EQ(get("/health").status(), 503);
    EXPECT_EQ(get("/health").json()["status"], "unhealthy");
    EXPECT_EQ(post("/simulate/reset").status(), 200);
    expect_recovers();
}

TEST_F(BackendTest, CrashAnswersFirst)
{
    const auto answer = post("/fail?mode=crash");
    EXPECT_EQ(answer.status(), 200);
    EXPECT_TRUE(answer.complete());
    EXPECT_EQ(answer.json()["mode"], "crash");
    EXPECT_TRUE(test::eventually([&] { return service_.crashed(); }));
}

TEST_F(BackendTest, FailModeOfTheSettingsIsTheDefault)
{
    const Running crashing((directory_.path() / "other.sqlite").string(), "v1", Mode::crash);
    EXPECT_EQ(test::post(crashing.port(), "/fail").status(), 200);
    EXPECT_TRUE(test::eventually([&] { return crashing.crashed(); }));
}

TEST_F(BackendTest, AFaultEndsByItself)
{
    ASSERT_EQ(post("/fail", R"({"mode":"refuse","for":"50ms"})").status(), 200);
    EXPECT_TRUE(test::eventually([&] { return get("/data").status() == 200; }));
    ASSERT_EQ(post("/fail", R"({"mode":"hang","for":"50ms"})").status(), 200);
    EXPECT_EQ(get("/data").end, Answer::End::closed);
    EXPECT_EQ(get("/data").status(), 200);
}

TEST_F(BackendTest, AFaultHitsTheFractionThatWasAsked)
{
    ASSERT_EQ(post("/fail", R"({"mode":"error","rate":0.5})").status(), 200);
    int failed = 0;
    for (int i = 0; i < 200; ++i) failed += get("/data").status() == 503;
    EXPECT_GT(failed, 50);
    EXPECT_LT(failed, 150);
    expect_recovers();
}

TEST_F(BackendTest, ValidatesFaults)
{
    const auto malformed = post("/fail", R"({"mode":)");
    expect_problem(malformed, 400);
    EXPECT_EQ(malformed.json()["line"], 1);
    expect_problem(post("/fail", "[]"), 422);
    expect_field_problem(post("/fail?mode=explode"), "mode");
    expect_field_problem(post("/fail", R"({"for":"soon"})"), "for");
    expect_field_problem(post("/fail", R"({"rate":2})"), "rate");
    expect_field_problem(post("/fail", R"({"modus":"error"})"), "modus");
    EXPECT_EQ(get("/data").status(), 200) << "nothing of that made it fail";
}

TEST_F(BackendTest, CountsRequests)
{
    get("/data");
    get("/data");
    get("/nothing");
    put("/data/a", "1");
    const auto answer = get("/metrics");
    EXPECT_TRUE(answer.message.header("Content-Type")->starts_with("text/plain; version=0.0.4"));
    const auto& text = answer.message.body;
    EXPECT_NE(text.find("hotspare_backend_requests_total{path=\"/data\",method=\"GET\",code=\"200\"} 2\n"),
              std::string::npos);
    EXPECT_NE(text.find("hotspare_backend_requests_total{path=\"other\",method=\"GET\",code=\"404\"} 1\n"),
              std::string::npos);
    EXPECT_NE(text.find("hotspare_backend_requests_total{path=\"/data/{key}\",method=\"PUT\",code=\"201\"} 1\n"),
              std::string::npos);
    EXPECT_NE(text.find("hotspare_backend_fault{mode=\"error\"} 0\n"), std::string::npos);
}

TEST_F(BackendTest, EchoesWhatItGot)
{
    const auto answer =
        test::request(service_.port(), "POST", "/echo", {{"Content-Type", "text/x-order"}}, "one, please");
    EXPECT_EQ(answer.status(), 200);
    EXPECT_EQ(answer.message.body, "one, please");
    EXPECT_EQ(answer.message.header("Content-Type"), "text/x-order");
}

TEST_F(BackendTest, WritesDownWhatItExecutesAndNothingElse)
{
    const auto ledger = (directory_.path() / "ledger").string();
    const auto lines = [&] {
        std::ifstream in(ledger);
        return std::string(std::istreambuf_iterator<char>(in), {});
    };
    Running counting(data_, "counting", Mode::error, ledger);
    const auto request = [&](const std::string& method, const std::string& target, const std::string& id) {
        return test::request(counting.port(), method, target, {{"X-Request-Id", id}}, target == "/echo" ? "x" : "")
            .status();
    };
    EXPECT_EQ(request("POST", "/echo", "a-1"), 200);
    EXPECT_EQ(lines(), "a-1 POST /echo\n") << "before the answer";
    EXPECT_EQ(request("GET", "/health", "a-2"), 200);
    EXPECT_EQ(request("POST", "/fail?mode=error", "a-3"), 200);
    EXPECT_EQ(request("GET", "/data", "a-4"), 503);
    EXPECT_EQ(request("POST", "/recover", "a-5"), 200);
    EXPECT_EQ(request("POST", "/fail?mode=truncate", "a-6"), 200);
    request("POST", "/echo", "a-7"); // executed, though the client gets no complete answer
    EXPECT_EQ(request("POST", "/recover", "a-8"), 200);
    EXPECT_EQ(request("GET", "/data?x=1", "a-9"), 200);
    EXPECT_EQ(lines(), "a-1 POST /echo\na-7 POST /echo\na-9 GET /data?x=1\n");
}

TEST_F(BackendTest, EndsWhileItHangs)
{
    RawClient hung(service_.port());
    ASSERT_EQ(post("/fail?mode=hang").status(), 200);
    hung.send("GET /data HTTP/1.1\r\nHost: a\r\n\r\n");
    // ~Running stops the service and joins its thread: it must not wait for the client that hangs.
}

TEST(BackendStart, RefusesABusyPort)
{
    const auto busy = test::listen_loopback(0);
    const test::TempDir directory;
    asio::io_context io;
    Settings settings;
    settings.data = (directory.path() / "data.sqlite").string();
    settings.port = test::local_port(busy);
    EXPECT_THROW(Service(io, settings, [] {}), UsageError);
    settings.port = 0;
    settings.control_port = test::local_port(busy);
    EXPECT_THROW(Service(io, settings, [] {}), UsageError);
    settings.control_port = 0;
    settings.ledger = "/nowhere/ledger";
    EXPECT_THROW(Service(io, settings, [] {}), UsageError);
    settings.host = "not-an-address";
    EXPECT_THROW(Service(io, settings, [] {}), UsageError);
}

} // namespace TEST_FILE
} // namespace hotspare::backend
