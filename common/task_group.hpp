// Owns coroutines. `asio::detached` is banned in the suite: a coroutine without an owner outlives the objects it uses
// and its exception is lost. A TaskGroup knows its tasks, can ask them all to stop, and can be awaited until they have.
//
// Thread: all calls on the executor's thread (every io_context here is run by exactly one thread).
// Owner: the component whose members the coroutines use; join() must complete before that component is destroyed.
#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>

#include <cstddef>
#include <exception>
#include <functional>
#include <list>
#include <string>

namespace hotspare {

namespace asio = boost::asio;

class TaskGroup {
public:
    /// Called when a task ends with an exception; the group goes on. The default logs it as an error.
    using OnError = std::function<void(const std::string& task, std::exception_ptr)>;

    explicit TaskGroup(asio::io_context& context, OnError on_error = {});
    ~TaskGroup(); ///< aborts if tasks are still running: their owner forgot to join()

    TaskGroup(const TaskGroup&) = delete;
    TaskGroup& operator=(const TaskGroup&) = delete;

    /// Starts `task` on the group's executor. `name` appears in the error log. After cancel() the task is not started.
    void spawn(std::string name, asio::awaitable<void> task);

    /// Requests terminal cancellation of every task that runs now and refuses new ones. Returns at once.
    void cancel();

    /// Completes when no task is left. At most one caller may wait at a time.
    asio::awaitable<void> join();

    std::size_t size() const noexcept { return tasks_.size(); }
    bool cancelled() const noexcept { return cancelled_; }

private:
    struct Task {
        std::string name;
        bool started = false;
        asio::cancellation_signal signal;
    };

    asio::awaitable<void> run(std::list<Task>::iterator task, asio::awaitable<void> body);
    void finish(std::list<Task>::iterator task, std::exception_ptr error);

    asio::io_context& context_;
    OnError on_error_;
    std::list<Task> tasks_;
    asio::steady_timer idle_; ///< never expires; cancelled to wake join()
    bool cancelled_ = false;
};

} // namespace hotspare
