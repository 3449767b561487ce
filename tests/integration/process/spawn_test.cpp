// Starting, knowing, signalling and adopting processes: what a child gets of us and what it does not, what is recorded
// before it begins, and that no signal reaches a process that has only inherited a number.
#include "common/process/output_file.hpp"
#include "common/process/spawn.hpp"
#include "common/process/watch.hpp"
#include "common/task_group.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

namespace hotspare::process {
namespace TEST_FILE {

using test::eventually;

class Spawn : public testing::Test {
protected:
    /// Ends the processes that a test has left.
    ~Spawn() override
    {
        for (const Process& process : started_) process.signal(SIGKILL);
        for (Process& process : started_)
            if (process.ended(test::patience)) process.reap();
    }

    Process& start(Command command, const Recorded& recorded = {})
    {
        const auto output = open_output(log());
        command.out = command.err = output->get();
        auto process = spawn(command, recorded);
        if (!process) throw std::runtime_error("cannot start: " + process.error().message());
        return started_.emplace_back(std::move(*process));
    }
    Process& shell(const std::string& script) { return start({.program = "/bin/sh", .arguments = {"-c", script}}); }

    std::filesystem::path log() const { return dir_.path() / "log"; }
    std::string printed() const
    {
        std::ifstream in(log());
        return {std::istreambuf_iterator<char>(in), {}};
    }

    test::TempDir dir_;
    std::list<Process> started_;
};

TEST_F(Spawn, TellsHowAProcessEnded)
{
    Process& orderly = shell("exit 3");
    ASSERT_TRUE(orderly.ended(test::patience));
    EXPECT_EQ(orderly.reap(), (Exit{.kind = Exit::Kind::exited, .value = 3}));
    EXPECT_EQ(describe(*orderly.reap()), "exited with 3") << "the answer stays";
    EXPECT_EQ(shell_code(*orderly.reap()), 3);

    Process& killed = shell("exec sleep 1000");
    EXPECT_FALSE(killed.reap());
    EXPECT_TRUE(killed.signal(SIGKILL));
    ASSERT_TRUE(killed.ended(test::patience));
    EXPECT_EQ(describe(*killed.reap()), "was ended by SIGKILL");
    EXPECT_EQ(shell_code(*killed.reap()), 128 + SIGKILL);
    EXPECT_FALSE(killed.signal(SIGTERM)) << "its number may be another's by now";
}

TEST_F(Spawn, AChildInheritsNothingThatTheCommandDoesNotName)
{
    const Fd ours(::open("/dev/null", O_RDONLY)); // without O_CLOEXEC
    ::signal(SIGUSR2, SIG_IGN);
    sigset_t blocked, before;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    ::setenv("LISTEN_FDS", "1", 1);
    ::setenv("LISTEN_PID", std::to_string(::getpid()).c_str(), 1);
    Process& child = shell("ls /proc/self/fd; echo listen=$LISTEN_FDS$LISTEN_PID; grep -E 'SigBlk|SigIgn' "
                           "/proc/self/status; ps -o sid= -p $$ 2>/dev/null || cut -d' ' -f6 /proc/$$/stat");
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    ::signal(SIGUSR2, SIG_DFL);
    ::unsetenv("LISTEN_FDS");
    ::unsetenv("LISTEN_PID");
    ASSERT_TRUE(child.ended(test::patience));
    const auto out = printed();
    EXPECT_EQ(out.find("0\n1\n2\n3\n"), 0U) << "3 is the folder that ls reads: " << out;
    EXPECT_EQ(out.find("\n4\n"), std::string::npos) << out;
    EXPECT_NE(out.find("listen=\n"), std::string::npos) << out;
    EXPECT_NE(out.find("SigBlk:\t0000000000000000"), std::string::npos) << out;
    EXPECT_NE(out.find("SigIgn:\t0000000000000000"), std::string::npos) << out;
    EXPECT_NE(out.find(std::to_string(child.pid())), std::string::npos) << "it leads a session: " << out;
}

TEST_F(Spawn, SocketsAreHandedDownInOrderAndAddressedToTheChild)
{
    auto two = open_listeners({"127.0.0.1", 0}, 2);
    ASSERT_TRUE(two);
    auto one = open_listeners({"127.0.0.1", 0}, 1);
    ASSERT_TRUE(one);
    Command command{.program = "/bin/sh",
                    .arguments = {"-c", "echo $LISTEN_FDS $LISTEN_FDNAMES $((LISTEN_PID - $$)); ls /proc/self/fd | tr "
                                        "'\\n' ' '"}};
    command.sockets = {{"listen", (*two)[0].get()}, {"listen", (*two)[1].get()}, {"control-port", (*one)[0].get()}};
    Process& child = start(command);
    ASSERT_TRUE(child.ended(test::patience));
    EXPECT_EQ(printed(), "3 listen:listen:control-port 0\n0 1 2 3 4 5 6 ") << "6 is the folder that ls reads";
}

TEST_F(Spawn, WhatCannotBeStartedSaysWhy)
{
    const auto missing = spawn({.program = dir_.path() / "nothing"});
    ASSERT_FALSE(missing);
    EXPECT_EQ(missing.error().value(), ENOENT);
    dir_.write("text", "not a program");
    EXPECT_EQ(spawn({.program = dir_.path() / "text"}).error().value(), EACCES);
    const auto nowhere = spawn({.program = "/bin/true", .directory = dir_.path() / "nowhere"});
    ASSERT_FALSE(nowhere);
    EXPECT_EQ(nowhere.error().value(), ENOENT);
}

TEST_F(Spawn, AProgramBeginsOnlyAfterItIsOnRecord)
{
    const auto record = dir_.path() / "child.pid";
    bool begun = true;
    Process& child = start({.program = "/bin/sh", .arguments = {"-c", "echo begun; exec sleep 1000"}},
                           [&](const Identity& identity) -> result<void> {
                               begun = !printed().empty();
                               return write_record(record, identity);
                           });
    EXPECT_FALSE(begun);
    EXPECT_TRUE(eventually([&] { return printed() == "begun\n"; }));
    EXPECT_EQ(read_record(record), child.identity());

    const auto refused = spawn({.program = "/bin/sh", .arguments = {"-c", "touch " + (dir_.path() / "ran").string()}},
                               [](const Identity&) -> result<void> { return error_code(errc::storage); });
    EXPECT_EQ(refused.error(), errc::storage);
    EXPECT_FALSE(std::filesystem::exists(dir_.path() / "ran"));
}

/// The moment between fork() and the record: the child of a supervisor that is killed there must not run.
TEST_F(Spawn, AChildThatIsNotOnRecordDiesWithItsParent)
{
    const auto ran = dir_.path() / "ran", file = dir_.path() / "pid";
    const pid_t parent = ::fork();
    if (parent == 0) {
        static_cast<void>(spawn({.program = "/bin/sh", .arguments = {"-c", "touch " + ran.string()}},
                                [&](const Identity& identity) -> result<void> {
                                    std::ofstream(file) << identity.pid << std::endl;
                                    ::pause();
                                    return {};
                                }));
        ::_exit(0);
    }
    pid_t child = 0;
    EXPECT_TRUE(eventually([&] { return static_cast<bool>(std::ifstream(file) >> child); }));
    EXPECT_TRUE(identity_of(child));
    ::kill(parent, SIGKILL);
    ::waitpid(parent, nullptr, 0);
    EXPECT_TRUE(eventually([&] { return !identity_of(child); }));
    EXPECT_FALSE(std::filesystem::exists(ran));
}

TEST_F(Spawn, ManyThreadsMayStartProcessesAtOnce)
{
    std::vector<std::thread> threads;
    std::atomic<int> good{0};
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            for (int n = 0; n < 20; ++n) {
                auto process = spawn({.program = "/bin/sh", .arguments = {"-c", "exit 7"}});
                if (process && process->ended(test::patience) && shell_code(*process->reap()) == 7) ++good;
            }
        });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(good, 80);
}

