// Gives up root: nothing that a client sends may be worked on with more rights than the work needs.
//
// Before the process has a second thread.
#pragma once

#include <string>

namespace hotspare {

/// Makes the process one of `user`: its user, its group and its other groups, no capability but CAP_NET_BIND_SERVICE,
/// with which it may still listen on a port below 1024 (capabilities(7)). Does nothing if `user` is this process's user
/// already. Throws UsageError if there is no such user, or if this process is not root's.
void become_user(const std::string& user);

} // namespace hotspare
