#include "common/process/child.hpp"

#include "common/process/output_file.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>

namespace hotspare::process {
namespace {

constexpr Duration kill_time = seconds(2); ///< SIGKILL takes as long as the kernel needs to give memory back

} // namespace

Child::Child(Command command, std::filesystem::path output) : command_(std::move(command)), output_(std::move(output))
{
    command_.ends_with_us = true;
    start();
}

Child::~Child()
{
    end();
}

void Child::start()
{
    if (running()) return;
    end(); // what is left of the one before
    const auto output = open_output(output_);
    if (!output) throw StartupError(fmt::format("cannot write {}: {}", output_.string(), output.error().message()));
    command_.out = command_.err = output->get();
    auto process = spawn(command_);
    if (!process)
        throw StartupError(fmt::format("cannot start {}: {}", command_.program.string(), process.error().message()));
    process_ = std::move(*process);
}

void Child::end(Duration patience)
{
    process_.signal(SIGCONT);
    process_.signal(SIGTERM);
    if (!process_.ended(patience)) {
        process_.signal(SIGKILL);
        process_.ended(kill_time);
    }
    process_.reap();
}

std::string Child::last_words() const
{
    auto text = last_lines(output_, 4);
    constexpr std::size_t most = 400;
    if (text.size() > most) text.erase(0, text.size() - most);
    std::ranges::replace(text, '\n', ' ');
    return text.empty() ? "(none)" : text;
}

} // namespace hotspare::process
