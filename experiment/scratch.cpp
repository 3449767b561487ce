#include "experiment/scratch.hpp"

#include "common/error.hpp"

#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <utility>

namespace hotspare::experiment {

namespace fs = std::filesystem;

Scratch::Scratch(fs::path keep) : root_(std::move(keep)), temporary_(root_.empty())
{
    if (!temporary_) return;
    auto pattern = (fs::temp_directory_path() / "hotspare-experiment-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
        throw StartupError(fmt::format("cannot make a folder below {}", fs::temp_directory_path().string()));
    root_ = pattern;
}

Scratch::~Scratch()
{
    std::error_code ignored;
    if (temporary_) fs::remove_all(root_, ignored);
}

fs::path Scratch::make(const std::string& name) const
{
    const auto folder = root_ / name;
    std::error_code error;
    fs::remove_all(folder, error);
    fs::create_directories(folder, error);
    if (error) throw StartupError(fmt::format("cannot make the folder {}: {}", folder.string(), error.message()));
    return fs::absolute(folder);
}

void write_file(const fs::path& file, std::string_view text)
{
    std::ofstream out(file, std::ios::binary | std::ios::trunc);
    out << text;
    if (!out.flush()) throw StartupError(fmt::format("cannot write {}", file.string()));
}

} // namespace hotspare::experiment
