#include "common/http/resolver.hpp"

#include "tests/support/dns_server.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/error.hpp>
#include <boost/asio/io_context.hpp>

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::http {
namespace TEST_FILE {

namespace asio = boost::asio;
using test::DnsServer;
using Mood = DnsServer::Mood;
using Type = DnsServer::Type;
using Strings = std::vector<std::string>;

/// A resolver that asks one name server of the test's, and an event loop that runs while the test waits.
class Asking {
public:
    Asking() { resolver.emplace(context, settings()); }

    /// Without search domains.
    Resolver::Settings settings() const { return {.servers = {server.address()}, .resolv_conf = "/dev/null"}; }

    result<NameAnswer> ask(const std::string& host)
    {
        std::optional<result<NameAnswer>> answer;
        resolver->look_up(host, 80, [&](result<NameAnswer> found) { answer = std::move(found); });
        run_until([&] { return answer.has_value(); });
        return answer ? *answer : error_code(errc::cancelled);
    }
    result<ServiceAnswer> ask_service(const std::string& name)
    {
        std::optional<result<ServiceAnswer>> answer;
        resolver->look_up_service(name, [&](result<ServiceAnswer> found) { answer = std::move(found); });
        run_until([&] { return answer.has_value(); });
        return answer ? *answer : error_code(errc::cancelled);
    }

    template <class Condition> void run_until(Condition condition)
    {
        const auto until = Clock::now() + test::patience;
        while (!condition() && Clock::now() < until) {
            context.restart();
            context.run_one_for(milliseconds(2));
        }
    }

    DnsServer server;
    asio::io_context context{1};
    std::optional<Resolver> resolver;
};

Strings texts(const result<NameAnswer>& answer)
{
    if (!answer) return {answer.error().message()};
    Strings list;
    for (const auto& address : answer->addresses) list.push_back(address.address().to_string());
    return list;
}

TEST(Resolver, FindsAllAddressesOfANameIPv4First)
{
    Asking a;
    a.server.aaaa("web.example", {"fd00::1", "fd00::2"}, seconds(20));
    a.server.a("web.example", {"10.0.0.2", "10.0.0.1"}, seconds(30));
    const auto answer = a.ask("web.example");
    EXPECT_EQ(texts(answer), (Strings{"10.0.0.2", "10.0.0.1", "fd00::1", "fd00::2"}));
    EXPECT_EQ(answer->ttl, seconds(20)) << "the smaller one";
    EXPECT_TRUE(answer->complete);
    EXPECT_EQ(answer->addresses.front().port(), 80);
}

TEST(Resolver, FollowsAliasesWhoseTtlCountsToo)
{
    Asking a;
    a.server.cname("www.example", "web.example", seconds(5));
    a.server.a("web.example", {"10.0.0.1"}, seconds(30));
    const auto answer = a.ask("www.example");
    EXPECT_EQ(texts(answer), (Strings{"10.0.0.1"}));
    EXPECT_EQ(answer->ttl, seconds(5));
}

TEST(Resolver, TellsANameThatDoesNotExistFromOneWithoutAnAddressAndFromAFailure)
{
    Asking a;
    a.server.srv("only.example", {{.port = 1, .target = "x"}});
    EXPECT_EQ(a.ask("nothing.example").error(), asio::error::host_not_found);
    EXPECT_EQ(a.ask("only.example").error(), asio::error::no_data);
    a.server.set(Mood::servfail);
    const auto failed = a.ask("only.example");
    EXPECT_EQ(failed.error().message(), "no name server gives an answer");
    EXPECT_EQ(a.ask(std::string(70'000, 'a')).error(), asio::error::host_not_found);
    EXPECT_EQ(a.ask("").error(), asio::error::host_not_found);
}

TEST(Resolver, GivesUpASilentNameServerInTime)
{
    Asking a;
    a.resolver.emplace(
        a.context,
        Resolver::Settings{.servers = {a.server.address()}, .resolv_conf = "/dev/null", .patience = milliseconds(700)});
    a.server.set(Mood::silent);
    const auto begun = Clock::now();
    EXPECT_EQ(a.ask("web.example").error(), make_error_code(errc::timed_out));
    EXPECT_GE(Clock::now() - begun, milliseconds(700));
    EXPECT_LT(Clock::now() - begun, seconds(5));
    EXPECT_GE(a.server.asked("web.example"), 4U) << "each type, and again";
}

TEST(Resolver, DoesNotTakeGarbageForAnAnswer)
{
    Asking a;
    a.server.a("web.example", {"10.0.0.1"});
    a.server.set(Mood::garbles);
    a.resolver.emplace(
        a.context,
        Resolver::Settings{.servers = {a.server.address()}, .resolv_conf = "/dev/null", .patience = milliseconds(700)});
    EXPECT_FALSE(a.ask("web.example"));
}

TEST(Resolver, AsksTheNextNameServerWhenOneIsSilentOrGone)
{
    Asking a;
    DnsServer silent;
    silent.set(Mood::silent);
    std::string gone;
    {
        DnsServer other;
        gone = other.address();
    }
    a.server.a("web.example", {"10.0.0.1"});
    a.resolver.emplace(a.context, Resolver::Settings{.servers = {gone, silent.address(), a.server.address()},
                                                     .resolv_conf = "/dev/null"});
    EXPECT_EQ(texts(a.ask("web.example")), (Strings{"10.0.0.1"}));
}

TEST(Resolver, SaysThatAnAnswerWithoutOneFamilyIsNotComplete)
{
    Asking a;
    a.server.a("web.example", {"10.0.0.1"});
    a.server.aaaa("web.example", {"fd00::1"});
    for (const Mood mood : {Mood::silent, Mood::servfail}) {
        a.server.set(Mood::answers);
        a.server.set(Type::aaaa, mood);
        const auto begun = Clock::now();
        const auto answer = a.ask("web.example");
        EXPECT_EQ(texts(answer), (Strings{"10.0.0.1"}));
        EXPECT_FALSE(answer->complete);
        EXPECT_LT(Clock::now() - begun, seconds(4)) << "the address that is there is not kept back";
    }
    a.server.set(Mood::answers);
    EXPECT_TRUE(a.ask("web.example")->complete);
}

TEST(Resolver, KnowsLocalhostAndInvalidNamesWithoutAsking)
{
    Asking a;
    for (const std::string name : {"localhost", "LOCALHOST.", "a.localhost"}) {
        const auto answer = a.ask(name);
        EXPECT_EQ(texts(answer), (Strings{"127.0.0.1", "::1"})) << name;
        EXPECT_EQ(answer->ttl, std::nullopt);
    }
    EXPECT_EQ(a.ask("nowhere.invalid").error(), asio::error::host_not_found);
    EXPECT_EQ(texts(a.ask("10.1.2.3")), (Strings{"10.1.2.3"}));
    EXPECT_EQ(texts(a.ask("fd00::7")), (Strings{"fd00::7"}));
    for (const std::string name : {"localhost", "a.localhost", "nowhere.invalid", "10.1.2.3"})
        EXPECT_EQ(a.server.asked(name), 0U) << name;
}

TEST(Resolver, ReadsResolvConfAnewForEachLookup)
{
    const test::TempDir folder;
    const std::string path = folder.write("resolv.conf", "search one.example\n");
    Asking a;
    a.resolver.emplace(a.context, Resolver::Settings{.servers = {a.server.address()}, .resolv_conf = path});
    a.server.a("web.one.example", {"10.0.0.1"});
    a.server.a("web.two.example", {"10.0.0.2"});
    EXPECT_EQ(texts(a.ask("web")), (Strings{"10.0.0.1"}));
    folder.write("resolv.conf", "search zero.example two.example\noptions ndots:1\n");
    EXPECT_EQ(texts(a.ask("web")), (Strings{"10.0.0.2"}));
    EXPECT_EQ(a.ask("web.").error(), asio::error::host_not_found);
}

TEST(Resolver, TakesBothFamiliesFromTheSameNameOfTheSearchList)
{
    const test::TempDir folder;
    const std::string path = folder.write("resolv.conf", "search one.example two.example\n");
    Asking a;
    a.resolver.emplace(a.context, Resolver::Settings{.servers = {a.server.address()}, .resolv_conf = path});
    a.server.a("web.one.example", {"10.0.0.1"});
    a.server.aaaa("web.two.example", {"fd00::2"}); // another machine
    EXPECT_EQ(texts(a.ask("web")), (Strings{"10.0.0.1"}));
}

TEST(Resolver, FindsTheRecordsOfAService)
{
    Asking a;
    a.server.srv("_http._tcp.example",
                 {{.priority = 10, .weight = 3, .port = 8080, .target = "a.example"},
                  {.priority = 20, .weight = 0, .port = 8081, .target = "b.example"}},
                 seconds(7));
    const auto answer = a.ask_service("_http._tcp.example");
    ASSERT_TRUE(answer) << answer.error().message();
    auto records = answer->records;
    std::sort(records.begin(), records.end(), [](const auto& x, const auto& y) { return x.port < y.port; });
    EXPECT_EQ(records, (std::vector<ServiceRecord>{
                           {.host = "a.example", .port = 8080, .priority = 10, .weight = 3},
                           {.host = "b.example", .port = 8081, .priority = 20, .weight = 0},
                       }));
    EXPECT_EQ(answer->ttl, seconds(7));
    a.server.srv("_http._tcp.example", {{.port = 0, .target = "."}});
    const auto none = a.ask_service("_http._tcp.example");
    ASSERT_TRUE(none);
    EXPECT_TRUE(none->records.empty()) << "there is no such service";
    EXPECT_EQ(a.ask_service("_ftp._tcp.example").error(), asio::error::host_not_found);
}

TEST(Resolver, LooksUpSoManyNamesAtATimeAndTheOthersAfterwards)
{
    Asking a;
    a.resolver.emplace(a.context,
                       Resolver::Settings{.servers = {a.server.address()}, .resolv_conf = "/dev/null", .most = 2});
    for (int i = 0; i < 20; ++i) a.server.a("web" + std::to_string(i) + ".example", {"10.0.0.1"});
    a.server.set(Mood::silent);
    int found = 0;
    for (int i = 0; i < 20; ++i)
        a.resolver->look_up("web" + std::to_string(i) + ".example", 80,
                            [&found](const result<NameAnswer>& answer) { found += answer.has_value(); });
    a.run_until([&] { return a.server.asked("web1.example") > 0; });
    EXPECT_EQ(a.server.asked("web2.example"), 0U);
    a.server.set(Mood::answers);
    a.run_until([&] { return found == 20; });
    EXPECT_EQ(found, 20);
}

TEST(Resolver, ALookupUnderWayEndsUnheardWithTheResolver)
{
    Asking a;
    a.server.set(Mood::silent);
    bool heard = false;
    a.resolver->look_up("web.example", 80, [&heard](const auto&) { heard = true; });
    a.run_until([&] { return a.server.asked("web.example") > 0; });
    a.resolver->cancel();
    a.context.restart();
    a.context.run(); // out of work
    a.resolver->look_up("web.example", 80, [&heard](const auto&) { heard = true; });
    a.resolver.reset();
    a.context.restart();
    a.context.run();
    EXPECT_FALSE(heard);
}

TEST(Resolver, MayBeAskedAgainFromAnAnswer)
{
    Asking a;
    a.server.a("web.example", {"10.0.0.1"});
    int answers = 0;
    std::function<void(result<NameAnswer>)> again = [&](const result<NameAnswer>&) {
        if (++answers < 3) a.resolver->look_up("web.example", 80, again);
    };
    a.resolver->look_up("web.example", 80, again);
    a.run_until([&] { return answers == 3; });
    EXPECT_EQ(answers, 3);
}

TEST(Resolver, SearchesAsResolvConfSays)
{
    const Strings domains{"a.example", "b.example"};
    EXPECT_EQ(search_list("web", 1, domains), (Strings{"web.a.example", "web.b.example", "web"}));
    EXPECT_EQ(search_list("web.c", 1, domains), (Strings{"web.c", "web.c.a.example", "web.c.b.example"}));
    EXPECT_EQ(search_list("web.c", 5, domains), (Strings{"web.c.a.example", "web.c.b.example", "web.c"}));
    EXPECT_EQ(search_list("web.", 1, domains), (Strings{"web."}));
    EXPECT_EQ(search_list("web", 1, {}), (Strings{"web"}));
}

} // namespace TEST_FILE
} // namespace hotspare::http
