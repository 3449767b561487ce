#include "common/http/event_log.hpp"

#include "common/json_document.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

namespace hotspare::http {

EventLog::EventLog(std::string origin, std::size_t capacity)
    : origin_(std::move(origin)), capacity_(std::max<std::size_t>(capacity, 1))
{
}

const LogEntry& EventLog::append(std::string kind, nlohmann::json event, std::string text)
{
    LogEntry entry;
    entry.number = ++last_number_;
    entry.id = fmt::format("{}-{}", origin_, entry.number);
    entry.kind = std::move(kind);
    event["id"] = entry.id;
    entry.json = json_text(event);
    entry.text = std::move(text);
    entries_.push_back(std::move(entry));
    if (entries_.size() > capacity_) entries_.pop_front();
    return entries_.back();
}

std::vector<const LogEntry*> EventLog::after(std::string_view id) const
{
    const auto dash = id.rfind('-');
    std::uint64_t number = 0;
    if (dash == std::string_view::npos || id.substr(0, dash) != origin_) return latest(entries_.size());
    const std::string_view digits = id.substr(dash + 1);
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
    if (error != std::errc() || end != digits.data() + digits.size() || number > last_number_)
        return latest(entries_.size());
    return latest(static_cast<std::size_t>(std::min<std::uint64_t>(last_number_ - number, entries_.size())));
}

std::vector<const LogEntry*> EventLog::latest(std::size_t count) const
{
    std::vector<const LogEntry*> result;
    for (std::size_t i = entries_.size() - std::min(count, entries_.size()); i < entries_.size(); ++i)
        result.push_back(&entries_[i]);
    return result;
}

} // namespace hotspare::http
