// Listens to a balancer's /events (Server-Sent Events) and stamps each with the moment at which it arrived. When the
// connection breaks, because the balancer was killed for example, it asks again for what came after the last.
//
// Thread: one of its own; take() from any. Lifetime: the destructor ends it at once.
#pragma once

#include "common/clock.hpp"
#include "common/config.hpp"
#include "experiment/record/record.hpp"

#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace hotspare::experiment {

class EventReader {
public:
    struct Event {
        TimePoint at;
        EventRecord record; ///< without its `at`
    };

    explicit EventReader(config::HostPort balancer);

    /// Connected and reading: what happens from now on will be seen.
    bool connected() const;
    /// What has arrived since the last call.
    std::vector<Event> take();

private:
    void run(const std::stop_token& stop);
    void read_stream(const std::stop_token& stop);
    void take_line(std::string_view line, TimePoint at);

    const config::HostPort balancer_;
    std::string last_id_; ///< the thread's
    mutable std::mutex mutex_;
    std::vector<Event> events_;
    bool connected_ = false;
    std::jthread thread_;
};

} // namespace hotspare::experiment
