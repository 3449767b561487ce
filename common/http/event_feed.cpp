#include "common/http/event_feed.hpp"

#include "common/clock.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <utility>

namespace hotspare::http {
namespace {

std::string start_of_ids()
{
    return fmt::format(
        "{:x}", std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count());
}

Response refusal(const Problem& why, const Request& request)
{
    auto response = problem(why, request.id);
    response.set(field::retry_after, "10");
    return response;
}

} // namespace

EventFeed::EventFeed(EventFeedOptions options)
    : recent_(options.recent), log_(start_of_ids(), options.kept),
      places_(std::make_shared<StreamPlaces>(options.limits))
{
}

EventFeed::~EventFeed() = default;

/// What holds the place of a stream and gives it back with its last copy. The handler of the stream has it, which the
/// connection keeps until it ends.
boost::system::result<std::shared_ptr<void>, Problem> EventFeed::take_place(const Request& request)
{
    const std::string address = request.peer.address().to_string();
    switch (places_->take(address)) {
    case StreamPlaces::Refusal::all_taken: return Problem{503, "too many event streams are open"};
    case StreamPlaces::Refusal::address_has_enough:
        return Problem{429, fmt::format("too many event streams are open to {}", address)};
    case StreamPlaces::Refusal::none: break;
    }
    return std::shared_ptr<void>(places_.get(), [places = places_, address](void*) { places->give_back(address); });
}

Response EventFeed::events(const Request& request)
{
    auto place = take_place(request);
    if (!place) return refusal(place.error(), request);
    std::string last(request.header("Last-Event-ID"));
    if (last.empty()) last = request.query("last_event_id").value_or("");
    return EventStream{[this, last = std::move(last), place = std::move(*place)](std::shared_ptr<Outbox> outbox) {
        subscribe(Format::event, std::move(outbox), last.empty() ? log_.latest(recent_) : log_.after(last));
    }};
}

Response EventFeed::lines(const Request& request)
{
    auto place = take_place(request);
    if (!place) return refusal(place.error(), request);
    return WebSocket{.open =
                         [this, place = std::move(*place)](std::shared_ptr<Outbox> outbox) {
                             subscribe(Format::line, std::move(outbox), log_.latest(recent_));
                         },
                     .on_message = {}};
}

namespace {

std::string formatted(const LogEntry& entry, bool as_event)
{
    return as_event ? format_event(entry.id, entry.kind, entry.json) : entry.text;
}

} // namespace

void EventFeed::subscribe(Format format, std::shared_ptr<Outbox> outbox, const std::vector<const LogEntry*>& missed)
{
    std::erase_if(subscribers_, [](const Subscriber& s) { return s.outbox->closed(); });
    for (const LogEntry* entry : missed)
        if (!outbox->send(formatted(*entry, format == Format::event))) return;
    subscribers_.push_back({format, std::move(outbox)});
}

void EventFeed::append(std::string kind, nlohmann::json event, std::string text)
{
    const LogEntry& entry = log_.append(std::move(kind), std::move(event), std::move(text));
    std::erase_if(subscribers_, [&entry](const Subscriber& s) {
        return !s.outbox->send(formatted(entry, s.format == Format::event));
    });
}

void EventFeed::tell(const std::string& line)
{
    std::erase_if(subscribers_,
                  [&line](const Subscriber& s) { return s.format == Format::line && !s.outbox->send(line); });
}

void EventFeed::end_streams()
{
    for (const Subscriber& subscriber : std::exchange(subscribers_, {})) subscriber.outbox->close();
}

} // namespace hotspare::http
