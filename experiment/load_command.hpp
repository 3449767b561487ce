// `experiment load`: loads one HTTP server and prints one line of JSON with exact quantiles; no fault, no verdict. The
// benchmark's client, and as useful by hand:
//
//   experiment load --target 127.0.0.1:5000 --path /data --connections 64 --rate 5000 --seconds 5
//
// Thread: blocks its caller. Owner: main.
#pragma once

#include <string>
#include <vector>

namespace hotspare::experiment {

/// `arguments` are what follows the word `load`. Returns the exit code: 0 done, 1 the self-check found the generator
/// wanting, 2 bad usage. Throws UsageError, and std::system_error when this machine is short of something.
int load_command(const std::vector<std::string>& arguments);

} // namespace hotspare::experiment
