// Answers of DNS in the words of decide/names, which knows no addresses of Asio's.
//
// Thread: any.
#pragma once

#include "balancer/decide/names.hpp"
#include "common/http/resolver.hpp"

#include <vector>

namespace hotspare::balancer {

std::vector<Place> places_of(const NameQuery& name, const http::NameAnswer& answer);
std::vector<Place> places_of(const http::ServiceAnswer& answer);

} // namespace hotspare::balancer
