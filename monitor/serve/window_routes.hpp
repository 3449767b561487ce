// The routes of one maintenance window: get, announce, change, cancel, with the conditions that a client sets to the
// version that it has seen. Who may do it, the service has decided; what is accepted, the recorder's board decides.
//
// Thread: the io_context's. Owner: the service, whose coroutines must have ended before this is destroyed.
#pragma once

#include "common/http/message.hpp"
#include "monitor/serve/documents.hpp"
#include "monitor/serve/recorder.hpp"

#include <boost/asio/awaitable.hpp>

#include <optional>
#include <string>

namespace hotspare::monitor {

class WindowRoutes {
public:
    WindowRoutes(Recorder& recorder, Documents& documents) : recorder_(recorder), documents_(documents) {}

    asio::awaitable<http::Response> get(const http::Request& request);
    asio::awaitable<http::Response> announce(const http::Request& request, Recorder::Who who);
    asio::awaitable<http::Response> change(const http::Request& request, Recorder::Who who);
    asio::awaitable<http::Response> cancel(const http::Request& request, Recorder::Who who);

private:
    std::optional<http::Response> find(const http::Request& request, Window& window) const;
    http::Response shown(unsigned status, const Window& window) const;

    Recorder& recorder_;
    Documents& documents_; ///< renewed by each command
};

} // namespace hotspare::monitor
