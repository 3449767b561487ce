#include "monitor/decide/notification.hpp"

#include <algorithm>
#include <utility>

namespace hotspare::monitor {
namespace {

/// When a case is to be told, if the queue has room.
Instant ripe_at(const ToldCase& told, milliseconds gather) noexcept
{
    switch (told.phase) {
    case ToldCase::Phase::waiting: return std::max(told.since + gather, told.not_before);
    case ToldCase::Phase::recovering: return told.since + gather;
    default: return forever;
    }
}

} // namespace

std::string_view to_string(Message::Kind kind) noexcept
{
    switch (kind) {
    case Message::Kind::outage: return "outage";
    case Message::Kind::recovery: return "recovery";
    case Message::Kind::maintenance: return "maintenance";
    }
    return "invalid";
}

Notification::Notification(NotificationSettings settings, std::uint32_t seed, NotificationMemory memory)
    : settings_(std::move(settings)), random_(seed), memory_(std::move(memory))
{
    const auto unknown = [&](const std::string& channel) {
        return std::none_of(settings_.channels.begin(), settings_.channels.end(),
                            [&](const ChannelSettings& known) { return known.name == channel; });
    };
    std::erase_if(memory_.cases, [&](const auto& entry) { return unknown(entry.first.first); });
    std::erase_if(memory_.cooldowns, [&](const auto& entry) { return unknown(entry.first.first); });
    std::erase_if(memory_.queue, [&](const Delivery& delivery) { return unknown(delivery.channel); });
    for (Delivery& delivery : memory_.queue) delivery.in_flight = false;
    // A recovery of what is down again is withdrawn. An outage that is over is told all the same: the attempt may have
    // delivered it, and then its recovery is due.
    for (auto& [key, told] : memory_.cases)
        if (told.phase == Phase::telling_recovery && told.down && withdraw(key)) told.phase = Phase::told;
}

void Notification::went_down(const Outage& outage, Instant now)
{
    for (const ChannelSettings& channel : settings_.channels) {
        if (!channel.outages) continue;
        const Key key(channel.name, outage.target);
        const auto [it, is_new] = memory_.cases.try_emplace(key);
        ToldCase& told = it->second;
        told.down = true;
        told.outage = outage;
        if (is_new) {
            const auto cooldown = memory_.cooldowns.find(key);
            told.since = now;
            told.not_before = cooldown == memory_.cooldowns.end() ? now : cooldown->second;
        } else if (told.phase == Phase::recovering || (told.phase == Phase::telling_recovery && withdraw(key))) {
            told.phase = Phase::told;
        }
    }
}

void Notification::came_back(std::string_view target, milliseconds duration, Instant now)
{
    for (const ChannelSettings& channel : settings_.channels) {
        const Key key(channel.name, std::string(target));
        const auto it = memory_.cases.find(key);
        if (it == memory_.cases.end() || !it->second.down) continue;
        ToldCase& told = it->second;
        told.down = false;
        told.outage.duration = duration;
        switch (told.phase) {
        case Phase::waiting:
        case Phase::given_up: memory_.cases.erase(it); break;
        case Phase::telling:
            if (withdraw(key)) memory_.cases.erase(it);
            break;
        case Phase::told:
            told.phase = Phase::recovering;
            told.since = now;
            break;
        case Phase::recovering:
        case Phase::telling_recovery: break;
        }
    }
}

void Notification::maintenance(const DueNotice& notice, Instant now)
{
    for (const ChannelSettings& channel : settings_.channels) {
        if (!channel.maintenance) continue;
        Message message{Message::Kind::maintenance, {}, notice.window, notice.notice, notice.occurrence};
        if (full())
            give_up({++memory_.last_id, channel.name, std::move(message), 0, now, false}, "the queue is full", now);
        else
            enqueue(channel.name, std::move(message), now);
    }
}

void Notification::forget(std::string_view target)
{
    for (const ChannelSettings& channel : settings_.channels) {
        const Key key(channel.name, std::string(target));
        withdraw(key);
        memory_.cases.erase(key);
        memory_.cooldowns.erase(key);
    }
}

void Notification::enqueue(const std::string& channel, Message message, Instant now)
{
    memory_.queue.push_back({++memory_.last_id, channel, std::move(message), 0, now, false});
}

/// Tells all that wait in this phase, once the first of them has waited long enough.
void Notification::gather(const std::string& channel, Phase phase, Instant now)
{
    std::vector<ToldCase*> ready;
    bool ripe = false;
    const auto begin = memory_.cases.lower_bound({channel, ""});
    for (auto it = begin; it != memory_.cases.end() && it->first.first == channel; ++it) {
        ToldCase& told = it->second;
        if (told.phase != phase || (phase == Phase::waiting && now < told.not_before)) continue;
        ready.push_back(&told);
        ripe = ripe || ripe_at(told, settings_.gather) <= now;
    }
    if (!ripe) return;
    const bool outage = phase == Phase::waiting;
    const auto kind = outage ? Message::Kind::outage : Message::Kind::recovery;
    Message digest{.kind = kind};
    const bool one_for_all = ready.size() > settings_.digest_above;
    for (ToldCase* told : ready) {
        if (full()) return;
        told->phase = outage ? Phase::telling : Phase::telling_recovery;
        digest.outages.push_back(told->outage);
        if (!one_for_all) enqueue(channel, std::exchange(digest, {.kind = kind}), now);
    }
    if (one_for_all) enqueue(channel, std::move(digest), now);
}

std::vector<Delivery> Notification::take(Instant now)
{
    std::erase_if(memory_.cooldowns, [&](const auto& entry) { return entry.second <= now; });
    for (const ChannelSettings& channel : settings_.channels) {
        gather(channel.name, Phase::waiting, now);
        gather(channel.name, Phase::recovering, now);
    }
    std::vector<Delivery> taken;
    for (Delivery& delivery : memory_.queue) {
        if (delivery.in_flight || delivery.due > now) continue;
        delivery.in_flight = true;
        ++delivery.attempts;
        taken.push_back(delivery);
    }
    return taken;
}

bool Notification::withdraw(const Key& key)
{
    const auto names = [&](const Outage& outage) { return outage.target == key.second; };
    const auto delivery = std::find_if(memory_.queue.begin(), memory_.queue.end(), [&](const Delivery& d) {
        return d.channel == key.first && std::any_of(d.message.outages.begin(), d.message.outages.end(), names);
    });
    if (delivery == memory_.queue.end()) return true;
    if (delivery->in_flight) return false;
    std::erase_if(delivery->message.outages, names);
    if (delivery->message.outages.empty()) memory_.queue.erase(delivery);
    return true;
}

void Notification::finished(std::uint64_t id, const Attempted& attempted, Instant now)
{
    const auto it = std::find_if(memory_.queue.begin(), memory_.queue.end(),
                                 [&](const Delivery& d) { return d.id == id && d.in_flight; });
    if (it == memory_.queue.end()) return;
    it->in_flight = false;
    const bool given_up = !attempted.delivered && (attempted.final || it->attempts >= settings_.most_attempts);
    if (attempted.delivered || given_up) {
        Delivery done = std::move(*it);
        memory_.queue.erase(it);
        for (const Outage& outage : done.message.outages)
            settle({done.channel, outage.target}, done.message.kind, attempted.delivered, given_up, now);
        if (given_up) give_up(std::move(done), attempted.why, now);
        return;
    }
    const milliseconds asked = std::min(attempted.retry_after.value_or(milliseconds(0)), settings_.longest_pause);
    it->due = now + std::max(pause_after(it->attempts), asked);
    // What has changed while it was under way is said as it is now, and what has ceased to be true is not said again.
    for (Outage& outage : it->message.outages)
        if (const auto told = memory_.cases.find({it->channel, outage.target}); told != memory_.cases.end())
            outage = told->second.outage;
    const Delivery waiting = *it;
    for (const Outage& outage : waiting.message.outages)
        settle({waiting.channel, outage.target}, waiting.message.kind, false, false, now);
}

void Notification::settle(const Key& key, Message::Kind kind, bool delivered, bool given_up, Instant now)
{
    const auto it = memory_.cases.find(key);
    if (it == memory_.cases.end()) return;
    ToldCase& told = it->second;
    const bool outage = kind == Message::Kind::outage;
    if (delivered && outage) {
        memory_.cooldowns[key] = now + settings_.cooldown;
        told.phase = told.down ? Phase::told : Phase::recovering;
        told.since = now;
    } else if (delivered || (given_up && !outage)) {
        if (!told.down) {
            memory_.cases.erase(it);
            return;
        }
        // Down again: an outage of its own.
        const auto cooldown = memory_.cooldowns.find(key);
        told.phase = Phase::waiting;
        told.since = now;
        told.not_before = cooldown == memory_.cooldowns.end() ? now : cooldown->second;
    } else if (given_up) {
        if (told.down)
            told.phase = Phase::given_up;
        else
            memory_.cases.erase(it);
    } else if (outage && !told.down) {
        withdraw(key);
        memory_.cases.erase(it);
    } else if (!outage && told.down) {
        withdraw(key);
        told.phase = Phase::told;
    }
}

void Notification::give_up(Delivery delivery, std::string why, Instant now)
{
    memory_.failures.push_back({std::move(delivery), now, std::move(why)});
    if (memory_.failures.size() > settings_.most_failures) memory_.failures.erase(memory_.failures.begin());
}

milliseconds Notification::pause_after(unsigned attempts)
{
    milliseconds pause = settings_.first_pause;
    for (unsigned i = 1; i < attempts && pause < settings_.longest_pause; ++i) pause *= 2;
    pause = std::min(pause, settings_.longest_pause);
    return pause - milliseconds(std::uniform_int_distribution<std::int64_t>(0, pause.count() / 2)(random_));
}

Instant Notification::wake_at() const noexcept
{
    Instant earliest = forever;
    for (const Delivery& delivery : memory_.queue)
        if (!delivery.in_flight) earliest = std::min(earliest, delivery.due);
    if (full()) return earliest;
    for (const auto& [key, told] : memory_.cases) earliest = std::min(earliest, ripe_at(told, settings_.gather));
    return earliest;
}

} // namespace hotspare::monitor
