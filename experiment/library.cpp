#include "experiment/library.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <fstream>

namespace hotspare::experiment {

namespace fs = std::filesystem;

std::vector<std::string> names_in(const fs::path& library)
{
    std::vector<std::string> names;
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(library, error))
        if (entry.path().extension() == ".yaml") names.push_back(entry.path().stem());
    std::ranges::sort(names);
    return names;
}

Plan find_plan(const std::string& file_or_name, const fs::path& library)
{
    fs::path file = file_or_name;
    if (!fs::is_regular_file(file)) {
        file = library / (file_or_name + ".yaml");
        if (!fs::is_regular_file(file)) {
            const auto nearest = config::did_you_mean(file_or_name, names_in(library));
            throw UsageError(fmt::format("there is no experiment '{}'{}; `experiment list` names those that there are",
                                         file_or_name, nearest ? fmt::format(", did you mean '{}'?", *nearest) : ""));
        }
    }
    std::ifstream in(file, std::ios::binary);
    const std::string yaml{std::istreambuf_iterator<char>(in), {}};
    if (!in) throw UsageError(fmt::format("{}: cannot be read", file.string()));
    return read_plan(yaml, file.string());
}

} // namespace hotspare::experiment
