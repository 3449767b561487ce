#include "common/http/caller.hpp"

#include <boost/beast/http/rfc7230.hpp>

namespace hotspare::http {

Caller caller_of(const Request& request)
{
    Caller caller;
    caller.peer = request.peer.address().to_string();
    caller.method = std::string_view(request.method_string());
    caller.host = request.header("Host");
    caller.origin = request.header("Origin");
    caller.fetch_site = request.header("Sec-Fetch-Site");
    caller.content_type = request.header("Content-Type");
    for (const auto* field : {"X-Forwarded-For", "Forwarded", "Via"})
        caller.forwarded = caller.forwarded || request.count(field) > 0;
    beast::http::token_list connection(request.header("Connection"));
    caller.page_possible = !connection.exists("close") || request.count("Accept-Encoding") > 0;
    return caller;
}

} // namespace hotspare::http
