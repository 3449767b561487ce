#include "common/backend/ledger.hpp"

#include "common/error.hpp"
#include "common/log.hpp"

#include <fmt/format.h>

#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace hotspare::backend {

Ledger::Ledger(const std::string& path)
{
    if (path.empty()) return;
    file_.reset(std::fopen(path.c_str(), "ae"));
    if (!file_) throw UsageError(fmt::format("--ledger: cannot open {}: {}", path, std::strerror(errno)));
}

void Ledger::add(std::string_view request_id, std::string_view method, std::string_view target)
{
    if (!file_) return;
    const auto line = fmt::format("{} {} {}\n", request_id, method, target);
    // O_APPEND makes one write() one line, also when two processes share the file.
    if (::write(::fileno(file_.get()), line.data(), line.size()) != static_cast<ssize_t>(line.size()))
        log::error("the ledger cannot be written: {}", std::strerror(errno));
}

} // namespace hotspare::backend
