#include "common/task_group.hpp"

#include "common/log.hpp"
#include "common/no_throw.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/post.hpp>

#include <cstdlib>

namespace hotspare {
namespace {

void log_error(const std::string& task, std::exception_ptr error)
{
    try {
        std::rethrow_exception(std::move(error));
    } catch (const std::exception& e) {
        log::error("task '{}' ended with an error: {}", task, e.what());
    } catch (...) {
        log::error("task '{}' ended with an unknown exception", task);
    }
}

} // namespace

TaskGroup::TaskGroup(asio::io_context& context, OnError on_error)
    : context_(context), on_error_(on_error ? std::move(on_error) : OnError(log_error)), idle_(context)
{
    idle_.expires_at(asio::steady_timer::time_point::max());
}

TaskGroup::~TaskGroup()
{
    if (!tasks_.empty() && !context_.stopped()) {
        log::critical("task group destroyed with {} running task(s), first '{}'", tasks_.size(), tasks_.front().name);
        std::abort();
    }
}

void TaskGroup::spawn(std::string name, asio::awaitable<void> task)
{
    if (cancelled_) return;
    auto it = tasks_.emplace(tasks_.end());
    it->name = std::move(name);
    asio::co_spawn(context_, run(it, std::move(task)),
                   asio::bind_cancellation_slot(
                       it->signal.slot(), [this, it](std::exception_ptr error) { finish(it, std::move(error)); }));
}

asio::awaitable<void> TaskGroup::run(std::list<Task>::iterator task, asio::awaitable<void> body)
{
    task->started = true;
    if (!cancelled_) co_await std::move(body);
}

void TaskGroup::cancel()
{
    cancelled_ = true;
    // A cancelled task may finish inside emit() and erase itself: step on before emitting. One that co_spawn has not
    // resumed yet must not be told: this Asio throws the cancellation out of co_spawn's own frame, through
    // io_context::run(). run() knows what to do with it.
    for (auto it = tasks_.begin(); it != tasks_.end();) {
        Task& task = *it++;
        if (task.started) task.signal.emit(asio::cancellation_type::terminal);
    }
}

asio::awaitable<void> TaskGroup::join()
{
    while (!tasks_.empty()) co_await idle_.async_wait(no_throw);
}

void TaskGroup::finish(std::list<Task>::iterator task, std::exception_ptr error)
{
    const std::string name = std::move(task->name);
    tasks_.erase(task);
    if (error && !cancelled_) on_error_(name, std::move(error));
    if (tasks_.empty()) idle_.cancel();
}

} // namespace hotspare
