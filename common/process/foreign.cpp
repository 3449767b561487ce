#include "common/process/foreign.hpp"

#include <fmt/format.h>

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <string_view>

namespace hotspare::process {

Foreign::Foreign(std::string which) : which_(std::move(which))
{
    open();
}

Foreign::~Foreign()
{
    if (we_stopped_) process_.signal(SIGCONT);
}

void Foreign::open()
{
    std::string text = which_;
    has_file_ = text.empty() || !std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
    if (has_file_) {
        std::ifstream in(which_);
        text.assign(std::istreambuf_iterator<char>(in), {});
        if (!in.is_open()) throw UsageError(fmt::format("--process: {} cannot be read", which_));
    }
    const auto named = parse_identity(text);
    if (!named) throw UsageError(fmt::format("--process: {} does not begin with a process id", which_));

    const auto refuse = [&](std::string_view why) {
        throw UsageError(fmt::format("--process: process {} is not ours to hit: {}", named->pid, why));
    };
    if (named->pid == 1) refuse("it is the first process");
    for (pid_t own = ::getpid(); own > 1;) {
        if (own == named->pid) refuse("it is this experiment, or what started it");
        const auto stat = stat_of(own);
        own = stat ? stat->parent : 0;
    }
    auto process = Process::open({.pid = named->pid});
    if (!process) throw UsageError(fmt::format("--process: there is no process {}", named->pid));
    struct stat owner {};
    if (::stat(fmt::format("/proc/{}", named->pid).c_str(), &owner) != 0 || owner.st_uid != ::geteuid())
        refuse("it belongs to another user");
    // Of the process that we knew, the file may still hold the number.
    const auto& found = process->identity();
    const bool same_number = process_ && found.pid == process_.pid() && found != process_.identity();
    const bool another_start = named->start_time != 0 && found.start_time != named->start_time;
    const bool another_boot = !named->boot_id.empty() && found.boot_id != named->boot_id;
    if (same_number || another_start || another_boot) refuse("it started at another time than the file says");
    process_ = std::move(*process);
}

bool Foreign::signal(int number)
{
    if (!process_.signal(number)) return false;
    if (number == SIGSTOP) we_stopped_ = true;
    if (number == SIGCONT) we_stopped_ = false;
    return true;
}

bool Foreign::running()
{
    if (!process_.ended()) return true;
    if (!has_file_) return false; // the next process with that number is another
    try {
        open();
    } catch (const UsageError&) {
        return false; // the file still names the one that has ended, or is being written
    }
    return !process_.ended();
}

} // namespace hotspare::process
