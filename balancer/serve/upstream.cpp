#include "balancer/serve/upstream.hpp"

#include <algorithm>

namespace hotspare::balancer {

UpstreamPools::UpstreamPools(Connector& connector, DeadlineWheel& wheel, WorkerCounters& counters)
    : connector_(connector), wheel_(wheel), counters_(counters)
{
}

UpstreamPools::~UpstreamPools()
{
    close_all();
}

void UpstreamPools::adopt(const std::shared_ptr<const Topology>& topology)
{
    addresses_.resize(topology->backends.size());
    idle_.resize(topology->backends.size());
    for (std::size_t b = 0; b < idle_.size(); ++b) {
        const auto backend = static_cast<BackendIndex>(b);
        if (!topology->same_backend(*topology_, backend)) addresses_[b].clear();
        if (topology->present(backend) || idle_[b].empty()) continue;
        for (Idle& entry : idle_[b]) entry.stream->close();
        idle_[b].clear();
        counters_.backends[b].idle.set(0);
    }
    topology_ = topology;
}

void UpstreamPools::set_addresses(BackendIndex backend, Addresses addresses)
{
    if (backend >= addresses_.size()) return;
    addresses_[backend] = std::move(addresses);
    const auto gone = std::erase_if(idle_[backend], [&](const Idle& entry) {
        if (leads_to(backend, *entry.stream)) return false;
        entry.stream->close();
        return true;
    });
    if (gone > 0) counters_.backends[backend].idle.set(static_cast<std::int64_t>(idle_[backend].size()));
}

bool UpstreamPools::leads_to(BackendIndex backend, const Stream& stream) const noexcept
{
    const auto& addresses = addresses_[backend];
    return stream.peer().port() == 0 || std::find(addresses.begin(), addresses.end(), stream.peer()) != addresses.end();
}

Stream::Ptr UpstreamPools::take(BackendIndex backend)
{
    auto& idle = idle_[backend];
    while (!idle.empty()) {
        const auto known =
            std::find_if(idle.rbegin(), idle.rend(), [](const Idle& entry) { return entry.stream->is_known_quiet(); });
        const auto next = known != idle.rend() ? std::prev(known.base()) : std::prev(idle.end());
        Stream::Ptr stream = std::move(next->stream);
        idle.erase(next);
        counters_.backends[backend].idle.set(static_cast<std::int64_t>(idle.size()));
        if (!stream->may_be_reused()) {
            stream->close();
            continue;
        }
        counters_.backends[backend].reused.add();
        stream->listen(nullptr);
        return stream;
    }
    return nullptr;
}

Stream::Ptr UpstreamPools::connect(BackendIndex backend, StreamListener& listener)
{
    counters_.backends[backend].connects.add();
    const std::string& path = topology_->backends[backend].socket;
    return path.empty() ? connector_.connect(addresses_[backend], listener) : connector_.connect_local(path, listener);
}

void UpstreamPools::give_back(BackendIndex backend, Stream::Ptr stream, TimePoint now)
{
    auto& idle = idle_[backend];
    if (idle.size() >= topology_->limits.upstream_idle_per_backend || !topology_->present(backend) ||
        !leads_to(backend, *stream)) {
        stream->close();
        return;
    }
    stream->listen(this);
    stream->await_readable();
    idle.push_back({std::move(stream), now});
    counters_.backends[backend].idle.set(static_cast<std::int64_t>(idle.size()));
    if (!armed()) wheel_.arm(*this, now + topology_->timeouts.upstream_idle);
}

void UpstreamPools::drop(BackendIndex backend)
{
    // With RST: after a FIN of ours the local port would stay taken in TIME_WAIT, or in FIN_WAIT2 while the backend
    // hangs.
    for (Idle& entry : idle_[backend]) entry.stream->close(true);
    idle_[backend].clear();
    counters_.backends[backend].idle.set(0);
}

std::size_t UpstreamPools::close_all()
{
    std::size_t closed = 0;
    for (std::size_t b = 0; b < idle_.size(); ++b) {
        closed += idle_[b].size();
        drop(static_cast<BackendIndex>(b));
    }
    return closed;
}

// An idle connection became readable: the backend closed it, or sent bytes that belong to no request. Either way it is
// of no more use.
void UpstreamPools::stream_ready(Stream& stream)
{
    // Not every byte of a connection is one of a response: of TLS, some are for the layer below.
    if (stream.is_quiet()) return stream.await_readable();
    for (std::size_t b = 0; b < idle_.size(); ++b) {
        const auto it = std::find_if(idle_[b].begin(), idle_[b].end(),
                                     [&](const Idle& entry) { return entry.stream.get() == &stream; });
        if (it == idle_[b].end()) continue;
        it->stream->close();
        idle_[b].erase(it);
        counters_.backends[b].idle.set(static_cast<std::int64_t>(idle_[b].size()));
        return;
    }
}

void UpstreamPools::deadline_passed(TimePoint now)
{
    auto oldest = TimePoint::max();
    for (std::size_t b = 0; b < idle_.size(); ++b) {
        auto& idle = idle_[b];
        const auto expired = [&](const Idle& entry) { return entry.since + topology_->timeouts.upstream_idle <= now; };
        const auto keep = std::find_if_not(idle.begin(), idle.end(), expired);
        std::for_each(idle.begin(), keep, [](Idle& entry) { entry.stream->close(); });
        idle.erase(idle.begin(), keep);
        counters_.backends[b].idle.set(static_cast<std::int64_t>(idle.size()));
        if (!idle.empty()) oldest = std::min(oldest, idle.front().since);
    }
    if (oldest != TimePoint::max()) wheel_.arm(*this, oldest + topology_->timeouts.upstream_idle);
}

} // namespace hotspare::balancer
