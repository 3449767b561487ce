// One thread or a few for blocking work (fsync, file locks, libraries that wait), so that no event loop ever waits. A
// coroutine hands over a function and goes on when the result is there, on its own executor.
//
// Thread: run() on any; the work runs on the worker's, begun in the order of the calls, and with one thread one piece
// after the other.
// Owner: the component whose data the work touches; its coroutines must have ended before it is destroyed.
#pragma once

#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/prefer.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <type_traits>
#include <utility>

namespace hotspare::storage {

namespace asio = boost::asio;

class Worker {
public:
    explicit Worker(std::size_t threads = 1) : threads_(threads) {}
    /// Waits for the work in progress; work that waits its turn is done first.
    ~Worker() { threads_.join(); }

    Worker(const Worker&) = delete;
    Worker& operator=(const Worker&) = delete;

    /// Calls `work` on the worker's thread and returns what it returns; its exception passes through. Work that has
    /// begun cannot be cancelled: a cancelled caller still waits for it.
    template <class Work> asio::awaitable<std::invoke_result_t<Work&>> run(Work work)
    {
        using Result = std::invoke_result_t<Work&>;
        auto done = co_await asio::async_initiate<const asio::use_awaitable_t<>,
                                                  void(std::exception_ptr, std::optional<Result>)>(
            Begin<Result>{threads_}, asio::use_awaitable, std::move(work));
        co_return *std::move(done);
    }

private:
    template <class Result> struct Begin {
        asio::thread_pool& threads;

        template <class Handler, class Work> void operator()(Handler handler, Work work) const
        {
            auto executor =
                asio::prefer(asio::get_associated_executor(handler), asio::execution::outstanding_work.tracked);
            asio::post(threads, [executor, handler = std::move(handler), work = std::move(work)]() mutable {
                std::exception_ptr failure;
                std::optional<Result> value;
                try {
                    value.emplace(work());
                } catch (...) {
                    failure = std::current_exception();
                }
                asio::post(executor, [handler = std::move(handler), failure, value = std::move(value)]() mutable {
                    std::move(handler)(failure, std::move(value));
                });
            });
        }
    };

    asio::thread_pool threads_;
};

} // namespace hotspare::storage
