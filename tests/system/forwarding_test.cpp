// The balancer behind and in front of other proxies: whose word about a client it takes, in X-Forwarded-For and in
// PROXY headers, and that no header makes anyone an operator.
#include "tests/support/eventually.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/temp_dir.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <fstream>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

using namespace std::string_literals;

const std::string version_1 = "PROXY TCP4 198.51.100.7 203.0.113.80 4711 443\r\n";
const std::string version_2 = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc6\x33\x64\x07\xcb\x00\x71\x50\x12\x67\x01\xbb"s;
const std::string local = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"s;

class ForwardingTest : public testing::Test {
protected:
    Balancer balancer(const std::string& more) const
    {
        return Balancer::configured(fmt::format("access_log: {}\nbackends:\n  - {{name: origin, url: '{}'}}\n{}",
                                                log_file(), origin_.url(), more));
    }
    std::string log_file() const { return (directory_.path() / "access.log").string(); }

    /// The clients of all requests that were logged, as soon as there are so many: sorted, as each worker writes its
    /// own.
    std::vector<std::string> logged(std::size_t count) const
    {
        std::vector<std::string> clients;
        EXPECT_TRUE(eventually([&] {
            clients.clear();
            std::ifstream log(log_file());
            for (std::string line; std::getline(log, line) && !log.eof();)
                clients.push_back(nlohmann::json::parse(line)["client"]);
            return clients.size() >= count;
        }));
        std::sort(clients.begin(), clients.end());
        return clients;
    }

    /// What one connection gets that begins with `bytes`.
    static Answer ask(const Balancer& balancer, const std::string& bytes)
    {
        RawClient client(balancer.port());
        client.send(bytes);
        return client.read_response();
    }

    Message received() const
    {
        const auto all = origin_.requests();
        return all.empty() ? Message{} : all.back();
    }

    TempDir directory_;
    Origin origin_{"origin"};
};

const std::string request_x = format_request("GET", "/x");

TEST_F(ForwardingTest, KeepsTheWordOfTrustedProxiesAlone)
{
    const std::vector<Header> said{{"X-Forwarded-For", "203.0.113.9, 198.51.100.7, 10.0.0.3"},
                                   {"X-Forwarded-Proto", "https"},
                                   {"X-Forwarded-Host", "shop.example"}};
    {
        const Balancer trusting = balancer("trusted_proxies: [127.0.0.0/8, 10.0.0.0/8]\n");
        ASSERT_TRUE(trusting.wait_for("origin", "healthy"));
        ASSERT_EQ(request(trusting.port(), "GET", "/x", said).status(), 200);
        EXPECT_EQ(received().header("X-Forwarded-For"), "203.0.113.9, 198.51.100.7, 10.0.0.3, 127.0.0.1");
        EXPECT_EQ(received().header("X-Forwarded-Proto"), "https");
        EXPECT_EQ(received().header("X-Forwarded-Host"), "shop.example");
        EXPECT_EQ(logged(1), std::vector<std::string>{"198.51.100.7"});
    }
    const Balancer wary = balancer("trusted_proxies: [10.0.0.0/8]\n");
    ASSERT_TRUE(wary.wait_for("origin", "healthy"));
    ASSERT_EQ(request(wary.port(), "GET", "/x", said).status(), 200);
    EXPECT_EQ(received().header("X-Forwarded-For"), "127.0.0.1");
    EXPECT_EQ(received().header("X-Forwarded-Proto"), "http");
    EXPECT_NE(received().header("X-Forwarded-Host"), "shop.example");
    EXPECT_EQ(logged(2), (std::vector<std::string>{"127.0.0.1", "198.51.100.7"}));
}

TEST_F(ForwardingTest, TakesProxyHeadersOfTrustedPeers)
{
    const Balancer balancer = this->balancer("trusted_proxies: [127.0.0.1]\nproxy_protocol: true\n");
    for (const std::string& header : {version_1, version_2}) {
        // The first request may come before the first probe has succeeded: it waits.
        EXPECT_EQ(ask(balancer, header + request_x).status(), 200);
        EXPECT_EQ(received().header("X-Forwarded-For"), "198.51.100.7");
    }
    EXPECT_EQ(ask(balancer, local + request_x).status(), 200);
    EXPECT_EQ(received().header("X-Forwarded-For"), "127.0.0.1");
    EXPECT_EQ(logged(3), (std::vector<std::string>{"127.0.0.1", "198.51.100.7", "198.51.100.7"}));

    const auto seen = origin_.seen();
    EXPECT_EQ(ask(balancer, request_x).status(), 0) << "a trusted peer must send one";
    EXPECT_EQ(ask(balancer, "PROXY TCP4 nonsense\r\n" + request_x).status(), 0);
    EXPECT_EQ(origin_.seen(), seen);
    // Each worker has its own counters.
    const auto metrics = ask(balancer, local + format_request("GET", "/metrics")).message.body;
    const auto count = [&metrics](const std::string& reason) {
        double sum = 0;
        for (const char* worker : {"0", "1"}) {
            const auto name =
                fmt::format("\nhotspare_bad_proxy_headers_total{{worker=\"{}\",reason=\"{}\"}} ", worker, reason);
            const auto at = metrics.find(name);
            EXPECT_NE(at, metrics.npos) << metrics;
            if (at != metrics.npos) sum += std::stod(metrics.substr(at + name.size()));
        }
        return sum;
    };
    EXPECT_EQ(count("missing"), 1);
    EXPECT_EQ(count("malformed"), 1);
    EXPECT_EQ(count("untrusted"), 0);
}

