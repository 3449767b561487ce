// One explicit table from method and path to handler. It answers what HTTP asks of any resource by itself: 404 for an
// unknown path, 405 with Allow for a wrong method, HEAD from GET, OPTIONS; everything else is a handler's.
//
// Immutable once the server runs; used on the server's thread. Owned by the component whose handlers it holds.
#pragma once

#include "common/http/message.hpp"

#include <concepts>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace hotspare::http {

/// The request outlives the handler's coroutine. An exception becomes a logged 500.
using Handler = std::function<asio::awaitable<Response>(const Request&)>;

class Router {
public:
    /// `pattern` is a path whose segments are literal, "{name}" (exactly one non-empty segment, decoded into
    /// Request::parameters) or, last only, "{name...}" (the rest of the path, as received). The first pattern added
    /// that matches wins. Precondition: method and pattern are not in the table yet.
    void add(verb method, std::string pattern, Handler handler);

    /// The same for a handler that needs no coroutine: `Response(const Request&)`.
    template <class F>
    requires std::same_as<std::invoke_result_t<F, const Request&>, Response>
    void add(verb method, std::string pattern, F handler)
    {
        add(method, std::move(pattern), Handler(Ready<F>{std::move(handler)}));
    }

    /// Sets the request's `route` and `parameters` without answering it; both stay empty when no pattern matches.
    void identify(Request& request) const;

    /// Identifies and answers `request`, which must outlive the returned coroutine.
    asio::awaitable<Response> dispatch(Request& request) const;

private:
    template <class F> struct Ready {
        F handler;
        asio::awaitable<Response> operator()(const Request& request) const { return ready(handler(request)); }
    };
    static asio::awaitable<Response> ready(Response response);

    struct Method {
        verb method;
        Handler handler;
    };
    struct Route {
        std::string pattern;
        std::vector<std::string> segments;
        std::vector<Method> methods;
    };

    const Route* find(Request& request) const;
    static bool match(const Route& route, const std::vector<std::string_view>& segments, Request& request);
    static std::string allow(const Route& route);

    std::vector<Route> routes_;
};

} // namespace hotspare::http
