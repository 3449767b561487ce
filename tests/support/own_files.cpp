#include "tests/support/own_files.hpp"

#include <filesystem>
#include <stdexcept>

namespace hotspare::test {

std::string source_file(const std::string& relative)
{
    const std::string root = HOTSPARE_SOURCE_DIR;
    return relative.empty() ? root : root + "/" + relative;
}

std::string build_file(const std::string& relative)
{
    const std::string build = HOTSPARE_BINARY_DIR;
    return relative.empty() ? build : build + "/" + relative;
}

std::string binary(const std::string& name)
{
    const std::filesystem::path build(build_file());
    auto own = build / name / name;
    if (std::filesystem::exists(own)) return own.string();
    for (const auto& folder : std::filesystem::directory_iterator(build))
        if (auto file = folder.path() / name; std::filesystem::is_regular_file(file)) return file.string();
    throw std::runtime_error("no program " + name + " below " + build.string());
}

} // namespace hotspare::test
