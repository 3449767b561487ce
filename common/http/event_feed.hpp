// The events of a daemon, for readers over HTTP: as Server-Sent Events, with replay for those that reconnect, and as
// lines of text over WebSocket. It keeps the latest (event_log.hpp), gives each to every reader, drops readers that lag
// or are gone, and bounds how many there are (stream_places.hpp). What an event says, where the pages are mounted and
// who may read them (guard.hpp) is left to the daemon.
//
// Thread: the server's only. Owner: the daemon; it must be destroyed before the io_context and after the last request
// has been dispatched.
#pragma once

#include "common/http/event_log.hpp"
#include "common/http/message.hpp"
#include "common/http/stream.hpp"
#include "common/http/stream_places.hpp"

#include <boost/system/result.hpp>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace hotspare::http {

struct EventFeedOptions {
    std::size_t kept = 1024; ///< events for readers that reconnect
    /// What a reader gets who does not say what it has seen already: enough to know where things stand.
    std::size_t recent = 16;
    StreamLimits limits{};
};

class EventFeed {
public:
    /// Ids begin with the time of this moment, so that those of an earlier process are told from ours.
    explicit EventFeed(EventFeedOptions options = {});
    ~EventFeed();

    EventFeed(const EventFeed&) = delete;
    EventFeed& operator=(const EventFeed&) = delete;

    /// Keeps an event and sends it to every reader: `event`, a JSON object that gets the member "id", under the name
    /// `kind` to event streams; `text`, one line, to WebSockets.
    void append(std::string kind, nlohmann::json event, std::string text);
    /// Sends a line to WebSockets that are open. It is not kept.
    void tell(const std::string& line);

    /// The answer to a request for the event stream. A reader that names the last event that it has seen, by the field
    /// Last-Event-ID as browsers do when they reconnect or by the parameter `last_event_id`, gets all that came after;
    /// others the most recent. 503 or 429 with Retry-After when too many streams are open; a stream counts until its
    /// connection ends.
    Response events(const Request& request);
    /// The answer to a request for the lines, over WebSocket. The same limits.
    Response lines(const Request& request);

    /// Ends every stream once all that is queued has been written, so that its reader learns of it.
    void end_streams();

    std::size_t open_streams() const noexcept { return places_->taken(); }

private:
    enum class Format : std::uint8_t { event, line };
    struct Subscriber {
        Format format;
        std::shared_ptr<Outbox> outbox;
    };

    boost::system::result<std::shared_ptr<void>, Problem> take_place(const Request& request);
    void subscribe(Format format, std::shared_ptr<Outbox> outbox, const std::vector<const LogEntry*>& missed);

    std::size_t recent_;
    EventLog log_;
    std::shared_ptr<StreamPlaces> places_; ///< shared with the streams, which end after us if the io_context ends them
    std::vector<Subscriber> subscribers_;
};

} // namespace hotspare::http
