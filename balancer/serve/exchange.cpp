#include "balancer/serve/exchange.hpp"

#include "balancer/serve/maintenance_answer.hpp"
#include "common/http/accept.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hotspare::balancer {
namespace {

/// Responses have no limits in the configuration: a backend is trusted with more than a client, but not without bound.
constexpr std::size_t longest_response_header = 64 * 1024;
/// Bytes, read and written, that one request may move before others get their turn: about a millisecond of a core.
constexpr std::size_t fair_share = 4 * relay_window;
/// What a reused Exchange keeps of its buffers.
constexpr std::size_t kept_buffer = 32 * 1024;
/// Interim responses of one attempt that wait for its final one; more of them are dropped.
constexpr std::size_t most_interim = 16 * 1024;

constexpr http::HeadLimits response_limits{
    .request_line = longest_response_header, .head = longest_response_header, .fields = FieldList::max_fields};

bool contains(const std::vector<StatusRange>& ranges, unsigned status) noexcept
{
    return std::any_of(ranges.begin(), ranges.end(), [status](const StatusRange& r) { return r.contains(status); });
}

Lost lost_for(Reason reason) noexcept
{
    switch (reason) {
    case Reason::not_repeatable:
    case Reason::body_gone: return Lost::not_replayable;
    case Reason::budget: return Lost::budget;
    case Reason::none:
    case Reason::attempts:
    case Reason::malformed:
    case Reason::breaks_backends: return Lost::no_backend;
    }
    return Lost::no_backend;
}

} // namespace

Exchange::Exchange(DataPlane& plane) : ConnectionLimits::Waiter(plane.worker), plane_(plane), account_(plane) {}

Exchange::~Exchange()
{
    plane_.limits.leave(*this);
    plane_.relay_memory.change(held_, 0);
    plane_.relay_memory.freed(sizeof(*this) + storage());
}

std::size_t Exchange::storage() const noexcept
{
    std::size_t bytes = client_in.capacity() + request_.bytes().capacity() + response_out_.capacity();
    for (const Upstream& up : upstreams_) bytes += up.in.capacity() + up.interim.capacity();
    return bytes;
}

template <class F> void Exchange::for_each_buffer(F f)
{
    f(client_in);
    f(request_.bytes());
    f(response_out_);
    for (Upstream& up : upstreams_) {
        f(up.in);
        f(up.interim);
    }
}

void Exchange::reset() noexcept
{
    if (std::exchange(paused_, false)) end_pause();
    for_each_buffer([](Buffer& buffer) {
        buffer.clear();
        buffer.trim(kept_buffer);
    });
    scanner.reset();
    client_ = nullptr;
    address_ = nullptr;
    pin_.reset();
    rested = false;
    phase_ = Phase::idle;
}

/// What was held is held no more. Storage of an exchange that had stalled is not kept: there may be thousands.
void Exchange::end_pause() noexcept
{
    plane_.relay_memory.change(std::exchange(held_, 0), 0);
    if (Stalled::is_linked()) Stalled::unlink();
    if (!std::exchange(stalled_, false)) return;
    plane_.relay_memory.freed(storage());
    for_each_buffer([](Buffer& buffer) {
        buffer.clear();
        buffer.trim(0);
    });
}

// ---------------------------------------------------------------------------------------------------------- beginning

void Exchange::begin(Stream& client, StreamListener& listener, const ClientAddress& address, const RouteConfig& route,
                     RequestHead& head, std::size_t head_size, TimePoint now)
{
    client_ = &client;
    address_ = &address;
    listener_ = &listener;
    pin_ = plane_.pin();
    route_ = &route;
    pool_ = route.pool;
    body_idle_ = route.body_idle;
    last_progress_ = now;
    parked_at_ = TimePoint{};
    lacked_backend_ = false;
    client_eof_ = unlimited_ = abandonable_ = continued_ = false;
    abandoned_at_ = TimePoint::max();
    winner_ = nullptr;

    method_ = head.method;
    version_ = head.version;
    keep_alive_ = head.keep_alive;
    upgrade_ = head.upgrade;
    expects_continue_ = head.expect_continue;
    ledger_.restart({.hedgeable = (head.safe() || head.idempotency_key) && !head.upgrade && route.hedge,
                     .repeatable = head.idempotent() || head.idempotency_key || route.repeatable},
                    route.attempts);

    std::array<char, 32> id;
    request_id_.assign(head.request_id.empty() ? plane_.new_request_id(id) : head.request_id);

    cookie_.reset();
    if (plane_.sticky[pool_]) read_cookie(head);
    if (!route.request_headers.empty()) head.fields.end_named(route.request_headers.removed);
    write_request(head,
                  {.target = RouteTable::rewrite(route, head.target, scratch_),
                   .client_ip = address.sender(),
                   .request_id = request_id_,
                   .forwarded = topology().forwarded,
                   .default_host = plane_.authorities[pool_],
                   .trusted = address.trusted(),
                   .added = route.request_headers.added},
                  request_.begin());
    request_.head_ends();

    request_body_.begin(head.framing, head.content_length, head.framing == Framing::chunked);
    deadline_ = now + route.timeout;

    response_out_.clear();
    response_body_.begin(Framing::none, 0, false);
    status_ = 0;

    plane_.budgets[pool_].deposit(now);
    account_.open(pool_, address.client(), head.method_name, head.target, now);

    client_in.consume(head_size); // from here on the head's views are dead
    scanner.reset();
    phase_ = Phase::placing;
}

