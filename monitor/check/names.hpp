// The addresses of the targets' names. A name is looked up when it is first needed, and again after a check could not
// connect; meanwhile, and when the name server is gone, the addresses that are known are used.
//
// Thread: the io_context's. Owner: the checker, whose coroutines must have ended before it is destroyed.
#pragma once

#include "common/clock.hpp"
#include "common/config.hpp"
#include "common/error.hpp"
#include "common/http/resolver.hpp"
#include "common/wait_list.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/io_context.hpp>

#include <cstddef>
#include <memory>
#include <vector>

namespace hotspare::monitor {

class Names {
public:
    using Id = std::size_t;

    explicit Names(boost::asio::io_context& context);
    ~Names();

    Names(const Names&) = delete;
    Names& operator=(const Names&) = delete;

    /// The same for the same name and port. Looks nothing up.
    Id add(const config::HostPort& origin);

    /// What is known; when nothing is, the result of a lookup, or errc::timed_out at `until`, or errc::cancelled when
    /// the calling coroutine was.
    boost::asio::awaitable<result<http::Addresses>> find(Id name, TimePoint until);

    /// No connection could be made: the name is looked up again, but not more often than once a second.
    void doubt(Id name);

    /// No lookup keeps the event loop running from now on. A find() that waits for one does so until its end.
    void stop();

private:
    struct Name;

    void look_up(Id name);
    void found(Id name, result<http::NameAnswer> answer);

    boost::asio::io_context& context_;
    http::Resolver resolver_;
    std::vector<std::unique_ptr<Name>> names_;
    bool stopped_ = false;
};

/// Whether the failure of a lookup says that the name leads nowhere, and not that it could not be looked up.
bool says_no_such_name(const error_code& error) noexcept;

} // namespace hotspare::monitor
