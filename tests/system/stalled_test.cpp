// Peers that stop taking bytes: what they cost the balancer, that it is given back, and that those who go on later get
// every byte. What the kernel holds in socket buffers is not the balancer's and is not counted.
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

using Framing = Reply::Framing;

constexpr milliseconds moment(250);
constexpr std::uint64_t mebibyte = 1024 * 1024;
constexpr std::size_t peers = 200;
constexpr std::size_t most_kib = 64;        ///< for each of them
constexpr std::size_t remaining_kib = 8192; ///< more than before, when all have left

using Clients = std::vector<std::unique_ptr<RawClient>>;

class Stalled : public testing::Test {
protected:
    explicit Stalled(const std::string& yaml = "") : balancer_(start(origin_, yaml)) {}
    void SetUp() override
    {
        ASSERT_TRUE(balancer_.wait_for("primary", "healthy")) << balancer_.status();
        // Each worker has its scratch before it is measured.
        for (int i = 0; i < 32; ++i) {
            reply_with(mebibyte);
            ASSERT_TRUE(get(port(), "/").complete());
        }
        before_kib_ = balancer_.process().resident_kib();
        origin_.forget();
    }
    void TearDown() override { let_server_read(); }

    void let_server_read()
    {
        reading_ = true;
        reading_.notify_all();
    }

    static Balancer start(const Origin& origin, const std::string& yaml)
    {
        return Balancer::configured("backends: [{name: primary, url: \"" + origin.url() + "\"}]\n" + yaml);
    }

    void reply_with(std::uint64_t size, Framing framing = Framing::sized)
    {
        Reply reply;
        reply.pattern = size;
        reply.framing = framing;
        origin_.script([reply](const Message&) { return reply; });
    }

    /// `count` clients that ask for `size` bytes each and read none of them, once nothing moves any more.
    Clients stalled_downloads(Framing framing, std::size_t count = peers, std::uint64_t size = 8 * mebibyte,
                              int receive_buffer = 4096)
    {
        reply_with(size, framing);
        const std::uint64_t before = origin_.body_bytes_sent();
        Clients clients;
        for (std::size_t i = 0; i < count; ++i) {
            clients.push_back(std::make_unique<RawClient>(port(), receive_buffer));
            clients.back()->send(format_request("GET", "/endless"));
        }
        EXPECT_TRUE(eventually([&] { return origin_.seen() == count; }));
        std::uint64_t sent = 0;
        EXPECT_TRUE(eventually([&] { return std::exchange(sent, origin_.body_bytes_sent()) == sent && sent > 0; },
                               patience, moment));
        EXPECT_LT(sent - before, count * size) << "the kernel took it all";
        return clients;
    }

