// Reading a plan: every field where it belongs, and every contradiction refused where it stands.
#include "experiment/record/plan.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

namespace hotspare::experiment {
namespace TEST_FILE {

/// A plan with these lists, which is fine but for them.
std::string yaml(const std::string& method, const std::string& expect = "[{measure: failed, at_most: 0}]",
                 const std::string& more = {})
{
    return "title: t\nduration: 4s\nload: [{rate: 10}]\nmethod: " + method + "\nexpect: " + expect + "\n" + more;
}

/// What is wrong with the plan; empty if nothing.
std::string problem(const std::string& text)
{
    try {
        read_plan(text, "dir/name.yaml");
        return {};
    } catch (const UsageError& error) {
        return error.what();
    }
}

void expect_refused(const std::string& text, const std::string& place, const std::string& why)
{
    const auto what = problem(text);
    EXPECT_TRUE(what.starts_with("dir/name.yaml:" + place)) << what;
    EXPECT_NE(what.find(why), std::string::npos) << what;
}

TEST(Plan, TakesItsNameFromTheFileAndKeepsItsText)
{
    const auto text = yaml("[{at: 1s, fault: mode, mode: slow, delay: 2s, on: spare, for: 500ms}]");
    const auto plan = read_plan(text, "dir/name.yaml");
    EXPECT_EQ(plan.name, "name");
    EXPECT_EQ(plan.text, text);
    ASSERT_EQ(plan.method.size(), 1U);
    EXPECT_EQ(plan.method[0].fault, FaultKind::mode);
    EXPECT_EQ(plan.method[0].on, "spare");
    EXPECT_EQ(plan.method[0].delay, seconds(2));
    EXPECT_EQ(plan.method[0].lasts, milliseconds(500));
    EXPECT_EQ(describe(plan.method[0]), "mode slow");
}

TEST(Plan, SurvivesBeingWrittenAndRead)
{
    const auto plan = read_plan(yaml("[{at: 1s, fault: bandwidth, bytes: 4KiB, for: 1s}]"), "a.yaml");
    const auto again = read_plan(config::to_yaml(plan), "a.yaml");
    EXPECT_EQ(config::to_yaml(again), config::to_yaml(plan));
    EXPECT_EQ(again.method[0].bytes, 4096U);
}

TEST(Plan, RefusesWhatItDoesNotUnderstand)
{
    expect_refused(yaml("[]") + "durration: 3s\n", "6:", "did you mean 'duration'?");
    expect_refused(yaml("[{at: 1s, fault: explode}]"), "4:", "unknown word 'explode'");
    expect_refused(yaml("[{at: soon}]"), "4:", "duration");
    expect_refused(yaml("[]", "[{measure: speed, at_most: 1}]"), "5:", "'speed'");
    expect_refused(yaml("[]", "[]"), "5:", "at least one condition");
}

TEST(Plan, RefusesWhatContradictsItself)
{
    expect_refused(yaml("[{at: 4s, fault: crash}]"), "4:", "the load lasts only 4s");
    expect_refused(yaml("[{at: 2s, fault: crash, on: spare}, {at: 1s, fault: crash}]"), "4:", "in order of time");
    expect_refused(yaml("[{at: 1s, fault: restart, for: 1s}]"), "4:", "over by itself");
    expect_refused(yaml("[{at: 1s, fault: cut, on: balancer}]"), "4:", "balancer");
    expect_refused(yaml("[{at: 1s, fault: bandwidth}]"), "4:", "bytes per second");
    expect_refused(yaml("[{at: 1s, fault: crash, mode: slow}]"), "4:", "no effect with the fault 'crash'");
    expect_refused(yaml("[{at: 1s, fault: crash, delay: 1s}]"), "4:", "method[0].delay: no effect");
    expect_refused(yaml("[{at: 1s, fault: mode, mode: error, delay: 2s}]"), "4:", "method[0].delay: no effect");
    expect_refused(yaml("[{at: 1s, fault: latency, bytes: 10}]"), "4:", "method[0].bytes: no effect");
    expect_refused(yaml("[]") + "steady_state: [{name: a}, {name: a}]\n", "6:", "duplicate name 'a'");
    expect_refused("title: t\nload: [{name: a}, {name: a}]\nexpect: [{measure: failed}]\n",
                   "2:", "load[1].name: duplicate name 'a'");
    expect_refused("title: t\nload: [{path: '/a b'}]\nexpect: [{measure: failed}]\n", "2:", "without blanks");
    expect_refused(yaml("[]", "[{measure: failed, at_most: 5ms}]"), "5:", "failed");
    expect_refused(yaml("[]", "[{measure: detection, phase: fault, at_most: 5ms}]"), "5:", "detection");
    expect_refused(yaml("[]") + "load: []\n", "6:", "load");
}

TEST(Plan, RefusesFaultsThatWouldUndoEachOther)
{
    const auto both = [](const std::string& first, const std::string& second) {
        return problem(yaml("[{at: 1s, " + first + "}, {at: 1500ms, " + second + "}]"));
    };
    const std::string why = "is not over by then";
    EXPECT_NE(both("fault: latency, for: 1s", "fault: cut, for: 1s").find(why), std::string::npos);
    EXPECT_NE(both("fault: mode, mode: slow, for: 1s", "fault: mode, mode: error").find(why), std::string::npos);
    EXPECT_NE(both("fault: mode, mode: slow, for: 1s", "fault: crash").find(why), std::string::npos);
    EXPECT_NE(both("fault: hang", "fault: crash").find(why), std::string::npos);
    EXPECT_EQ(both("fault: hang", "fault: crash, on: spare"), "") << "another party";
    EXPECT_EQ(both("fault: hang, for: 400ms", "fault: crash"), "") << "one after the other";
    EXPECT_EQ(both("fault: latency, for: 1s", "fault: mode, mode: error"), "") << "another layer";
}

TEST(Plan, IsWhatItsOwnTextSays)
{
    for (const auto* step : {"{at: 1s, fault: crash}", "{at: 1s, fault: latency}", "{at: 1s, fault: mode, mode: flap}",
                             "{at: 1s, fault: mode}", "{at: 1s, fault: cut, bytes: 7}"}) {
        const auto plan = read_plan(yaml(fmt::format("[{}]", step)), "p.yaml");
        const auto again = read_plan(config::to_yaml(plan), "p.yaml");
        EXPECT_EQ(describe(again.method[0]), describe(plan.method[0]));
        EXPECT_EQ(again.method[0].delay, plan.method[0].delay);
    }
    EXPECT_EQ(describe(read_plan(yaml("[{at: 1s, fault: latency}]"), "p.yaml").method[0]), "latency 1s");
}

TEST(Plan, RefusesWhatARecordCannotHold)
{
    const auto text = yaml("[]");
    std::string utf16 = "\xff\xfe";
    for (const char c : text) utf16 += {c, '\0'};
    EXPECT_NE(problem(utf16).find("not a text in UTF-8"), std::string::npos);
    EXPECT_NE(problem(utf16.substr(2)).find("not a text in UTF-8"), std::string::npos);
}

TEST(Plan, ALateGeneratorCannotPromiseTimes)
{
    const std::string late = "generator: {lag_p99: 1s, lag_max: 2s}\n";
    EXPECT_EQ(problem(yaml("[]", "[{measure: failed, at_most: 0}]", late)), "");
    expect_refused(yaml("[]", "[{measure: max, at_most: 50ms}]", late), "6:", "promises times");
}

TEST(Plan, KnowsWhatMayBeRepeated)
{
    const auto repeatable = [](const std::string& method, bool key = false) {
        Stream stream;
        stream.method = method;
        stream.idempotency_key = key;
        return stream.repeatable();
    };
    EXPECT_TRUE(repeatable("GET"));
    EXPECT_TRUE(repeatable("DELETE"));
    EXPECT_FALSE(repeatable("POST"));
    EXPECT_FALSE(repeatable("PATCH"));
    EXPECT_TRUE(repeatable("POST", true));
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
