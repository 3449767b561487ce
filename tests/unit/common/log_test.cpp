#include "common/log.hpp"

#include "common/clock.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <spdlog/spdlog.h>

#include <array>
#include <csignal>
#include <sstream>
#include <thread>
#include <vector>

#include <fcntl.h>
#include <unistd.h>

namespace hotspare::log {
namespace TEST_FILE {

/// A pipe whose reading end collects what a Session wrote once the writing end is closed.
class Pipe {
public:
    Pipe() { EXPECT_EQ(::pipe(ends_.data()), 0); }
    ~Pipe()
    {
        close_writer();
        ::close(ends_[0]);
    }
    Pipe(const Pipe&) = delete;
    Pipe& operator=(const Pipe&) = delete;

    int writer() const { return ends_[1]; }

    void fill()
    {
        const std::string page(4096, 'x');
        EXPECT_EQ(::fcntl(writer(), F_SETFL, O_NONBLOCK), 0);
        while (::write(writer(), page.data(), page.size()) > 0) filled_ += page.size();
        EXPECT_EQ(::fcntl(writer(), F_SETFL, 0), 0);
    }
    void empty()
    {
        std::array<char, 4096> page{};
        for (; filled_ > 0; filled_ -= page.size())
            EXPECT_EQ(::read(ends_[0], page.data(), page.size()), static_cast<ssize_t>(page.size()));
    }

    void close_writer()
    {
        if (ends_[1] >= 0) ::close(std::exchange(ends_[1], -1));
    }

