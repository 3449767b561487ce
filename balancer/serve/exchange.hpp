// The data plane: one request in, one response out.
//
// An Exchange is the state of one request between the moment its head is complete and the moment its response is: the
// request's bytes for the backends, up to two attempts running at once (the second is a hedge), and the response's
// bytes for the client. It moves in advance(): everything that can be done without waiting is done, then the streams,
// the deadline or a new Routing call it again. What may be sent again, and where, it asks the attempt ledger and the
// placement; it decides nothing of that itself.
//
//   placing --> waiting --> relaying --> finished
//      |  ^        |            `--> tunnel (101)
//      v  |        v
//     parked -> answering (an answer of our own)
//
// Thread: its worker's. Owner: the client session, which lends it the client's stream; idle ones rest in the DataPlane.
#pragma once

#include "balancer/decide/attempt.hpp"
#include "balancer/serve/account.hpp"
#include "balancer/serve/body_relay.hpp"
#include "balancer/serve/buffer.hpp"
#include "balancer/serve/client_address.hpp"
#include "balancer/serve/data_plane.hpp"
#include "balancer/serve/message_head.hpp"
#include "balancer/serve/own_answer.hpp"
#include "balancer/serve/replay_buffer.hpp"
#include "balancer/serve/stream.hpp"
#include "balancer/serve/tunnel.hpp"

#include <array>
#include <optional>
#include <string>

namespace hotspare::balancer {

class Exchange final : public Parked, public Stalled, public ConnectionLimits::Waiter {
public:
    /// What advance() came to.
    enum class Progress : std::uint8_t {
        blocked,  ///< call again when something happens; see next_deadline()
        busy,     ///< more could be done, but others shall have their turn: call again soon
        reusable, ///< the response is out; the client's connection can take the next request
        close,    ///< the response is out; close the client's connection once it has been read
        abort,    ///< close the client's connection now, so that the truncation shows
    };

    explicit Exchange(DataPlane& plane);
    ~Exchange();

    Buffer client_in;    ///< bytes from the client that have not been understood yet
    HeadScanner scanner; ///< over client_in
    bool rested = false; ///< the DataPlane's mark: in its stock since the last look

    /// Takes the request whose head was parsed from the first `head_size` bytes of client_in, which end the life of
    /// `head`'s views here. `listener` is told when an upstream connection is ready or the request may leave the
    /// parking lot. `address` is the client's and stays so until the request has ended.
    void begin(Stream& client, StreamListener& listener, const ClientAddress& address, const RouteConfig& route,
               RequestHead& head, std::size_t head_size, TimePoint now);

    /// Answers without asking a backend. `head` is null if it could not be read.
    void answer_itself(Stream& client, const ClientAddress& address, const RequestHead* head, OwnAnswer answer,
                       TimePoint now);

    Progress advance(TimePoint now);

    /// When advance() must be called even if nothing else happens.
    TimePoint next_deadline() const noexcept;

    /// Backends that have just gone down: what waits for them and may be sent again moves on, and tunnels to them end,
    /// so that their clients connect again. True if something changed: call advance().
    bool backends_down(const std::vector<BackendIndex>& down, TimePoint now);

    /// What there is has changed: a tunnel to a backend that is gone ends in a while. True if next_deadline() changed.
    bool topology_changed(TimePoint now);

    /// Adds the slots that the request refers to.
    void mark(SlotSet& used) const noexcept;

    /// The client has reset its connection: the response is not wanted any more.
    void client_gone(TimePoint now);

    /// Bytes of the request that the client has not sent yet although the response is out; the largest number if only
    /// the end of the body will tell.
    std::uint64_t unread_request() const noexcept;

    /// Returns to the state of a new Exchange. Buffers are kept up to a small size, but for those of an exchange with a
    /// peer that had stalled.
    void reset() noexcept;

    bool idle() const noexcept { return phase_ == Phase::idle; }

private:
    enum class Phase : std::uint8_t { idle, placing, parked, waiting, relaying, tunnel, answering, finished };

    struct Upstream {
        Stream::Ptr stream;  ///< null: this slot is free
        Admission admission; ///< while there is a stream
        AttemptLedger::Id id = 0;
        BackendIndex backend = 0;
        std::uint32_t down_count = 0;  ///< BackendRoute::down_count when the attempt began
        std::uint64_t sent = 0;        ///< position in the request's bytes
        bool has_proxy_header = false; ///< its connection is this client's alone
        std::string proxy_header;      ///< what of that was not written yet: no byte of the request goes before it
        bool send_failed = false;
        TimePoint sent_at{}; ///< the latest byte
        TimePoint hedge_at{};
        TimePoint connect_deadline{};
        Buffer in;      ///< from the backend
        Buffer interim; ///< its interim responses, as the client gets them
        HeadScanner scanner{http::Sender::server};
    };

    /// What becomes of a connection to a backend that the request needs no more.
    enum class Fate : std::uint8_t {
        pooled, ///< its response was complete: the next request may have it
        closed, ///< its response was complete, but it takes no other request
        /// Its response is not wanted. RST, so that the backend can stop working on it, and so that TIME_WAIT does not
        /// use up our ports towards it.
        reset,
    };

    void unpark() override;
    void admitted(Admission admission) override;
    bool shrink(TimePoint now) override;

