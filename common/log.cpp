#include "common/log.hpp"

#include "common/json_document.hpp"
#include "common/signals.hpp"
#include "common/text.hpp"
#include "common/time.hpp"

#include <fmt/format.h>
#include <spdlog/async_logger.h>
#include <spdlog/details/thread_pool.h>
#include <spdlog/formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <utility>

#include <poll.h>
#include <unistd.h>

namespace hotspare::log {
namespace {

/// spdlog carries one text per message. An event's text is the message, this separator and the fields as JSON, told
/// from any other message by its source location pointing here: no text that a client sends can pass for it.
constexpr char fields_marker[] = "fields";
constexpr char fields_separator = '\x1e'; // JSON escapes control characters, so the last one in the text is ours

static_assert(static_cast<int>(Level::trace) == SPDLOG_LEVEL_TRACE && static_cast<int>(Level::off) == SPDLOG_LEVEL_OFF);

spdlog::level::level_enum to_spdlog(Level level)
{
    return static_cast<spdlog::level::level_enum>(level);
}

struct Parts {
    std::string_view message;
    std::string_view fields; ///< the inside of a JSON object
};

Parts split(const spdlog::details::log_msg& msg)
{
    const std::string_view payload(msg.payload.data(), msg.payload.size());
    if (msg.source.filename != static_cast<const char*>(fields_marker)) return {payload, {}};
    const auto cut = payload.rfind(fields_separator);
    return {payload.substr(0, cut), payload.substr(cut + 1)};
}

std::string_view level_name(const spdlog::details::log_msg& msg)
{
    const auto name = spdlog::level::to_string_view(msg.level);
    return {name.data(), name.size()};
}

class JsonFormatter final : public spdlog::formatter {
public:
    explicit JsonFormatter(std::string service) : service_(std::move(service)) {}

    void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& out) override
    {
        const auto [message, fields] = split(msg);
        fmt::format_to(std::back_inserter(out),
                       R"({{"ts":"{}","level":"{}","service":{},"msg":{}{}{}}})"
                       "\n",
                       format_rfc3339(std::chrono::time_point_cast<WallTime::duration>(msg.time)), level_name(msg),
                       escaped(service_), escaped(message), fields.empty() ? "" : ",", fields);
    }

    std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<JsonFormatter>(service_); }

private:
    static std::string escaped(std::string_view text) { return printable_json(json_string(text)); }

    std::string service_;
};

class TextFormatter final : public spdlog::formatter {
public:
    explicit TextFormatter(std::string service) : service_(std::move(service)) {}

    void format(const spdlog::details::log_msg& msg, spdlog::memory_buf_t& out) override
    {
        const auto time = format_rfc3339(std::chrono::time_point_cast<WallTime::duration>(msg.time));
        fmt::format_to(std::back_inserter(out), "{} {:<8} {}: ", time, level_name(msg), service_);
        const auto message = printable(split(msg).message);
        out.append(message.data(), message.data() + message.size());
        out.push_back('\n');
    }

    std::unique_ptr<spdlog::formatter> clone() const override { return std::make_unique<TextFormatter>(service_); }

private:
    std::string service_;
};

/// Gives the writer thread a moment to write what led to an abort, which would otherwise die with the queue.
extern "C" void wait_for_writer(int)
{
    const std::timespec moment{0, 100'000'000};
    nanosleep(&moment, nullptr);
    // SA_RESETHAND put the default action back; abort() raises the signal again when this returns.
}

} // namespace

/// Writes lines to a descriptor without ever blocking for good. The descriptor may be shared with other processes, so
/// it is not made non-blocking; poll() says whether a pipe takes another PIPE_BUF bytes, which is also the largest
/// write that the kernel does not interleave with those of others. Runs on the background thread.
class Session::Sink final : public spdlog::sinks::base_sink<std::mutex> {
public:
    Sink(const Settings& settings, std::unique_ptr<spdlog::formatter> formatter, spdlog::details::thread_pool& queue)
        : base_sink(std::move(formatter)), fd_(settings.fd), patience_(settings.patience), queue_(queue)
    {
    }

    std::size_t dropped() const { return unwritten_.load() + queue_.overrun_counter(); }

private:
    static constexpr std::size_t chunk = 4096;

