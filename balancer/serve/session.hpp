// One client connection: waits for requests, hands each to an Exchange or to the admin, closes it properly in the end.
//
// Between requests a session holds no buffer and no Exchange: an idle keep-alive connection costs this object, its
// Stream and one pending wait.
//
// Thread: its worker's. Owner: the Worker's list; a session leaves it, and dies, through Worker::forget().
#pragma once

#include "balancer/handover.hpp"
#include "balancer/serve/client_address.hpp"
#include "balancer/serve/data_plane.hpp"
#include "balancer/serve/exchange.hpp"
#include "balancer/serve/page_exchange.hpp"
#include "balancer/serve/stream.hpp"

#include <boost/intrusive/list.hpp>

#include <memory>

namespace hotspare::balancer {

class Session;

/// What a session asks of the worker that owns it.
class SessionOwner {
public:
    virtual void forget(Session& session) = 0;     ///< destroys it
    virtual void call_again(Session& session) = 0; ///< step() once the others have had their turn
    /// Hands the request of `handover` to the pages and returns this side of the connection to them; null if no
    /// descriptor is left for one.
    virtual Stream::Ptr open_page(Handover handover) = 0;

protected:
    ~SessionOwner() = default;
};

class Session final : public StreamListener, public Deadline {
public:
    boost::intrusive::list_member_hook<> in_worker; ///< the Worker's list
    bool called_again = false;                      ///< the Worker's mark: its turn comes

    Session(DataPlane& plane, SessionOwner& owner, Stream::Ptr client, const IpEndpoint& peer);
    ~Session();

    /// Does all that can be done now. May destroy the session.
    void step(TimePoint now);

    /// Backends that have just gone down.
    void backends_down(const std::vector<BackendIndex>& down, TimePoint now);

    /// As the functions of Exchange.
    void topology_changed(TimePoint now);
    void mark(SlotSet& used) const noexcept;

    /// The worker drains: an idle connection is given a moment for one last request.
    void drain(TimePoint now);

private:
    /// An idle connection of a draining worker may send one more request in this time. Closing it at once could cross a
    /// request that is already on its way.
    static constexpr Duration drain_idle_grace = seconds(1);

    enum class State : std::uint8_t { reading, exchanging, lingering };

    void stream_ready(Stream& stream) override;
    void deadline_passed(TimePoint now) override;

    enum class Step : std::uint8_t { again, wait, over };
    void run(TimePoint now);
    Step read_request(TimePoint now);
    Step take_request(TimePoint now);
    Step take_proxy_header(TimePoint now);
    Step refuse(BadProxyHeader why) noexcept;
    bool owes_proxy_header() const noexcept;
    Step exchange(TimePoint now);
    Step linger(TimePoint now);
    void extend_linger(TimePoint now);
    void finish_request(TimePoint now);
    void count_idle(bool idle) noexcept;

    DataPlane& plane_;
    SessionOwner& owner_;
    Stream::Ptr client_;
    std::unique_ptr<Exchange> exchange_;
    std::unique_ptr<PageExchange> page_; ///< while a page is asked for; exchange_ holds what was read then
    ClientAddress address_;
    TimePoint deadline_{};
    TimePoint linger_until_{};
    std::uint64_t unread_ = 0; ///< bytes that an upload still owes while its connection lingers
    State state_ = State::reading;
    bool begins_ = false; ///< it may begin with a PROXY header, which has not come
    bool idle_ = false;
    bool reset_on_close_ = false;
};

} // namespace hotspare::balancer
