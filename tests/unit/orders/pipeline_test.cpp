// The order pipeline without a process, a socket or a second of waiting: real workers (orders/validation_service/work)
// before a store that follows orders/model, a network that loses and delays messages, workers that are killed, stopped
// and started again, and a validator that is slow, ill, busy or gone. Thousands of random histories, each from one
// seed.
#include "orders/model.hpp"
#include "orders/order_service/dispatch_window.hpp"
#include "orders/order_service/transition.hpp"
#include "orders/validation_service/work.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace hotspare::orders {
namespace {

constexpr std::int64_t stock = 1'000; ///< the validator rejects larger quantities

/// What a store is, as simply as it can be said: records, and the transitions that all stores share.
class PlainStore {
public:
    void create(const NewOrder& what, WallTime now) { orders_.emplace(what.order_id, created(what, now)); }

    /// `only`: of these; null: of all.
    std::vector<Lease> lease(std::size_t most, WallTime now, const std::vector<std::string>* only = nullptr)
    {
        std::vector<Lease> jobs;
        for (const auto& id : due(most, now, only)) {
            auto& record = orders_.at(id);
            jobs.push_back(orders::lease(record, "w", seconds(30), now));
        }
        return jobs;
    }

    /// The order_ids of those that are due, which waited longest first.
    std::vector<std::string> due(std::size_t most, WallTime now, const std::vector<std::string>* only = nullptr) const
    {
        std::vector<const Record*> found;
        for (const auto& [id, record] : orders_)
            if (record.order.status == Status::processing && record.due <= now &&
                (!only || std::ranges::find(*only, id) != only->end()))
                found.push_back(&record);
        std::ranges::stable_sort(found, {}, &Record::due);
        if (found.size() > most) found.resize(most);
        std::vector<std::string> ids;
        for (const auto* record : found) ids.push_back(record->order.what.order_id);
        return ids;
    }

    std::vector<Settled> settle(const std::vector<Settlement>& settlements, WallTime now)
    {
        std::vector<Settled> out;
        for (const auto& settlement : settlements)
            out.push_back(orders::settle(orders_.at(settlement.order_id), settlement, now));
        return out;
    }

    std::vector<bool> extend(const std::vector<std::pair<std::string, Epoch>>& held, WallTime now)
    {
        std::vector<bool> out;
        for (const auto& [id, epoch] : held) out.push_back(orders::extend(orders_.at(id), epoch, now + seconds(30)));
        return out;
    }

    const std::map<std::string, Record>& orders() const { return orders_; }
    bool drained() const
    {
        return std::ranges::none_of(orders_,
                                    [](const auto& one) { return one.second.order.status == Status::processing; });
    }

private:
    std::map<std::string, Record> orders_;
};

/// What Redis is to the order services: a stream of hints, which may be lost, repeated or gone altogether.
struct HintStream {
    std::deque<std::string> entries;
    bool down = false;

    std::vector<std::string> take(std::size_t most)
    {
        std::vector<std::string> out;
        for (; !entries.empty() && out.size() < most; entries.pop_front()) out.push_back(entries.front());
        return out;
    }
};

enum class Mode { normal, slow, down, error, busy, hang };

class World {
public:
    explicit World(std::uint64_t seed) : random_(seed)
    {
        loss_ = chance(0.5) ? 0.0 : uniform(0.0, 0.2);
        dispatched_ = chance(0.5);
        const auto workers = 1 + pick(3);
        for (std::size_t i = 0; i < workers; ++i) workers_.push_back({});
        for (auto& worker : workers_) start(worker);

        const auto orders = 1 + pick(60);
        for (std::size_t i = 0; i < orders; ++i)
            at(within(trouble_), [this, i] {
                const auto quantity = static_cast<std::int64_t>(1 + pick(2 * stock));
                const auto id = "o" + std::to_string(i);
                store_.create({id, "x", quantity}, wall());
                if (dispatched_ && !stream_.down && !chance(loss_) && window_.admit()) stream_.entries.push_back(id);
            });
        if (dispatched_) {
            sweep();
            for (auto flushes = pick(3); flushes > 0; --flushes)
                at(within(trouble_), [this] { stream_.entries.clear(); });
            for (auto outages = pick(3); outages > 0; --outages) {
                const auto from = within(trouble_);
                at(from, [this] {
                    stream_.down = true;
                    stream_.entries.clear();
                });
                at(std::min<Duration>(from + within(seconds(20)), trouble_), [this] { stream_.down = false; });
            }
        }
        for (auto changes = pick(8); changes > 0; --changes)
            at(within(trouble_), [this] { mode_ = static_cast<Mode>(pick(6)); });
        for (auto harms = pick(6); harms > 0; --harms)
            at(within(trouble_), [this] { harm(workers_[pick(workers_.size())]); });
        at(trouble_, [this] {
            mode_ = Mode::normal;
            loss_ = 0;
            stream_.down = false;
            healed_ = now_;
        });
    }

    void run()
    {
        const auto end = start_ + trouble_ + seconds(600);
        while (!events_.empty() && events_.top().at <= end) {
            auto event = events_.top();
            events_.pop();
            now_ = std::max(now_, event.at);
            event.what();
            if (now_ > start_ + trouble_ && store_.drained()) return;
        }
    }

