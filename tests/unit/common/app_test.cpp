#include "common/app.hpp"
#include "common/log.hpp"
#include "common/version.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <thread>

#include <sys/resource.h>
#include <unistd.h>

namespace hotspare::app_test {

struct Settings {
    std::uint16_t port = 5001;
    std::string fail_mode = "error";
    bool loud = false;
    std::vector<std::string> words;
};

static void fields(config::Fields& field, Settings& s)
{
    field("port", s.port, "port to listen on");
    field("fail_mode", s.fail_mode, "what /fail does");
    field("loud", s.loud, "say more");
    field("words", s.words, "some");
}

static void flags(config::Flags& list, Settings& s)
{
    config::Flag flag;
    flag.name = "word";
    flag.metavar = "WORD";
    flag.path = "words";
    flag.repeatable = true;
    flag.assign = [&s](const std::vector<std::string>& values) -> std::string {
        s.words = values;
        return {};
    };
    list.push_back(std::move(flag));
}

} // namespace hotspare::app_test

namespace hotspare {
namespace TEST_FILE {

using app_test::Settings;
using Body = std::function<void(App&, const Settings&)>;

struct Outcome {
    int code = -1;
    std::string out;
    std::string err;
};

Outcome run(
    std::vector<const char*> arguments, const Body& body = [](App&, const Settings&) {})
{
    arguments.insert(arguments.begin(), "tester");
    testing::internal::CaptureStdout();
    testing::internal::CaptureStderr();
    Outcome outcome;
    outcome.code =
        run_app(static_cast<int>(arguments.size()), arguments.data(), {"tester", "tests the frame"}, Settings{}, body);
    outcome.out = testing::internal::GetCapturedStdout();
    outcome.err = testing::internal::GetCapturedStderr();
    return outcome;
}

std::vector<nlohmann::json> log_lines(const Outcome& outcome)
{
    std::vector<nlohmann::json> out;
    std::istringstream stream(outcome.err);
    for (std::string line; std::getline(stream, line);) out.push_back(nlohmann::json::parse(line));
    return out;
}

/// Sets a variable for one test.
class Variable {
public:
    Variable(std::string name, const char* value) : name_(std::move(name)) { ::setenv(name_.c_str(), value, 1); }
    ~Variable() { ::unsetenv(name_.c_str()); }
    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

private:
    std::string name_;
};

class TempConfig {
public:
    explicit TempConfig(const std::string& content)
    {
        ::close(::mkstemp(path_.data()));
        std::ofstream(path_) << content;
    }
    ~TempConfig() { std::remove(path_.c_str()); }
    TempConfig(const TempConfig&) = delete;
    TempConfig& operator=(const TempConfig&) = delete;

