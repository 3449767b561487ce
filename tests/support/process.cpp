#include "tests/support/process.hpp"

#include "common/process/spawn.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <system_error>

namespace hotspare::test {
namespace {

std::pair<Fd, Fd> make_pipe()
{
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0) throw std::system_error(errno, std::generic_category(), "pipe2");
    return {Fd(ends[0]), Fd(ends[1])};
}

} // namespace

bool has_sanitizer_report(std::string_view output)
{
    return output.find("Sanitizer: ") != output.npos || output.find("runtime error: ") != output.npos;
}

Process::Process(std::string program, std::vector<std::string> arguments, Options options) : command_(program)
{
    for (const auto& a : arguments) command_ += " " + a;
    auto [out_read, out_write] = make_pipe();
    auto [err_read, err_write] = make_pipe();

    process::Command child{.program = program,
                           .arguments = std::move(arguments),
                           .environment = std::move(options.environment),
                           .directory = options.directory,
                           .out = out_write.get(),
                           .err = err_write.get()};
    child.group = options.own_group ? process::Command::Group::own : process::Command::Group::ours;
    child.ends_with_us = true;
    child.descriptor_limit = options.descriptors;
    started_ = Clock::now();
    auto started = process::spawn(child);
    if (!started) throw std::system_error(started.error().value(), std::generic_category(), "cannot start " + program);
    process_ = std::move(*started);
    out_pipe_ = std::move(out_read);
    err_pipe_ = std::move(err_read);
    reader_ = std::thread([this] { read_output(); });
}

Process::~Process()
{
    signal(SIGCONT);
#ifdef HOTSPARE_SANITIZED
    // Leaks are looked for when a program ends by itself.
    signal(SIGTERM);
    (void)wait_exit(seconds(5));
#endif
    signal(SIGKILL);
    wait_exit();
    stop_.raise();
    reader_.join();
    if (has_sanitizer_report(err_)) ADD_FAILURE() << "a sanitizer reports: " << description();
}

void Process::read_output()
{
    set_nonblocking(out_pipe_);
    set_nonblocking(err_pipe_);
    bool out_open = true;
    bool err_open = true;
    while (out_open || err_open) {
        std::array<pollfd, 3> p{pollfd{.fd = out_open ? out_pipe_.get() : -1, .events = POLLIN, .revents = 0},
                                pollfd{.fd = err_open ? err_pipe_.get() : -1, .events = POLLIN, .revents = 0},
                                pollfd{.fd = stop_.fd(), .events = POLLIN, .revents = 0}};
        if (::poll(p.data(), p.size(), -1) < 0) continue;
        const std::lock_guard lock(mutex_);
        if (p[0].revents) out_open = drain(out_pipe_, out_);
        if (p[1].revents) err_open = drain(err_pipe_, err_);
        for (std::size_t end = 0; (end = err_.find('\n', examined_)) != err_.npos; examined_ = end + 1) {
            if (!ready_.empty()) continue;
            const auto line = nlohmann::json::parse(err_.begin() + static_cast<std::ptrdiff_t>(examined_),
                                                    err_.begin() + static_cast<std::ptrdiff_t>(end), nullptr, false);
            if (!line.is_object() || !line.contains("event") || line["event"] != "ready") continue;
            ready_ = line.dump();
            ready_at_ = Clock::now();
        }
        changed_.notify_all();
        if (p[2].revents) break;
    }
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
}

bool Process::drain(Fd& from, std::string& into)
{
    std::array<char, 4096> buffer;
    for (;;) {
        const auto n = ::read(from.get(), buffer.data(), buffer.size());
        if (n > 0)
            into.append(buffer.data(), static_cast<std::size_t>(n));
        else if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return false;
        else if (errno == EAGAIN)
            return true;
    }
}

std::uint16_t Process::wait_ready(milliseconds bound)
{
    {
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, bound, [&] { return !ready_.empty() || ended_; });
        if (!ready_.empty()) return nlohmann::json::parse(ready_).at("port").get<std::uint16_t>();
    }
    wait_exit(milliseconds(100));
    throw std::runtime_error("not ready: " + description());
}

nlohmann::json Process::ready_event() const
{
    const std::lock_guard lock(mutex_);
    return ready_.empty() ? nlohmann::json() : nlohmann::json::parse(ready_);
}

Clock::duration Process::time_to_ready() const
{
    const std::lock_guard lock(mutex_);
    return ready_at_ - started_;
}

bool Process::signal(int number)
{
    return process_.signal(number);
}

bool Process::signal_group(int number)
{
    // Its id is its own as long as it was not waited for.
    return !exit_ && ::kill(-pid(), number) == 0;
}

std::optional<int> Process::wait_exit(milliseconds bound)
{
    if (!exit_ && process_.ended(bound))
        if (const auto exit = process_.reap()) exit_ = process::shell_code(*exit);
    return exit_;
}

std::optional<std::string> Process::wait_line(std::string_view text, milliseconds bound)
{
    std::unique_lock lock(mutex_);
    std::optional<std::string> found;
    const auto search = [&] {
        for (const std::string* stream : {&err_, &out_}) {
            const auto at = stream->find(text);
            const auto end = at == stream->npos ? at : stream->find('\n', at);
            if (end == stream->npos) continue;
            const auto before = stream->rfind('\n', at);
            const auto begin = before == stream->npos ? 0 : before + 1;
            found = stream->substr(begin, end - begin);
            return true;
        }
        return ended_;
    };
    changed_.wait_for(lock, bound, search);
    return found;
}

bool Process::wait_output_end(milliseconds bound)
{
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, bound, [&] { return ended_; });
}

std::string Process::out() const
{
    const std::lock_guard lock(mutex_);
    return out_;
}

std::string Process::err() const
{
    const std::lock_guard lock(mutex_);
    return err_;
}

std::string Process::description() const
{
    std::string text = command_;
    text += exit_ ? "\nexit code " + std::to_string(*exit_) : "\nstill running";
    return text + "\n--- standard output\n" + out() + "--- standard error\n" + err();
}

std::size_t Process::resident_kib() const
{
    std::ifstream status("/proc/" + std::to_string(pid()) + "/status");
    for (std::string word; status >> word;) {
        std::size_t kib = 0;
        if (word == "VmRSS:" && status >> kib) return kib;
    }
    return 0;
}

Finished run(const std::string& program, const std::vector<std::string>& arguments, Process::Options options,
             milliseconds bound)
{
    Process process(program, arguments, std::move(options));
    const auto code = process.wait_exit(bound);
    if (code) process.wait_output_end(seconds(1)); // a grandchild may hold the streams for longer
    return {code.value_or(-1), process.out(), process.err()};
}

} // namespace hotspare::test
