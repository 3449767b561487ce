// Every way in which an attempt can end, with every kind of request.
#include "tests/unit/balancer/serve/exchange_world.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

Config without_hedges(std::size_t backends = 2)
{
    Config config = exchange_config(backends);
    config.pools[0].retry.hedge = false;
    return config;
}

/// A kind of request, as far as repeating it goes.
struct Kind {
    const char* name;
    std::string bytes;
    std::string asks; ///< what the backend gets
    bool repeatable;
    bool bodiless = false;
};

const std::vector<Kind>& kinds()
{
    static const std::vector<Kind> all{
        {"Get", get(), "GET", true, true},
        {"Options", request("OPTIONS"), "OPTIONS", true, true},
        {"Delete", request("DELETE"), "DELETE", true, true},
        {"Put", put(), "PUT work", true},
        {"Post", post(), "POST work", false},
        {"PostWithoutBody", request("POST"), "POST", false, true},
        {"PostWithKey", request("POST", "Idempotency-Key: 1\r\n", "work"), "POST work", true},
        {"ChunkedPut", request("PUT", "Transfer-Encoding: chunked\r\n") + chunk("wo") + chunk("rk") + "0\r\n\r\n",
         "PUT work", true},
        {"ChunkedPost", request("POST", "Transfer-Encoding: chunked\r\n") + chunk("work") + "0\r\n\r\n", "POST work",
         false},
        {"PutBeyondTheReplayBuffer", put(std::string(70 * 1024, 'x')), "PUT " + std::string(70 * 1024, 'x'), false},
    };
    return all;
}

/// What came of a request.
struct Result {
    std::string saw;
    std::string trail;
    std::string fates;
    std::string evidence;
    std::string counts;