    const std::string& path() const { return path_; }

private:
    std::string path_ = testing::TempDir() + "app_test_XXXXXX";
};

TEST(RunApp, gives_the_body_its_settings)
{
    const TempConfig file("port: 1\nfail_mode: hang\nwords: [x]\n");
    const Variable port("HOTSPARE_PORT", "2");
    Settings seen;
    const auto outcome =
        run({"--config", file.path().c_str(), "--fail-mode=slow", "--loud", "--word", "a", "--word", "[b]"},
            [&](App&, const Settings& settings) { seen = settings; });
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(seen.port, 2);
    EXPECT_EQ(seen.fail_mode, "slow");
    EXPECT_TRUE(seen.loud);
    EXPECT_EQ(seen.words, (std::vector<std::string>{"a", "[b]"}));
}

TEST(RunApp, a_switch_can_be_switched_off)
{
    const TempConfig file("loud: true\n");
    const auto loud = [&](std::vector<const char*> arguments) {
        bool seen = false;
        arguments.insert(arguments.begin(), {"--config", file.path().c_str()});
        EXPECT_EQ(run(arguments, [&](App&, const Settings& settings) { seen = settings.loud; }).code, 0);
        return seen;
    };
    EXPECT_TRUE(loud({}));
    EXPECT_TRUE(loud({"--loud"}));
    EXPECT_TRUE(loud({"--loud=true"}));
    EXPECT_FALSE(loud({"--loud=false"}));
    EXPECT_EQ(run({"--loud=maybe"}).err, "--loud: 'maybe' is not valid, expected true or false\n");
}

TEST(RunApp, the_file_may_come_from_the_environment)
{
    const TempConfig file("port: 77\n");
    const Variable variable("HOTSPARE_CONFIG", file.path().c_str());
    run({}, [](App&, const Settings& settings) { EXPECT_EQ(settings.port, 77); });
}

TEST(RunApp, bad_usage_is_one_line_and_exit_code_2)
{
    const std::vector<std::pair<std::vector<const char*>, std::string>> table{
        {{"--prot", "1"}, "--prot: unknown flag, did you mean --port?\n"},
        {{"--prot=1"}, "--prot: unknown flag, did you mean --port?\n"},
        {{"-x"}, "-x: unknown flag, see --help for those expected\n"},
        {{"surplus"}, "'surplus': unexpected argument, expected flags only (see --help)\n"},
        {{"--port"}, "--port: 1 required VALUE missing\n"},
        {{"--port", "http"}, "--port: 'http' is not valid, expected a whole number from 0 to 65535\n"},
        {{"--port", "70000"}, "--port: '70000' is out of range, expected a whole number from 0 to 65535\n"},
        {{"--port", "1", "--port", "2"}, "--port: given 2 times, expected once\n"},
        {{"--port", ""}, "--port: empty, expected a whole number from 0 to 65535\n"},
        {{"--log-level", "loud"},
         "--log-level: unknown word 'loud', expected trace | debug | info | warning | error | critical | off\n"},
        {{"--log-format", "xml"}, "--log-format: unknown word 'xml', expected auto | text | json\n"},
        {{"--config", "/nonexistent"},
         "/nonexistent: cannot be read (No such file or directory), expected a readable YAML file\n"},
        {{"--config"}, "--config: 1 required FILE missing\n"},
    };
    for (const auto& [arguments, message] : table) {
        const auto outcome = run(arguments, [](App&, const Settings&) { ADD_FAILURE() << "started"; });
        EXPECT_EQ(outcome.code, 2) << message;
        EXPECT_EQ(outcome.err, message);
        EXPECT_EQ(outcome.out, "");
    }
}

TEST(RunApp, a_bad_variable_is_named)
{
    const Variable variable("PORT", "x");
    const auto outcome = run({});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(outcome.err, "PORT: 'x' is not valid, expected a whole number from 0 to 65535\n");
}

TEST(RunApp, a_bad_variable_of_the_log_is_named_unless_a_flag_replaces_it)
{
    const Variable level("HOTSPARE_LOG_LEVEL", "loud");
    EXPECT_TRUE(run({}).err.starts_with("HOTSPARE_LOG_LEVEL: unknown word 'loud'"));
    EXPECT_TRUE(run({"--log-level", "louder"}).err.starts_with("--log-level: unknown word 'louder'"));
    const Variable format("HOTSPARE_LOG_FORMAT", "xml");
    EXPECT_TRUE(run({"--log-level", "info"}).err.starts_with("HOTSPARE_LOG_FORMAT: unknown word 'xml'"));
}

TEST(RunApp, a_bad_file_is_named_with_line_and_column)
{
    const TempConfig file("port: 1\nfial_mode: hang\n");
    const auto outcome = run({"--check-config", "--config", file.path().c_str()});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(
        outcome.err,
        file.path() +
            ":2:1: unknown key 'fial_mode', did you mean 'fail_mode'? expected one of: port, fail_mode, loud, words\n");
}

TEST(RunApp, a_valid_file_is_said_to_be_valid)
{
    const TempConfig file("port: 1\n");
    const auto outcome = run({"--check-config", "--config", file.path().c_str()});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(outcome.out, file.path() + ": the configuration is valid\n");
    const Variable link("HOTSPARE_PORT", "tcp://10.96.0.17:5001");
    EXPECT_TRUE(run({"--check-config"}).err.starts_with("warning: HOTSPARE_PORT="));
    const auto started = run({});
    EXPECT_EQ(started.code, 0);
    EXPECT_EQ(log_lines(started).at(0).at("level"), "warning");
}

TEST(RunApp, each_error_of_a_file_is_a_line)
{
    const TempConfig file("prot: 1\nloud: maybe\n");
    const auto outcome = run({"--config", file.path().c_str()});
    EXPECT_EQ(outcome.code, 2);
    EXPECT_EQ(std::count(outcome.err.begin(), outcome.err.end(), '\n'), 2) << outcome.err;
}

TEST(RunApp, answers_without_starting)
{
    const Body body = [](App&, const Settings&) { ADD_FAILURE() << "started"; };
    EXPECT_EQ(run({"--check-config"}, body).code, 0);
    const auto version_text = run({"--version"}, body);
    EXPECT_EQ(version_text.code, 0);
    EXPECT_EQ(version_text.out, "tester " + std::string(version()) + "\n");
    const auto help = run({"--help"}, body);
    EXPECT_EQ(help.code, 0);
    for (const auto* text :
         {"tests the frame", "--port VALUE", "port to listen on [5001]", "--fail-mode", "--word WORD", "--config FILE"})
        EXPECT_NE(help.out.find(text), std::string::npos) << text << " in\n" << help.out;
    const auto printed = run({"--print-config", "--port", "7"}, body);
    EXPECT_EQ(printed.code, 0);
    EXPECT_EQ(printed.out.find("port: 7 "), 0U) << printed.out;
    EXPECT_NE(run({"--help-config"}, body).out.find("\nfail_mode "), std::string::npos);
    for (const char* flag : {"--help", "--help-config"}) {
        std::istringstream lines(run({flag}, body).out);
        for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), 80U) << flag << ": " << line;
    }
}

