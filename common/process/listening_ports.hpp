// The ports that a process listens on, as the kernel lists them, for what people are shown.
//
// Any thread; no state.
#pragma once

#include <cstdint>
#include <vector>

#include <sys/types.h>

namespace hotspare::process {

/// TCP ports in ascending order, each once; empty if there are none or the process is not ours to look at.
std::vector<std::uint16_t> listening_ports(pid_t pid);

} // namespace hotspare::process