    bool operator==(const Result&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Result& r)
{
    return out << "\n  saw:      " << r.saw << "\n  trail:    " << r.trail << "\n  fates:    " << r.fates
               << "\n  evidence: " << r.evidence << "\n  counts:   " << r.counts;
}

Result result_of(ExchangeWorld& world)
{
    Result result;
    result.saw = world.saw();
    result.trail = world.trail();
    result.fates = world.fates();
    result.counts = world.counts();
    result.evidence = world.evidence();
    return result;
}

using Play = std::function<void(ExchangeWorld&)>;

/// How the attempt at `a` ends, and what follows. `b` works.
struct Ending {
    const char* name;
    Play before; ///< the request arrives
    Play after;
    Result repeatable;
    Result other; ///< of a request that may not be repeated once it was sent
};

const Play nothing = [](ExchangeWorld&) {};

Play a_does(void (ScriptedStream::*what)())
{
    return [what](ExchangeWorld& world) {
        (world.at(a).*what)();
        world.run();
    };
}

Play a_sends(std::string bytes)
{
    return [bytes = std::move(bytes)](ExchangeWorld& world) { world.answer(a, bytes); };
}

const std::vector<Ending>& endings()
{
    const std::string retried = "requests 1, 2xx 1, retries 1, saved retry 1";
    const std::string not_replayed = "requests 1, 5xx 1, lost not_replayable 1";
    const Result refused{"200 from b", "a refused, b answered", "a reset, b pooled", "a refused, a diverted, b success",
                         retried};
    const Result unconnected{"200 from b", "a connect_timeout, b answered", "a reset, b pooled",
                             "a refused, a diverted, b success", retried};
    const Result reset{"200 from b", "a reset, b answered", "a reset, b pooled", "a reset, a diverted", retried};
    const Result reset_once{"502 problem", "a reset", "a reset", "a reset, a uncompared", not_replayed};
    const Result malformed{"502 problem", "a malformed", "a reset", "a malformed, a uncompared",
                           "requests 1, 5xx 1, lost no_backend 1"};
    const Result malformed_once{"502 problem", "a malformed", "a reset", "a malformed, a uncompared", not_replayed};
    const Result cut{"200 hel~; reset", "a reset", "a reset", "a success, a reset",
                     "requests 1, aborted 1, lost truncated 1"};
    static const std::vector<Ending> all{
        {"Answered",
         nothing,
         a_sends(ok()),
         {"200 hello", "a answered", "a pooled", "a success", "requests 1, 2xx 1"},
         {"200 hello", "a answered", "a pooled", "a success", "requests 1, 2xx 1"}},
        {"Refused", [](ExchangeWorld& world) { world.door(a, Door::refusing); }, nothing, refused, refused},
        {"ConnectTimeout", [](ExchangeWorld& world) { world.door(a, Door::silent); },
         [](ExchangeWorld& world) { world.pass(milliseconds(210)); }, unconnected, unconnected},
        {"Reset", nothing, a_does(&ScriptedStream::breaks), reset, reset_once},
        {"EndOfStream", nothing, a_does(&ScriptedStream::finishes), reset, reset_once},
        {"ResetWithinTheHead", nothing,
         [](ExchangeWorld& world) {
             world.answer(a, "HTTP/1.1 200 OK\r\nConte");
             world.at(a).breaks();
             world.run();
         },
         reset, reset_once},
        {"ResetAfterAnInterimResponse", nothing,
         [](ExchangeWorld& world) {
             world.answer(a, "HTTP/1.1 103 Early Hints\r\nLink: </s>\r\n\r\n");
             world.at(a).finishes();
             world.run();
         },
         reset, reset_once},
        {"NotHttp", nothing, a_sends("SSH-2.0-OpenSSH_9.2\r\n\r\n"), malformed, malformed_once},
        {"TwoFramings", nothing, a_sends("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"),
         malformed, malformed_once},
        {"UnaskedUpgrade", nothing,
         a_sends("HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), malformed,
         malformed_once},
        {"HeadOverOurLimit",
         nothing,
         a_sends("HTTP/1.1 200 OK\r\nA: " + std::string(70 * 1024, 'a')),
         {"502 problem", "a malformed", "a reset", "", "requests 1, 5xx 1, lost no_backend 1"},
         {"502 problem", "a malformed", "a reset", "", not_replayed}},
        {"FailingStatus",
         nothing,
         a_sends(response(503, "busy")),
         {"200 from b", "a failing_status, b answered", "a pooled, b pooled", "a diverted", retried},
         {"503 busy", "a answered", "a pooled", "a uncompared", "requests 1, 5xx 1"}},
        {"FailingStatusWithItsBodyToCome",
         nothing,
         a_sends("HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\nbu"),
         {"200 from b", "a failing_status, b answered", "a reset, b pooled", "a diverted", retried},
         {"500 bu~", "no request has ended", "a open", "a uncompared", "requests 1"}},
        {"StatusThatIsNoFailureOfTheBackend",
         nothing,
         a_sends(response(404, "no")),
         {"404 no", "a answered", "a pooled", "a success", "requests 1, 4xx 1"},
         {"404 no", "a answered", "a pooled", "a success", "requests 1, 4xx 1"}},
        {"Silence",
         nothing,
         [](ExchangeWorld& world) { world.pass(seconds(30) + milliseconds(5)); },
         {"504 problem", "a timed_out", "a reset", "a timed_out, a uncompared", "requests 1, 5xx 1, lost deadline 1"},
         {"504 problem", "a timed_out", "a reset", "a timed_out, a uncompared", "requests 1, 5xx 1, lost deadline 1"}},
        {"BackendDown",
         nothing,
         [](ExchangeWorld& world) { world.goes_down(a); },
         {"200 from b", "a moved, b answered", "a reset, b pooled", "", "requests 1, 2xx 1, moves 1, saved move 1"},
         {"", "no request has ended", "a open", "", "requests 1"}},
        {"BackendLeaves",
         nothing,
         [](ExchangeWorld& world) {
             world.leaves({a});
             world.answer(a, ok());
         },
         {"200 hello", "a answered", "a pooled", "a success", "requests 1, 2xx 1"},
         {"200 hello", "a answered", "a pooled", "a success", "requests 1, 2xx 1"}},
        {"TruncatedBody", nothing,
         [](ExchangeWorld& world) {
             world.answer(a, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
             world.at(a).finishes();
             world.run();
         },
         cut, cut},
        {"ClientGone",
         nothing,
         [](ExchangeWorld& world) {
             world.client().breaks();
             world.run();
         },
         {"reset", "a cancelled", "a reset", "", "requests 1, aborted 1"},
         {"reset", "a cancelled", "a reset", "", "requests 1, aborted 1"}},
    };
    return all;
}

class AttemptEndings : public ::testing::TestWithParam<std::tuple<std::size_t, std::size_t>> {};

TEST_P(AttemptEndings, LeadsToOneResultByWhetherTheRequestMayBeRepeated)
{
    const Ending& ending = endings()[std::get<0>(GetParam())];
    const Kind& kind = kinds()[std::get<1>(GetParam())];
    ExchangeWorld world(without_hedges());
    ending.before(world);
    world.client_sends(kind.bytes);
    const bool connected = world.at(a).open() && !world.at(a).is_connecting();
    EXPECT_EQ(world.asked(a), connected ? kind.asks : "~");
    ending.after(world);
    if (world.connections(b) > 0) {
        EXPECT_EQ(world.asked(b), kind.asks);
        world.answer(b, ok("from b"));
    }
    Result expected = kind.repeatable ? ending.repeatable : ending.other;
    const Result got = result_of(world);
    EXPECT_EQ(got, expected);
}

INSTANTIATE_TEST_SUITE_P(Exchange, AttemptEndings,
                         ::testing::Combine(::testing::Range<std::size_t>(0, endings().size()),
                                            ::testing::Range<std::size_t>(0, kinds().size())),
                         [](const auto& about) {
                             return std::string(endings()[std::get<0>(about.param)].name) + "Of" +
                                    kinds()[std::get<1>(about.param)].name;
                         });

} // namespace TEST_FILE
} // namespace hotspare::balancer
