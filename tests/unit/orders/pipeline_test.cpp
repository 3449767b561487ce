// The order pipeline without a process, a socket or a second of waiting: real workers (orders/validation_service/work)
// before a store that follows orders/model, a network that loses and delays messages, workers that are killed, stopped
// and started again, a validator that is slow, failing, busy or gone, a gateway before it that answers 404 or with the
// verdict about another order, clocks that are set, reports that cannot be read, days without power, and orders that
// are cleared and created again under the same names. Thousands of random histories, each from one seed.
#include "orders/model.hpp"
#include "orders/order_service/dispatch_window.hpp"
#include "orders/order_service/transition.hpp"
#include "orders/validation_service/validator.hpp"
#include "orders/validation_service/work.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <tuple>
#include <vector>

namespace hotspare::orders {
namespace TEST_FILE {

constexpr std::int64_t stock = 1'000; ///< the validator rejects larger quantities

/// What a store is, as simply as it can be said: records, and the transitions that all stores share.
class PlainStore {
public:
    void create(const NewOrder& what, WallTime wall)
    {
        orders_.emplace(what.order_id, created(what, generation_, clock_.at(wall)));
    }

    void clear()
    {
        orders_.clear();
        generation_ = generation_.next("g" + std::to_string(++clearings_));
    }

    /// `only`: of these; null: of all.
    std::vector<Lease> lease(std::size_t most, WallTime wall, const std::vector<std::string>* only = nullptr)
    {
        const auto now = clock_.at(wall);
        std::vector<Lease> jobs;
        for (const auto& id : due(most, now.job, only)) {
            auto& record = orders_.at(id);
            jobs.push_back(orders::lease(record, "w", seconds(30), now));
        }
        return jobs;
    }

    std::vector<std::string> overdue(std::size_t most, Duration since, WallTime wall)
    {
        return due(most, clock_.at(wall).job - std::chrono::ceil<milliseconds>(since), nullptr);
    }

    /// The order_ids of those that are due, which waited longest first.
    std::vector<std::string> due(std::size_t most, JobTime now, const std::vector<std::string>* only) const
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

    std::vector<Settled> settle(const std::vector<Settlement>& settlements, WallTime wall)
    {
        const auto now = clock_.at(wall);
        std::vector<Settled> out;
        for (const auto& settlement : settlements) {
            const auto found = orders_.find(settlement.order_id);
            out.push_back(found == orders_.end() ? Settled::unknown : orders::settle(found->second, settlement, now));
        }
        return out;
    }

