#include "common/storage/group_commit.hpp"

#include "common/log.hpp"

#include <algorithm>
#include <exception>
#include <iterator>

namespace hotspare::storage {
namespace {

/// Unlike errc::not_found or errc::conflict, which are answers.
bool is_failure(const error_code& error)
{
    return error == errc::storage || error == errc::storage_full || error == errc::storage_broken ||
           error == errc::unavailable;
}

} // namespace

GroupCommit::GroupCommit(Database& database, GroupCommitOptions options)
    : database_(database), options_(std::move(options)), thread_([this] { run_thread(); })
{
}

GroupCommit::~GroupCommit()
{
    {
        const std::scoped_lock lock(mutex_);
        stop_ = true;
    }
    changed_.notify_one();
    thread_.join();
}

GroupCommit::Counts GroupCommit::counts() const
{
    const std::scoped_lock lock(mutex_);
    return counts_;
}

void GroupCommit::add(std::unique_ptr<Piece> piece)
{
    error_code refused;
    {
        const std::scoped_lock lock(mutex_);
        if (broken_)
            refused = errc::storage_broken;
        else if (queue_.size() >= options_.queue)
            refused = errc::unavailable;
        else
            queue_.push_back(std::move(piece));
    }
    if (refused)
        piece->finish(refused);
    else
        changed_.notify_one();
}

GroupCommit::Pieces GroupCommit::next_batch()
{
    std::unique_lock lock(mutex_);
    wait_for_work(lock);
    Pieces batch;
    if (queue_.size() <= options_.most) {
        batch.swap(queue_);
    } else {
        const auto end = queue_.begin() + static_cast<std::ptrdiff_t>(options_.most);
        batch.assign(std::make_move_iterator(queue_.begin()), std::make_move_iterator(end));
        queue_.erase(queue_.begin(), end);
    }
    return batch;
}

void GroupCommit::wait_for_work(std::unique_lock<std::mutex>& lock)
{
    const auto there_is = [this] { return stop_ || !queue_.empty(); };
    if (!options_.when_idle) return changed_.wait(lock, there_is);
    while (!changed_.wait_for(lock, options_.idle_after, there_is)) {
        if (broken_) continue;
        lock.unlock();
        const auto done = options_.when_idle();
        if (!done && done.error() == errc::storage_broken) break_down();
        lock.lock();
    }
}

void GroupCommit::run_thread()
{
    for (auto batch = next_batch(); !batch.empty(); batch = next_batch()) commit(batch);
}

void GroupCommit::commit(Pieces& batch)
{
    error_code failure;
    bool broken = false;
    {
        const std::scoped_lock lock(mutex_);
        broken = broken_;
    }
    if (broken)
        failure = errc::storage_broken;
    else
        failure = execute(batch);
    {
        const std::scoped_lock lock(mutex_);
        if (failure) {
            ++counts_.failed;
        } else {
            ++counts_.commits;
            counts_.pieces += batch.size();
        }
        // Set before any caller gets its result: a caller that tries again at once must find it set.
        broken_ = failure == errc::storage_broken;
    }
    for (auto& piece : batch) piece->finish(failure);
    batch.clear();
    if (!failure && options_.after_commit) {
        if (const auto done = options_.after_commit(); !done) failure = done.error();
    }
    if (failure == errc::storage_broken && !broken) break_down();
}

void GroupCommit::break_down()
{
    {
        const std::scoped_lock lock(mutex_);
        broken_ = true;
    }
    if (options_.broken) options_.broken();
}

error_code GroupCommit::execute(Pieces& batch)
{
    const auto verify = [this] { return options_.verify ? options_.verify() : result<void>(); };
    try {
        if (const auto there = verify(); !there) return there.error();
        auto transaction = Transaction::begin(database_);
        if (!transaction) return transaction.error();
        for (auto& piece : batch) {
            const auto error = piece->execute();
            if (is_failure(error)) return error; // rolls back
        }
        if (const auto committed = transaction->commit(); !committed) return committed.error();
        const auto there = verify(); // it may have gone meanwhile
        return there ? error_code() : there.error();
    } catch (const std::exception& error) {
        // Memory ran out, or a piece of work has a bug: what it did is rolled back, and the thread goes on.
        log::error("a write failed: {}", error.what());
        return errc::storage;
    }
}

} // namespace hotspare::storage
