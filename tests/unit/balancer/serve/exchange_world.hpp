// A worker without an event loop: a data plane and its sessions over scripted streams, under a scripted clock. A test
// plays the clients, the backends, the monitor and time, one step after the other; run() lets the data plane do all
// that it can until it waits.
//
// When the world ends it lets the clients go and checks what must hold whatever happened: every call to a stream was
// allowed, every stream was closed, reset or pooled, no request counts as active, nothing is held, every request was
// counted once as answered or broken off. `violations` has a sentence for each thing that is wrong; unless the test
// took them, the destructor makes them failures.
//
// One thread; owned by the test.
#pragma once

#include "balancer/serve/data_plane.hpp"
#include "balancer/serve/session.hpp"
#include "tests/support/message.hpp"
#include "tests/support/temp_dir.hpp"
#include "tests/unit/balancer/serve/scripted_clock.hpp"
#include "tests/unit/balancer/serve/scripted_streams.hpp"

#include <cstddef>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

/// Backends `a`, `b`, `c`, ... in one pool with policy failover, and one route for all paths.
Config exchange_config(std::size_t backends = 2);

/// Backends of exchange_config() by their names.
inline constexpr BackendIndex a = 0;
inline constexpr BackendIndex b = 1;
inline constexpr BackendIndex c = 2;

/// Messages as peers send them. `fields` are whole lines.
std::string request(std::string_view method, std::string_view fields = {}, std::string_view body = {});
std::string get(std::string_view fields = {});
std::string put(std::string_view body = "work");
std::string post(std::string_view body = "work");
std::string response(unsigned status, std::string_view body = {}, std::string_view fields = {});
std::string ok(std::string_view body = "hello");
std::string chunk(std::string_view content);

/// What the balancer meets when it connects to a backend.
enum class Door : std::uint8_t {
    open,       ///< the connection is made
    refusing,   ///< connection refused
    silent,     ///< nothing happens, until the test does something
    no_sockets, ///< this process has no descriptors left
};

class ExchangeWorld final : private SessionOwner, private Connector {
public:
    enum class Logging : std::uint8_t { on, off }; ///< off: no trail(), but quicker

    explicit ExchangeWorld(Config settings = exchange_config(), Reading reading = Reading::pieces,
                           Logging logging = Logging::on);
    ~ExchangeWorld();
    ExchangeWorld(const ExchangeWorld&) = delete;
    ExchangeWorld& operator=(const ExchangeWorld&) = delete;

    // Clients

    /// IP address of the clients that connect from now on; their port is 4711.
    std::string peer = "192.0.2.1";
    /// One more connection; the first one is client().
    ScriptedStream& connect_client();
    ScriptedStream& client(std::size_t number = 0) { return *clients_.at(number); }
    /// Connects the first client, unless it is there, and sends `bytes` on it.
    void client_sends(std::string_view bytes);
    std::size_t sessions() const noexcept { return sessions_.size(); }

    /// What the client has got: "200 hello", interim responses in front ("103 200 hello"), an answer of the balancer's
    /// own as its status and "problem", "~" behind an incomplete message, then how the connection ended ("end",
    /// "reset"), if it did. Answers are separated by "; ". `methods`: of the requests, where one was HEAD.
    std::string saw(const std::vector<std::string>& methods = {}, std::size_t number = 0) const;
    /// The answers themselves.
    std::vector<test::Message> answers(const std::vector<std::string>& methods = {}, std::size_t number = 0) const;

    // Backends

    void door(BackendIndex backend, Door door) { doors_.at(backend) = door; }
    /// The latest connection to the backend; fails the test if there is none.
    ScriptedStream& at(BackendIndex backend);
    std::size_t connections(BackendIndex backend) const;
    ScriptedStream& connection(BackendIndex backend, std::size_t number);
    /// All connections to backends, in the order in which they were opened.
    std::size_t upstreams() const noexcept { return upstreams_.size(); }
    ScriptedStream& upstream(std::size_t number) { return *upstreams_.at(number).stream; }
    BackendIndex backend_of(std::size_t number) const { return upstreams_.at(number).backend; }
    bool pooled(std::size_t number) const { return fate(*upstreams_.at(number).stream) == "pooled"; }
    /// What was sent to a backend on its latest connection, parsed: the method and the body, "~" if incomplete.
    std::string asked(BackendIndex backend);
    test::Message request_at(BackendIndex backend);
    void answer(BackendIndex backend, std::string_view bytes);
    /// "a reset, b pooled": what became of each connection to a backend, in the order in which they were opened:
    /// reset, closed, pooled, or open.
    std::string fates() const;
    /// One connection to the backend rests in the pool: a request went through it before.
    void warm(BackendIndex backend);

