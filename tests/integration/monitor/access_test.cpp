// The authenticator over a real event loop, and behind a real server with the guard in front of it, as the daemon has
// it.
#include "common/http/caller.hpp"
#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/notify/mail.hpp"
#include "common/task_group.hpp"
#include "monitor/access/authenticator.hpp"

#include "tests/support/raw_client.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/use_future.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <exception>
#include <future>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
namespace asio = boost::asio;

/// A real hash is not needed where the test says what matches.
std::vector<UserSettings> two_users()
{
    return {{"ann", "hash of ann"}, {"bob", "hash of bob"}};
}

std::string basic(const std::string& credentials)
{
    return "Basic " + notify::base64(credentials);
}

/// "200 ann" or the status of the refusal.
std::string text_of(const Entry& entry)
{
    return entry.refusal ? std::to_string(entry.refusal->result_int()) : "200 " + entry.user;
}

/// A authenticator whose event loop the test runs, and whose clock and passwords the test has.
class Access : public testing::Test {
protected:
    /// A request under way.
    struct Visit {
        http::Request request;
        std::optional<Entry> entry;
    };

    AuthenticatorOptions options()
    {
        AuthenticatorOptions out;
        out.on_failure = [this](const FailedLogin& failure) { failures.push_back(failure); };
        out.matches = [this](std::string_view hash, std::string_view password) {
            if (held.valid()) held.wait();
            const std::lock_guard lock(mutex);
            compared.emplace_back(hash);
            if (failing > 0 && failing-- > 0) throw std::bad_alloc();
            return hash == "hash of " + std::string(password.substr(0, password.find('-')));
        };
        return out;
    }

    /// Makes a request. `authorization` is the whole field; none if empty.
    Visit& visit_with(const std::string& authorization, const std::string& address)
    {
        Visit& visit = visits.emplace_back();
        visit.request.id = "r1";
        visit.request.peer = {asio::ip::make_address(address), 4711};
        if (!authorization.empty()) visit.request.set(http::field::authorization, authorization);
        return visit;
    }
    Visit& send(const std::string& authorization, const std::string& address = "192.0.2.1")
    {
        Visit& visit = visit_with(authorization, address);
        const auto done = [&visit](std::exception_ptr error, Entry entry) {
            if (error) std::rethrow_exception(error);
            visit.entry = std::move(entry);
        };
        asio::co_spawn(io, authenticator->enter(visit.request, now), done);
        return visit;
    }
    asio::awaitable<void> enter(Visit& visit)
    {
        auto entry = co_await authenticator->enter(visit.request, now);
        visit.entry = std::move(entry);
    }
    /// Sends credentials, "user:password-more", and waits for the answer. The password of ann is "ann", followed by '-'
    /// and anything.
    Entry log_in(const std::string& credentials, const std::string& address = "192.0.2.1")
    {
        Visit& visit = send(basic(credentials), address);
        run();
        return *visit.entry;
    }
    void run()
    {
        io.restart();
        io.run();
    }
    /// Lets everything come as far as it can while the authenticator's thread stands still.
    void run_up_to_the_looks()
    {
        io.restart();
        io.poll();
    }

    std::size_t looks()
    {
        const std::lock_guard lock(mutex);
        return compared.size();
    }
    std::map<std::string, int> outcomes() const
    {
        std::map<std::string, int> out;
        for (const Visit& visit : visits) ++out[visit.entry ? text_of(*visit.entry) : "no answer"];
        return out;
    }

    TimePoint now{Duration(1h)};
    std::list<Visit> visits;
    std::vector<FailedLogin> failures;
    std::mutex mutex;
    std::vector<std::string> compared; ///< the hashes, one for each look
    int failing = 0;                   ///< looks that find no memory
    std::shared_future<void> held;     ///< looks wait for it
    asio::io_context io{1};
    std::unique_ptr<Authenticator> authenticator =
        std::make_unique<Authenticator>(io, two_users(), "monitor", options());
};

TEST_F(Access, LetsAUserWithTheRightPasswordIn)
{
    EXPECT_EQ(text_of(log_in("ann:ann")), "200 ann");
    EXPECT_EQ(text_of(log_in("bob:bob")), "200 bob");
    EXPECT_TRUE(failures.empty());
}