TEST(RunApp, what_the_body_throws_decides_the_exit_code)
{
    const auto usage =
        run({}, [](App&, const Settings&) { throw UsageError("listen: port 1 is taken, expected a free one"); });
    EXPECT_EQ(usage.code, 2);
    EXPECT_EQ(usage.err, "listen: port 1 is taken, expected a free one\n");
    const auto failure = run({}, [](App&, const Settings&) { throw StartupError("the disk is\nfull"); });
    EXPECT_EQ(failure.code, 1);
    ASSERT_EQ(log_lines(failure).size(), 1U);
    EXPECT_EQ(log_lines(failure)[0]["level"], "critical");
    EXPECT_EQ(log_lines(failure)[0]["msg"], "failed: the disk is\nfull");
    const auto handler = run({}, [](App& app, const Settings&) {
        asio::post(app.io(), [] { throw std::runtime_error("in a handler"); });
        app.run();
        ADD_FAILURE() << "went on";
    });
    EXPECT_EQ(handler.code, 1);
}

TEST(RunApp, says_when_it_is_ready)
{
    const auto outcome = run({}, [](App& app, const Settings&) {
        app.ready("127.0.0.1", 4711);
        app.ready("::1", 4712, {{"control_port", 4713U}});
    });
    const auto lines = log_lines(outcome);
    ASSERT_EQ(lines.size(), 3U);
    EXPECT_EQ(lines[0]["event"], "ready");
    EXPECT_EQ(lines[0]["port"], 4711);
    EXPECT_EQ(lines[0]["url"], "http://127.0.0.1:4711");
    EXPECT_EQ(lines[0]["service"], "tester");
    EXPECT_EQ(lines[0]["msg"], "listening on http://127.0.0.1:4711");
    EXPECT_EQ(lines[1]["control_port"], 4713);
    EXPECT_EQ(lines[1]["msg"], "listening on http://[::1]:4712 (control_port 4713)");
    EXPECT_EQ(lines[2]["msg"], "stopped");
}

