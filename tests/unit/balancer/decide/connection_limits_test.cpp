// Connection limits: requests of several workers that take, wait and give back in any order.
#include "balancer/decide/connection_limits.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <ostream>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

constexpr BackendIndex a = 0;
constexpr BackendIndex b = 1;

Topology limited_to(std::vector<unsigned> limits, std::uint64_t generation = 1)
{
    Topology topology;
    topology.generation = generation;
    for (const unsigned limit : limits) topology.backends.emplace_back().max_connections = limit;
    return topology;
}

BackendSet set_of(std::initializer_list<BackendIndex> backends)
{
    BackendSet set;
    for (const BackendIndex backend : backends) set.set(backend);
    return set;
}

struct Request final : ConnectionLimits::Waiter {
    explicit Request(ConnectionLimits& limits, unsigned worker = 0) : Waiter(worker), limits_(limits) {}
    ~Request() { limits_.leave(*this); }
    void admitted(Admission given) override
    {
        EXPECT_FALSE(admission);
        admission = std::move(given);
    }
    Admission admission;

private:
    ConnectionLimits& limits_;
};

struct ConnectionLimitsTest : ::testing::Test {
    ConnectionLimitsTest()
    {
        for (unsigned worker = 0; worker < 2; ++worker)
            limits.on_admitted(worker, [this, worker] { woken.insert(worker); });
        limits.adopt(limited_to({1, 2, 0}));
    }
    void tell()
    {
        for (const unsigned worker : std::exchange(woken, {})) limits.tell_admitted(worker);
    }
    /// What a request of its own would get now.
    bool has_room(BackendIndex backend)
    {
        Admission admission;
        return limits.admit(backend, admission);
    }

    ConnectionLimits limits{2};
    std::set<unsigned> woken;
};

TEST_F(ConnectionLimitsTest, WithoutALimitNothingIsCounted)
{
    Admission admission;
    EXPECT_TRUE(limits.admit(2, admission));
    EXPECT_FALSE(admission);
    EXPECT_EQ(limits.occupancy(2), (ConnectionLimits::Occupancy{}));
}

TEST_F(ConnectionLimitsTest, TheLimitIsReachedAndNotExceeded)
{
    Admission first, second, third;
    EXPECT_TRUE(limits.admit(b, first));
    EXPECT_TRUE(limits.admit(b, second));
    EXPECT_TRUE(limits.full(b));
    EXPECT_FALSE(limits.admit(b, third));
    first.give_back();
    first.give_back(); // once is once
    EXPECT_EQ(limits.occupancy(b).in_use, 1U);
    EXPECT_TRUE(limits.admit(b, third));
}

TEST_F(ConnectionLimitsTest, AnAdmissionThatIsMovedIsGivenBackOnce)
{
    Admission first;
    ASSERT_TRUE(limits.admit(b, first));
    {
        Admission other = std::move(first);
        Admission third;
        third = std::move(other);
        EXPECT_EQ(limits.occupancy(b).in_use, 1U);
    }
    EXPECT_EQ(limits.occupancy(b).in_use, 0U);
}

TEST_F(ConnectionLimitsTest, WhatAnotherWorkerGivesBackIsTheFirstOnesAndNoNewcomers)
{
    Admission held;
    ASSERT_TRUE(limits.admit(a, held));
    Request first(limits, 1), second(limits);
    Admission none;
    EXPECT_FALSE(limits.wait(first, set_of({a}), none));
    EXPECT_FALSE(limits.wait(second, set_of({a}), none));
    EXPECT_EQ(limits.occupancy(a), (ConnectionLimits::Occupancy{.limit = 1, .in_use = 1, .waiting = 2}));
    held.give_back();
    EXPECT_FALSE(has_room(a)) << "it is the first one's already";
    EXPECT_EQ(woken, std::set<unsigned>{1});
    tell();
    EXPECT_TRUE(first.admission);
    EXPECT_FALSE(second.admission);
    first.admission.give_back();
    tell();
    EXPECT_TRUE(second.admission);
}