TEST_F(Access, AsksForALogin)
{
    Visit& visit = send("");
    run();
    ASSERT_TRUE(visit.entry->refusal);
    const auto& response = *visit.entry->refusal;
    EXPECT_EQ(response.result_int(), 401U);
    EXPECT_EQ(response.header("WWW-Authenticate"), R"(Basic realm="monitor", charset="UTF-8")");
    EXPECT_EQ(response.header("Content-Type"), "application/problem+json");
    EXPECT_EQ(response.header("Cache-Control"), "no-store");
    EXPECT_EQ(nlohmann::json::parse(response.body()).at("request_id"), "r1");
    EXPECT_EQ(looks(), 0U);
    EXPECT_TRUE(failures.empty());
}

TEST_F(Access, AnswersAnUnknownUserAsItDoesAWrongPassword)
{
    const auto wrong = log_in("ann:bob");
    const auto unknown = log_in("eve:ann");
    ASSERT_TRUE(wrong.refusal && unknown.refusal);
    EXPECT_EQ(wrong.refusal->result_int(), 401U);
    EXPECT_EQ(http::serialize(*wrong.refusal), http::serialize(*unknown.refusal));
    EXPECT_EQ(wrong.refusal->header("WWW-Authenticate"), R"(Basic realm="monitor", charset="UTF-8")");

    ASSERT_EQ(compared.size(), 2U) << "both cost a look";
    EXPECT_EQ(compared[0], "hash of ann");
    EXPECT_TRUE(is_password_hash(compared[1])) << "which takes as long as that of a user's";

    ASSERT_EQ(failures.size(), 2U);
    EXPECT_EQ(failures[0].user, "ann");
    EXPECT_EQ(failures[0].address, "192.0.2.1");
    EXPECT_EQ(failures[0].reason, "wrong password");
    EXPECT_EQ(failures[1].user, "eve");
    EXPECT_EQ(failures[1].reason, "unknown user");
}

TEST_F(Access, DoesNotLookAtWhatIsMalformed)
{
    std::vector<Visit*> sent;
    for (int i = 0; i < 20; ++i) {
        sent.push_back(&send("Basic ===="));
        sent.push_back(&send("Bearer abc"));
        sent.push_back(&send(basic("ann:" + std::string(1025, 'x'))));
    }
    Visit& twice = send(basic("ann:ann"));
    twice.request.insert(http::field::authorization, basic("bob:bob"));
    run();
    for (const Visit* visit : sent) EXPECT_EQ(text_of(*visit->entry), "401");
    EXPECT_EQ(text_of(*twice.entry), "401");
    EXPECT_EQ(looks(), 0U);
    EXPECT_TRUE(failures.empty());
    EXPECT_EQ(text_of(log_in("ann:ann")), "200 ann") << "no try was counted";
}

TEST_F(Access, MakesAnAddressPauseAfterThreeFailures)
{
    for (const auto* const guess : {"ann:a", "ann:b", "eve:c"}) EXPECT_EQ(text_of(log_in(guess)), "401");
    EXPECT_EQ(failures.back().reason, "unknown user, next login accepted in 1s");
    now += 100ms;
    const auto refused = log_in("ann:ann");
    ASSERT_TRUE(refused.refusal);
    EXPECT_EQ(refused.refusal->result_int(), 429U);
    EXPECT_EQ(refused.refusal->header("Retry-After"), "1");
    EXPECT_EQ(refused.refusal->header("WWW-Authenticate"), "");
    EXPECT_EQ(looks(), 3U) << "not even the right password is looked at";
    EXPECT_EQ(failures.size(), 4U) << "the first one that is refused unchecked";
    EXPECT_EQ(text_of(log_in("ann:ann", "192.0.2.2")), "200 ann") << "another address";
    EXPECT_EQ(text_of(log_in("ann:ann-", "::ffff:192.0.2.1")), "429") << "the same one, mapped";

    now += 10s;
    EXPECT_EQ(text_of(log_in("ann:d")), "401");
    EXPECT_EQ(failures.back().reason, "wrong password, next login accepted in 2s");
    now += 500ms;
    EXPECT_EQ(log_in("ann:ann").refusal->header("Retry-After"), "2");
    now += 10s;
    EXPECT_EQ(text_of(log_in("bob:bob")), "200 bob");
    for (const auto* const guess : {"ann:a", "ann:b"}) EXPECT_EQ(text_of(log_in(guess)), "401");
    EXPECT_EQ(text_of(log_in("ann:ann")), "200 ann") << "the success of bob has cleared the failures";
}

