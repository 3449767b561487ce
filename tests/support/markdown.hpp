// What a document tells its reader to type.
#pragma once

#include <string>
#include <vector>

namespace hotspare::test {

/// The commands in the fenced `sh` blocks of a Markdown text, in order: without comments, continuation lines joined.
std::vector<std::string> shell_commands(const std::string& markdown);

} // namespace hotspare::test
