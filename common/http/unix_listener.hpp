// A Unix socket that a Server answers on: for requests of the user that runs the process, and of root, alone. The file
// has mode 0600, and a peer of another user is refused whatever the folder allows.
//
// Thread: the io_context's. Owner: the component whose server it feeds; end() must complete before it is destroyed.
#pragma once

#include "common/http/server.hpp"
#include "common/socket.hpp"
#include "common/task_group.hpp"

#include <boost/asio/local/stream_protocol.hpp>

#include <filesystem>

namespace hotspare::http {

class UnixListener {
public:
    /// Listens on `path`, in place of a socket that another process left there; each connection is answered once, by
    /// `dispatch`, through `server`. Throws StartupError if that cannot be, or another process listens there.
    UnixListener(asio::io_context& context, Server& server, std::filesystem::path path, Dispatch dispatch);
    /// The same on a socket that another process has made at `path` and hands down.
    UnixListener(asio::io_context& context, Server& server, std::filesystem::path path, Dispatch dispatch,
                 Fd inherited);

    /// It remains the listener's own.
    int listening_socket() { return acceptor_.native_handle(); }
    /// Another process holds the socket and goes on: no request is taken here any more, and the file stays.
    void leave_listening();

    /// Stops listening and removes the file.
    asio::awaitable<void> end();

private:
    asio::awaitable<void> accept();

    Server& server_;
    std::filesystem::path path_; ///< empty once it is another process's
    Dispatch dispatch_;
    asio::local::stream_protocol::acceptor acceptor_;
    TaskGroup tasks_;
};

} // namespace hotspare::http
