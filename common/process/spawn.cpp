#include "common/process/spawn.hpp"

#include "common/signals.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <string_view>

extern "C" {
#include <sys/pidfd.h> // glibc 2.36 forgot to say that its functions are C
}

extern char** environ; // POSIX says so

namespace hotspare::process {
namespace {

constexpr int first_handed_down = 3; ///< sd_listen_fds(3): SD_LISTEN_FDS_START
constexpr std::string_view pid_variable = "LISTEN_PID=";
constexpr std::size_t pid_digits = 10;

struct Pipe {
    Fd read, write;
};

result<Pipe> make_pipe()
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) return last_system_error();
    return Pipe{Fd(ends[0]), Fd(ends[1])};
}

std::vector<char*> pointers(std::vector<std::string>& texts)
{
    std::vector<char*> out;
    out.reserve(texts.size() + 1);
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
}

/// Ours without what is about our own listening sockets, and with what the command adds.
std::vector<std::string> environment_of(const Command& command)
{
    const auto replaced = [&](std::string_view name) {
        return name == "LISTEN_PID" || name == "LISTEN_FDS" || name == "LISTEN_FDNAMES" ||
               std::ranges::any_of(command.environment, [&](const auto& added) { return added.first == name; });
    };
    std::vector<std::string> out;
    for (char** own = environ; *own != nullptr; ++own) {
        const std::string_view text(*own);
        if (!replaced(text.substr(0, text.find('=')))) out.emplace_back(text);
    }
    for (const auto& [name, value] : command.environment) out.push_back(name + "=" + value);
    if (command.sockets.empty()) return out;
    std::string names;
    for (const HandedDown& socket : command.sockets) names += (names.empty() ? "" : ":") + socket.name;
    out.push_back("LISTEN_FDS=" + std::to_string(command.sockets.size()));
    out.push_back("LISTEN_FDNAMES=" + names);
    out.push_back(std::string(pid_variable) + std::string(pid_digits, '0')); // the child writes its own there
    return out;
}

/// All that the child needs, made before fork().
struct Plan {
    const char* program;
    char** arguments;
    char** environment;
    const char* directory; ///< null: none
    char* pid;             ///< where the digits of LISTEN_PID begin; null: none
    const int* sources;    ///< what becomes descriptor 0, 1, ...; -1: what it is
    int* moved;            ///< room for as many
    int count;
    int go, failed;
    Command::Group group;
    bool ends_with_us;
    const rlimit* limit; ///< null: ours
    pid_t parent;
};

/// In the child: only what signal-safety(7) allows.
[[noreturn]] void become(const Plan& plan)
{
    const auto fail = [&] {
        const int why = errno;
        static_cast<void>(!::write(plan.failed, &why, sizeof why));
        ::_exit(127);
    };
    if (plan.ends_with_us) {
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (::getppid() != plan.parent) ::_exit(127); // it went before that took effect
    }
    if (plan.group == Command::Group::own_session)
        ::setsid();
    else if (plan.group == Command::Group::own)
        ::setpgid(0, 0);
    char word = 0;
    ssize_t n = 0;
    do {
        n = ::read(plan.go, &word, 1);
    } while (n < 0 && errno == EINTR);
    if (n != 1) ::_exit(127); // we are not on record

    struct sigaction by_default {};
    by_default.sa_handler = SIG_DFL; // what is ignored would stay so over exec()
    for (int signal = 1; signal < NSIG; ++signal) ::sigaction(signal, &by_default, nullptr);
    if (plan.directory != nullptr && ::chdir(plan.directory) != 0) fail();
    if (plan.limit != nullptr && ::setrlimit(RLIMIT_NOFILE, plan.limit) != 0) fail();

    // Out of the way first: the source of one may be the target of another.
    for (int target = 0; target < plan.count; ++target) {
        plan.moved[target] = plan.sources[target] < 0 ? target : plan.sources[target];
        plan.moved[target] = ::fcntl(plan.moved[target], F_DUPFD_CLOEXEC, plan.count);
        if (plan.moved[target] < 0 && plan.sources[target] >= 0) fail();
    }
    const int failed = ::fcntl(plan.failed, F_DUPFD_CLOEXEC, plan.count);
    for (int target = 0; target < plan.count; ++target)
        if (plan.moved[target] >= 0 && ::dup2(plan.moved[target], target) < 0) ::_exit(127);
    ::close_range(static_cast<unsigned>(plan.count), ~0U, CLOSE_RANGE_CLOEXEC);

    if (plan.pid != nullptr) {
        const auto self = static_cast<unsigned>(::getpid());
        std::size_t digits = 1;
        for (unsigned left = self; left >= 10; left /= 10) ++digits;
        plan.pid[digits] = '\0';
        for (unsigned left = self; digits-- > 0; left /= 10) plan.pid[digits] = static_cast<char>('0' + left % 10);
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execve(plan.program, plan.arguments, plan.environment);
    const int why = errno;
    static_cast<void>(!::write(failed, &why, sizeof why));
    ::_exit(127);
}

} // namespace

