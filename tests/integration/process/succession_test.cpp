// A process that takes another's place: what it is handed, what it says, and what becomes of it if it cannot serve.
#include "common/process/notify.hpp"
#include "common/process/successor.hpp"
#include "common/task_group.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>

namespace hotspare::process {
namespace TEST_FILE {

using Outcome = boost::system::result<Process, std::string>;

asio::awaitable<void> begin(Command command, std::string document, Duration patience, std::optional<Outcome>& outcome)
{
    outcome.emplace(co_await start_successor(std::move(command), std::move(document), patience));
}

class Succession : public testing::Test {
protected:
    ~Succession() override
    {
        if (!outcome_ || !*outcome_) return;
        (*outcome_)->signal(SIGKILL);
        if ((*outcome_)->ended(test::patience)) (*outcome_)->reap();
    }

    /// The channel is descriptor 3 of the script.
    const Outcome& start(const std::string& script, std::string document = {}, Duration patience = test::patience)
    {
        asio::io_context context(1);
        TaskGroup tasks(context);
        Command command{.program = "/bin/sh", .arguments = {"-c", script}, .directory = dir_.path()};
        tasks.spawn("successor", begin(std::move(command), std::move(document), patience, outcome_));
        context.run();
        return *outcome_;
    }

    std::string printed() const
    {
        std::ifstream in(dir_.path() / "out");
        return {std::istreambuf_iterator<char>(in), {}};
    }

    test::TempDir dir_;
    std::optional<Outcome> outcome_;
};

TEST_F(Succession, HandsTheWholeDocumentOverAndWaitsUntilTheProcessIsReady)
{
    const std::string document(3 << 20, 'x');
    const auto& process = start("cat <&3 >out; echo ready >&3; exec sleep 60", document);
    ASSERT_TRUE(process) << process.error();
    EXPECT_EQ(printed(), document);
    EXPECT_FALSE(process->ended());
}

TEST_F(Succession, NamesTheChannel)
{
    const auto& process = start("echo \"$LISTEN_FDNAMES\" >out; echo ready >&3; exec sleep 60");
    ASSERT_TRUE(process) << process.error();
    EXPECT_EQ(printed(), "predecessor\n");
}

TEST_F(Succession, TellsWhyTheProcessCannotServe)
{
    const auto& process = start("cat <&3 >out; echo 'failed the port is taken' >&3; exit 2");
    ASSERT_FALSE(process);
    EXPECT_EQ(process.error(), "the port is taken");
}

TEST_F(Succession, TellsHowTheProcessEndedThatSaidNothing)
{
    const auto& process = start("exit 3", std::string(3 << 20, 'x'));
    ASSERT_FALSE(process);
    EXPECT_EQ(process.error(), "the new process exited with 3 before it was ready");
}

TEST_F(Succession, KillsAProcessThatIsNotReadyInTime)
{
    const auto& process = start("echo $$ >out; exec sleep 600", {}, milliseconds(500));
    ASSERT_FALSE(process);
    EXPECT_EQ(process.error(), "the new process was not ready within 500ms");
    EXPECT_NE(::kill(static_cast<pid_t>(std::stol(printed())), 0), 0) << "it still runs";
}

TEST_F(Succession, SaysWhatProgramCannotBeStarted)
{
    asio::io_context context(1);
    TaskGroup tasks(context);
    tasks.spawn("successor", begin({.program = "/no/such/program"}, {}, test::patience, outcome_));
    context.run();
    ASSERT_FALSE(*outcome_);
    EXPECT_EQ(outcome_->error(), "cannot start /no/such/program: No such file or directory");
}

TEST(NotifySocket, TellsWhoSentWhat)
{
    const test::TempDir dir;
    const auto path = dir.path() / "notify.sock";
    NotifySocket socket(path);
    EXPECT_FALSE(socket.receive());
    ::setenv(notify_variable, path.c_str(), 1);
    EXPECT_TRUE(is_supervised());
    EXPECT_TRUE(notify("READY=1\nMAINPID=12"));
    ::unsetenv(notify_variable);
    EXPECT_FALSE(notify("READY=1"));

    const auto told = socket.receive();
    ASSERT_TRUE(told);
    EXPECT_EQ(told->sender, ::getpid());
    EXPECT_EQ(told->value("MAINPID"), "12");
    EXPECT_EQ(told->value("READY"), "1");
    EXPECT_EQ(told->value("MAIN"), std::nullopt);
    EXPECT_FALSE(socket.receive());
}

TEST(NotifySocket, IsNotNeeded)
{
    const test::TempDir dir;
    ::setenv(notify_variable, (dir.path() / "gone.sock").c_str(), 1);
    EXPECT_FALSE(notify("READY=1"));
    ::unsetenv(notify_variable);
}

} // namespace TEST_FILE
} // namespace hotspare::process
