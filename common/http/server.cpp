#include "common/http/server.hpp"

#include "common/http/connection.hpp"
#include "common/log.hpp"
#include "common/no_throw.hpp"
#include "common/process/listen_sockets.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <exception>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hotspare::http {
namespace {

/// Pause before the next accept when the process or the system is out of descriptors or memory.
constexpr Duration accept_pause = milliseconds(100);

/// Descriptors that connections may not take: listeners, logs, the store and its journal.
constexpr std::size_t reserved_descriptors = 64;

std::size_t default_connection_limit()
{
    return std::max(descriptor_limit(), 2 * reserved_descriptors) - reserved_descriptors;
}

} // namespace

Server::Server(asio::io_context& context, Dispatch dispatch, ServerOptions options)
    : context_(context), dispatch_(std::move(dispatch)), options_(std::move(options)), tasks_(context),
      change_(context), random_(std::random_device{}())
{
    if (options_.limits.connections == 0) options_.limits.connections = default_connection_limit();
}

Server::~Server() = default;

result<void> Server::listen(const tcp::endpoint& endpoint)
{
    return open(endpoint);
}

result<void> Server::listen(std::vector<Fd> inherited)
{
    inherited_ = std::move(inherited);
    return accept_from_inherited();
}

result<void> Server::resume()
{
    if (!suspended()) return {};
    return inherited_.empty() ? open(endpoint_) : accept_from_inherited();
}

result<void> Server::open(const tcp::endpoint& endpoint)
{
    if (draining_) return error_code(errc::cancelled);
    auto acceptor = std::make_shared<tcp::acceptor>(context_);
    error_code error;
    acceptor->open(endpoint.protocol(), error);
    if (!error) acceptor->set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor->bind(endpoint, error);
    if (!error) acceptor->listen(asio::socket_base::max_listen_connections, error);
    if (!error) endpoint_ = acceptor->local_endpoint(error);
    if (error) return error;
    add(std::move(acceptor));
    return {};
}

result<void> Server::accept_from_inherited()
{
    if (draining_) return error_code(errc::cancelled);
    for (const Fd& socket : inherited_) {
        const int copy = ::fcntl(socket.get(), F_DUPFD_CLOEXEC, 0);
        if (copy < 0 || ::listen(copy, asio::socket_base::max_listen_connections) != 0) {
            const error_code error(errno, boost::system::system_category());
            if (copy >= 0) ::close(copy);
            return error;
        }
        sockaddr_storage address{};
        socklen_t size = sizeof address;
        ::getsockname(copy, reinterpret_cast<sockaddr*>(&address), &size);
        auto acceptor = std::make_shared<tcp::acceptor>(context_);
        error_code error;
        acceptor->assign(address.ss_family == AF_INET6 ? tcp::v6() : tcp::v4(), copy, error);
        if (!error) endpoint_ = acceptor->local_endpoint(error);
        if (error) return error;
        add(std::move(acceptor));
    }
    return {};
}

void Server::add(std::shared_ptr<tcp::acceptor> acceptor)
{
    acceptors_.push_back(acceptor);
    tasks_.spawn("accept loop", accept(std::move(acceptor)));
}

std::vector<int> Server::listening_sockets() const
{
    std::vector<int> out;
    for (const auto& acceptor : acceptors_) out.push_back(acceptor->native_handle());
    return out;
}

void Server::leave_listening()
{
    error_code ignored;
    for (const auto& acceptor : acceptors_) acceptor->close(ignored);
    acceptors_.clear();
    inherited_.clear();
    change_.cancel();
}

void Server::suspend()
{
    if (!suspended()) {
        error_code ignored;
        for (const auto& acceptor : acceptors_) acceptor->close(ignored);
        acceptors_.clear();
        change_.cancel();
        // shutdown(2) makes a socket refuse connections until listen(2), also where other processes hold it. When we
        // end it stays as it is: the next process takes what waits in its queue.
        if (!draining_)
            for (const Fd& socket : inherited_) ::shutdown(socket.get(), SHUT_RD);
    }
    for (const auto& connection : connections_) connection->stop();
}

void Server::adopt(Adopted adopted)
{
    tcp::socket socket(context_);
    error_code error;
    int family = AF_INET; // Asio asks for it, and uses it only to open sockets
    socklen_t size = sizeof family;
    ::getsockopt(adopted.descriptor, SOL_SOCKET, SO_DOMAIN, &family, &size);
    socket.assign(family == AF_INET6 ? tcp::v6() : tcp::v4(), adopted.descriptor, error);
    if (error) {
        log::error("cannot adopt a connection: {}", error.message());
        ::close(adopted.descriptor);
        return;
    }
    start(std::make_unique<Connection>(*this, std::move(socket), std::move(adopted)));
}

asio::awaitable<void> Server::drain(Duration grace)
{
    draining_ = true;
    suspend();
    const auto until = Clock::now() + grace;
    while (!connections_.empty() && Clock::now() < until) {
        change_.expires_at(until);
        co_await change_.async_wait(no_throw);
    }
    tasks_.cancel();
    co_await tasks_.join();
}

asio::awaitable<void> Server::accept(std::shared_ptr<tcp::acceptor> acceptor)
{
    asio::steady_timer pause(context_);
    bool failing = false;
    while (acceptor->is_open()) {
        if (connections_.size() >= options_.limits.connections) {
            change_.expires_at(TimePoint::max());
            co_await change_.async_wait(no_throw);
            continue;
        }
        auto [error, socket] = co_await acceptor->async_accept(no_throw);
        if (!error) {
            failing = false;
            start(std::make_unique<Connection>(*this, std::move(socket), dispatch_));
            continue;
        }
        if (!acceptor->is_open()) break;
        if (!failing) log::warn("cannot accept connections for the moment: {}", error.message());
        failing = true;
        pause.expires_after(accept_pause);
        co_await pause.async_wait(no_throw);
    }
}

void Server::start(std::unique_ptr<Connection> connection)
{
    if (draining_) return;
    tasks_.spawn("connection", serve(connections_.insert(connections_.end(), std::move(connection))));
}

asio::awaitable<void> Server::serve(Connections::iterator connection)
{
    std::exception_ptr failure;
    try {
        co_await (*connection)->run();
    } catch (...) {
        failure = std::current_exception();
    }
    connections_.erase(connection);
    change_.cancel();
    if (failure) std::rethrow_exception(failure);
}

std::string Server::next_request_id()
{
    return fmt::format("{:016x}", random_());
}

void listen(Server& server, const std::string& host, std::uint16_t port, std::string_view flag)
{
    error_code error;
    const auto address = asio::ip::make_address(host, error);
    if (error) throw UsageError(fmt::format("--host: '{}' is not an IP address", host));
    while (flag.starts_with('-')) flag.remove_prefix(1);
    auto inherited = process::take_inherited(flag, {host, port});
    const auto listening =
        inherited.empty() ? server.listen(tcp::endpoint(address, port)) : server.listen(std::move(inherited));
    if (!listening)
        throw UsageError(
            fmt::format("--{}: cannot listen on {}:{}: {}", flag, host, port, listening.error().message()));
}

} // namespace hotspare::http
