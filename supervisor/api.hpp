// The requests of the supervisor, by HTTP over a Unix socket in the instance's folder: run.sh asks with curl
// --unix-socket. The folder and the socket are for their owner alone, and a peer of another user (but root) is refused.
//
//     GET  /status              every daemon as JSON; ?format=text as `run.sh status` shows it
//     GET  /missing             the names of the daemons that POST /start would start, as text
//     POST /start               starts those, and answers when all are ready: 200, or 503 with what went wrong
//     POST /daemons/NAME/stop   ends one, and answers when it has ended; if it was the last, the supervisor ends too
//     POST /daemons/NAME/restart  gives one another process, and answers when that is ready: 200, or 503 with what went
//                               wrong; a balancer replaces its own while its clients are served
//     POST /stop                ends all, each after those that need it, and then the supervisor
//
// Thread: the io_context's. Owner: main; end() must complete before it is destroyed.
#pragma once

#include "common/http/router.hpp"
#include "common/http/server.hpp"
#include "common/http/unix_listener.hpp"
#include "supervisor/supervisor.hpp"

#include <filesystem>
#include <functional>

namespace hotspare::supervisor {

class Api {
public:
    /// Listens on `socket`, in place of what an earlier supervisor left there. `finish` ends the process. Throws
    /// StartupError.
    Api(asio::io_context& context, Supervisor& supervisor, std::filesystem::path socket, std::function<void()> finish);

    /// Answers what is under way, and nothing more.
    asio::awaitable<void> end();

private:
    http::Router make_routes();
    http::Response status(const http::Request& request);
    http::Response missing(const http::Request& request);
    asio::awaitable<http::Response> start(const http::Request& request);
    asio::awaitable<http::Response> stop(const http::Request& request);
    asio::awaitable<http::Response> restart_one(const http::Request& request);
    asio::awaitable<http::Response> stop_one(const http::Request& request);

    Supervisor& supervisor_;
    std::function<void()> finish_;
    http::Router routes_;
    http::Server server_;
    http::UnixListener listener_;
};

} // namespace hotspare::supervisor
