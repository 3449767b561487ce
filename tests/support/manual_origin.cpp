#include "tests/support/manual_origin.hpp"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <utility>

namespace hotspare::test {

ManualOrigin::Call::End ManualOrigin::Call::end(milliseconds bound) const
{
    const auto deadline = Clock::now() + bound;
    std::array<char, 65536> buffer;
    while (wait_readable(socket, deadline)) {
        const auto n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
        if (n == 0) return End::closed;
        if (n < 0) return errno == ECONNRESET ? End::reset : End::closed;
    }
    return End::open;
}

bool ManualOrigin::Call::was_reset(milliseconds bound) const
{
    pollfd waiting{.fd = socket.get(), .events = 0, .revents = 0};
    return ::poll(&waiting, 1, static_cast<int>(bound.count())) == 1 && (waiting.revents & POLLERR) != 0;
}

ManualOrigin::ManualOrigin() : listener_(listen_loopback(0)), port_(local_port(listener_))
{
    set_nonblocking(listener_);
    acceptor_ = std::thread([this] { accept_loop(); });
}

ManualOrigin::~ManualOrigin()
{
    stop_.raise();
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
}

ManualOrigin::Call ManualOrigin::next(milliseconds bound)
{
    std::unique_lock lock(mutex_);
    if (!arrived_.wait_for(lock, bound, [this] { return !calls_.empty(); })) return {};
    Call call = std::move(calls_.front());
    calls_.pop_front();
    return call;
}

void ManualOrigin::accept_loop()
{
    while (wait_readable(listener_, std::nullopt, &stop_)) {
        Fd socket(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!socket) continue;
        set_nodelay(socket);
        threads_.emplace_back([this, connection = std::move(socket)]() mutable { serve(std::move(connection)); });
    }
}

void ManualOrigin::serve(Fd socket)
{
    std::string received;
    std::array<char, 4096> buffer;
    for (;;) {
        while (received.find("\r\n\r\n") == std::string::npos) {
            if (!wait_readable(socket, std::nullopt, &stop_)) return;
            const auto n = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
            if (n <= 0) return;
            received.append(buffer.data(), static_cast<std::size_t>(n));
        }
        if (!received.starts_with("GET /health ")) break;
        received.clear();
        if (!send_all(socket, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", std::nullopt, &stop_)) return;
    }
    const std::lock_guard lock(mutex_);
    calls_.push_back({std::move(socket), std::move(received)});
    arrived_.notify_one();
}

} // namespace hotspare::test
