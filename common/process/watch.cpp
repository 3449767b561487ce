#include "common/process/watch.hpp"

#include "common/no_throw.hpp"

#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/this_coro.hpp>

#include <fcntl.h>

#include <cerrno>

namespace hotspare::process {

namespace asio = boost::asio;

asio::awaitable<result<void>> end_of(const Process& process)
{
    if (!process) co_return result<void>();
    const int copy = ::fcntl(process.pidfd(), F_DUPFD_CLOEXEC, 0);
    if (copy < 0) co_return error_code(errno, boost::system::system_category());
    const auto executor = co_await asio::this_coro::executor;
    asio::posix::stream_descriptor descriptor(executor, copy);
    const auto [error] = co_await descriptor.async_wait(asio::posix::stream_descriptor::wait_read, no_throw);
    if (error == asio::error::operation_aborted) co_return error_code(errc::cancelled);
    if (error) co_return error;
    co_return result<void>();
}

} // namespace hotspare::process
