#include "experiment/orders/check.hpp"

#include "experiment/judge/measure.hpp"
#include "experiment/report/wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

namespace hotspare::experiment {
namespace {

constexpr std::array<std::string_view, wrong_count> wrong_words{"late", "lost",  "altered", "unattempted", "stuck",
                                                                "path", "epoch", "status",  "doubled",     "verdict"};

constexpr std::array<std::pair<std::string_view, std::string_view>, 3> ends{
    {{"validated", "Validated"}, {"rejected", "Rejected"}, {"failed", "Failed"}}};

/// The status that an event ends a round in; empty: it ends none.
std::string_view status_after(std::string_view event) noexcept
{
    for (const auto& [word, status] : ends)
        if (word == event) return status;
    return {};
}

bool is_known_status(std::string_view status) noexcept
{
    return status == "Processing" ||
           std::any_of(ends.begin(), ends.end(), [&](const auto& end) { return end.second == status; });
}

std::string seconds_text(Nanos time)
{
    return fmt::format("{:g} s", std::chrono::duration<double>(time).count());
}

std::string content_text(const OrderContent& what)
{
    return fmt::format("{} of {}", what.quantity, config::in_quotes(what.product));
}

/// Follows one timeline. Says what is wrong first: what comes after it would only be a consequence.
class Path {
public:
    explicit Path(const std::vector<TimelineEvent>& timeline) : timeline_(timeline) {}

    struct Fault {
        Wrong wrong;
        std::string what;
    };
    std::optional<Fault> follow()
    {
        if (timeline_.empty()) return Fault{Wrong::path, "it has no timeline"};
        for (place_ = 0; place_ < timeline_.size(); ++place_)
            if (auto fault = step(timeline_[place_])) return fault;
        return std::nullopt;
    }

private:
    enum class State : std::uint8_t { begin, waiting, held, failed, over };

    std::optional<Fault> step(const TimelineEvent& event)
    {
        const std::string_view word = event.event;
        switch (state_) {
        case State::begin:
            if (word != "created") return illegal(event, "does not begin with its creation");
            if (event.epoch != 0) return epoch(event, "is created with an epoch that is not 0");
            state_ = State::waiting;
            return std::nullopt;
        case State::waiting:
            if (word == "leased") return begin_lease(event);
            if (word == "hastened") return at_least(event);
            if (word == "failed") return grow(event, State::failed);
            return illegal(event, "happened while no worker had it");
        case State::held:
            if (word == "leased") return begin_lease(event);
            if (word == "attempt") return of_lease(event, State::held);
            if (word == "retry" || word == "snoozed") return of_lease(event, State::waiting);
            if (word == "failed")
                return event.epoch > epoch_ ? grow(event, State::failed) : of_lease(event, State::failed);
            if (word == "validated" || word == "rejected") return of_lease(event, State::over);
            return illegal(event, "happened while a worker had it");
        case State::failed:
            if (word == "replayed") return grow(event, State::waiting);
            [[fallthrough]];
        case State::over:
            return illegal(event, status_after(word).empty() ? "happened after it had ended" : "is a second end");
        }
        return std::nullopt;
    }

    std::optional<Fault> begin_lease(const TimelineEvent& event) { return grow(event, State::held); }

    std::optional<Fault> grow(const TimelineEvent& event, State next)
    {
        if (event.epoch <= epoch_) return epoch(event, fmt::format("should be greater than {}", epoch_));
        epoch_ = event.epoch;
        state_ = next;
        return std::nullopt;
    }

    std::optional<Fault> at_least(const TimelineEvent& event)
    {
        if (event.epoch < epoch_) return epoch(event, fmt::format("should be at least {}", epoch_));
        epoch_ = event.epoch;
        return std::nullopt;
    }

    std::optional<Fault> of_lease(const TimelineEvent& event, State next)
    {
        if (event.epoch != epoch_) return epoch(event, fmt::format("should be {}, that of the lease", epoch_));
        state_ = next;
        return std::nullopt;
    }

