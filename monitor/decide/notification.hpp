// Which message goes to which channel, and when: outages, recoveries and maintenance notices become deliveries, which
// the shell attempts. It sends nothing and words nothing; a Message says what happened, the shell puts it into a mail
// or a webhook's JSON.
//
// For each channel and target:
//  - An outage is told `gather` after it was confirmed, so that what fails together is told together: more than
//    `digest_above` outages are one message. It is told once, however often it is reported, and not at all if it is
//    over by then. Recoveries are gathered likewise.
//  - An outage within `cooldown` after the target's latest one was told is held back. If it is over when the cooldown
//    is, it is not told; otherwise it is told then.
//  - Each outage that was delivered is followed by exactly one recovery with its duration, and one that was not
//    delivered by none. If the target goes down again before the recovery was delivered, the recovery is withdrawn, and
//    the two outages count as one that was told.
//  - A failed attempt is repeated after a pause that doubles from `first_pause` up to `longest_pause`, less up to half
//    of it by chance. After `most_attempts` the delivery is given up and listed in `failures`.
// Maintenance notices are told at once, and each once.
//
// The queue is bounded: while it is full, outages and recoveries wait where they are, and a maintenance notice is
// listed in `failures`. After a restart an attempt that was under way is repeated: its outcome is not known, so that a
// message may arrive twice. It has the same id then.
//
// PURE: `now` is an argument, chance a seed. One thread. Owned by the shell, which stores `memory()`.
#pragma once

#include "monitor/decide/window.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::monitor {

struct ChannelSettings {
    std::string name{};
    bool outages = true; ///< and recoveries
    bool maintenance = true;
};

struct NotificationSettings {
    std::vector<ChannelSettings> channels{};
    milliseconds gather = std::chrono::seconds(5);
    std::size_t digest_above = 3;
    milliseconds cooldown = std::chrono::minutes(15);
    unsigned most_attempts = 12;
    milliseconds first_pause = std::chrono::seconds(5);
    milliseconds longest_pause = std::chrono::minutes(10);
    std::size_t most_queued = 1000;
    std::size_t most_failures = 100; ///< the oldest are forgotten
};

/// An outage of a target, as the incident tracker confirmed it.
struct Outage {
    std::string target{};
    std::uint64_t incident = 0;
    Instant since{};
    std::string cause{};
    milliseconds duration{}; ///< in recoveries

    friend bool operator==(const Outage&, const Outage&) = default;
};

struct Message {
    enum class Kind : std::uint8_t { outage, recovery, maintenance };

    Kind kind = Kind::outage;
    std::vector<Outage> outages{}; ///< several: a digest
    // Maintenance:
    std::uint64_t window = 0;
    Notice notice = Notice::announcement;
    Span occurrence{};

    friend bool operator==(const Message&, const Message&) = default;
};
std::string_view to_string(Message::Kind) noexcept;

struct Delivery {
    std::uint64_t id = 0; ///< never used twice
    std::string channel{};
    Message message{};
    unsigned attempts = 0; ///< begun
    Instant due{};         ///< of the next attempt
    bool in_flight = false;

    friend bool operator==(const Delivery&, const Delivery&) = default;
};

/// A delivery that was given up.
struct FailedDelivery {
    Delivery delivery{};
    Instant at{};
    std::string why{};

    friend bool operator==(const FailedDelivery&, const FailedDelivery&) = default;
};

/// What a channel knows of a target that is or was down.
struct ToldCase {
    enum class Phase : std::uint8_t {
        waiting,          ///< to be told
        telling,          ///< the outage is in the queue
        told,             ///< the outage was delivered
        recovering,       ///< over; the recovery is to be told
        telling_recovery, ///< the recovery is in the queue
        given_up,         ///< the outage could not be delivered; until it is over
    };
    Phase phase = Phase::waiting;
    bool down = true; ///< what is true now, which a message that is in flight may not know
    Outage outage{};
    Instant since{};      ///< of waiting and recovering
    Instant not_before{}; ///< of waiting: the end of the cooldown

    friend bool operator==(const ToldCase&, const ToldCase&) = default;
};

struct NotificationMemory {
    using Key = std::pair<std::string, std::string>; ///< channel, target

    std::map<Key, ToldCase> cases{};
    std::map<Key, Instant> cooldowns{}; ///< when they end
    std::vector<Delivery> queue{};
    std::vector<FailedDelivery> failures{};
    std::uint64_t last_id = 0;

    friend bool operator==(const NotificationMemory&, const NotificationMemory&) = default;
};

/// How an attempt ended.
struct Attempted {
    bool delivered = false;
    bool final = false;                        ///< failed in a way that no other attempt can mend
    std::optional<milliseconds> retry_after{}; ///< what the receiver asked for; at most longest_pause counts
    std::string why{};                         ///< it failed, for people
};

class Notification {
public:
    /// What the memory holds for channels that are no longer in the settings is dropped.
    Notification(NotificationSettings settings, std::uint32_t seed, NotificationMemory memory = {});

    /// A target is down: its incident was opened or reopened, or has outlasted its maintenance window. Incidents that
    /// are marked `maintenance` are not reported here.
    void went_down(const Outage& outage, Instant now);
    /// It has come back. `duration` is that of the incident. Without effect if it is not known to be down.
    void came_back(std::string_view target, milliseconds duration, Instant now);
    void maintenance(const DueNotice& notice, Instant now);
    /// It is not watched any more: nothing more is told of it.
    void forget(std::string_view target);

    /// The deliveries to be attempted now; the outcome of each must be reported.
    std::vector<Delivery> take(Instant now);
    /// Without effect if no such attempt is under way.
    void finished(std::uint64_t id, const Attempted& attempted, Instant now);
    /// When take() has something, if nothing else happens; in the past: now; `forever`: never.
    Instant wake_at() const noexcept;

    const NotificationMemory& memory() const noexcept { return memory_; }

private:
    using Key = NotificationMemory::Key;
    using Phase = ToldCase::Phase;

    void enqueue(const std::string& channel, Message message, Instant now);
    void gather(const std::string& channel, Phase phase, Instant now);
    /// Takes the target out of a delivery that waits; false if its attempt is under way.
    bool withdraw(const Key& key);
    /// One target of a delivery that has ended.
    void settle(const Key& key, Message::Kind kind, bool delivered, bool given_up, Instant now);
    void give_up(Delivery delivery, std::string why, Instant now);
    milliseconds pause_after(unsigned attempts);
    bool full() const noexcept { return memory_.queue.size() >= settings_.most_queued; }

    NotificationSettings settings_;
    std::minstd_rand random_;
    NotificationMemory memory_;
};

} // namespace hotspare::monitor
