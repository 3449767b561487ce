// Where the project's own files are: the sources, and what this build has made of them. Only own_files.cpp is compiled
// with these paths, so that a compiler cache knows every other file again in another clone.
#pragma once

#include <string>

namespace hotspare::test {

/// Path of a file of the source tree; of its root if nothing is named.
std::string source_file(const std::string& relative = {});
/// Path of a file of the build folder; of that folder itself if nothing is named.
std::string build_file(const std::string& relative = {});
/// Path of a program of this build, in the folder of its name or of its system: balancer/balancer,
/// orders/order_service. Throws if it is not built.
std::string binary(const std::string& name);

} // namespace hotspare::test