TEST_F(Spawn, AnotherProcessAdoptsWhatARecordNames)
{
    Process& child = shell("exec sleep 1000");
    const auto record = dir_.path() / "child.pid";
    ASSERT_TRUE(write_record(record, child.identity()));
    auto adopted = Process::open(*read_record(record));
    ASSERT_TRUE(adopted);
    EXPECT_FALSE(adopted->ended());
    EXPECT_TRUE(adopted->signal(SIGTERM));
    EXPECT_TRUE(adopted->ended(test::patience));
    child.reap();
    EXPECT_EQ(Process::open(*read_record(record)).error(), errc::not_found);
}

TEST_F(Spawn, ARecordOfAnotherTimeOrAnotherBootNamesNoProcess)
{
    Process& child = shell("exec sleep 1000");
    auto of_another = child.identity();
    of_another.start_time -= 1;
    EXPECT_EQ(Process::open(of_another).error(), errc::not_found);
    of_another = child.identity();
    of_another.boot_id = "6f8e1e8c-0000-4000-8000-000000000000";
    EXPECT_EQ(Process::open(of_another).error(), errc::not_found);
    dir_.write("broken", "no number\n");
    EXPECT_FALSE(read_record(dir_.path() / "broken"));
    EXPECT_FALSE(read_record(dir_.path() / "none"));
}

TEST_F(Spawn, TheEndOfAProcessIsAnEventOfTheLoop)
{
    asio::io_context io{1};
    TaskGroup tasks(io);
    Process& child = shell("exec sleep 1000");
    bool ended = false;
    struct Wait {
        static asio::awaitable<void> run(const Process& process, bool& done)
        {
            const auto end = co_await end_of(process);
            done = static_cast<bool>(end);
        }
    };
    tasks.spawn("wait", Wait::run(child, ended));
    io.poll();
    EXPECT_FALSE(ended);
    child.signal(SIGKILL);
    io.restart();
    io.run_for(test::patience);
    EXPECT_TRUE(ended);
    EXPECT_TRUE(child.reap());

    Process& other = shell("exec sleep 1000");
    io.restart();
    tasks.spawn("wait", Wait::run(other, ended));
    io.poll();
    tasks.cancel();
    io.restart();
    io.run_for(test::patience);
    EXPECT_FALSE(ended) << "a cancellation is no end";
}

TEST_F(Spawn, OutputIsBoundedWhileTheProcessGoesOnWriting)
{
    Process& child = shell("i=0; while [ $i -lt 3000 ]; do echo line-$i; i=$((i+1)); done; echo last; exec sleep 1000");
    constexpr std::uint64_t limit = 4096;
    EXPECT_TRUE(eventually([&] {
        EXPECT_TRUE(rotate_output(log(), limit));
        EXPECT_LT(std::filesystem::file_size(log()), 1024 * 1024U);
        return last_lines(log(), 1) == "last" || last_lines(log().string() + ".1", 1) == "last";
    }));
    append_line(log(), "of ours");
    EXPECT_TRUE(rotate_output(log(), 0));
    EXPECT_EQ(std::filesystem::file_size(log()), 0U);
    EXPECT_EQ(last_lines(log().string() + ".1", 1), "of ours");
    append_line(log(), "a");
    append_line(log(), "b");
    append_line(log(), "c");
    EXPECT_EQ(last_lines(log(), 2), "b\nc");
    EXPECT_FALSE(child.ended());
}

} // namespace TEST_FILE
} // namespace hotspare::process