TEST(RunApp, log_level_and_format_are_obeyed)
{
    const Body body = [](App&, const Settings&) {
        log::debug("fine print");
        log::warn("heed this");
    };
    EXPECT_EQ(log_lines(run({"--log-level", "warning"}, body)).size(), 1U);
    EXPECT_EQ(log_lines(run({"--log-level", "debug"}, body)).size(), 3U);
    EXPECT_NE(run({"--log-format", "text"}, body).err.find("warning  tester: heed this\n"), std::string::npos);
    const Variable level("HOTSPARE_LOG_LEVEL", "error");
    EXPECT_EQ(run({}, body).err, "");
}

/// A daemon whose only work is to wait for the request to stop.
class StopDaemon : public testing::TestWithParam<int> {};

TEST_P(StopDaemon, drains_on_a_signal)
{
    std::vector<std::string> order;
    const auto outcome = run({}, [&](App& app, const Settings&) {
        auto work =
            std::make_unique<asio::executor_work_guard<asio::io_context::executor_type>>(app.io().get_executor());
        app.on_stop([&] {
            order.emplace_back("listener closed");
            app.on_stop([&] { order.emplace_back("late"); });
        });
        app.on_stop([&] {
            order.emplace_back("drained");
            work.reset();
        });
        asio::post(app.io(), [] { ::kill(::getpid(), GetParam()); });
        app.run();
        order.emplace_back("end");
    });
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    EXPECT_EQ(order, (std::vector<std::string>{"listener closed", "drained", "late", "end"}));
}

INSTANTIATE_TEST_SUITE_P(Signals, StopDaemon, testing::Values(SIGTERM, SIGINT));

TEST(RunApp, may_be_stopped_from_any_thread_and_more_than_once)
{
    int stops = 0;
    const auto outcome = run({}, [&](App& app, const Settings&) {
        auto work =
            std::make_unique<asio::executor_work_guard<asio::io_context::executor_type>>(app.io().get_executor());
        app.on_stop([&] {
            ++stops;
            work.reset();
        });
        std::thread other([&] {
            app.stop();
            app.stop();
        });
        other.join();
        app.run();
    });
    EXPECT_EQ(outcome.code, 0);
    EXPECT_EQ(stops, 1);
}

TEST(RunApp, a_second_signal_ends_a_process_whose_loop_is_stuck)
{
    testing::FLAGS_gtest_death_test_style = "threadsafe";
    const auto by_signal = [](int status) {
        return WIFEXITED(status) && (WEXITSTATUS(status) == 128 + SIGTERM || WEXITSTATUS(status) == 128 + SIGINT);
    };
    EXPECT_EXIT(
        {
            const char* arguments[] = {"tester"};
            run_app(1, arguments, {"tester", ""}, Settings{}, [](App&, const Settings&) {
                ::kill(::getpid(), SIGTERM);
                ::kill(::getpid(), SIGINT); // a different one: equal pending signals are one
                for (;;) ::pause();
            });
        },
        by_signal, "");
}

TEST(RunApp, a_closed_pipe_is_no_end_and_descriptors_are_plenty)
{
    const auto outcome = run({}, [](App&, const Settings&) {
        int ends[2];
        ASSERT_EQ(::pipe(ends), 0);
        ::close(ends[0]);
        EXPECT_EQ(::write(ends[1], "x", 1), -1);
        EXPECT_EQ(errno, EPIPE);
        ::close(ends[1]);
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        EXPECT_EQ(limit.rlim_cur, limit.rlim_max);
    });
    EXPECT_EQ(outcome.code, 0);
}

} // namespace TEST_FILE
} // namespace hotspare
