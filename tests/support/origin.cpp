#include "tests/support/origin.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>
#include <utility>

namespace hotspare::test {
namespace {

bool is_probe(const Message& request)
{
    return request.target() == "/health";
}

std::string chunk_line(std::size_t size)
{
    std::string hex;
    do hex.insert(hex.begin(), "0123456789abcdef"[size % 16]);
    while ((size /= 16) > 0);
    return hex + "\r\n";
}

/// Whole, small and sent at once.
bool is_plain(const Reply& reply)
{
    return reply.framing == Reply::Framing::sized && reply.pattern == 0 && reply.piece == 0 &&
           reply.break_at == Reply::Break::never;
}

} // namespace

Reply Reply::text(std::string body, int status)
{
    Reply r;
    r.status = status;
    r.headers = {{"Content-Type", "text/plain"}};
    r.body = std::move(body);
    return r;
}

Reply Reply::json(std::string body, int status)
{
    Reply r = text(std::move(body), status);
    r.headers = {{"Content-Type", "application/json"}};
    return r;
}

Reply Reply::broken(Break where, std::uint64_t after)
{
    Reply r;
    r.body.assign(1000, 'x');
    r.break_at = where;
    r.break_after = after;
    return r;
}

Origin::Origin(std::string name, Script script)
    : name_(std::move(name)), reservation_(bind_loopback(0)), script_(std::move(script))
{
    port_ = local_port(reservation_);
    start();
}

Origin::~Origin()
{
    stop();
}

void Origin::start()
{
    if (acceptor_.joinable()) return;
    listener_ = listen_loopback(port_);
    set_nonblocking(listener_);
    stop_ = std::make_unique<WakeUp>();
    stopping_ = false;
    acceptor_ = std::thread([this] { accept_loop(); });
}

void Origin::stop()
{
    if (!acceptor_.joinable()) return;
    stopping_ = true;
    stop_->raise();
    acceptor_.join();
    listener_.close();
    for (Connection& c : open_) c.thread.join();
    open_.clear();
}

void Origin::accept_loop()
{
    while (wait_readable(listener_, std::nullopt, stop_.get())) {
        Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        open_.remove_if([](Connection& c) {
            const bool over = c.over; // read once: it may become true between two looks
            if (over) c.thread.join();
            return over;
        });
        if (!socket) continue;
        set_nodelay(socket);
        ++connections_;
        Connection& c = open_.emplace_back();
        c.socket = std::move(socket);
        c.thread = std::thread([this, &c] { serve(c); });
    }
}

void Origin::serve(Connection& c)
{
    MessageReader reader(MessageReader::Kind::request);
    std::string pending;
    std::array<char, 65536> buffer;
    std::optional<Reply> reply; ///< decided when the header is complete
    bool going_on = true;
    while (going_on) {
        const std::uint64_t before = reader.message().body_bytes;
        pending.erase(0, reader.feed(pending));
        body_bytes_received_ += reader.message().body_bytes - before;

        if (reader.head_complete() && !reply) {
            if (!is_probe(reader.message())) {
                const std::lock_guard lock(mutex_);
                ++seen_;
            }
            reply = decide(reader.message());
            if (reply->early) {
                going_on = answer(c, reader.message(), *reply);
            } else if (!reader.complete() && reply->announce_continue &&
                       reader.message().lists("Expect", "100-continue")) {
                going_on = send(c, "HTTP/1.1 100 Continue\r\n\r\n");
            }
            if (!going_on) break;
        }
        if (reader.complete()) {
            record(reader.message());
            if (!reply->early) going_on = answer(c, reader.message(), *reply);
            if (going_on && reply->status == 101) {
                if (reply->echo) echo(c, pending);
                going_on = false;
            }
            reader.restart();
            reply.reset();
            continue;
        }
        if (reader.broken() || !wait_readable(c.socket, std::nullopt, stop_.get())) break;
        const auto n = ::recv(c.socket.get(), buffer.data(), buffer.size(), 0);
        if (n <= 0) break;
        pending.append(buffer.data(), static_cast<std::size_t>(n));
    }
    if (!reader.untouched() || !pending.empty()) {
        const std::lock_guard lock(mutex_);
        unparsed_ += reader.message().head + reader.message().body + pending;
    }
    if (stopping_)
        c.socket.reset();
    else
        c.socket.close();
    c.over = true;
}

Reply Origin::decide(const Message& request)
{
    Script script;
    {
        const std::lock_guard lock(mutex_);
        script = is_probe(request) ? probe_script_ : script_;
    }
    if (script) return script(request);
    return Reply::json(is_probe(request) ? R"({"status":"healthy"})" : R"({"service":")" + name_ + R"("})");
}

void Origin::record(const Message& request)
{
    if (is_probe(request)) return;
    const std::lock_guard lock(mutex_);
    requests_.push_back(request);
    ++by_method_[std::string(request.method())];
    if (const auto id = request.header("X-Test-Id")) ++by_id_[*id];
}

bool Origin::answer(Connection& c, const Message& request, const Reply& reply)
{
    using Break = Reply::Break;
    if (reply.delay > milliseconds(0)) {
        static const Fd nothing;
        (void)wait_readable(nothing, Clock::now() + reply.delay, stop_.get());
    }
    switch (reply.break_at) {
    case Break::close_unanswered: return false;
    case Break::reset_unanswered: c.socket.reset(); return false;
    case Break::hang: wait_for_hang_up(c); return false;
    default: break;
    }
    if (!reply.before.empty() && !send(c, reply.before)) return false;
    if (!reply.raw.empty()) {
        (void)send(c, reply.raw);
        return false;
    }

    std::string head = "HTTP/1.1 " + std::to_string(reply.status) + " Scripted\r\n";
    for (const auto& [name, value] : reply.headers) head += name + ": " + value + "\r\n";
    switch (reply.framing) {
    case Reply::Framing::sized:
        head += "Content-Length: " + std::to_string(reply.pattern > 0 ? reply.pattern : reply.body.size()) + "\r\n";
        break;
    case Reply::Framing::chunked: head += "Transfer-Encoding: chunked\r\n"; break;
    default: break;
    }
    if (reply.close) head += "Connection: close\r\n";
    head += "\r\n";
    const bool has_body = request.method() != "HEAD" && reply.framing != Reply::Framing::none;
    if (has_body && is_plain(reply)) {
        // In one piece, as real servers send small answers: a fault of the network comes before it or after it.
        if (!send(c, head + reply.body)) return false;
        body_bytes_sent_ += reply.body.size();
    } else {
        if (!send(c, head)) return false;
        if (has_body && !send_body(c, reply)) return false;
    }
    return !reply.close && !reply.close_silently && reply.framing != Reply::Framing::until_close &&
           request.keep_alive();
}

bool Origin::send_body(Connection& c, const Reply& reply)
{
    const bool chunked = reply.framing == Reply::Framing::chunked;
    const bool breaks = reply.break_at == Reply::Break::close_in_body || reply.break_at == Reply::Break::reset_in_body;
    Pattern pattern(reply.pattern);
    std::string_view rest = reply.body;
    std::uint64_t allowed = breaks ? reply.break_after : ~std::uint64_t{0};
    for (;;) {
        auto limit = reply.piece > 0 ? reply.piece : std::size_t{65536};
        limit = static_cast<std::size_t>(std::min<std::uint64_t>(limit, allowed));
        std::string_view piece = reply.pattern > 0 ? pattern.next(limit) : rest.substr(0, limit);
        if (reply.pattern == 0) rest.remove_prefix(piece.size());
        if (piece.empty()) break;
        allowed -= piece.size();
        const bool sent =
            chunked ? send(c, chunk_line(piece.size())) && send(c, piece) && send(c, "\r\n") : send(c, piece);
        if (!sent) return false;
        body_bytes_sent_ += piece.size();
    }
    if (breaks) {
        if (reply.break_at == Reply::Break::reset_in_body) c.socket.reset();
        return false;
    }
    if (!chunked) return true;
    std::string end = "0\r\n";
    for (const auto& [name, value] : reply.trailers) end += name + ": " + value + "\r\n";
    return send(c, end + "\r\n");
}

bool Origin::send(const Connection& c, std::string_view bytes) const
{
    return send_all(c.socket, bytes, std::nullopt, stop_.get());
}

void Origin::echo(const Connection& c, std::string_view first) const
{
    if (!send(c, first)) return;
    std::array<char, 65536> buffer;
    while (wait_readable(c.socket, std::nullopt, stop_.get())) {
        const auto n = ::recv(c.socket.get(), buffer.data(), buffer.size(), 0);
        if (n <= 0 || !send(c, {buffer.data(), static_cast<std::size_t>(n)})) return;
    }
}

void Origin::wait_for_hang_up(const Connection& c) const
{
    std::array<char, 4096> buffer;
    while (wait_readable(c.socket, std::nullopt, stop_.get()))
        if (::recv(c.socket.get(), buffer.data(), buffer.size(), 0) <= 0) return;
}

void Origin::script(Script script)
{
    const std::lock_guard lock(mutex_);
    script_ = std::move(script);
}

void Origin::probe_script(Script script)
{
    const std::lock_guard lock(mutex_);
    probe_script_ = std::move(script);
}

std::size_t Origin::executed(const std::string& id) const
{
    const std::lock_guard lock(mutex_);
    const auto it = by_id_.find(id);
    return it == by_id_.end() ? 0 : it->second;
}

std::pair<std::string, std::size_t> Origin::most_executed() const
{
    const std::lock_guard lock(mutex_);
    const auto it = std::max_element(by_id_.begin(), by_id_.end(),
                                     [](const auto& a, const auto& b) { return a.second < b.second; });
    return it == by_id_.end() ? std::pair<std::string, std::size_t>{} : std::pair{it->first, it->second};
}

std::size_t Origin::executed_by_method(const std::string& method) const
{
    const std::lock_guard lock(mutex_);
    const auto it = by_method_.find(method);
    return it == by_method_.end() ? 0 : it->second;
}

std::size_t Origin::seen() const
{
    const std::lock_guard lock(mutex_);
    return seen_;
}

std::string Origin::unparsed() const
{
    const std::lock_guard lock(mutex_);
    return unparsed_;
}

std::vector<Message> Origin::requests() const
{
    const std::lock_guard lock(mutex_);
    return requests_;
}

void Origin::forget()
{
    const std::lock_guard lock(mutex_);
    requests_.clear();
    by_id_.clear();
    by_method_.clear();
    seen_ = 0;
    unparsed_.clear();
}

} // namespace hotspare::test