    Fault illegal(const TimelineEvent& event, std::string_view why) const
    {
        return {Wrong::path, fmt::format("event {}, {}, {}", place_ + 1, config::in_quotes(event.event), why)};
    }
    Fault epoch(const TimelineEvent& event, std::string_view why) const
    {
        return {Wrong::epoch, fmt::format("event {}, {}: its epoch {} {}", place_ + 1, config::in_quotes(event.event),
                                          event.epoch, why)};
    }

    const std::vector<TimelineEvent>& timeline_;
    std::size_t place_ = 0;
    State state_ = State::begin;
    std::int64_t epoch_ = 0;
};

class Check {
public:
    explicit Check(const OrdersHistory& history) : history_(history) {}

    OrdersJudgement run()
    {
        read_creates();
        read_effects();
        check_present();
        check_absent();
        check_listing();
        look_at_health();
        look_at_drain();
        make_promises();
        reach_verdict();
        return std::move(out_);
    }

private:
    /// All requests for one order.
    struct Asked {
        bool acknowledged = false;
        bool perhaps = false; ///< one whose outcome is unknown
        std::vector<const CreateRecord*> creates;
    };

    bool is_ours(std::string_view order_id) const { return order_id.starts_with(history_.prefix); }

    void complain(Wrong wrong, const std::string& order_id, std::string what)
    {
        if (blamed_.emplace(wrong, order_id).second) ++out_.counts.wrong[static_cast<std::size_t>(wrong)];
        out_.violations.push_back({wrong, order_id, std::move(what)});
    }

    // --- What was asked ----------------------------------------------------------------------------------------------

    void read_creates()
    {
        std::vector<double> latencies;
        for (const CreateRecord& create : history_.creates) {
            Asked& asked = asked_[create.what.order_id];
            asked.creates.push_back(&create);
            asked.acknowledged |= create.outcome == CreateOutcome::ok;
            asked.perhaps |= create.outcome == CreateOutcome::unknown;
            const Nanos latency = create.ended - create.due;
            if (latency > OrdersLimits::answer)
                complain(Wrong::late, create.what.order_id,
                         fmt::format("its creation {} {} after it was due",
                                     create.status == 0 ? "was given up" : "was answered", time_text(latency)));
            if (create.outcome == CreateOutcome::ok) latencies.push_back(static_cast<double>(latency.count()));
            if (!create.waited) lag_ = std::max(lag_, create.invoked - create.due);
            last_created_ = std::max(last_created_, create.ended);
        }
        for (const auto& [order_id, asked] : asked_) {
            auto& counts = out_.counts;
            ++counts.attempted;
            ++(asked.acknowledged ? counts.acknowledged : asked.perhaps ? counts.unknown : counts.refused);
        }
        std::sort(latencies.begin(), latencies.end());
        const auto at = [&](double share) -> std::optional<Nanos> {
            const auto value = quantile(latencies, share);
            if (!value) return std::nullopt;
            return Nanos(static_cast<std::int64_t>(*value));
        };
        out_.create_p50 = at(0.5);
        out_.create_p99 = at(0.99);
        out_.create_max = at(1);
    }

    // --- What the validator did --------------------------------------------------------------------------------------

    void read_effects()
    {
        std::unordered_map<std::string, std::string> order_of_key;
        for (const EffectRecord& effect : history_.effects) {
            if (!is_ours(effect.order_id)) continue;
            ++out_.counts.effects;
            auto& known = effects_[effect.order_id];
            known.push_back(&effect);
            if (!asked_.contains(effect.order_id))
                complain(Wrong::unattempted, effect.order_id, "the validator acted on it, but no client created it");
            if (!effect.key) {
                complain(Wrong::doubled, effect.order_id,
                         "the validator acted on it without a key: a repeated call would act again");
            } else if (const auto [at, is_first] = order_of_key.emplace(*effect.key, effect.order_id);
                       !is_first && at->second != effect.order_id) {
                complain(Wrong::doubled, effect.order_id,
                         fmt::format("the validator acted on it with the key of {}", config::in_quotes(at->second)));
            }
            if (known.size() == 2)
                complain(Wrong::doubled, effect.order_id, "the validator acted on it more than once");
        }
    }

    // --- What is there -----------------------------------------------------------------------------------------------

