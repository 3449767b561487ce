#include "common/storage/postgres_cancel.hpp"

#include "common/log.hpp"

#include <libpq-fe.h>

#include <array>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <mutex>
#include <thread>
#include <utility>

namespace hotspare::storage::postgres {
namespace {

/// More than all connections of a pool give up in one of its timeouts.
constexpr std::size_t most_pending = 32;
constexpr std::chrono::seconds farewell{1};
/// libpq wants room for a message of this size.
constexpr std::size_t message_size = 256;

struct Free {
    void operator()(PGcancel* key) const noexcept { PQfreeCancel(key); }
};
using Key = std::unique_ptr<PGcancel, Free>;

struct Finish {
    void operator()(PGconn* connection) const noexcept { PQfinish(connection); }
};
using Owned = std::unique_ptr<PGconn, Finish>;

} // namespace

struct Canceller::State {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<Owned> pending;
    bool stopping = false;
    bool ended = false;
    std::thread thread;
};

Canceller::~Canceller()
{
    if (!state_) return;
    std::unique_lock lock(state_->mutex);
    state_->stopping = true;
    state_->changed.notify_all();
    const bool ended = state_->changed.wait_for(lock, farewell, [this] { return state_->ended; });
    lock.unlock();
    if (ended)
        state_->thread.join();
    else
        state_->thread.detach();
}

void Canceller::cancel(pg_conn* connection) noexcept
{
    Owned owned(connection);
    try {
        if (!state_) {
            auto state = std::make_shared<State>();
            state->thread = std::thread([state] { run(state); });
            state_ = std::move(state);
        }
        const std::scoped_lock lock(state_->mutex);
        if (state_->pending.size() >= most_pending) return;
        state_->pending.push_back(std::move(owned));
        state_->changed.notify_all();
    } catch (const std::exception& error) {
        log::warn("cannot cancel a statement: {}", error.what());
    }
}

void Canceller::run(const std::shared_ptr<State>& state)
{
    std::unique_lock lock(state->mutex);
    while (true) {
        state->changed.wait(lock, [&] { return state->stopping || !state->pending.empty(); });
        if (state->pending.empty()) break;
        Owned connection = std::move(state->pending.front());
        state->pending.pop_front();
        lock.unlock();
        std::array<char, message_size> message{};
        const Key key(PQgetCancel(connection.get()));
        if (key && PQcancel(key.get(), message.data(), static_cast<int>(message.size())) != 1)
            log::debug("a statement could not be cancelled: {}", message.data());
        connection.reset();
        lock.lock();
    }
    state->ended = true;
    state->changed.notify_all();
}

} // namespace hotspare::storage::postgres