void Exchange::answer_itself(Stream& client, const ClientAddress& address, const RequestHead* head, OwnAnswer answer,
                             TimePoint now)
{
    client_ = &client;
    address_ = &address;
    pin_ = plane_.pin();
    route_ = nullptr;
    body_idle_ = topology().timeouts.body_idle;
    parked_at_ = TimePoint{};
    lacked_backend_ = false;
    method_ = head != nullptr ? head->method : beast_http::verb::unknown;
    version_ = head != nullptr ? head->version : 11;
    // What follows a head that we could not read, or the body that we shall not read, must not be taken for a request.
    keep_alive_ = head != nullptr && head->keep_alive && !plane_.draining;
    request_body_.begin(head != nullptr ? head->framing : Framing::none, head != nullptr ? head->content_length : 0,
                        false);
    ledger_.restart({}, 0);
    if (head != nullptr)
        account_.open_unrouted(address.client(), head->method_name, head->target, now);
    else
        account_.open_unrouted(address.sender(), {}, {}, now);
    std::array<char, 32> id;
    request_id_.assign(plane_.new_request_id(id));
    response_out_.clear();
    this->answer(answer, now);
}

// ------------------------------------------------------------------------------------------------------- the main loop

Exchange::Progress Exchange::advance(TimePoint now)
{
    moved_ = 0;
    for (;;) {
        switch (phase_) {
        case Phase::idle: return Progress::blocked;
        case Phase::placing: place(now); break;
        case Phase::parked:
            if (released_) {
                go_on(now);
                break;
            }
            if (now >= park_deadline_) {
                if (waits_for_connection())
                    fail(Lost::connection_limit, {503, describe_limit()}, now);
                else
                    fail(Lost::no_backend, {503, "no backend can answer: " + describe_attempts()}, now);
                break;
            }
            watch_client(now);
            if (phase_ == Phase::parked) return Progress::blocked;
            break;
        case Phase::waiting:
            if (!wait_for_response(now)) {
                // A request without a body, the usual case, holds no more than its head.
                if (request_body_.complete() && request_.bytes().capacity() <= read_ahead && moved_ < fair_share)
                    return Progress::blocked;
                return pause();
            }
            break;
        case Phase::relaying:
            if (!relay(now)) return pause();
            break;
        case Phase::tunnel:
            if (!run_tunnel(now)) return pause();
            break;
        case Phase::answering:
            if (now >= last_progress_ + body_idle_) {
                finish(Progress::abort, now);
                break;
            }
            if (!flush_response(now) && phase_ == Phase::answering) return Progress::blocked;
            if (phase_ == Phase::answering) finish(may_reuse_client() ? Progress::reusable : Progress::close, now);
            break;
        case Phase::finished: phase_ = Phase::idle; return result_;
        }
    }
}

Exchange::Progress Exchange::pause()
{
    if (moved_ >= fair_share) return Progress::busy;
    paused_ = true;
    const auto is_stuck = [](const Upstream& up) { return up.stream && takes_nothing(up); };
    if (!client_->writable() || std::any_of(upstreams_.begin(), upstreams_.end(), is_stuck)) {
        if (!Stalled::is_linked()) plane_.stall(*this);
        // Its bytes are not read, so only this shows that the client has given up its upload.
        if (phase_ == Phase::tunnel || !request_body_.complete()) client_->await_break();
    }
    count_storage();
    return Progress::blocked;
}

/// While a peer does not take what it is sent, the exchange holds storage only for bytes.
bool Exchange::shrink(TimePoint now)
{
    constexpr Duration lately = milliseconds(100);
    if (now < last_progress_ + lately) return false;
    stalled_ = true;
    const std::size_t before = storage();
    for_each_buffer([](Buffer& buffer) { buffer.shrink(); });
    plane_.relay_memory.freed(before - storage());
    count_storage();
    return true;
}

void Exchange::count_storage() noexcept
{
    const std::size_t held = storage();
    plane_.relay_memory.change(held_, held);
    held_ = held;
}

/// Whether the backend took less than it was sent and has not taken more since.
bool Exchange::takes_nothing(const Upstream& up) noexcept
{
    return !up.stream->connecting() && !up.stream->writable();
}

TimePoint Exchange::next_deadline() const noexcept
{
    switch (phase_) {
    case Phase::parked: return park_deadline_;
    case Phase::waiting: {
        TimePoint next = deadline_;
        for (const Upstream& up : upstreams_) {
            if (!up.stream) continue;
            if (running() == 1) next = std::min(next, hedge_time(up));
            if (up.stream->connecting()) next = std::min(next, up.connect_deadline);
        }
        return request_body_.complete() ? next : std::min(next, last_progress_ + body_idle_);
    }
    case Phase::relaying: return std::min(abandoned_at_, last_progress_ + body_idle_);
    case Phase::answering: return last_progress_ + body_idle_;
    case Phase::tunnel: return tunnel_.deadline();
    default: return TimePoint::max();
    }
}

// ------------------------------------------------------------------------------------------------------------ placing

void Exchange::place(TimePoint now)
{
    if (now >= deadline_)
        return fail(Lost::deadline, {504, "no backend answered in time: " + describe_attempts()}, now);
    Upstream& up = *free_slot();
    const auto backend = plane_.choose(pool_, ledger_, cookie_, up.admission);
    if (!backend) {
        if (plane_.limited(pool_) && wait_for_connection(now)) return;
        // No backend that returns would get it: each has had it, and failed.
        if (plane_.placement.used_up(pool_, ledger_))
            return fail(Lost::no_backend,
                        {ledger_.trail().back().outcome == Outcome::timed_out ? 504U : 502U,
                         describe_attempts() + "; " + std::string(to_string(Reason::none))},
                        now);
        if (const Maintenance* const announced = plane_.placement.maintenance(pool_)) return tell(*announced, now);
        return park(now);
    }
    phase_ = Phase::waiting;
    start(up, *backend, false, false, now);
}

/// Of several Cookie fields, as of several pairs in one, the first that stands for a backend counts.
void Exchange::read_cookie(const RequestHead& head) noexcept
{
    for (const Field& field : head.fields) {
        if (field.id != beast_http::field::cookie) continue;
        cookie_ = plane_.sticky[pool_]->find(field.value);
        if (cookie_) return;
    }
}