TEST_F(Access, LooksAtTheSameCredentialsOnceInFiveMinutes)
{
    for (int i = 0; i < 100; ++i) EXPECT_EQ(text_of(log_in("ann:ann")), "200 ann");
    EXPECT_EQ(looks(), 1U);
    EXPECT_EQ(text_of(log_in("ann:ann", "2001:db8::1")), "200 ann") << "from anywhere";
    EXPECT_EQ(text_of(log_in("bob:bob")), "200 bob");
    EXPECT_EQ(looks(), 2U);
    EXPECT_EQ(text_of(log_in("bob:ann")), "401");
    EXPECT_EQ(text_of(log_in("ann:bob")), "401");
    EXPECT_EQ(looks(), 4U) << "what is remembered is the pair";
    now += 4min;
    EXPECT_EQ(text_of(log_in("ann:ann")), "200 ann");
    EXPECT_EQ(looks(), 4U);
    now += 2min;
    EXPECT_EQ(text_of(log_in("ann:ann")), "200 ann");
    EXPECT_EQ(looks(), 5U);
}

TEST_F(Access, TellsNoRightGuessFromMemoryInAPause)
{
    EXPECT_EQ(text_of(log_in("ann:ann", "192.0.2.9")), "200 ann");
    for (const auto* const guess : {"ann:a", "ann:b", "ann:c"}) log_in(guess);
    EXPECT_EQ(text_of(log_in("ann:ann")), "429");
    EXPECT_EQ(text_of(log_in("ann:ann", "192.0.2.9")), "200 ann");
}

TEST_F(Access, ReportsTheFirstLoginThatIsRefusedInAPause)
{
    for (const auto* const guess : {"ann:a", "ann:b", "ann:c"}) EXPECT_EQ(text_of(log_in(guess)), "401");
    ASSERT_EQ(failures.size(), 3U);
    for (int i = 0; i < 20; ++i) EXPECT_EQ(text_of(log_in(fmt::format("eve:{}", i))), "429");
    ASSERT_EQ(failures.size(), 4U) << "one for each pause";
    EXPECT_EQ(failures[3].user, "eve");
    EXPECT_EQ(failures[3].address, "192.0.2.1");
    EXPECT_NE(failures[3].reason.find("refused unchecked"), std::string::npos) << failures[3].reason;
    now += 10s;
    EXPECT_EQ(text_of(log_in("ann:d")), "401");
    EXPECT_EQ(text_of(log_in("ann:e")), "429");
    EXPECT_EQ(failures.size(), 6U);
}

TEST_F(Access, DoesNotClearFailuresByALoginFromMemory)
{
    EXPECT_EQ(text_of(log_in("bob:bob")), "200 bob");
    for (const auto* const guess : {"ann:a", "ann:b", "ann:c"}) {
        EXPECT_EQ(text_of(log_in(guess)), "401");
        if (failures.size() == 3) break;
        EXPECT_EQ(text_of(log_in("bob:bob")), "200 bob");
    }
    EXPECT_EQ(text_of(log_in("ann:d")), "429");
}

TEST_F(Access, LooksAtThreeOfAHundredGuessesAtTheSameTime)
{
    std::promise<void> release;
    held = release.get_future().share();
    for (int i = 0; i < 100; ++i) send(basic(fmt::format("ann:guess-{}", i)));
    run_up_to_the_looks();
    release.set_value();
    run();
    EXPECT_EQ(looks(), 3U);
    EXPECT_EQ(outcomes(), (std::map<std::string, int>{{"401", 3}, {"429", 97}}));
    EXPECT_EQ(failures.size(), 3U);
}

TEST_F(Access, BoundsTheGuessesThatWait)
{
    std::promise<void> release;
    held = release.get_future().share();
    for (int i = 0; i < 100; ++i) send(basic("ann:guess"), fmt::format("192.0.2.{}", i));
    run_up_to_the_looks();
    const auto waiting = std::count_if(visits.begin(), visits.end(), [](const Visit& v) { return !v.entry; });
    EXPECT_EQ(waiting, 9) << "one is looked at and eight wait";
    for (const Visit& visit : visits) {
        if (!visit.entry) continue;
        EXPECT_EQ(visit.entry->refusal->header("Retry-After"), "1");
    }
    release.set_value();
    run();
    EXPECT_EQ(looks(), 9U);
    EXPECT_EQ(outcomes(), (std::map<std::string, int>{{"401", 9}, {"503", 91}}));
}

