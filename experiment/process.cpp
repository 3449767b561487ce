#include "experiment/process.hpp"

#include "common/error.hpp"

#include <fmt/format.h>

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <sstream>

extern "C" {
#include <sys/pidfd.h> // glibc 2.36 forgot to say that its functions are C
}

extern char** environ; // POSIX says so

namespace hotspare::experiment {
namespace {

constexpr Duration kill_time = seconds(2); ///< SIGKILL takes as long as the kernel needs to give memory back

/// What /proc/PID/stat says. Absent if there is no such process.
struct Status {
    char state = '?';
    pid_t parent = 0;
    std::uint64_t start_time = 0; ///< clock ticks after boot
};

std::optional<Status> status_of(pid_t pid)
{
    std::ifstream in(fmt::format("/proc/{}/stat", pid));
    const std::string line{std::istreambuf_iterator<char>(in), {}};
    // The name stands in parentheses and may hold anything, parentheses included.
    const auto name_end = line.rfind(')');
    if (name_end == std::string::npos) return std::nullopt;
    std::istringstream rest(line.substr(name_end + 1));
    Status out;
    rest >> out.state >> out.parent;
    std::string skipped;
    for (int field = 5; field <= 21; ++field) rest >> skipped; // proc(5): the start time is field 22
    rest >> out.start_time;
    return rest ? std::optional(out) : std::nullopt;
}

/// The process has ended. -1 (nothing was opened) counts as ended, too.
bool ended(int pidfd, Duration bound)
{
    if (pidfd < 0) return true;
    const TimePoint deadline = Clock::now() + bound;
    for (;;) {
        pollfd end{.fd = pidfd, .events = POLLIN, .revents = 0};
        const auto left = std::max(std::chrono::ceil<milliseconds>(deadline - Clock::now()), milliseconds(0));
        const int ready = ::poll(&end, 1, static_cast<int>(left.count()));
        if (ready > 0) return true;
        if (ready == 0 || errno != EINTR) return false;
    }
}

bool send(int pidfd, int number)
{
    return pidfd >= 0 && ::pidfd_send_signal(pidfd, number, nullptr, 0) == 0;
}

std::vector<char*> pointers(std::vector<std::string>& texts)
{
    std::vector<char*> out;
    for (std::string& text : texts) out.push_back(text.data());
    out.push_back(nullptr);
    return out;
}

/// In the child, between fork() and exec(): only what is safe there.
[[noreturn]] void become(const char* program, char** arguments, char** environment, int log, pid_t parent)
{
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != parent) ::_exit(127); // it went before that took effect
    ::setpgid(0, 0);
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::signal(SIGPIPE, SIG_DFL); // ours is ignored, which exec() would pass on
    ::dup2(log, STDOUT_FILENO);
    ::dup2(log, STDERR_FILENO);
    const int nothing = ::open("/dev/null", O_RDONLY);
    ::dup2(nothing, STDIN_FILENO);
    ::close_range(STDERR_FILENO + 1, ~0U, 0); // Asio's sockets would be inherited, and keep their connections open
    ::execve(program, arguments, environment);
    ::_exit(127);
}

} // namespace

std::uint16_t free_port()
{
    constexpr std::uint16_t first = 20000, last = 32000; // Linux gives outgoing connections 32768 and above
    static std::mt19937 random{std::random_device{}()};
    std::uniform_int_distribution<std::uint16_t> draw(first, last);
    static std::set<std::uint16_t> given; // the last one may not be bound yet
    for (int tries = 0; tries < 10000; ++tries) {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fd < 0) break;
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.sin_port = htons(draw(random));
        const bool ours = ::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
        ::close(fd);
        if (ours && given.insert(ntohs(address.sin_port)).second) return ntohs(address.sin_port);
    }
    throw StartupError(fmt::format("no free port on 127.0.0.1 between {} and {}", first, last));
}

// --- Child -----------------------------------------------------------------------------------------------------------

Child::Child(Command command) : command_(std::move(command))
{
    start();
}

Child::~Child()
{
    end();
}

void Child::start()
{
    if (running()) return;
    end(); // whatever is left of the one before
    const int log = ::open(command_.log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0) throw StartupError(fmt::format("cannot write {}: {}", command_.log.string(), std::strerror(errno)));

    std::vector<std::string> words{command_.program.string()};
    words.insert(words.end(), command_.arguments.begin(), command_.arguments.end());
    std::vector<std::string> settings;
    for (const auto& [name, value] : command_.environment) settings.push_back(name + "=" + value);
    auto arguments = pointers(words);
    auto environment = pointers(settings);
    for (char** own = environ; *own != nullptr; ++own) environment.insert(environment.end() - 1, *own);

    const pid_t parent = ::getpid();
    pid_ = ::fork();
    if (pid_ == 0) become(words[0].c_str(), arguments.data(), environment.data(), log, parent);
    const int error = errno;
    ::close(log);
    if (pid_ < 0) throw StartupError(fmt::format("cannot start {}: {}", words[0], std::strerror(error)));
    pidfd_ = ::pidfd_open(pid_, 0);
    if (pidfd_ < 0) {
        const int why = errno;
        ::kill(pid_, SIGKILL); // not yet waited for, so the number is still this child's
        ::waitpid(pid_, nullptr, 0);
        throw StartupError(fmt::format("cannot watch {}: {}", words[0], std::strerror(why)));
    }
    reaped_ = false;
}

