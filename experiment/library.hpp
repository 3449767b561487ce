// Finds experiments: a file by its path, or one of those that come with hotspare by its name.
//
// Single-threaded, at start-up.
#pragma once

#include "experiment/record/plan.hpp"

#include <filesystem>
#include <string>
#include <vector>

namespace hotspare::experiment {

/// Names of the experiments in the folder, in order.
std::vector<std::string> names_in(const std::filesystem::path& library);

/// Throws UsageError: no such file and no such name (with the nearest one), or what read_plan() says.
Plan find_plan(const std::string& file_or_name, const std::filesystem::path& library);

} // namespace hotspare::experiment
