#include "experiment/orders/history.hpp"

#include "common/json_document.hpp"
#include "experiment/record/json_line.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <istream>
#include <ostream>
#include <utility>

namespace hotspare::experiment {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr std::uint32_t format_version = 1;

constexpr std::array<std::string_view, 4> mode_words{"normal", "slow", "down", "error"};
constexpr std::array<std::string_view, 4> health_words{"healthy", "degraded", "down", "unhealthy"};
constexpr std::array<std::string_view, 3> outcome_words{"ok", "fail", "unknown"};

template <class E, std::size_t n>
std::optional<E> word_in(const std::array<std::string_view, n>& words, std::string_view word) noexcept
{
    const auto* const found = std::find(words.begin(), words.end(), word);
    if (found == words.end()) return std::nullopt;
    return static_cast<E>(found - words.begin());
}

// --- Writing ---------------------------------------------------------------------------------------------------------

void write(std::ostream& out, const OrderedJson& line)
{
    out << json_text(line) << '\n';
}

void add_text(OrderedJson& line, const char* key, const std::string& text)
{
    if (!text.empty()) line[key] = text;
}

void add_content(OrderedJson& line, const OrderContent& what)
{
    line["order_id"] = what.order_id;
    line["product"] = what.product;
    line["quantity"] = what.quantity;
}

void write_turn(std::ostream& out, const char* type, const Turn& turn)
{
    write(out, {{"type", type}, {"at", turn.at.count()}, {"what", turn.what}});
}

// --- Reading ---------------------------------------------------------------------------------------------------------

OrderContent read_content(JsonLine& line)
{
    return {.order_id = line.text("order_id"), .product = line.text("product"), .quantity = line.whole("quantity")};
}

OrdersHistory read_start(JsonLine& line)
{
    if (line.type() != "orders") line.fail("the first line is not of type 'orders': this is no history of orders");
    if (const auto version = line.number<std::uint32_t>("format"); version != format_version)
        line.fail(fmt::format("the format is {}, this program reads {}", version, format_version));
    OrdersHistory history;
    if (line.has("mode")) history.mode = line.word("mode", &failure_mode_of);
    history.orders = line.number<std::uint64_t>("orders");
    const OrderedJson& rate = line.any("rate");
    if (!rate.is_number() || !(rate.get<double>() > 0)) line.fail("'rate' is not a number above 0");
    history.rate = rate.get<double>();
    history.seed = line.number<std::uint64_t>("seed");
    history.prefix = line.text_if_any("prefix");
    history.target = line.text("target");
    history.started = line.text("started");
    return history;
}

Turn read_turn(JsonLine& line)
{
    return {.at = line.time("at"), .what = line.text("what")};
}

CreateRecord read_create(JsonLine& line)
{
    CreateRecord create;
    create.what = read_content(line);
    create.due = line.time("due");
    create.invoked = line.time("invoked");
    create.ended = line.time("ended");
    if (create.invoked < create.due) line.fail("'invoked' is before 'due'");
    if (create.ended < create.invoked) line.fail("'ended' is before 'invoked'");
    create.outcome = line.word("outcome", &create_outcome_of);
    create.status = line.number<unsigned>("status");
    if (line.has("again")) create.again = line.number<std::uint32_t>("again");
    if (line.has("waited")) create.waited = line.yes_or_no("waited");
    // Who forges an outcome would have to forge its evidence too.
    const bool acknowledged = create.status >= 200 && create.status < 300;
    if (create.outcome == CreateOutcome::ok && !acknowledged)
        line.fail(fmt::format("the outcome is 'ok' with the status {}", create.status));
    if (create.outcome == CreateOutcome::fail && create.status != 0 && create.status / 100 != 4)
        line.fail(fmt::format("the outcome is 'fail' with the status {}", create.status));
    return create;
}

bool is_text(const OrderedJson& object, const char* key)
{
    const auto found = object.find(key);
    return found != object.end() && found->is_string();
}

bool is_whole(const OrderedJson& object, const char* key)
{
    const auto found = object.find(key);
    return found != object.end() && found->is_number_integer();
}

std::optional<OrderContent> content_in(const OrderedJson& object)
{
    if (!object.is_object() || !is_text(object, "order_id") || !is_text(object, "product") ||
        !is_whole(object, "quantity"))
        return std::nullopt;
    return OrderContent{.order_id = object["order_id"].get<std::string>(),
                        .product = object["product"].get<std::string>(),
                        .quantity = object["quantity"].get<std::int64_t>()};
}

std::optional<std::vector<TimelineEvent>> timeline_in(const OrderedJson& list)
{
    if (!list.is_array()) return std::nullopt;
    std::vector<TimelineEvent> timeline;
    for (const OrderedJson& entry : list) {
        if (!entry.is_object() || !is_text(entry, "at") || !is_text(entry, "event") || !is_whole(entry, "epoch"))
            return std::nullopt;
        timeline.push_back({.at = entry["at"].get<std::string>(),
                            .event = entry["event"].get<std::string>(),
                            .epoch = entry["epoch"].get<std::int64_t>(),
                            .detail = is_text(entry, "detail") ? entry["detail"].get<std::string>() : ""});
    }
    return timeline;
}

OrderRecord read_order(JsonLine& line)
{
    OrderRecord order;
    order.what = read_content(line);
    order.status = line.text("status");
    order.reason = line.text_if_any("reason");
    order.epoch = line.whole("epoch");
    order.attempts = line.number<std::uint32_t>("attempts");
    auto timeline = timeline_in(line.any("timeline"));
    if (!timeline) line.fail("'timeline' is not a list of events");
    order.timeline = *std::move(timeline);
    return order;
}

EffectRecord read_effect(JsonLine& line)
{
    EffectRecord effect;
    if (!line.any("key").is_null()) effect.key = line.text("key");
    effect.order_id = line.text("order_id");
    effect.verdict = line.text("verdict");
    effect.at_ms = line.whole("at_ms");
    effect.stock = line.whole("stock");
    return effect;
}

void read_end(JsonLine& line, OrdersHistory& history)
{
    const auto check = [&](const char* key, std::size_t found) {
        if (const auto wanted = line.number<std::uint64_t>(key); wanted != found)
            line.fail(fmt::format("there should be {} {}, but {} stand here", wanted, key, found));
    };
    check("faults", history.faults.size());
    check("heals", history.heals.size());
    check("creates", history.creates.size());
    check("healths", history.healths.size());
    check("listed", history.listed.size());
    check("orders", history.present.size());
    check("effects", history.effects.size());
    history.counted = line.yes_or_no("counted");
    history.invalid = line.text_if_any("invalid");
    history.aborted = line.text_if_any("aborted");
}

void read_part(JsonLine& line, OrdersHistory& history)
{
    if (line.type() == "create") {
        history.creates.push_back(read_create(line));
    } else if (line.type() == "order") {
        history.present.push_back(read_order(line));
    } else if (line.type() == "listed") {
        history.listed.push_back({.what = read_content(line), .status = line.text("status")});
    } else if (line.type() == "effect") {
        history.effects.push_back(read_effect(line));
    } else if (line.type() == "health") {
        history.healths.push_back(
            {.at = line.time("at"), .service = line.text("service"), .status = line.text("status")});
    } else if (line.type() == "fault") {
        history.faults.push_back(read_turn(line));
    } else if (line.type() == "heal") {
        history.heals.push_back(read_turn(line));
    } else if (line.type() == "drained") {
        if (history.drained) line.fail("it was drained before");
        history.drained = line.time("at");
    } else {
        line.fail(fmt::format("unknown type {}", config::in_quotes(line.type())));
    }
}

} // namespace