TEST_F(ConnectionLimitsTest, ARequestThatWouldTakeEitherGetsTheOneThatIsFreeFirst)
{
    Admission at_a, at_b, more_at_b;
    ASSERT_TRUE(limits.admit(a, at_a));
    ASSERT_TRUE(limits.admit(b, at_b));
    ASSERT_TRUE(limits.admit(b, more_at_b));
    Request request(limits);
    Admission none;
    EXPECT_FALSE(limits.wait(request, set_of({a, b}), none));
    at_b.give_back();
    tell();
    EXPECT_EQ(request.admission.backend(), b);
    EXPECT_EQ(limits.occupancy(a).waiting, 0U);
}

TEST_F(ConnectionLimitsTest, WhoLeavesGivesBackWhatItHasNotHeardOf)
{
    Admission held;
    ASSERT_TRUE(limits.admit(a, held));
    Request first(limits), second(limits);
    Admission none;
    EXPECT_FALSE(limits.wait(first, set_of({a}), none));
    EXPECT_FALSE(limits.wait(second, set_of({a}), none));
    held.give_back();
    limits.leave(first);
    tell();
    EXPECT_FALSE(first.admission);
    EXPECT_TRUE(second.admission);
}

TEST_F(ConnectionLimitsTest, WhoWantsAnotherBackendKeepsItsPlace)
{
    Admission at_a, at_b, more_at_b;
    ASSERT_TRUE(limits.admit(a, at_a));
    ASSERT_TRUE(limits.admit(b, at_b));
    ASSERT_TRUE(limits.admit(b, more_at_b));
    Request first(limits), second(limits);
    Admission none;
    EXPECT_FALSE(limits.wait(first, set_of({a}), none));
    EXPECT_FALSE(limits.wait(second, set_of({b}), none));
    EXPECT_FALSE(limits.wait(first, set_of({b}), none));
    at_b.give_back();
    tell();
    EXPECT_TRUE(first.admission);
    EXPECT_FALSE(second.admission);
}

TEST_F(ConnectionLimitsTest, AHigherLimitLetsThoseInThatWait)
{
    Admission held;
    ASSERT_TRUE(limits.admit(a, held));
    Request first(limits), second(limits);
    Admission none;
    EXPECT_FALSE(limits.wait(first, set_of({a}), none));
    EXPECT_FALSE(limits.wait(second, set_of({a}), none));
    limits.adopt(limited_to({2, 2, 0}, 2));
    tell();
    EXPECT_TRUE(first.admission);
    EXPECT_FALSE(second.admission);
    limits.adopt(limited_to({1, 2, 0}, 1)); // older: of a worker that is behind
    EXPECT_EQ(limits.occupancy(a).limit, 2U);
    limits.adopt(limited_to({0, 2, 0}, 3));
    tell();
    EXPECT_TRUE(second.admission);
}

TEST_F(ConnectionLimitsTest, ALowerLimitHoldsOnceEnoughWasGivenBack)
{
    Admission first, second, third;
    ASSERT_TRUE(limits.admit(b, first));
    ASSERT_TRUE(limits.admit(b, second));
    limits.adopt(limited_to({1, 1, 0}, 2));
    Request request(limits);
    Admission none;
    EXPECT_FALSE(limits.wait(request, set_of({b}), none));
    first.give_back();
    tell();
    EXPECT_FALSE(request.admission);
    second.give_back();
    tell();
    EXPECT_TRUE(request.admission);
}

TEST_F(ConnectionLimitsTest, WhatIsInUseWhenALimitIsSetCounts)
{
    limits.adopt(limited_to({1, 2, 1}, 2));
    const Admission old = limits.count(2), other = limits.count(2);
    EXPECT_EQ(limits.occupancy(2).in_use, 2U);
    EXPECT_FALSE(has_room(2));
}