/// What a backend has reset unread it gets again once it has been down. If it passes a probe instead, it works.
void Exchange::next_round()
{
    const auto spared = ledger_.spared();
    const bool returned = spared && down_count(*spared) != spared_down_count_;
    const bool undecided = spared && !returned && plane_.placement.suspect(*spared);
    if (spared && !returned && !undecided) ledger_.deny_spared();
    ledger_.new_round();
    if (undecided) ledger_.hold_spared();
}

/// All stays in the lot together count against one patience, or a flapping backend could hold a request for ever.
void Exchange::begin_patience(TimePoint now) noexcept
{
    if (parked_at_ == TimePoint{}) parked_at_ = now;
    park_deadline_ = std::min(deadline_, parked_at_ + pool().park.timeout);
    released_ = false;
    phase_ = Phase::parked;
}

void Exchange::park(TimePoint now)
{
    plane_.limits.leave(*this);
    begin_patience(now);
    lacked_backend_ = true;
    if (!plane_.park(pool_, *this, false, now))
        fail(Lost::no_backend, {503, "no backend can answer and too many requests wait already"}, now);
}

/// False if none of the backends that are at their limit would take the request.
bool Exchange::wait_for_connection(TimePoint now)
{
    const BackendSet eligible = plane_.placement.eligible(pool_, ledger_);
    if (eligible.none()) return false;
    begin_patience(now);
    Upstream& up = *free_slot();
    if (plane_.limits.wait(*this, eligible, up.admission)) { // it was given back just now
        phase_ = Phase::waiting;
        start(up, up.admission.backend(), false, false, now);
    } else if (!plane_.park(pool_, *this, true, now)) {
        fail(Lost::connection_limit, {503, describe_limit() + ", and too many requests wait already"}, now);
    }
    return true;
}

void Exchange::leave_lot() noexcept
{
    plane_.leave_lot(pool_, *this);
    plane_.limits.leave(*this);
    admission_.give_back();
}

void Exchange::unpark()
{
    released_ = true;
    listener_->stream_ready(*client_);
}

void Exchange::admitted(Admission admission)
{
    plane_.leave_lot(pool_, *this);
    admission_ = std::move(admission);
    unpark();
}

/// It is parked no more. While it waits at a limit it stays in the line until it has another place.
void Exchange::go_on(TimePoint now)
{
    if (const Maintenance* const announced = plane_.placement.maintenance(pool_)) return tell(*announced, now);
    if (admission_ && now < deadline_ && plane_.placement.eligible(pool_, ledger_)[admission_.backend()]) {
        Upstream& up = *free_slot();
        up.admission = std::move(admission_);
        phase_ = Phase::waiting;
        return start(up, up.admission.backend(), false, false, now);
    }
    if (admission_)
        admission_.give_back();
    else
        next_round();
    place(now);
    if (phase_ != Phase::parked) plane_.limits.leave(*this);
}

std::uint32_t Exchange::down_count(BackendIndex backend) const noexcept
{
    return plane_.placement.routing().backends[backend].down_count;
}

Exchange::Upstream* Exchange::free_slot() noexcept
{
    for (Upstream& up : upstreams_)
        if (!up.stream) return &up;
    return nullptr;
}

unsigned Exchange::running() const noexcept
{
    return static_cast<unsigned>(upstreams_[0].stream != nullptr) +
           static_cast<unsigned>(upstreams_[1].stream != nullptr);
}

/// `up` is free and holds the admission to the backend.
void Exchange::start(Upstream& up, BackendIndex backend, bool fresh, bool hedge, TimePoint now)
{
    // What the backend wants now, which it may not have wanted when the request began.
    const ProxyVersion proxy_version = plane_.topology().backends[backend].proxy_protocol;
    up.has_proxy_header = proxy_version != ProxyVersion::off;
    up.proxy_header.clear();
    if (up.has_proxy_header)
        up.proxy_header = proxy_header(proxy_version, address_->connection(client_->local_endpoint()));
    else if (!fresh)
        up.stream = plane_.upstreams.take(backend);
    const bool reused = up.stream != nullptr;
    if (reused)
        up.stream->listen(listener_);
    else
        up.stream = plane_.upstreams.connect(backend, *listener_);

    up.id = ledger_.begin(backend, reused, hedge, now);
    up.backend = backend;
    up.down_count = down_count(backend);
    up.sent = 0;
    up.send_failed = false;
    up.in.clear();
    up.interim.clear();
    up.scanner.reset();
    up.sent_at = now;
    up.hedge_at = now + plane_.hedge_delays[pool_].current();
    up.connect_deadline = now + topology().timeouts.connect;
    account_.attempt_began(backend);
}

void Exchange::release(Upstream& up, Fate fate, TimePoint now)
{
    account_.attempt_ended(up.backend);
    if (fate == Fate::pooled && !up.has_proxy_header)
        plane_.upstreams.give_back(up.backend, std::move(up.stream), now);
    else
        up.stream->close(fate == Fate::reset);
    up.stream = nullptr;
    up.admission.give_back();
}

// ---------------------------------------------------------------------------------- the request's way to the backends

