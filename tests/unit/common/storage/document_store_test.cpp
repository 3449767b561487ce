#include "common/storage/document_store.hpp"

#include "tests/support/temp_dir.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <array>
#include <filesystem>
#include <future>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

namespace hotspare::storage {
namespace TEST_FILE {

/// A store with an event loop that runs until the call is done.
class Client {
public:
    explicit Client(const std::string& path, Duration busy_timeout = seconds(10)) : store_(path, busy_timeout) {}

    result<Document> get(std::string key) { return run(store_.get(std::move(key))); }
    result<Written> put(std::string key, std::string value, Precondition allowed = {})
    {
        return run(store_.put(std::move(key), std::move(value), std::move(allowed)));
    }
    result<void> remove(std::string key, Precondition allowed = {})
    {
        return run(store_.remove(std::move(key), std::move(allowed)));
    }

private:
    template <class T> T run(asio::awaitable<T> call)
    {
        context_.restart();
        auto done = asio::co_spawn(context_, std::move(call), asio::use_future);
        context_.run();
        return done.get();
    }

    asio::io_context context_;
    DocumentStore store_;
};

Precondition version_is(std::optional<Version> expected)
{
    return [expected](std::optional<Version> version) { return version == expected; };
}

class DocumentStoreTest : public testing::Test {
protected:
    test::TempDir directory_;
    std::string path_ = (directory_.path() / "data.sqlite").string();
};

TEST_F(DocumentStoreTest, ReadsBackWhatWasWritten)
{
    Client client(path_);
    EXPECT_EQ(client.get("a").error(), errc::not_found);
    const auto written = client.put("a", "{\"x\":1}");
    ASSERT_TRUE(written);
    EXPECT_TRUE(written->created);
    const auto read = client.get("a");
    ASSERT_TRUE(read);
    EXPECT_EQ(read->value, "{\"x\":1}");
    EXPECT_EQ(read->version, written->version);
    const auto replaced = client.put("a", "2");
    ASSERT_TRUE(replaced);
    EXPECT_FALSE(replaced->created);
    EXPECT_GT(replaced->version, written->version);
    EXPECT_TRUE(client.remove("a"));
    EXPECT_EQ(client.get("a").error(), errc::not_found);
    EXPECT_EQ(client.remove("a").error(), errc::not_found);
}

TEST_F(DocumentStoreTest, NeverGivesAVersionTwice)
{
    Client client(path_);
    const auto first = client.put("a", "1");
    ASSERT_TRUE(client.remove("a"));
    const auto second = client.put("a", "1");
    ASSERT_TRUE(first && second);
    EXPECT_GT(second->version, first->version);
    EXPECT_EQ(client.put("a", "2", version_is(first->version)).error(), errc::conflict);
}

TEST_F(DocumentStoreTest, ChecksPreconditionsAgainstTheVersionItReplaces)
{
    Client client(path_);
    EXPECT_EQ(client.put("a", "1", version_is(1)).error(), errc::conflict);
    EXPECT_EQ(client.get("a").error(), errc::not_found) << "nothing was written";
    const auto written = client.put("a", "1", version_is(std::nullopt));
    ASSERT_TRUE(written);
    EXPECT_EQ(client.put("a", "2", version_is(std::nullopt)).error(), errc::conflict);
    EXPECT_EQ(client.remove("a", version_is(written->version + 1)).error(), errc::conflict);
    EXPECT_EQ(client.get("a")->value, "1");
    EXPECT_TRUE(client.remove("a", version_is(written->version)));
}

TEST_F(DocumentStoreTest, IsSharedByTwoClients)
{
    Client primary(path_), spare(path_);
    const auto written = primary.put("a", "1");
    ASSERT_TRUE(written);
    EXPECT_EQ(spare.get("a")->value, "1");
    EXPECT_TRUE(spare.put("a", "2", version_is(written->version)));
    EXPECT_EQ(primary.put("a", "3", version_is(written->version)).error(), errc::conflict);
    EXPECT_EQ(primary.get("a")->value, "2");
}

TEST_F(DocumentStoreTest, SaysUnavailableWhileAnotherHoldsTheLock)
{
    Client client(path_, milliseconds(20));
    auto other = Database::open(path_, seconds(1));
    ASSERT_TRUE(other);
    {
        const auto transaction = Transaction::begin(*other);
        ASSERT_TRUE(transaction);
        EXPECT_EQ(client.put("a", "1").error(), errc::unavailable);
    }
    EXPECT_TRUE(client.put("a", "1"));
}

TEST_F(DocumentStoreTest, ComesUpBesideAProcessThatWritesAllTheTime)
{
    {
        const Client creates_the_file(path_);
    }
    auto other = Database::open(path_, seconds(1));
    ASSERT_TRUE(other);
    auto transaction = std::make_optional(Transaction::begin(*other));
    auto starting = std::async(std::launch::async, [this] { Client(path_, milliseconds(1)).get("a"); });
    EXPECT_EQ(starting.wait_for(milliseconds(50)), std::future_status::timeout)
        << "it waits longer than a request would";
    transaction.reset();
    EXPECT_NO_THROW(starting.get());
}

TEST_F(DocumentStoreTest, WritesNothingWhenTheDiskIsFull)
{
    Client client(path_);
    ASSERT_TRUE(client.put("a", "1"));
    // The file may not grow: what a full disk looks like to SQLite.
    rlimit before{};
    ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &before), 0);
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit full{16 * 1024, before.rlim_max};
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &full), 0);
    const auto failed = client.put("b", std::string(256 * 1024, 'x'));
    const auto also_failed = client.put("a", std::string(256 * 1024, 'x'));
    ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &before), 0);
    EXPECT_EQ(failed.error(), errc::storage);
    EXPECT_EQ(also_failed.error(), errc::storage);
    EXPECT_EQ(client.get("a")->value, "1");
    EXPECT_EQ(client.get("b").error(), errc::not_found);
    EXPECT_TRUE(client.put("b", "2")) << "the store works again once there is room";
}

