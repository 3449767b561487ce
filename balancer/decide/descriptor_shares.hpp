// How the descriptors that the process may have are shared out, so that no kind of client can take the last one from
// the requests that are being carried: idle clients not, and readers of the built-in pages neither.
//
// PURE. Thread: any.
#pragma once

#include <cstddef>

namespace hotspare::balancer {

struct DescriptorShares {
    std::size_t clients; ///< connections of clients, of all workers together
    std::size_t pages;   ///< requests for a page at once; each takes two descriptors beside its client's
    std::size_t streams; ///< event streams at once; two as well
};

/// Of a process that may have `limit` descriptors (RLIMIT_NOFILE). No share is 0.
DescriptorShares share_out(std::size_t limit);

} // namespace hotspare::balancer
