#include "balancer/serve/session.hpp"

#include "balancer/serve/route_conditions.hpp"

#include "common/log.hpp"

#include <algorithm>
#include <exception>

namespace hotspare::balancer {
namespace {

// A connection that we want to close is read on: bytes that arrive at a closed socket are answered with RST, which
// destroys our last response before a client that is still sending has read it (RFC 9112 §9.6).
/// Silence that ends this where nothing of the request is missing. While its body is, timeouts.body_idle does.
constexpr Duration linger_time = seconds(2);
/// The same in all behind the answer of a page: a page's body is small, and clients that withhold it must not use up
/// the descriptors.
constexpr Duration page_linger = milliseconds(250);
/// However steadily it comes, of one body no more than this is read and thrown away.
constexpr Duration longest_linger = std::chrono::minutes(5);
constexpr std::uint64_t most_dropped = std::uint64_t{1} << 30;
constexpr std::size_t read_size = 4096;
/// Requests and answers of our own that a pipelining client gets at one go before others have their turn.
constexpr int most_turns = 16;

} // namespace

Session::Session(DataPlane& plane, SessionOwner& owner, Stream::Ptr client, const IpEndpoint& peer)
    : plane_(plane), owner_(owner), client_(std::move(client)), address_(peer), begins_(plane.proxy_protocol)
{
    const TimeoutConfig& timeouts = plane.topology().timeouts;
    deadline_ = Clock::now() + (owes_proxy_header() ? timeouts.header : timeouts.client_idle);
    client_->listen(this);
    plane_.counters.connections.add();
}

Session::~Session()
{
    count_idle(false);
    page_.reset();
    if (exchange_) {
        exchange_->client_gone(Clock::now());
        plane_.give_back(std::move(exchange_));
    }
    client_->close(reset_on_close_);
    plane_.relay_memory.freed(sizeof(*this) + sizeof(Stream));
    plane_.counters.connections.sub();
}

void Session::stream_ready(Stream&)
{
    step(Clock::now());
}

void Session::deadline_passed(TimePoint now)
{
    step(now);
}

void Session::backends_down(const std::vector<BackendIndex>& down, TimePoint now)
{
    if (state_ != State::exchanging || page_) return;
    if (exchange_->backends_down(down, now)) owner_.call_again(*this);
}

void Session::topology_changed(TimePoint now)
{
    if (state_ == State::exchanging && !page_ && exchange_->topology_changed(now)) owner_.call_again(*this);
}

void Session::mark(SlotSet& used) const noexcept
{
    if (exchange_) exchange_->mark(used);
}

void Session::drain(TimePoint now)
{
    if (state_ == State::lingering) {
        linger_until_ = std::min(linger_until_, now + linger_time);
        deadline_ = std::min(deadline_, linger_until_);
        plane_.wheel.arm(*this, deadline_);
        return;
    }
    if (state_ != State::reading || exchange_) return;
    deadline_ = now + drain_idle_grace;
    plane_.wheel.arm(*this, deadline_);
}

void Session::count_idle(bool idle) noexcept
{
    if (idle == idle_) return;
    idle_ = idle;
    plane_.counters.connections_idle.add(idle ? 1 : -1);
}

// One request's misfortune (no memory, above all) is its client's alone.
void Session::step(TimePoint now)
{
    try {
        run(now);
    } catch (const std::exception& error) {
        log::error("a request of {} failed inside the balancer: {}", address_.sender(), error.what());
        reset_on_close_ = true;
        owner_.forget(*this);
    }
}

void Session::run(TimePoint now)
{
    for (int turn = 0;; ++turn) {
        Step next = Step::over;
        switch (state_) {
        case State::reading: next = read_request(now); break;
        case State::exchanging: next = exchange(now); break;
        case State::lingering: next = linger(now); break;
        }
        if (next == Step::over) return owner_.forget(*this);
        if (next == Step::again) {
            if (turn < most_turns) continue;
            owner_.call_again(*this);
        }
        const TimePoint at = state_ != State::exchanging ? deadline_
                             : page_                     ? page_->next_deadline()
                                                         : exchange_->next_deadline();
        if (at == TimePoint::max())
            plane_.wheel.disarm(*this);
        else
            plane_.wheel.arm(*this, at);
        return;
    }
}

Session::Step Session::read_request(TimePoint now)
{
    const bool fresh = !exchange_;
    if (fresh) {
        if (!client_->readable()) {
            if (now >= deadline_) return owes_proxy_header() ? refuse(BadProxyHeader::missing) : Step::over;
            client_->await_readable();
            count_idle(true);
            return Step::wait;
        }
        exchange_ = plane_.borrow();
    }
    Buffer& in = exchange_->client_in;
    for (;;) {
        if (!in.empty()) {
            const Step step = take_request(now);
            if (step != Step::wait) return step;
        }
        const IoResult io = client_->read(in.prepare(read_size));
        switch (io.io) {
        case Io::done:
            // The clock for the whole header runs from its first byte, so that a trickle cannot hold a connection.
            if (in.empty()) deadline_ = now + plane_.topology().timeouts.header;
            in.commit(io.bytes);
            count_idle(false);
            break;
        case Io::blocked:
            if (in.empty()) {
                plane_.give_back(std::move(exchange_));
                count_idle(true);
                if (now >= deadline_) return owes_proxy_header() ? refuse(BadProxyHeader::missing) : Step::over;
            } else if (now >= deadline_) {
                if (owes_proxy_header()) return refuse(BadProxyHeader::missing);
                exchange_->answer_itself(*client_, address_, nullptr,
                                         {408, "the request's header did not arrive in time"}, now);
                state_ = State::exchanging;
                return Step::again;
            }
            return Step::wait;
        case Io::eof:
        case Io::failed: return Step::over;
        }
    }
}

/// Whether the connection must begin with a PROXY header that has not come yet.
bool Session::owes_proxy_header() const noexcept
{
    return begins_ && contains(plane_.topology().trusted_proxies, address_.peer());
}

/// Closes without an answer: an answer would be to another protocol than the peer's.
Session::Step Session::refuse(BadProxyHeader why) noexcept
{
    plane_.counters.bad_proxy_headers[static_cast<std::size_t>(why)].add();
    return Step::over;
}

/// Before the first request. again: what was read is the beginning of that.
Session::Step Session::take_proxy_header(TimePoint now)
{
    Buffer& in = exchange_->client_in;
    const ProxyHeader header = read_proxy_header(in.text());
    if (!owes_proxy_header()) {
        // Its word does not count, and served as the peer's own request it would be someone else's.
        if (header.begun) return refuse(BadProxyHeader::untrusted);
        if (header.found == ProxyHeader::Found::incomplete) return Step::wait;
        begins_ = false;
        return Step::again;
    }
    switch (header.found) {
    case ProxyHeader::Found::incomplete: return Step::wait;
    case ProxyHeader::Found::none: return refuse(BadProxyHeader::missing);
    case ProxyHeader::Found::malformed: return refuse(BadProxyHeader::malformed);
    case ProxyHeader::Found::complete: break;
    }
    begins_ = false;
    address_.take_proxy_header(header.connection);
    in.consume(header.size);
    // A proxy may connect long before its client has a request.
    deadline_ = now + (in.empty() ? plane_.topology().timeouts.client_idle : plane_.topology().timeouts.header);
    return in.empty() ? Step::wait : Step::again;
}

/// Looks for a complete head in what was read. wait: more is needed.
Session::Step Session::take_request(TimePoint now)
{
    if (begins_)
        if (const Step step = take_proxy_header(now); step != Step::again) return step;
    Exchange& x = *exchange_;
    // RFC 9112 §2.2: an empty line before a request is left over from a sloppy client's last body.
    while (x.client_in.text().starts_with("\r\n")) x.client_in.consume(2);
    if (x.client_in.empty() || x.client_in.text() == "\r") return Step::wait;

    const auto refuse = [&](const Rejection& why) {
        plane_.counters.bad_requests.add();
        x.answer_itself(*client_, address_, nullptr, {why.status, http::to_sentence(why)}, now);
        state_ = State::exchanging;
        return Step::again;
    };

    switch (x.scanner.scan(x.client_in.text(), head_limits(plane_.topology().limits))) {
    case HeadScanner::Found::incomplete: return Step::wait;
    case HeadScanner::Found::rejected: return refuse(x.scanner.rejection());
    case HeadScanner::Found::complete: break;
    }
    const std::size_t size = x.scanner.head_size();
    RequestHead& head = plane_.request_head;
    if (const auto rejection = parse_request(x.client_in.text().substr(0, size), plane_.topology().limits, head))
        return refuse(*rejection);
    address_.begin_request(head, plane_.topology().trusted_proxies);

    const auto answer = [&](OwnAnswer own) {
        x.answer_itself(*client_, address_, &head, std::move(own), now);
        x.client_in.consume(size);
        x.scanner.reset();
        state_ = State::exchanging;
        return Step::again;
    };
    // RFC 9110 §7.6.2: the request is for us, the last hop that its sender allows.
    if (head.max_forwards && *head.max_forwards == 0)
        return answer(head.method == beast_http::verb::options
                          ? OwnAnswer{204}
                          : OwnAnswer{501, "the balancer does not answer TRACE itself"});
    // "OPTIONS *" asks about the server as a whole: the route of its root answers.
    const std::string_view path = head.target == "*" ? "/" : head.path();
    const RequestConditions conditions(head);
    const RouteConfig* const route = plane_.topology().routes.match(path, &conditions);
    if (head.dotted && plane_.topology().routes.leaves(route, path, &conditions))
        return answer({400, "the path leads to another route when its dot segments are resolved"});
    if (route == nullptr) {
        plane_.counters.unrouted_requests.add();
        return answer({404, "no route for this path"});
    }
    if (!route->redirect.empty())
        return answer({.status = route->redirect_status, .location = RouteTable::redirect(*route, head.target)});
    if (route->builtin != Builtin::none) {
        if (plane_.draining && (route->builtin == Builtin::events || route->builtin == Builtin::logs))
            return answer({503, "the balancer ends"});
        Stream::Ptr page = owner_.open_page({.descriptor = -1,
                                             .bytes = std::string(x.client_in.text().substr(0, size)),
                                             .builtin = route->builtin,
                                             .client = address_.for_pages(),
                                             .proxied = address_.has_proxy_header()});
        if (!page) return answer({503, "no descriptor is left to ask for a page"});
        page_ = std::make_unique<PageExchange>(plane_, *client_, x.client_in, std::move(page), *this, head, now);
        x.client_in.consume(size);
        x.scanner.reset();
        state_ = State::exchanging;
        return Step::again;
    }
    x.begin(*client_, *this, address_, *route, head, size, now);
    state_ = State::exchanging;
    return Step::again;
}

Session::Step Session::exchange(TimePoint now)
{
    switch (page_ ? page_->advance(now) : exchange_->advance(now)) {
    case Exchange::Progress::blocked: return Step::wait;
    case Exchange::Progress::busy: owner_.call_again(*this); return Step::wait;
    case Exchange::Progress::reusable: finish_request(now); return Step::again;
    case Exchange::Progress::close:
        unread_ = page_ ? 0 : std::min(exchange_->unread_request(), most_dropped);
        linger_until_ = now + (page_ ? page_linger : plane_.draining ? linger_time : longest_linger);
        page_.reset();
        plane_.give_back(std::move(exchange_));
        client_->shutdown_send();
        state_ = State::lingering;
        extend_linger(now);
        return Step::again;
    case Exchange::Progress::abort: reset_on_close_ = true; return Step::over;
    }
    return Step::over;
}

void Session::finish_request(TimePoint now)
{
    page_.reset();
    state_ = State::reading;
    deadline_ = now + (plane_.draining ? drain_idle_grace : plane_.topology().timeouts.client_idle);
    if (exchange_->client_in.empty()) plane_.give_back(std::move(exchange_));
}

/// Reads and drops until the client closes too.
Session::Step Session::linger(TimePoint now)
{
    if (now >= deadline_) return Step::over;
    char dropped[read_size];
    for (int turn = 0; turn < 16; ++turn) {
        const IoResult io = client_->read(dropped);
        if (io.io == Io::blocked) return Step::wait;
        if (io.io != Io::done) return Step::over;
        unread_ -= std::min<std::uint64_t>(unread_, io.bytes);
        extend_linger(now);
    }
    owner_.call_again(*this);
    return Step::wait;
}

/// A client that makes progress gets more time, a request's body as much as if a backend took it.
void Session::extend_linger(TimePoint now)
{
    // What follows a whole request is no upload: it gets the time of a header.
    if (unread_ == 0) linger_until_ = std::min(linger_until_, now + plane_.topology().timeouts.header);
    deadline_ = std::min(linger_until_, now + (unread_ > 0 ? plane_.topology().timeouts.body_idle : linger_time));
}

} // namespace hotspare::balancer
