#include "tests/support/markdown.hpp"

#include <algorithm>
#include <sstream>

namespace hotspare::test {

std::vector<std::string> shell_commands(const std::string& markdown)
{
    std::vector<std::string> commands;
    std::string fence; ///< language of the block that we are in, with its fence; empty outside
    std::string pending;
    std::istringstream in(markdown);
    for (std::string line; std::getline(in, line);) {
        line.erase(0, std::min(line.find_first_not_of(" \t"), line.size()));
        if (line.starts_with("```")) {
            fence = fence.empty() ? line : std::string();
            continue;
        }
        if (fence != "```sh") continue;
        if (line.starts_with('#')) continue;
        if (const auto comment = line.find(" #"); comment != std::string::npos) line.erase(comment);
        line.erase(line.find_last_not_of(" \t") + 1);
        const bool continues = line.ends_with('\\');
        if (continues) line.pop_back();
        pending += line;
        if (continues || pending.empty()) continue;
        commands.push_back(pending);
        pending.clear();
    }
    return commands;
}

} // namespace hotspare::test
