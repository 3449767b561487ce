#include "common/error.hpp"

#include <cerrno>

#include <utility>

namespace hotspare {
namespace {

class Category final : public boost::system::error_category {
public:
    const char* name() const noexcept override { return "hotspare"; }

    std::string message(int value) const override
    {
        switch (static_cast<errc>(value)) {
        case errc::timed_out: return "timed out";
        case errc::cancelled: return "cancelled";
        case errc::closed_early: return "closed before the message was complete";
        case errc::malformed: return "not valid HTTP";
        case errc::too_large: return "larger than the limit";
        case errc::unavailable: return "nothing can answer";
        case errc::conflict: return "the stored state differs from what was expected";
        case errc::not_found: return "not found";
        case errc::storage: return "the store failed";
        case errc::storage_full: return "the disk is full";
        case errc::storage_broken: return "the store is broken";
        }
        return "unknown error";
    }
};

std::string lines(const std::vector<std::string>& all)
{
    std::string out;
    for (const auto& one : all) out += (out.empty() ? "" : "\n") + one;
    return out;
}

} // namespace

UsageError::UsageError(std::vector<std::string> all) : std::runtime_error(lines(all)), messages(std::move(all)) {}

const boost::system::error_category& hotspare_category() noexcept
{
    static const Category category;
    return category;
}

error_code last_system_error() noexcept
{
    return {errno, boost::system::system_category()};
}

bool is_own_shortage(const error_code& error) noexcept
{
    namespace errors = boost::system::errc;
    return error == errors::too_many_files_open || error == errors::too_many_files_open_in_system ||
           error == errors::no_buffer_space || error == errors::not_enough_memory ||
           error == errors::address_not_available || error == errors::permission_denied;
}

} // namespace hotspare
