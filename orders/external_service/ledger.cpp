#include "orders/external_service/ledger.hpp"

#include "common/error.hpp"
#include "common/json_document.hpp"
#include "common/log.hpp"
#include "orders/external_service/validation.hpp"

#include <boost/uuid/string_generator.hpp>
#include <boost/uuid/uuid_io.hpp>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <string_view>

namespace hotspare::orders::external {
namespace {

using Json = nlohmann::json;
using OrderedJson = nlohmann::ordered_json;

std::string to_line(const LedgerEntry& entry)
{
    OrderedJson line;
    line["key"] = entry.key ? OrderedJson(*entry.key) : OrderedJson(nullptr);
    line["order_id"] = entry.order_id;
    line["verdict"] = status_of(entry.effect);
    line["at_ms"] = entry.effect.at_ms;
    line["stock"] = entry.effect.stock;
    line["body"] = boost::uuids::to_string(entry.effect.body);
    return json_text(line) + '\n';
}

/// Throws std::exception when the line is not one of ours.
LedgerEntry from_line(std::string_view line)
{
    const auto json = read_json_document(line);
    LedgerEntry entry;
    if (!json.at("key").is_null()) entry.key = json["key"].get<std::string>();
    json.at("order_id").get_to(entry.order_id);
    json.at("at_ms").get_to(entry.effect.at_ms);
    json.at("stock").get_to(entry.effect.stock);
    entry.effect.body = boost::uuids::string_generator()(json.at("body").get<std::string>());
    const auto& verdict = json.at("verdict").get_ref<const std::string&>();
    entry.effect.valid = true;
    if (verdict == status_of(entry.effect)) return entry;
    entry.effect.valid = false;
    if (verdict == status_of(entry.effect)) return entry;
    throw std::runtime_error(fmt::format("unknown verdict '{}'", verdict));
}

} // namespace

Ledger::Ledger(const std::string& path, const std::function<void(const LedgerEntry&)>& read)
{
    if (path.empty()) return;
    file_ = Fd(::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644));
    if (!file_) throw UsageError(fmt::format("--ledger: cannot open {}: {}", path, std::strerror(errno)));
    struct stat status {};
    if (::fstat(file_.get(), &status) != 0 || !S_ISREG(status.st_mode))
        throw UsageError(fmt::format("--ledger: {} is not a regular file", path));
    // Two writers would not know each other's keys.
    if (::flock(file_.get(), LOCK_EX | LOCK_NB) != 0)
        throw UsageError(fmt::format("--ledger: {} is in use by another process", path));
    load(path, read);
}

void Ledger::load(const std::string& path, const std::function<void(const LedgerEntry&)>& read)
{
    constexpr std::size_t longest_line = 64 * 1024; // of ours; a file with a longer one is something else
    std::array<char, 64 * 1024> buffer{};
    std::string pending;
    std::size_t number = 0;
    for (std::uint64_t offset = 0;;) {
        const auto count = ::pread(file_.get(), buffer.data(), buffer.size(), static_cast<off_t>(offset));
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) throw UsageError(fmt::format("--ledger: cannot read {}: {}", path, std::strerror(errno)));
        if (count == 0) break;
        offset += static_cast<std::uint64_t>(count);
        pending.append(buffer.data(), static_cast<std::size_t>(count));
        std::size_t start = 0;
        for (auto end = pending.find('\n'); end != std::string::npos; end = pending.find('\n', start)) {
            ++number;
            try {
                read(from_line(std::string_view(pending).substr(start, end - start)));
            } catch (const std::exception& e) {
                throw UsageError(fmt::format("--ledger: {}:{}: not a line of a ledger: {}", path, number, e.what()));
            }
            size_ += end + 1 - start;
            start = end + 1;
        }
        pending.erase(0, start);
        if (pending.size() > longest_line)
            throw UsageError(fmt::format("--ledger: {}:{}: not a line of a ledger: too long", path, number + 1));
    }
    if (pending.empty()) return;
    log::warn("the ledger's last line is not complete: removed, for its call was never answered");
    torn_ = true;
    restore();
    if (torn_) throw UsageError(fmt::format("--ledger: cannot shorten {}: {}", path, std::strerror(errno)));
}

bool Ledger::add(const LedgerEntry& entry)
{
    if (!file_) return true;
    if (torn_) restore();
    if (torn_) return false;
    const auto line = to_line(entry);
    const auto written = ::write(file_.get(), line.data(), line.size());
    if (written == static_cast<ssize_t>(line.size())) {
        size_ += line.size();
        return true;
    }
    log::error("the ledger cannot be written: {}", written < 0 ? std::strerror(errno) : "no room for a whole line");
    torn_ = written > 0;
    if (torn_) restore();
    return false;
}

/// Cuts off the part of a line that a failed write has left; what follows it would not be readable.
void Ledger::restore()
{
    torn_ = ::ftruncate(file_.get(), static_cast<off_t>(size_)) != 0;
}

} // namespace hotspare::orders::external