TEST_F(Access, LooksOnceAtTheSameCredentialsAtTheSameTime)
{
    std::promise<void> release;
    held = release.get_future().share();
    for (int i = 0; i < 100; ++i) send(basic("ann:ann"));
    run_up_to_the_looks();
    release.set_value();
    run();
    EXPECT_EQ(looks(), 1U);
    EXPECT_EQ(outcomes(), (std::map<std::string, int>{{"200 ann", 100}}));

    held = {};
    for (int i = 0; i < 100; ++i) send(basic("bob:wrong"));
    run();
    EXPECT_EQ(looks(), 2U);
    EXPECT_EQ(outcomes(), (std::map<std::string, int>{{"200 ann", 100}, {"401", 100}}));
    EXPECT_EQ(failures.size(), 1U) << "it is one guess";
}

TEST_F(Access, CallsNoPasswordWrongForWantOfMemory)
{
    failing = 1;
    Visit& first = send(basic("ann:ann"));
    Visit& second = send(basic("ann:ann"));
    run();
    EXPECT_EQ(text_of(*first.entry), "503");
    EXPECT_EQ(first.entry->refusal->header("Retry-After"), "1");
    EXPECT_EQ(text_of(*second.entry), "200 ann") << "it was looked at in its turn";
    EXPECT_TRUE(failures.empty());
    failing = 10;
    for (int i = 0; i < 10; ++i) EXPECT_EQ(text_of(log_in("bob:bob")), "503") << "no try was counted";
    EXPECT_EQ(text_of(log_in("bob:bob")), "200 bob");
}

TEST_F(Access, EndsWithRequestsThatAreCancelled)
{
    std::promise<void> release;
    held = release.get_future().share();
    TaskGroup group(io, [](const std::string&, std::exception_ptr) {});
    for (const auto* const credentials : {"ann:a", "ann:a", "ann:b"})
        group.spawn("visit", enter(visit_with(basic(credentials), "192.0.2.1")));
    run_up_to_the_looks();
    EXPECT_EQ(group.size(), 3U) << "one is looked at, one has joined it, one waits for its look";
    group.cancel();
    release.set_value();
    run();
    EXPECT_EQ(group.size(), 0U);
    EXPECT_EQ(looks(), 2U);
    EXPECT_EQ(failures.size(), 2U) << "what was looked at counts";
    held = {};
    EXPECT_EQ(text_of(log_in("ann:ann")), "200 ann");
}

TEST_F(Access, ReportsNamesThatFitOneLineOfALog)
{
    log_in(std::string(500, 'x') + ":secret-password");
    log_in("\xe2\x80\xae"
           "eve:secret-password");
    ASSERT_EQ(failures.size(), 2U);
    EXPECT_EQ(failures[0].user, std::string(64, 'x') + "...");
    EXPECT_EQ(failures[1].user, R"(\u{202e}eve)");
    for (const auto& failure : failures) EXPECT_EQ(failure.reason.find("secret"), std::string::npos);
}

/// The order of the daemon's handlers: the guard, the authenticator, the action.
class AccessServer : public testing::Test {
protected:
    AccessServer()
    {
        AuthenticatorOptions options;
        options.matches = [this](std::string_view hash, std::string_view password) {
            ++looks;
            return matches(hash, password);
        };
        authenticator = std::make_unique<Authenticator>(
            io, std::vector<UserSettings>{{"Bj\xc3\xb6rn", hash_password("p\xc3\xa4ss:word")}}, "monitor", options);
        router.add(http::verb::get, "/dashboard",
                   http::Handler([this](const http::Request& request) { return serve(request, http::Access::read); }));
        router.add(http::verb::post, "/chaos",
                   http::Handler([this](const http::Request& request) { return serve(request, http::Access::work); }));
        server =
            std::make_unique<http::Server>(io, [this](http::Request& request) { return router.dispatch(request); });
        if (!server->listen({asio::ip::make_address("127.0.0.1"), 0})) throw std::runtime_error("cannot listen");
        port = server->endpoint().port();
        thread = std::thread([this] { io.run(); });
    }
    ~AccessServer() override
    {
        asio::co_spawn(io, server->drain(0ms), asio::use_future).get();
        work.reset();
        thread.join();
    }

