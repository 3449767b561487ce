// The access log: one JSON line per request, with the trail of its attempts.
//
// Written off the hot path: a worker appends plain records to a batch of its own; ten times a second, or when the batch
// is full, it hands the batch to the writer thread, which formats and writes. What the log does not take in time, or
// cannot take at all, is dropped, counted line by line and reported in the log of the process with the reason, at most
// once a second. Requests are not delayed.
//
// Threads: Writer belongs to one worker each; AccessLog owns the thread that formats. A Writer must not outlive its
// AccessLog.
#pragma once

#include "balancer/decide/attempt.hpp"
#include "balancer/decide/topology.hpp"
#include "common/clock.hpp"

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
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

/// Bytes that a record takes in memory.
std::size_t footprint(const AccessRecord& record) noexcept;

class AccessLog {
public:
    /// `path`: a file to append to, or "-" for standard output. At most `most_waiting` bytes of records wait. Throws
    /// StartupError if it cannot be opened.
    AccessLog(const std::string& path, std::uint64_t most_waiting);
    ~AccessLog(); ///< writes what is queued, but does not wait longer than a second for a reader

    /// Opens the path again, as after a rotation: the lines that follow go to the new file. If that fails they go on to
    /// the old one. Standard output stays as it is. Any thread; takes effect within moments.
    void reopen();

private:
    /// Lines of one worker that were lost since it last asked: added by the writer thread, taken by the worker.
    using Lost = std::atomic<std::uint64_t>;
    struct Batch {
        std::vector<AccessRecord> records;
        std::shared_ptr<const Topology> topology; ///< that the slots in the records are of
        std::size_t bytes = 0;
        std::shared_ptr<Lost> lost;
    };

public:
    class Writer {
    public:
        /// `topology`: whose slots the records name.
        Writer(AccessLog& log, std::shared_ptr<const Topology> topology) : log_(log), topology_(std::move(topology))
        {
            start_batch();
        }

        /// Whose slots they name from now on.
        void use(std::shared_ptr<const Topology> topology);
        void add(AccessRecord record);
        /// Hands over what has been gathered; call about ten times a second. Returns how many lines were lost since the
        /// last call, of those added before it.
        std::uint64_t flush();

    private:
        static constexpr std::size_t most_records = 512;
        static constexpr std::size_t most_bytes = 64 * 1024;

        void start_batch();
        void hand_over();

        AccessLog& log_;
        std::shared_ptr<Lost> lost_ = std::make_shared<Lost>(0);
        std::size_t expected_ = 1; ///< records in the next batch: as many as in the last one
        std::shared_ptr<const Topology> topology_;
        Batch batch_{};
    };

private:
    /// Where a line ends in text_, and whose it is.
    struct Line {
        std::size_t end;
        Lost* lost;
    };

    bool push(Batch& batch);
    void run();
    void write_batch(const Batch& batch);
    void write_text();
    std::size_t write_out(std::string_view text);
    void open_again();
    void tell(bool at_the_end);

    const std::uint64_t most_waiting_;
    const std::string path_;
    int fd_ = -1;         ///< the writer thread's, once it runs
    bool regular_ = true; ///< a file: writing to it waits for no reader

    // The writer thread's
    std::string text_;
    std::vector<Line> lines_;
    bool torn_ = false; ///< the file ends within a line
    std::uint64_t unwritten_ = 0;
    int why_ = 0; ///< errno of the latest of them
    TimePoint next_told_{};

    std::mutex mutex_; ///< guards the rest
    std::condition_variable ready_;
    std::vector<Batch> queue_;
    std::size_t backlog_ = 0;    ///< bytes in queue_ and of the batches that are being written
    std::uint64_t too_many_ = 0; ///< lines that the backlog had no room for, to be reported
    bool reopen_ = false;
    bool stopping_ = false;
    TimePoint give_up_ = TimePoint::max(); ///< on a reader that does not read

    std::thread thread_;
};

} // namespace hotspare::balancer
