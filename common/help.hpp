// How every program of the suite prints its --help: as CLI11 does, but within the width of a terminal.
//
// Any thread.
#pragma once

#include <functional> // CLI11 2.3 uses it without including it

#include <CLI/FormatterFwd.hpp>

#include <memory>

namespace hotspare {

/// For CLI::App::formatter(), before subcommands are added, which inherit it.
std::shared_ptr<CLI::FormatterBase> narrow_help();

} // namespace hotspare
