#include "experiment/orders/run.hpp"

#include "common/json_document.hpp"
#include "experiment/orders/check.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <set>
#include <thread>
#include <utility>

namespace hotspare::experiment {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr Duration look_pause = milliseconds(50);
constexpr Duration after_creation = seconds(2); ///< the fault lasts at least so much longer than the load
constexpr Duration healing_time = seconds(10);

/// More than any validator has in stock: it is to be rejected.
constexpr std::int64_t too_many = 1'000'000;
constexpr std::int64_t few = 10;
constexpr std::uint64_t one_in = 10; ///< of the orders is too large

} // namespace

OrdersRun::OrdersRun(Options options, Recorder& recorder, const std::atomic<bool>& interrupted)
    : options_(std::move(options)), recorder_(recorder), interrupted_(interrupted),
      pipeline_(options_.gateway, options_.validator), story_(options_.columns)
{
}

OrdersRun::~OrdersRun()
{
    try {
        heal();
    } catch (const std::exception& error) {
        fmt::print(stderr, "experiment: {}\n", error.what());
    }
}

void OrdersRun::run()
{
    await_steady_state();
    began_ = Clock::now();
    look();
    if (options_.mode != FailureMode::normal) make_fault();
    create();
    if (options_.mode != FailureMode::normal) hold();
    heal();
    if (interrupted_) {
        recorder_.abort("interrupted");
        return;
    }
    await_drain();
    read_back();
}

// --- The fault ------------------------------------------------------------------------------------------------------

void OrdersRun::make_fault()
{
    healthy_ = false;
    const Nanos at = now();
    if (const auto why = pipeline_.set_mode(options_.mode); !why.empty())
        throw StartupError(fmt::format("POST /set_failure_mode: {}", why));
    recorder_.fault({.at = at, .what = fmt::format("{}: {}", external_service, to_string(options_.mode))});
    story_.tell(at, fmt::format("FAULT      {}: {}", external_service, to_string(options_.mode)));
}

/// Sets the mode back, whatever happened before.
void OrdersRun::heal()
{
    if (std::exchange(healthy_, true)) return;
    const auto deadline = Clock::now() + healing_time;
    auto why = pipeline_.set_mode(FailureMode::normal);
    while (!why.empty() && Clock::now() < deadline) {
        std::this_thread::sleep_for(look_pause);
        why = pipeline_.set_mode(FailureMode::normal);
    }
    if (!why.empty()) {
        recorder_.invalidate(fmt::format("the fault could not be undone: {}", why));
        story_.tell(now(), "the mode could NOT be set back: " + why);
        return;
    }
    recorder_.heal({.at = now(), .what = fmt::format("{}: normal", external_service)});
    story_.tell(now(), fmt::format("HEALED     {}: normal", external_service));
}

/// The fault lasts until the monitor has had its time to name it, and so do the orders that meet it.
void OrdersRun::hold()
{
    const auto least = Clock::now() + after_creation;
    const auto fault = recorder_.history().faults.front().at;
    while (!is_interrupted()) {
        const bool overdue = now() - fault > OrdersLimits::detection + seconds(1);
        if (Clock::now() >= least && (named_ == health_word(options_.mode) || overdue)) return;
        std::this_thread::sleep_for(look_pause);
        look();
    }
}

// --- The monitor ----------------------------------------------------------------------------------------------------

void OrdersRun::await_steady_state()
{
    const auto deadline = Clock::now() + options_.steady_within;
    while (!is_interrupted()) {
        const auto trouble = pipeline_.trouble();
        if (trouble.empty()) return;
        if (Clock::now() > deadline)
            throw StartupError(fmt::format("the pipeline was not healthy before the experiment began: {}", trouble));
        std::this_thread::sleep_for(look_pause);
    }
    throw StartupError("interrupted");
}

/// Notes what the monitor says now, where it is something else than before.
void OrdersRun::look()
{
    for (const auto& [name, word] : pipeline_.health()) {
        auto& last = seen_[name];
        if (word == last) continue;
        const bool is_first = last.empty();
        last = word;
        recorder_.add(&OrdersHistory::healths, Sighting{.at = now(), .service = name, .status = word});
        if (name == external_service) named_ = word;
        if (!is_first) story_.tell(now(), fmt::format("MONITOR    {} is {}", name, word));
    }
}

// --- Creation -------------------------------------------------------------------------------------------------------

OrderContent OrdersRun::content(std::uint64_t index) const
{
    return {.order_id = fmt::format("{}-{}", options_.id_prefix, index),
            .product = is_large(index) ? "Medicine B" : "Medicine A",
            .quantity = is_large(index) ? too_many : few};
}

bool OrdersRun::is_large(std::uint64_t index) const
{
    const auto& history = recorder_.history();
    return history.orders > 1 && (index + history.seed) % std::min(one_in, history.orders) == 0;
}

