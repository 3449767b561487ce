#include "orders/wire.hpp"

#include "common/text.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <initializer_list>
#include <limits>
#include <optional>
#include <string_view>

namespace hotspare::orders::wire {
namespace {

constexpr std::size_t longest_text = 1'024; ///< reason, outcome
/// The same as it is read: three times as long, should each byte of it be invalid and be replaced on its way.
constexpr std::size_t longest_read = 3 * (longest_text + 3);
/// Ten years, longer than any process waits or stands still.
constexpr std::int64_t longest_ms = std::int64_t{10} * 366 * 24 * 60 * 60 * 1'000;
/// The end of what WallTime can hold, in the year 2262.
constexpr std::int64_t latest_ms = std::numeric_limits<std::int64_t>::max() / 1'000'000;
constexpr std::size_t most_attempts = 64;

/// A field that cannot be what it is; caught in read().
struct WrongField {
    std::string name, expected;
};

/// An object's fields, each of which must be there and be right. `place` begins the name in a message.
class Fields {
public:
    /// Of an answer: what is unknown is passed over, so that a newer service can answer an older worker.
    Fields(const Json& object, std::string place) : object_(object), place_(std::move(place))
    {
        if (!object.is_object()) throw WrongField{place_.empty() ? "body" : place_, "an object"};
    }

    /// Of a call: whatever is not in `known` is refused.
    Fields(const Json& object, std::string place, std::initializer_list<std::string_view> known)
        : Fields(object, std::move(place))
    {
        for (const auto& [name, value] : object.items())
            if (std::find(known.begin(), known.end(), name) == known.end()) throw WrongField{at(name), "no such field"};
    }

    std::string at(std::string_view name) const
    {
        return place_.empty() ? std::string(name) : fmt::format("{}.{}", place_, name);
    }

    bool has(std::string_view name) const { return object_.contains(name); }

    const Json& any(std::string_view name, std::string_view expected) const
    {
        const auto found = object_.find(name);
        if (found == object_.end()) throw WrongField{at(name), std::string(expected)};
        return *found;
    }

    std::string text(std::string_view name, std::size_t most = longest_read) const
    {
        const auto expected = fmt::format("a text of at most {} bytes", most);
        const auto& value = any(name, expected);
        if (!value.is_string() || value.get_ref<const std::string&>().size() > most)
            throw WrongField{at(name), expected};
        return value.get<std::string>();
    }

    std::string order_id() const
    {
        auto id = text("order_id", OrderLimits::order_id);
        if (!may_be_order_id(id)) throw WrongField{at("order_id"), "the name of an order"};
        return id;
    }

    std::int64_t whole(std::string_view name, std::int64_t least, std::int64_t most) const
    {
        const auto expected = fmt::format("a whole number from {} to {}", least, most);
        const auto& value = any(name, expected);
        if (!value.is_number_integer() || value < least || value > most) throw WrongField{at(name), expected};
        return value.get<std::int64_t>();
    }

    bool flag(std::string_view name) const
    {
        const auto& value = any(name, "true or false");
        if (!value.is_boolean()) throw WrongField{at(name), "true or false"};
        return value.get<bool>();
    }

    const Json& list(std::string_view name, std::size_t most) const
    {
        const auto expected = fmt::format("a list of at most {}", most);
        const auto& value = any(name, expected);
        if (!value.is_array() || value.size() > most) throw WrongField{at(name), expected};
        return value;
    }

