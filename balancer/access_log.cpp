#include "balancer/access_log.hpp"

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/json_document.hpp"
#include "common/log.hpp"
#include "common/time.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstring>
#include <utility>

namespace hotspare::balancer {
namespace {

/// Written at one go.
constexpr std::size_t write_size = 64 * 1024;
constexpr Duration report_interval = seconds(1);
constexpr Duration stop_patience = seconds(1);

int open_for_appending(const std::string& path)
{
    return ::open(path.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
}

bool is_regular(int fd)
{
    struct stat about {};
    return ::fstat(fd, &about) == 0 && S_ISREG(about.st_mode);
}

/// As a line of JSON.
std::string format(const AccessRecord& record, const Topology& topology)
{
    auto trail = nlohmann::ordered_json::array();
    const char* served_by = nullptr;
    for (const Attempt& attempt : record.trail) {
        const std::string& name = topology.backends[attempt.backend].name;
        nlohmann::ordered_json entry = {
            {"backend", name}, {"outcome", to_string(attempt.outcome)}, {"ms", to_ms(attempt.ended - attempt.started)}};
        if (attempt.status != 0) entry["status"] = attempt.status;
        if (attempt.hedge) entry["hedge"] = true;
        if (attempt.reused_connection) entry["reused"] = true;
        if (attempt.stage == Stage::answered) served_by = name.c_str();
        trail.push_back(std::move(entry));
    }
    nlohmann::ordered_json line = {
        {"time", format_rfc3339(record.time)},
        {"client", record.client},
        {"method", record.method},
        {"target", record.target},
        {"status", record.status},
        {"complete", record.complete},
        {"ms", to_ms(record.duration)},
        {"bytes_in", record.bytes_in},
        {"bytes_out", record.bytes_out},
        {"pool", record.pool ? nlohmann::json(topology.pools[*record.pool].name) : nlohmann::json()},
        {"request_id", record.request_id},
        {"attempts", std::move(trail)}};
    if (served_by != nullptr) line["served_by"] = served_by;
    return json_text(line) + "\n";
}

} // namespace

std::size_t footprint(const AccessRecord& record) noexcept
{
    const auto storage = [](const std::string& text) { return text.capacity() > 15 ? text.capacity() + 1 : 0; };
    return sizeof(AccessRecord) + storage(record.client) + storage(record.method) + storage(record.target) +
           storage(record.request_id) + record.trail.capacity() * sizeof(Attempt);
}

// ------------------------------------------------------------------------------------------------ on a worker's thread

void AccessLog::Writer::start_batch()
{
    batch_ = Batch{.records = {}, .topology = topology_, .bytes = 0, .lost = lost_};
    batch_.records.reserve(expected_);
}

void AccessLog::Writer::use(std::shared_ptr<const Topology> topology)
{
    topology_ = std::move(topology);
    if (batch_.records.empty())
        batch_.topology = topology_;
    else
        hand_over();
}

void AccessLog::Writer::add(AccessRecord record)
{
    batch_.bytes += footprint(record);
    batch_.records.push_back(std::move(record));
    if (batch_.records.size() >= most_records || batch_.bytes >= most_bytes) hand_over();
}

std::uint64_t AccessLog::Writer::flush()
{
    if (!batch_.records.empty()) hand_over();
    return lost_->exchange(0, std::memory_order_relaxed);
}

void AccessLog::Writer::hand_over()
{
    const auto lines = batch_.records.size();
    batch_.bytes += (batch_.records.capacity() - lines) * sizeof(AccessRecord);
    expected_ = lines;
    if (!log_.push(batch_)) lost_->fetch_add(lines, std::memory_order_relaxed);
    start_batch();
}

/// False, and nothing taken, if the backlog has no room. One batch has room always.
bool AccessLog::push(Batch& batch)
{
    {
        const std::lock_guard lock(mutex_);
        if (backlog_ > 0 && backlog_ + batch.bytes > most_waiting_) {
            too_many_ += batch.records.size();
            return false;
        }
        backlog_ += batch.bytes;
        queue_.push_back(std::move(batch));
    }
    ready_.notify_one();
    return true;
}

void AccessLog::reopen()
{
    {
        const std::lock_guard lock(mutex_);
        reopen_ = true;
    }
    ready_.notify_one();
}

// --------------------------------------------------------------------------------------------- on the writer's thread

AccessLog::AccessLog(const std::string& path, std::uint64_t most_waiting) : most_waiting_(most_waiting), path_(path)
{
    fd_ = path == "-" ? STDOUT_FILENO : open_for_appending(path);
    if (fd_ < 0)
        throw StartupError(fmt::format("access log: cannot open '{}' for appending: {}", path, std::strerror(errno)));
    regular_ = is_regular(fd_);
    thread_ = std::thread([this] { run(); });
}

AccessLog::~AccessLog()
{
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        give_up_ = Clock::now() + stop_patience;
    }
    ready_.notify_one();
    thread_.join();
    if (fd_ != STDOUT_FILENO) ::close(fd_);
}

void AccessLog::run()
{
    std::vector<Batch> taken;
    for (;;) {
        bool over = false;
        bool again = false;
        {
            std::unique_lock lock(mutex_);
            const auto woken = [this] { return stopping_ || reopen_ || !queue_.empty(); };
            if (unwritten_ > 0 || too_many_ > 0) // something is left to report
                ready_.wait_until(lock, next_told_, woken);
            else
                ready_.wait(lock, woken);
            taken.swap(queue_);
            over = stopping_ && taken.empty();
            again = std::exchange(reopen_, false);
        }
        if (again) open_again();
        for (Batch& batch : taken) {
            write_batch(batch);
            const std::lock_guard lock(mutex_);
            backlog_ -= batch.bytes;
            batch = {};
        }
        taken.clear();
        tell(over);
        if (over) return;
    }
}

void AccessLog::write_batch(const Batch& batch)
{
    for (const AccessRecord& record : batch.records) {
        text_ += format(record, *batch.topology);
        lines_.push_back({text_.size(), batch.lost.get()});
        if (text_.size() >= write_size) write_text();
    }
    write_text();
}

/// Writes all lines of text_ and counts those that are not in the log in full.
void AccessLog::write_text()
{
    // The rest of a line that a full disk cut short must not run into the next one.
    if (torn_ && write_out("\n") == 1) torn_ = false;
    const std::size_t written = torn_ ? 0 : write_out(text_);
    std::size_t whole = 0;
    for (const Line& line : lines_) {
        if (line.end <= written) {
            whole = line.end;
            continue;
        }
        line.lost->fetch_add(1, std::memory_order_relaxed);
        ++unwritten_;
    }
    if (written > whole) torn_ = true;
    text_.clear();
    lines_.clear();
}

/// Returns how many bytes were written; if not all, why_ says why.
std::size_t AccessLog::write_out(std::string_view text)
{
    std::size_t done = 0;
    while (done < text.size()) {
        std::size_t size = text.size() - done;
        if (!regular_) {
            // A pipe whose reader has stopped must not hold the thread for good: poll() promises room for PIPE_BUF.
            size = std::min<std::size_t>(size, PIPE_BUF);
            pollfd entry{fd_, POLLOUT, 0};
            bool patient;
            {
                const std::lock_guard lock(mutex_);
                patient = Clock::now() < give_up_;
            }
            if (::poll(&entry, 1, patient ? 100 : 0) == 0) {
                tell(false);
                if (patient) continue;
                why_ = ETIMEDOUT;
                break;
            }
        }
        const auto n = ::write(fd_, text.data() + done, size);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
        if (n < 0) {
            why_ = errno;
            break;
        }
        done += static_cast<std::size_t>(n);
    }
    return done;
}

void AccessLog::open_again()
{
    if (fd_ == STDOUT_FILENO) return;
    const int fd = open_for_appending(path_);
    if (fd < 0) {
        log::error("access log: cannot open '{}' again, the old file stays in use: {}", path_, std::strerror(errno));
        return;
    }
    ::close(fd_);
    fd_ = fd;
    regular_ = is_regular(fd);
    torn_ = false;
}

/// Reports lost lines, at most once in report_interval and at the end.
void AccessLog::tell(bool at_the_end)
{
    const TimePoint now = Clock::now();
    std::uint64_t too_many = 0;
    {
        const std::lock_guard lock(mutex_);
        if (unwritten_ + too_many_ == 0 || (now < next_told_ && !at_the_end)) return;
        too_many = std::exchange(too_many_, 0);
    }
    next_told_ = now + report_interval;
    if (unwritten_ > 0)
        log::warn("access log: {} lines dropped, '{}' cannot be written: {}", std::exchange(unwritten_, 0), path_,
                  std::strerror(why_));
    if (too_many > 0)
        log::warn("access log: {} lines dropped, '{}' takes lines too slowly: limits.access_log_backlog is reached",
                  too_many, path_);
}

} // namespace hotspare::balancer
