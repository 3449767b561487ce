#include "common/backend/cpu_burner.hpp"

#include "common/clock.hpp"

namespace hotspare::backend {
namespace {

constexpr Duration slice = milliseconds(10);

} // namespace

CpuBurner::~CpuBurner()
{
    {
        const std::lock_guard lock(mutex_);
        stop_ = true;
        load_ = 0;
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void CpuBurner::set_load(unsigned percent)
{
    {
        const std::lock_guard lock(mutex_);
        load_ = percent;
    }
    if (percent > 0 && !thread_.joinable()) thread_ = std::thread([this] { burn(); });
    changed_.notify_one();
}

void CpuBurner::burn()
{
    std::unique_lock lock(mutex_);
    while (!stop_) {
        if (load() == 0) {
            changed_.wait(lock);
            continue;
        }
        const auto start = Clock::now();
        const auto busy = slice * load() / 100;
        lock.unlock();
        while (Clock::now() - start < busy && load() > 0) {
        }
        lock.lock();
        const auto percent = load();
        if (busy < slice) changed_.wait_until(lock, start + slice, [&] { return stop_ || load() != percent; });
    }
}

} // namespace hotspare::backend