    void check_present()
    {
        for (const OrderRecord& order : history_.present) {
            const std::string& order_id = order.what.order_id;
            if (!is_ours(order_id)) continue;
            if (!present_.emplace(order_id, &order).second) {
                complain(Wrong::status, order_id, "it was read twice");
                continue;
            }
            ++out_.counts.present;
            check_asked(order);
            if (const auto fault = Path(order.timeline).follow()) complain(fault->wrong, order_id, fault->what);
            check_status(order);
            check_verdict(order);
        }
    }

    void check_asked(const OrderRecord& order)
    {
        const std::string& order_id = order.what.order_id;
        const auto found = asked_.find(order_id);
        if (found == asked_.end())
            return complain(Wrong::unattempted, order_id, "it is there, but no client created it");
        const Asked& asked = found->second;
        if (!asked.acknowledged && !asked.perhaps)
            return complain(Wrong::unattempted, order_id, "it is there, although its creation was refused");
        // One that was acknowledged is what was kept; one that was refused never is.
        const auto expected = asked.acknowledged ? CreateOutcome::ok : CreateOutcome::unknown;
        const bool is_one = std::any_of(asked.creates.begin(), asked.creates.end(), [&](const CreateRecord* create) {
            return create->outcome == expected && create->what == order.what;
        });
        if (!is_one)
            complain(Wrong::altered, order_id,
                     fmt::format("it is {}, but {} was asked for", content_text(order.what),
                                 content_text(asked.creates.front()->what)));
    }

    void check_status(const OrderRecord& order)
    {
        const std::string& order_id = order.what.order_id;
        auto& counts = out_.counts;
        if (!is_known_status(order.status))
            return complain(Wrong::status, order_id, fmt::format("{} is no status", config::in_quotes(order.status)));
        if (order.status == "Validated") ++counts.validated;
        if (order.status == "Rejected") ++counts.rejected;
        if (order.status == "Failed") ++counts.failed;
        if (order.status == "Processing") {
            ++counts.processing;
            complain(Wrong::stuck, order_id,
                     fmt::format("it is still Processing{}{}", order.reason.empty() ? "" : ": ", order.reason));
        }
        if (order.timeline.empty()) return;
        const auto& last = order.timeline.back();
        const auto ended = status_after(last.event);
        if (order.status != (ended.empty() ? "Processing" : ended))
            complain(
                Wrong::status, order_id,
                fmt::format("it is {}, but its timeline ends with {}", order.status, config::in_quotes(last.event)));
        if (order.epoch < last.epoch)
            complain(Wrong::epoch, order_id,
                     fmt::format("its epoch is {}, but its timeline ends with {}", order.epoch, last.epoch));
    }

    void check_verdict(const OrderRecord& order)
    {
        if (!history_.counted) return;
        const std::string& order_id = order.what.order_id;
        const bool has_verdict = order.status == "Validated" || order.status == "Rejected";
        const auto found = effects_.find(order_id);
        if (found == effects_.end()) {
            if (has_verdict)
                complain(Wrong::verdict, order_id,
                         fmt::format("it is {}, but the validator never acted on it", order.status));
            return;
        }
        const EffectRecord& effect = *found->second.front();
        if (has_verdict && effect.verdict != order.status)
            complain(Wrong::verdict, order_id,
                     fmt::format("it is {}, but the validator said {}", order.status, effect.verdict));
        const bool fits = order.what.quantity <= effect.stock;
        if (effect.verdict != (fits ? "Validated" : "Rejected"))
            complain(Wrong::verdict, order_id,
                     fmt::format("the validator said {} for a quantity of {} with a stock of {}: it was asked about "
                                 "something else",
                                 effect.verdict, order.what.quantity, effect.stock));
        const bool was_leased = std::any_of(order.timeline.begin(), order.timeline.end(),
                                            [](const TimelineEvent& event) { return event.event == "leased"; });
        if (!was_leased) complain(Wrong::verdict, order_id, "the validator acted on it, but no worker ever had it");
    }