/// Reads what the client has sent of the body, bounded by what the backends take.
void Exchange::take_request_bytes(TimePoint now)
{
    if (request_body_.complete()) return;
    if (phase_ == Phase::relaying && (winner_ == nullptr || winner_->send_failed)) return drop_request_bytes(now);
    // Connect first: while nothing was read, a request with any body can still go anywhere.
    Upstream* const up = upstreams_[0].stream ? &upstreams_[0] : &upstreams_[1];
    const bool connected = std::any_of(upstreams_.begin(), upstreams_.end(),
                                       [](const Upstream& u) { return u.stream && !u.stream->connecting(); });
    if (!connected || now >= deadline_) return;

    // An upload takes as long as its client needs: as long as bytes come, only their silence is bounded, and the clock
    // of the answer stands.
    if (deadline_ != TimePoint::max()) time_left_ = deadline_ - now;
    deadline_ = TimePoint::max();

    if (client_->has_broken()) return client_gone(now);
    BodyRelay::Step step;
    const RelayMemory& memory = plane_.relay_memory;
    const std::size_t replayable = memory.replayable(pool().retry.replay_buffer);
    if (request_.whole()) {
        step = request_body_.read(*client_, client_in, request_.bytes(), request_.room(replayable));
    } else if (up->send_failed) {
        return; // what it answered is still worth reading, the rest of the body is worth nothing
    } else if (!up->proxy_header.empty()) {
        return; // it goes first
    } else {
        step = request_body_.pass(*client_, client_in, *up->stream, request_.bytes(), plane_.window(),
                                  memory.most_waiting());
        up->sent += step.sent;
        request_.passed(step.sent);
    }
    switch (step.end) {
    case BodyRelay::End::none: break;
    case BodyRelay::End::cut: return client_gone(now);
    case BodyRelay::End::malformed: return refuse({400, "the chunked body is malformed"}, now);
    }
    if (topology().limits.body > 0 && request_body_.content_bytes() > topology().limits.body)
        return refuse({413, "the body is larger than the limit"}, now);
    if (request_body_.complete()) {
        client_->await_readable();
        deadline_ = now + time_left_;
    }
    if (step.taken == 0) return;

    moved_ += step.taken + step.sent;
    account_.received(step.taken);
    last_progress_ = now;
    if (request_.outgrows(replayable)) {
        ledger_.body_gone();
        // Only one attempt can go on without the beginning: the one that has come further.
        if (running() == 2) {
            Upstream& behind = upstreams_[0].sent < upstreams_[1].sent ? upstreams_[0] : upstreams_[1];
            attempt_failed(behind, Outcome::cancelled, now);
        }
    }
}

/// The response has been chosen, and its backend does not take the rest of the body. It is read all the same: a client
/// that sends its whole request before it reads would never get to the response (RFC 9112 §9.6).
void Exchange::drop_request_bytes(TimePoint now)
{
    const BodyRelay::Step step = request_body_.read(*client_, client_in, request_.bytes());
    request_.discard();
    switch (step.end) {
    case BodyRelay::End::none: break;
    case BodyRelay::End::cut: return client_gone(now);
    case BodyRelay::End::malformed: return refuse({400, "the chunked body is malformed"}, now);
    }
    if (request_body_.complete()) client_->await_readable();
    if (step.taken == 0) return;
    moved_ += step.taken;
    account_.received(step.taken);
    last_progress_ = now;
}

/// While a complete request is being served, the client can only pipeline its next one, half-close, or vanish.
void Exchange::watch_client(TimePoint now)
{
    if (!request_body_.complete()) return;
    if (client_eof_) {
        if (client_->has_broken()) client_gone(now);
        return;
    }
    if (!client_->readable()) return client_->await_readable();
    if (client_in.size() >= topology().limits.header) return; // it will be asked again when this request is done
    const IoResult io = client_->read(client_in.prepare(read_ahead));
    switch (io.io) {
    case Io::done:
        client_in.commit(io.bytes);
        client_->await_readable();
        break;
    case Io::blocked: break;
    case Io::eof:
        // A half-close is not an abort: the client waits for its response. One that has closed altogether answers what
        // we write with RST; of a response without an end that is silent, its FIN must do.
        client_eof_ = true;
        client_->await_break();
        if (abandonable_) abandoned_at_ = now + closing_grace;
        break;
    case Io::failed: client_gone(now); break;
    }
}

/// False while some of it is left. None of it is a byte of the request: a backend that has only this has seen nothing.
bool Exchange::send_proxy_header(Upstream& up, TimePoint now)
{
    while (!up.send_failed && !up.proxy_header.empty()) {
        const IoResult io = up.stream->write(up.proxy_header);
        if (io.io == Io::blocked) return false;
        if (io.io == Io::failed) {
            up.send_failed = true;
            return false;
        }
        up.proxy_header.erase(0, io.bytes);
        up.sent_at = now;
    }
    return !up.send_failed;
}

void Exchange::send_request(Upstream& up, TimePoint now)
{
    if (!up.proxy_header.empty() && !send_proxy_header(up, now)) return;
    while (!up.send_failed && up.sent < request_.end()) {
        const IoResult io = up.stream->write(request_.from(up.sent));
        if (io.io == Io::blocked) return;
        if (io.io == Io::failed) {
            up.send_failed = true; // what it answered before it closed may still be read
            return;
        }
        if (up.sent == 0) ledger_.sent(up.id);
        up.sent += io.bytes;
        up.sent_at = now;
        moved_ += io.bytes;
        last_progress_ = now;
    }
    request_.drop_until(up.sent); // of a request that cannot be replayed, of which only one attempt runs
}

/// Whether the backend has the whole request and owes an answer.
bool Exchange::all_sent(const Upstream& up) const noexcept
{
    return request_body_.complete() && up.sent == request_.end();
}

// ------------------------------------------------------------------------------------------ waiting for the response

