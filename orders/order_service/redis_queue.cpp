#include "orders/order_service/redis_queue.hpp"

#include "common/config.hpp"
#include "common/log.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

namespace hotspare::orders {
namespace {

using storage::redis::Command;
using storage::redis::Reply;

constexpr auto group = "order_services";

constexpr Duration sweep_every = milliseconds(100);
/// For so long the others wait for a service that sweeps: far longer than a sweep takes, or two would fill the stream.
constexpr Duration longest_sweep = seconds(2);
/// For everything but a wait for entries.
constexpr Duration redis_timeout = seconds(1);
/// How long Redis keeps a request for entries; longer than that it is not waited for.
constexpr Duration block = seconds(1);
/// After a failure of the connection that waits.
constexpr Duration redis_pause = milliseconds(200);
/// While Redis cannot be used: how often a worker that waits looks into the store.
constexpr Duration recheck = milliseconds(200);
/// What has been due for less is probably on its way through the stream.
constexpr Duration overdue = milliseconds(200);
/// A service that has had an entry for so long has lost it, or has no worker for it. Until then its order is not
/// told again, so a service that dies delays by this what it was told.
constexpr auto abandoned_ms = "1000";
/// Far above the window: a bound if it should ever fail.
constexpr auto longest_stream = "20000";
/// What may wait to be sent while Redis is slow: more is dropped, and swept later.
constexpr std::size_t largest_outbox = 10'000;

/// What a waiting worker would take, as long as it waits.
class Wanting {
public:
    Wanting(std::size_t& sum, std::size_t most) : sum_(sum), most_(most) { sum_ += most_; }
    ~Wanting() { sum_ -= most_; }
    Wanting(const Wanting&) = delete;
    Wanting& operator=(const Wanting&) = delete;

private:
    std::size_t& sum_;
    std::size_t most_;
};

/// The group was there before.
bool is_busy_group(const Reply& reply)
{
    return reply.is_error() && reply.text.starts_with("BUSYGROUP");
}

/// Of [[id, [field, number]], ...]. One that was deleted meanwhile has no fields; it gets a number that no order has,
/// and is acknowledged like the others.
std::vector<StreamEntry> read_entries(const Reply& reply)
{
    std::vector<StreamEntry> out;
    for (const auto& entry : reply.list) {
        if (entry.list.size() != 2) continue;
        StreamEntry read{.id = entry.list[0].text};
        if (const auto& fields = entry.list[1].list; fields.size() == 2)
            if (const auto number = config::parse_unsigned(fields[1].text, std::numeric_limits<std::int64_t>::max()))
                read.number = static_cast<std::int64_t>(*number);
        out.push_back(std::move(read));
    }
    return out;
}

} // namespace

RedisQueue::RedisQueue(asio::io_context& context, storage::redis::Target target, std::string consumer,
                       PostgresStore& store)
    : store_(store), consumer_(std::move(consumer)), stream_(target.prefix + "hotspare:orders"),
      sweeper_(stream_ + ":sweeper"), reader_(context.get_executor(), target), writer_(context.get_executor(), target),
      idle_(context), listener_(context), maintenance_(context), tasks_(context)
{
}

void RedisQueue::start()
{
    tasks_.spawn("listen", listen());
    tasks_.spawn("maintain", maintain());
}

void RedisQueue::stop()
{
    stopping_ = true;
    idle_.wake_all();
}

asio::awaitable<void> RedisQueue::close()
{
    tasks_.cancel();
    co_await tasks_.join();
}

// --- Workers ---------------------------------------------------------------------------------------------------------

asio::awaitable<result<std::vector<Lease>>> RedisQueue::take(LeaseRequest request, TimePoint until,
                                                             std::function<bool()> gone)
{
    while (true) {
        if (gone()) {
            idle_.wake_one(); // what it was woken for is another's
            co_return std::vector<Lease>();
        }
        Leased leased;
        if (!ready_.empty()) {
            const auto count = static_cast<std::ptrdiff_t>(std::min(request.most, ready_.size()));
            std::vector<StreamEntry> entries(ready_.begin(), ready_.begin() + count);
            ready_.erase(ready_.begin(), ready_.begin() + count);
            if (!ready_.empty()) idle_.wake_one();
            std::vector<std::int64_t> numbers;
            for (const auto& entry : entries) numbers.push_back(entry.number);
            auto found = co_await store_.lease_these(request, std::move(numbers));
            if (!found) {
                ready_.insert(ready_.begin(), entries.begin(), entries.end());
                co_return found.error();
            }
            forget_later(entries);
            if (found->jobs.empty() && !stopping_) continue; // others had them
            leased = *std::move(found);
        } else if (!usable_) {
            auto found = co_await store_.lease(request);
            if (!found) co_return found.error();
            leased = *std::move(found);
            direct_.add(leased.jobs.size());
        }
        const auto now = Clock::now();
        if (!leased.jobs.empty() || now >= until || stopping_) co_return std::move(leased.jobs);
        auto again = until;
        if (!usable_) {
            again = std::min(until, now + recheck);
            if (leased.next_due_in)
                again = std::min(again, now + std::max<Duration>(*leased.next_due_in, milliseconds(1)));
        }
        const Wanting wanting(wanted_, request.most);
        listener_.wake_one();
        co_await idle_.wait(again);
    }
}

/// Waits for entries while a worker does. Those that come when it has gone stay for the next.
asio::awaitable<void> RedisQueue::listen()
{
    const auto block_ms = std::to_string(std::chrono::floor<milliseconds>(block).count());
    while (!stopping_) {
        if (!reader_works_) { // whether or not a worker waits: this is what makes it known that it works again
            std::vector<Command> ping;
            ping.push_back({"PING"});
            const auto pong = co_await reader_.run(std::move(ping), redis_timeout);
            reader_works_ = pong ? note(*pong) : note(reader_, pong.error());
            if (!reader_works_) co_await listener_.wait(Clock::now() + redis_pause);
            continue;
        }
        if (idle_.size() == 0 || !ready_.empty()) {
            co_await listener_.wait(Clock::now() + block);
            continue;
        }
        std::vector<Command> commands;
        commands.push_back({"XREADGROUP", "GROUP", group, consumer_, "COUNT", std::to_string(wanted_), "BLOCK",
                            block_ms, "STREAMS", stream_, ">"});
        const auto replies = co_await reader_.run(std::move(commands), block + redis_timeout);
        if (!replies) {
            reader_works_ = note(reader_, replies.error());
            co_await listener_.wait(Clock::now() + redis_pause);
            continue;
        }
        const auto& reply = replies->at(0);
        if (reply.is_error()) {
            // The first time, and after a FLUSHALL, which a waiting request hears of, until a sweep has made the group.
            const bool no_group = reply.text.starts_with("NOGROUP") || reply.text.starts_with("UNBLOCKED");
            if (!no_group) reader_works_ = note(*replies);
            co_await listener_.wait(Clock::now() + redis_pause);
            continue;
        }
        reader_works_ = true;
        for (const auto& of_stream : reply.list) // [[stream, entries]], or nil if none came
            if (of_stream.list.size() == 2)
                for (auto& entry : read_entries(of_stream.list[1])) ready_.push_back(std::move(entry));
        if (!ready_.empty()) idle_.wake_one(); // who takes some wakes the next
    }
}

// --- The stream ------------------------------------------------------------------------------------------------------

Command RedisQueue::addition(std::int64_t number) const
{
    return {"XADD", stream_, "MAXLEN", "~", longest_stream, "*", "order", std::to_string(number)};
}

void RedisQueue::announce(std::int64_t number)
{
    if (usable_ && window_.admit())
        publish_later(number);
    else if (!usable_)
        idle_.wake_one();
}

void RedisQueue::publish_later(std::int64_t number)
{
    if (outbox_.size() >= largest_outbox) return;
    outbox_.push_back(addition(number));
    published_.add();
    maintenance_.wake_one();
}

void RedisQueue::forget_later(const std::vector<StreamEntry>& entries)
{
    if (entries.empty() || outbox_.size() >= largest_outbox) return;
    Command acknowledge{"XACK", stream_, group};
    Command remove{"XDEL", stream_};
    for (const auto& entry : entries) {
        acknowledge.push_back(entry.id);
        remove.push_back(entry.id);
    }
    outbox_.push_back(std::move(acknowledge));
    outbox_.push_back(std::move(remove));
    maintenance_.wake_one();
}

asio::awaitable<void> RedisQueue::maintain()
{
    auto sweep_at = Clock::now();
    while (!tasks_.cancelled()) {
        bool works = true;
        if (!outbox_.empty()) works = co_await send_outbox();
        if (works && Clock::now() >= sweep_at) {
            works = co_await sweep();
            if (works && reader_works_ && !std::exchange(usable_, true))
                log::info("Redis at {} dispatches the orders", writer_.target().shown);
            sweep_at = Clock::now() + sweep_every;
        }
        if (!works) {
            outbox_.clear();
            sweep_at = Clock::now() + redis_pause;
        }
        if (outbox_.empty() || !works) co_await maintenance_.wait(sweep_at);
    }
}

asio::awaitable<bool> RedisQueue::send_outbox()
{
    auto commands = std::exchange(outbox_, {});
    const auto replies = co_await writer_.run(std::move(commands), redis_timeout);
    if (!replies) co_return note(writer_, replies.error());
    co_return note(*replies);
}

/// Tells what is due and not in the stream, if this service is the one to do so.
asio::awaitable<bool> RedisQueue::sweep()
{
    const auto in_ms = [](Duration d) { return std::to_string(std::chrono::floor<milliseconds>(d).count()); };
    std::vector<Command> commands;
    commands.push_back({"XGROUP", "CREATE", stream_, group, "0", "MKSTREAM"});
    commands.push_back({"SET", sweeper_, consumer_, "NX", "PX", in_ms(longest_sweep)});
    commands.push_back({"XLEN", stream_});
    commands.push_back({"XAUTOCLAIM", stream_, group, consumer_, abandoned_ms, "0-0", "COUNT", "100", "JUSTID"});
    auto replies = co_await writer_.run(std::move(commands), redis_timeout);
    if (!replies) co_return note(writer_, replies.error());
    if (is_busy_group(replies->at(0))) replies->at(0) = Reply{};
    if (!note(*replies)) co_return false;
    const bool ours = replies->at(1).kind != Reply::Kind::nil;
    window_.measured(static_cast<std::size_t>(std::max<std::int64_t>(replies->at(2).integer, 0)));
    std::vector<StreamEntry> abandoned;
    if (replies->at(3).list.size() >= 2)
        for (const auto& id : replies->at(3).list[1].list) abandoned.push_back({id.text, 0});
    forget_later(abandoned);
    if (!ours) co_return true; // another service sweeps this time
    bool works = true;
    if (window_.is_low()) works = co_await tell_due();
    // Half, so that the key is surely gone when this service sweeps next, if no other has.
    if (works) outbox_.push_back({"PEXPIRE", sweeper_, in_ms(sweep_every / 2)});
    co_return works;
}

asio::awaitable<bool> RedisQueue::tell_due()
{
    auto numbers = co_await store_.due(DispatchWindow::most, overdue);
    if (!numbers || numbers->empty()) co_return true; // the store's failure is not Redis'
    // While no worker takes orders they stay due, and in the stream: once is enough.
    std::vector<Command> look;
    look.push_back({"XRANGE", stream_, "-", "+", "COUNT", longest_stream});
    const auto told = co_await writer_.run(std::move(look), redis_timeout);
    if (!told) co_return note(writer_, told.error());
    if (!note(*told)) co_return false;
    std::set<std::int64_t> known;
    for (const auto& entry : read_entries(told->at(0))) known.insert(entry.number);
    std::vector<Command> additions;
    for (const auto number : window_.choose(*numbers, known)) additions.push_back(addition(number));
    swept_.add(additions.size());
    const auto added = co_await writer_.run(std::move(additions), redis_timeout);
    if (!added) co_return note(writer_, added.error());
    co_return note(*added);
}

// --- Whether it works ------------------------------------------------------------------------------------------------

bool RedisQueue::note(const storage::redis::Connection& connection, const error_code& error)
{
    failed(connection.last_refusal().empty() ? error.message() : connection.last_refusal());
    return false;
}

/// Whether none of them is an error.
bool RedisQueue::note(const std::vector<Reply>& replies)
{
    const auto found = std::ranges::find_if(replies, [](const auto& reply) { return reply.is_error(); });
    if (found == replies.end()) return true;
    failed(found->text);
    return false;
}

void RedisQueue::failed(std::string why)
{
    if (stopping_) return;
    if (usable_ || why != why_)
        log::warn("Redis at {} cannot be used ({}); orders are leased straight from the database until it can",
                  writer_.target().shown, why);
    why_ = std::move(why);
    if (std::exchange(usable_, false)) idle_.wake_all();
}

std::optional<std::string> RedisQueue::trouble() const
{
    if (usable_) return std::nullopt;
    return fmt::format("Redis cannot be used ({}); orders are leased straight from the database", why_);
}

nlohmann::ordered_json RedisQueue::state() const
{
    return {{"by", usable_ ? "redis" : "store"},
            {"published", published_.value()},
            {"swept", swept_.value()},
            {"leased_directly", direct_.value()}};
}

void RedisQueue::expose(metrics::Exposition& out) const
{
    out.gauge("hotspare_orders_redis_usable", "1 while Redis dispatches orders, 0 while the store does", {},
              usable_ ? 1. : 0.);
    out.counter("hotspare_orders_dispatched_total", "Orders added to the stream", {{"by", "event"}}, published_);
    out.counter("hotspare_orders_dispatched_total", "Orders added to the stream", {{"by", "sweep"}}, swept_);
    out.counter("hotspare_orders_leased_directly_total", "Jobs leased past Redis while it could not be used", {},
                direct_);
}

} // namespace hotspare::orders