    void check_absent()
    {
        for (const auto& [order_id, asked] : asked_)
            if (asked.acknowledged && !present_.contains(order_id))
                complain(Wrong::lost, order_id, "it was acknowledged, but it is not there");
    }

    void check_listing()
    {
        std::unordered_set<std::string> listed;
        for (const ListedOrder& entry : history_.listed) {
            const std::string& order_id = entry.what.order_id;
            if (!is_ours(order_id)) continue;
            if (!listed.insert(order_id).second) {
                complain(Wrong::status, order_id, "it stands twice in the list");
                continue;
            }
            const auto found = present_.find(order_id);
            if (found == present_.end()) {
                complain(asked_.contains(order_id) ? Wrong::status : Wrong::unattempted, order_id,
                         "it stands in the list, but cannot be read");
                continue;
            }
            const OrderRecord& order = *found->second;
            if (order.what != entry.what)
                complain(Wrong::altered, order_id,
                         fmt::format("the list says {}, the order itself {}", content_text(entry.what),
                                     content_text(order.what)));
            // The list was read first: what was Processing there may have ended since, but not the other way round.
            if (entry.status != order.status && entry.status != "Processing")
                complain(Wrong::status, order_id,
                         fmt::format("the list says {}, the order itself {}", entry.status, order.status));
        }
        for (const auto& [order_id, order] : present_)
            if (!listed.contains(order_id)) complain(Wrong::status, order_id, "it is there, but not in the list");
    }

    // --- What the system was seen to do ------------------------------------------------------------------------------

    void look_at_health()
    {
        if (!history_.mode) return;
        const auto right = health_word(*history_.mode);
        const bool is_fault = *history_.mode != FailureMode::normal;
        const Nanos from = is_fault && !history_.faults.empty() ? history_.faults.front().at : Nanos::min();
        const Nanos until = is_fault && !history_.heals.empty() ? history_.heals.back().at : Nanos::max();
        for (const Sighting& sighting : history_.healths) {
            if (sighting.service != external_service || sighting.at > until) continue;
            out_.named = sighting.status;
            steady_ = steady_ && sighting.status == right;
            if (sighting.at < from || sighting.status != right || out_.detection) continue;
            out_.detection = is_fault ? sighting.at - from : Nanos::zero();
        }
    }

    void look_at_drain()
    {
        Nanos from = last_created_;
        for (const Turn& heal : history_.heals) from = std::max(from, heal.at);
        if (history_.drained) out_.drain = std::max(*history_.drained - from, Nanos::zero());
    }

    // --- The verdict -------------------------------------------------------------------------------------------------

    void make_promises()
    {
        const auto& counts = out_.counts;
        const auto orders = [](std::size_t count) { return counted(count, "order", "orders"); };

        Promise& answered = out_.promises[0];
        answered.what = "Creation is answered in time";
        answered.limit = history_.mode ? fmt::format("all accepted within {}", seconds_text(OrdersLimits::answer))
                                       : fmt::format("none takes longer than {}", seconds_text(OrdersLimits::answer));
        answered.measured = fmt::format("{} of {} accepted, {} late", grouped(counts.acknowledged),
                                        orders(counts.attempted), grouped(counts.of(Wrong::late)));
        if (out_.create_max) answered.measured += fmt::format(", slowest {}", time_text(*out_.create_max));
        // Where the order service itself is killed, some requests get no answer.
        answered.held = counts.of(Wrong::late) == 0 && (!history_.mode || counts.acknowledged == counts.attempted);

        Promise& kept = out_.promises[1];
        kept.what = "No order is lost";
        kept.limit = fmt::format("0 lost, 0 stuck, drained within {}", seconds_text(drain_limit(history_)));
        const auto forged = counts.of(Wrong::altered) + counts.of(Wrong::unattempted);
        kept.measured =
            fmt::format("{} lost, {} stuck, {}{}", grouped(counts.of(Wrong::lost)), grouped(counts.of(Wrong::stuck)),
                        out_.drain ? fmt::format("drained in {}", time_text(*out_.drain)) : "never drained",
                        forged == 0 ? "" : fmt::format(", {} that no client created", grouped(forged)));
        kept.held = counts.of(Wrong::lost) + counts.of(Wrong::stuck) + forged == 0 && out_.drain &&
                    *out_.drain <= drain_limit(history_);

        Promise& named = out_.promises[2];
        named.what = "A failure is detected and named";
        named.judged = history_.mode.has_value();
        if (named.judged) name_failure(named);

        Promise& consistent = out_.promises[3];
        consistent.what = "States are consistent";
        consistent.limit = "every order ends once, nothing is done twice";
        std::size_t broken = 0;
        for (const Wrong wrong : {Wrong::path, Wrong::epoch, Wrong::status, Wrong::verdict}) broken += counts.of(wrong);
        const auto over = counts.validated + counts.rejected + counts.failed;
        consistent.measured = fmt::format("{} ended, {} contradictory, {}", grouped(over), grouped(broken),
                                          history_.counted ? fmt::format("{} done twice", counts.of(Wrong::doubled))
                                                           : "no ledger to count effects");
        consistent.held = broken + counts.of(Wrong::doubled) == 0;
    }