    TimePoint healed() const { return healed_; }
    TimePoint now() const { return now_; }
    const PlainStore& store() const { return store_; }
    const std::set<std::string>& effects() const { return effects_; }

private:
    struct Event {
        TimePoint at;
        std::uint64_t number;
        std::function<void()> what;
        bool operator<(const Event& other) const
        {
            return std::tie(at, number) > std::tie(other.at, other.number); // the earliest on top
        }
    };

    struct Worker {
        std::unique_ptr<Work> work;
        unsigned life = 0;         ///< what belongs to an earlier one is not delivered
        TimePoint stopped_until{}; ///< as by SIGSTOP: nothing happens until then
        TimePoint wakes{};
    };

    bool chance(double probability) { return std::bernoulli_distribution(probability)(random_); }
    double uniform(double from, double to) { return std::uniform_real_distribution<double>(from, to)(random_); }
    std::size_t pick(std::size_t count) { return random_() % count; }
    Duration within(Duration span) { return Duration(static_cast<Duration::rep>(random_() % span.count())); }
    WallTime wall() const { return WallTime(seconds(1'700'000'000)) + (now_ - start_); }

    void at(Duration after_start, std::function<void()> what) { at(start_ + after_start, std::move(what)); }
    void at(TimePoint when, std::function<void()> what) { events_.push({when, ++numbers_, std::move(what)}); }

    /// Something that reaches the worker, if it still lives, and when it is not stopped.
    void deliver(std::size_t index, unsigned life, TimePoint when, std::function<void(Work&)> what)
    {
        at(when, [this, index, life, what = std::move(what)] {
            auto& worker = workers_[index];
            if (worker.life != life || !worker.work) return;
            if (worker.stopped_until > now_) {
                deliver(index, life, worker.stopped_until, what);
                return;
            }
            what(*worker.work);
            proceed(index);
        });
    }

    void start(Worker& worker)
    {
        const auto index = static_cast<std::size_t>(&worker - workers_.data());
        ++worker.life;
        worker.work = std::make_unique<Work>(settings_, random_(), now_);
        deliver(index, worker.life, now_, [](Work&) {});
    }

    /// As RedisQueue::sweep() does it: what is due and was not told, or was told in vain, is told again.
    void sweep()
    {
        at(now_ + milliseconds(100), [this] { sweep(); });
        if (stream_.down) return;
        window_.measured(stream_.entries.size());
        if (!window_.is_low()) return;
        std::vector<std::int64_t> due;
        for (const auto& id : store_.due(DispatchWindow::most, wall() - milliseconds(200)))
            due.push_back(std::stoll(id.substr(1)));
        std::set<std::int64_t> told;
        for (const auto& id : stream_.entries) told.insert(std::stoll(id.substr(1)));
        for (const auto number : window_.choose(due, told))
            if (!chance(loss_)) stream_.entries.push_back("o" + std::to_string(number));
    }

    std::vector<Lease> give(std::size_t most)
    {
        if (!dispatched_ || stream_.down) return store_.lease(most, wall());
        const auto told = stream_.take(most);
        return store_.lease(most, wall(), &told);
    }

    void harm(Worker& worker)
    {
        if (chance(0.5)) { // past its lease, now and then
            worker.stopped_until = now_ + within(seconds(60));
            return;
        }
        worker.work.reset();
        ++worker.life;
        at(now_ + within(seconds(5)), [this, &worker] {
            if (!worker.work) start(worker);
        });
    }

    /// A request to the order service: `carry_out` there, `answer` here; or `lost`, when the sender gives up.
    template <class Result>
    void ask_store(std::size_t index, std::function<Result()> carry_out,
                   std::function<void(Work&, const Result&)> answer, std::function<void(Work&)> lost)
    {
        const auto life = workers_[index].life;
        const auto arrives = now_ + within(milliseconds(20));
        const bool request_lost = chance(loss_);
        const bool answer_lost = chance(loss_);
        if (request_lost || answer_lost) deliver(index, life, now_ + seconds(5), std::move(lost));
        if (request_lost) return;
        at(arrives, [this, index, life, answer_lost, carry_out = std::move(carry_out), answer = std::move(answer)] {
            auto result = carry_out();
            if (answer_lost) return;
            deliver(index, life, now_ + within(milliseconds(20)),
                    [answer, result = std::move(result)](Work& work) { answer(work, result); });
        });
    }

    void proceed(std::size_t index)
    {
        auto& worker = workers_[index];
        auto actions = worker.work->next(now_);
        for (auto& one : actions.call) call(index, std::move(one));
        if (actions.lease > 0)
            ask_store<std::vector<Lease>>(
                index, [this, most = actions.lease] { return give(most); },
                [this](Work& work, const std::vector<Lease>& jobs) {
                    work.leased(jobs, seconds(30), now_);
                    if (jobs.empty()) work.lease_failed(now_); // instead of a long wait there: ask again in a while
                },
                [this](Work& work) { work.lease_failed(now_); });
        if (!actions.settle.empty())
            ask_store<std::vector<Settled>>(
                index, [this, settlements = actions.settle] { return store_.settle(settlements, wall()); },
                [this](Work& work, const std::vector<Settled>& settled) { work.settled(settled, now_); },
                [this](Work& work) { work.settle_failed(now_); });
        if (!actions.extend.empty())
            ask_store<std::vector<bool>>(
                index, [this, held = actions.extend] { return store_.extend(held, wall()); },
                [this](Work& work, const std::vector<bool>& held) { work.extended(held, now_); },
                [this](Work& work) { work.extend_failed(now_); });
        if (actions.wake_at != TimePoint::max() && actions.wake_at != worker.wakes) {
            worker.wakes = actions.wake_at;
            deliver(index, worker.life, actions.wake_at, [](Work&) {});
        }
    }

    void call(std::size_t index, Call call)
    {
        const auto life = workers_[index].life;
        const auto began = now_;
        const auto wall_began = wall();
        const auto end = [=, this](Duration took, CallEnd how) {
            deliver(index, life, began + took, [this, began, wall_began, id = call.id, how](Work& work) {
                work.call_ended(id, how, began, wall_began, now_);
            });
        };
        const auto timeout = seconds(5);
        if (mode_ == Mode::down) return end(milliseconds(1), {.kind = CallEnd::Kind::unreachable, .text = "refused"});
        if (chance(loss_)) return end(timeout, {.kind = CallEnd::Kind::failed, .text = "timed out"});
        if (mode_ == Mode::hang) return end(timeout, {.kind = CallEnd::Kind::failed, .text = "timed out"});
        if (mode_ == Mode::busy)
            return end(milliseconds(2), {.kind = CallEnd::Kind::failed, .text = "429", .retry_after = seconds(1)});
        if (mode_ == Mode::error) {
            // The worst of errors: it acts, and then fails to say so.
            if (chance(0.5)) effects_.insert(call.what.order_id);
            return end(milliseconds(2), {.kind = CallEnd::Kind::failed, .text = "500"});
        }
        effects_.insert(call.what.order_id); // it honours the key: once
        const auto kind = call.what.quantity <= stock ? CallEnd::Kind::valid : CallEnd::Kind::rejected;
        const auto took = mode_ == Mode::slow ? Duration(seconds(3)) : within(milliseconds(10));
        if (chance(loss_)) return end(timeout, {.kind = CallEnd::Kind::failed, .text = "timed out"});
        end(took, {.kind = kind});
    }

    std::mt19937_64 random_;
    const TimePoint start_{seconds(10'000)};
    TimePoint now_ = start_;
    TimePoint healed_{};
    const Duration trouble_ = seconds(90);
    WorkSettings settings_{.concurrency = 8};
    double loss_ = 0;
    Mode mode_ = Mode::normal;

    std::priority_queue<Event> events_;
    std::uint64_t numbers_ = 0;
    PlainStore store_;
    bool dispatched_ = false; ///< by hints, not by the store
    HintStream stream_;
    DispatchWindow window_;
    std::vector<Worker> workers_;
    std::set<std::string> effects_;
};

void expect_kept_promises(const World& world)
{
    for (const auto& [id, entry] : world.store().orders()) {
        SCOPED_TRACE(id);
        ASSERT_NE(entry.order.status, Status::processing) << "stuck";
        ASSERT_EQ(std::ranges::count_if(entry.add,
                                        [](const Event& event) {
                                            return event.kind == Event::Kind::validated ||
                                                   event.kind == Event::Kind::rejected ||
                                                   event.kind == Event::Kind::failed;
                                        }),
                  1);
        const bool good = entry.order.what.quantity <= stock;
        ASSERT_LE(entry.order.attempts, 3U);
        if (entry.order.status == Status::failed) {
            ASSERT_EQ(entry.order.attempts, 3U) << entry.order.reason;
        } else {
            ASSERT_EQ(entry.order.status, good ? Status::validated : Status::rejected);
            ASSERT_TRUE(world.effects().contains(id)) << "a verdict out of nothing";
        }
    }
    // A lease (30 s) may have been given to a worker that was stopped or killed in the last moment of the trouble, for
    // up to 60 s; the breaker's longest wait, a slow call and the retries come on top.
    EXPECT_LE(world.now() - world.healed(), seconds(110));
}

TEST(Pipeline, LosesNothingAndDoesNothingTwiceWhateverHappens)
{
#ifdef HOTSPARE_SANITIZED
    std::uint64_t count = 300;
#else
    std::uint64_t count = 3'000;
#endif
    std::uint64_t first = std::random_device{}();
    if (const char* seed = std::getenv("HOTSPARE_SEED")) {
        first = std::strtoull(seed, nullptr, 10);
        count = 1;
    }
    for (auto seed = first; seed < first + count; ++seed) {
        SCOPED_TRACE("HOTSPARE_SEED=" + std::to_string(seed));
        World world(seed);
        world.run();
        expect_kept_promises(world);
        if (testing::Test::HasFailure()) return;
    }
}

} // namespace
} // namespace hotspare::orders
