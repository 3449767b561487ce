// Folders for what the processes of an experiment write: logs, configuration, data.
//
// Thread: main's.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

namespace hotspare::experiment {

class Scratch {
public:
    /// Below `keep`, where they stay; empty: below a temporary folder that goes with this object. Throws StartupError.
    explicit Scratch(std::filesystem::path keep);
    ~Scratch();

    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    /// An empty folder of that name. What stood there is removed.
    std::filesystem::path make(const std::string& name) const;

private:
    std::filesystem::path root_;
    bool temporary_;
};

/// Replaces the file. Throws StartupError.
void write_file(const std::filesystem::path& file, std::string_view text);

} // namespace hotspare::experiment
