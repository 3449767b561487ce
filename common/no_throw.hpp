// `co_await socket.async_read_some(buffer, no_throw)`: the error comes as a part of the result, not as an exception.
#pragma once

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace hotspare {

inline constexpr auto no_throw = boost::asio::as_tuple(boost::asio::use_awaitable);

} // namespace hotspare
