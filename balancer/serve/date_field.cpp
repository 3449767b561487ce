#include "balancer/serve/date_field.hpp"

#include "common/time.hpp"

namespace hotspare::balancer {

std::string_view DateField::at(WallTime now)
{
    const auto second = std::chrono::floor<std::chrono::seconds>(now);
    if (second != second_) {
        second_ = second;
        text_ = format_http_date(second);
    }
    return text_;
}

} // namespace hotspare::balancer
