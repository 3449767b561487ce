#include "balancer/serve/date_field.hpp"

#include "common/http/message.hpp"

namespace hotspare::balancer {

std::string_view DateField::at(WallTime now)
{
    const auto second = std::chrono::floor<std::chrono::seconds>(now);
    if (second != second_) {
        second_ = second;
        text_ = http::http_date(second);
    }
    return text_;
}

} // namespace hotspare::balancer
