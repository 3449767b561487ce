// Who may change more than an order of its own. A daemon of the pipeline has two listeners: that of the clients, which
// a gateway leads to, and the control listener. Operators' requests (pause, clear, cancel, ...) and workers' requests
// (lease, settle, ...) are answered on the control listener, and on the clients' one as well, if the settings allow it,
// for callers of this machine that no proxy stands before. The tests of Host, Origin and Content-Type
// (common/http/guard.hpp) keep web pages out on both.
//
// Thread: that of the service. Owner: the service.
#pragma once

#include "common/http/guard.hpp"
#include "common/http/router.hpp"
#include "orders/control_settings.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::orders {

enum class Listener : std::uint8_t { clients, control };
enum class Party : std::uint8_t { operators, workers };

class Control {
public:
    explicit Control(const ControlSettings& settings);

    /// For messages, once it is known.
    void listens_on(std::uint16_t port) noexcept { port_ = port; }

    /// Why the request is refused, as the 403 to answer; nothing if it may be served.
    std::optional<http::Problem> refuse(const http::Caller& caller, Party party, Listener listener) const;

    /// `handler` for those that are not refused. This object must outlive it.
    http::Handler guard(Party party, Listener listener, http::Handler handler) const;

private:
    bool local_callers_;
    http::GuardSettings guard_;
    std::uint16_t port_ = 0;
};

} // namespace hotspare::orders
