#include "tests/support/redis_server.hpp"

#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <stdexcept>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

namespace hotspare::test {
namespace {

constexpr const char* program = "/usr/bin/redis-server";

/// Sends `bytes` and returns what comes back until there are `lines` of it; less when the server is gone or silent.
std::string exchange(std::uint16_t port, std::string_view bytes, std::size_t lines, milliseconds bound)
{
    const auto deadline = Clock::now() + bound;
    const Fd socket = connect_loopback(port, bound);
    std::string received;
    if (!send_all(socket, bytes, deadline)) return received;
    const auto count_lines = [&] {
        std::size_t count = 0;
        for (std::size_t at = 0; (at = received.find("\r\n", at)) != received.npos; at += 2) ++count;
        return count;
    };
    while (count_lines() < lines && wait_readable(socket, deadline)) {
        std::array<char, 4096> buffer;
        const auto count = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
        if (count <= 0) break;
        received.append(buffer.data(), static_cast<std::size_t>(count));
    }
    return received;
}

} // namespace

RedisServer::RedisServer(std::string password) : password_(std::move(password))
{
    if (::access(program, X_OK) != 0)
        throw std::runtime_error(std::string(program) + " is not there: apt-get install redis-server");
    start();
}

std::string RedisServer::url() const
{
    return "redis://" + (password_.empty() ? "" : ":" + password_ + "@") + "127.0.0.1:" + std::to_string(port_);
}

void RedisServer::start()
{
    std::vector<std::string> arguments{
        "--port", std::to_string(port_),      "--bind",      "127.0.0.1", "--save",       "",  "--appendonly", "no",
        "--dir",  directory_.path().string(), "--daemonize", "no",        "--supervised", "no"};
    if (!password_.empty()) arguments.insert(arguments.end(), {"--requirepass", password_});
    process_ = std::make_unique<Process>(program, std::move(arguments));
    if (!eventually([&] { return answers() || !process_->running(); }) || !process_->running())
        throw std::runtime_error("no Redis: " + process_->description());
}

void RedisServer::kill()
{
    process_->signal(SIGKILL);
    process_->wait_exit();
    process_.reset();
}

void RedisServer::freeze()
{
    process_->signal(SIGSTOP);
    // The signal is delivered when the kernel gets to it.
    siginfo_t state{};
    ::waitid(P_PID, static_cast<id_t>(process_->pid()), &state, WSTOPPED | WEXITED | WNOWAIT);
}

void RedisServer::thaw()
{
    process_->signal(SIGCONT);
}

std::string RedisServer::ask(const std::string& command) const
{
    const std::string greeting = password_.empty() ? "" : "AUTH " + password_ + "\r\n";
    std::string answer = exchange(port_, greeting + command + "\r\n", password_.empty() ? 1 : 2, patience);
    if (!password_.empty() && answer.starts_with("+OK\r\n")) answer.erase(0, 5);
    const auto end = answer.find("\r\n");
    if (end == answer.npos || answer.starts_with('-'))
        throw std::runtime_error("Redis answers '" + answer + "' to " + command);
    return answer.substr(0, end);
}

bool RedisServer::answers() const
{
    try {
        const auto answer = exchange(port_, "PING\r\n", 1, seconds(1));
        return answer == "+PONG\r\n" || answer.starts_with("-NOAUTH ");
    } catch (const std::system_error&) {
        return false; // refused: not yet
    }
}

} // namespace hotspare::test