TEST_F(DocumentStoreTest, RefusesAFileThatIsNone)
{
    EXPECT_THROW(Client("/nonexistent/data.sqlite"), StartupError);
    EXPECT_THROW(Client(directory_.write("text", std::string(4096, 'x'))), UsageError);
}

TEST_F(DocumentStoreTest, RefusesTheFileOfAnotherProgram)
{
    {
        auto other = Database::open(path_, seconds(1));
        ASSERT_TRUE(other->execute("CREATE TABLE customers (name)"));
    }
    EXPECT_THROW(Client{path_}, UsageError);
    auto other = Database::open(path_, seconds(1));
    EXPECT_TRUE(other->execute("SELECT name FROM customers"));
    EXPECT_FALSE(other->execute("SELECT key FROM documents"));
}

TEST_F(DocumentStoreTest, TakesAFileThatWasMadeBeforeFilesHadAnId)
{
    {
        Client client(path_);
        ASSERT_TRUE(client.put("a", "1"));
        auto other = Database::open(path_, seconds(1));
        ASSERT_TRUE(other->execute("PRAGMA application_id = 0"));
    }
    EXPECT_EQ(Client(path_).get("a")->value, "1");
}

TEST_F(DocumentStoreTest, AcknowledgesNothingOnceItsFileIsGone)
{
    Client client(path_);
    ASSERT_TRUE(client.put("a", "1"));
    const auto aside = path_ + ".aside";
    std::filesystem::rename(path_, aside);
    EXPECT_EQ(client.put("a", "2").error(), errc::unavailable);
    EXPECT_EQ(client.get("a").error(), errc::unavailable);
    std::filesystem::rename(aside, path_);
    EXPECT_EQ(client.get("a")->value, "1");
    EXPECT_TRUE(client.put("a", "2"));
}

/// Writes documents <name>-0, <name>-1, ... and reports each one on `report` once it was acknowledged. Never returns.
[[noreturn]] void write_forever(const std::string& path, char name, int report)
{
    Client client(path);
    for (int i = 0;; ++i) {
        const auto key = std::string(1, name) + "-" + std::to_string(i);
        if (!client.put(key, std::to_string(i))) ::_exit(2);
        if (!client.put("shared", key)) ::_exit(2);
        if (::write(report, &i, sizeof i) != sizeof i) ::_exit(3);
    }
}

TEST_F(DocumentStoreTest, KeepsWhatItAcknowledgedWhenItsProcessesAreKilled)
{
    {
        const Client creates_the_file(path_);
    }
    std::map<char, int> acknowledged{{'p', -1}, {'s', -1}};
    for (int round = 0; round < 2; ++round) {
        std::map<char, std::pair<pid_t, int>> writers;
        for (auto& [name, last] : acknowledged) {
            last = -1;
            std::array<int, 2> ends{};
            ASSERT_EQ(::pipe(ends.data()), 0);
            const pid_t child = ::fork();
            ASSERT_GE(child, 0);
            if (child == 0) write_forever(path_, name, ends[1]);
            ::close(ends[1]);
            writers[name] = {child, ends[0]};
        }
        // Both are in the middle of their work once each has reported a few times.
        for (auto& [name, writer] : writers)
            for (int i = 0; i < 3; ++i)
                ASSERT_EQ(::read(writer.second, &acknowledged[name], sizeof(int)), ssize_t(sizeof(int)));
        for (auto& [name, writer] : writers) ::kill(writer.first, SIGKILL);
        for (auto& [name, writer] : writers) {
            int status = 0;
            ::waitpid(writer.first, &status, 0);
            EXPECT_TRUE(WIFSIGNALED(status)) << "a write failed: exit " << WEXITSTATUS(status);
            for (int i = 0; ::read(writer.second, &i, sizeof i) == ssize_t(sizeof i);) acknowledged[name] = i;
            ::close(writer.second);
        }
        Client client(path_);
        for (const auto& [name, last] : acknowledged)
            for (int i = 0; i <= last; ++i) {
                const auto read = client.get(std::string(1, name) + "-" + std::to_string(i));
                ASSERT_TRUE(read) << name << "-" << i << " of " << last;
                EXPECT_EQ(read->value, std::to_string(i));
            }
    }
}

} // namespace TEST_FILE
} // namespace hotspare::storage
