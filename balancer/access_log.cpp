#include "balancer/access_log.hpp"

#include "common/clock.hpp"
#include "common/error.hpp"
#include "common/time.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstring>

namespace hotspare::balancer {

AccessLog::AccessLog(const std::string& path, const Config& config) : config_(config)
{
    file_ = path == "-" ? stdout : std::fopen(path.c_str(), "ae");
    if (file_ == nullptr)
        throw StartupError(fmt::format("access log: cannot open '{}' for appending: {}", path, std::strerror(errno)));
    thread_ = std::thread([this] { run(); });
}

AccessLog::~AccessLog()
{
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
    }
    ready_.notify_one();
    thread_.join();
    if (file_ != stdout) std::fclose(file_);
}

bool AccessLog::Writer::add(AccessRecord record)
{
    batch_.push_back(std::move(record));
    if (batch_.size() < batch_size) return true;
    const bool kept = log_.push(batch_);
    batch_.clear();
    return kept;
}

void AccessLog::Writer::flush()
{
    if (batch_.empty()) return;
    log_.push(batch_);
    batch_.clear();
}

bool AccessLog::push(std::vector<AccessRecord>& batch)
{
    {
        const std::lock_guard lock(mutex_);
        if (queue_.size() + batch.size() > backlog_limit) return false;
        queue_.insert(queue_.end(), std::make_move_iterator(batch.begin()), std::make_move_iterator(batch.end()));
    }
    ready_.notify_one();
    return true;
}

void AccessLog::run()
{
    std::vector<AccessRecord> batch;
    for (;;) {
        {
            std::unique_lock lock(mutex_);
            ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (queue_.empty()) return;
            batch.swap(queue_);
        }
        for (const AccessRecord& record : batch) {
            const std::string line = format(record);
            std::fwrite(line.data(), 1, line.size(), file_);
        }
        std::fflush(file_);
        batch.clear();
    }
}

std::string AccessLog::format(const AccessRecord& record) const
{
    auto trail = nlohmann::ordered_json::array();
    const char* served_by = nullptr;
    for (const Attempt& attempt : record.trail) {
        const std::string& name = config_.backends[attempt.backend].name;
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
        {"pool", record.pool ? nlohmann::json(config_.pools[*record.pool].name) : nlohmann::json()},
        {"request_id", record.request_id},
        {"attempts", std::move(trail)}};
    if (served_by != nullptr) line["served_by"] = served_by;
    return line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

} // namespace hotspare::balancer
