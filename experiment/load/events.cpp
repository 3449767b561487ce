#include "experiment/load/events.hpp"

#include "common/json_document.hpp"
#include "common/socket.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <exception>
#include <utility>

namespace hotspare::experiment {
namespace {

constexpr int look_ms = 50; ///< how soon a request to stop is noticed, and how often a lost balancer is tried again
constexpr std::size_t longest_line = 64 * 1024;

std::string text(const nlohmann::json& event, const char* name)
{
    const auto found = event.find(name);
    return found != event.end() && found->is_string() ? found->get<std::string>() : std::string();
}

} // namespace

EventReader::EventReader(config::HostPort balancer)
    : balancer_(std::move(balancer)), thread_([this](const std::stop_token& stop) { run(stop); })
{
}

bool EventReader::connected() const
{
    const std::lock_guard lock(mutex_);
    return connected_;
}

std::vector<EventReader::Event> EventReader::take()
{
    const std::lock_guard lock(mutex_);
    return std::exchange(events_, {});
}

void EventReader::run(const std::stop_token& stop)
{
    while (!stop.stop_requested()) {
        try {
            read_stream(stop);
        } catch (const std::exception&) { // short of descriptors: perhaps not at the next try
        }
        {
            const std::lock_guard lock(mutex_);
            connected_ = false;
        }
        ::poll(nullptr, 0, look_ms);
    }
}

void EventReader::read_stream(const std::stop_token& stop)
{
    const auto request = fmt::format("GET /events HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{}\r\n",
                                     config::format_host_port(balancer_),
                                     last_id_.empty() ? "" : fmt::format("Last-Event-ID: {}\r\n", last_id_));
    const Fd socket = start_connect(balancer_);
    bool sent = false;
    std::string pending;
    while (!stop.stop_requested()) {
        const short wanted = sent ? POLLIN : POLLOUT;
        pollfd ready{.fd = socket.get(), .events = wanted, .revents = 0};
        if (::poll(&ready, 1, look_ms) <= 0) continue;
        if (!sent) {
            // A new connection has room for so little.
            if (::send(socket.get(), request.data(), request.size(), MSG_NOSIGNAL) < 0) return;
            sent = true;
            continue;
        }
        std::array<char, 4096> buffer; // NOLINT(cppcoreguidelines-pro-type-member-init): recv fills it
        const auto count = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
        const TimePoint now = Clock::now();
        if (count < 0 && errno == EAGAIN) continue;
        if (count <= 0) return;
        pending.append(buffer.data(), static_cast<std::size_t>(count));
        for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n')) {
            take_line(std::string_view(pending).substr(0, end), now);
            pending.erase(0, end + 1);
        }
        if (pending.size() > longest_line) return;
    }
}

/// A line of the stream: "data: {...}" holds one event, whole, with its id. What is neither that nor the first line of
/// an answer (chunk sizes, comments, ids) says nothing more.
void EventReader::take_line(std::string_view line, TimePoint at)
{
    if (line.starts_with("HTTP/1.1 200")) {
        const std::lock_guard lock(mutex_);
        connected_ = true;
        return;
    }
    if (!line.starts_with("data:")) return;
    const auto event = read_json_document(line.substr(5));
    if (!event.is_object()) return;
    EventRecord record;
    record.id = text(event, "id");
    record.kind = text(event, "event");
    record.backend = text(event, "backend");
    record.pool = text(event, "pool");
    record.from = text(event, "from");
    record.to = text(event, "to");
    record.cause = text(event, "cause");
    last_id_ = record.id;
    const std::lock_guard lock(mutex_);
    events_.push_back({at, std::move(record)});
}

} // namespace hotspare::experiment