std::string_view to_string(FailureMode mode) noexcept
{
    return mode_words[static_cast<std::size_t>(mode)];
}

std::optional<FailureMode> failure_mode_of(std::string_view word) noexcept
{
    return word_in<FailureMode>(mode_words, word);
}

std::string_view health_word(FailureMode mode) noexcept
{
    return health_words[static_cast<std::size_t>(mode)];
}

std::string_view to_string(CreateOutcome outcome) noexcept
{
    return outcome_words[static_cast<std::size_t>(outcome)];
}

std::optional<CreateOutcome> create_outcome_of(std::string_view word) noexcept
{
    return word_in<CreateOutcome>(outcome_words, word);
}

CreateOutcome judge_create(Outcome outcome, unsigned status) noexcept
{
    switch (outcome) {
    case Outcome::good: return CreateOutcome::ok;
    case Outcome::refused: return CreateOutcome::fail;
    case Outcome::status:
        // 408: the server that gave up waiting for the request may not be the one that would have carried it out.
        return status / 100 == 4 && status != 408 ? CreateOutcome::fail : CreateOutcome::unknown;
    default: return CreateOutcome::unknown;
    }
}

void write_header(std::ostream& out, const OrdersHistory& history)
{
    OrderedJson line{{"type", "orders"}, {"format", format_version}};
    if (history.mode) line["mode"] = to_string(*history.mode);
    line["orders"] = history.orders;
    line["rate"] = history.rate;
    line["seed"] = history.seed;
    add_text(line, "prefix", history.prefix);
    line["target"] = history.target;
    line["started"] = history.started;
    write(out, line);
}

