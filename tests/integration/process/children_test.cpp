// The processes of experiments and tests: what is started ends with its owner, what belongs to others is hit only when
// it is meant, and nothing is left stopped.
#include "common/error.hpp"
#include "common/process/child.hpp"
#include "common/process/foreign.hpp"
#include "tests/support/process.hpp"
#include "tests/support/socket.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

namespace hotspare::process {
namespace TEST_FILE {

using test::eventually;

/// The state letter of /proc/PID/stat; 0 if there is no such process.
char state_of(pid_t pid)
{
    std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
    const std::string line{std::istreambuf_iterator<char>(in), {}};
    const auto end = line.rfind(") ");
    return end == std::string::npos ? '\0' : line[end + 2];
}

bool alive(pid_t pid)
{
    const char state = state_of(pid);
    return state != '\0' && state != 'Z';
}

class Children : public testing::Test {
protected:
    static Command shell(const std::string& script) { return {.program = "/bin/sh", .arguments = {"-c", script}}; }
    std::filesystem::path log() const { return dir_.path() / "log"; }
    std::string printed() const
    {
        std::ifstream in(log());
        return {std::istreambuf_iterator<char>(in), {}};
    }
    bool prints(const std::string& text) const
    {
        return eventually([&] { return printed().find(text) != std::string::npos; });
    }
    /// A file as the supervisor writes it.
    std::string pid_file(pid_t pid, const std::string& start_time) const
    {
        const auto path = dir_.path() / "some.pid";
        std::ofstream(path) << pid << " " << start_time << "\n";
        return path.string();
    }
    static std::string start_time_of(pid_t pid)
    {
        std::ifstream in("/proc/" + std::to_string(pid) + "/stat");
        const std::string line{std::istreambuf_iterator<char>(in), {}};
        std::istringstream fields(line.substr(line.rfind(')') + 2));
        std::string field;
        for (int i = 3; i <= 22; ++i) fields >> field;
        return field;
    }
    static std::string refusal(const std::string& which)
    {
        try {
            const Foreign foreign(which);
            return "none";
        } catch (const UsageError& error) {
            return error.what();
        }
    }

