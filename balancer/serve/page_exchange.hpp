// A request for one of the balancer's own pages, and its response: passed to and from the thread of the pages over a
// connection within the process, so that the client's connection stays with its session: other requests can follow, and
// it may be of any kind of Stream.
//
// The pages' server judges the request and has its own deadlines; here the two sides are only kept apart, and a
// response that never comes is given up.
//
// Thread: its worker's. Owner: the client session, which lends it the client's stream and what was read from it.
#pragma once

#include "balancer/config.hpp"
#include "balancer/serve/body_relay.hpp"
#include "balancer/serve/buffer.hpp"
#include "balancer/serve/exchange.hpp"
#include "balancer/serve/message_head.hpp"
#include "balancer/serve/stream.hpp"
#include "balancer/serve/tunnel.hpp"
#include "common/clock.hpp"

#include <cstdint>

namespace hotspare::balancer {

class PageExchange {
public:
    using Progress = Exchange::Progress;

    /// The request with that head, which the pages have; its body follows in `client_in` and on `client`. `page` tells
    /// `listener`.
    PageExchange(DataPlane& plane, Stream& client, Buffer& client_in, Stream::Ptr page, StreamListener& listener,
                 const RequestHead& head, TimePoint now);
    ~PageExchange();

    PageExchange(const PageExchange&) = delete;
    PageExchange& operator=(const PageExchange&) = delete;

    Progress advance(TimePoint now);

    /// When advance() must be called even if nothing else happens.
    TimePoint next_deadline() const noexcept;

private:
    enum class Phase : std::uint8_t { asking, relaying, tunnel };

    Progress ask(TimePoint now);
    Progress relay(TimePoint now);
    Progress run_tunnel(TimePoint now);
    void pass_request(TimePoint now);
    bool take_response(TimePoint now);
    bool take_head(TimePoint now);
    bool flush(TimePoint now);
    bool watch_client(TimePoint now);
    Progress give_up(unsigned status, std::string_view detail, TimePoint now);
    Progress delivered() const noexcept;

    DataPlane& plane_;
    Stream& client_;
    Buffer& client_in_;
    Stream::Ptr page_;

    Phase phase_ = Phase::asking;
    bool keep_alive_;
    bool to_head_;
    bool client_ended_ = false; ///< it half-closed behind its request
    bool page_ended_ = false;   ///< the pages take no more of the body
    unsigned version_;
    TimePoint last_progress_;
    std::size_t moved_ = 0; ///< in this call of advance()

    BodyRelay request_body_{http::Sender::client};
    Buffer request_out_;
    HeadScanner scanner_{http::Sender::server};
    BodyRelay response_body_{http::Sender::server};
    Buffer response_in_;
    Buffer response_out_;
    Tunnel tunnel_;
};

} // namespace hotspare::balancer
