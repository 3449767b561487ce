// What a route asks of a request beside its path, looked up in the request's head.
//
// No I/O. Thread: its worker's. Lives no longer than the head.
#pragma once

#include "balancer/decide/routes.hpp"
#include "balancer/serve/message_head.hpp"

namespace hotspare::balancer {

class RequestConditions final : public RouteConditions {
public:
    explicit RequestConditions(const RequestHead& head) noexcept : head_(head) {}

    bool met(const RouteConfig& route) const override;

private:
    const RequestHead& head_;
};

} // namespace hotspare::balancer