    std::vector<bool> extend(const std::vector<Held>& held, WallTime wall)
    {
        const auto now = clock_.at(wall);
        std::vector<bool> out;
        for (const auto& one : held) {
            const auto found = orders_.find(one.order_id);
            out.push_back(found != orders_.end() &&
                          orders::extend(found->second, one.epoch, one.generation, seconds(30), now));
        }
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
    Generation generation_{.name = "g0"};
    JobClock clock_;
    int clearings_ = 0;
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

enum class Mode { normal, slow, down, error, busy, hang, missing, foreign };

class World {
public:
    explicit World(std::uint64_t seed) : random_(seed)
    {
        loss_ = chance(0.5) ? 0.0 : uniform(0.0, 0.2);
        dispatched_ = chance(0.5);
        day_out_ = chance(0.05);
        if (day_out_) trouble_ += day_;
        const auto workers = 1 + pick(3);
        for (std::size_t i = 0; i < workers; ++i) workers_.push_back({});
        for (auto& worker : workers_) start(worker);

        const auto orders = 1 + pick(60);
        for (std::size_t i = 0; i < orders; ++i) at(moment(), [this, i] { create(i); });
        for (auto clearings = chance(0.3) ? 1 + pick(2) : 0; clearings > 0; --clearings)
            at(moment(), [this, orders] {
                store_.clear();
                for (std::size_t i = 0; i < orders; ++i)
                    if (chance(0.7)) at(now_ + within(seconds(3)), [this, i] { create(i); });
            });
        for (auto steps = pick(4); steps > 0; --steps)
            at(moment(), [this] {
                const Duration step = within(std::chrono::hours(2));
                clock_error_ += chance(0.5) ? step : -step;
            });
        if (chance(0.2)) {
            refused_ = "o" + std::to_string(pick(9));
            at(trouble_, [this] { refused_.clear(); });
        }
        if (day_out_) {
            at(half_, [this] {
                for (auto& worker : workers_) {
                    worker.work.reset();
                    ++worker.life;
                }
            });
            at(half_ + day_, [this] {
                for (auto& worker : workers_)
                    if (!worker.work) start(worker);
            });
        }
        if (dispatched_) {
            sweep();
            for (auto flushes = pick(3); flushes > 0; --flushes) at(moment(), [this] { stream_.entries.clear(); });
            for (auto outages = pick(3); outages > 0; --outages) {
                const auto from = moment();
                at(from, [this] {
                    stream_.down = true;
                    stream_.entries.clear();
                });
                at(std::min<Duration>(from + within(seconds(20)), trouble_), [this] { stream_.down = false; });
            }
        }
        for (auto changes = pick(8); changes > 0; --changes)
            at(moment(), [this] { mode_ = static_cast<Mode>(pick(8)); });
        for (auto harms = pick(6); harms > 0; --harms) at(moment(), [this] { harm(workers_[pick(workers_.size())]); });
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
    /// The quantity that the validator acted on, by idempotency key.
    const std::map<std::string, std::int64_t>& effects() const { return effects_; }
    bool had_a_day_out() const { return day_out_; }

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
    WallTime wall() const { return WallTime(seconds(1'700'000'000)) + (now_ - start_) + clock_error_; }

    /// Some time while there is trouble, and power.
    Duration moment()
    {
        const auto at = within(2 * half_);
        return day_out_ && at >= half_ ? at + day_ : at;
    }
    bool is_dark() const { return day_out_ && now_ >= start_ + half_ && now_ < start_ + half_ + day_; }

    void create(std::size_t i)
    {
        const auto quantity = static_cast<std::int64_t>(1 + pick(2 * stock));
        const auto id = "o" + std::to_string(i);
        store_.create({id, "x", quantity}, wall());
        if (dispatched_ && !stream_.down && !chance(loss_) && window_.admit()) stream_.entries.push_back(id);
    }

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
        at(now_ + (is_dark() ? Duration(seconds(60)) : milliseconds(100)), [this] { sweep(); });
        if (stream_.down || is_dark()) return;
        window_.measured(stream_.entries.size());
        if (!window_.is_low()) return;
        std::vector<std::int64_t> due;
        for (const auto& id : store_.overdue(DispatchWindow::most, milliseconds(200), wall()))
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
            if (!worker.work && !is_dark()) start(worker);
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
            ask_store<std::optional<std::vector<Settled>>>(
                index, [this, settlements = actions.settle] { return settle(settlements); },
                [this](Work& work, const std::optional<std::vector<Settled>>& settled) {
                    if (settled)
                        work.settled(*settled, now_);
                    else
                        work.settle_refused(now_);
                },
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

    /// None if the request cannot be read.
    std::optional<std::vector<Settled>> settle(const std::vector<Settlement>& settlements)
    {
        if (std::ranges::any_of(settlements, [&](const auto& one) { return one.order_id == refused_; }))
            return std::nullopt;
        return store_.settle(settlements, wall());
    }

    /// A validator that honours the key.
    ValidatorAnswer validate(const Call& call)
    {
        const auto key = validation_key(call.what.order_id, call.generation);
        const auto effect = effects_.emplace(key, call.what.quantity).first;
        if (effect->second != call.what.quantity) return {422, R"({"detail":"the key came with another body"})", {}};
        return {200, call.what.quantity <= stock ? R"({"valid":true})" : R"({"valid":false,"reason":"stock"})", {}};
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
            if (chance(0.5)) (void)validate(call);
            return end(milliseconds(2), {.kind = CallEnd::Kind::failed, .text = "500"});
        }
        const auto judged = [&](const ValidatorAnswer& answer) {
            return judge_answer(answer, call.what.order_id, wall());
        };
        if (mode_ == Mode::missing)
            return end(milliseconds(2), judged({chance(0.5) ? 404U : 401U, R"({"valid":false})", {}}));
        if (mode_ == Mode::foreign)
            return end(milliseconds(2), judged({200, R"({"order_id":"another","valid":false})", {}}));
        const auto answer = validate(call);
        const auto took = mode_ == Mode::slow ? Duration(seconds(3)) : within(milliseconds(10));
        if (chance(loss_)) return end(timeout, {.kind = CallEnd::Kind::failed, .text = "timed out"});
        end(took, judged(answer));
    }

    std::mt19937_64 random_;
    const TimePoint start_{seconds(10'000)};
    TimePoint now_ = start_;
    TimePoint healed_{};
    const Duration half_ = seconds(45);
    const Duration day_ = std::chrono::hours(25);
    Duration trouble_ = 2 * half_;
    bool day_out_ = false;   ///< the power fails for a day, in the middle of the trouble
    Duration clock_error_{}; ///< of the wall clock
    std::string refused_;    ///< reports about this order cannot be read
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
    std::map<std::string, std::int64_t> effects_; ///< idempotency key -> quantity
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
            const bool too_late = entry.order.reason.starts_with("the deadline has passed");
            ASSERT_TRUE(entry.order.attempts == 3 || (too_late && world.had_a_day_out() && entry.order.attempts > 0))
                << entry.order.reason;
        } else {
            ASSERT_EQ(entry.order.status, good ? Status::validated : Status::rejected);
            const auto effect = world.effects().find(validation_key(id, entry.order.generation));
            ASSERT_NE(effect, world.effects().end()) << "a verdict out of nothing";
            ASSERT_EQ(effect->second, entry.order.what.quantity) << "a verdict about another order";
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

} // namespace TEST_FILE
} // namespace hotspare::orders
