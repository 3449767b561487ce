#include "balancer/places.hpp"

#include <utility>

namespace hotspare::balancer {

std::vector<Place> places_of(const NameQuery& name, const http::NameAnswer& answer)
{
    std::vector<Place> places;
    for (const auto& address : answer.addresses)
        places.push_back({.host = name.host, .port = address.port(), .address = address.address().to_string()});
    return places;
}

std::vector<Place> places_of(const http::ServiceAnswer& answer)
{
    std::vector<Place> places;
    for (const http::ServiceRecord& record : answer.records)
        places.push_back(
            {.host = record.host, .port = record.port, .priority = record.priority, .weight = record.weight});
    return places;
}

} // namespace hotspare::balancer
