#include "supervisor/api.hpp"

#include "common/no_throw.hpp"

#include <boost/asio/steady_timer.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hotspare::supervisor {
namespace {

constexpr Duration accept_pause = milliseconds(100);
constexpr Duration longest_answer = seconds(5); ///< once all daemons have ended

bool is_own_user(int socket)
{
    ucred peer{};
    socklen_t size = sizeof peer;
    return ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
           (peer.uid == ::geteuid() || peer.uid == 0);
}

} // namespace

Api::Api(asio::io_context& context, Supervisor& supervisor, std::filesystem::path socket, std::function<void()> finish)
    : supervisor_(supervisor), socket_(std::move(socket)), finish_(std::move(finish)), routes_(make_routes()),
      server_(context, {}), acceptor_(context), tasks_(context)
{
    listen();
    tasks_.spawn("requests", accept());
}

http::Router Api::make_routes()
{
    const auto handler = [this](auto method) {
        return [this, method](const http::Request& request) { return (this->*method)(request); };
    };
    http::Router routes;
    routes.add(http::verb::get, "/status", handler(&Api::status));
    routes.add(http::verb::get, "/missing", handler(&Api::missing));
    routes.add(http::verb::post, "/start", http::Handler(handler(&Api::start)));
    routes.add(http::verb::post, "/stop", http::Handler(handler(&Api::stop)));
    routes.add(http::verb::post, "/daemons/{name}/stop", http::Handler(handler(&Api::stop_one)));
    return routes;
}

void Api::listen()
{
    const auto fail = [&](const std::string& why) { throw StartupError(fmt::format("{}: {}", socket_.string(), why)); };
    // The name of a Unix socket has 107 bytes at most (unix(7)), the path of the folder may have more.
    const Fd folder(::open(socket_.parent_path().c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
    if (!folder) fail(std::strerror(errno));
    const auto name = fmt::format("/proc/self/fd/{}/{}", folder.get(), socket_.filename().string());
    ::unlink(name.c_str()); // of a supervisor that was killed; we hold the folder's lock
    error_code error;
    acceptor_.open({}, error);
    if (!error) acceptor_.bind({name}, error);
    if (!error && ::chmod(name.c_str(), 0600) != 0) fail(std::strerror(errno));
    if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
    if (error) fail(error.message());
}

asio::awaitable<void> Api::accept()
{
    asio::steady_timer pause(acceptor_.get_executor());
    while (acceptor_.is_open()) {
        auto [error, peer] = co_await acceptor_.async_accept(no_throw);
        if (!acceptor_.is_open()) co_return;
        if (error) {
            pause.expires_after(accept_pause);
            co_await pause.async_wait(no_throw);
            continue;
        }
        if (!is_own_user(peer.native_handle())) continue; // closed by going out of scope
        // To the server a connected stream is a stream; only the peer's address says nothing here.
        http::Dispatch dispatch = [this](http::Request& request) { return routes_.dispatch(request); };
        http::Server::Adopted adopted{.descriptor = peer.release(), .dispatch = std::move(dispatch)};
        server_.adopt(std::move(adopted));
    }
}

asio::awaitable<void> Api::end()
{
    error_code ignored;
    acceptor_.close(ignored);
    std::error_code gone;
    std::filesystem::remove(socket_, gone);
    co_await server_.drain(longest_answer);
    tasks_.cancel();
    co_await tasks_.join();
}

// --- Requests --------------------------------------------------------------------------------------------------------

http::Response Api::status(const http::Request& request)
{
    const auto all = supervisor_.status();
    if (request.query("format") == "text") {
        std::string text;
        for (const auto& daemon : all) text += to_text(daemon);
        return http::text_response(200, std::move(text));
    }
    auto daemons = nlohmann::ordered_json::array();
    for (const auto& daemon : all) daemons.push_back(to_json(daemon));
    nlohmann::ordered_json body = {
        {"supervisor", ::getpid()}, {"stopping", supervisor_.is_stopping()}, {"daemons", std::move(daemons)}};
    return http::json_response(200, body);
}

http::Response Api::missing(const http::Request&)
{
    std::string names;
    for (const auto& daemon : supervisor_.status())
        if (is_missing(daemon.state)) names += (names.empty() ? "" : " ") + daemon.name;
    return http::text_response(200, names.empty() ? names : names + "\n");
}

asio::awaitable<http::Response> Api::start(const http::Request&)
{
    auto trouble = co_await supervisor_.start_all();
    const unsigned status = trouble.empty() ? 200 : 503;
    co_return http::text_response(status, std::move(trouble));
}

asio::awaitable<http::Response> Api::stop(const http::Request&)
{
    co_await supervisor_.stop_all();
    finish_();
    co_return http::text_response(200, "");
}

asio::awaitable<http::Response> Api::stop_one(const http::Request& request)
{
    const std::string name = request.parameter("name");
    const bool known = co_await supervisor_.stop(name);
    if (!known) co_return http::problem(request, 404, fmt::format("there is no daemon '{}'", name));
    if (supervisor_.is_idle()) finish_();
    co_return http::text_response(200, "");
}

} // namespace hotspare::supervisor
