#include "orders/validation_service/pause_file.hpp"

#include "common/json_document.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <string_view>

#include <fcntl.h>
#include <unistd.h>

namespace hotspare::orders {
namespace {

constexpr std::size_t largest = 4'096;

/// A descriptor that is closed at the end.
class Open {
public:
    Open(const std::string& path, int flags) : descriptor_(::open(path.c_str(), flags | O_CLOEXEC, 0644)) {}
    ~Open()
    {
        if (descriptor_ >= 0) ::close(descriptor_);
    }
    Open(const Open&) = delete;
    Open& operator=(const Open&) = delete;

    int get() const noexcept { return descriptor_; }
    explicit operator bool() const noexcept { return descriptor_ >= 0; }

private:
    int descriptor_;
};

result<void> write_and_sync(const std::string& path, std::string_view text)
{
    const Open file(path, O_WRONLY | O_CREAT | O_TRUNC);
    if (!file) return last_system_error();
    while (!text.empty()) {
        const auto written = ::write(file.get(), text.data(), text.size());
        if (written < 0 && errno == EINTR) continue;
        if (written < 0) return last_system_error();
        text.remove_prefix(static_cast<std::size_t>(written));
    }
    if (::fsync(file.get()) != 0) return last_system_error();
    return {};
}

} // namespace

bool PauseFile::load() const
{
    if (path_.empty()) return false;
    const Open file(path_, O_RDONLY);
    if (!file && errno == ENOENT) return false;
    std::string text(largest, '\0');
    const auto size = file ? ::read(file.get(), text.data(), text.size()) : -1;
    if (size < 0) throw UsageError(fmt::format("--state: {}: {}", path_, last_system_error().message()));
    text.resize(static_cast<std::size_t>(size));
    const auto body = read_json_document(text);
    const auto paused = body.is_object() ? body.find("paused") : body.end();
    if (!body.is_object() || paused == body.end() || !paused->is_boolean())
        throw UsageError(fmt::format("--state: {}: expected {{\"paused\":true}} or {{\"paused\":false}}; this is not a "
                                     "file of validation_service",
                                     path_));
    return paused->get<bool>();
}

result<void> PauseFile::store(bool paused) const
{
    if (path_.empty()) return {};
    const auto beside = path_ + ".part";
    if (auto written = write_and_sync(beside, paused ? "{\"paused\":true}\n" : "{\"paused\":false}\n"); !written)
        return written;
    if (std::rename(beside.c_str(), path_.c_str()) != 0) return last_system_error();
    // The name is durable once its directory is.
    auto folder = std::filesystem::path(path_).parent_path().string();
    const Open directory(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
    if (!directory || ::fsync(directory.get()) != 0) return last_system_error();
    return {};
}

} // namespace hotspare::orders
