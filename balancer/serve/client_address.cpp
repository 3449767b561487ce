#include "balancer/serve/client_address.hpp"

namespace hotspare::balancer {

ClientAddress::Beyond& ClientAddress::beyond()
{
    if (!beyond_) beyond_ = std::make_unique<Beyond>();
    return *beyond_;
}

void ClientAddress::take_proxy_header(const std::optional<ProxiedConnection>& connection)
{
    proxied_ = true;
    if (!connection) return;
    beyond().header = connection;
    sender_ = connection->source.address.to_string();
}

void ClientAddress::judge(const RequestHead& head, const TrustedProxies& trusted)
{
    const IpAddress sender = sender_endpoint().address;
    trusted_ = contains(trusted, sender);
    if (beyond_) beyond_->client.reset();
    if (!trusted_ || !head.forwarded_for) return;

    // Several lines are one list (RFC 9110 §5.3).
    IpAddress client = sender;
    for (const Field* field = head.fields.end(); field != head.fields.begin();)
        if (is_forwarded_for(*--field) && !walk_back(field->value, trusted, client)) break;
    if (client == sender) return;
    beyond().client = client;
    beyond().client_text = client.to_string();
}

std::string ClientAddress::for_pages() const
{
    const IpAddress& found = beyond_ && beyond_->client ? *beyond_->client : sender_endpoint().address;
    // That of another machine, or invented.
    if (found.is_loopback() && !peer().is_loopback()) return peer().to_string();
    return found.to_string();
}

ProxiedConnection ClientAddress::connection(const std::optional<IpEndpoint>& local) const
{
    ProxiedConnection out{.source = sender_endpoint(), .destination = {}};
    if (beyond_ && beyond_->client) out.source = {*beyond_->client, 0};
    if (beyond_ && beyond_->header)
        out.destination = beyond_->header->destination;
    else if (local)
        out.destination = *local;
    else if (out.source.address.is_v4())
        out.destination.address = *IpAddress::parse("0.0.0.0");
    return out;
}

} // namespace hotspare::balancer