/// False when nothing more can be done for now.
bool Exchange::wait_for_response(TimePoint now)
{
    // As long as bytes move, reading may make room for writing and the other way round. The loop ends when
    // neither has moved any: then each side that can go on is being waited for.
    std::size_t before;
    do {
        before = moved_;
        take_request_bytes(now);
        for (Upstream& up : upstreams_)
            if (up.stream && phase_ == Phase::waiting) drive(up, now);
    } while (moved_ != before && phase_ == Phase::waiting && moved_ < fair_share);
    if (phase_ != Phase::waiting) return true;
    if (moved_ >= fair_share) return false;

    // An interim response (100, 103) goes out while the final one is awaited.
    if (!response_out_.empty() && !flush_response(now) && phase_ != Phase::waiting) return true;

    if (now >= deadline_) {
        const Duration patience = pool().probe.timeout;
        for (Upstream& up : upstreams_) {
            if (!up.stream) continue;
            // One that was only asked a moment ago has not been silent, and a client that has closed its side may have
            // left long ago: that says nothing about the backend.
            const bool silent = all_sent(up) && now - up.sent_at >= patience && !client_eof_;
            if (silent) account_.was_silent(ledger_, up.backend, now);
            ledger_.failed(up.id, Outcome::timed_out, now, plane_.budgets[pool_]);
            release(up, Fate::reset, now);
        }
        fail(Lost::deadline, {504, "no backend answered in time: " + describe_attempts()}, now);
        return true;
    }
    if (!request_body_.complete() && now >= last_progress_ + body_idle_) {
        for (Upstream& up : upstreams_) {
            // A backend that does not take what is there is silent, not the client.
            if (!up.stream || up.stream->connecting() || (up.sent == request_.end() && !takes_nothing(up))) continue;
            last_progress_ = now; // for the next attempt, if there is one
            attempt_failed(up, Outcome::timed_out, now);
            return true;
        }
        cancel_attempts(now);
        answer({408, "the request's body did not arrive in time"}, now);
        return true;
    }
    hedge(now);
    watch_client(now);
    return phase_ != Phase::waiting;
}

void Exchange::drive(Upstream& up, TimePoint now)
{
    if (up.stream->connecting()) {
        if (now >= up.connect_deadline) attempt_failed(up, Outcome::connect_timeout, now);
        return;
    }
    if (up.stream->connect_error()) {
        if (is_own_shortage(up.stream->connect_error())) return run_short(up, now);
        return attempt_failed(up, Outcome::refused, now);
    }

    send_request(up, now);
    if (up.send_failed && up.sent == 0) return attempt_failed(up, Outcome::reset, now);
    const auto id = up.id; // another attempt may begin in the same place
    while (up.stream && up.id == id && phase_ == Phase::waiting) {
        const IoResult io = up.stream->read(up.in.prepare(read_ahead));
        if (io.io == Io::blocked) return;
        if (io.io != Io::done) {
            const bool no_body = request_body_.complete() && request_body_.content_bytes() == 0;
            if (io.io == Io::failed && no_body && up.in.empty() && up.interim.empty()) {
                if (!ledger_.spared()) spared_down_count_ = up.down_count;
                ledger_.unread(up.id);
            }
            return attempt_failed(up, Outcome::reset, now);
        }
        up.in.commit(io.bytes);
        while (up.stream && up.id == id && phase_ == Phase::waiting && take_head(up, now)) {
        }
    }
}

/// True if a head was complete and handled, so that another one may follow (an interim response came first).
bool Exchange::take_head(Upstream& up, TimePoint now)
{
    if (up.in.empty()) return false;
    switch (up.scanner.scan(up.in.text(), response_limits)) {
    case HeadScanner::Found::incomplete: return false;
    case HeadScanner::Found::rejected:
        // A head over our limit is no fault of the backend, whatever happens to the request.
        if (up.scanner.rejection().status == 414 || up.scanner.rejection().status == 431) account_.met_our_limit();
        attempt_failed(up, Outcome::malformed, now);
        return false;
    case HeadScanner::Found::complete: break;
    }
    ResponseHead& head = plane_.response_head;
    const std::size_t size = up.scanner.head_size();
    if (parse_response(up.in.text().substr(0, size), method_ == beast_http::verb::head, head)) {
        attempt_failed(up, Outcome::malformed, now);
        return false;
    }
    on_head(up, head, now);
    return true;
}

void Exchange::on_head(Upstream& up, ResponseHead& head, TimePoint now)
{
    const std::size_t size = up.scanner.head_size();
    if (head.status / 100 == 1 && head.status != 101) {
        take_interim(up, head);
        up.in.consume(size);
        up.scanner.reset();
        return;
    }
    if (head.status == 101 && !upgrade_) return attempt_failed(up, Outcome::malformed, now);
    if (head.status == 408 && ledger_.may_be_stale(up.id)) return attempt_failed(up, Outcome::stale, now);

    const PoolConfig& pool = this->pool();
    const Duration latency = now - up.sent_at;
    account_.responded(up.backend, head.status, latency);
    const bool failing = pool.passive.failing_status.contains(head.status);

    if (contains(pool.retry.statuses, head.status) &&
        (running() == 2 || plane_.placement.alternative(pool_, ledger_))) {
        const Verdict verdict = ledger_.failed(up.id, Outcome::failing_status, now, plane_.budgets[pool_]);
        if (verdict.move == Move::elsewhere || verdict.move == Move::wait) {
            const bool all_here = (head.framing == Framing::none && up.in.size() == size) ||
                                  (head.framing == Framing::length && up.in.size() == size + head.content_length);
            release(up, head.keep_alive && all_here && all_sent(up) ? Fate::pooled : Fate::reset, now);
            if (verdict.move == Move::elsewhere) {
                plane_.counters.pools[pool_].retries.add();
                phase_ = Phase::placing;
            }
            return;
        }
    }
    if (failing)
        account_.failed_for_good(ledger_, up.backend, now);
    else
        account_.succeeded(ledger_, up.backend, latency, now);
    choose(up, head, now);
}