// ------------------------------------------------------------------------------------------------- random sequences

/// Something that a worker does; every combination of numbers is valid.
struct Step {
    enum class What : std::uint8_t { come, leave, finish, want, tell, limit };
    What what = What::come;
    std::uint8_t who = 0;
    std::uint8_t backends = 0;
};

std::ostream& operator<<(std::ostream& out, const Step& step)
{
    static constexpr const char* words[]{"come", "leave", "finish", "want", "tell", "limit"};
    return out << words[static_cast<int>(step.what)] << ' ' << int{step.who} << ' ' << int{step.backends};
}

} // namespace TEST_FILE
} // namespace hotspare::balancer

namespace rc {

template <> struct Arbitrary<hotspare::balancer::TEST_FILE::Step> {
    static Gen<hotspare::balancer::TEST_FILE::Step> arbitrary()
    {
        using hotspare::balancer::TEST_FILE::Step;
        return gen::build<Step>(gen::set(&Step::what, gen::weightedElement<Step::What>({{8, Step::What::come},
                                                                                        {2, Step::What::leave},
                                                                                        {6, Step::What::finish},
                                                                                        {2, Step::What::want},
                                                                                        {4, Step::What::tell},
                                                                                        {1, Step::What::limit}})),
                                gen::set(&Step::who, gen::inRange<std::uint8_t>(0, 12)),
                                gen::set(&Step::backends, gen::inRange<std::uint8_t>(1, 8)));
    }
};

} // namespace rc

namespace hotspare::balancer {
namespace TEST_FILE {

/// The rule, without threads and without sets: a list, the limits, and who was admitted to what.
struct Rule {
    struct Waiting {
        std::size_t who;
        BackendSet wanted;
        unsigned number;
    };

    void serve(BackendIndex backend)
    {
        while (in_use[backend] < limit[backend]) {
            auto first = line.end();
            for (auto it = line.begin(); it != line.end(); ++it)
                if (it->wanted[backend] && (first == line.end() || it->number < first->number)) first = it;
            if (first == line.end()) return;
            ++in_use[backend];
            admitted[first->who] = {backend, first->number};
            line.erase(first);
        }
    }
    void serve(const BackendSet& backends)
    {
        for (BackendIndex backend = 0; backend < limit.size(); ++backend)
            if (backends[backend]) serve(backend);
    }
    void give_back(BackendIndex backend)
    {
        --in_use[backend];
        serve(backend);
    }
    bool wanted_by_others(BackendIndex backend) const
    {
        return std::any_of(line.begin(), line.end(), [=](const Waiting& one) { return one.wanted[backend]; });
    }
    auto find(std::size_t who)
    {
        return std::find_if(line.begin(), line.end(), [who](const Waiting& one) { return one.who == who; });
    }

    std::vector<unsigned> limit, in_use = std::vector<unsigned>(limit.size());
    std::vector<Waiting> line;
    std::map<std::size_t, std::pair<BackendIndex, unsigned>> admitted; ///< with their numbers; told or not
    unsigned numbers = 0;
};

/// Twelve requests of three workers at three backends, beside the rule. Neither may differ from the other.
class World {
public:
    static constexpr unsigned workers = 3;
    static constexpr BackendIndex backends = 3;

    World()
    {
        for (unsigned worker = 0; worker < workers; ++worker)
            limits_.on_admitted(worker, [this, worker] { woken_.insert(worker); });
        limits_.adopt(limited_to(rule_.limit));
        for (std::size_t i = 0; i < 12; ++i)
            requests_.push_back(std::make_unique<Request>(limits_, static_cast<unsigned>(i % workers)));
    }