    void sink_it_(const spdlog::details::log_msg& msg) override
    {
        const auto lost = dropped();
        if (lost > reported_ && writable(Duration::zero())) {
            const auto text =
                fmt::format("{} log lines were dropped because standard error was not read", lost - reported_);
            if (write(spdlog::details::log_msg("", spdlog::level::warn, text))) reported_ = lost;
        }
        // A line that cannot be written is not formatted either: at the end of the process thousands may be queued.
        if (stuck_ && !writable(Duration::zero()))
            ++unwritten_;
        else if (!write(msg))
            ++unwritten_;
    }

    void flush_() override {}

    bool write(const spdlog::details::log_msg& msg)
    {
        spdlog::memory_buf_t line;
        formatter_->format(msg, line);
        for (std::size_t done = 0; done < line.size();) {
            // After one wait has timed out, later lines do not wait until the reader has read.
            const bool ready = writable(stuck_ ? Duration::zero() : patience_);
            stuck_ = !ready;
            if (stuck_) return false;
            const auto n = ::write(fd_, line.data() + done, std::min(chunk, line.size() - done));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return false; // closed or full; there is no better place to say so
            done += static_cast<std::size_t>(n);
        }
        return true;
    }

    bool writable(Duration wait) const
    {
        pollfd entry{fd_, POLLOUT, 0};
        return ::poll(&entry, 1, static_cast<int>(std::chrono::ceil<milliseconds>(wait).count())) > 0;
    }

    int fd_;
    Duration patience_;
    /// Joins the background thread before it goes, so it is there whenever that thread is here.
    spdlog::details::thread_pool& queue_;
    bool stuck_ = false;
    std::atomic<std::size_t> unwritten_{0};
    std::size_t reported_ = 0;
};

Session::Session(const Settings& settings) : previous_(spdlog::default_logger())
{
    const bool text =
        settings.format == Format::text || (settings.format == Format::automatic && ::isatty(settings.fd) == 1);
    std::unique_ptr<spdlog::formatter> formatter;
    if (text)
        formatter = std::make_unique<TextFormatter>(settings.service);
    else
        formatter = std::make_unique<JsonFormatter>(settings.service);

    constexpr std::size_t queued_lines = 8192;
    {
        const SignalsWait none; // is for the writer: a process's signals are its SignalWatch's
        writer_ = std::make_shared<spdlog::details::thread_pool>(queued_lines, 1);
    }
    sink_ = std::make_shared<Sink>(settings, std::move(formatter), *writer_);
    logger_ = std::make_shared<spdlog::async_logger>(settings.service, sink_, writer_,
                                                     spdlog::async_overflow_policy::overrun_oldest);
    logger_->set_level(to_spdlog(settings.level));
    spdlog::set_default_logger(logger_);

    struct sigaction action {};
    action.sa_handler = wait_for_writer;
    action.sa_flags = static_cast<int>(SA_RESETHAND);
    ::sigaction(SIGABRT, &action, nullptr);
}

Session::~Session()
{
    spdlog::set_default_logger(previous_);
    writer_.reset(); // its destructor writes what is queued and joins the thread, which still needs logger_
}

std::size_t Session::dropped() const
{
    return sink_->dropped();
}

Level level()
{
    return static_cast<Level>(spdlog::get_level());
}

void set_level(Level level)
{
    spdlog::set_level(to_spdlog(level));
}

void vwrite(Level level, fmt::string_view format, fmt::format_args arguments)
{
    auto* const logger = spdlog::default_logger_raw();
    if (!logger->should_log(to_spdlog(level))) return;
    const auto text = fmt::vformat(format, arguments);
    logger->log(to_spdlog(level), spdlog::string_view_t(text));
}

void event(Level level, std::string_view message, const nlohmann::json& fields)
{
    const auto object = printable_json(json_text(fields));
    const auto text = fmt::format("{}{}{}", message, fields_separator, object.substr(1, object.size() - 2));
    spdlog::default_logger_raw()->log(spdlog::source_loc{static_cast<const char*>(fields_marker), 1, nullptr},
                                      to_spdlog(level), spdlog::string_view_t(text));
}

std::optional<std::uint64_t> Throttle::admit(int kind, TimePoint now)
{
    const std::scoped_lock lock(mutex_);
    const auto [place, first] = told_.try_emplace(kind, Told{.last = now});
    auto& told = place->second;
    if (!first && now - told.last < interval_) {
        ++told.left_out;
        return std::nullopt;
    }
    told.last = now;
    return std::exchange(told.left_out, 0);
}

} // namespace hotspare::log
