// The server behind every proxy in the benchmark: it answers as cheaply as Linux allows, on one thread, so that the
// proxy and not the origin is what a measurement sees. It understands exactly what the benchmark asks:
//
//   GET  /small      200, about 100 bytes of JSON          GET  /health   200
//   GET  /bytes/N    200, N bytes                          POST /sink     reads everything, answers the count
//
// Usage: bench_origin HOST:PORT...   (serves all of them; ends on SIGTERM)
#include "bench/socket.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using namespace hotspare::bench;

constexpr std::size_t max_header = 16U << 10U;

/// One client connection: at most one request in progress, bytes of the next one wait in `in`.
struct Connection {
    Fd fd;
    std::string in;
    std::uint64_t sink_left = 0; ///< bytes of a request body still to discard
    std::uint64_t sunk = 0;      ///< bytes of it discarded
    bool sinking = false;
    std::uint64_t body_left = 0; ///< bytes of a response body still to send
    bool wants_write = false;    ///< EPOLLOUT is armed
};

std::string response(std::string_view status, std::string_view body)
{
    return "HTTP/1.1 " + std::string(status) +
           "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
}

class Origin {
public:
    explicit Origin(const std::vector<Endpoint>& endpoints) : epoll_(::epoll_create1(EPOLL_CLOEXEC))
    {
        for (const auto& endpoint : endpoints) {
            listeners_.push_back(listen_on(endpoint));
            watch(EPOLL_CTL_ADD, listeners_.back().get(), EPOLLIN);
        }
    }

    [[noreturn]] void run()
    {
        std::array<epoll_event, 256> events{};
        for (;;) {
            const int n = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
            for (int i = 0; i < n; ++i) dispatch(events[static_cast<std::size_t>(i)]);
        }
    }

private:
    void watch(int operation, int fd, std::uint32_t interest)
    {
        epoll_event event{};
        event.events = interest;
        event.data.fd = fd;
        ::epoll_ctl(epoll_.get(), operation, fd, &event);
    }

    void dispatch(const epoll_event& event)
    {
        const auto found = connections_.find(event.data.fd);
        if (found == connections_.end()) return accept_from(event.data.fd);
        Connection& connection = found->second;
        const bool alive = (event.events & EPOLLOUT) != 0U ? write_body(connection) && serve(connection)
                                                           : read(connection) && serve(connection);
        if (!alive) connections_.erase(found);
    }

    void accept_from(int listener)
    {
        for (;;) {
            Fd fd(::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC));
            if (!fd) return; // nothing left, or no descriptor free: level-triggered epoll asks again
            const int on = 1;
            ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            watch(EPOLL_CTL_ADD, fd.get(), EPOLLIN);
            const int key = fd.get();
            connections_[key].fd = std::move(fd);
        }
    }

    /// One read per readiness: a second one, only to be told "empty", would double the cost of a small request.
    bool read(Connection& connection)
    {
        if (connection.sinking) {
            const auto n = discard(connection.fd.get(), connection.sink_left);
            if (n <= 0) return n < 0 && errno == EAGAIN;
            connection.sunk += static_cast<std::uint64_t>(n);
            connection.sink_left -= static_cast<std::uint64_t>(n);
            return true;
        }
        const auto n = ::recv(connection.fd.get(), scratch_.data(), scratch_.size(), 0);
        if (n <= 0) return n < 0 && errno == EAGAIN;
        connection.in.append(scratch_.data(), static_cast<std::size_t>(n));
        return true;
    }

    /// Answers every complete request that has arrived, unless a response body is still under way.
    bool serve(Connection& connection)
    {
        while (connection.body_left == 0) {
            if (connection.sinking) {
                if (connection.sink_left > 0) return true;
                connection.sinking = false;
                if (!send(connection, response("200 OK", "{\"received\":" + std::to_string(connection.sunk) + "}")))
                    return false;
            }
            const auto end = connection.in.find("\r\n\r\n");
            if (end == std::string::npos) return connection.in.size() < max_header;
            const bool alive = answer(connection, std::string_view(connection.in).substr(0, end + 2));
            connection.in.erase(0, end + 4);
            if (!alive) return false;
            if (connection.sinking) take_buffered_body(connection);
        }
        return true;
    }

    bool answer(Connection& connection, std::string_view header)
    {
        if (header.starts_with("GET /small ")) return send(connection, small_);
        if (header.starts_with("GET /health ")) return send(connection, health_);
        if (header.starts_with("GET /bytes/")) {
            const auto rest = header.substr(std::strlen("GET /bytes/"));
            connection.body_left = number(rest.substr(0, rest.find(' ')), 0);
            const auto head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " +
                              std::to_string(connection.body_left) + "\r\n\r\n";
            return send(connection, head, MSG_MORE) && write_body(connection);
        }
        if (header.starts_with("POST /sink ")) {
            const auto length = field(header, "Content-Length");
            if (length.empty()) return send(connection, response("411 Length Required", "{}")) && false;
            connection.sinking = true;
            connection.sink_left = number(length, 0);
            connection.sunk = 0;
            return true;
        }
        return send(connection, response("404 Not Found", "{}"));
    }

    /// What arrived together with the header of a POST is the start of its body.
    static void take_buffered_body(Connection& connection)
    {
        const auto n = std::min<std::uint64_t>(connection.in.size(), connection.sink_left);
        connection.in.erase(0, n);
        connection.sink_left -= n;
        connection.sunk += n;
    }

    static bool send(const Connection& connection, std::string_view bytes, int flags = 0)
    {
        // Headers and small bodies always fit an empty socket buffer; a client that pipelines without reading is cut
        // off.
        return ::send(connection.fd.get(), bytes.data(), bytes.size(), flags | MSG_NOSIGNAL) ==
               static_cast<ssize_t>(bytes.size());
    }

    bool write_body(Connection& connection)
    {
        const auto n = send_body(connection.fd.get(), connection.body_left);
        if (n < 0) return false;
        connection.body_left -= static_cast<std::uint64_t>(n);
        const bool wants_write = connection.body_left > 0;
        if (wants_write != connection.wants_write) {
            connection.wants_write = wants_write;
            watch(EPOLL_CTL_MOD, connection.fd.get(), wants_write ? EPOLLOUT : EPOLLIN);
        }
        return true;
    }

    Fd epoll_;
    std::vector<Fd> listeners_;
    std::unordered_map<int, Connection> connections_;
    std::array<char, 64U << 10U> scratch_{};
    const std::string small_ = response("200 OK", R"({"service":"origin","role":"primary","status":"ok",)"
                                                  R"("data":{"value":42,"unit":"requests"},"sequence":1000001})");
    const std::string health_ = response("200 OK", R"({"service":"origin","status":"healthy"})");
};

} // namespace

int main(int argc, char** argv)
{
    try {
        std::vector<Endpoint> endpoints;
        for (int i = 1; i < argc; ++i) endpoints.push_back(Endpoint::parse(argv[i]));
        if (endpoints.empty()) throw std::invalid_argument("usage: bench_origin HOST:PORT...");
        Origin(endpoints).run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_origin: %s\n", error.what());
        return 2;
    }
}