    /// `count` clients that send to a server that does not read, until nothing moves any more.
    Clients stalled_uploads(bool chunked, std::size_t count = peers)
    {
        origin_.script([&](const Message&) {
            reading_.wait(false);
            return Reply::text("ok");
        });
        Clients clients;
        for (std::size_t i = 0; i < count; ++i) {
            clients.push_back(std::make_unique<RawClient>(port()));
            clients.back()->send(chunked
                                     ? "PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3b9aca00\r\n"
                                     : "PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
        }
        const std::string piece(65536, 'x');
        const auto all_stuck = [&] {
            bool moved = false;
            for (auto& client : clients)
                while (client->send(piece, milliseconds(0))) moved = true;
            return !moved;
        };
        EXPECT_TRUE(eventually(all_stuck, patience, moment));
        EXPECT_EQ(origin_.seen(), count);
        return clients;
    }

    double held() const
    {
        return balancer_.metric("hotspare_relay_memory_bytes{worker=\"0\"}") +
               balancer_.metric("hotspare_relay_memory_bytes{worker=\"1\"}");
    }

    void expect_cheap(Clients clients)
    {
        const std::size_t now_kib = balancer_.process().resident_kib();
#ifndef HOTSPARE_SANITIZED // which keeps freed memory and shadows the rest
        EXPECT_LT(now_kib, before_kib_ + clients.size() * most_kib);
#endif
        EXPECT_LT(held(), static_cast<double>(clients.size() * most_kib) * 1024);
        for (auto& client : clients) client->reset();
        EXPECT_TRUE(eventually([&] { return held() == 0; })) << held();
#ifndef HOTSPARE_SANITIZED
        EXPECT_TRUE(eventually([&] { return balancer_.process().resident_kib() < before_kib_ + remaining_kib; }))
            << before_kib_ << " KiB before, " << now_kib << " while they were stalled, "
            << balancer_.process().resident_kib() << " after";
#endif
        let_server_read();
        reply_with(100);
        EXPECT_TRUE(get(port(), "/works").complete());
    }

    /// Reads the rest of a response, `pause` after each MiB. Returns whether all of `size` bytes came, in order.
    static bool reads_all(RawClient& client, std::uint64_t size, milliseconds pause)
    {
        MessageReader reader(MessageReader::Kind::response, 0);
        std::uint64_t since = 0;
        while (!reader.complete() && !reader.broken()) {
            const std::string piece = client.read_some(65536);
            if (piece.empty()) {
                reader.feed_end();
                break;
            }
            reader.feed(piece);
            since += piece.size();
            if (since < mebibyte) continue;
            since = 0;
            stand_still(pause);
        }
        return reader.complete() && reader.message().body_bytes == size &&
               reader.message().body_hash == Pattern::hash(size);
    }

    std::uint16_t port() const
    {
        return balancer_.port();
    }

    std::atomic<bool> reading_ = false; ///< the server does
    Origin origin_{"primary"};
    Balancer balancer_;
    std::size_t before_kib_ = 0;
};

TEST_F(Stalled, DownloadsAreCheap)
{
    expect_cheap(stalled_downloads(Framing::sized));
}

TEST_F(Stalled, ChunkedDownloadsAreCheap)
{
    expect_cheap(stalled_downloads(Framing::chunked));
}

TEST_F(Stalled, UploadsAreCheap)
{
    expect_cheap(stalled_uploads(false));
}

TEST_F(Stalled, ChunkedUploadsAreCheap)
{
    expect_cheap(stalled_uploads(true));
}

TEST_F(Stalled, ASlowReaderGetsEveryByte)
{
    constexpr std::uint64_t size = 16 * mebibyte;
    for (const auto framing : {Framing::sized, Framing::chunked, Framing::until_close}) {
        for (const char* version : {"HTTP/1.1", "HTTP/1.0"}) {
            reply_with(size, framing);
            RawClient client(port(), 65536);
            client.send("GET /x " + std::string(version) + "\r\nHost: a\r\n\r\n");
            EXPECT_TRUE(reads_all(client, size, milliseconds(10))) << static_cast<int>(framing) << ' ' << version;
        }
    }
}

TEST_F(Stalled, AServerThatReadsLateGetsEveryByte)
{
    constexpr std::uint64_t size = 16 * mebibyte;
    origin_.script([&](const Message&) {
        reading_.wait(false);
        return Reply::text("ok");
    });
    RawClient client(port());
    client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n");
    Pattern pattern(size);
    std::thread late([&] {
        stand_still(milliseconds(500)); // everything on the way fills up
        let_server_read();
    });
    bool sent = true;
    while (sent && pattern.left() > 0) sent = client.send(pattern.next());
    EXPECT_TRUE(sent);
    late.join();
    let_server_read();
    EXPECT_EQ(client.read_response().status(), 200);
    ASSERT_EQ(origin_.requests().size(), 1U);
    EXPECT_EQ(origin_.requests().front().body_hash, Pattern::hash(size));
}

class StalledFor : public Stalled {
protected:
    StalledFor() : Stalled("timeouts: {body_idle: 1s}\n") {}
};

TEST_F(StalledFor, TooLongAClientIsNotItsServersFault)
{
    const auto clients = stalled_downloads(Framing::sized, 1, 256 * mebibyte);
    EXPECT_TRUE(eventually([&] { return held() == 0; }));
    EXPECT_TRUE(
        eventually([&] { return balancer_.metric("hotspare_backend_requests_in_flight{backend=\"primary\"}") == 0; }));
    EXPECT_EQ(balancer_.metric("hotspare_requests_lost_total{pool=\"default\",reason=\"truncated\"}"), 0);
}

TEST_F(StalledFor, TooLongAServerIsNotItsClientsFault)
{
    origin_.script([&](const Message&) {
        reading_.wait(false);
        return Reply::text("ok");
    });
    RawClient client(port());
    client.send("PUT /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000000\r\n\r\n");
    // Not until all is stuck for sure: on a machine with other work the answer may be there before that is noticed, and
    // from then on the balancer reads the rest.
    const std::string piece(65536, 'x');
    while (client.send(piece, milliseconds(100))) {
    }
    EXPECT_EQ(client.read_response().status(), 504);
}

class StalledWithoutMemory : public Stalled {
protected:
    StalledWithoutMemory() : Stalled("limits: {relay_memory: 1MiB}\n") {}
};

TEST_F(StalledWithoutMemory, ARequestGoesOnWithOnePieceEach)
{
#ifdef HOTSPARE_SANITIZED // enough to reach the bound; more gigabytes would take a minute
    constexpr std::size_t count = 95;
#else
    constexpr std::size_t count = 150;
#endif
    auto clients = stalled_downloads(Framing::chunked, count, 8 * mebibyte, 65536);
    EXPECT_EQ(balancer_.metric("hotspare_relay_memory_limit_bytes"), 1024 * 1024);
    EXPECT_GE(held(), 1024 * 1024);
    // Others are served, with bodies in both directions.
    reply_with(mebibyte);
    const std::string body(40'000, 'x');
    const Answer answer = request(port(), "PUT", "/x", {}, body);
    EXPECT_EQ(answer.message.body_hash, Pattern::hash(mebibyte));
    EXPECT_EQ(origin_.requests().back().body_bytes, body.size());

    std::vector<std::thread> readers;
    std::atomic<std::size_t> whole = 0;
    for (auto& client : clients)
        readers.emplace_back([&] { whole += reads_all(*client, 8 * mebibyte, milliseconds(0)) ? 1 : 0; });
    for (auto& reader : readers) reader.join();
    EXPECT_EQ(whole, clients.size());
    EXPECT_TRUE(eventually([&] { return held() == 0; })) << held();
}

} // namespace TEST_FILE
} // namespace hotspare::test
