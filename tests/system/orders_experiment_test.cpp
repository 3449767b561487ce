// `experiment orders` as its users meet it: the real pipeline, a validator that works, is slow, gone or fails, and a
// verdict. What it wrote down can be judged again, and not once it has been forged.
#include "tests/support/own_files.hpp"
#include "tests/support/process.hpp"
#include "tests/support/raw_client.hpp"
#include "tests/support/running_system.hpp"
#include "tests/support/temp_dir.hpp"

#include <gtest/gtest.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

namespace hotspare::test {
namespace TEST_FILE {

namespace fs = std::filesystem;

constexpr milliseconds whole_experiment = seconds(100);

std::vector<std::string> lines_of(const fs::path& file)
{
    std::ifstream in(file);
    std::vector<std::string> lines;
    for (std::string line; std::getline(in, line);) lines.push_back(line);
    return lines;
}

Finished experiment(const std::vector<std::string>& arguments)
{
    return run(binary("experiment"), arguments, {}, whole_experiment);
}

class OrdersExperiment : public testing::Test {
protected:
    fs::path out() const { return directory_.path() / "out"; }
    fs::path history() const { return out() / "history.jsonl"; }

    /// The verdict on the history with each line changed by `forge`: an empty one is left out.
    template <class Forge> Finished check_forged(Forge forge) const
    {
        std::string text;
        for (auto line : lines_of(history())) {
            forge(line);
            if (!line.empty()) text += line + "\n";
        }
        return experiment({"check", directory_.write("forged.jsonl", text)});
    }

