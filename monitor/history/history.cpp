#include "monitor/history/history.hpp"

#include "monitor/history/reader.hpp"
#include "monitor/history/schema.hpp"
#include "monitor/history/writer.hpp"

#include <filesystem>
#include <system_error>
#include <utility>

namespace hotspare::monitor {
namespace {

/// As SQLite's own default: 4 MiB of log, which a checkpoint copies in some milliseconds.
constexpr int checkpoint_pages = 1000;

} // namespace

History::History(const std::string& path, std::function<void()> broken, HistoryOptions options)
    : options_(options), file_(path, schema::file_format, storage::DatabaseFile::Use::alone),
      writer_(std::make_unique<Writer>(file_, options.synchronous, options.retention)), reader_(open_reader()),
      commit_(writer_->database(), {.verify = [this] { return file_.verify(); },
                                    .after_commit = [this] { return checkpoint_when_long(); },
                                    .when_idle = [this] { return rest(); },
                                    .broken = std::move(broken)})
{
}

History::~History() = default;

/// With the first reader all files are there.
std::unique_ptr<Reader> History::open_reader()
{
    auto reader = std::make_unique<Reader>(file_.path());
    schema::started(reader->audit_head(), file_.path());
    file_.watch({"-wal", "-shm"});
    return reader;
}

Restored History::restore()
{
    auto restored = reader_->restore();
    if (restored) return *std::move(restored);
    throw StartupError(fmt::format("cannot use the history in {}: {}", file_.path(),
                                   reader_->damage().empty() ? restored.error().message() : reader_->damage()));
}

result<void> History::checkpoint_when_long()
{
    auto& database = writer_->database();
    return database.log_pages() < checkpoint_pages ? result<void>() : database.checkpoint();
}

/// A file that is gone is noticed although nothing is written, and a log that a reader made long is given back.
result<void> History::rest()
{
    if (!file_.verify()) return {}; // DatabaseFile::trouble() says why
    std::error_code ignored;
    const auto bytes = std::filesystem::file_size(file_.path() + "-wal", ignored);
    if (ignored || bytes <= static_cast<std::uintmax_t>(storage::Database::log_bytes_kept)) return {};
    return writer_->database().drop_log();
}

/// What is not found by the history's path any more must not be answered from either.
template <class T> result<T> History::if_there(result<T> answer)
{
    if (const auto there = file_.verify(); !there) return there.error();
    return answer;
}

asio::awaitable<result<std::vector<Target>>> History::watch(std::vector<std::string> names, Instant now)
{
    auto work = [this, names = std::move(names), now] { return writer_->watch(names, now); };
    co_return co_await commit_.run(std::move(work));
}

asio::awaitable<result<void>> History::forget(std::vector<std::string> names)
{
    auto work = [this, names = std::move(names)] { return writer_->forget(names); };
    co_return co_await commit_.run(std::move(work));
}

asio::awaitable<result<void>> History::append_samples(std::vector<StoredSample> samples, Instant now)
{
    const std::size_t count = samples.size();
    if (waiting_appends_ >= options_.most_waiting_appends || waiting_samples_ + count > options_.most_waiting_samples) {
        dropped_ += count;
        co_return error_code(errc::unavailable);
    }
    ++waiting_appends_;
    waiting_samples_ += count;
    auto work = [this, samples = std::move(samples), now] { return writer_->append(samples, now); };
    const auto done = co_await commit_.run(std::move(work));
    --waiting_appends_;
    waiting_samples_ -= count;
    if (!done) dropped_ += count;
    co_return done;
}

asio::awaitable<result<Committed>> History::commit(Batch batch)
{
    auto work = [this, batch = std::move(batch)] { return writer_->commit(batch); };
    co_return co_await commit_.run(std::move(work));
}

asio::awaitable<result<Expired>> History::expire(Instant now)
{
    auto work = [this, now] { return writer_->expire(now); };
    co_return co_await commit_.run(std::move(work));
}

asio::awaitable<result<Page<StoredSample>>> History::samples(SampleQuery query)
{
    auto work = [this, query] { return if_there(reader_->samples(query)); };
    co_return co_await reading_.run(std::move(work));
}

asio::awaitable<result<std::vector<StoredRollup>>> History::rollups(TargetId target, Unit unit, Span period)
{
    auto work = [this, target, unit, period] { return if_there(reader_->rollups(target, unit, period)); };
    co_return co_await reading_.run(std::move(work));
}

asio::awaitable<result<Page<StoredIncident>>> History::incidents(IncidentQuery query)
{
    auto work = [this, query] { return if_there(reader_->incidents(query)); };
    co_return co_await reading_.run(std::move(work));
}

asio::awaitable<result<Page<ChainedEntry>>> History::audit(AuditQuery query)
{
    auto work = [this, query = std::move(query)] { return if_there(reader_->audit(query)); };
    co_return co_await reading_.run(std::move(work));
}

asio::awaitable<result<AuditFinding>> History::verify_audit()
{
    auto work = [this] { return if_there(reader_->verify_audit()); };
    co_return co_await reading_.run(std::move(work));
}

asio::awaitable<result<Sizes>> History::sizes()
{
    auto work = [this] { return if_there(reader_->sizes()); };
    co_return co_await reading_.run(std::move(work));
}

AuditFinding verify_audit(const std::string& path)
{
    if (!std::filesystem::exists(path)) throw UsageError(fmt::format("{} does not exist", path));
    const storage::DatabaseFile file(path, schema::file_format, storage::DatabaseFile::Use::shared);
    Reader reader(path);
    return schema::started(reader.verify_audit(), path);
}

} // namespace hotspare::monitor
