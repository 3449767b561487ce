#include "balancer/control/monitor.hpp"

#include "balancer/config_file.hpp"
#include "balancer/control/changes.hpp"
#include "balancer/startup.hpp"
#include "tests/support/dns_server.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/gate.hpp"
#include "tests/support/origin.hpp"

#include <boost/asio/post.hpp>

#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

using test::eventually;
using test::Fault;
using test::Gate;
using test::Message;
using test::Origin;
using test::Reply;

constexpr BackendIndex primary = 0;
constexpr BackendIndex spare = 1;

struct Target {
    std::string name;
    std::uint16_t port;
};

Config config_of(const std::vector<Target>& targets)
{
    Config config;
    PoolConfig pool;
    pool.name = "default";
    pool.probe.interval = milliseconds(100);
    pool.probe.fast_interval = milliseconds(20);
    pool.probe.timeout = milliseconds(1000); // sanitizers are slow; what must time out is silent for ever
    pool.probe.slow = milliseconds(900);
    pool.failback.hold_down = milliseconds(100);
    for (const Target& target : targets) {
        config.backends.push_back({.name = target.name,
                                   .url = "http://127.0.0.1:" + std::to_string(target.port),
                                   .host = "127.0.0.1",
                                   .port = target.port});
        pool.backends.push_back(static_cast<BackendIndex>(pool.backends.size()));
        pool.weights.push_back(1);
    }
    config.pools.push_back(std::move(pool));
    return config;
}

/// A running monitor and a worker that only listens.
class Watched {
public:
    explicit Watched(const Config& settings) : Watched(settings, addresses(settings)) {}
    Watched(Config settings, std::vector<Addresses> addresses, bool start = true)
        : config(std::move(settings)), monitor(first_topology(config), std::move(addresses), 0, 1, config.resolvers)
    {
        monitor.subscribe([this](std::shared_ptr<const Routing> routing) {
            const std::lock_guard lock(mutex_);
            if (routing->version != latest_.version + 1) skipped_ = true;
            latest_ = *routing;
        });
        monitor.subscribe_events([this](const ReportedEvent& e) { kinds_.emplace_back(to_string(e.event.kind)); });
        monitor.subscribe_addresses([this](BackendIndex backend, const Addresses& found) {
            const std::lock_guard lock(mutex_);
            told_[backend] = found;
        });
        if (start) monitor.start();
    }

    /// What the workers were told; empty if nothing.
    Addresses addresses_of(BackendIndex backend)
    {
        const std::lock_guard lock(mutex_);
        return told_[backend];
    }

    Routing routing()
    {
        const std::lock_guard lock(mutex_);
        return latest_;
    }
    bool versions_were_consecutive()
    {
        const std::lock_guard lock(mutex_);
        return !skipped_;
    }
    Status status(BackendIndex backend)
    {
        const Routing r = routing();
        return backend < r.backends.size() ? r.backends[backend].status : Status::unknown;
    }
    bool serves(BackendIndex backend)
    {
        const Routing r = routing();
        if (r.pools.empty()) return false;
        const Candidate& first = r.pools[0].candidates.front();
        return first.backend == backend && first.tier == Tier::serving;
    }
    void report(BackendIndex backend, EvidenceKind kind, std::uint32_t count = 1)
    {
        monitor.report({{.backend = backend, .kind = kind, .count = count, .last = Clock::now()}});
    }

    /// Runs `read` on the monitor's thread and returns its result.
    template <class F> auto ask(F read)
    {
        std::promise<decltype(read())> answer;
        asio::post(monitor.context(), [&] { answer.set_value(read()); });
        return answer.get_future().get();
    }
    std::string evidence(BackendIndex backend)
    {
        return ask([&] { return monitor.failover().backend(backend).evidence; });
    }
    std::vector<std::string> kinds()
    {
        return ask([&] { return kinds_; });
    }
    std::size_t count(std::string_view kind)
    {
        const auto all = kinds();
        return static_cast<std::size_t>(std::count(all.begin(), all.end(), kind));
    }

    static std::vector<Addresses> addresses(const Config& config)
    {
        std::vector<Addresses> result;
        for (const BackendConfig& backend : config.backends)
            result.push_back({{asio::ip::make_address(backend.host), backend.port}});
        return result;
    }

private:
    std::mutex mutex_;
    Routing latest_;
    bool skipped_ = false;
    std::map<BackendIndex, Addresses> told_;
    std::vector<std::string> kinds_; ///< of all events; the monitor's thread only

public:
    Config config;
    Monitor monitor; ///< last: its thread uses the others
};

