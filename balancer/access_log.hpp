// The access log: one JSON line per request, with the trail of its attempts.
//
// Written off the hot path: a worker appends plain records to a batch of its own; ten times a second, or when the batch
// is full, it swaps the batch with the writer thread, which formats and writes. When the disk cannot keep up, records
// are dropped and counted, requests are not delayed.
//
// Threads: Writer belongs to one worker each; AccessLog owns the thread that formats.
#pragma once

#include "balancer/attempt.hpp"
#include "balancer/config.hpp"
#include "common/clock.hpp"

#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::balancer {

struct AccessRecord {
    WallTime time{};
    Duration duration{};
    std::string client;
    std::string method;
    std::string target;
    std::string request_id;
    unsigned status = 0; ///< 0 = closed without a response
    std::uint64_t bytes_in = 0;
    std::uint64_t bytes_out = 0;
    std::optional<PoolIndex> pool; ///< none: refused before it was routed
    bool complete = true;          ///< false: the client could not be given the whole response
    std::vector<Attempt> trail;
};

class AccessLog {
public:
    /// `path`: a file to append to, or "-" for standard output. Throws StartupError if it cannot be opened.
    AccessLog(const std::string& path, const Config& config);
    ~AccessLog(); ///< writes what is queued

    class Writer {
    public:
        explicit Writer(AccessLog& log) : log_(log) { batch_.reserve(batch_size); }

        /// False if the record was dropped because the writer thread is behind.
        bool add(AccessRecord record);
        /// Hands over what has been gathered; call about ten times a second.
        void flush();

    private:
        static constexpr std::size_t batch_size = 512;
        AccessLog& log_;
        std::vector<AccessRecord> batch_;
    };

private:
    static constexpr std::size_t backlog_limit = 65536;

    bool push(std::vector<AccessRecord>& batch);
    void run();
    std::string format(const AccessRecord& record) const;

    const Config& config_;
    std::FILE* file_ = nullptr;
    std::mutex mutex_;
    std::condition_variable ready_;
    std::vector<AccessRecord> queue_;
    bool stopping_ = false;
    std::thread thread_;
};

} // namespace hotspare::balancer
