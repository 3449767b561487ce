// The access log over real files: what is written, what is dropped, and that the count of the latter is exact.
#include "balancer/access_log.hpp"

#include "tests/support/eventually.hpp"
#include "tests/support/full_disk.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

namespace hotspare::balancer {
namespace TEST_FILE {

using test::eventually;
using test::FullDisk;
using test::TempDir;

class AccessLogFile : public testing::Test {
protected:
    static std::shared_ptr<const Topology> one_backend()
    {
        Config config;
        config.backends.resize(1);
        config.pools.resize(1);
        return first_topology(config);
    }

    static AccessRecord record(std::size_t number, std::size_t target_size = 0)
    {
        AccessRecord r;
        r.client = "127.0.0.1";
        r.method = "GET";
        r.target = "/" + std::string(target_size, 'x');
        r.request_id = std::to_string(number);
        r.status = 200;
        return r;
    }

    /// The request ids of the whole lines in the file; what is no JSON counts as torn.
    struct Lines {
        std::set<std::string> ids;
        std::size_t torn = 0;
    };
    static Lines lines_of(std::istream&& in)
    {
        Lines found;
        for (std::string line; std::getline(in, line);) {
            const auto json = nlohmann::json::parse(line, nullptr, false);
            if (json.is_object())
                found.ids.insert(json.value("request_id", ""));
            else
                ++found.torn;
        }
        return found;
    }
    Lines lines() const { return lines_of(std::ifstream(path_)); }

    TempDir directory_;
    std::string path_ = (directory_.path() / "access.jsonl").string();
    std::uint64_t backlog_ = LimitConfig{}.access_log_backlog;
    std::shared_ptr<const Topology> topology_ = one_backend();
};

TEST_F(AccessLogFile, HoldsALineForEachRequest)
{
    {
        AccessLog log(path_, backlog_);
        AccessLog::Writer writer(log, topology_);
        for (std::size_t i = 0; i < 2000; ++i) writer.add(record(i));
        EXPECT_EQ(writer.flush(), 0U);
    }
    EXPECT_EQ(lines().ids.size(), 2000U);
}

TEST_F(AccessLogFile, CountsEveryLineThatCannotBeWritten)
{
    AccessLog log("/dev/full", backlog_);
    AccessLog::Writer one(log, topology_), other(log, topology_);
    std::uint64_t lost_of_one = 0, lost_of_other = 0;
    for (std::size_t i = 0; i < 1000; ++i) one.add(record(i));
    for (std::size_t i = 0; i < 7; ++i) other.add(record(i));
    EXPECT_TRUE(eventually([&] {
        lost_of_one += one.flush();
        lost_of_other += other.flush();
        return lost_of_one + lost_of_other == 1007;
    }));
    EXPECT_EQ(lost_of_one, 1000U);
    EXPECT_EQ(lost_of_other, 7U);
}

TEST_F(AccessLogFile, LosesNoMoreThanAFullDiskTakes)
{
    std::uint64_t lost = 0;
    std::size_t before = 0;
    {
        AccessLog log(path_, backlog_);
        AccessLog::Writer writer(log, topology_);
        {
            const FullDisk disk(10'000); // not at the end of a line
            for (std::size_t i = 0; i < 1000; ++i) writer.add(record(i));
            lost += writer.flush();
            ASSERT_TRUE(eventually([&] {
                lost += writer.flush();
                before = lines().ids.size();
                return before + lost == 1000;
            })) << before
                << " written, " << lost << " lost";
            EXPECT_GT(before, 10U);
            EXPECT_GT(lost, 900U);
        }
        for (std::size_t i = 1000; i < 1100; ++i) writer.add(record(i));
        lost += writer.flush();
    }
    const Lines all = lines();
    EXPECT_EQ(all.ids.size() + lost, 1100U);
    EXPECT_EQ(all.ids.size(), before + 100) << "there is room again";
    EXPECT_LE(all.torn, 1U) << "only the line at which the disk was full";
}

TEST_F(AccessLogFile, BoundsItsBacklogInBytes)
{
    backlog_ = 1 << 20;
    ASSERT_EQ(::mkfifo(path_.c_str(), 0600), 0);
    const int reader = ::open(path_.c_str(), O_RDONLY | O_NONBLOCK);
    ASSERT_GE(reader, 0);
    std::uint64_t lost = 0;
    constexpr std::size_t total = 4000;
    constexpr std::size_t size = 8000;
    {
        AccessLog log(path_, backlog_);
        AccessLog::Writer writer(log, topology_);
        for (std::size_t i = 0; i < total; ++i) writer.add(record(i, size)); // 32 MB, and nothing is read
        lost += writer.flush();
        // The backlog, a batch, what the pipe takes and what is being written.
        EXPECT_GE(lost * size, total * size - (std::size_t{3} << 20));
        EXPECT_LT(lost, total);
    }
    // The reader never read: the log ended without it, and every line is in the pipe or lost.
    std::string text;
    std::vector<char> piece(65536);
    for (ssize_t n; (n = ::read(reader, piece.data(), piece.size())) > 0;)
        text.append(piece.data(), static_cast<std::size_t>(n));
    ::close(reader);
    EXPECT_LE(text.size(), std::size_t{1} << 20);
}

TEST_F(AccessLogFile, GoesOnInANewFileWhenItIsReopened)
{
    const std::string rotated = path_ + ".1";
    {
        AccessLog log(path_, backlog_);
        AccessLog::Writer writer(log, topology_);
        writer.add(record(1));
        writer.flush();
        ASSERT_TRUE(eventually([&] { return lines().ids.contains("1"); }));
        std::filesystem::rename(path_, rotated);
        log.reopen();
        ASSERT_TRUE(eventually([&] { return std::filesystem::exists(path_); }));
        writer.add(record(2));
        writer.flush();
    }
    EXPECT_EQ(lines().ids, std::set<std::string>{"2"});
    EXPECT_EQ(lines_of(std::ifstream(rotated)).ids, std::set<std::string>{"1"});
}

TEST_F(AccessLogFile, StaysInTheOldFileWhenItCannotBeReopened)
{
    const auto folder = directory_.path() / "logs";
    std::filesystem::create_directory(folder);
    path_ = (folder / "access.jsonl").string();
    const auto moved = directory_.path() / "moved";
    {
        AccessLog log(path_, backlog_);
        AccessLog::Writer writer(log, topology_);
        std::filesystem::rename(folder, moved);
        log.reopen();
        writer.add(record(1));
        EXPECT_EQ(writer.flush(), 0U);
    }
    EXPECT_EQ(lines_of(std::ifstream(moved / "access.jsonl")).ids, std::set<std::string>{"1"});
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