    asio::awaitable<http::Response> serve(const http::Request& request, http::Access access)
    {
        if (const auto problem = http::refuse(http::caller_of(request), access, guard))
            co_return http::problem(*problem, request.id);
        auto entry = co_await authenticator->enter(request, Clock::now());
        if (entry.refusal) co_return *std::move(entry.refusal);
        co_return http::text_response(200, entry.user);
    }

    /// POST of a form to `host`; with right credentials unless told otherwise.
    test::Answer post(std::vector<test::Header> more, const std::string& authorization = right,
                      const std::string& host = {})
    {
        std::string text = fmt::format("POST /chaos HTTP/1.1\r\nHost: {}\r\nContent-Length: 11\r\n"
                                       "Content-Type: application/x-www-form-urlencoded\r\n",
                                       host.empty() ? own_host() : host);
        if (!authorization.empty()) more.push_back({"Authorization", authorization});
        for (const auto& [name, value] : more) text += name + ": " + value + "\r\n";
        test::RawClient client(port);
        client.send(text + "\r\naction=kill");
        return client.read_response();
    }
    std::string own_host() const { return fmt::format("127.0.0.1:{}", port); }

    inline static const std::string right = basic("Bj\xc3\xb6rn:p\xc3\xa4ss:word");

    asio::io_context io{1};
    asio::executor_work_guard<asio::io_context::executor_type> work{io.get_executor()};
    std::atomic<int> looks = 0;
    http::GuardSettings guard;
    http::Router router;
    std::unique_ptr<Authenticator> authenticator;
    std::unique_ptr<http::Server> server;
    std::uint16_t port = 0;
    std::thread thread;
};

TEST_F(AccessServer, AsksForALoginAndServesItsUser)
{
    const auto asked = test::get(port, "/dashboard");
    EXPECT_EQ(asked.status(), 401);
    EXPECT_EQ(asked.message.header("WWW-Authenticate"), R"(Basic realm="monitor", charset="UTF-8")");
    EXPECT_EQ(test::request(port, "GET", "/dashboard", {{"Authorization", basic("eve:x")}}).status(), 401);
    const auto served = test::request(port, "GET", "/dashboard", {{"Authorization", right}});
    EXPECT_EQ(served.status(), 200);
    EXPECT_EQ(served.message.body, "Bj\xc3\xb6rn");
    EXPECT_EQ(looks, 2);
}

TEST_F(AccessServer, TakesActionsOfItsOwnPagesAndOfPrograms)
{
    const auto own = "http://" + own_host();
    EXPECT_EQ(post({{"Origin", own}, {"Sec-Fetch-Site", "same-origin"}}).status(), 200) << "a form of the dashboard";
    EXPECT_EQ(post({}).status(), 200) << "curl -u";
    EXPECT_EQ(post({{"X-Forwarded-For", "203.0.113.7"}}).status(), 200) << "from another machine, through a proxy";
    EXPECT_EQ(post({}, "").status(), 401);
    EXPECT_EQ(post({{"Origin", own}}, "").status(), 401);
}

TEST_F(AccessServer, TakesNoActionOfAnotherSitesPageAlthoughTheBrowserAddsTheCredentials)
{
    EXPECT_EQ(post({{"Origin", "http://evil.example"}, {"Sec-Fetch-Site", "cross-site"}}).status(), 403);
    EXPECT_EQ(post({{"Origin", "http://evil.example"}}).status(), 403) << "an older browser";
    EXPECT_EQ(post({{"Origin", "null"}}).status(), 403) << "a sandboxed frame";
    EXPECT_EQ(post({{"Sec-Fetch-Site", "cross-site"}}).status(), 403);
    EXPECT_EQ(post({{"Origin", fmt::format("http://127.0.0.1:{}", port + 1)}}).status(), 403) << "another port";
    EXPECT_EQ(post({{"Origin", "http://evil.example"}}, right, "evil.example").status(), 403)
        << "a name that was made to lead here";
    EXPECT_EQ(looks, 0);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
