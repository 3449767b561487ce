#include "monitor/check/push.hpp"

#include "common/config.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace hotspare::monitor {

void PushWatch::reported(PushReport report, TimePoint now)
{
    latest_ = std::move(report);
    since_ = now;
}

void PushWatch::was_unreachable(Duration length, TimePoint now) noexcept
{
    if (length < interval_) {
        since_ = std::min(since_ + length, now);
        return;
    }
    latest_.reset();
    since_ = now;
}

PushWatch::View PushWatch::look(TimePoint now) const
{
    if (now - since_ > allowed_)
        return {State::down, fmt::format("no report within {}", config::format_duration(allowed_))};
    if (!latest_) return {State::unknown, "no report yet"};
    if (latest_->up) return {State::up, {}};
    return {State::down, latest_->message.empty() ? "reported itself down" : latest_->message};
}

bool equal_in_constant_time(std::string_view a, std::string_view b) noexcept
{
    if (a.size() != b.size()) return false;
    unsigned difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
        difference |= static_cast<unsigned>(static_cast<unsigned char>(a[i])) ^ static_cast<unsigned char>(b[i]);
    return difference == 0;
}

} // namespace hotspare::monitor
