#include "balancer/decide/maintenance.hpp"

#include "common/time.hpp"

#include <algorithm>

namespace hotspare::balancer {

bool comes_before(const Maintenance& a, const Maintenance& b) noexcept
{
    const WallTime never = WallTime::max();
    if (a.until != b.until) return a.until.value_or(never) < b.until.value_or(never);
    return !a.message.empty() && b.message.empty();
}

seconds retry_after(const Maintenance& maintenance, WallTime now) noexcept
{
    constexpr seconds unannounced{60}, least{1}, most{86400};
    if (!maintenance.until) return unannounced;
    // Rounded up: a client that comes exactly then finds the end reached.
    return std::clamp(std::chrono::ceil<seconds>(*maintenance.until - now), least, most);
}

std::string with_announcement(std::string_view sentence, const Maintenance& maintenance)
{
    std::string text(sentence);
    if (maintenance.until) text += " until " + format_rfc3339(*maintenance.until);
    if (!maintenance.message.empty()) text += ": " + maintenance.message;
    return text;
}

} // namespace hotspare::balancer