    void apply(const Step& step)
    {
        Request& request = *requests_[step.who];
        BackendSet wanted;
        for (BackendIndex backend = 0; backend < backends; ++backend)
            wanted.set(backend, ((step.backends >> backend) & 1U) != 0);
        switch (step.what) {
        case Step::What::come:
            if (!request.admission && !request.waits_for_connection()) come(step.who, wanted);
            break;
        case Step::What::want:
            if (request.waits_for_connection()) want(step.who, wanted);
            break;
        case Step::What::leave: leave(step.who); break;
        case Step::What::finish: finish(step.who); break;
        case Step::What::tell:
            if (const unsigned worker = step.who % workers; woken_.erase(worker) > 0) limits_.tell_admitted(worker);
            break;
        case Step::What::limit:
            rule_.limit[step.who % backends] = 1 + step.backends % 4U;
            limits_.adopt(limited_to(rule_.limit, ++generation_));
            for (BackendIndex backend = 0; backend < backends; ++backend) rule_.serve(backend);
            break;
        }
        compare();
    }

    /// All wake-ups arrive, and all that are admitted finish: then nothing waits.
    void settle()
    {
        for (std::size_t round = 0; round <= requests_.size(); ++round) {
            for (const unsigned worker : std::exchange(woken_, {})) limits_.tell_admitted(worker);
            for (std::size_t who = 0; who < requests_.size(); ++who) finish(who);
            compare();
        }
        for (const auto& request : requests_)
            if (request->waits_for_connection()) RC_FAIL("a request waits although nothing is in use");
    }

private:
    void come(std::size_t who, const BackendSet& wanted)
    {
        Request& request = *requests_[who];
        for (BackendIndex backend = 0; backend < backends && !request.admission; ++backend) {
            if (!wanted[backend]) continue;
            const bool room = rule_.in_use[backend] < rule_.limit[backend] && !rule_.wanted_by_others(backend);
            if (limits_.admit(backend, request.admission) != room) RC_FAIL("a newcomer is treated wrongly");
            if (!room) continue;
            ++rule_.in_use[backend];
            rule_.admitted[who] = {backend, 0};
        }
        if (request.admission) return;
        rule_.line.push_back({who, wanted, ++rule_.numbers});
        static_cast<void>(limits_.wait(request, wanted, request.admission));
    }

    void want(std::size_t who, const BackendSet& wanted)
    {
        Request& request = *requests_[who];
        if (const auto it = rule_.admitted.find(who); it != rule_.admitted.end()) {
            const auto [backend, number] = it->second; // which it has not heard of
            if (!wanted[backend]) {
                rule_.admitted.erase(it);
                rule_.line.push_back({who, wanted, number});
                rule_.give_back(backend);
                rule_.serve(wanted);
            }
        } else {
            rule_.find(who)->wanted = wanted;
            rule_.serve(wanted);
        }
        static_cast<void>(limits_.wait(request, wanted, request.admission));
    }

    void leave(std::size_t who)
    {
        Request& request = *requests_[who];
        if (!request.waits_for_connection()) return;
        if (const auto it = rule_.admitted.find(who); it != rule_.admitted.end()) {
            const BackendIndex backend = it->second.first;
            rule_.admitted.erase(it);
            rule_.give_back(backend);
        } else {
            rule_.line.erase(rule_.find(who));
        }
        limits_.leave(request);
    }

    void finish(std::size_t who)
    {
        Request& request = *requests_[who];
        if (!request.admission) return;
        rule_.admitted.erase(who);
        rule_.give_back(request.admission.backend());
        request.admission.give_back();
    }

    void compare()
    {
        for (BackendIndex backend = 0; backend < backends; ++backend) {
            unsigned waiting = 0;
            for (const Rule::Waiting& one : rule_.line) waiting += one.wanted[backend] ? 1 : 0;
            const ConnectionLimits::Occupancy expected{
                .limit = rule_.limit[backend], .in_use = rule_.in_use[backend], .waiting = waiting};
            if (!(limits_.occupancy(backend) == expected)) RC_FAIL("what is counted is not what there is");
            if (waiting > 0 && expected.in_use < expected.limit) RC_FAIL("a request waits while there is room");
        }
        for (std::size_t who = 0; who < requests_.size(); ++who) {
            const Request& request = *requests_[who];
            const auto it = rule_.admitted.find(who);
            if (request.admission && (it == rule_.admitted.end() || it->second.first != request.admission.backend()))
                RC_FAIL("a request was admitted out of turn");
            // Who is admitted and does not know it will be told.
            if (it != rule_.admitted.end() && !request.admission && woken_.count(who % workers) == 0)
                RC_FAIL("a wake-up is lost");
        }
    }

