#include "experiment/progress.hpp"

#include "common/markup.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace hotspare::experiment {
namespace {

constexpr std::size_t bar_columns = 20;

double to_seconds(Nanos at)
{
    return std::chrono::duration<double>(at).count();
}

} // namespace

Progress::Progress(const Plan& plan, bool quiet) : plan_(plan), quiet_(quiet), terminal_(::isatty(STDOUT_FILENO) == 1)
{
}

Progress::~Progress()
{
    clear();
}

void Progress::begin(const std::string& what)
{
    what_ = what;
    if (quiet_) return;
    clear();
    fmt::print("{}\n", printable(what));
    std::fflush(stdout);
}

void Progress::end(const std::string& how)
{
    clear();
    fmt::print("{}{}\n", quiet_ ? what_ + ": " : "  ", printable(how));
    std::fflush(stdout);
}

Watcher Progress::watcher()
{
    return {.progress = [this](const Snapshot& snapshot) { update(snapshot); },
            .say = [this](Nanos at, const std::string& text) { line(at, text); }};
}

void Progress::update(const Snapshot& snapshot)
{
    if (!terminal_) return;
    const auto whole = std::chrono::duration<double>(plan_.duration).count();
    const auto share = std::clamp(to_seconds(snapshot.at) / whole, 0., 1.);
    const auto full = static_cast<std::size_t>(share * bar_columns);
    auto text = fmt::format("[{:#<{}}{:.<{}}] {:4.1f}/{:.0f} s {:4.0f}/s {} failed  {}", "", full, "",
                            bar_columns - full, std::max(to_seconds(snapshot.at), 0.), whole, snapshot.rate,
                            snapshot.failed, snapshot.served_by.empty() ? "-" : snapshot.served_by);
    if (!snapshot.faults.empty()) text += "  " + snapshot.faults;
    fmt::print("\r\x1b[K{}", shorten(printable(text), terminal_columns - 1));
    std::fflush(stdout);
    drawn_ = true;
}

void Progress::line(Nanos at, const std::string& text)
{
    if (quiet_) return;
    clear();
    fmt::print("{:>9.3f} s  {}\n", to_seconds(at), shorten(printable(text), terminal_columns - 13));
    std::fflush(stdout);
}

void Progress::clear()
{
    if (!std::exchange(drawn_, false)) return;
    fmt::print("\r\x1b[K");
    std::fflush(stdout);
}

} // namespace hotspare::experiment
