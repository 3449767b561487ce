#include "common/process/successor.hpp"

#include "common/config.hpp"
#include "common/deadline.hpp"
#include "common/no_throw.hpp"
#include "common/process/predecessor.hpp"
#include "common/process/watch.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/write.hpp>

#include <fmt/format.h>

#include <sys/socket.h>

#include <array>
#include <csignal>
#include <string_view>
#include <utility>

namespace hotspare::process {
namespace {

namespace asio = boost::asio;
/// To Asio a connected stream is a stream, and for this one there is a Deadline; it writes without SIGPIPE.
using Channel = asio::ip::tcp::socket;
using Outcome = boost::system::result<Process, std::string>;

constexpr std::size_t longest_line = 4096;
constexpr Duration death = seconds(5); ///< after SIGKILL

Outcome failed(std::string why)
{
    return {boost::system::in_place_error, std::move(why)};
}

/// The line that it answers with; empty: it closed the channel without one, or the deadline passed.
asio::awaitable<std::string> converse(Channel& channel, const std::string& document)
{
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto [unsent, sent] = co_await asio::async_write(channel, asio::buffer(document), no_throw);
    static_cast<void>(sent);
    if (unsent) co_return std::string();
    error_code ignored;
    channel.shutdown(Channel::shutdown_send, ignored);
    std::string line;
    const auto [unread, size] =
        co_await asio::async_read_until(channel, asio::dynamic_buffer(line, longest_line), '\n', no_throw);
    if (unread) co_return std::string();
    co_return line.substr(0, size - 1);
}

} // namespace

asio::awaitable<Outcome> start_successor(Command command, std::string document, Duration patience)
{
    // A cancellation ends the wait for the process, and then the process.
    co_await asio::this_coro::throw_if_cancelled(false);
    std::array<int, 2> ends{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends.data()) != 0)
        co_return failed(last_system_error().message());
    Fd theirs(ends[1]);
    Channel channel(co_await asio::this_coro::executor, asio::ip::tcp::v4(), ends[0]);
    command.sockets.push_back({predecessor_name, theirs.get()});
    auto process = spawn(command);
    if (!process)
        co_return failed(fmt::format("cannot start {}: {}", command.program.string(), process.error().message()));
    theirs.reset(); // so that its end is seen

    Deadline deadline(channel);
    deadline.arm(patience);
    const std::string line = co_await converse(channel, document);
    const bool late = deadline.passed();
    if (line == "ready") co_return std::move(*process);

    process->signal(SIGKILL);
    const auto exit = process->ended(death) ? process->reap() : std::nullopt;
    constexpr std::string_view reason = "failed ";
    if (line.starts_with(reason)) co_return failed(line.substr(reason.size()));
    if (late)
        co_return failed(fmt::format("the new process was not ready within {}", config::format_duration(patience)));
    co_return failed(
        fmt::format("the new process {} before it was ready", exit ? describe(*exit) : std::string("ended")));
}

} // namespace hotspare::process
