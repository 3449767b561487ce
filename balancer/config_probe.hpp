// What a file says about probes: the keys of `probe` of a pool and of a backend, and what spans several of them.
//
// Any thread.
#pragma once

#include "balancer/config.hpp"
#include "common/config.hpp"

#include <string>

namespace hotspare::balancer {

void fields(config::Fields& field, ProbeConfig& probe);
void fields(config::Fields& field, OwnProbe& probe);

/// Checks the keys of the probe at `path` that a rule of one key does not cover. Throws UsageError.
void check_probe(const ProbeConfig& probe, const std::string& path, const config::Places& places);
void check_probe(const OwnProbe& probe, const std::string& path, const config::Places& places);

/// The same of what the backend's own settings make of its pool's. `path`: the backend's.
void check_probes_together(const OwnProbe& own, const std::string& path, const ProbeConfig& pool,
                           const config::Places& places);

} // namespace hotspare::balancer
