// Whom a client's connection is from: the connection's other end; what a PROXY header in front of it says; and, request
// by request, what X-Forwarded-For says, as far as trusted proxies have written it.
//
// Three questions have different answers. Who may send such a header, and whose forwarding fields are kept? The peer,
// or the source in its PROXY header: sender(). For whom does a request count, in the access log and for a backend's
// PROXY header? The client behind the trusted proxies: client(). Who may be an operator? One on this machine, and a
// header never makes anyone that: for_pages().
//
// A connection of which no header says anything, the usual case, holds its peer's address only.
//
// Thread: its worker's. Owner: the Session.
#pragma once

#include "balancer/decide/ip_address.hpp"
#include "balancer/decide/proxy_protocol.hpp"
#include "balancer/decide/trusted.hpp"
#include "balancer/serve/message_head.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::balancer {

class ClientAddress {
public:
    explicit ClientAddress(const IpEndpoint& peer) : peer_(peer), sender_(peer.address.to_string()) {}

    /// The other end of the connection, whatever any header says.
    const IpAddress& peer() const noexcept { return peer_.address; }

    /// A PROXY header came in front of the connection; nothing: it names no other one.
    void take_proxy_header(const std::optional<ProxiedConnection>& connection);
    bool has_proxy_header() const noexcept { return proxied_; }

    /// Another request arrives. Its head is looked at only if its sender is trusted.
    void begin_request(const RequestHead& head, const TrustedProxies& trusted)
    {
        if (!trusted.empty() || trusted_) judge(head, trusted);
    }

    /// Who speaks HTTP to us: X-Forwarded-For is extended by it.
    std::string_view sender() const noexcept { return sender_; }
    /// Whether the sender of the request is a trusted proxy.
    bool trusted() const noexcept { return trusted_; }
    /// Whom the request is from.
    std::string_view client() const noexcept
    {
        return beyond_ && beyond_->client ? std::string_view(beyond_->client_text) : sender();
    }

    /// The client as the built-in pages may take it: never a loopback address, which operators have, unless the peer's
    /// is one.
    std::string for_pages() const;

    /// The client's connection for a PROXY header. `local`: where the peer has connected to, if that is known. A client
    /// that X-Forwarded-For names has port 0.
    ProxiedConnection connection(const std::optional<IpEndpoint>& local) const;

private:
    /// What headers say.
    struct Beyond {
        std::optional<ProxiedConnection> header;
        std::optional<IpAddress> client; ///< of the present request, if another than the sender
        std::string client_text;
    };

    const IpEndpoint& sender_endpoint() const noexcept
    {
        return beyond_ && beyond_->header ? beyond_->header->source : peer_;
    }
    Beyond& beyond();
    void judge(const RequestHead& head, const TrustedProxies& trusted);

    IpEndpoint peer_;
    bool proxied_ = false;
    bool trusted_ = false;
    std::string sender_;
    std::unique_ptr<Beyond> beyond_;
};

} // namespace hotspare::balancer
