// PURE: everything that was observed of the order pipeline under load: what was asked and answered, which faults there
// were, what the monitor called them, and what could be read at the end. Raw: whether it is right is for
// check.hpp to say, and nothing else is needed for that. So the words of the pipeline stand here as the services
// say them, known or not.
//
// The file is JSON lines and only grows. All times are nanoseconds after the moment at which the experiment began to
// look, on one monotonic clock; keys whose text is empty are left out where `?` says so.
//
//   {"type":"orders","format":1,"mode"?:"down","orders":200,"rate":50.0,"seed":7,"prefix"?:…,"target":…,"started":…}
//   {"type":"fault","at":…,"what":"external_service: down"}        and "heal", when it was over
//   {"type":"create","order_id":…,"product":…,"quantity":10,"due":…,"invoked":…,"ended":…,"outcome":"ok","status":200,
//    "again"?:1,"waited"?:true}
//   {"type":"health","at":…,"service":"external_service","status":"down"}       its first word, and each other one
//   {"type":"drained","at":…}                                                   nothing was Processing any more
//   {"type":"listed","order_id":…,"product":…,"quantity":10,"status":…}         as GET /get_orders says
//   {"type":"order","order_id":…,"product":…,"quantity":10,"status":…,"reason"?:…,"epoch":1,"attempts":1,
//    "timeline":[{"at":RFC 3339,"event":"created","epoch":0,"detail"?:…},…]}    as GET /orders/{id} says
//   {"type":"effect","key":…,"order_id":…,"verdict":"Validated","at_ms":…,"stock":1000}  of the validator's ledger
//   {"type":"end","faults":…,"heals":…,"creates":…,"healths":…,"listed":…,"orders":…,"effects":…,"counted":true,
//    "invalid"?:…,"aborted"?:…}
//
// Any thread.
#pragma once

#include "common/error.hpp"
#include "experiment/record/record.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::experiment {

/// What the monitor calls the service that is told to fail.
inline constexpr std::string_view external_service = "external_service";

/// What the external service is told to do.
enum class FailureMode : std::uint8_t { normal, slow, down, error };
std::string_view to_string(FailureMode mode) noexcept;
std::optional<FailureMode> failure_mode_of(std::string_view word) noexcept;
/// What a monitor should call a service in that mode: healthy, degraded, down, unhealthy.
std::string_view health_word(FailureMode mode) noexcept;

/// What a creation's client knows of the order afterwards.
enum class CreateOutcome : std::uint8_t {
    ok,      ///< it was acknowledged
    fail,    ///< it was refused: there is none
    unknown, ///< there may be one or not
};
std::string_view to_string(CreateOutcome outcome) noexcept;
std::optional<CreateOutcome> create_outcome_of(std::string_view word) noexcept;
/// By how the request ended and its status. Only a 4xx that says what is wrong, and a connection that never came to be,
/// are refusals.
CreateOutcome judge_create(Outcome outcome, unsigned status) noexcept;

struct OrderContent {
    std::string order_id;
    std::string product;
    std::int64_t quantity = 0;

    bool operator==(const OrderContent&) const = default;
};

/// One request for an order.
struct CreateRecord {
    OrderContent what;
    Nanos due{};
    Nanos invoked{}; ///< handed to the kernel
    Nanos ended{};
    CreateOutcome outcome = CreateOutcome::unknown;
    unsigned status = 0;     ///< 0: no answer
    std::uint32_t again = 0; ///< so many requests for this order came before it
    bool waited = false;     ///< every connection was busy when it was due: its lag is not the generator's

    bool operator==(const CreateRecord&) const = default;
};

/// The moment of a fault, or of its end.
struct Turn {
    Nanos at{};
    std::string what;

    bool operator==(const Turn&) const = default;
};

/// What the monitor said of a service, when it said something else than before.
struct Sighting {
    Nanos at{};
    std::string service;
    std::string status;

    bool operator==(const Sighting&) const = default;
};

struct ListedOrder {
    OrderContent what;
    std::string status;

    bool operator==(const ListedOrder&) const = default;
};

struct TimelineEvent {
    std::string at;
    std::string event;
    std::int64_t epoch = 0;
    std::string detail;

    bool operator==(const TimelineEvent&) const = default;
};

struct OrderRecord {
    OrderContent what;
    std::string status;
    std::string reason;
    std::int64_t epoch = 0;
    std::uint32_t attempts = 0;
    std::vector<TimelineEvent> timeline;

    bool operator==(const OrderRecord&) const = default;
};

/// One line of the validator's ledger.
struct EffectRecord {
    std::optional<std::string> key;
    std::string order_id;
    std::string verdict;
    std::int64_t at_ms = 0;
    std::int64_t stock = 0;

    bool operator==(const EffectRecord&) const = default;
};

struct OrdersHistory {
    std::optional<FailureMode> mode; ///< nothing: the faults were of another kind
    std::uint64_t orders = 0;        ///< so many were to be created
    double rate = 0;                 ///< per second
    std::uint64_t seed = 0;
    std::string prefix; ///< of the order ids of this experiment; empty: every order there is belongs to it
    std::string target;
    std::string started; ///< RFC 3339

    std::vector<Turn> faults, heals;
    std::vector<CreateRecord> creates;
    std::vector<Sighting> healths;
    std::optional<Nanos> drained;
    std::vector<ListedOrder> listed;
    std::vector<OrderRecord> present;
    std::vector<EffectRecord> effects;
    bool counted = false; ///< the ledger was read; without it nothing is known of effects
    std::string invalid;  ///< why the instruments cannot be trusted; empty = they can
    std::string aborted;  ///< why it was ended early; empty = it was not

    bool operator==(const OrdersHistory&) const = default;
};

/// Each writes one line. The caller checks the stream. What is not UTF-8 in a text is replaced.
void write_header(std::ostream& out, const OrdersHistory& history);
void write_fault(std::ostream& out, const Turn& fault);
void write_heal(std::ostream& out, const Turn& heal);
void write_drained(std::ostream& out, Nanos at);
void write_line(std::ostream& out, const CreateRecord& create);
void write_line(std::ostream& out, const Sighting& sighting);
void write_line(std::ostream& out, const ListedOrder& listed);
void write_line(std::ostream& out, const OrderRecord& order);
void write_line(std::ostream& out, const EffectRecord& effect);
/// The last one: with how many there are of each.
void write_end(std::ostream& out, const OrdersHistory& history);
/// All of it.
void write_history(std::ostream& out, const OrdersHistory& history);

/// Whether the first line of a record says that it is such a history.
bool is_orders_history(std::string_view first_line);

/// Reads a whole file strictly: an unknown type or key, a missing one, a value of the wrong kind, an end that counts
/// otherwise or is missing. Throws UsageError "FILE:LINE: what is wrong".
OrdersHistory read_history(std::istream& in, const std::string& file);

/// From the body of GET /orders/{id}; what it has beyond an OrderRecord is passed over. Nothing: it is no order.
std::optional<OrderRecord> order_in(const nlohmann::ordered_json& answer);

/// A page of GET /get_orders.
struct OrdersPage {
    std::vector<ListedOrder> orders;
    std::string next; ///< where the next page begins; empty: this was the last
};
std::optional<OrdersPage> page_in(const nlohmann::ordered_json& answer);

/// Reads the file that external_service --ledger writes, but for a last line that is not complete. Throws UsageError
/// "FILE:LINE: what is wrong".
std::vector<EffectRecord> read_ledger(std::istream& in, const std::string& file);

} // namespace hotspare::experiment
