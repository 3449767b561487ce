// The documents of a backend over HTTP: GET, PUT and DELETE /data/{key}, with entity tags and conditional requests. A
// write is durable before it is answered; whatever goes wrong in the store is a 503 with Retry-After, never a 2xx.
//
// Thread: the server's. Owner: the service; it must outlive the router that it was added to.
#pragma once

#include "common/http/router.hpp"
#include "common/storage/document_store.hpp"

#include <string>

namespace hotspare::backend {

namespace asio = boost::asio;

class Documents {
public:
    /// Throws StartupError when the SQLite file cannot be used.
    explicit Documents(const std::string& file);

    void add_routes(http::Router& routes);

private:
    asio::awaitable<http::Response> get(const http::Request& request);
    asio::awaitable<http::Response> put(const http::Request& request);
    asio::awaitable<http::Response> remove(const http::Request& request);

    storage::DocumentStore store_;
};

} // namespace hotspare::backend
