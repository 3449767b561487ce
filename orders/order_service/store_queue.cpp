#include "orders/order_service/store_queue.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace hotspare::orders {
namespace {

/// A worker asks the store again this often although nothing was announced: an announcement may have gone to one that
/// left in the same moment, and another order service may have brought work.
constexpr Duration recheck = seconds(1);

} // namespace

asio::awaitable<result<std::vector<Lease>>> StoreQueue::take(LeaseRequest request, TimePoint until,
                                                             std::function<bool()> gone)
{
    while (true) {
        if (gone()) {
            idle_.wake_one(); // what it was woken for is another's
            co_return std::vector<Lease>();
        }
        const auto announced = announced_;
        auto leased = co_await store_.lease(request);
        if (!leased) co_return leased.error();
        const auto now = Clock::now();
        if (!leased->jobs.empty() || now >= until || stopping_) co_return std::move(leased->jobs);
        if (announced != announced_) continue; // something came while the store looked
        auto again = std::min(until, now + recheck);
        if (leased->next_due_in)
            again = std::min(again, now + std::max<Duration>(*leased->next_due_in, milliseconds(1)));
        co_await idle_.wait(again);
    }
}

/// One worker for one piece of work: if it takes more, the better.
void StoreQueue::announce(std::int64_t)
{
    ++announced_;
    idle_.wake_one();
}

void StoreQueue::put_back()
{
    ++announced_; // who waits must learn when it is due
    idle_.wake_one();
}

void StoreQueue::stop()
{
    stopping_ = true;
    idle_.wake_all();
}

nlohmann::ordered_json StoreQueue::state() const
{
    return {{"by", "store"}};
}

} // namespace hotspare::orders
