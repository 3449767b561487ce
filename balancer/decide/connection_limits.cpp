#include "balancer/decide/connection_limits.hpp"

#include <algorithm>
#include <bitset>
#include <cassert>
#include <optional>

namespace hotspare::balancer {

ConnectionLimits::ConnectionLimits(unsigned workers) : workers_(workers) {}

void ConnectionLimits::on_admitted(unsigned worker, std::function<void()> wake)
{
    const std::lock_guard lock(mutex_);
    workers_.at(worker).wake = std::move(wake);
}

void ConnectionLimits::adopt(const Topology& topology)
{
    std::unique_lock lock(mutex_);
    if (topology.generation <= generation_) return;
    generation_ = topology.generation;
    backends_ = std::max(backends_, topology.backends.size());
    for (std::size_t b = 0; b < topology.backends.size(); ++b) cells_[b].limit = topology.backends[b].max_connections;
    for (std::size_t b = 0; b < backends_; ++b) serve(static_cast<BackendIndex>(b));
    wake(lock);
}

// -------------------------------------------------------------------------------------------------- without waiting

bool ConnectionLimits::limited(BackendIndex backend) const noexcept
{
    return cells_[backend].limit.load(std::memory_order_relaxed) > 0;
}

bool ConnectionLimits::full(BackendIndex backend) const noexcept
{
    const Occupancy now = occupancy(backend);
    return now.limit > 0 && (now.waiting > 0 || now.in_use >= now.limit);
}

ConnectionLimits::Occupancy ConnectionLimits::occupancy(BackendIndex backend) const noexcept
{
    const std::uint64_t word = cells_[backend].word.load();
    return {.limit = cells_[backend].limit.load(), .in_use = in_use(word), .waiting = waiting(word)};
}

bool ConnectionLimits::admit(BackendIndex backend, Admission& admission) noexcept
{
    Cell& cell = cells_[backend];
    const unsigned limit = cell.limit.load(std::memory_order_relaxed);
    admission.give_back();
    if (limit == 0) return true;
    std::uint64_t word = cell.word.load(std::memory_order_relaxed);
    do {
        if (waiting(word) > 0 || in_use(word) >= limit) return false;
    } while (!cell.word.compare_exchange_weak(word, word + one_in_use));
    admission = Admission(*this, backend);
    return true;
}

Admission ConnectionLimits::count(BackendIndex backend) noexcept
{
    if (!limited(backend)) return {};
    cells_[backend].word.fetch_add(one_in_use);
    return {*this, backend};
}

void ConnectionLimits::give_back(BackendIndex backend) noexcept
{
    Cell& cell = cells_[backend];
    std::uint64_t word = cell.word.load(std::memory_order_relaxed);
    while (waiting(word) == 0)
        if (cell.word.compare_exchange_weak(word, word - one_in_use)) return;
    std::unique_lock lock(mutex_);
    cell.word.fetch_sub(one_in_use);
    serve(backend);
    wake(lock);
}

// ----------------------------------------------------------------------------------------------------- with waiting
// While requests wait for a backend, its word changes only under the mutex, but for count().

template <class F> void ConnectionLimits::for_each(const BackendSet& backends, F f)
{
    for (std::size_t b = 0; b < backends_; ++b)
        if (backends[b]) f(static_cast<BackendIndex>(b));
}

bool ConnectionLimits::wait(Waiter& waiter, const BackendSet& wanted, Admission& admission)
{
    assert(!admission);
    std::unique_lock lock(mutex_);
    Line& line = line_of(wanted);
    std::optional<BackendIndex> returned;
    if (!waiter.joined_) {
        waiter.number_ = ++last_number_;
    } else if (waiter.admitted_) {
        if (wanted[waiter.backend_]) {
            admission = take(waiter);
            return true;
        }
        waiter.unlink();
        waiter.admitted_ = false;
        returned = waiter.backend_;
    } else {
        if (waiter.wanted_ == wanted) return false;
        withdraw(waiter);
    }
    waiter.wanted_ = wanted;
    enter(waiter, line);
    if (returned) {
        cells_[*returned].word.fetch_sub(one_in_use);
        serve(*returned);
    }
    // What was given back before it was in the line has told no one.
    for_each(wanted, [this](BackendIndex backend) { serve(backend); });
    const bool at_once = waiter.admitted_;
    if (at_once) admission = take(waiter);
    wake(lock);
    return at_once;
}

void ConnectionLimits::leave(Waiter& waiter) noexcept
{
    if (!waiter.joined_) return;
    std::unique_lock lock(mutex_);
    if (waiter.admitted_) {
        const Admission unused = take(waiter);
        lock.unlock(); // before it is given back
        return;
    }
    withdraw(waiter);
    waiter.joined_ = false;
}

void ConnectionLimits::tell_admitted(unsigned worker)
{
    for (;;) {
        std::unique_lock lock(mutex_);
        Worker& own = workers_[worker];
        if (own.admitted.empty()) {
            own.woken = false;
            return;
        }
        Waiter& first = own.admitted.front();
        Admission admission = take(first);
        lock.unlock();
        first.admitted(std::move(admission));
    }
}

/// Of those that would take just these; a new one if there is none.
ConnectionLimits::Line& ConnectionLimits::line_of(const BackendSet& wanted)
{
    std::erase_if(lines_, [](const Line& line) { return line.waiters.empty(); });
    for (Line& line : lines_)
        if (line.wanted == wanted) return line;
    lines_.emplace_back().wanted = wanted;
    return lines_.back();
}

/// Puts it where its number belongs.
void ConnectionLimits::enter(Waiter& waiter, Line& line) noexcept
{
    auto behind = line.waiters.end();
    while (behind != line.waiters.begin() && std::prev(behind)->number_ > waiter.number_) --behind;
    line.waiters.insert(behind, waiter);
    waiter.joined_ = true;
    for_each(waiter.wanted_, [this](BackendIndex backend) { cells_[backend].word.fetch_add(one_waiting); });
}

/// Out of its line.
void ConnectionLimits::withdraw(Waiter& waiter) noexcept
{
    waiter.unlink();
    for_each(waiter.wanted_, [this](BackendIndex backend) { cells_[backend].word.fetch_sub(one_waiting); });
}

/// There is one.
ConnectionLimits::Waiter& ConnectionLimits::first_for(BackendIndex backend) noexcept
{
    Waiter* first = nullptr;
    for (Line& line : lines_) {
        if (!line.wanted[backend] || line.waiters.empty()) continue;
        if (first == nullptr || line.waiters.front().number_ < first->number_) first = &line.waiters.front();
    }
    assert(first != nullptr);
    return *first;
}

/// Admits those that wait for the backend as far as there is room.
void ConnectionLimits::serve(BackendIndex backend) noexcept
{
    Cell& cell = cells_[backend];
    for (;;) {
        const std::uint64_t word = cell.word.load();
        const unsigned limit = cell.limit.load();
        if (waiting(word) == 0 || (limit > 0 && in_use(word) >= limit)) return;
        Waiter& next = first_for(backend);
        cell.word.fetch_add(one_in_use); // before it leaves the line: a newcomer must not find room between
        withdraw(next);
        next.admitted_ = true;
        next.backend_ = backend;
        Worker& worker = workers_[next.worker_];
        worker.admitted.push_back(next);
        to_wake_ = to_wake_ || !worker.woken;
    }
}

/// What it was admitted to; it is in no list any more.
Admission ConnectionLimits::take(Waiter& waiter) noexcept
{
    waiter.unlink();
    waiter.joined_ = waiter.admitted_ = false;
    return {*this, waiter.backend_};
}

void ConnectionLimits::wake(std::unique_lock<std::mutex>& lock) noexcept
{
    if (!std::exchange(to_wake_, false)) return;
    std::bitset<256> sleeping; // as many workers as there may be
    for (std::size_t w = 0; w < workers_.size(); ++w) {
        if (workers_[w].admitted.empty() || workers_[w].woken) continue;
        workers_[w].woken = true;
        sleeping.set(w);
    }
    lock.unlock();
    for (std::size_t w = 0; w < workers_.size(); ++w)
        if (sleeping[w]) workers_[w].wake();
}

} // namespace hotspare::balancer
