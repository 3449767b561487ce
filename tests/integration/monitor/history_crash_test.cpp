// A process that writes to a history and is killed, again and again: the test starts its own program, told by the
// environment to be the one that writes.
#include "monitor/history/history.hpp"

#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

constexpr Instant begin{std::chrono::sys_days(std::chrono::year(2026) / 11 / 1)};
constexpr const char* file_variable = "HOTSPARE_TEST_HISTORY";

Instant time_of(std::uint64_t number)
{
    return begin + number * seconds(10);
}

template <class T> T run(asio::io_context& context, asio::awaitable<T> call)
{
    context.restart();
    auto done = asio::co_spawn(context, std::move(call), asio::use_future);
    context.run();
    return done.get();
}

/// Goes on where the file ends, and tells each batch that was acknowledged.
void write(const std::string& path, std::uint64_t count)
{
    asio::io_context context;
    History history(path, [] { FAIL() << "the history broke"; });
    std::uint64_t number = history.restore().audit.number;
    std::vector<std::string> names{"a"};
    const auto target = run(context, history.watch(std::move(names), begin)).value().at(0).id;
    for (const std::uint64_t end = number + count; number < end;) {
        ++number;
        std::vector<StoredSample> samples{{target, time_of(number), State::up, microseconds(number), ""}};
        ASSERT_TRUE(run(context, history.append_samples(std::move(samples), time_of(number))));
        Batch batch;
        batch.maintenance = MaintenanceMemory{.last_id = number};
        batch.notification = NotificationMemory{.last_id = number};
        batch.steps.push_back({target, {.change = StateChange{time_of(number), State::up}}, {.incidents = number}});
        batch.audit.push_back({.at = time_of(number), .user = "ada", .target = std::to_string(number)});
        ASSERT_TRUE(run(context, history.commit(std::move(batch))));
        std::printf("acknowledged %ju.\n", static_cast<std::uintmax_t>(number));
        std::fflush(stdout);
    }
}

std::uint64_t last_acknowledged(const std::string& output)
{
    constexpr std::string_view word = "acknowledged ";
    const auto end = output.rfind(".\n");
    if (end == output.npos) return 0;
    const auto at = output.rfind(word, end);
    return at == output.npos ? 0 : std::stoull(output.substr(at + word.size()));
}

TEST(HistoryCrash, WriterWritesAsMuchAsItIsToldTo)
{
    if (const char* path = std::getenv(file_variable)) return write(path, 1'000'000);
    const test::TempDir dir;
    write((dir.path() / "history.sqlite").string(), 3);
    write((dir.path() / "history.sqlite").string(), 3);
}

TEST(HistoryCrash, LosesNothingThatWasAcknowledged)
{
    const test::TempDir dir;
    const auto path = (dir.path() / "history.sqlite").string();
    const auto program = std::filesystem::read_symlink("/proc/self/exe").string();
    std::uint64_t acknowledged = 0;
    for (int round = 0; round < 8; ++round) {
        test::Process writer(program, {"--gtest_filter=HistoryCrash.WriterWritesAsMuchAsItIsToldTo"},
                             {.environment = {{file_variable, path}}, .directory = {}, .descriptors = {}});
        ASSERT_TRUE(writer.wait_line(fmt::format("acknowledged {}.", acknowledged + 3 + round * 7 % 11)))
            << writer.description();
        writer.signal(SIGKILL);
        ASSERT_EQ(writer.wait_exit(), 128 + SIGKILL);
        writer.wait_output_end();
        acknowledged = last_acknowledged(writer.out());

        const auto finding = verify_audit(path);
        EXPECT_FALSE(finding.breach) << finding.breach->what;
        const auto restored = History(path, [] { FAIL() << "the history broke"; }).restore();
        EXPECT_GE(restored.audit.number, acknowledged);
        EXPECT_LE(restored.audit.number, acknowledged + 1) << "one may have been stored and not acknowledged";
        EXPECT_EQ(restored.audit, finding.head);
        EXPECT_EQ(restored.maintenance.last_id, restored.audit.number) << "all of a batch or nothing";
        EXPECT_EQ(restored.notification.last_id, restored.audit.number);
        ASSERT_EQ(restored.targets.size(), 1U);
        EXPECT_EQ(restored.targets[0].memory.incidents, restored.audit.number);
        EXPECT_EQ(restored.targets[0].record.changes.size(), restored.audit.number);
        EXPECT_GE(restored.last_alive, time_of(restored.audit.number));
        EXPECT_EQ(restored.targets[0].memory.latest, restored.last_alive);
        acknowledged = restored.audit.number;
    }
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