/// An interim response (RFC 9110 §15.2) waits for the final one of its attempt: of an attempt that is given up the
/// client must not hear. Only a 100 that the client waits for, or it would not send its body, goes out at once, and
/// only one.
void Exchange::take_interim(Upstream& up, const ResponseHead& head)
{
    if (version_ < 11 || up.interim.size() >= most_interim) return;
    bool at_once = false;
    if (head.status == 100) {
        if (std::exchange(continued_, true)) return;
        at_once = expects_continue_ && !request_body_.complete();
    }
    write_response(head,
                   {.served_by = plane_.topology().backends[up.backend].name,
                    .request_id = request_id_,
                    .client_version = version_,
                    .keep_alive = true,
                    .chunked = false},
                   at_once ? response_out_ : up.interim);
}

/// This attempt's response is the one the client gets.
void Exchange::choose(Upstream& up, ResponseHead& head, TimePoint now)
{
    for (Upstream& rival : upstreams_) {
        if (&rival == &up || !rival.stream) continue;
        ledger_.failed(rival.id, Outcome::outpaced, now, plane_.budgets[pool_]);
        if (ledger_[up.id].hedge) account_.overtaken(ledger_, rival.backend, now);
        release(rival, Fate::reset, now);
    }
    ledger_.answering(up.id, head.status);
    // Only what could have been hedged says how long the next such request should wait.
    if (ledger_.facts().hedgeable && !ledger_[up.id].hedge) plane_.hedge_delays[pool_].observe(now - up.sent_at);
    winner_ = &up;
    status_ = head.status;
    last_progress_ = now;

    const std::size_t size = up.scanner.head_size();
    const bool chunked = version_ >= 11 && (head.framing == Framing::chunked || head.framing == Framing::until_close);
    // A 1.0 client learns the end of a body without a length only from the end of the connection.
    const bool delimited = version_ >= 11 || head.framing == Framing::none || head.framing == Framing::length;
    if (!delimited || plane_.draining) keep_alive_ = false;
    // RFC 9110 §10.1.1: a client that waits for a 100 may now send its body or not, and what follows cannot be told.
    if (expects_continue_ && !continued_ && !request_body_.complete() && request_body_.content_bytes() == 0)
        keep_alive_ = false;

    if (!up.interim.empty()) {
        response_out_.append(up.interim.text());
        up.interim.clear();
    }
    if (!route_->response_headers.empty()) head.fields.end_named(route_->response_headers.removed);
    const auto& sticky = plane_.sticky[pool_];
    write_response(head,
                   {.served_by = plane_.topology().backends[up.backend].name,
                    .request_id = request_id_,
                    .client_version = version_,
                    .keep_alive = keep_alive_,
                    .chunked = chunked,
                    .date = head.date ? std::string_view{} : plane_.date.at(std::chrono::system_clock::now()),
                    .added = route_->response_headers.added,
                    .set_cookie = sticky && cookie_ != up.backend ? sticky->line_for(up.backend) : std::string_view{}},
                   response_out_);
    upstream_reusable_ = head.keep_alive;
    up.in.consume(size);
    if (head.status == 101) {
        request_.discard();
        request_body_.begin(Framing::none, 0, false); // whatever follows belongs to the tunnel
        tunnel_.begin(topology().timeouts.tunnel_idle, now);
        phase_ = Phase::tunnel;
        return;
    }
    response_body_.begin(head.framing, head.content_length, chunked);
    unlimited_ = (head.framing == Framing::chunked || head.framing == Framing::until_close) && !client_eof_;
    phase_ = Phase::relaying;
}

/// When silence becomes suspicious. Not before the request is complete: until then the backend has nothing to answer
/// (an Expect: 100-continue apart, whose answer must not get lost between two attempts).
TimePoint Exchange::hedge_time(const Upstream& up) const noexcept
{
    if (up.stream->connecting()) return up.hedge_at;
    if (!all_sent(up)) return TimePoint::max();
    return std::max(up.hedge_at, up.sent_at + plane_.hedge_delays[pool_].current());
}

/// A second attempt beside one that stays silent, or instead of one that cannot even connect.
void Exchange::hedge(TimePoint now)
{
    if (phase_ != Phase::waiting || running() != 1) return;
    Upstream& up = upstreams_[0].stream ? upstreams_[0] : upstreams_[1];
    if (now < hedge_time(up)) return;
    const PoolConfig& pool = this->pool();
    if (plane_.room_elsewhere(pool_, ledger_)) {
        // Nothing was sent yet, so any request may go to another backend, at no cost.
        if (up.stream->connecting()) return attempt_failed(up, Outcome::connect_timeout, now);
        if (pool.retry.hedge && ledger_.may_hedge() && plane_.budgets[pool_].withdraw(now)) {
            Upstream& second = *free_slot();
            if (const auto backend = plane_.choose(pool_, ledger_, std::nullopt, second.admission)) {
                up.hedge_at = TimePoint::max();
                plane_.counters.pools[pool_].hedges.add();
                start(second, *backend, false, true, now);
                for (Upstream& other : upstreams_)
                    if (other.stream && phase_ == Phase::waiting) drive(other, now);
                return;
            }
        }
    }
    // Not now; a request that waits long asks ever more rarely.
    up.hedge_at = now + std::max<Duration>(plane_.hedge_delays[pool_].current(), now - ledger_[up.id].started);
}

// ----------------------------------------------------------------------------------- the response's way to the client

