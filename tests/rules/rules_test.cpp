// The rules of the house applied to this source tree, and each rule applied to a forged tree that breaks it: a check
// that never fails proves nothing.
#include "tests/rules/source_tree.hpp"
#include "tests/support/markdown.hpp"
#include "tests/support/own_files.hpp"
#include "tests/support/temp_dir.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <set>
#include <string>
#include <vector>

namespace hotspare::rules {
namespace TEST_FILE {

const SourceTree& house()
{
    static const SourceTree tree(test::source_file());
    return tree;
}

void expect_none(const Violations& violations)
{
    for (const std::string& v : violations) ADD_FAILURE() << v;
}

bool exists(const std::string& path)
{
    return std::filesystem::exists(house().root() + "/" + path);
}

// --- The house -------------------------------------------------------------------------------------------------------

TEST(Rules, IncludesPointInTheRightDirection)
{
    ASSERT_GT(house().files().size(), 40U);
    expect_none(include_directions(house()));
}

TEST(Rules, PureFilesArePure)
{
    const auto pure = pure_files(house());
    for (const char* required : {"balancer/decide/failover", "balancer/decide/attempt", "balancer/decide/routing"})
        EXPECT_TRUE(pure.contains(required)) << required << ".hpp does not say that it is PURE";
    for (const SourceFile& file : house().files()) {
        static constexpr std::array pure_folders{"common/resilience/", "experiment/record/", "experiment/judge/",
                                                 "experiment/report/", "monitor/decide/",    "monitor/pages/",
                                                 "monitor/board/",     "monitor/requests/"};
        const auto holds = [&](const char* folder) { return file.path.starts_with(folder); };
        if (!file.path.ends_with(".hpp") || std::ranges::none_of(pure_folders, holds)) continue;
        const std::string name = file.path.substr(0, file.path.size() - 4);
        EXPECT_TRUE(pure.contains(name)) << file.path << " does not say that it is PURE";
    }
    expect_none(purity(house()));
}

TEST(Rules, NoBannedWords)
{
    expect_none(banned_words(house()));
}

TEST(Rules, EverySourceAndEveryTestIsBuilt)
{
    std::ifstream in(test::build_file("compile_commands.json"), std::ios::binary);
    Violations missing = everything_is_built(house(), {std::istreambuf_iterator<char>(in), {}});
    // The sanitizer presets leave the benchmarks out.
    std::erase_if(missing, [](const std::string& v) { return v.starts_with("bench/"); });
    expect_none(missing);
}

TEST(Rules, TheArchitectureDiagramAgreesWithTheCode)
{
    ASSERT_TRUE(exists("docs/architecture.md"));
    expect_none(include_diagram(house(), "docs/architecture.md"));
}

TEST(Rules, RoomsIncludeEachOtherAsTheArchitectureSays)
{
    for (const char* folder : {"balancer", "experiment", "monitor"})
        expect_none(room_diagram(house(), "docs/architecture.md", folder));
}

TEST(Rules, FailureModesNameExistingTests)
{
    ASSERT_TRUE(exists("docs/failure_modes.md"));
    expect_none(named_tests_exist(house(), "docs/failure_modes.md"));
}

/// One experiment for each row, and no other: `demo` tells the story of one of them.
TEST(Rules, FailureModesNameEveryExperiment)
{
    std::set<std::string> named, existing;
    const std::string document = house().read("docs/failure_modes.md");
    static const std::regex experiment(R"re(\| `([a-z0-9-]+)` \|)re");
    for (std::sregex_iterator m(document.begin(), document.end(), experiment); m != std::sregex_iterator(); ++m)
        named.insert((*m)[1]);
    for (const auto& entry : std::filesystem::directory_iterator(test::source_file("experiment/library")))
        if (entry.path().stem() != "demo") existing.insert(entry.path().stem());
    EXPECT_EQ(named, existing);
}

/// "GET /health" of every cell such as "GET `/health`, `/metrics`, POST `/fail`" in a table of the document.
std::set<std::string> requests_in(const std::string& document)
{
    std::set<std::string> result;
    static const std::regex row(R"re((?:^|\n)\| ((?:GET|POST|PUT|PATCH|DELETE) [^|]*)\|)re");
    static const std::regex word(R"re(\b(GET|POST|PUT|PATCH|DELETE)\b|`(/[^`?]*)`)re");
    for (std::sregex_iterator r(document.begin(), document.end(), row); r != std::sregex_iterator(); ++r) {
        const std::string cell = (*r)[1];
        std::string method;
        for (std::sregex_iterator w(cell.begin(), cell.end(), word); w != std::sregex_iterator(); ++w) {
            if ((*w)[1].matched) method = (*w)[1];
            if ((*w)[2].matched) result.insert(method + " " + (*w)[2].str());
        }
    }
    return result;
}

/// The same of every route that the text of a source file adds to a router.
std::set<std::string> routes_in(const std::string& source)
{
    std::set<std::string> result;
    static const std::regex route(
        R"re(\w*(?:add|on|on_for|add_public|add_private|add_document)\((?:[\w:]+, )?(?:http::)?verb::(get|post|put|patch|delete)_?,\s*(mount \+ )?"(/[^"]*)")re");
    for (std::sregex_iterator m(source.begin(), source.end(), route); m != std::sregex_iterator(); ++m) {
        std::string method = (*m)[1];
        std::transform(method.begin(), method.end(), method.begin(), [](char c) { return static_cast<char>(c - 32); });
        result.insert(method + " " + ((*m)[2].matched ? "/admin" : "") + (*m)[3].str());
    }
    return result;
}

TEST(Rules, EveryEndpointIsDocumented)
{
    const auto documented = requests_in(house().read("docs/api.md"));
    std::size_t routes = 0;
    for (const char* folder : {"common/backend/", "orders/", "balancer/", "monitor/"})
        for (const SourceFile& file : house().files()) {
            if (!file.path.starts_with(folder)) continue;
            for (const std::string& route : routes_in(file.text)) {
                if (route.find("...") != std::string::npos) continue; // whatever path the configuration gives a page
                ++routes;
                EXPECT_TRUE(documented.contains(route)) << route << " of " << file.path << " is not in docs/api.md";
            }
        }
    EXPECT_GT(routes, 40U) << "the routes of the sources are no longer recognised";
}

TEST(Rules, AnEndpointThatIsNotDocumentedIsFound)
{
    EXPECT_EQ(requests_in("| request | answer |\n|---|---|\n| GET `/a`, `/b/{id}`, POST `/c` | `/d` |\n"),
              (std::set<std::string>{"GET /a", "GET /b/{id}", "POST /c"}));
    EXPECT_EQ(routes_in("routes.add(verb::get, \"/a\", x); on(verb::delete_, \"/b/{id}\", y);\n"
                        "add(Builtin::admin, http::verb::post, mount + \"/c\", z); make_request(verb::get, \"/no\");"),
              (std::set<std::string>{"GET /a", "DELETE /b/{id}", "POST /admin/c"}));
}

/// Names of series in a text that come in quotes of a kind.
std::set<std::string> series_in(const std::string& text, char quote)
{
    std::set<std::string> result;
    const std::regex name(fmt::format("{0}((?:hotspare|process)_[a-z_]+){0}", quote));
    for (std::sregex_iterator m(text.begin(), text.end(), name); m != std::sregex_iterator(); ++m)
        result.insert((*m)[1]);
    return result;
}

TEST(Rules, EveryMetricOfTheBalancerIsDocumentedAndNoOther)
{
    auto existing = series_in(house().read("balancer/control/report.cpp"), '"');
    existing.merge(series_in(house().read("common/metrics.cpp"), '"'));
    EXPECT_GT(existing.size(), 30U) << "the names of the sources are no longer recognised";
    EXPECT_EQ(series_in(house().read("docs/metrics.md"), '`'), existing);
}

/// Commands that speak to a running system are executed by tests/system/readme_test.cpp, those of run.sh by
/// run_sh_*test.cpp; what is left must be one of the few that the build itself has just executed.
TEST(Rules, EveryReadmeCommandIsExecutedByATest)
{
    ASSERT_TRUE(exists("README.md"));
    std::string run_sh_tests;
    for (const SourceFile& source : house().files())
        if (source.path.starts_with("tests/system/run_sh_")) run_sh_tests += source.text;
    const std::string readme_test = house().read("tests/system/readme_test.cpp");
    static const std::regex run_sh(R"re(\./run\.sh(?: +(\w+)(?: +([\w-]+))?.*)?)re");
    static const std::regex executed_by_the_build(
        R"re((git clone .*|cd .*|cmake --preset \w+|cmake --build --preset \w+.*|ctest .*))re");
    const auto commands = test::shell_commands(house().read("README.md"));
    EXPECT_FALSE(commands.empty()) << "README.md has no fenced sh block";
    for (const std::string& command : commands) {
        std::smatch m;
        if (std::regex_match(command, m, run_sh)) {
            EXPECT_NE(run_sh_tests.find("\"" + m[1].str()), std::string::npos)
                << command << " is in no run_sh_*test.cpp";
        } else if (command.find("curl ") != std::string::npos) {
            EXPECT_FALSE(readme_test.empty());
        } else {
            EXPECT_TRUE(std::regex_match(command, executed_by_the_build)) << command << " is executed by no test";
        }
    }
}

// --- Forged trees ----------------------------------------------------------------------------------------------------

class Forged : public testing::Test {
protected:
    void file(const std::string& path, const std::string& text)
    {
        std::filesystem::create_directories((dir_.path() / path).parent_path());
        dir_.write(path, text);
    }
    SourceTree tree() const { return SourceTree(dir_.path().string()); }

    /// Exactly one violation, and it mentions `what`.
    static void expect_one(const Violations& violations, const std::string& what)
    {
        ASSERT_EQ(violations.size(), 1U) << testing::PrintToString(violations);
        EXPECT_NE(violations[0].find(what), std::string::npos) << violations[0];
    }

    test::TempDir dir_;
};

TEST_F(Forged, IncludeDirections)
{
    file("common/a.hpp", "// A.\n#pragma once\n");
    file("balancer/b.hpp", "// B.\n#pragma once\n#include \"common/a.hpp\"\n#include <vector>\n");
    file("common/process/p.hpp", "// P.\n#pragma once\n");
    file("tests/support/s.hpp", "// S.\n#pragma once\n#include \"common/process/p.hpp\"\n#include <vector>\n");
    file("tests/unit/u_test.cpp", "#include \"balancer/b.hpp\"\n#include \"tests/support/s.hpp\"\n");
    EXPECT_EQ(include_directions(tree()), Violations{});
    file("common/up.cpp", "\n#include \"balancer/b.hpp\"\n");
    expect_one(include_directions(tree()), "common/up.cpp:2: ");
    file("common/up.cpp", "#include \"a.hpp\"\n");
    expect_one(include_directions(tree()), "no such file");
    file("common/up.cpp", "#include <common/a.hpp>\n");
    expect_one(include_directions(tree()), "in quotes");
    file("common/up.cpp", "");
    file("primary/main.cpp", "#include \"balancer/b.hpp\"\n");
    expect_one(include_directions(tree()), "primary/main.cpp:1: ");
    file("primary/main.cpp", "");
    file("tests/support/s.hpp", "#include \"common/a.hpp\"\n");
    expect_one(include_directions(tree()), "tests/support/s.hpp:1: ");
}

TEST_F(Forged, Rooms)
{
    for (const char* header : {"decide/d", "serve/s", "control/c", "top"})
        file(std::string("balancer/") + header + ".hpp", "// H.\n#pragma once\n");
    file("balancer/main.cpp", "#include \"balancer/serve/s.hpp\"\n#include \"balancer/control/c.hpp\"\n");
    file("balancer/serve/s.cpp",
         "#include \"balancer/serve/s.hpp\"\n#include \"balancer/decide/d.hpp\"\n#include \"balancer/top.hpp\"\n");
    file("balancer/control/c.cpp", "#include \"balancer/decide/d.hpp\"\n#include \"common/x.hpp\"\n");
    file("balancer/decide/d.cpp", "#include \"balancer/top.hpp\"\n");
    file("balancer/top.cpp", "#include \"balancer/decide/d.hpp\"\n");
    // Of another folder, and nothing to do with it.
    file("experiment/load/x.cpp", "#include \"experiment/judge/y.hpp\"\n");
    const std::string diagram =
        "```mermaid\ngraph TD\n  %% rooms of balancer\n  serve --> decide\n  control[control/] --> decide\n";
    file("d.md", diagram + "```\n");
    const auto violations = [&] { return room_diagram(tree(), "d.md", "balancer"); };
    EXPECT_EQ(violations(), Violations{});

    // The code has more than the diagram.
    const auto forbidden = [&](const std::string& from, const std::string& to, const std::string& what) {
        file(from, "#include \"" + to + "\"\n");
        expect_one(violations(), what);
        file(from, "");
    };
    forbidden("balancer/serve/x.cpp", "balancer/control/c.hpp",
              "the diagram lacks serve --> control (balancer/serve/x");
    forbidden("balancer/control/x.cpp", "balancer/serve/s.hpp",
              "the diagram lacks control --> serve (balancer/control/");
    forbidden("balancer/decide/x.cpp", "balancer/serve/s.hpp", "the diagram lacks decide --> serve (balancer/decide/x");
    forbidden("balancer/x.cpp", "balancer/control/c.hpp", "balancer/x.cpp:1: every room may include balancer/x.cpp");
    file("balancer/attic/a.cpp", "");
    expect_one(violations(), "no node for attic (balancer/attic/a.cpp)");
    std::filesystem::remove(dir_.path() / "balancer/attic/a.cpp");

    // The diagram has more than the code.
    file("d.md", diagram + "  control --> serve\n```\n");
    expect_one(violations(), "nothing like control --> serve");

    // They agree, and there is a cycle.
    file("d.md", diagram + "  decide --> control\n```\n");
    file("balancer/decide/x.cpp", "#include \"balancer/control/c.hpp\"\n");
    file("balancer/top.cpp", "");
    expect_one(violations(), "a cycle through control --> decide");

    expect_one(room_diagram(tree(), "d.md", "experiment"), "%% rooms of experiment");
}

TEST_F(Forged, FilesAboveTheRoomsAreANodeIfItIsDrawn)
{
    file("experiment/load/l.hpp", "// L.\n#pragma once\n");
    file("experiment/top.hpp", "// T.\n#pragma once\n#include \"experiment/load/l.hpp\"\n");
    const std::string diagram = "```mermaid\ngraph TD\n  %% rooms of experiment\n  experiment --> load\n";
    file("d.md", diagram + "```\n");
    const auto violations = [&] { return room_diagram(tree(), "d.md", "experiment"); };
    EXPECT_EQ(violations(), Violations{});
    file("experiment/load/l.cpp", "#include \"experiment/top.hpp\"\n");
    expect_one(violations(), "the diagram lacks load --> experiment (experiment/load/l.cpp:1: experiment/top.hpp)");
    file("d.md", diagram + "  load --> experiment\n```\n");
    expect_one(violations(), "a cycle through experiment --> load");
}

TEST_F(Forged, Purity)
{
    const std::string pure = "// Decides. PURE, no clock.\n#pragma once\n";
    file("balancer/a.hpp", pure + "#include <vector>\n#include \"balancer/b.hpp\"\n");
    file("balancer/a.cpp", "#include \"balancer/a.hpp\"\n// Clock::now() in a comment is fine\n");
    file("balancer/b.hpp", "// Plain.\n#include <map>\n");
    file("balancer/c.hpp", "// Impure.\n#include <boost/asio/io_context.hpp>\n");
    EXPECT_EQ(pure_files(tree()), std::set<std::string>{"balancer/a"});
    EXPECT_EQ(purity(tree()), Violations{});
    file("balancer/b.hpp", "// Plain.\n#include \"balancer/c.hpp\"\n");
    expect_one(purity(tree()), "balancer/c.hpp:2: balancer/a is PURE but includes <boost/asio/io_context.hpp>");
    file("balancer/b.hpp", "// Plain.\n");
    for (const std::string code : {"auto t = std::chrono::steady_clock::now();", "auto t = time(nullptr);",
                                   "#include <spdlog/spdlog.h>", "#include <thread>", "auto e = getenv(\"X\");"}) {
        file("balancer/a.cpp", code + "\n");
        expect_one(purity(tree()), "balancer/a.cpp:1: ");
    }
}

TEST_F(Forged, BannedWords)
{
    file("common/fine.cpp", "int renewal = sizeof(void*), x = ::operator new(3); // a new Helper in a comment\nconst "
                            "char* s = \"new Manager\";\n"
                            "auto f = [](int) -> asio::awaitable<void> { co_return; };\n"
                            "char c = '\"'; int implicit, Implicit, manages; auto r = R\"(new)\";\n");
    EXPECT_EQ(banned_words(tree()), Violations{});
    for (const std::string code :
         {"auto* p = new int;", "class PoolManager;", "struct HttpHelper;", "struct ClientImpl;",
          "namespace string_utils {}", "co_spawn(io, f(), asio::detached);", "class IServer;", "TEST(A, DISABLED_b) {}",
          "#if 0", "auto f = [this](int x) mutable -> asio::awaitable<void> { co_return; };"}) {
        file("common/bad.cpp", "\n" + code + "\n");
        const auto violations = banned_words(tree());
        ASSERT_EQ(violations.size(), 1U) << code << testing::PrintToString(violations);
        EXPECT_TRUE(violations[0].starts_with("common/bad.cpp:2: ")) << violations[0];
    }
    file("common/bad.cpp", "");
    file("tests/unit/a_test.cpp", "std::this_thread::sleep_for(d);\n");
    expect_one(banned_words(tree()), "tests/unit/a_test.cpp:1: ");
    file("tests/unit/a_test.cpp", "");
    file("common/bad.cpp", "// TODO: later\n");
    expect_one(banned_words(tree()), "common/bad.cpp:1: ");
    file("common/bad.cpp", "");
    file("common/bad.hpp", "#pragma once\n");
    EXPECT_EQ(banned_words(tree()).size(), 2U);
}

TEST_F(Forged, EverythingIsBuilt)
{
    file("common/a.cpp", "");
    file("tests/unit/a_test.cpp", "");
    const std::string root = dir_.path().string();
    const std::string a = R"([{"file":")" + root + R"(/common/a.cpp"})";
    expect_one(everything_is_built(tree(), a + "]"), "tests/unit/a_test.cpp is not built");
    EXPECT_EQ(everything_is_built(tree(), a + R"(,{"file":")" + root + R"(/tests/unit/a_test.cpp"}])"), Violations{});
    file("build/tests/unity/unit_tests_0.cpp", "#include \"tests/unit/a_test.cpp\"\n");
    EXPECT_EQ(everything_is_built(tree(), a + R"(,{"file":")" + root + R"(/build/tests/unity/unit_tests_0.cpp"}])"),
              Violations{});
    expect_one(everything_is_built(tree(), ""), "compile_commands.json");
}

TEST_F(Forged, Diagram)
{
    file("common/a.hpp", "");
    file("common/http/h.hpp", "");
    file("balancer/b.cpp", "#include \"common/a.hpp\"\n#include \"common/http/h.hpp\"\n");
    file("primary/main.cpp", "#include \"common/a.hpp\"\n");
    const std::string begin = "# A\n```mermaid\ngraph TD\n  %% includes\n";
    file("d.md", begin + "  balancer --> common\n  primary[\"primary/\"] --> common[common/]\n```\n");
    EXPECT_EQ(include_diagram(tree(), "d.md"), Violations{});
    file("d.md", begin + "  balancer --> common\n  primary\n```\n");
    EXPECT_EQ(include_diagram(tree(), "d.md").size(), 1U) << "primary has no node";
    file("d.md", begin + "  balancer --> common & http[\"common/http\"]\n  primary --> common\n```\n");
    EXPECT_EQ(include_diagram(tree(), "d.md"), Violations{});
    file("d.md", begin + "  balancer --> common\n  primary --> common\n  primary --> balancer\n```\n");
    expect_one(include_diagram(tree(), "d.md"), "nothing like primary --> balancer");
    file("d.md", begin + "  balancer --> common\n  primary --> balancer\n```\n");
    EXPECT_EQ(include_diagram(tree(), "d.md").size(), 2U);
    file("d.md", "```mermaid\ngraph TD\n  balancer --> common\n```\n");
    expect_one(include_diagram(tree(), "d.md"), "%% includes");
}

TEST_F(Forged, NamedTests)
{
    file("tests/unit/a_test.cpp", "TEST(Suite, Works) {}\nTEST_P(Param, Too) {}\n// TEST(Suite, Gone) {}\n");
    EXPECT_EQ(test_names(tree()), (std::set<std::string>{"Suite.Works", "Param.Too"}));
    const std::string head = "| Fault | Test |\n|---|---|\n";
    file("d.md", head + "| a | `Suite.Works` |\n| b | `Param.Too`, Suite.Works |\n\nText | Nothing.Here |\n");
    EXPECT_EQ(named_tests_exist(tree(), "d.md"), Violations{});
    file("d.md", head + "| a | `Suite.Gone` |\n");
    expect_one(named_tests_exist(tree(), "d.md"), "d.md:3: no such test: Suite.Gone");
    file("d.md", head + "| a | |\n");
    expect_one(named_tests_exist(tree(), "d.md"), "names no test");
    file("d.md", "No table.\n");
    expect_one(named_tests_exist(tree(), "d.md"), "no table");
}

TEST(ShellCommands, AreReadFromFencedBlocks)
{
    const std::string markdown =
        "```sh\n# a comment\n./run.sh up failover   # starts it\ncurl -X POST \\\n  localhost:1/x\n```\n"
        "```\nnot a command\n```\n```console\n$ neither\n```\n  ```sh\n  ls\n  ```\n";
    EXPECT_EQ(test::shell_commands(markdown),
              (std::vector<std::string>{"./run.sh up failover", "curl -X POST localhost:1/x", "ls"}));
}

} // namespace TEST_FILE
} // namespace hotspare::rules