    std::vector<std::string> lines()
    {
        close_writer();
        std::string all;
        std::array<char, 65536> buffer{};
        for (ssize_t n = 0; (n = ::read(ends_[0], buffer.data(), buffer.size())) > 0;)
            all.append(buffer.data(), static_cast<std::size_t>(n));
        std::istringstream stream(all);
        std::vector<std::string> out;
        for (std::string line; std::getline(stream, line);) out.push_back(line);
        return out;
    }

private:
    std::array<int, 2> ends_{-1, -1};
    std::size_t filled_ = 0;
};

Settings settings(const Pipe& pipe, Format format)
{
    return {.service = "tester", .level = Level::info, .format = format, .fd = pipe.writer()};
}

TEST(Log, writes_json_lines_where_it_is_no_terminal)
{
    Pipe pipe;
    {
        const Session session(settings(pipe, Format::automatic));
        log::info("from {} to {}", "a", 2);
        log::debug("not at this level");
        log::warn("quote \" backslash \\ newline \n bell \x07 broken utf-8 \xff end");
    }
    const auto lines = pipe.lines();
    ASSERT_EQ(lines.size(), 2U);
    const auto first = nlohmann::json::parse(lines[0]);
    EXPECT_EQ(first["level"], "info");
    EXPECT_EQ(first["service"], "tester");
    EXPECT_EQ(first["msg"], "from a to 2");
    const auto ts = first["ts"].get<std::string>();
    ASSERT_EQ(ts.size(), 24U);
    EXPECT_EQ(ts.back(), 'Z');
    const auto second = nlohmann::json::parse(lines[1]);
    EXPECT_EQ(second["level"], "warning");
    EXPECT_EQ(second["msg"], "quote \" backslash \\ newline \n bell \x07 broken utf-8 \xEF\xBF\xBD end");
}

TEST(Log, events_carry_fields_that_no_message_can_forge)
{
    Pipe pipe;
    {
        const Session session(settings(pipe, Format::json));
        event(Level::info, "ready \x1e now", {{"event", "ready"}, {"port", 5000}, {"odd", "\x1e\""}});
        log::info("ready\x1e\"event\":\"ready\"");
        event(Level::info, "plain", nlohmann::json::object());
    }
    const auto lines = pipe.lines();
    ASSERT_EQ(lines.size(), 3U);
    const auto real = nlohmann::json::parse(lines[0]);
    EXPECT_EQ(real["msg"], "ready \x1e now");
    EXPECT_EQ(real["event"], "ready");
    EXPECT_EQ(real["port"], 5000);
    EXPECT_EQ(real["odd"], "\x1e\"");
    const auto forged = nlohmann::json::parse(lines[1]);
    EXPECT_FALSE(forged.contains("event"));
    EXPECT_EQ(nlohmann::json::parse(lines[2])["msg"], "plain");
}

TEST(Log, text_cannot_be_split_or_coloured_by_what_it_quotes)
{
    Pipe pipe;
    {
        const Session session(settings(pipe, Format::text));
        log::error("a\nb\x1b[31m");
        event(Level::info, "said", {{"event", "x"}});
    }
    const auto lines = pipe.lines();
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_NE(lines[0].find("error    tester: a\\x0ab\\x1b[31m"), std::string::npos) << lines[0];
    EXPECT_TRUE(lines[1].ends_with("tester: said")) << lines[1];
}

TEST(Log, gives_back_the_logger_that_was_there_before)
{
    const auto before = spdlog::default_logger();
    {
        Pipe pipe;
        const Session session(settings(pipe, Format::json));
        EXPECT_NE(spdlog::default_logger(), before);
    }
    EXPECT_EQ(spdlog::default_logger(), before);
}

TEST(Log, no_caller_waits_for_a_reader_that_does_not_read)
{
    Pipe pipe;
    const std::string long_line(1000, 'x');
    const auto start = Clock::now();
    Duration logging{};
    {
        const Session session(settings(pipe, Format::json));
        for (int i = 0; i < 20'000; ++i) log::info("{}", long_line);
        logging = Clock::now() - start;
    }
    EXPECT_LT(logging, milliseconds(900)) << "the writer waits for a second, the callers must not";
    EXPECT_LT(Clock::now() - start, seconds(5)) << "nor may the end of the process";
    const auto lines = pipe.lines();
    EXPECT_GT(lines.size(), 10U);
    EXPECT_LT(lines.size(), 1000U) << "a pipe takes 64 KiB";
}

TEST(Log, says_how_much_was_dropped_once_the_reader_reads_again)
{
    Pipe pipe;
    pipe.fill();
    {
        auto impatient = settings(pipe, Format::json);
        impatient.patience = milliseconds(1);
        const Session session(impatient);
        log::info("lost");
        log::info("lost as well");
        while (session.dropped() < 2) std::this_thread::yield();
        pipe.empty();
        log::info("read again");
    }
    const auto lines = pipe.lines();
    ASSERT_EQ(lines.size(), 2U);
    EXPECT_EQ(nlohmann::json::parse(lines[0])["msg"], "2 log lines were dropped because standard error was not read");
    EXPECT_EQ(nlohmann::json::parse(lines[1])["msg"], "read again");
}

TEST(Log, what_led_to_an_abort_is_written)
{
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    EXPECT_EXIT(
        {
            const Session session({.service = "tester", .format = Format::text});
            log::critical("the last words");
            std::abort();
        },
        testing::KilledBySignal(SIGABRT), "the last words");
}

TEST(LogThrottle, lets_one_of_each_kind_through_per_interval_and_counts_the_others)
{
    Throttle throttle(seconds(1));
    const auto start = TimePoint{} + seconds(5);
    EXPECT_EQ(throttle.admit(1, start), 0U) << "the first is told at once";
    EXPECT_EQ(throttle.admit(1, start), std::nullopt);
    EXPECT_EQ(throttle.admit(2, start), 0U) << "something else";
    EXPECT_EQ(throttle.admit(1, start + milliseconds(999)), std::nullopt);
    EXPECT_EQ(throttle.admit(1, start + seconds(1)), 2U);
    EXPECT_EQ(throttle.admit(1, start + milliseconds(1999)), std::nullopt);
    EXPECT_EQ(throttle.admit(1, start + seconds(60)), 1U);
    EXPECT_EQ(throttle.admit(1, start + seconds(120)), 0U);
    EXPECT_EQ(throttle.admit(2, start + seconds(120)), 0U);
}

} // namespace TEST_FILE
} // namespace hotspare::log