    void name_failure(Promise& named) const
    {
        const auto right = health_word(*history_.mode);
        if (*history_.mode == FailureMode::normal) {
            named.limit = fmt::format("{} is {} throughout", external_service, right);
            named.measured = out_.named.empty() ? "the monitor said nothing"
                             : steady_          ? fmt::format("{} throughout", right)
                                                : "the monitor said something else";
            named.held = steady_ && !out_.named.empty();
            return;
        }
        named.limit = fmt::format("{} is {} within {}", external_service, right, seconds_text(OrdersLimits::detection));
        named.measured = out_.detection       ? fmt::format("{} after {}", right, time_text(*out_.detection))
                         : out_.named.empty() ? std::string("the monitor said nothing")
                                              : fmt::format("called {}", out_.named);
        if (out_.detection && out_.named != right) named.measured += fmt::format(", then {}", out_.named);
        named.held = out_.detection && *out_.detection <= OrdersLimits::detection && out_.named == right;
    }

    void reach_verdict()
    {
        const bool is_fault = history_.mode && *history_.mode != FailureMode::normal;
        if (!history_.aborted.empty()) {
            out_.verdict = Verdict::aborted;
            out_.reason = history_.aborted;
        } else if (!history_.invalid.empty()) {
            out_.reason = history_.invalid;
        } else if (out_.counts.attempted < history_.orders || history_.orders == 0) {
            out_.reason = fmt::format("{} of {} orders were asked for", out_.counts.attempted, history_.orders);
        } else if (is_fault && (history_.faults.empty() || history_.heals.empty())) {
            out_.reason = "the fault was never made or never undone";
        } else if (lag_ > OrdersLimits::lag && !out_.promises[0].held) {
            out_.reason = fmt::format("the load generator was {} late: this machine is too busy", time_text(lag_));
        } else {
            const bool all_held = std::all_of(out_.promises.begin(), out_.promises.end(),
                                              [](const Promise& promise) { return promise.held || !promise.judged; });
            out_.verdict = all_held ? Verdict::pass : Verdict::fail;
        }
    }

    const OrdersHistory& history_;
    OrdersJudgement out_;
    std::map<std::string, Asked> asked_;
    std::map<std::string, const OrderRecord*> present_;
    std::unordered_map<std::string, std::vector<const EffectRecord*>> effects_;
    std::set<std::pair<Wrong, std::string>> blamed_;
    Nanos lag_{};
    Nanos last_created_{};
    bool steady_ = true; ///< the monitor never said anything but the right word
};

} // namespace

std::string_view to_string(Wrong wrong) noexcept
{
    return wrong_words[static_cast<std::size_t>(wrong)];
}

Nanos drain_limit(const OrdersHistory& history) noexcept
{
    constexpr std::uint64_t drained_per_second = 100; // by a worker that is far from what it can do
    const Nanos patience = history.mode ? seconds(15) : seconds(45);
    return patience + seconds(static_cast<std::int64_t>(history.orders / drained_per_second));
}

OrdersJudgement judge(const OrdersHistory& history)
{
    return Check(history).run();
}

} // namespace hotspare::experiment