LoadPlan OrdersRun::load_plan() const
{
    const auto request = [](const char* product, std::int64_t quantity) {
        LoadRequest out;
        out.method = "POST";
        out.path = "/create_order";
        out.body =
            json_text(OrderedJson{{"order_id", LoadRequest::id_here}, {"product", product}, {"quantity", quantity}});
        out.numbered = true;
        out.expect_body = fmt::format("\"{}\"", LoadRequest::id_here);
        return out;
    };
    const auto& history = recorder_.history();
    LoadPlan plan;
    plan.target = options_.gateway;
    plan.requests = {request("Medicine A", few), request("Medicine B", too_many)};
    plan.id_prefix = options_.id_prefix;
    plan.connections = 8;
    plan.most_connections = 1'000;
    for (std::uint64_t i = 0; i < history.orders; ++i) {
        const std::chrono::duration<double> at(static_cast<double>(i) / history.rate);
        plan.schedule.push_back({std::chrono::duration_cast<Nanos>(at), is_large(i) ? 1U : 0U});
    }
    return plan;
}

void OrdersRun::create()
{
    const auto start = Clock::now() + milliseconds(20); // connections are opened before
    const auto offset = std::chrono::duration_cast<Nanos>(start - began_);
    Load load(load_plan(), [&](const Finished& finished) {
        const Sample& sample = finished.sample;
        recorder_.add(&OrdersHistory::creates, CreateRecord{.what = content(sample.index),
                                                            .due = sample.due + offset,
                                                            .invoked = sample.sent + offset,
                                                            .ended = sample.done + offset,
                                                            .outcome = judge_create(sample.outcome, sample.status),
                                                            .status = sample.status,
                                                            .waited = sample.waited});
    });
    std::atomic<bool> done{false};
    std::exception_ptr failure;
    std::thread thread([&] {
        try {
            load.run(start);
        } catch (...) {
            failure = std::current_exception();
        }
        done = true;
    });
    // Whatever goes wrong here, the thread must be joined.
    try {
        while (!done) {
            std::this_thread::sleep_for(look_pause);
            if (is_interrupted()) load.stop();
            look();
            const auto tally = recorder_.tally();
            story_.progress(now(), fmt::format("{} of {} created, {} accepted; {} is {}", tally.created,
                                               recorder_.history().orders, tally.accepted, external_service, named_));
        }
    } catch (...) {
        load.stop();
        thread.join();
        throw;
    }
    thread.join();
    if (failure) std::rethrow_exception(failure);
    const auto tally = recorder_.tally();
    story_.tell(now(), fmt::format("CREATED    {}, {} of them accepted", tally.created, tally.accepted));
}

// --- The end --------------------------------------------------------------------------------------------------------

bool OrdersRun::is_ours(const std::string& order_id) const
{
    return order_id.starts_with(recorder_.history().prefix);
}

/// How many of our orders are Processing, of the newest thousand that are.
std::size_t OrdersRun::processing()
{
    const auto page = pipeline_.page("&status=Processing");
    return static_cast<std::size_t>(
        std::ranges::count_if(page.orders, [&](const ListedOrder& order) { return is_ours(order.what.order_id); }));
}

void OrdersRun::await_drain()
{
    const auto deadline = Clock::now() + drain_limit(recorder_.history()) + seconds(2);
    while (!is_interrupted() && Clock::now() < deadline) {
        const Nanos at = now(); // before it was asked: nothing had to happen after this moment
        const auto left = processing();
        look();
        if (left == 0) {
            recorder_.drained(at);
            story_.tell(at, "DRAINED    nothing is Processing any more");
            return;
        }
        story_.progress(now(), fmt::format("{}{} still Processing", left, left == 1'000 ? " or more" : ""));
        std::this_thread::sleep_for(look_pause);
    }
    if (is_interrupted()) recorder_.abort("interrupted");
}

void OrdersRun::read_back()
{
    std::set<std::string> wanted;
    for (const CreateRecord& create : recorder_.history().creates) wanted.insert(create.what.order_id);
    const auto asked = wanted.size();
    const auto most_pages = asked / 1'000 + 1'000; // other clients may create orders meanwhile
    std::string next;
    for (std::size_t pages = 0; pages < most_pages; ++pages) {
        auto page = pipeline_.page(next.empty() ? "" : "&before=" + next);
        bool any = page.orders.empty();
        for (ListedOrder& order : page.orders) {
            if (!is_ours(order.what.order_id)) continue;
            any = true;
            wanted.insert(order.what.order_id);
            recorder_.add(&OrdersHistory::listed, std::move(order));
        }
        next = page.next;
        // Ours stand together: behind them nothing of ours follows.
        if (next.empty() || (!any && recorder_.history().listed.size() >= asked)) break;
    }
    for (const std::string& order_id : wanted) {
        if (is_interrupted()) return recorder_.abort("interrupted");
        if (auto order = pipeline_.order(order_id)) recorder_.add(&OrdersHistory::present, *std::move(order));
    }
}

} // namespace hotspare::experiment
