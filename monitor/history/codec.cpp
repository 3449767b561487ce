#include "monitor/history/codec.hpp"

#include "common/json_document.hpp"
#include "monitor/history/fields.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <utility>

namespace hotspare::monitor {

// Found by Fields::one_of() through its argument's namespace.
static std::string_view to_string(ToldCase::Phase phase) noexcept
{
    switch (phase) {
    case ToldCase::Phase::waiting: return "waiting";
    case ToldCase::Phase::telling: return "telling";
    case ToldCase::Phase::told: return "told";
    case ToldCase::Phase::recovering: return "recovering";
    case ToldCase::Phase::telling_recovery: return "telling_recovery";
    case ToldCase::Phase::given_up: return "given_up";
    }
    return "invalid";
}

namespace {

using Json = nlohmann::json;

constexpr unsigned most_unsigned = std::numeric_limits<std::int32_t>::max();

std::int64_t stamp(Instant at)
{
    return at.time_since_epoch().count();
}

Json to_json(const Span& span);
Json to_json(const IncidentUpdate& update);
Json to_json(const Window& window);
Json to_json(const PastMaintenance& past);
Json to_json(const PoolAnnouncement& announcement);
Json to_json(const ClosedBackend& closed);
Json to_json(const Outage& outage);
Json to_json(const Delivery& delivery);
Json to_json(const FailedDelivery& failed);

template <class T> Json list(const std::vector<T>& values)
{
    Json result = Json::array();
    for (const T& value : values) result.push_back(to_json(value));
    return result;
}

template <class T, class Read> std::vector<T> read_list(const Fields& fields, std::string_view name, Read&& read)
{
    std::vector<T> result;
    for (const Json& value : fields.list(name))
        result.push_back(read(value, fmt::format("{}[{}]", fields.at(name), result.size())));
    return result;
}

unsigned count(const Fields& fields, std::string_view name)
{
    return static_cast<unsigned>(fields.number(name, most_unsigned));
}

// --- Incidents ---

Json to_json(const Span& span)
{
    return Json::array({stamp(span.begin), stamp(span.end)});
}

Json to_json(const IncidentUpdate& update)
{
    return {{"at", stamp(update.at)},
            {"status", to_string(update.status)},
            {"message", update.message},
            {"author", update.author}};
}

IncidentUpdate read_update(const Json& value, const std::string& place)
{
    const Fields fields(value, place, {"at", "status", "message", "author"});
    return {.at = fields.instant("at"),
            .status = fields.one_of("status", IncidentStatus::investigating, IncidentStatus::resolved),
            .message = fields.text("message"),
            .author = fields.text("author")};
}

Json to_json(const Incident& incident)
{
    return {{"number", incident.number},
            {"cause", incident.cause},
            {"outages", list(incident.outages)},
            {"maintenance", incident.maintenance},
            {"status", to_string(incident.status)},
            {"updates", list(incident.updates)}};
}

Incident read_incident(const Json& value, const std::string& place)
{
    const Fields fields(value, place, {"number", "cause", "outages", "maintenance", "status", "updates"});
    Incident incident{.number = fields.number("number"),
                      .cause = fields.text("cause"),
                      .outages = read_list<Span>(fields, "outages", read_span),
                      .maintenance = fields.flag("maintenance"),
                      .status = fields.one_of("status", IncidentStatus::investigating, IncidentStatus::resolved),
                      .updates = read_list<IncidentUpdate>(fields, "updates", read_update)};
    if (incident.number == 0) fields.wrong("number", "a number from 1 on");
    if (incident.outages.empty()) fields.wrong("outages", "at least one");
    for (std::size_t i = 1; i < incident.outages.size(); ++i)
        if (incident.outages[i].begin < incident.outages[i - 1].end) fields.wrong("outages", "ascending stretches");
    return incident;
}

Json to_json(const IncidentMemory& memory)
{
    return {{"latest", memory.latest ? Json(stamp(*memory.latest)) : Json()},
            {"recorded", to_string(memory.recorded)},
            {"in_gap", memory.in_gap},
            {"down_row", memory.down_row},
            {"good_row", memory.good_row},
            {"other_row", memory.other_row},
            {"row_begin", stamp(memory.row_begin)},
            {"row_in_maintenance", memory.row_in_maintenance},
            {"incident", memory.incident ? to_json(*memory.incident) : Json()},
            {"incidents", memory.incidents}};
}

IncidentMemory read_incident_memory(const Json& value)
{
    const Fields fields(value, "",
                        {"latest", "recorded", "in_gap", "down_row", "good_row", "other_row", "row_begin",
                         "row_in_maintenance", "incident", "incidents"});
    IncidentMemory memory{.latest = fields.optional_instant("latest"),
                          .recorded = fields.one_of("recorded", State::up, State::unknown),
                          .in_gap = fields.flag("in_gap"),
                          .down_row = count(fields, "down_row"),
                          .good_row = count(fields, "good_row"),
                          .other_row = fields.has("other_row") ? count(fields, "other_row") : 0, // it came later
                          .row_begin = fields.instant("row_begin"),
                          .row_in_maintenance = fields.flag("row_in_maintenance"),
                          .incidents = fields.number("incidents")};
    if (fields.has("incident")) memory.incident = read_incident(fields.object("incident"), "incident");
    if (memory.recorded == State::down) fields.wrong("recorded", "up, degraded or unknown");
    if (!memory.latest && memory.recorded != State::unknown)
        fields.wrong("latest", "an instant, as a state is recorded");
    if (memory.incident && memory.incident->number > memory.incidents)
        fields.wrong("incidents", "at least the number of the incident");
    return memory;
}

// --- Maintenance ---

Json to_json(const Window& window)
{
    const WindowPlan& plan = window.plan;
    return {{"id", window.id},
            {"title", plan.title},
            {"message", plan.message},
            {"time", to_json(Span{plan.start, plan.end})},
            {"components", plan.components},
            {"impact", to_string(plan.impact)},
            {"rrule", plan.rrule},
            {"time_zone", plan.time_zone},
            {"emergency", plan.emergency},
            {"close_pools", plan.close_pools},
            {"state", to_string(window.state)},
            {"version", window.version},
            {"created_at", stamp(window.created_at)},
            {"announced_at", stamp(window.announced_at)},
            {"announced_end", stamp(window.announced_end)},
            {"first", to_json(window.first)},
            {"told", window.told}};
}

Window read_window(const Json& value, const std::string& place)
{
    const Fields fields(value, place,
                        {"id", "title", "message", "time", "components", "impact", "rrule", "time_zone", "emergency",
                         "close_pools", "state", "version", "created_at", "announced_at", "announced_end", "first",
                         "told"});
    const Span time = fields.span("time");
    return {.id = fields.number("id"),
            .plan = {.title = fields.text("title"),
                     .message = fields.text("message"),
                     .start = time.begin,
                     .end = time.end,
                     .components = fields.texts("components"),
                     .impact = fields.one_of("impact", Impact::none, Impact::critical),
                     .rrule = fields.text("rrule"),
                     .time_zone = fields.text("time_zone"),
                     .emergency = fields.flag("emergency"),
                     .close_pools = fields.has("close_pools") && fields.flag("close_pools")},
            .state = fields.one_of("state", WindowState::scheduled, WindowState::cancelled),
            .version = count(fields, "version"),
            .created_at = fields.instant("created_at"),
            .announced_at = fields.instant("announced_at"),
            .announced_end = fields.instant_or_forever("announced_end"),
            .first = fields.span("first"),
            .told = static_cast<std::uint8_t>(fields.number("told", 255))};
}

Json to_json(const PastMaintenance& past)
{
    return {{"window", past.window}, {"span", to_json(past.span)}, {"components", past.components}};
}

PastMaintenance read_past(const Json& value, const std::string& place)
{
    const Fields fields(value, place, {"window", "span", "components"});
    return {fields.number("window"), fields.span("span"), fields.texts("components")};
}

Json to_json(const PoolAnnouncement& announcement)
{
    return {{"until", stamp(announcement.until)}, {"message", announcement.message}};
}

PoolAnnouncement read_announcement(const Json& value, const std::string& place)
{
    const Fields fields(value, place, {"until", "message"});
    return {fields.instant("until"), fields.text("message")};
}

Json to_json(const ClosedBackend& closed)
{
    return {{"balancer", closed.balancer},
            {"backend", closed.backend},
            {"run", closed.run},
            {"phase", to_string(closed.phase)},
            {"announced", list(closed.announced)}};
}

ClosedBackend read_closed(const Json& value, const std::string& place)
{
    const Fields fields(value, place, {"balancer", "backend", "run", "phase", "announced"});
    ClosedBackend closed{.balancer = fields.text("balancer"),
                         .backend = fields.text("backend"),
                         .run = fields.text("run"),
                         .phase =
                             fields.one_of("phase", ClosedBackend::Phase::closing, ClosedBackend::Phase::left_alone),
                         .announced = read_list<PoolAnnouncement>(fields, "announced", read_announcement)};
    if (closed.announced.empty()) fields.wrong("announced", "at least one");
    return closed;
}

Json to_json(const MaintenanceMemory& memory)
{
    return {{"windows", list(memory.windows)},
            {"past", list(memory.past)},
            {"last_id", memory.last_id},
            {"closed", list(memory.closed)}};
}

MaintenanceMemory read_maintenance_memory(const Json& value)
{
    const Fields fields(value, "", {"windows", "past", "last_id", "closed"});
    MaintenanceMemory memory{.windows = read_list<Window>(fields, "windows", read_window),
                             .past = read_list<PastMaintenance>(fields, "past", read_past),
                             .last_id = fields.number("last_id")};
    if (fields.has("closed")) memory.closed = read_list<ClosedBackend>(fields, "closed", read_closed);
    std::uint64_t before = 0;
    for (const Window& window : memory.windows) {
        if (window.id <= before || window.id > memory.last_id) fields.wrong("windows", "ascending ids up to last_id");
        before = window.id;
    }
    return memory;
}

// --- Notifications ---

Json to_json(const Outage& outage)
{
    return {{"target", outage.target},
            {"incident", outage.incident},
            {"since", stamp(outage.since)},
            {"cause", outage.cause},
            {"duration", outage.duration.count()}};
}

Outage read_outage(const Json& value, const std::string& place)
{
    const Fields fields(value, place, {"target", "incident", "since", "cause", "duration"});
    return {fields.text("target"), fields.number("incident"), fields.instant("since"), fields.text("cause"),
            fields.span_of_time("duration")};
}

Json to_json(const Delivery& delivery)
{
    const Message& message = delivery.message;
    Json json{{"id", delivery.id},          {"channel", delivery.channel},     {"attempts", delivery.attempts},
              {"due", stamp(delivery.due)}, {"in_flight", delivery.in_flight}, {"kind", to_string(message.kind)}};
    if (message.kind == Message::Kind::maintenance) {
        json["window"] = message.window;
        json["notice"] = to_string(message.notice);
        json["occurrence"] = to_json(message.occurrence);
    } else {
        json["outages"] = list(message.outages);
    }
    return json;
}

Delivery read_delivery(const Json& value, const std::string& place)
{
    const Fields fields(
        value, place,
        {"id", "channel", "attempts", "due", "in_flight", "kind", "outages", "window", "notice", "occurrence"});
    Delivery delivery{.id = fields.number("id"),
                      .channel = fields.text("channel"),
                      .message = {.kind = fields.one_of("kind", Message::Kind::outage, Message::Kind::maintenance)},
                      .attempts = count(fields, "attempts"),
                      .due = fields.instant_or_forever("due"),
                      .in_flight = fields.flag("in_flight")};
    Message& message = delivery.message;
    if (message.kind == Message::Kind::maintenance) {
        message.window = fields.number("window");
        message.notice = fields.one_of("notice", Notice::announcement, Notice::cancellation);
        message.occurrence = fields.span("occurrence");
        return delivery;
    }
    message.outages = read_list<Outage>(fields, "outages", read_outage);
    if (message.outages.empty()) fields.wrong("outages", "at least one");
    return delivery;
}

Json to_json(const FailedDelivery& failed)
{
    return {{"delivery", to_json(failed.delivery)}, {"at", stamp(failed.at)}, {"why", failed.why}};
}

FailedDelivery read_failed(const Json& value, const std::string& place)
{
    const Fields fields(value, place, {"delivery", "at", "why"});
    return {read_delivery(fields.object("delivery"), fields.at("delivery")), fields.instant("at"), fields.text("why")};
}

Json to_json(const NotificationMemory& memory)
{
    Json cases = Json::array(), cooldowns = Json::array();
    for (const auto& [key, told] : memory.cases)
        cases.push_back({{"channel", key.first},
                         {"target", key.second},
                         {"phase", to_string(told.phase)},
                         {"down", told.down},
                         {"outage", to_json(told.outage)},
                         {"since", stamp(told.since)},
                         {"not_before", stamp(told.not_before)}});
    for (const auto& [key, end] : memory.cooldowns)
        cooldowns.push_back({{"channel", key.first}, {"target", key.second}, {"end", stamp(end)}});
    return {{"cases", std::move(cases)},
            {"cooldowns", std::move(cooldowns)},
            {"queue", list(memory.queue)},
            {"failures", list(memory.failures)},
            {"last_id", memory.last_id}};
}

using Key = NotificationMemory::Key;

std::pair<Key, ToldCase> read_case(const Json& value, const std::string& place)
{
    const Fields fields(value, place, {"channel", "target", "phase", "down", "outage", "since", "not_before"});
    return {Key(fields.text("channel"), fields.text("target")),
            ToldCase{.phase = fields.one_of("phase", ToldCase::Phase::waiting, ToldCase::Phase::given_up),
                     .down = fields.flag("down"),
                     .outage = read_outage(fields.object("outage"), fields.at("outage")),
                     .since = fields.instant("since"),
                     .not_before = fields.instant("not_before")}};
}

std::pair<Key, Instant> read_cooldown(const Json& value, const std::string& place)
{
    const Fields fields(value, place, {"channel", "target", "end"});
    return {Key(fields.text("channel"), fields.text("target")), fields.instant("end")};
}

NotificationMemory read_notification_memory(const Json& value)
{
    const Fields fields(value, "", {"cases", "cooldowns", "queue", "failures", "last_id"});
    NotificationMemory memory{.queue = read_list<Delivery>(fields, "queue", read_delivery),
                              .failures = read_list<FailedDelivery>(fields, "failures", read_failed),
                              .last_id = fields.number("last_id")};
    for (auto& told : read_list<std::pair<Key, ToldCase>>(fields, "cases", read_case))
        if (!memory.cases.insert(std::move(told)).second) fields.wrong("cases", "one of each channel and target");
    for (auto& end : read_list<std::pair<Key, Instant>>(fields, "cooldowns", read_cooldown))
        if (!memory.cooldowns.insert(std::move(end)).second)
            fields.wrong("cooldowns", "one of each channel and target");
    for (const Delivery& delivery : memory.queue)
        if (delivery.id > memory.last_id) fields.wrong("queue", "ids up to last_id");
    return memory;
}

template <class Read>
auto decode(std::string_view text, Read&& read) -> Decoded<std::invoke_result_t<Read, const Json&>>
{
    std::optional<MalformedJson> malformed;
    const Json json = read_json_document(text, &malformed);
    if (malformed) return Damage{fmt::format("no JSON at byte {}: {}", malformed->byte, malformed->what)};
    try {
        return read(json);
    } catch (const WrongField& wrong) {
        return Damage{fmt::format("{}: expected {}", wrong.place.empty() ? "the text" : wrong.place, wrong.expected)};
    }
}

} // namespace

std::string encode(const Incident& incident)
{
    return json_text(to_json(incident));
}

std::string encode(const IncidentMemory& memory)
{
    return json_text(to_json(memory));
}

std::string encode(const MaintenanceMemory& memory)
{
    return json_text(to_json(memory));
}

std::string encode(const NotificationMemory& memory)
{
    return json_text(to_json(memory));
}

Decoded<Incident> decode_incident(std::string_view text)
{
    return decode(text, [](const Json& json) { return read_incident(json, ""); });
}

Decoded<IncidentMemory> decode_incident_memory(std::string_view text)
{
    return decode(text, read_incident_memory);
}

Decoded<MaintenanceMemory> decode_maintenance_memory(std::string_view text)
{
    return decode(text, read_maintenance_memory);
}

Decoded<NotificationMemory> decode_notification_memory(std::string_view text)
{
    return decode(text, read_notification_memory);
}

} // namespace hotspare::monitor
