#include "common/http/address.hpp"

#include "common/config.hpp"
#include "common/error.hpp"

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

tcp::endpoint resolve(const std::string& host, std::uint16_t port, const std::string& source)
{
    boost::asio::io_context context;
    tcp::resolver resolver(context);
    error_code ec;
    const auto found = resolver.resolve(host, std::to_string(port), tcp::resolver::numeric_service, ec);
    if (ec || found.empty())
        throw UsageError(fmt::format("{}: host '{}' cannot be resolved ({}), expected a name or an address that "
                                     "resolves on this machine",
                                     source, host, ec.message()));
    return preferred_address(std::vector<tcp::endpoint>(found.begin(), found.end()));
}

tcp::endpoint resolve_origin(const std::string& url, const std::string& source)
{
    const auto origin = config::parse_http_origin(url);
    if (!origin) throw UsageError(fmt::format("{}: {}", source, origin.error().message));
    return resolve(origin->host, origin->port, source);
}

} // namespace hotspare::http
