#include "common/http/unix_listener.hpp"

#include "common/error.hpp"
#include "common/log.hpp"
#include "common/no_throw.hpp"

#include <boost/asio/steady_timer.hpp>

#include <fmt/format.h>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

namespace hotspare::http {
namespace {

/// After a failure to accept: descriptors have run out.
constexpr Duration pause_after_failure = milliseconds(100);

bool is_own_user(int socket)
{
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == ::geteuid() || peer.uid == 0);
}

/// Whether a process listens there.
bool is_answered(asio::io_context& context, const std::string& name)
{
    asio::local::stream_protocol::socket probe(context);
    error_code error;
    probe.connect({name}, error); // at once, or not at all
    return !error;
}

} // namespace

UnixListener::UnixListener(asio::io_context& context, Server& server, std::filesystem::path path, Dispatch dispatch)
    : server_(server), path_(std::move(path)), dispatch_(std::move(dispatch)), acceptor_(context), tasks_(context)
{
    const auto fail = [&](const std::string& why) {
        throw StartupError(fmt::format("cannot listen on the Unix socket {}: {}", path_.string(), why));
    };
    // The name of a Unix socket has 107 bytes at most (unix(7)), the path of the folder may have more.
    const auto parent = path_.has_parent_path() ? path_.parent_path() : std::filesystem::path(".");
    const Fd folder(::open(parent.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) fail(last_system_error().message());
    const auto name = fmt::format("/proc/self/fd/{}/{}", folder.get(), path_.filename().string());
    struct stat there {};
    if (::lstat(name.c_str(), &there) == 0) {
        if (!S_ISSOCK(there.st_mode)) fail("the file exists and is no socket");
        if (is_answered(context, name)) fail("another process listens there");
        ::unlink(name.c_str()); // of a process that was killed
    }
    error_code error;
    acceptor_.open({}, error);
    if (!error) acceptor_.bind({name}, error);
    if (!error && ::chmod(name.c_str(), 0600) != 0) error = last_system_error();
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) fail(error.message());
    tasks_.spawn("requests over a Unix socket", accept());
}

UnixListener::UnixListener(asio::io_context& context, Server& server, std::filesystem::path path, Dispatch dispatch,
                           Fd inherited)
    : server_(server), path_(std::move(path)), dispatch_(std::move(dispatch)), acceptor_(context), tasks_(context)
{
    error_code error;
    acceptor_.assign({}, inherited.get(), error);
    if (error)
        throw StartupError(fmt::format("cannot listen on the Unix socket {}: {}", path_.string(), error.message()));
    inherited.release();
    tasks_.spawn("requests over a Unix socket", accept());
}

void UnixListener::leave_listening()
{
    error_code ignored;
    acceptor_.close(ignored);
    path_.clear();
}

asio::awaitable<void> UnixListener::accept()
{
    asio::steady_timer pause(acceptor_.get_executor());
    while (acceptor_.is_open()) {
        auto [error, peer] = co_await acceptor_.async_accept(no_throw);
        if (!acceptor_.is_open()) co_return;
        if (error) {
            pause.expires_after(pause_after_failure);
            co_await pause.async_wait(no_throw);
            continue;
        }
        if (!is_own_user(peer.native_handle())) continue; // closed by going out of scope
        // To the server a connected stream is a stream; only the peer's address says nothing here.
        Server::Adopted adopted{.descriptor = peer.release(), .dispatch = dispatch_};
        server_.adopt(std::move(adopted));
    }
}

asio::awaitable<void> UnixListener::end()
{
    error_code ignored;
    acceptor_.close(ignored);
    std::error_code gone;
    if (!path_.empty()) std::filesystem::remove(path_, gone);
    tasks_.cancel();
    co_await tasks_.join();
}

} // namespace hotspare::http