result<Process> spawn(const Command& command, const Recorded& recorded)
{
    auto go = make_pipe();
    if (!go) return go.error();
    auto failed = make_pipe();
    if (!failed) return failed.error();
    const Fd nothing(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!nothing) return last_system_error();

    std::vector<std::string> words{command.program.string()};
    words.insert(words.end(), command.arguments.begin(), command.arguments.end());
    auto settings = environment_of(command);
    auto arguments = pointers(words);
    auto environment = pointers(settings);
    std::vector<int> sources{nothing.get(), command.out, command.err};
    for (const HandedDown& socket : command.sockets) sources.push_back(socket.descriptor);
    std::vector<int> moved(sources.size());
    static_assert(first_handed_down == 3);
    const std::string directory = command.directory.string();
    rlimit limit{};
    if (command.descriptor_limit) limit = {*command.descriptor_limit, *command.descriptor_limit};
    const Plan plan{.program = words[0].c_str(),
                    .arguments = arguments.data(),
                    .environment = environment.data(),
                    .directory = directory.empty() ? nullptr : directory.c_str(),
                    .pid = command.sockets.empty() ? nullptr : settings.back().data() + pid_variable.size(),
                    .sources = sources.data(),
                    .moved = moved.data(),
                    .count = static_cast<int>(sources.size()),
                    .go = go->read.get(),
                    .failed = failed->write.get(),
                    .group = command.group,
                    .ends_with_us = command.ends_with_us,
                    .limit = command.descriptor_limit ? &limit : nullptr,
                    .parent = ::getpid()};
    pid_t pid = -1;
    int error = 0;
    {
        const SignalsWait signals_wait; // in the child, our handlers must not run
        pid = ::fork();
        error = errno;
        if (pid == 0) {
            ::close(go->write.get()); // or it would wait for itself when we are gone
            become(plan);
        }
    }
    if (pid < 0) return error_code(error, boost::system::system_category());
    // As long as it was not waited for, the id is this child's.
    const auto give_up = [&](error_code why) {
        go->write.reset();
        ::kill(pid, SIGKILL);
        while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
        }
        return why;
    };
    Fd pidfd(::pidfd_open(pid, 0));
    if (!pidfd) return give_up(last_system_error());
    const auto identity = identity_of(pid);
    if (!identity) return give_up(errc::not_found);
    if (recorded)
        if (const auto done = recorded(*identity); !done) return give_up(done.error());

    failed->write.reset();
    if (::write(go->write.get(), "g", 1) != 1) return give_up(last_system_error());
    int why = 0;
    ssize_t n = 0;
    do {
        n = ::read(failed->read.get(), &why, sizeof why);
    } while (n < 0 && errno == EINTR);
    if (n == sizeof why) return give_up(error_code(why, boost::system::system_category()));
    return Process(*identity, std::move(pidfd));
}

} // namespace hotspare::process
