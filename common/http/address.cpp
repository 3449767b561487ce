#include "common/http/address.hpp"

#include "common/config.hpp"
#include "common/error.hpp"
#include "common/http/grammar.hpp"

#include <boost/asio/io_context.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace hotspare::http {

using tcp = boost::asio::ip::tcp;

tcp::endpoint preferred_address(std::span<const tcp::endpoint> addresses)
{
    const auto v4 = std::find_if(addresses.begin(), addresses.end(),
                                 [](const tcp::endpoint& endpoint) { return endpoint.address().is_v4(); });
    return v4 != addresses.end() ? *v4 : addresses.front();
}

result<std::vector<tcp::endpoint>> look_up(const std::string& host, std::uint16_t port)
{
    boost::asio::io_context context;
    tcp::resolver resolver(context);
    error_code ec;
    const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::numeric_service, ec);
    if (ec) return ec;
    std::vector<tcp::endpoint> addresses;
    for (const auto& entry : found)
        if (std::find(addresses.begin(), addresses.end(), entry.endpoint()) == addresses.end())
            addresses.push_back(entry.endpoint());
    // RFC 6761 §6.3: `localhost` is both, also where /etc/hosts knows only one.
    if (equals_ignoring_case(host, "localhost"))
        for (const boost::asio::ip::address& loopback :
             {boost::asio::ip::address(boost::asio::ip::address_v4::loopback()),
              boost::asio::ip::address(boost::asio::ip::address_v6::loopback())})
            if (const tcp::endpoint there(loopback, port);
                std::find(addresses.begin(), addresses.end(), there) == addresses.end())
                addresses.push_back(there);
    if (addresses.empty()) return error_code(boost::asio::error::host_not_found);
    const auto preferred = std::find(addresses.begin(), addresses.end(), preferred_address(addresses));
    std::rotate(addresses.begin(), preferred, preferred + 1);
    return addresses;
}

boost::asio::ip::address plain_address(const boost::asio::ip::address& address)
{
    if (!address.is_v6()) return address;
    const auto v6 = address.to_v6();
    if (v6.is_v4_mapped()) return boost::asio::ip::make_address_v4(boost::asio::ip::v4_mapped, v6);
    return boost::asio::ip::address_v6(v6.to_bytes());
}

std::optional<tcp::endpoint> literal_address(const std::string& host, std::uint16_t port)
{
    error_code is_name;
    const auto address = boost::asio::ip::make_address(host, is_name);
    if (is_name) return std::nullopt;
    return tcp::endpoint(address, port);
}

tcp::endpoint resolve(const std::string& host, std::uint16_t port, const std::string& source)
{
    const auto found = look_up(host, port);
    if (!found)
        throw UsageError(fmt::format("{}: host '{}' cannot be resolved ({}), expected a name or an address that "
                                     "resolves on this machine",
                                     source, host, found.error().message()));
    return found->front();
}

tcp::endpoint resolve_origin(const std::string& url, const std::string& source)
{
    const auto origin = config::parse_http_origin(url);
    if (!origin) throw UsageError(fmt::format("{}: {}", source, origin.error().message));
    return resolve(origin->host, origin->port, source);
}

} // namespace hotspare::http
