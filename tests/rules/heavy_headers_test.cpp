// .ci/heavy_headers, a step of `./run.sh lint`, on this source tree and on forged ones.
#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

namespace hotspare::rules {
namespace TEST_FILE {

test::Finished heavy_headers(const std::string& root)
{
    return test::run("/usr/bin/env", {"python3", test::source_file(".ci/heavy_headers"), root});
}

TEST(HeavyHeaders, AreIncludedWhereTheyAreNeeded)
{
    const auto found = heavy_headers(test::source_file(""));
    EXPECT_EQ(found.code, 0) << found.out << found.err;
}

/// What is found in a tree of this one file.
std::string found_in(const std::string& path, const std::string& text)
{
    test::TempDir tree;
    std::filesystem::create_directories((tree.path() / path).parent_path());
    tree.write(path, text);
    const auto found = heavy_headers(tree.path().string());
    EXPECT_EQ(found.code, found.out.empty() ? 0 : 1) << found.err;
    return found.out;
}

TEST(HeavyHeaders, AreFoundWhereTheyAreNotNeeded)
{
    EXPECT_EQ(found_in("orders/a.cpp", "#include <boost/asio/post.hpp>\nint x; // asio::post\n"),
              "orders/a.cpp:1: includes <boost/asio/post.hpp> and uses nothing of Asio\n");
    EXPECT_EQ(found_in("orders/a.cpp", "#include <boost/asio/post.hpp>\nvoid f() { asio::post(io, g); }\n"), "");
    EXPECT_EQ(found_in("tests/unit/a_test.cpp", "\n#include <nlohmann/json.hpp>\n"),
              "tests/unit/a_test.cpp:2: includes <nlohmann/json.hpp> and uses nothing of nlohmann JSON\n");
    EXPECT_EQ(found_in("tests/unit/a_test.cpp", "#include <rapidcheck.h>\nvoid check();\n"),
              "tests/unit/a_test.cpp:1: includes <rapidcheck.h> and uses nothing of RapidCheck\n");
}

TEST(HeavyHeaders, AreFoundWhereTheSuiteHasItsOwn)
{
    EXPECT_NE(found_in("balancer/a.cpp", "#include <spdlog/spdlog.h>\n").find("common/log.hpp"), std::string::npos);
    EXPECT_NE(found_in("balancer/a.hpp", "#include <nlohmann/json.hpp>\nJson f();\n").find("json_fwd.hpp"),
              std::string::npos);
    EXPECT_NE(found_in("common/a.cpp", "#include <boost/beast/websocket/stream.hpp>\nbeast::websocket::stream<S> s;\n"),
              "");
    EXPECT_NE(found_in("orders/a.cpp", "#include <gtest/gtest.h>\n"), "");
    EXPECT_EQ(found_in("common/log.cpp", "#include <spdlog/spdlog.h>\n"), "");
    EXPECT_EQ(found_in("balancer/a.hpp", "#include <nlohmann/json_fwd.hpp>\nnlohmann::json f();\n"), "");
}

TEST(HeavyHeaders, ATreeWithoutSourcesIsNoGoodTree)
{
    const test::TempDir tree;
    EXPECT_NE(heavy_headers(tree.path().string()).code, 0);
}

} // namespace TEST_FILE
} // namespace hotspare::rules
