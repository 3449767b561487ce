#include "supervisor/report.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace hotspare::supervisor {
namespace TEST_FILE {

LastExit killed()
{
    return {.cause = "was ended by SIGKILL", .ran = seconds(12), .at = WallTime(seconds(1'700'000'000))};
}

TEST(SupervisorReport, OneThatRunsShowsItsProcessItsPortsAndItsLastExit)
{
    DaemonStatus status;
    status.name = "primary";
    status.state = State::running;
    status.pid = 4711;
    status.ports = {5001, 5101};
    EXPECT_EQ(to_text(status), "  primary              pid 4711     ports 5001,5101      restarts 0\n");
    status.restarts = 2;
    status.last_exit = killed();
    EXPECT_EQ(to_text(status), "  primary              pid 4711     ports 5001,5101      restarts 2\n"
                               "                       last exit: was ended by SIGKILL after 12 s\n");
    status.state = State::stopping;
    status.last_exit.reset();
    EXPECT_EQ(to_text(status), "  primary              pid 4711     ports 5001,5101      restarts 2, stopping\n");
}

TEST(SupervisorReport, OneThatIsDownSaysWhyAndWhatHelps)
{
    DaemonStatus status;
    status.name = "spare";
    const auto text = [&](State state) {
        status.state = state;
        return to_text(status);
    };
    const std::string begin = "  spare                down: ";
    EXPECT_EQ(text(State::stopped), begin + "stopped; ./run.sh up starts it again\n");
    status.waits_for = {"a", "b"};
    EXPECT_EQ(text(State::waiting), begin + "waits for a, b\n");
    status.last_exit = killed();
    status.starts_in = milliseconds(3240);
    EXPECT_EQ(text(State::restarting), begin + "was ended by SIGKILL after 12 s; starts again in 3.2 s\n");
    EXPECT_EQ(text(State::ended), begin + "was ended by SIGKILL after 12 s; ./run.sh up starts it again\n");
    status.restarts = 20;
    EXPECT_EQ(text(State::given_up), begin + "given up after 20 restarts: was ended by SIGKILL after 12 s; ./run.sh up "
                                             "starts it again\n");
}

TEST(SupervisorReport, JsonHasTheSame)
{
    DaemonStatus status;
    status.name = "spare";
    status.state = State::given_up;
    status.restarts = 20;
    status.last_exit = killed();
    const auto json = to_json(status);
    EXPECT_EQ(json["state"], "given_up");
    EXPECT_TRUE(json["pid"].is_null());
    EXPECT_EQ(json["last_exit"]["cause"], "was ended by SIGKILL");
    EXPECT_EQ(json["last_exit"]["ran_s"], 12.0);
    EXPECT_EQ(json["last_exit"]["at"], "2023-11-14T22:13:20.000Z");
}

TEST(SupervisorReport, UpStartsWhatDoesNotRun)
{
    for (const State state : {State::stopped, State::restarting, State::ended, State::given_up})
        EXPECT_TRUE(is_missing(state)) << to_string(state);
    for (const State state : {State::waiting, State::starting, State::running, State::stopping})
        EXPECT_FALSE(is_missing(state)) << to_string(state);
}

} // namespace TEST_FILE
} // namespace hotspare::supervisor