TEST(Monitor, finds_every_backend_at_the_start)
{
    Origin a("primary"), b("spare");
    Watched w(config_of({{"primary", a.port()}, {"spare", b.port()}}));
    EXPECT_TRUE(eventually([&] { return w.serves(primary) && w.status(spare) == Status::healthy; }));
    EXPECT_EQ(w.count("failover"), 0U);
    EXPECT_EQ(w.count("transition"), 2U);
    EXPECT_EQ(w.evidence(primary).substr(0, 23), "first probe: 200 OK in ") << w.evidence(primary);
    EXPECT_TRUE(w.versions_were_consecutive());
}

TEST(Monitor, sends_a_request_that_names_the_backend)
{
    Origin a("primary");
    std::atomic<bool> right = false;
    const std::string host = "127.0.0.1:" + std::to_string(a.port());
    a.probe_script([&](const test::Message& request) {
        right = request.method() == "GET" && request.target() == "/health" && request.header("Host") == host;
        return Reply::text("fine");
    });
    Watched w(config_of({{"primary", a.port()}}));
    EXPECT_TRUE(eventually([&] { return w.serves(primary); }));
    EXPECT_TRUE(right);
}

TEST(Monitor, fails_over_by_heartbeats_alone_and_back)
{
    Origin a("primary"), b("spare");
    Watched w(config_of({{"primary", a.port()}, {"spare", b.port()}}));
    ASSERT_TRUE(eventually([&] { return w.serves(primary); }));
    a.stop();
    ASSERT_TRUE(eventually([&] { return w.serves(spare) && w.status(primary) == Status::down; }));
    EXPECT_EQ(w.routing().backends[primary].down_count, 1U);
    a.start();
    ASSERT_TRUE(eventually([&] { return w.serves(primary); }));
    EXPECT_EQ(w.count("failover"), 1U);
    EXPECT_EQ(w.count("failback"), 1U);
}

TEST(Monitor, a_refused_request_brings_the_verdict_long_before_the_next_heartbeat)
{
    Origin a("primary"), b("spare");
    Config config = config_of({{"primary", a.port()}, {"spare", b.port()}});
    config.pools[0].probe.interval = std::chrono::minutes(10);
    config.pools[0].probe.fast_interval = std::chrono::minutes(10);
    Watched w(config);
    ASSERT_TRUE(eventually([&] { return w.serves(primary) && w.status(spare) == Status::healthy; }));
    a.stop();
    w.report(primary, EvidenceKind::refused, 3);
    ASSERT_TRUE(eventually([&] { return w.status(primary) == Status::down; }));
    EXPECT_TRUE(w.serves(spare));

    const auto failover = w.ask([&] { return w.monitor.snapshot()->pools[0].last_failover; });
    ASSERT_TRUE(failover);
    EXPECT_EQ(failover->event.cause, "traffic_and_probes");
    EXPECT_EQ(failover->event.evidence,
              "'primary' is down: 3 live requests failed, and 1 probe failed: Connection refused");
    EXPECT_GT(failover->failover, Duration::zero());
    EXPECT_GE(failover->failover, failover->event.detection);
    RecordProperty("failover_us", static_cast<int>(failover->failover / microseconds(1)));
}

TEST(Monitor, a_stray_reset_is_answered_by_a_probe_that_readmits)
{
    Origin a("primary"), b("spare");
    Config config = config_of({{"primary", a.port()}, {"spare", b.port()}});
    config.pools[0].probe.interval = std::chrono::minutes(10);
    Watched w(config);
    ASSERT_TRUE(eventually([&] { return w.serves(primary); }));
    const TimePoint failed = Clock::now();
    w.report(primary, EvidenceKind::reset);
    EXPECT_TRUE(eventually([&] { return w.routing().backends[primary].good_probe_started > failed; }));
    EXPECT_TRUE(eventually([&] { return w.serves(primary); }));
    EXPECT_EQ(w.count("failover"), 0U);
}

