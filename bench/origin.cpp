// The server behind every proxy in the benchmark: it answers as cheaply as Linux allows, on one thread, so that the
// proxy and not the origin is what a measurement sees. It understands exactly what the benchmark asks:
//
//   GET  /small      200, about 100 bytes of JSON          GET  /health   200
//   GET  /bytes/N    200, N bytes                          POST /sink     reads everything, answers the count
//
// Usage: bench_origin HOST:PORT...   (serves all of them; ends on SIGTERM)
#include "common/socket.hpp"

#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace {

using namespace hotspare;

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

/// The number `text` says, 0 when it is not one.
std::uint64_t number(std::string_view text)
{
    const auto parsed = config::parse_unsigned(text, ~std::uint64_t{0});
    return parsed ? *parsed : 0;
}

/// Of a complete head, its name in any case; empty when it has none.
std::string_view content_length(std::string_view head)
{
    constexpr std::string_view name = "content-length:";
    for (auto line = head.find("\r\n"); line != head.npos; line = head.find("\r\n", line + 2)) {
        const auto text = head.substr(line + 2);
        if (text.size() < name.size() || ::strncasecmp(text.data(), name.data(), name.size()) != 0) continue;
        auto value = text.substr(name.size(), text.find("\r\n") - name.size());
        while (!value.empty() && value.front() == ' ') value.remove_prefix(1);
        return value;
    }
    return {};
}

std::string response(std::string_view status, std::string_view body)
{
    return "HTTP/1.1 " + std::string(status) +
           "\r\nContent-Type: application/json\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" +
           std::string(body);
}

class Origin {
public:
    explicit Origin(const std::vector<config::HostPort>& endpoints) : epoll_(make_epoll())
    {
        for (const auto& endpoint : endpoints) {
            Fd listener = listen_on(endpoint);
            watch(EPOLL_CTL_ADD, listener.get(), EPOLLIN);
            const int key = listener.get();
            listeners_[key] = std::move(listener);
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
        hotspare::watch(epoll_, operation, fd, interest, static_cast<std::uint64_t>(fd));
    }

    void dispatch(const epoll_event& event)
    {
        const int key = static_cast<int>(event.data.u64);
        const auto found = connections_.find(key);
        if (found == connections_.end()) return accept_all(key);
        Connection& connection = found->second;
        const bool alive = (event.events & EPOLLOUT) != 0U ? write_body(connection) && serve(connection)
                                                           : read(connection) && serve(connection);
        if (!alive) connections_.erase(found);
    }

    void accept_all(int listener)
    {
        const auto found = listeners_.find(listener);
        if (found == listeners_.end()) return; // a connection that has just ended
        // Until no connection waits, or no descriptor is free: level-triggered epoll reports it again.
        while (Fd fd = accept_from(found->second)) {
            const int key = fd.get();
            watch(EPOLL_CTL_ADD, key, EPOLLIN);
            connections_[key].fd = std::move(fd);
        }
    }

    /// One read per readiness: a second one, only to be told "empty", would double the cost of a small request.
    bool read(Connection& connection)
    {
        if (connection.sinking) {
            const auto n = discard(connection.fd, connection.sink_left);
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
            connection.body_left = number(rest.substr(0, rest.find(' ')));
            const auto head = "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: " +
                              std::to_string(connection.body_left) + "\r\n\r\n";
            return send(connection, head, MSG_MORE) && write_body(connection);
        }
        if (header.starts_with("POST /sink ")) {
            const auto length = content_length(header);
            if (length.empty()) return send(connection, response("411 Length Required", "{}")) && false;
            connection.sinking = true;
            connection.sink_left = number(length);
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
        const auto n = send_filler(connection.fd, connection.body_left);
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
    std::unordered_map<int, Fd> listeners_;
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
        std::vector<config::HostPort> endpoints;
        for (int i = 1; i < argc; ++i) endpoints.push_back(config::parse_host_port(argv[i]).value());
        if (endpoints.empty()) throw std::invalid_argument("usage: bench_origin HOST:PORT...");
        Origin(endpoints).run();
    } catch (const std::exception& error) {
        std::fprintf(stderr, "bench_origin: %s\n", error.what());
        return 2;
    }
}
