#include "common/http/router.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/use_future.hpp>

#include <gtest/gtest.h>

#include <future>
#include <stdexcept>
#include <string>

namespace hotspare::http {
namespace TEST_FILE {

asio::awaitable<Response> slow_hello(const Request& request)
{
    co_return text_response(200, "hello " + request.parameter("name"));
}

class RouterTest : public testing::Test {
protected:
    RouterTest()
    {
        const auto echo = [](const char* text) { return [text](const Request&) { return text_response(200, text); }; };
        router_.add(verb::get, "/", echo("root"));
        router_.add(verb::get, "/data", echo("data"));
        router_.add(verb::put, "/data", echo("put"));
        router_.add(verb::get, "/hello/{name}", slow_hello);
        router_.add(verb::post, "/admin/backends/{name}/drain",
                    [](const Request& request) { return text_response(200, "drain " + request.parameter("name")); });
        router_.add(verb::get, "/files/{path...}",
                    [](const Request& request) { return text_response(200, request.parameter("path")); });
    }

    Response dispatch(verb method, const std::string& path)
    {
        request_ = Request();
        request_.method(method);
        request_.path = path;
        asio::io_context context;
        auto answer = asio::co_spawn(context, router_.dispatch(request_), asio::use_future);
        context.run();
        return answer.get();
    }
    std::string body(verb method, const std::string& path) { return dispatch(method, path).body(); }
    unsigned status(verb method, const std::string& path) { return dispatch(method, path).result_int(); }

    Router router_;
    Request request_;
};

TEST_F(RouterTest, FindsLiteralAndParameterRoutes)
{
    EXPECT_EQ(body(verb::get, "/"), "root");
    EXPECT_EQ(body(verb::get, "/data"), "data");
    EXPECT_EQ(body(verb::put, "/data"), "put");
    EXPECT_EQ(body(verb::get, "/hello/w%C3%B6rld%2F"), "hello w\xc3\xb6rld/");
    EXPECT_EQ(request_.route, "/hello/{name}");
    EXPECT_EQ(body(verb::post, "/admin/backends/spare/drain"), "drain spare");
    EXPECT_EQ(body(verb::get, "/files/a/b%20c"), "a/b%20c");
}

TEST_F(RouterTest, ComparesDecoded)
{
    EXPECT_EQ(body(verb::get, "/%64ata"), "data");
}

TEST_F(RouterTest, AnswersUnknownPathsWith404)
{
    for (const char* path : {"/dat", "/data/", "/data/x", "//", "/hello", "/hello/", "/hello/a/b", "/hello/%zz",
                             "/files", "/admin/backends//drain"}) {
        EXPECT_EQ(status(verb::get, path), 404u) << path;
        EXPECT_TRUE(request_.route.empty()) << path;
        EXPECT_TRUE(request_.parameters.empty()) << path;
    }
}

TEST_F(RouterTest, AnswersWrongMethodsWith405AndAllow)
{
    const auto response = dispatch(verb::delete_, "/data");
    EXPECT_EQ(response.result_int(), 405u);
    EXPECT_EQ(response.header("Allow"), "OPTIONS, GET, HEAD, PUT");
    EXPECT_EQ(dispatch(verb::get, "/admin/backends/x/drain").header("Allow"), "OPTIONS, POST");
}

TEST_F(RouterTest, AnswersHeadAndOptionsByItself)
{
    EXPECT_EQ(body(verb::head, "/data"), "data") << "the server leaves the body out";
    const auto response = dispatch(verb::options, "/data");
    EXPECT_EQ(response.result_int(), 204u);
    EXPECT_EQ(response.header("Allow"), "OPTIONS, GET, HEAD, PUT");
    EXPECT_EQ(status(verb::options, "*"), 204u);
}

TEST_F(RouterTest, RefusesTwoHandlersForOneMethod)
{
    EXPECT_THROW(router_.add(verb::get, "/data", slow_hello), std::logic_error);
}

} // namespace TEST_FILE
} // namespace hotspare::http