void Child::end(Duration patience)
{
    if (reaped_) return;
    send(pidfd_, SIGCONT);
    send(pidfd_, SIGTERM);
    if (!ended(pidfd_, patience)) {
        send(pidfd_, SIGKILL);
        ended(pidfd_, kill_time);
    }
    ::waitpid(pid_, nullptr, 0);
    ::close(pidfd_);
    pidfd_ = -1;
    reaped_ = true;
}

bool Child::signal(int number)
{
    return running() && send(pidfd_, number);
}

bool Child::running() const
{
    return !reaped_ && !ended(pidfd_, Duration::zero());
}

bool Child::stopped() const
{
    const auto status = reaped_ ? std::nullopt : status_of(pid_);
    return status && status->state == 'T';
}

bool Child::wait_exit(Duration bound)
{
    return reaped_ || ended(pidfd_, bound);
}

pid_t Child::pid() const noexcept
{
    return pid_;
}

std::string Child::last_words() const
{
    constexpr std::size_t most = 400;
    std::ifstream in(command_.log, std::ios::binary);
    std::string text{std::istreambuf_iterator<char>(in), {}};
    if (text.size() > most) text.erase(0, text.size() - most);
    while (!text.empty() && text.back() == '\n') text.pop_back();
    std::ranges::replace(text, '\n', ' ');
    return text.empty() ? "(none)" : text;
}

// --- Foreign ---------------------------------------------------------------------------------------------------------

Foreign::Foreign(std::string which) : which_(std::move(which))
{
    open();
}

Foreign::~Foreign()
{
    if (we_stopped_) send(pidfd_, SIGCONT);
    if (pidfd_ >= 0) ::close(pidfd_);
}

void Foreign::open()
{
    std::string text = which_;
    const bool is_number = !text.empty() && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    has_file_ = !is_number;
    if (has_file_) {
        std::ifstream in(which_);
        text.assign(std::istreambuf_iterator<char>(in), {});
        if (!in.is_open()) throw UsageError(fmt::format("--process: {} cannot be read", which_));
    }
    std::istringstream words(text);
    pid_t pid = 0;
    if (!(words >> pid) || pid <= 0)
        throw UsageError(fmt::format("--process: {} does not begin with a process id", which_));
    std::uint64_t started = 0;
    const bool start_known = static_cast<bool>(words >> started);

    const auto refuse = [&](std::string_view why) {
        throw UsageError(fmt::format("--process: process {} is not ours to hit: {}", pid, why));
    };
    if (pid == 1) refuse("it is the first process");
    for (pid_t own = ::getpid(); own > 1;) {
        if (own == pid) refuse("it is this experiment, or what started it");
        const auto status = status_of(own);
        own = status ? status->parent : 0;
    }
    // From here on the number cannot be given to another without our noticing.
    const int pidfd = ::pidfd_open(pid, 0);
    const auto status = status_of(pid);
    if (pidfd < 0 || !status) {
        if (pidfd >= 0) ::close(pidfd);
        throw UsageError(fmt::format("--process: there is no process {}", pid));
    }
    struct stat owner {};
    const bool foreign_user = ::stat(fmt::format("/proc/{}", pid).c_str(), &owner) != 0 || owner.st_uid != ::geteuid();
    // Of the process that we knew, the file may still hold the number.
    const bool same_number = pid == pid_ && status->start_time != start_time_;
    const bool another = (start_known && status->start_time != started) || same_number;
    if (foreign_user || another) {
        ::close(pidfd);
        refuse(foreign_user ? "it belongs to another user" : "it started at another time than the file says");
    }
    if (pidfd_ >= 0) ::close(pidfd_);
    pidfd_ = pidfd;
    pid_ = pid;
    start_time_ = status->start_time;
}

bool Foreign::signal(int number)
{
    if (!send(pidfd_, number)) return false;
    if (number == SIGSTOP) we_stopped_ = true;
    if (number == SIGCONT) we_stopped_ = false;
    return true;
}

bool Foreign::running()
{
    if (!ended(pidfd_, Duration::zero())) return true;
    if (!has_file_) return false; // the next process with that number is another
    try {
        open();
    } catch (const UsageError&) {
        return false; // the file still names the one that has ended, or is being written
    }
    return !ended(pidfd_, Duration::zero());
}

bool Foreign::stopped() const
{
    const auto status = status_of(pid_);
    return status && status->state == 'T';
}

pid_t Foreign::pid() const noexcept
{
    return pid_;
}

} // namespace hotspare::experiment