/// False when nothing more can be done for now.
bool Exchange::relay(TimePoint now)
{
    std::size_t before;
    do {
        before = moved_;
        take_request_bytes(now);
        if (phase_ != Phase::relaying) return true;
        if (winner_ != nullptr) {
            send_request(*winner_, now);
            take_response_bytes(now);
            if (phase_ != Phase::relaying) return true;
        }
        // Before the client sees the head: a FIN that is there by now is a half-close behind the request.
        if (std::exchange(unlimited_, false) && !response_body_.complete()) abandonable_ = client_->is_quiet();
        const bool flushed = flush_response(now);
        if (phase_ != Phase::relaying) return true;
        if (response_body_.complete() && flushed) {
            finish(may_reuse_client() ? Progress::reusable : Progress::close, now);
            return true;
        }
        if (moved_ >= fair_share) return false;
    } while (moved_ != before);
    if (now >= last_progress_ + body_idle_) {
        // The backend is to blame if it neither sends nor takes; not if the client does not take what is there for it,
        // or does not send what the backend waits for.
        const bool backend_owes =
            winner_ != nullptr && response_out_.empty() && client_->writable() &&
            (request_body_.complete() || winner_->sent < request_.end() || takes_nothing(*winner_));
        if (backend_owes) attempt_failed(*winner_, Outcome::timed_out, now);
        cancel_attempts(now);
        if (phase_ == Phase::relaying) finish(Progress::abort, now);
        return true;
    }
    if (now >= abandoned_at_) {
        // What was written after its FIN has not been answered with RST: it still reads.
        if (last_progress_ + closing_grace > abandoned_at_)
            abandoned_at_ = TimePoint::max();
        else
            client_gone(now);
    }
    watch_client(now);
    return phase_ != Phase::relaying;
}

/// Reads what the backend has sent of the response, bounded by what the client takes.
void Exchange::take_response_bytes(TimePoint now)
{
    Upstream& up = *winner_;
    const BodyRelay::Step step = response_body_.pass(*up.stream, up.in, *client_, response_out_, plane_.window(),
                                                     plane_.relay_memory.most_waiting());
    if (step.taken > 0) {
        moved_ += step.taken + step.sent;
        account_.delivered(step.sent);
        last_progress_ = now;
    }
    switch (step.end) {
    case BodyRelay::End::none: break;
    case BodyRelay::End::cut: return attempt_failed(up, Outcome::reset, now);
    case BodyRelay::End::malformed: return attempt_failed(up, Outcome::malformed, now);
    }
    if (!response_body_.complete()) return;
    ledger_.finished(up.id, now);
    winner_ = nullptr;
    // Bytes behind the response belong to no request: what follows on that connection cannot be told from them.
    const bool whole = all_sent(up) && !up.send_failed && up.in.empty();
    release(up, !whole ? Fate::reset : upstream_reusable_ ? Fate::pooled : Fate::closed, now);
}

/// Whether another request may follow: of a client that has half-closed, one that it sent before.
bool Exchange::may_reuse_client() const noexcept
{
    return keep_alive_ && request_body_.complete() && (!client_eof_ || !client_in.empty());
}

/// True when everything is written. Ends the exchange if the client is gone.
bool Exchange::flush_response(TimePoint now)
{
    while (!response_out_.empty()) {
        const IoResult io = client_->write(response_out_.data());
        if (io.io == Io::blocked) return false;
        if (io.io == Io::failed) {
            client_gone(now);
            return false;
        }
        response_out_.consume(io.bytes);
        account_.delivered(io.bytes);
        moved_ += io.bytes;
        last_progress_ = now;
    }
    return true;
}

// ------------------------------------------------------------------------------------------------------------- tunnels

bool Exchange::run_tunnel(TimePoint now)
{
    const Tunnel::State state =
        tunnel_.run({*client_, client_in, response_out_}, {*winner_->stream, winner_->in, request_.bytes()},
                    {plane_.window(), plane_.relay_memory.most_waiting(), fair_share}, moved_, now);
    last_progress_ = tunnel_.last_progress();
    switch (state) {
    case Tunnel::State::open: return false;
    case Tunnel::State::over: end_tunnel(Fate::closed, Progress::close, now); break;
    case Tunnel::State::silent: end_tunnel(Fate::reset, Progress::close, now); break;
    case Tunnel::State::broken: end_tunnel(Fate::reset, Progress::abort, now); break;
    }
    return true;
}

void Exchange::end_tunnel(Fate fate, Progress how, TimePoint now)
{
    ledger_.finished(winner_->id, now);
    release(*winner_, fate, now);
    winner_ = nullptr;
    finish(how, now);
}

// --------------------------------------------------------------------------------------------------------------- ends

void Exchange::attempt_failed(Upstream& up, Outcome outcome, TimePoint now)
{
    const BackendIndex backend = up.backend;
    const bool unsent = up.sent == 0;
    bool judged = account_.would_judge(ledger_, up.id, outcome);
    const bool had_spared = ledger_.spared().has_value();
    const Verdict verdict = ledger_.failed(up.id, outcome, now, plane_.budgets[pool_]);
    judged |= !had_spared && ledger_.spared(); // what it has not read did not break it
    account_.attempt_failed(backend, outcome, verdict, judged, now);
    if (winner_ == &up) winner_ = nullptr;
    Admission kept;
    if (verdict.move == Move::fresh) kept = std::move(up.admission);
    release(up, Fate::reset, now);

    switch (verdict.move) {
    case Move::elsewhere: phase_ = Phase::placing; break;
    case Move::fresh:
        up.admission = std::move(kept);
        start(up, backend, true, false, now);
        break;
    case Move::wait:
        // What was not sent was no hedge: the one that is still silent may have another.
        for (Upstream& other : upstreams_)
            if (other.stream && unsent) other.hedge_at = now;
        break;
    case Move::give_up:
        account_.failed_for_good(ledger_, backend, now);
        fail(lost_for(verdict.reason),
             {outcome == Outcome::timed_out ? 504U : 502U,
              describe_attempts() + "; " + std::string(to_string(verdict.reason))},
             now);
        break;
    case Move::abort:
        flush_response(now); // what the backend did send is the client's
        if (phase_ != Phase::finished) finish(Progress::abort, now);
        break;
    }
}

