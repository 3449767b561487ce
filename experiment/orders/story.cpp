#include "experiment/orders/story.hpp"

#include "common/markup.hpp"
#include "common/text.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <utility>

namespace hotspare::experiment {

Story::Story(unsigned columns) : columns_(columns), terminal_(::isatty(STDOUT_FILENO) == 1) {}

Story::~Story()
{
    clear();
}

void Story::tell(Nanos at, const std::string& text)
{
    clear();
    fmt::print("{:>9.3f} s  {}\n", std::chrono::duration<double>(at).count(), shorten(printable(text), columns_ - 13));
    std::fflush(stdout);
}

void Story::progress(Nanos at, const std::string& text)
{
    if (terminal_) {
        fmt::print("\r\x1b[K{:>9.3f} s  {}", std::chrono::duration<double>(at).count(),
                   shorten(printable(text), columns_ - 14));
        std::fflush(stdout);
        drawn_ = true;
    } else if (at >= next_) {
        next_ = at + pause_;
        pause_ = std::min<Nanos>(2 * pause_, seconds(30)); // keeps the output short
        tell(at, text);
    }
}

void Story::clear()
{
    if (std::exchange(drawn_, false)) fmt::print("\r\x1b[K");
}

} // namespace hotspare::experiment
