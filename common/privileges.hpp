// Gives up root: nothing that a client sends may be worked on with more rights than the work needs.
//
// Linux has capabilities for what root may do beyond others (capabilities(7)). Of these a daemon keeps one at most,
// CAP_NET_BIND_SERVICE: with it it may listen on a port below 1024.
//
// Before the process has a second thread.
#pragma once

#include <string>

namespace hotspare {

/// Makes the process one of `user`: its user, its group and its other groups, no other capability. Does nothing if
/// `user` is this process's user already. Throws UsageError if there is no such user, or if this process is not root's.
void become_user(const std::string& user);

/// A process of root stays one, the owner of root's files, and gives up every other capability: it cannot override the
/// permissions of files, change its user, or signal and inspect other users' processes; nor can what it executes. Does
/// nothing in a process of another user.
void give_up_capabilities();

} // namespace hotspare
