// Backends behind Unix sockets: requests, tunnels, probes, and what their failures are called.
#include "common/unix_address.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/fleet.hpp"
#include "tests/support/origin.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <array>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace hotspare::test {
namespace TEST_FILE {

/// A Unix socket that leads to an Origin: every byte is passed on, in both directions.
class LocalDoor {
public:
    LocalDoor(std::filesystem::path path, std::uint16_t port) : path_(std::move(path)), port_(port) { open(); }
    ~LocalDoor() { close(); }

    void open()
    {
        const auto address = unix_address(path_.native());
        listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
        if (!address || ::bind(listener_.get(), address->get(), address->size) != 0 ||
            ::listen(listener_.get(), 64) != 0)
            throw std::runtime_error("cannot listen at " + path_.string());
        stop_.lower();
        thread_ = std::thread([this] { accept(); });
    }
    /// The file goes as well.
    void close()
    {
        if (!thread_.joinable()) return;
        stop_.raise();
        thread_.join();
        for (std::thread& pump : pumps_) pump.join();
        pumps_.clear();
        listener_.reset();
        std::filesystem::remove(path_);
    }

private:
    void accept()
    {
        while (wait_readable(listener_, {}, &stop_)) {
            Fd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
            if (client) pumps_.emplace_back([this, client = std::move(client)] { pump(client); });
        }
    }
    void pump(const Fd& client)
    {
        const Fd server = connect_loopback(port_);
        std::array<pollfd, 3> ends{pollfd{client.get(), POLLIN, 0}, pollfd{server.get(), POLLIN, 0},
                                   pollfd{stop_.fd(), POLLIN, 0}};
        std::array<char, 65536> bytes;
        while (::poll(ends.data(), ends.size(), -1) > 0 && ends[2].revents == 0)
            for (const auto& [from, to, ready] :
                 {std::tuple(&client, &server, ends[0].revents), std::tuple(&server, &client, ends[1].revents)}) {
                if (ready == 0) continue;
                const ssize_t n = ::recv(from->get(), bytes.data(), bytes.size(), 0);
                if (n <= 0 || !send_all(*to, {bytes.data(), static_cast<std::size_t>(n)})) return;
            }
    }

    std::filesystem::path path_;
    std::uint16_t port_;
    Fd listener_;
    WakeUp stop_;
    std::thread thread_;
    std::vector<std::thread> pumps_; ///< of the accepting thread
};

class UnixBackendTest : public testing::Test {
protected:
    std::string url() const { return "unix:" + path_.string(); }

    TempDir directory_;
    std::filesystem::path path_ = directory_.path() / "app.sock";
    Origin app_{"app"}, spare_{"spare"};
    LocalDoor door_{path_, app_.port()};
    Balancer balancer_ = Balancer::configured("backends:\n  - {name: app, url: '" + url() +
                                              "'}\n  - {name: spare, url: '" + spare_.url() + "'}\n");
};

TEST_F(UnixBackendTest, AnswersRequestsOnConnectionsThatAreKept)
{
    ASSERT_TRUE(balancer_.wait_for("app", "healthy")) << balancer_.status();
    app_.script([](const Message& request) { return Reply::text(request.header("Host").value_or("") + request.body); });
    for (int i = 0; i < 10; ++i) {
        const Answer answer = request(balancer_.port(), "POST", "/x", {}, "!");
        ASSERT_EQ(answer.status(), 200);
        EXPECT_EQ(answer.message.body, "localhost!");
        EXPECT_EQ(answer.message.header("X-Served-By"), "app");
    }
    EXPECT_EQ(balancer_.status()["backends"][0]["url"], url());
    EXPECT_LE(balancer_.metric("hotspare_backend_connects_total{backend=\"app\"}"), 3) << "one for each worker";
}

TEST_F(UnixBackendTest, CarriesTunnels)
{
    ASSERT_TRUE(balancer_.wait_for("app", "healthy")) << balancer_.status();
    Reply echo;
    echo.status = 101;
    echo.body.clear();
    echo.echo = true;
    echo.headers = {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}};
    for (Origin* origin : {&app_, &spare_}) origin->script([echo](const Message&) { return echo; });
    RawClient client(balancer_.port());
    client.send(format_request("GET", "/x", {{"Connection", "Upgrade"}, {"Upgrade", "websocket"}}));
    ASSERT_EQ(client.read_response().status(), 101);
    client.send("a");
    EXPECT_EQ(client.read_some(1), "a");
}

TEST_F(UnixBackendTest, IsLeftWhenItsSocketGoesAndUsedWhenItIsBack)
{
    ASSERT_TRUE(balancer_.wait_for("app", "healthy")) << balancer_.status();
    door_.close();
    for (int i = 0; i < 20; ++i) {
        const Answer answer = request(balancer_.port(), "POST", "/x", {}, "once");
        ASSERT_EQ(answer.status(), 200) << "what was not sent goes to another backend: " << answer.message.body;
    }
    ASSERT_TRUE(balancer_.wait_for("app", "down")) << balancer_.status();
    const std::string evidence = balancer_.status()["backends"][0]["evidence"];
    EXPECT_NE(evidence.find("No such file or directory"), std::string::npos) << evidence;
    EXPECT_EQ(get(balancer_.port(), "/x").message.header("X-Served-By"), "spare");
    door_.open();
    ASSERT_TRUE(balancer_.wait_active("app"));
    EXPECT_EQ(get(balancer_.port(), "/x").message.header("X-Served-By"), "app");
}

} // namespace TEST_FILE
} // namespace hotspare::test