    // The pages

    /// The pages' side of each request for a page, in their order.
    struct Page {
        Handover handover;
        ScriptedStream::Ptr stream;
    };
    std::size_t pages() const noexcept { return pages_.size(); }
    const Page& page(std::size_t number = 0) const { return pages_.at(number); }
    void answer_page(std::string_view bytes, std::size_t number = 0);
    bool descriptors_left = true; ///< for connections to the pages

    // The monitor

    void goes_down(BackendIndex backend);
    void leaves(std::initializer_list<BackendIndex> backends); ///< takes no requests; those in flight go on
    void closes(Maintenance announced);                        ///< every backend is in maintenance
    void comes_back(BackendIndex backend);                     ///< after a good probe that started a moment ago
    void publish();
    Routing routing;
    /// Another configuration: everything in it is healthy and serves. Slots that nothing uses are free.
    void reconfigure(const Config& wanted);
    SlotSet unused() const; ///< slots that no request refers to

    // Time

    TimePoint now() const noexcept { return clock.now(); }
    /// Lets the data plane do all that it can now.
    void run();
    /// Lets time pass; deadlines fire when they are due.
    void pass(Duration span);
    /// The same in one leap, as after a suspension.
    void jump(Duration span);

    // What came of it

    /// The attempts of the next request that has ended: "a reset, b answered"; a hedge is "b+ answered", an attempt on
    /// a connection from the pool "a* reset".
    std::string trail();
    /// What the log says of the request that trail() was last asked of.
    struct Logged {
        unsigned status = 0;
        bool complete = false;
        std::string client{};
        std::uint64_t bytes_in = 0;
        std::uint64_t bytes_out = 0;
    } logged;
    /// What was reported of the backends since the last call: "a reset, a diverted, b success x2". Lets 100 ms pass.
    std::string evidence();
    /// The counters of the pool that are not zero, without latencies: "requests 1, 2xx 1, retries 1, saved retry 1".
    std::string counts() const;
    void forget_counts();

    /// Ends the world; see above.
    const std::vector<std::string>& settle();

    Config config;
    ScriptedClock clock;
    std::vector<std::string> violations;

private:
    struct Log;

    void forget(Session& session) override;
    void call_again(Session& session) override;
    Stream::Ptr open_page(Handover handover) override;
    Stream::Ptr connect(const Addresses& addresses, StreamListener& listener) override;
    Stream::Ptr connect_local(const std::string&, StreamListener& listener) override { return connect({}, listener); }

    /// A probe that is good by now started before what is happening now.
    TimePoint a_moment_ago() const noexcept { return now() - microseconds(1); }
    std::string fate(const ScriptedStream& stream) const;
    std::string name_of(std::size_t backend) const;
    void require(bool holds, std::string what);
    std::vector<std::pair<std::string, std::uint64_t>> all_counts() const;

    struct Upstream {
        BackendIndex backend;
        ScriptedStream::Ptr stream;
    };

    const Reading reading_;
    bool settled_ = false;
    std::uint64_t trails_ = 0; ///< given out by trail()
    std::shared_ptr<const Topology> topology_;
    std::unique_ptr<Log> log_;
    std::vector<Door> doors_;
    std::vector<Evidence> evidence_;
    std::vector<ScriptedStream::Ptr> clients_;
    std::vector<Upstream> upstreams_;
    std::vector<Page> pages_;
    std::vector<std::unique_ptr<Session>> sessions_;
    std::deque<Session*> again_;
    std::vector<std::pair<std::string, std::uint64_t>> forgotten_;
    bool woken_ = false; ///< requests were admitted

public:
    WorkerCounters counters;
    ConnectionLimits limits{2}; ///< the world is worker 0; a test may be the other one
    DataPlane plane;
};

} // namespace hotspare::balancer