    Rule rule_{.limit = {1, 2, 3}};
    ConnectionLimits limits_{workers};
    std::uint64_t generation_ = 1;
    std::set<unsigned> woken_;
    std::vector<std::unique_ptr<Request>> requests_;
};

TEST(ConnectionLimitsRandom, WhatHappensIsWhatTheRuleSays)
{
    test::check_property(1000, [] {
        World world;
        for (const Step& step : *rc::gen::scale(3, rc::gen::arbitrary<std::vector<Step>>())) world.apply(step);
        world.settle();
    });
}

// ------------------------------------------------------------------------------------------------------- real threads

/// A worker's loop: its requests come, wait until they are admitted, and give back, over and over.
class Worker {
public:
    Worker(ConnectionLimits& limits, unsigned number) : limits_(limits), number_(number)
    {
        limits.on_admitted(number, [this] {
            const std::lock_guard lock(mutex_);
            woken_ = true;
            wake_.notify_one();
        });
    }

    /// Serves `count` requests at the only backend, four at a time; `inside` counts those of all workers.
    void run(unsigned count, std::atomic<int>& inside, std::atomic<int>& most)
    {
        std::deque<Request> requests;
        for (int i = 0; i < 4; ++i) requests.emplace_back(limits_, number_);
        while (count > 0) {
            for (Request& request : requests) {
                if (request.admission) {
                    const int now = ++inside;
                    int seen = most;
                    while (now > seen && !most.compare_exchange_weak(seen, now)) {
                    }
                    --inside;
                    request.admission.give_back();
                    if (--count == 0) break;
                }
                if (request.waits_for_connection() || limits_.admit(0, request.admission)) continue;
                static_cast<void>(limits_.wait(request, set_of({0}), request.admission));
            }
            const bool all_wait = std::all_of(requests.begin(), requests.end(),
                                              [](const Request& request) { return request.waits_for_connection(); });
            std::unique_lock lock(mutex_);
            if (all_wait && !wake_.wait_for(lock, seconds(20), [this] { return woken_; })) {
                lost = true;
                break;
            }
            if (!std::exchange(woken_, false)) continue;
            lock.unlock();
            limits_.tell_admitted(number_);
        }
    }

    bool lost = false;

private:
    ConnectionLimits& limits_;
    const unsigned number_;
    std::mutex mutex_;
    std::condition_variable wake_;
    bool woken_ = false;
};

TEST(ConnectionLimitsThreads, NeverMoreThanTheLimitAndNoWakeUpIsLost)
{
    for (const unsigned limit : {1U, 2U}) {
        ConnectionLimits limits(3);
        limits.adopt(limited_to({limit}));
        std::atomic<int> inside{0}, most{0};
        std::deque<Worker> workers;
        for (unsigned number = 0; number < 3; ++number) workers.emplace_back(limits, number);
        std::vector<std::thread> threads;
        for (Worker& worker : workers)
            threads.emplace_back([&worker, &inside, &most] { worker.run(20'000, inside, most); });
        for (std::thread& thread : threads) thread.join();
        EXPECT_LE(most, static_cast<int>(limit));
        for (const Worker& worker : workers) EXPECT_FALSE(worker.lost);
        EXPECT_EQ(limits.occupancy(0), (ConnectionLimits::Occupancy{.limit = limit, .in_use = 0, .waiting = 0}));
    }
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