    Progress pause();
    void count_storage() noexcept;
    void end_pause() noexcept;
    std::size_t storage() const noexcept;
    template <class F> void for_each_buffer(F f);
    static bool takes_nothing(const Upstream& up) noexcept;

    // Placing
    void read_cookie(const RequestHead& head) noexcept;
    void place(TimePoint now);
    void park(TimePoint now);
    bool wait_for_connection(TimePoint now);
    void begin_patience(TimePoint now) noexcept;
    void leave_lot() noexcept;
    void go_on(TimePoint now);
    void start(Upstream& up, BackendIndex backend, bool fresh, bool hedge, TimePoint now);
    void next_round();
    std::uint32_t down_count(BackendIndex backend) const noexcept;
    Upstream* free_slot() noexcept;
    unsigned running() const noexcept;

    // The request's way to the backends
    void take_request_bytes(TimePoint now);
    void drop_request_bytes(TimePoint now);
    void watch_client(TimePoint now);
    void send_request(Upstream& up, TimePoint now);
    bool send_proxy_header(Upstream& up, TimePoint now);
    bool all_sent(const Upstream& up) const noexcept;

    // The response's way to the client
    void drive(Upstream& up, TimePoint now);
    bool take_head(Upstream& up, TimePoint now);
    void on_head(Upstream& up, ResponseHead& head, TimePoint now);
    void take_interim(Upstream& up, const ResponseHead& head);
    void choose(Upstream& up, ResponseHead& head, TimePoint now);
    bool wait_for_response(TimePoint now);
    bool relay(TimePoint now);
    void take_response_bytes(TimePoint now);
    bool flush_response(TimePoint now);
    bool may_reuse_client() const noexcept;
    bool run_tunnel(TimePoint now);
    void end_tunnel(Fate fate, Progress how, TimePoint now);

    // Ends
    void attempt_failed(Upstream& up, Outcome outcome, TimePoint now);
    void release(Upstream& up, Fate fate, TimePoint now);
    void run_short(Upstream& up, TimePoint now);
    TimePoint hedge_time(const Upstream& up) const noexcept;
    void hedge(TimePoint now);
    void cancel_attempts(TimePoint now);
    void refuse(OwnAnswer answer, TimePoint now);
    void fail(Lost lost, OwnAnswer answer, TimePoint now);
    void tell(const Maintenance& maintenance, TimePoint now);
    void answer(const OwnAnswer& answer, TimePoint now);
    void finish(Progress how, TimePoint now);
    std::string describe_attempts() const;
    std::string describe_limit() const;

    const Topology& topology() const noexcept { return pin_->topology(); }
    const PoolConfig& pool() const noexcept { return topology().pools[pool_]; }

    DataPlane& plane_;
    TopologyPin pin_; ///< of a request that has begun: what it began with
    Stream* client_ = nullptr;
    const ClientAddress* address_ = nullptr;
    StreamListener* listener_ = nullptr;
    std::string scratch_;

    Phase phase_ = Phase::idle;
    Progress result_ = Progress::blocked;
    AttemptLedger ledger_;
    std::uint32_t spared_down_count_ = 0; ///< of ledger_.spared(), when that attempt began
    const RouteConfig* route_ = nullptr;  ///< of a request that has begun; of pin_'s topology
    PoolIndex pool_ = 0;                  ///< the same
    std::optional<BackendIndex> cookie_;  ///< the backend that the client's cookie stands for
    Duration body_idle_{};
    TimePoint deadline_{}; ///< for the response head; none while the body arrives
    Duration time_left_{}; ///< until then, when the body began to arrive
    TimePoint park_deadline_{};
    TimePoint parked_at_{};
    TimePoint last_progress_{}; ///< of a body
    bool released_ = false;
    bool lacked_backend_ = false; ///< it was parked because none could serve
    Admission admission_;         ///< that it has waited for
    bool client_eof_ = false;
    bool unlimited_ = false;   ///< the response has no length, and it was not looked yet whether its client half-closed
    bool abandonable_ = false; ///< the client's FIN, if it comes, came after it saw that the response has begun
    TimePoint abandoned_at_ = TimePoint::max(); ///< when a client that closed behind a silent response counts as gone
    bool paused_ = false;                       ///< its storage was counted
    bool stalled_ = false;                      ///< a peer did not take what it was sent, for some time
    std::size_t moved_ = 0;                     ///< bytes moved in this call of advance()
    std::size_t held_ = 0;                      ///< bytes of storage as counted in DataPlane::relay_memory

    // Facts of the request that outlive its head
    beast_http::verb method_ = beast_http::verb::unknown;
    unsigned version_ = 11;
    bool keep_alive_ = true;
    bool upgrade_ = false;
    bool expects_continue_ = false;
    bool continued_ = false; ///< one 100 is enough
    std::string request_id_;

    ReplayBuffer request_;
    BodyRelay request_body_{http::Sender::client};

    std::array<Upstream, 2> upstreams_;
    Upstream* winner_ = nullptr;

    // The response's bytes
    Buffer response_out_;
    BodyRelay response_body_{http::Sender::server};
    bool upstream_reusable_ = false;
    unsigned status_ = 0;
    Tunnel tunnel_;

    Account account_;
};

} // namespace hotspare::balancer
