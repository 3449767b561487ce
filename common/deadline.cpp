#include "common/deadline.hpp"

#include "common/error.hpp"

#include <boost/asio/steady_timer.hpp>

#include <functional>
#include <utility>

namespace hotspare {

namespace asio = boost::asio;

struct Deadline::State {
    State(const asio::any_io_executor& executor, std::function<void(error_code&)> c)
        : cancel(std::move(c)), timer(executor)
    {
    }

    std::function<void(error_code&)> cancel; ///< the socket's operations; empty once the Deadline is gone
    asio::steady_timer timer;
    bool armed = false;
    bool passed = false;
};

Deadline::Deadline(asio::ip::tcp::socket& socket)
    : state_(std::make_shared<State>(socket.get_executor(), [&socket](error_code& error) { socket.cancel(error); }))
{
}

Deadline::Deadline(asio::posix::stream_descriptor& descriptor)
    : state_(std::make_shared<State>(descriptor.get_executor(),
                                     [&descriptor](error_code& error) { descriptor.cancel(error); }))
{
}

Deadline::~Deadline()
{
    disarm();
    state_->cancel = nullptr;
}

void Deadline::arm(Duration span)
{
    state_->armed = true;
    state_->passed = false;
    state_->timer.expires_after(span);
    wait(state_);
}

void Deadline::disarm() noexcept
{
    state_->armed = false;
    try {
        state_->timer.cancel();
    } catch (const std::exception&) {
        // Nothing is lost: a wait that fires while not armed does nothing.
    }
}

bool Deadline::passed() const noexcept
{
    return state_->passed;
}

void Deadline::wait(std::shared_ptr<State> state)
{
    auto& timer = state->timer;
    timer.async_wait([state = std::move(state)](error_code error) {
        // A handler that was queued before arm() or disarm() comes too late to mean anything.
        if (error || !state->cancel || !state->armed || state->timer.expiry() > Clock::now()) return;
        state->passed = true;
        error_code ignored;
        state->cancel(ignored);
        // The operation may just have completed when it was cancelled. Another may follow it, and needs a further
        // cancellation.
        state->timer.expires_after(milliseconds(20));
        wait(state);
    });
}

} // namespace hotspare
