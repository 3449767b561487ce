// Burns a share of one core on a thread of its own, so that a server under load is really under load.
//
// Thread: set_load() and load() on any one; the burning on its own, which exists from the first load above zero on.
// Owner: the service.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

namespace hotspare::backend {

class CpuBurner {
public:
    CpuBurner() = default;
    ~CpuBurner();
    CpuBurner(const CpuBurner&) = delete;
    CpuBurner& operator=(const CpuBurner&) = delete;

    /// Percent of one core, 0 to 100, held as a duty cycle of 10 ms.
    void set_load(unsigned percent);
    unsigned load() const noexcept { return load_.load(std::memory_order_relaxed); }

private:
    void burn();

    std::atomic<unsigned> load_{0};
    std::mutex mutex_; ///< guards stop_, and load_ against a lost wake-up
    std::condition_variable changed_;
    bool stop_ = false;
    std::thread thread_;
};

} // namespace hotspare::backend