TEST_F(ForwardingTest, RefusesProxyHeadersOfOthersAndServesThem)
{
    const Balancer balancer = this->balancer("trusted_proxies: [10.0.0.0/8]\nproxy_protocol: true\n");
    ASSERT_TRUE(balancer.wait_for("origin", "healthy"));
    EXPECT_EQ(get(balancer.port(), "/x").status(), 200);
    EXPECT_EQ(received().header("X-Forwarded-For"), "127.0.0.1");
    const auto seen = origin_.seen();
    for (const std::string& header : {version_1, version_2}) EXPECT_EQ(ask(balancer, header + request_x).status(), 0);
    EXPECT_EQ(origin_.seen(), seen);
    const auto refused = [&] {
        return balancer.metric("hotspare_bad_proxy_headers_total{worker=\"0\",reason=\"untrusted\"}") +
               balancer.metric("hotspare_bad_proxy_headers_total{worker=\"1\",reason=\"untrusted\"}");
    };
    EXPECT_TRUE(eventually([&] { return refused() == 2; })) << refused();
}

TEST_F(ForwardingTest, AHeaderGivesNoOperatorsRights)
{
    const std::string operate = format_request("POST", "/admin/backends/origin/drain");
    {
        const Balancer balancer = this->balancer("admin: true\ntrusted_proxies: [127.0.0.1]\nproxy_protocol: true\n");
        for (const std::string& header :
             {version_1, version_2, local, "PROXY UNKNOWN\r\n"s, "PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n"s})
            EXPECT_EQ(ask(balancer, header + operate).status(), 403) << header;
    }
    const Balancer balancer = this->balancer("admin: true\ntrusted_proxies: [127.0.0.1]\n");
    const auto as = [&](const std::string& client) {
        return request(balancer.port(), "POST", "/admin/backends/origin/drain", {{"X-Forwarded-For", client}}).status();
    };
    EXPECT_EQ(as("127.0.0.1"), 403);
    EXPECT_EQ(as("198.51.100.7"), 403);
    EXPECT_EQ(ask(balancer, operate).status(), 200) << "an operator on this machine, through no proxy";
}

// A balancer that sends PROXY headers in front of one that wants them.
TEST_F(ForwardingTest, SendsProxyHeadersAlsoWithItsProbes)
{
    std::size_t asked = 0;
    for (const char* version : {"v1", "v2"}) {
        const Balancer inner = balancer("trusted_proxies: [127.0.0.1]\nproxy_protocol: true\n");
        const Balancer outer = Balancer::configured(
            fmt::format("trusted_proxies: [127.0.0.1]\n"
                        "backends:\n  - {{name: inner, url: 'http://127.0.0.1:{}', proxy_protocol: {}}}\n",
                        inner.port(), version));
        ASSERT_TRUE(outer.wait_for("inner", "healthy")) << outer.status();
        for (int i = 0; i < 3; ++i, ++asked)
            ASSERT_EQ(request(outer.port(), "GET", "/x", {{"X-Forwarded-For", "198.51.100.7"}}).status(), 200);
        // The inner one's peer is the outer one, whose header names the client: that is who has sent the request.
        EXPECT_EQ(received().header("X-Forwarded-For"), "198.51.100.7");
        EXPECT_EQ(logged(asked), std::vector<std::string>(asked, "198.51.100.7"));
        EXPECT_EQ(outer.metric("hotspare_backend_connections_reused_total{backend=\"inner\"}"), 0);
        origin_.forget();
    }
}

/// Answers one request on each connection and keeps what came, byte for byte.
class HeaderServer {
public:
    HeaderServer() : thread_([this] { serve(); }) {}
    ~HeaderServer()
    {
        stop_.raise();
        thread_.join();
    }
    std::uint16_t port() const { return local_port(listener_); }
    bool got(const std::string& beginning) const
    {
        const std::lock_guard lock(mutex_);
        return std::any_of(seen_.begin(), seen_.end(),
                           [&](const std::string& bytes) { return bytes.starts_with(beginning); });
    }

private:
    void serve()
    {
        while (wait_readable(listener_, std::nullopt, &stop_)) {
            const Fd connection(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            std::string bytes;
            std::array<char, 4096> piece;
            while (bytes.find("\r\n\r\n") == bytes.npos && wait_readable(connection, std::nullopt, &stop_)) {
                const auto count = ::recv(connection.get(), piece.data(), piece.size(), 0);
                if (count <= 0) break;
                bytes.append(piece.data(), static_cast<std::size_t>(count));
            }
            {
                const std::lock_guard lock(mutex_);
                seen_.push_back(std::move(bytes));
            }
            (void)send_all(connection, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                           std::nullopt, &stop_);
        }
    }

    Fd listener_ = listen_loopback(0);
    WakeUp stop_;
    mutable std::mutex mutex_;
    std::vector<std::string> seen_;
    std::thread thread_;
};

TEST_F(ForwardingTest, SaysInAHeaderWhereTheClientHasConnectedTo)
{
    HeaderServer server;
    const Balancer balancer = Balancer::configured(
        fmt::format("trusted_proxies: [127.0.0.1]\n"
                    "backends:\n  - {{name: server, url: 'http://127.0.0.1:{}', proxy_protocol: v1}}\n",
                    server.port()));
    ASSERT_TRUE(balancer.wait_for("server", "healthy")) << balancer.status();
    EXPECT_TRUE(server.got("PROXY UNKNOWN\r\nGET /health HTTP/1.1\r\n")) << "the probe";
    EXPECT_EQ(request(balancer.port(), "GET", "/x", {{"X-Forwarded-For", "198.51.100.7"}}).status(), 200);
    EXPECT_TRUE(
        server.got(fmt::format("PROXY TCP4 198.51.100.7 127.0.0.1 0 {}\r\nGET /x HTTP/1.1\r\n", balancer.port())));
}

} // namespace TEST_FILE
} // namespace hotspare::test