    TempDir directory_;
};

class OrdersMode : public OrdersExperiment, public testing::WithParamInterface<const char*> {};

TEST_P(OrdersMode, KeepsTheFourPromises)
{
    const auto done =
        experiment({"orders", "--orders", "60", "--mode", GetParam(), "--rate", "40", "--seed", "3", "--out", out()});
    ASSERT_EQ(done.code, 0) << done.out << done.err;
    for (const char* word : {"60 of 60", "create", "transitions", "54 Validated, 6 Rejected", "drain", "CREATED",
                             "DRAINED", "4 of 4 promises held"})
        EXPECT_NE(done.out.find(word), std::string::npos) << word << " is missing in\n" << done.out;
    std::istringstream shown(done.out.substr(done.out.find("accepted ")));
    for (std::string line; std::getline(shown, line);) {
        if (line.starts_with("history: ")) continue;
        EXPECT_LE(line.size(), 80U + 4U) << line; // µ takes two bytes
    }

    const auto check = experiment({"check", history()});
    EXPECT_EQ(check.code, 0) << check.out << check.err;
    EXPECT_NE(check.out.find("4 of 4 promises held"), std::string::npos) << check.out;
}

INSTANTIATE_TEST_SUITE_P(Modes, OrdersMode, testing::Values("normal", "slow", "down", "error"),
                         [](const auto& mode) { return std::string(mode.param); });

TEST_F(OrdersExperiment, AForgedHistoryIsRejected)
{
    const auto done = experiment({"orders", "--orders", "20", "--mode", "normal", "--rate", "100", "--out", out()});
    ASSERT_EQ(done.code, 0) << done.out << done.err;
    ASSERT_EQ(check_forged([](std::string&) {}).code, 0);

    const auto is = [](const std::string& line, const std::string& type) {
        return line.find("\"type\":\"" + type + "\"") != std::string::npos;
    };
    const auto replace = [](std::string& line, const std::string& what, const std::string& by) {
        if (const auto at = line.find(what); at != std::string::npos) line.replace(at, what.size(), by);
    };
    // A lost order, concealed: the line is gone, and the counts of the end are those of what is left.
    auto forged = check_forged([&](std::string& line) {
        const bool is_victim = line.find("\"order-3\"") != std::string::npos;
        if (is_victim && (is(line, "order") || is(line, "listed"))) line.clear();
        if (is(line, "end")) replace(line, "\"listed\":20,\"orders\":20", "\"listed\":19,\"orders\":19");
    });
    EXPECT_EQ(forged.code, 1) << forged.out << forged.err;
    EXPECT_NE(forged.out.find("order-3: it was acknowledged, but it is not there"), std::string::npos) << forged.out;
    // Altered.
    forged = check_forged([&](std::string& line) {
        if (is(line, "order"))
            replace(line, "\"order_id\":\"order-5\",\"product\":\"", "\"order_id\":\"order-5\",\"product\":\"X");
    });
    EXPECT_EQ(forged.code, 1) << forged.out << forged.err;
    // A verdict that the validator never gave.
    forged = check_forged([&](std::string& line) {
        if (is(line, "effect") && line.find("\"order-7\"") != std::string::npos) line.clear();
        if (is(line, "end")) replace(line, "\"effects\":20", "\"effects\":19");
    });
    EXPECT_EQ(forged.code, 1) << forged.out << forged.err;
    EXPECT_NE(forged.out.find("order-7: it is"), std::string::npos) << forged.out;
    // Cut off.
    forged = check_forged([&](std::string& line) {
        if (is(line, "end")) line.clear();
    });
    EXPECT_EQ(forged.code, 2) << forged.out;
    EXPECT_NE(forged.err.find("cut off"), std::string::npos) << forged.err;
}

TEST_F(OrdersExperiment, TestsAForeignPipelineAndLeavesItsValidatorWorking)
{
    RunningSystem system("orders");
    const auto gateway = system.port(8080);
    const auto foreign = request(gateway, "POST", "/create_order", {{"Content-Type", "application/json"}},
                                 R"({"order_id":"theirs","product":"Medicine A","quantity":10})");
    ASSERT_EQ(foreign.status(), 200);
    const auto target = fmt::format("http://127.0.0.1:{}", gateway);
    const auto done = experiment({"orders", "--orders", "20", "--mode", "error", "--target", target});
    EXPECT_EQ(done.code, 0) << done.out << done.err;
    EXPECT_NE(done.out.find("no ledger"), std::string::npos) << done.out;
    EXPECT_EQ(get(gateway, "/get_failure_mode").json().value("mode", ""), "normal");

    // Interrupted in the middle of the fault: the validator works again, and nothing is claimed.
    Process interrupted(binary("experiment"), {"orders", "--orders", "5000", "--mode", "down", "--target", target});
    ASSERT_TRUE(interrupted.wait_line("FAULT")) << interrupted.description();
    interrupted.signal(SIGINT);
    EXPECT_EQ(interrupted.wait_exit(), 4) << interrupted.description();
    EXPECT_EQ(get(gateway, "/get_failure_mode").json().value("mode", ""), "normal");
}

TEST_F(OrdersExperiment, RefusesInOneLineWhatItCannotDo)
{
    const auto refused = [](const std::vector<std::string>& arguments, const std::string& why, int code = 2) {
        const auto done = experiment(arguments);
        EXPECT_EQ(done.code, code) << done.out << done.err;
        EXPECT_NE(done.err.find(why), std::string::npos) << done.err;
    };
    refused({"orders", "--mode", "down"}, "--orders");
    refused({"orders", "--orders", "0", "--mode", "down"}, "--orders");
    refused({"orders", "--orders", "5", "--mode", "dawn"}, "'dawn'");
    refused({"orders", "--orders", "5", "--mode", "down", "--target", "nonsense:"}, "--target");
    refused({"orders", "--orders", "5", "--mode", "down", "--ledger", "x"}, "--ledger");
    refused({"orders", "--orders", "5", "--mode", "down", "--validator", "http://127.0.0.1:1"}, "--validator");
    refused({"orders", "--orders", "5", "--mode", "down", "--target", "http://127.0.0.1:80"}, "--validator");
    refused({"orders", "--orders", "5", "--mode", "down", "--target",
             fmt::format("http://127.0.0.1:{}", local_port(bind_loopback(0)))},
            "GET /health_status", 3);
}

} // namespace TEST_FILE
} // namespace hotspare::test