void write_fault(std::ostream& out, const Turn& fault)
{
    write_turn(out, "fault", fault);
}

void write_heal(std::ostream& out, const Turn& heal)
{
    write_turn(out, "heal", heal);
}

void write_drained(std::ostream& out, Nanos at)
{
    write(out, {{"type", "drained"}, {"at", at.count()}});
}

void write_line(std::ostream& out, const CreateRecord& create)
{
    OrderedJson line{{"type", "create"}};
    add_content(line, create.what);
    line["due"] = create.due.count();
    line["invoked"] = create.invoked.count();
    line["ended"] = create.ended.count();
    line["outcome"] = to_string(create.outcome);
    line["status"] = create.status;
    if (create.again > 0) line["again"] = create.again;
    if (create.waited) line["waited"] = true;
    write(out, line);
}

void write_line(std::ostream& out, const Sighting& sighting)
{
    write(
        out,
        {{"type", "health"}, {"at", sighting.at.count()}, {"service", sighting.service}, {"status", sighting.status}});
}

void write_line(std::ostream& out, const ListedOrder& listed)
{
    OrderedJson line{{"type", "listed"}};
    add_content(line, listed.what);
    line["status"] = listed.status;
    write(out, line);
}

void write_line(std::ostream& out, const OrderRecord& order)
{
    OrderedJson line{{"type", "order"}};
    add_content(line, order.what);
    line["status"] = order.status;
    add_text(line, "reason", order.reason);
    line["epoch"] = order.epoch;
    line["attempts"] = order.attempts;
    auto& timeline = line["timeline"] = OrderedJson::array();
    for (const TimelineEvent& event : order.timeline) {
        OrderedJson entry{{"at", event.at}, {"event", event.event}, {"epoch", event.epoch}};
        add_text(entry, "detail", event.detail);
        timeline.push_back(std::move(entry));
    }
    write(out, line);
}

void write_line(std::ostream& out, const EffectRecord& effect)
{
    write(out, {{"type", "effect"},
                {"key", effect.key ? OrderedJson(*effect.key) : OrderedJson()},
                {"order_id", effect.order_id},
                {"verdict", effect.verdict},
                {"at_ms", effect.at_ms},
                {"stock", effect.stock}});
}

void write_end(std::ostream& out, const OrdersHistory& history)
{
    OrderedJson line{{"type", "end"},
                     {"faults", history.faults.size()},
                     {"heals", history.heals.size()},
                     {"creates", history.creates.size()},
                     {"healths", history.healths.size()},
                     {"listed", history.listed.size()},
                     {"orders", history.present.size()},
                     {"effects", history.effects.size()},
                     {"counted", history.counted}};
    add_text(line, "invalid", history.invalid);
    add_text(line, "aborted", history.aborted);
    write(out, line);
}

