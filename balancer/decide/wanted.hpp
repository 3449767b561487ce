// What the balancer is asked to be: the configuration as it was read last, and what operators' requests have changed of
// it since. A request outlives a configuration that is read again, unless that says something else of the same pool,
// or of the dynamic routes, than it did when the request came.
//
// PURE. Thread: the monitor's. Owner: Changes.
#pragma once

#include "balancer/config.hpp"

#include <boost/system/result.hpp>

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::balancer {

/// An operator's request that the members of a pool be others than those of the configuration.
struct MembersRequest {
    std::string pool;
    std::vector<BackendConfig> instead_of; ///< the members by the configuration
    std::vector<BackendConfig> members;
};

/// The same of the dynamic routes.
struct RoutesRequest {
    std::vector<RouteSettings> instead_of; ///< the dynamic routes by the configuration
    std::vector<RouteSettings> routes;
};

struct Requests {
    std::vector<MembersRequest> members{};
    std::optional<RoutesRequest> routes{};
};

class Wanted {
public:
    explicit Wanted(Config configuration) : configuration_(std::move(configuration)) {}

    const Config& configuration() const noexcept { return configuration_; }

    /// What a configuration that was read again has put in place of what requests had said.
    struct Replaced {
        std::vector<std::string> pools{}; ///< names of those whose members are no longer those of a request
        bool routes = false;              ///< the dynamic routes

        bool operator==(const Replaced&) const = default;
    };
    /// The configuration was read again.
    Replaced read_again(Config configuration);

    /// `members` instead of what the pool's members are, in the order of preference. `pool` must be one of
    /// configuration(); every member has a name, an address, a weight, and a connection limit or limit_as_configured.
    void set_members(const std::string& pool, std::vector<BackendConfig> members);

    /// `routes` instead of the dynamic ones: those of the configuration, and of an earlier request. Their error pages
    /// are those that the configuration has read.
    void set_routes(std::vector<RouteSettings> routes);

    /// Those that hold, and in another process: makes them hold there, as if they came now, but for those where the
    /// configuration says something else than it did then.
    Requests requests() const;
    Replaced restore(const Requests& requests);

    /// Both together. A backend that is in the configuration only as a member that a request has replaced is left out.
    /// Fails, with a sentence, if two pools say different addresses or connection limits of one name, a route of a
    /// request is for the same requests as one that is not dynamic, or there are too many backends or routes.
    boost::system::result<Config, std::string> combined() const;

private:
    struct Request {
        std::vector<BackendConfig> instead_of; ///< the members by the configuration
        std::vector<BackendConfig> members;
    };

    bool routes_hold() const;
    boost::system::result<void, std::string> add_routes(Config& all) const;
    static std::vector<BackendConfig> members_of(const Config& config, const PoolConfig& pool);

    Config configuration_;
    std::map<std::string, Request, std::less<>> requests_; ///< by the pool's name
    std::optional<RoutesRequest> routes_;
};

/// Names of the settings in which `wanted` differs from `running` that take effect only at a restart.
std::vector<std::string> needs_restart(const Config& running, const Config& wanted);

} // namespace hotspare::balancer