/// We, not the backend, have run out of descriptors or ports: other backends would not do better. Connections that
/// rest in the pools are the first to give back.
void Exchange::run_short(Upstream& up, TimePoint now)
{
    const std::string what = up.stream->connect_error().message();
    const BackendIndex backend = up.backend;
    ledger_.failed(up.id, Outcome::cancelled, now, plane_.budgets[pool_]);
    Admission kept = std::move(up.admission);
    release(up, Fate::reset, now);
    plane_.counters.backends[backend].connect_failures.add();
    if (running() > 0) return;
    if (ledger_.may_send() && plane_.upstreams.close_all() > 0) {
        up.admission = std::move(kept);
        return start(up, backend, true, false, now);
    }
    fail(Lost::no_backend, {503, "the balancer cannot open a connection: " + what}, now);
}

bool Exchange::backends_down(const std::vector<BackendIndex>& down, TimePoint now)
{
    bool moved = false;
    for (const BackendIndex backend : down) {
        if (phase_ == Phase::tunnel && winner_->backend == backend) {
            flush_response(now); // what the backend did send is the client's
            if (phase_ == Phase::tunnel) end_tunnel(Fate::reset, Progress::close, now);
            return true;
        }
        for (Upstream& up : upstreams_) {
            if (phase_ != Phase::waiting || !up.stream || up.backend != backend || !ledger_.may_move(up.id)) continue;
            if (running() == 1 && !plane_.placement.alternative(pool_, ledger_)) continue;
            attempt_failed(up, Outcome::moved, now);
            moved = true;
        }
    }
    return moved;
}

bool Exchange::topology_changed(TimePoint now)
{
    // A backend that has a limit from now on: what is in use there counts.
    for (Upstream& up : upstreams_)
        if (up.stream && !up.admission) up.admission = plane_.limits.count(up.backend);
    if (phase_ != Phase::tunnel || plane_.topology().present(winner_->backend)) return false;
    tunnel_.end_by(now + plane_.topology().timeouts.tunnel_drain);
    return true;
}

void Exchange::mark(SlotSet& used) const noexcept
{
    if (phase_ == Phase::idle) return;
    for (const Attempt& attempt : ledger_.trail()) used.backends.set(attempt.backend);
    if (cookie_) used.backends.set(*cookie_);
    if (const auto pool = account_.pool()) used.pools.set(*pool);
}

void Exchange::cancel_attempts(TimePoint now)
{
    leave_lot();
    for (Upstream& up : upstreams_) {
        if (!up.stream) continue;
        ledger_.failed(up.id, Outcome::cancelled, now, plane_.budgets[pool_]);
        release(up, Fate::reset, now);
    }
    winner_ = nullptr;
}

std::uint64_t Exchange::unread_request() const noexcept
{
    const std::uint64_t owed = request_body_.owed();
    return owed -
           (owed == std::numeric_limits<std::uint64_t>::max() ? 0 : std::min<std::uint64_t>(owed, client_in.size()));
}

void Exchange::client_gone(TimePoint now)
{
    if (phase_ == Phase::idle || phase_ == Phase::finished) return;
    cancel_attempts(now);
    response_out_.clear();
    status_ = 0;
    finish(Progress::abort, now);
}

/// The client broke the rules in the middle of its body. A response that has begun can only be cut short.
void Exchange::refuse(OwnAnswer why, TimePoint now)
{
    const bool begun = phase_ != Phase::waiting;
    cancel_attempts(now);
    if (begun)
        finish(Progress::abort, now);
    else
        answer(why, now);
}

/// The balancer could not get an answer from any backend.
void Exchange::fail(Lost lost, OwnAnswer why, TimePoint now)
{
    account_.lost(lost);
    if (!route_->error_page.empty() && http::prefers_html(written_field(request_.head(), "Accept"))) {
        why.page = route_->error_page;
        why.own_page = false;
    }
    answer(why, now);
}

/// An operator has taken the pool out and said so: no request is lost, its client is told when to come again.
void Exchange::tell(const Maintenance& maintenance, TimePoint now)
{
    const std::string accept = written_field(request_.head(), "Accept");
    answer(maintenance_answer(maintenance, accept, std::chrono::system_clock::now()), now);
}

void Exchange::answer(const OwnAnswer& answer, TimePoint now)
{
    leave_lot();
    status_ = answer.status;
    last_progress_ = now;
    // Bytes of a body that is not read must not be taken for the next request.
    if (plane_.draining || !request_body_.complete()) keep_alive_ = false;
    write_answer(answer,
                 {.request_id = request_id_,
                  .date = plane_.date.at(std::chrono::system_clock::now()),
                  .client_version = version_,
                  .to_head = method_ == beast_http::verb::head,
                  .keep_alive = keep_alive_},
                 response_out_);
    phase_ = Phase::answering;
}

void Exchange::finish(Progress how, TimePoint now)
{
    phase_ = Phase::finished;
    result_ = how;
    account_.close(
        ledger_,
        {.status = status_, .complete = how != Progress::abort, .parked = lacked_backend_, .request_id = request_id_},
        now);
}

/// Of a request that waits for a connection.
std::string Exchange::describe_limit() const
{
    std::vector<std::string> names;
    const auto& backends = plane_.topology().backends;
    for (std::size_t b = 0; b < backends.size(); ++b)
        if (wanted()[b]) names.push_back("'" + backends[b].name + "'");
    std::string text = ledger_.trail().empty() ? "" : describe_attempts() + "; ";
    text += names.size() == 1
                ? "the backend " + names.front() + " is at its connection limit"
                : fmt::format("each of the {} backends that could take the request is at its connection limit",
                              names.size());
    return text;
}

std::string Exchange::describe_attempts() const
{
    if (ledger_.trail().empty()) return "no backend of the pool takes requests";
    std::string text;
    for (const Attempt& attempt : ledger_.trail()) {
        if (!text.empty()) text += ", ";
        text += plane_.topology().backends[attempt.backend].name;
        text += ' ';
        text += to_string(attempt.outcome);
    }
    return text;
}

} // namespace hotspare::balancer
