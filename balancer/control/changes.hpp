// Changes of the configuration while the balancer runs: the file read again, or an operator's request. Whole or not at
// all: what is wrong with a change is found before anything of it takes effect.
//
// Thread: the monitor's, but the constructor. Owner: main.
#pragma once

#include "balancer/control/change_report.hpp"
#include "balancer/control/monitor.hpp"
#include "balancer/decide/names.hpp"
#include "balancer/decide/wanted.hpp"

#include <boost/system/result.hpp>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace hotspare::balancer {

class Changes {
public:
    /// `wanted`: what the monitor's first topology was made from, by `expansion`. From then on what its names stand for
    /// follows the answers that the monitor gets.
    Changes(Monitor& monitor, Wanted wanted, Expansion expansion);

    /// The configuration was read again, or could not be: the errors say why.
    ChangeReport reload(boost::system::result<Config, std::vector<std::string>> read);

    /// As Wanted::set_members(), if `expected` says so of the generation in force.
    ChangeReport set_members(const std::string& pool, std::vector<BackendConfig> members,
                             const std::function<bool(std::uint64_t generation)>& expected);

    /// As Wanted::set_routes(), in the same way.
    ChangeReport set_routes(std::vector<RouteSettings> routes,
                            const std::function<bool(std::uint64_t generation)>& expected);

    /// As Wanted::requests().
    Requests requests() const { return wanted_.requests(); }

private:
    std::optional<ChangeReport> unexpected(const std::function<bool(std::uint64_t generation)>& expected) const;
    ChangeReport put_in_force(Wanted wanted);
    void look_up(const Config& config);
    void heard(const NameQuery& name, std::vector<Place> places, bool complete);

    Monitor& monitor_;
    const Config running_; ///< of what cannot change
    Wanted wanted_;
    Expansion expansion_;
    bool expansion_waits_ = false; ///< an answer could not be put in force: the next one is, even if it is the same
};

} // namespace hotspare::balancer