TEST(Monitor, tells_how_a_backend_fails)
{
    struct Case {
        Fault fault;
        Reply reply;
        Status status;
        std::string evidence;
    };
    Reply no_http;
    no_http.raw = "SSH-2.0-OpenSSH_9.2p1\r\n";
    const std::vector<Case> cases{
        {Fault::refuse(), {}, Status::down, "Connection refused"},
        {Fault::reset_after(0), {}, Status::down, "Connection reset by peer"},
        {Fault::cut_after(0), {}, Status::down, "closed before the message was complete"},
        {Fault::cut_after(20), {}, Status::down, "closed before the message was complete"},
        {Fault::black_hole(), {}, Status::down, "no answer within 150ms"},
        {Fault::silent(), {}, Status::down, "no answer within 150ms"},
        {Fault::pass(), Reply::text("broken", 503), Status::unhealthy, "503 Service Unavailable"},
        {Fault::pass(), no_http, Status::unhealthy, "not valid HTTP"},
        // With what is expected and the settings that say so.
        {Fault::pass(), Reply::text("nothing here", 404), Status::unhealthy,
         "404 Not Found, but expected 200-299 (probe.path is '/health'; --probe-path or probe.expect_status changes "
         "that)"},
    };
    for (const Case& c : cases) {
        Origin a("primary");
        Gate gate(a.port());
        Config config = config_of({{"primary", gate.port()}});
        config.pools[0].probe.timeout = milliseconds(150);
        Watched w(config);
        ASSERT_TRUE(eventually([&] { return w.status(primary) == Status::healthy; })) << c.evidence;
        a.probe_script([&](const test::Message&) { return c.reply; });
        gate.set(c.fault);
        ASSERT_TRUE(eventually([&] { return w.status(primary) == c.status; })) << c.evidence;
        EXPECT_NE(w.evidence(primary).find(c.evidence), std::string::npos) << w.evidence(primary);
    }
}

TEST(Monitor, expects_what_it_was_told_to_expect)
{
    struct Case {
        std::string body;
        std::string field;
        std::string answer;
        std::string evidence; ///< empty = healthy
    };
    const std::vector<Case> cases{
        {"pong", "", "ping pong", ""},
        {"pong", "", "ping", "first probe: 200 OK, but its body does not contain 'pong'"},
        {"", "status=healthy", R"({"status":"healthy"})", ""},
        {"", "ready=true", R"({"ready":true})", ""},
        {"", "status=healthy", R"({"status":"unhealthy"})",
         "first probe: 200 OK, but its status is 'unhealthy', not 'healthy'"},
        {"", "status=healthy", R"({"state":"healthy"})", "first probe: 200 OK, but its body has no field 'status'"},
        {"", "status=healthy", "healthy", "first probe: 200 OK, but its body is not a JSON object"},
    };
    for (const Case& c : cases) {
        Origin a("primary");
        a.probe_script([&](const test::Message&) { return Reply::text(c.answer); });
        Config config = config_of({{"primary", a.port()}});
        config.pools[0].probe.expect_body = c.body;
        config.pools[0].probe.expect_json_field = c.field;
        Watched w(config);
        const Status expected = c.evidence.empty() ? Status::healthy : Status::unhealthy;
        ASSERT_TRUE(eventually([&] { return w.status(primary) == expected; })) << c.answer;
        if (!c.evidence.empty()) {
            EXPECT_EQ(w.evidence(primary), c.evidence);
        }
    }
}

TEST(Monitor, a_status_that_is_listed_is_expected)
{
    Origin a("primary");
    a.probe_script([](const test::Message&) { return Reply::text("go away", 429); });
    Config config = config_of({{"primary", a.port()}});
    config.pools[0].probe.expect_status = {{200, 299}, {429, 429}};
    Watched w(config);
    EXPECT_TRUE(eventually([&] { return w.status(primary) == Status::healthy; }));
}

TEST(Monitor, an_operator_moves_traffic)
{
    Origin a("primary"), b("spare");
    Watched w(config_of({{"primary", a.port()}, {"spare", b.port()}}));
    ASSERT_TRUE(eventually([&] { return w.serves(primary) && w.status(spare) == Status::healthy; }));
    EXPECT_TRUE(w.ask([&] { return w.monitor.prefer(spare).has_value(); }));
    EXPECT_TRUE(w.serves(spare));
    w.ask([&] { return w.monitor.prefer_configured(), true; });
    EXPECT_TRUE(w.serves(primary));
    w.ask([&] { return w.monitor.operate({primary}, OperatorWord::maintenance), true; });
    EXPECT_TRUE(w.serves(spare));
    EXPECT_EQ(w.status(primary), Status::maintenance);
}

