#include "balancer/backend_url.hpp"

#include <gtest/gtest.h>

#include <string>

namespace hotspare::balancer {
namespace TEST_FILE {

TEST(BackendUrl, IsAnOriginOrTheAbsolutePathOfASocket)
{
    const std::string longest = "unix:/" + std::string(106, 'a');
    for (const std::string& url : {std::string("http://10.0.0.1"), std::string("http://[::1]:8080"),
                                   std::string("unix:/run/app.sock"), std::string("unix:/run/a b"), longest})
        EXPECT_TRUE(is_backend_url(url)) << url;
    for (const std::string& url :
         {std::string(), std::string("unix:"), std::string("unix:app.sock"), std::string("unix://host/app"),
          std::string("unix:/a\nb"), longest + "a", std::string("https://10.0.0.1")})
        EXPECT_EQ(is_backend_url(url), url == "unix://host/app") << url; // a path may begin with two slashes
}

TEST(BackendUrl, ABackendThatMovesToAnOriginHasNoSocketAnyMore)
{
    BackendConfig backend;
    backend.url = "unix:/run/app.sock";
    set_address(backend);
    EXPECT_EQ(backend.socket, "/run/app.sock");
    EXPECT_EQ(backend.host, "localhost");
    backend.url = "http://10.0.0.1:8080";
    set_address(backend);
    EXPECT_EQ(backend.socket, "");
    EXPECT_EQ(backend.host, "10.0.0.1");
    EXPECT_EQ(backend.port, 8080);
}

} // namespace TEST_FILE
} // namespace hotspare::balancer
