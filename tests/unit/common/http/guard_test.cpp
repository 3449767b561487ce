#include "common/http/caller.hpp"
#include "common/http/guard.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>

namespace hotspare::http {
namespace TEST_FILE {

using namespace std::string_view_literals;

const GuardSettings settings{.hosts = {"balancer.internal", "192.0.2.7", "2001:db8::7"},
                             .origins = {"https://console.example:8443"}};

/// What curl sends to http://localhost:5000 from this machine.
Caller local(std::string_view method = "POST")
{
    return {.peer = "127.0.0.1", .method = method, .host = "localhost:5000"};
}

/// The reason, or nothing if the request may be served.
std::string refusal(const Caller& caller, Access access)
{
    const auto problem = refuse(caller, access, settings);
    if (!problem) return {};
    EXPECT_EQ(problem->status, 403U);
    EXPECT_FALSE(problem->detail.empty());
    return problem->detail;
}

TEST(Guard, serves_a_local_operator_and_every_reader_that_names_an_address)
{
    for (const auto access : {Access::read, Access::stream, Access::operate, Access::work})
        for (const auto* method : {"GET", "HEAD", "POST", "PUT", "DELETE"})
            EXPECT_EQ(refusal(local(method), access), "") << method;
}

TEST(Guard, takes_operators_requests_from_loopback_peers_only)
{
    for (const auto* peer : {"127.0.0.1", "127.8.9.10", "::1", "::ffff:127.0.0.1"}) {
        Caller caller = local();
        caller.peer = peer;
        EXPECT_EQ(refusal(caller, Access::operate), "") << peer;
    }
    for (const auto* peer :
         {"", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "128.0.0.1", "::", "0.0.0.0", "::7f00:1"}) {
        Caller caller = local();
        caller.peer = peer;
        EXPECT_NE(refusal(caller, Access::operate), "") << peer;
        EXPECT_EQ(refusal(caller, Access::read), "") << peer;
        EXPECT_EQ(refusal(caller, Access::stream), "") << peer;
    }
}

TEST(Guard, takes_no_operators_requests_that_a_proxy_has_marked)
{
    Caller caller = local();
    caller.forwarded = true;
    EXPECT_NE(refusal(caller, Access::operate), "");
    EXPECT_EQ(refusal(caller, Access::stream), "");
}

TEST(Guard, takes_work_from_other_machines_and_proxies_but_from_no_page)
{
    Caller caller = local();
    caller.peer = "192.0.2.1";
    caller.host = "192.0.2.7:8180";
    caller.forwarded = true;
    EXPECT_EQ(refusal(caller, Access::work), "");
    EXPECT_NE(refusal(caller, Access::operate), "");
    for (const auto* type : {"text/plain", "text/plain;charset=UTF-8", "multipart/form-data; boundary=x"}) {
        caller.content_type = type;
        EXPECT_NE(refusal(caller, Access::work), "") << type;
    }
    caller.content_type = "application/json";
    EXPECT_EQ(refusal(caller, Access::work), "");
    caller.origin = "http://evil.example";
    EXPECT_NE(refusal(caller, Access::work), "");
    caller.origin = {};
    caller.fetch_site = "cross-site";
    EXPECT_NE(refusal(caller, Access::work), "");
    caller.fetch_site = {};
    caller.host = "evil.example";
    EXPECT_NE(refusal(caller, Access::work), "") << "a name that was made to resolve to this machine";
}

TEST(Guard, knows_its_own_names_from_those_that_a_page_may_have_been_rebound_to)
{
    struct Row {
        std::string_view host;
        bool read;
        bool operate;
    };
    for (const Row& row : {
             Row{"localhost", true, true},
             Row{"LocalHost:5000", true, true},
             Row{"app.localhost:5000", true, true},
             Row{"127.0.0.1:5000", true, true},
             Row{"127.8.9.10", true, true},
             Row{"[::1]:5000", true, true},
             Row{"[::ffff:127.0.0.1]", true, true},
             Row{"balancer.internal:80", true, true},
             Row{"Balancer.Internal", true, true},
             Row{"192.0.2.7:5000", true, true},  // listed
             Row{"[2001:db8::7]:1", true, true}, // listed
             Row{"192.0.2.1:5000", true, false}, // an address cannot be rebound
             Row{"[2001:db8::1]:80", true, false},
             Row{"evil.example", false, false},
             Row{"evil.example:5000", false, false},
             Row{"localhost.evil.example", false, false},
             Row{"evillocalhost", false, false},
             Row{"127.0.0.1.evil.example", false, false},
             Row{"127.0.0.1\0.evil.example"sv, false, false},
             Row{"xbalancer.internal", false, false},
             Row{"balancer.internal.evil.example", false, false},
             Row{"[evil.example]", false, false},
             Row{"[localhost]", false, false},
             Row{"[", false, false},
             Row{"[]", false, false},
             Row{":5000", false, false},
             Row{"[localhost", false, false},
             Row{"localhost:x", false, false},
             Row{"[::1]5000", false, false},
             Row{"localhost,evil.example", false, false},
         }) {
        Caller caller = local();
        caller.host = row.host;
        EXPECT_EQ(refusal(caller, Access::read).empty(), row.read) << row.host;
        EXPECT_EQ(refusal(caller, Access::stream).empty(), row.read) << row.host;
        EXPECT_EQ(refusal(caller, Access::operate).empty(), row.operate) << row.host;
    }
}

TEST(Guard, names_the_host_and_the_setting_that_admits_it)
{
    Caller caller = local("GET");
    caller.host = "evil.example:5000";
    EXPECT_EQ(refusal(caller, Access::read), "Host 'evil.example:5000' is not a name of this service: use localhost or "
                                             "an IP address, or add the name to `admin_hosts`");
    EXPECT_EQ(refusal(caller, Access::operate), "Host 'evil.example:5000' is not a name of this service: use localhost "
                                                "or a loopback IP address, or add the name to `admin_hosts`");
    const std::string endless(16 * 1024, 'x');
    caller.host = endless;
    EXPECT_LT(refusal(caller, Access::read).size(), 300U);
}

TEST(Guard, judges_by_host_only_what_a_page_can_have_sent)
{
    Caller caller = local("GET");
    caller.host = "app.example";
    caller.page_possible = false;
    EXPECT_EQ(refusal(caller, Access::read), "");
    EXPECT_NE(refusal(caller, Access::operate), "");
    caller.page_possible = true;
    caller.host = ""; // HTTP/1.0
    EXPECT_EQ(refusal(caller, Access::read), "");
    EXPECT_NE(refusal(caller, Access::operate), "");
}

TEST(Guard, compares_origins_by_scheme_host_and_port)
{
    for (const auto& [origin, host] : {
             std::pair("http://localhost:5000", "localhost:5000"),
             std::pair("http://LOCALHOST:5000", "localhost:5000"),
             std::pair("http://localhost", "localhost:80"),
             std::pair("http://localhost:80", "localhost"),
             std::pair("http://[::1]:5000", "[::1]:5000"),
         })
        EXPECT_TRUE(is_same_origin(origin, host)) << origin << " " << host;
    for (const auto& [origin, host] : {
             std::pair("https://localhost:5000", "localhost:5000"),
             std::pair("http://localhost:3000", "localhost:5000"),
             std::pair("http://localhost", "localhost:5000"),
             std::pair("http://127.0.0.1:5000", "localhost:5000"),
             std::pair("http://evil.example//localhost:5000", "localhost:5000"), // ends with //Host
             std::pair("evil://localhost:5000", "localhost:5000"),
             std::pair("//localhost:5000", "localhost:5000"),
             std::pair("localhost:5000", "localhost:5000"),
             std::pair("http://localhost:5000/", "localhost:5000"),
             std::pair("http://evil.localhost:5000", "localhost:5000"),
             std::pair("http://user@localhost:5000", "localhost:5000"),
             std::pair("null", "localhost:5000"),
             std::pair("null", "null"),
             std::pair("http://", ""),
         })
        EXPECT_FALSE(is_same_origin(origin, host)) << origin << " " << host;
}

TEST(Guard, lets_pages_of_its_own_and_of_listed_origins_operate_and_no_others)
{
    for (const auto* origin : {"http://localhost:5000", "https://console.example:8443"}) {
        Caller caller = local();
        caller.origin = origin;
        caller.fetch_site = "cross-site";
        EXPECT_EQ(refusal(caller, Access::operate), "") << origin;
        EXPECT_EQ(refusal(caller, Access::stream), "") << origin;
    }
    for (const auto* origin : {"http://evil.example", "http://evil.example//localhost:5000", "null",
                               "http://console.example:8443", "https://console.example", "http://localhost:3000"}) {
        Caller caller = local();
        caller.origin = origin;
        EXPECT_NE(refusal(caller, Access::operate).find(origin), std::string::npos) << origin;
        EXPECT_NE(refusal(caller, Access::stream).find("`admin_origins`"), std::string::npos) << origin;
        EXPECT_EQ(refusal(caller, Access::read), "") << "without CORS the page cannot read the answer";
    }
}

TEST(Guard, believes_sec_fetch_site_where_there_is_no_origin)
{
    for (const auto& [site, served] : {std::pair("same-origin", true), std::pair("none", true),
                                       std::pair("same-site", false), std::pair("cross-site", false)}) {
        Caller caller = local("GET");
        caller.fetch_site = site;
        EXPECT_EQ(refusal(caller, Access::operate).empty(), served) << site;
        EXPECT_EQ(refusal(caller, Access::stream).empty(), served) << site;
    }
}

TEST(Guard, refuses_to_operate_by_the_content_types_of_a_form)
{
    for (const auto& [type, served] : {
             std::pair("", true),
             std::pair("application/json", true),
             std::pair("application/json; charset=utf-8", true),
             std::pair("application/x-www-form-urlencoded", true), // curl -d
             std::pair("text/plain", false),
             std::pair("Text/Plain;charset=UTF-8", false),
             std::pair("text/plain ; x", false),
             std::pair("multipart/form-data; boundary=x", false),
         }) {
        Caller caller = local("POST");
        caller.content_type = type;
        EXPECT_EQ(refusal(caller, Access::operate).empty(), served) << type;
        EXPECT_EQ(refusal(caller, Access::read), "") << type;
        caller.method = "GET";
        EXPECT_EQ(refusal(caller, Access::operate), "") << type;
    }
}

TEST(Caller, is_made_of_the_fields_of_a_request)
{
    Request request;
    request.method(verb::post);
    request.set("Host", "localhost:5000");
    request.set("Origin", "http://localhost:5000");
    request.set("Sec-Fetch-Site", "same-origin");
    request.set("Content-Type", "application/json");
    request.peer = {boost::asio::ip::make_address("::ffff:127.0.0.1"), 40000};
    const Caller caller = caller_of(request);
    EXPECT_TRUE(is_loopback(caller.peer)) << caller.peer;
    EXPECT_EQ(caller.method, "POST");
    EXPECT_EQ(caller.host, "localhost:5000");
    EXPECT_EQ(caller.origin, "http://localhost:5000");
    EXPECT_EQ(caller.fetch_site, "same-origin");
    EXPECT_EQ(caller.content_type, "application/json");
    EXPECT_FALSE(caller.forwarded);
}

TEST(Caller, is_forwarded_by_any_of_the_fields_that_proxies_add)
{
    for (const auto* field : {"X-Forwarded-For", "Forwarded", "Via"}) {
        Request request;
        request.set(field, "");
        EXPECT_TRUE(caller_of(request).forwarded) << field;
    }
}

TEST(Caller, may_be_a_page_unless_the_request_has_what_no_page_can_send)
{
    Request request;
    EXPECT_TRUE(caller_of(request).page_possible);
    request.set("Connection", "keep-alive, Upgrade");
    EXPECT_TRUE(caller_of(request).page_possible);
    request.set("Connection", "close");
    EXPECT_FALSE(caller_of(request).page_possible);
    request.set("Accept-Encoding", "gzip");
    EXPECT_TRUE(caller_of(request).page_possible);
}

} // namespace TEST_FILE
} // namespace hotspare::http