TEST(Monitor, disregards_what_happened_while_it_did_not_run)
{
    Origin a("primary"), b("spare");
    Config config = config_of({{"primary", a.port()}, {"spare", b.port()}});
    Watched w(config);
    ASSERT_TRUE(eventually([&] { return w.serves(primary) && w.status(spare) == Status::healthy; }));
    // The thread stands still for longer than any jump that is forgiven, while probes are due and under way.
    asio::post(w.monitor.context(), [&w] { asio::steady_timer(w.monitor.context(), milliseconds(1500)).wait(); });
    ASSERT_TRUE(eventually([&] { return w.count("clock_jump") == 1; }));
    w.report(primary, EvidenceKind::timed_out, 20);
    ASSERT_TRUE(
        eventually([&] { return w.ask([&] { return w.monitor.failover().backend(primary).probes[0]; }) > 10; }));
    EXPECT_EQ(w.status(primary), Status::healthy);
    EXPECT_TRUE(w.serves(primary));
    EXPECT_EQ(w.count("failover"), 0U);
}

TEST(Monitor, goes_on_probing_a_backend_that_could_not_be_asked)
{
    Origin a("primary"), b("spare");
    Config config = config_of({{"primary", a.port()}, {"spare", b.port()}});
    config.backends[primary].host = std::string(70'000, 'a'); // more than a field of Beast's can hold
    Watched w(config, Watched::addresses(config_of({{"primary", a.port()}, {"spare", b.port()}})));
    ASSERT_TRUE(eventually([&] { return w.serves(spare); }));
    EXPECT_EQ(w.status(primary), Status::unknown) << "nothing was learned about it";
    // What hinders it goes away. A real change would make another backend of it.
    w.ask([&] {
        const Topology& topology = w.monitor.failover().topology();
        const_cast<std::string&>(topology.backends[primary].host) = "127.0.0.1";
        return true;
    });
    EXPECT_TRUE(eventually([&] { return w.status(primary) == Status::healthy; }));
}

TEST(Monitor, names_an_ipv6_backend_in_brackets)
{
    Origin a("primary");
    Config config = config_of({{"primary", a.port()}});
    config.backends[primary].host = "::1";      // what it is asked for, wherever it is
    a.probe_script([](const Message& request) { // as strict servers do
        const bool sound = request.header("Host").value_or("").starts_with("[::1]:");
        return Reply::text("", sound ? 200 : 400);
    });
    Watched w(config, Watched::addresses(config_of({{"primary", a.port()}})));
    EXPECT_TRUE(eventually([&] { return w.status(primary) == Status::healthy; })) << w.evidence(primary);
}

TEST(Monitor, finds_the_address_that_works_and_tells_where_it_is)
{
    Origin a("primary");
    Gate closed(a.port());
    closed.set(Fault::refuse());
    const Config config = config_of({{"primary", a.port()}});
    const auto there = [](std::uint16_t port) {
        return asio::ip::tcp::endpoint(asio::ip::make_address("127.0.0.1"), port);
    };
    Watched w(config, {{there(closed.port()), there(a.port())}});
    ASSERT_TRUE(eventually([&] { return w.status(primary) == Status::healthy; }));
    EXPECT_TRUE(eventually([&] {
        return w.addresses_of(primary) == Addresses{there(a.port()), there(closed.port())};
    }));
}

/// One backend by a name, which is looked up at `names`.
Config named_config(const Origin& origin, const test::DnsServer& names)
{
    Config config = config_of({{"primary", origin.port()}});
    config.backends[primary].host = "web.example.";
    config.resolvers = {names.address()};
    return config;
}

TEST(Monitor, looks_a_name_up_again_while_its_backend_is_down)
{
    Origin a("primary");
    test::DnsServer names;
    Watched w(named_config(a, names), {Addresses{}});
    ASSERT_TRUE(eventually([&] { return w.status(primary) == Status::down; }));
    EXPECT_TRUE(eventually([&] {
        return w.evidence(primary).find("the name 'web.example.' does not resolve") != std::string::npos;
    })) << w.evidence(primary);
    names.a("web.example", {"127.0.0.1"});
    EXPECT_TRUE(eventually([&] { return w.status(primary) == Status::healthy; }));
    EXPECT_FALSE(w.addresses_of(primary).empty());
}

TEST(Monitor, looks_up_the_name_of_a_backend_that_is_added)
{
    Origin a("primary");
    Config config = config_of({{"primary", a.port()}});
    Watched w(config, {Addresses{}});
    Config wanted = config;
    wanted.backends[primary].name = "named";
    wanted.backends[primary].host = "localhost";
    w.ask([&] { return w.monitor.change(wanted).has_value(); });
    constexpr BackendIndex named = 1;
    EXPECT_TRUE(eventually([&] { return w.status(named) == Status::healthy; }));
    EXPECT_FALSE(w.addresses_of(named).empty());
}

TEST(Monitor, looks_a_name_up_again_when_its_ttl_is_over)
{
    Origin a("primary");
    test::DnsServer names;
    names.a("web.example", {"127.0.0.1"}, seconds(1));
    Watched w(named_config(a, names), {Addresses{}});
    const auto there = [&](const char* address) {
        return asio::ip::tcp::endpoint(asio::ip::make_address(address), a.port());
    };
    ASSERT_TRUE(eventually([&] { return w.addresses_of(primary) == Addresses{there("127.0.0.1")}; }));
    ASSERT_TRUE(eventually([&] { return w.status(primary) == Status::healthy; }));
    names.a("web.example", {"127.0.0.9", "127.0.0.1"}, seconds(1));
    EXPECT_TRUE(eventually([&] {
        return w.addresses_of(primary) == Addresses{there("127.0.0.1"), there("127.0.0.9")};
    })) << "though nothing had failed; what works stays in front";
    EXPECT_EQ(w.status(primary), Status::healthy);
}

TEST(Monitor, looks_a_name_up_again_after_the_interval_that_is_set)
{
    Origin a("primary");
    test::DnsServer names;
    names.a("web.example", {"127.0.0.1"}, seconds(3600));
    Config config = named_config(a, names);
    Watched w(config, {Addresses{}});
    ASSERT_TRUE(eventually([&] { return w.status(primary) == Status::healthy; }));
    config.backends[primary].resolve_interval = seconds(1);
    ASSERT_TRUE(w.ask([&] { return w.monitor.change(config).has_value(); }));
    names.a("web.example", {"127.0.0.9"}, seconds(3600));
    EXPECT_TRUE(eventually([&] {
        const auto now = w.addresses_of(primary);
        return now.size() == 1 && now.front().address().to_string() == "127.0.0.9";
    }));
}

TEST(Monitor, keeps_the_addresses_that_are_known_while_no_name_server_answers)
{
    Origin a("primary");
    test::DnsServer names;
    names.a("web.example", {"127.0.0.1"}, seconds(1));
    Watched w(named_config(a, names), {Addresses{}});
    ASSERT_TRUE(eventually([&] { return w.status(primary) == Status::healthy; }));
    const auto known = w.addresses_of(primary);
    names.set(test::DnsServer::Mood::servfail);
    const auto asked = names.asked("web.example");
    ASSERT_TRUE(eventually([&] { return names.asked("web.example") > asked + 8; })); // more than one lookup
    EXPECT_EQ(w.addresses_of(primary), known);
    EXPECT_EQ(w.status(primary), Status::healthy);
}

TEST(Monitor, stops_at_once_with_a_lookup_under_way)
{
    Origin a("primary");
    test::DnsServer names;
    names.set(test::DnsServer::Mood::silent);
    Watched w(named_config(a, names), {Addresses{}});
    ASSERT_TRUE(eventually([&] { return names.asked("web.example") > 0; }));
    const auto start = Clock::now();
    w.monitor.stop();
    w.monitor.join();
    EXPECT_LT(Clock::now() - start, seconds(3)) << "a lookup may take five";
}

/// `yaml`, whose names are looked up at `names`, with the balancer's own way of following them.
class Following {
public:
    Following(const std::string& yaml, const test::DnsServer& names)
        : config_([&] {
              Config config = load_config(yaml);
              config.resolvers = {names.address()};
              return config;
          }()),
          resolved_(resolve_backends(config_, expansion_)), watched(resolved_.config, resolved_.addresses, false),
          changes_(watched.monitor, Wanted(config_), expansion_)
    {
        watched.monitor.start();
    }
    ~Following()
    {
        watched.monitor.stop();
        watched.monitor.join();
    }

    /// "web-1=healthy web-2=down": those that are present, in the configuration's order.
    std::string backends()
    {
        const auto routing = watched.routing();
        std::string text;
        if (!routing.topology) return text;
        for (const BackendIndex b : routing.topology->present_backends)
            text += (text.empty() ? "" : " ") + routing.topology->backends[b].name + '=' +
                    std::string(to_string(routing.backends[b].status));
        return text;
    }

private:
    Config config_;
    Expansion expansion_;
    ResolvedBackends resolved_;

public:
    Watched watched;

private:
    Changes changes_;
};

TEST(Monitor, makes_each_address_of_a_name_a_backend_while_it_is_in_the_answer)
{
    Origin a("a");
    test::DnsServer names;
    names.a("web.example", {"127.0.0.1"}, seconds(1));
    Following f("backends: [{name: web, url: \"http://web.example.:" + std::to_string(a.port()) +
                    "\", resolve: each}]\npools: [{name: default, probe: {fast_interval: 20ms}}]",
                names);
    ASSERT_TRUE(eventually([&] { return f.backends() == "web-1=healthy"; })) << f.backends();
    names.a("web.example", {"127.0.0.1", "127.0.0.2"}, seconds(1));
    ASSERT_TRUE(eventually([&] { return f.backends() == "web-1=healthy web-2=down"; })) << "nothing listens there";
    names.a("web.example", {"127.0.0.2"}, seconds(1));
    ASSERT_TRUE(eventually([&] { return f.backends() == "web-2=down"; })) << f.backends();
    names.set(test::DnsServer::Mood::servfail);
    const auto asked = names.asked("web.example");
    ASSERT_TRUE(eventually([&] { return names.asked("web.example") > asked + 8; }));
    EXPECT_EQ(f.backends(), "web-2=down") << "a name server that fails takes nothing away";
    names.set(test::DnsServer::Mood::answers);
    names.a("web.example", {"127.0.0.1"}, seconds(1));
    EXPECT_TRUE(eventually([&] { return f.backends() == "web-1=healthy"; })) << f.backends();
}

TEST(Monitor, makes_each_record_of_a_service_a_backend)
{
    Origin a("a"), b("b");
    test::DnsServer names;
    Following f("backends: [{name: web, url: \"http://_http._tcp.example.\", resolve: srv}]\n"
                "pools: [{name: default, probe: {fast_interval: 20ms}}]",
                names);
    ASSERT_TRUE(eventually([&] { return f.backends() == "web=down"; })) << f.backends();
    EXPECT_TRUE(eventually([&] {
        return f.watched.evidence(primary).find("the name '_http._tcp.example.' does not resolve") != std::string::npos;
    })) << f.watched.evidence(primary);
    names.a("one.example", {"127.0.0.1"}, seconds(1));
    names.srv("_http._tcp.example",
              {{.priority = 2, .weight = 1, .port = a.port(), .target = "one.example."},
               {.priority = 1, .weight = 1, .port = b.port(), .target = "one.example."}},
              seconds(1));
    ASSERT_TRUE(eventually([&] {
        const auto now = f.backends();
        return now == "web-1=healthy web-2=healthy" || now == "web-2=healthy web-1=healthy";
    })) << f.backends();
    const auto routing = f.watched.routing();
    const auto& first = routing.topology->backends[routing.topology->present_backends.front()];
    EXPECT_EQ(first.port, b.port()) << "its priority is the lower number";
}

TEST(Monitor, stops_at_once_with_probes_under_way)
{
    Origin a("primary");
    Gate gate(a.port());
    gate.set(Fault::black_hole());
    Config config = config_of({{"primary", gate.port()}});
    config.pools[0].probe.timeout = std::chrono::minutes(10);
    Watched w(config);
    ASSERT_TRUE(eventually([&] { return gate.counts().to_server > 0; }));
    const auto start = Clock::now();
    w.monitor.stop();
    w.monitor.stop();
    w.monitor.join();
    EXPECT_LT(Clock::now() - start, seconds(10)) << "a probe may take ten minutes";
}

TEST(Monitor, takes_a_storm_of_evidence_from_any_thread_until_it_is_gone)
{
    Origin a("primary"), b("spare");
    std::atomic<bool> enough = false;
    Watched w(config_of({{"primary", a.port()}, {"spare", b.port()}}));
    ASSERT_TRUE(eventually([&] { return w.serves(primary) && w.status(spare) == Status::healthy; }));
    std::vector<std::thread> workers;
    for (int i = 0; i < 3; ++i)
        workers.emplace_back([&] {
            while (!enough) {
                w.report(primary, EvidenceKind::success, 5);
                w.report(spare, EvidenceKind::outpaced);
            }
        });
    EXPECT_TRUE(eventually([&] { return w.status(spare) == Status::degraded; })) << "it keeps up";
    EXPECT_TRUE(w.serves(primary));
    w.monitor.stop();
    w.monitor.join();
    enough = true;
    for (auto& worker : workers) worker.join();
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