    test::TempDir dir_;
};

// --- Child -----------------------------------------------------------------------------------------------------------

TEST_F(Children, AChildRunsWithItsArgumentsEnvironmentAndLog)
{
    auto command = shell("echo \"$GREETING\"; echo oops >&2; exec sleep 1000");
    command.environment = {{"GREETING", "hello"}};
    Child child(command, log());
    EXPECT_TRUE(prints("hello"));
    EXPECT_TRUE(prints("oops"));
    EXPECT_TRUE(child.running());
    EXPECT_FALSE(child.stopped());
    EXPECT_TRUE(child.last_words().ends_with("oops")) << child.last_words();
    EXPECT_FALSE(child.wait_exit(milliseconds(1)));
}

TEST_F(Children, AChildThatWasKilledIsGoneAndCanBeStartedAgain)
{
    Child child(shell("echo up; exec sleep 1000"), log());
    const pid_t first = child.pid();
    ASSERT_TRUE(child.signal(SIGKILL));
    EXPECT_TRUE(child.wait_exit(test::patience));
    EXPECT_FALSE(child.running());
    EXPECT_FALSE(child.signal(SIGTERM));
    child.start();
    EXPECT_TRUE(child.running());
    EXPECT_NE(child.pid(), first);
    EXPECT_EQ(state_of(first), '\0') << "not reaped";
}

TEST_F(Children, AStoppedChildIsSeenStoppedAndStillEnds)
{
    pid_t pid = 0;
    {
        Child child(shell("exec sleep 1000"), log());
        pid = child.pid();
        ASSERT_TRUE(child.signal(SIGSTOP));
        EXPECT_TRUE(eventually([&] { return child.stopped(); }));
        EXPECT_TRUE(child.running());
        ASSERT_TRUE(child.signal(SIGCONT));
        EXPECT_TRUE(eventually([&] { return !child.stopped(); }));
        ASSERT_TRUE(child.signal(SIGSTOP));
        EXPECT_TRUE(eventually([&] { return child.stopped(); }));
    }
    EXPECT_EQ(state_of(pid), '\0');
}

TEST_F(Children, WhoDoesNotListenToSigtermIsKilled)
{
    Child child(shell("trap '' TERM; echo deaf; while :; do sleep 0.01; done"), log());
    ASSERT_TRUE(prints("deaf"));
    const pid_t pid = child.pid();
    child.end(milliseconds(50));
    EXPECT_EQ(state_of(pid), '\0');
    child.end(); // once more does no harm
}

TEST_F(Children, AProgramThatDoesNotExistIsAnError)
{
    auto command = shell("");
    command.program = dir_.path() / "nothing";
    EXPECT_THROW(Child(command, log()), StartupError);
    EXPECT_THROW(Child(shell(""), dir_.path() / "no" / "such" / "folder"), StartupError);
}

/// An owner that is killed with SIGKILL can undo nothing itself.
TEST_F(Children, AChildDoesNotOutliveAnOwnerThatIsKilled)
{
    const auto file = (dir_.path() / "pid").string();
    const pid_t owner = ::fork();
    if (owner == 0) {
        Child child(shell("exec sleep 1000"), log());
        std::ofstream(file) << child.pid() << std::endl;
        ::pause();
        ::_exit(0);
    }
    pid_t pid = 0;
    EXPECT_TRUE(eventually([&] { return static_cast<bool>(std::ifstream(file) >> pid); }));
    EXPECT_TRUE(alive(pid));
    ::kill(owner, SIGKILL);
    ::waitpid(owner, nullptr, 0);
    EXPECT_TRUE(eventually([&] { return !alive(pid); }));
}

TEST_F(Children, FreePortsCanBeListenedOn)
{
    const auto port = free_port();
    const auto listener = test::listen_loopback(port);
    EXPECT_EQ(test::local_port(listener), port);
}

// --- Foreign ---------------------------------------------------------------------------------------------------------

TEST_F(Children, AForeignProcessIsHitByNumberAndByFile)
{
    test::Process other("/bin/sleep", {"1000"});
    Foreign by_number(std::to_string(other.pid()));
    EXPECT_TRUE(by_number.running());
    EXPECT_EQ(by_number.pid(), other.pid());
    Foreign by_file(pid_file(other.pid(), start_time_of(other.pid())));
    ASSERT_TRUE(by_file.signal(SIGSTOP));
    EXPECT_TRUE(eventually([&] { return by_number.stopped(); }));
    ASSERT_TRUE(by_file.signal(SIGCONT));
    EXPECT_TRUE(eventually([&] { return !by_number.stopped(); }));
    ASSERT_TRUE(by_file.signal(SIGKILL));
    EXPECT_EQ(other.wait_exit(), 128 + SIGKILL);
    EXPECT_FALSE(by_number.running());
    EXPECT_FALSE(by_number.signal(SIGTERM));
}

TEST_F(Children, NoForeignProcessIsLeftStopped)
{
    test::Process other("/bin/sleep", {"1000"});
    {
        Foreign foreign(std::to_string(other.pid()));
        ASSERT_TRUE(foreign.signal(SIGSTOP));
        ASSERT_TRUE(eventually([&] { return state_of(other.pid()) == 'T'; }));
    }
    EXPECT_TRUE(eventually([&] { return state_of(other.pid()) == 'S'; }));
}

TEST_F(Children, RefusesProcessesThatAreNotOursToHit)
{
    test::Process other("/bin/sleep", {"1000"});
    const auto number = std::to_string(other.pid());
    EXPECT_NE(refusal("1").find("not ours"), std::string::npos) << refusal("1");
    EXPECT_NE(refusal(std::to_string(::getpid())).find("not ours"), std::string::npos);
    EXPECT_NE(refusal(std::to_string(::getppid())).find("not ours"), std::string::npos);
    const auto another = refusal(pid_file(other.pid(), "12345"));
    EXPECT_NE(another.find(number), std::string::npos) << another;
    EXPECT_NE(another.find("not ours"), std::string::npos) << another;
    EXPECT_NE(refusal((dir_.path() / "none.pid").string()).find("none.pid"), std::string::npos);
    EXPECT_NE(refusal(dir_.write("words", "no number\n")).find("process id"), std::string::npos);
    EXPECT_NE(refusal("0"), "none");

    ASSERT_TRUE(other.signal(SIGKILL));
    ASSERT_TRUE(other.wait_exit());
    EXPECT_NE(refusal(number).find("no process " + number), std::string::npos) << refusal(number);
}

TEST_F(Children, RefusesAnotherUsersProcess)
{
    if (::geteuid() != 0) GTEST_SKIP() << "only root can start a process of another user";
    const pid_t pid = ::fork();
    if (pid == 0) {
        if (::setuid(65534) != 0) ::_exit(1);
        ::pause();
        ::_exit(0);
    }
    const auto number = std::to_string(pid);
    EXPECT_TRUE(eventually([&] { return refusal(number).find("another user") != std::string::npos; }))
        << refusal(number);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
}

TEST_F(Children, FollowsAFileThatASupervisorWritesAnew)
{
    auto first = std::make_unique<test::Process>("/bin/sleep", std::vector<std::string>{"1000"});
    Foreign foreign(pid_file(first->pid(), start_time_of(first->pid())));
    first.reset();
    EXPECT_FALSE(foreign.running());
    test::Process second("/bin/sleep", {"1000"});
    pid_file(second.pid(), start_time_of(second.pid()));
    EXPECT_TRUE(foreign.running());
    EXPECT_EQ(foreign.pid(), second.pid());
}

} // namespace TEST_FILE
} // namespace hotspare::process