void write_history(std::ostream& out, const OrdersHistory& history)
{
    write_header(out, history);
    for (const Turn& fault : history.faults) write_fault(out, fault);
    for (const CreateRecord& create : history.creates) write_line(out, create);
    for (const Turn& heal : history.heals) write_heal(out, heal);
    for (const Sighting& sighting : history.healths) write_line(out, sighting);
    if (history.drained) write_drained(out, *history.drained);
    for (const ListedOrder& listed : history.listed) write_line(out, listed);
    for (const OrderRecord& order : history.present) write_line(out, order);
    for (const EffectRecord& effect : history.effects) write_line(out, effect);
    write_end(out, history);
}

bool is_orders_history(std::string_view first_line)
{
    const auto json = read_json_document(first_line);
    return json.is_object() && json.contains("type") && json["type"] == "orders";
}

OrdersHistory read_history(std::istream& in, const std::string& file)
{
    std::optional<OrdersHistory> history;
    bool ended = false;
    std::size_t number = 0;
    for (std::string text; std::getline(in, text);) {
        JsonLine line(text, file, ++number);
        if (ended) line.fail("a line after the end");
        if (!history)
            history = read_start(line);
        else if (line.type() == "end")
            read_end(line, *history);
        else
            read_part(line, *history);
        ended = line.type() == "end";
        line.complete();
    }
    if (in.bad()) throw UsageError(fmt::format("{}: cannot be read", file));
    if (!history) throw UsageError(fmt::format("{}:1: the file is empty", file));
    if (!ended) throw UsageError(fmt::format("{}:{}: it has no end: the file is cut off", file, number + 1));
    return *std::move(history);
}

std::optional<OrderRecord> order_in(const OrderedJson& answer)
{
    auto what = content_in(answer);
    if (!what || !is_text(answer, "status") || !is_whole(answer, "epoch") || !is_whole(answer, "attempts") ||
        !answer.contains("timeline"))
        return std::nullopt;
    auto timeline = timeline_in(answer["timeline"]);
    if (!timeline || answer["attempts"] < 0) return std::nullopt;
    return OrderRecord{.what = *std::move(what),
                       .status = answer["status"].get<std::string>(),
                       .reason = is_text(answer, "reason") ? answer["reason"].get<std::string>() : "",
                       .epoch = answer["epoch"].get<std::int64_t>(),
                       .attempts = answer["attempts"].get<std::uint32_t>(),
                       .timeline = *std::move(timeline)};
}

std::optional<OrdersPage> page_in(const OrderedJson& answer)
{
    if (!answer.is_object() || !answer.contains("orders") || !answer["orders"].is_array()) return std::nullopt;
    OrdersPage page;
    for (const OrderedJson& entry : answer["orders"]) {
        auto what = content_in(entry);
        if (!what || !is_text(entry, "status")) return std::nullopt;
        page.orders.push_back({.what = *std::move(what), .status = entry["status"].get<std::string>()});
    }
    if (is_text(answer, "next")) page.next = answer["next"].get<std::string>();
    return page;
}

std::vector<EffectRecord> read_ledger(std::istream& in, const std::string& file)
{
    std::vector<EffectRecord> effects;
    std::size_t number = 0;
    for (std::string text; std::getline(in, text);) {
        ++number;
        if (in.eof()) break; // a line that is not complete belongs to a call that was never answered
        const auto json = read_json_document(text);
        const bool whole = json.is_object() && json.contains("key") &&
                           (json["key"].is_null() || json["key"].is_string()) && is_text(json, "order_id") &&
                           is_text(json, "verdict") && is_whole(json, "at_ms") && is_whole(json, "stock");
        if (!whole) throw UsageError(fmt::format("{}:{}: not a line of a ledger", file, number));
        EffectRecord effect;
        if (json["key"].is_string()) effect.key = json["key"].get<std::string>();
        effect.order_id = json["order_id"].get<std::string>();
        effect.verdict = json["verdict"].get<std::string>();
        effect.at_ms = json["at_ms"].get<std::int64_t>();
        effect.stock = json["stock"].get<std::int64_t>();
        effects.push_back(std::move(effect));
    }
    if (in.bad()) throw UsageError(fmt::format("{}: cannot be read", file));
    return effects;
}

} // namespace hotspare::experiment