    Duration span(std::string_view name) const { return milliseconds(whole(name, 0, longest_ms)); }
    Epoch epoch() const { return whole("epoch", 0, std::numeric_limits<Epoch>::max()); }
    WallTime moment(std::string_view name) const { return WallTime(milliseconds(whole(name, 0, latest_ms))); }
    std::string generation() const { return has("generation") ? text("generation", 64) : std::string(); }

private:
    const Json& object_;
    std::string place_;
};

template <class F> auto read(F&& function) -> Parsed<std::invoke_result_t<F>>
{
    try {
        return function();
    } catch (const WrongField& wrong) {
        return http::Problem{422,
                             fmt::format("the field '{}' is not valid, expected {}", wrong.name, wrong.expected),
                             {{"field", wrong.name}}};
    }
}

// Clamped before it is rounded: rounding Duration::max() overflows.
Duration bounded(Duration span)
{
    return std::clamp<Duration>(span, Duration::zero(), milliseconds(longest_ms));
}

std::int64_t ms(Duration span)
{
    return std::chrono::ceil<milliseconds>(bounded(span)).count();
}

std::int64_t us(Duration span)
{
    return std::chrono::round<microseconds>(bounded(span)).count();
}

/// A clock that is before 1970 is taken for one that is at it.
std::int64_t ms(WallTime at)
{
    return std::clamp<std::int64_t>(std::chrono::floor<milliseconds>(at.time_since_epoch()).count(), 0, latest_ms);
}

void check_worker(const std::string& name)
{
    if (is_blank(name) || has_control_character(name)) throw WrongField{"worker", "a name without control characters"};
}

std::string item(std::string_view list, std::size_t index)
{
    return fmt::format("{}[{}]", list, index);
}

constexpr std::array<std::pair<Settlement::Kind, std::string_view>, 3> kinds{
    {{Settlement::Kind::verdict, "verdict"}, {Settlement::Kind::retry, "retry"}, {Settlement::Kind::snooze, "snooze"}}};

Json to_json(const Attempt& attempt)
{
    return {{"at_ms", ms(attempt.at)},
            {"took_us", us(attempt.took)},
            {"counts", attempt.counts},
            {"outcome", shortened(attempt.outcome, longest_text)}};
}

Attempt read_attempt(const Json& value, const std::string& place)
{
    const Fields fields(value, place, {"at_ms", "took_us", "counts", "outcome"});
    return {.at = fields.moment("at_ms"),
            .took = microseconds(fields.whole("took_us", 0, longest_ms * 1'000)),
            .counts = fields.flag("counts"),
            .outcome = fields.text("outcome")};
}

Json to_json(const Settlement& settlement)
{
    Json out{{"order_id", settlement.order_id},
             {"epoch", settlement.epoch},
             {"kind", kinds[static_cast<std::size_t>(settlement.kind)].second},
             {"reason", shortened(settlement.reason, longest_text)}};
    if (!settlement.generation.empty()) out["generation"] = settlement.generation;
    if (settlement.kind == Settlement::Kind::verdict)
        out["status"] = to_string(settlement.status);
    else
        out["pause_ms"] = ms(settlement.pause);
    auto& attempts = out["attempts"] = Json::array();
    for (const auto& attempt : settlement.attempts) attempts.push_back(to_json(attempt));
    return out;
}

Settlement read_settlement(const Json& value, const std::string& place)
{
    const Fields fields(value, place,
                        {"order_id", "generation", "epoch", "kind", "reason", "status", "pause_ms", "attempts"});
    Settlement out;
    out.order_id = fields.order_id();
    out.epoch = fields.epoch();
    out.generation = fields.generation();
    out.reason = fields.text("reason");
    const auto word = fields.text("kind");
    const auto kind = std::find_if(kinds.begin(), kinds.end(), [&](const auto& k) { return k.second == word; });
    if (kind == kinds.end()) throw WrongField{fields.at("kind"), "verdict | retry | snooze"};
    out.kind = kind->first;
    if (out.kind == Settlement::Kind::verdict) {
        const auto status = status_named(fields.text("status"));
        if (!status || !is_terminal(*status)) throw WrongField{fields.at("status"), "Validated | Rejected | Failed"};
        out.status = *status;
    } else {
        out.pause = fields.span("pause_ms");
    }
    const auto& attempts = fields.list("attempts", most_attempts);
    for (std::size_t i = 0; i < attempts.size(); ++i)
        out.attempts.push_back(read_attempt(attempts[i], item(fields.at("attempts"), i)));
    return out;
}

} // namespace

Json to_json(const LeaseCall& call)
{
    return {{"worker", call.worker}, {"most", call.most}, {"wait_ms", ms(call.wait)}};
}

Parsed<LeaseCall> parse_lease_call(const Json& body)
{
    return read([&] {
        const Fields fields(body, {}, {"worker", "most", "wait_ms"});
        LeaseCall call{.worker = fields.text("worker", OrderLimits::order_id),
                       .most = static_cast<std::size_t>(fields.whole("most", 1, most_jobs)),
                       .wait = fields.span("wait_ms")};
        check_worker(call.worker);
        return call;
    });
}

Json to_json(const LeaseAnswer& answer)
{
    Json jobs = Json::array();
    for (const auto& job : answer.jobs)
        jobs.push_back({{"order_id", job.what.order_id},
                        {"product", job.what.product},
                        {"quantity", job.what.quantity},
                        {"epoch", job.epoch},
                        {"attempts", job.attempts},
                        {"created_ms", ms(job.created)},
                        {"generation", job.generation},
                        {"tried_ms", ms(job.tried_for)}});
    return {{"jobs", std::move(jobs)}, {"lease_ms", ms(answer.lasts)}};
}

Parsed<LeaseAnswer> parse_lease_answer(const Json& body)
{
    return read([&] {
        const Fields fields(body, {});
        LeaseAnswer answer;
        answer.lasts = fields.span("lease_ms");
        const auto& jobs = fields.list("jobs", most_jobs);
        for (std::size_t i = 0; i < jobs.size(); ++i) {
            const Fields job(jobs[i], item("jobs", i));
            answer.jobs.push_back(
                {.what = {job.order_id(), job.text("product", OrderLimits::product),
                          job.whole("quantity", 1, OrderLimits::quantity)},
                 .epoch = job.epoch(),
                 .attempts = static_cast<unsigned>(job.whole("attempts", 0, std::numeric_limits<int>::max())),
                 .created = job.moment("created_ms"),
                 .generation = job.generation(),
                 .tried_for = job.has("tried_ms") ? job.span("tried_ms") : Duration::zero()});
        }
        return answer;
    });
}

Json to_json(const PresenceCall& call)
{
    return {{"worker", call.worker}, {"paused", call.paused}};
}

Parsed<PresenceCall> parse_presence_call(const Json& body)
{
    return read([&] {
        const Fields fields(body, {}, {"worker", "paused"});
        PresenceCall call{.worker = fields.text("worker", OrderLimits::order_id), .paused = fields.flag("paused")};
        check_worker(call.worker);
        return call;
    });
}

Json extend_call(const std::vector<Held>& held)
{
    Json jobs = Json::array();
    for (const auto& one : held) {
        jobs.push_back({{"order_id", one.order_id}, {"epoch", one.epoch}});
        if (!one.generation.empty()) jobs.back()["generation"] = one.generation;
    }
    return {{"jobs", std::move(jobs)}};
}

Parsed<std::vector<Held>> parse_extend_call(const Json& body)
{
    return read([&] {
        const Fields fields(body, {}, {"jobs"});
        const auto& jobs = fields.list("jobs", most_jobs);
        std::vector<Held> held;
        for (std::size_t i = 0; i < jobs.size(); ++i) {
            const Fields job(jobs[i], item("jobs", i), {"order_id", "generation", "epoch"});
            held.push_back({job.order_id(), job.epoch(), job.generation()});
        }
        return held;
    });
}

Json extend_answer(const std::vector<bool>& held)
{
    return {{"held", held}};
}

Parsed<std::vector<bool>> parse_extend_answer(const Json& body, std::size_t expected)
{
    return read([&] {
        const Fields fields(body, {});
        const auto& list = fields.list("held", most_jobs);
        if (list.size() != expected) throw WrongField{"held", fmt::format("a list of {}", expected)};
        std::vector<bool> held;
        for (const auto& value : list) {
            if (!value.is_boolean()) throw WrongField{"held", "true or false"};
            held.push_back(value.get<bool>());
        }
        return held;
    });
}

Json settle_call(const std::vector<Settlement>& settlements)
{
    Json results = Json::array();
    for (const auto& settlement : settlements) results.push_back(to_json(settlement));
    return {{"results", std::move(results)}};
}

Parsed<std::vector<Settlement>> parse_settle_call(const Json& body)
{
    return read([&] {
        const Fields fields(body, {}, {"results"});
        const auto& results = fields.list("results", most_jobs);
        std::vector<Settlement> settlements;
        for (std::size_t i = 0; i < results.size(); ++i)
            settlements.push_back(read_settlement(results[i], item("results", i)));
        return settlements;
    });
}

Json settle_answer(const std::vector<Settled>& settled)
{
    Json results = Json::array();
    for (const auto one : settled) results.push_back(to_string(one));
    return {{"results", std::move(results)}};
}

Parsed<std::vector<Settled>> parse_settle_answer(const Json& body, std::size_t expected)
{
    return read([&] {
        const Fields fields(body, {});
        const auto& list = fields.list("results", most_jobs);
        if (list.size() != expected) throw WrongField{"results", fmt::format("a list of {}", expected)};
        std::vector<Settled> settled;
        for (const auto& value : list) {
            const auto known = {Settled::applied, Settled::repeated, Settled::fenced, Settled::unknown};
            const auto found =
                std::find_if(known.begin(), known.end(), [&](Settled s) { return value == to_string(s); });
            if (found == known.end()) throw WrongField{"results", "applied | repeated | fenced | unknown"};
            settled.push_back(*found);
        }
        return settled;
    });
}

} // namespace hotspare::orders::wire
