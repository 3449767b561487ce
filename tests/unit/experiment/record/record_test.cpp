#include "experiment/record/record.hpp"

#include "tests/support/property.hpp"
#include "tests/unit/experiment/synthetic.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>
#include <rapidcheck/gtest.h>

#include <sstream>
#include <string>

namespace hotspare::experiment {
namespace TEST_FILE {

std::string written(const Journal& journal)
{
    std::ostringstream out;
    write_header(out, journal);
    for (const auto& run : journal.runs) write_run(out, run);
    return out.str();
}

Journal read(const std::string& text)
{
    std::istringstream in(text);
    return read_journal(in, "samples.jsonl");
}

/// What the reader says about it; empty if it takes it.
std::string refusal(const std::string& text)
{
    try {
        read(text);
    } catch (const UsageError& error) {
        return error.what();
    }
    return {};
}

std::string replaced(std::string text, const std::string& what, const std::string& by)
{
    const auto at = text.find(what);
    EXPECT_NE(at, std::string::npos) << what;
    if (at != std::string::npos) text.replace(at, what.size(), by);
    return text;
}

std::vector<std::string> lines_of(const std::string& text)
{
    std::vector<std::string> result;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) result.push_back(line);
    return result;
}

std::string joined(const std::vector<std::string>& lines)
{
    std::string result;
    for (const auto& line : lines) result += line + "\n";
    return result;
}

/// A file of one run with one line of each type; line N of it is lines_of(small_file())[N - 1].
std::string small_file()
{
    Journal journal = synthetic::scripted_journal();
    auto& run = journal.runs[0];
    run.probes.resize(1);
    run.events.resize(1);
    run.samples.resize(2);
    run.samples[1].trail.push_back(
        {.backend = "spare", .outcome = "answered", .ms = 0.5, .hedge = true, .status = 200});
    run.executions.resize(1);
    return written(journal);
}

TEST(Record, is_read_back_as_it_was_written)
{
    const Journal journal = synthetic::scripted_journal(3);
    const Journal again = read(written(journal));
    EXPECT_EQ(again.plan.name, journal.plan.name);
    EXPECT_EQ(again.plan.text, journal.plan.text);
    EXPECT_EQ(again.seed, journal.seed);
    EXPECT_EQ(again.repeat, 3U);
    EXPECT_EQ(again.target, journal.target);
    EXPECT_EQ(again.backends, journal.backends);
    EXPECT_EQ(again.environment, journal.environment);
    EXPECT_EQ(again.runs, journal.runs);
    EXPECT_EQ(written(again), written(journal));
}

TEST(Record, the_plan_in_it_is_the_plan)
{
    const Plan again = read(written(synthetic::scripted_journal())).plan;
    const Plan plan = synthetic::scripted_plan();
    EXPECT_EQ(again.duration, plan.duration);
    EXPECT_EQ(again.timeout, plan.timeout);
    ASSERT_EQ(again.load.size(), 2U);
    EXPECT_EQ(again.load[0].rate, 100);
    EXPECT_EQ(again.load[1].method, "POST");
    EXPECT_FALSE(again.load[1].must_succeed);
    ASSERT_EQ(again.method.size(), 1U);
    EXPECT_EQ(again.method[0].at, plan.method[0].at);
    EXPECT_EQ(again.method[0].lasts, plan.method[0].lasts);
    ASSERT_EQ(again.steady_state.size(), 2U);
    EXPECT_EQ(again.steady_state[1].served_by, "primary");
    ASSERT_EQ(again.expect.size(), 3U);
    EXPECT_EQ(again.expect[2].at_least, "97%");
}

TEST(Record, whatever_was_observed_is_read_back)
{
    test::check_property(300, [] {
        const auto time = [] { return Nanos(*rc::gen::inRange<std::int64_t>(-1'000'000'000'000, 1'000'000'000'000)); };
        // ASCII with control characters, and some of what is not.
        const auto text = [] {
            std::string result = *rc::gen::string<std::string>();
            for (char& c : result) c = static_cast<char>(c & 0x7f);
            return result + *rc::gen::element<std::string>("", "ä", "\"\\", "\xe2\x82\xac", "\n");
        };
        const auto some = [](int most) { return *rc::gen::inRange(0, most + 1); };
        Journal journal = synthetic::scripted_journal(0);
        journal.target = text();
        journal.seed = *rc::gen::arbitrary<std::uint64_t>();
        for (int r = some(2); r > 0; --r) {
            auto& run = journal.runs.emplace_back();
            run.number = *rc::gen::arbitrary<std::uint32_t>();
            run.seed = *rc::gen::arbitrary<std::uint64_t>();
            run.started = text();
            run.counted = *rc::gen::arbitrary<bool>();
            run.invalid = text();
            run.aborted = text();
            for (int i = some(3); i > 0; --i)
                run.probes.push_back({.probe = *rc::gen::arbitrary<std::uint32_t>(),
                                      .stage = static_cast<Stage>(some(3)),
                                      .at = time(),
                                      .took = time(),
                                      .passed = *rc::gen::arbitrary<bool>(),
                                      .detail = text()});
            for (int i = some(3); i > 0; --i) {
                FaultRecord fault{.step = *rc::gen::arbitrary<std::uint32_t>(),
                                  .triggered = time(),
                                  .confirmed = time(),
                                  .effective = *rc::gen::arbitrary<bool>(),
                                  .evidence = text(),
                                  .undone = std::nullopt};
                if (*rc::gen::arbitrary<bool>()) fault.undone = time();
                run.faults.push_back(fault);
            }
            for (int i = some(3); i > 0; --i)
                run.events.push_back({time(), text(), text(), text(), text(), text(), text(), text()});
            std::uint64_t index = 0;
            for (int i = some(4); i > 0; --i) {
                Sample sample;
                sample.index = index += static_cast<std::uint64_t>(some(3)) + 1;
                sample.stream = *rc::gen::arbitrary<std::uint32_t>();
                sample.due = time();
                sample.sent = time();
                sample.first_byte = time();
                sample.done = time();
                sample.outcome = static_cast<Outcome>(some(7));
                sample.status = *rc::gen::arbitrary<unsigned>();
                sample.served_by = text();
                sample.waited = *rc::gen::arbitrary<bool>();
                for (int hop = some(3); hop > 0; --hop)
                    sample.trail.push_back({text(), text(), *rc::gen::arbitrary<double>(), *rc::gen::arbitrary<bool>(),
                                            *rc::gen::inRange(0U, 600U)});
                run.samples.push_back(sample);
            }
            for (int i = some(3); i > 0; --i)
                run.executions.push_back(
                    {*rc::gen::arbitrary<std::uint64_t>(), text(), *rc::gen::arbitrary<std::uint32_t>()});
        }
        const Journal again = read(written(journal));
        RC_ASSERT(again.runs == journal.runs);
        RC_ASSERT(again.seed == journal.seed);
        RC_ASSERT(again.target == journal.target);
    });
}

TEST(Record, a_sample_takes_no_more_than_200_bytes)
{
    Journal journal = synthetic::scripted_journal();
    auto& sample = journal.runs[0].samples[0];
    sample.index = 99999;
    sample.due = sample.sent = sample.first_byte = sample.done = seconds(10) + Nanos(1);
    journal.runs[0].samples = {sample};
    for (const std::string& line : lines_of(written(journal))) {
        if (!line.starts_with(R"({"type":"sample")")) continue;
        EXPECT_LE(line.size(), 200U) << line;
    }
}

TEST(Record, a_text_that_is_not_UTF_8_does_not_spoil_the_file)
{
    Journal journal = synthetic::scripted_journal();
    journal.runs[0].faults[0].evidence = "bad \xff byte";
    EXPECT_EQ(read(written(journal)).runs[0].faults[0].evidence, "bad \xef\xbf\xbd byte");
}

TEST(Record, a_file_without_runs_is_an_experiment_without_runs)
{
    const Journal journal = read(lines_of(small_file()).at(0) + "\n");
    EXPECT_TRUE(journal.runs.empty());
}

TEST(Record, no_other_file_is_taken_for_one)
{
    EXPECT_EQ(refusal(""), "samples.jsonl:1: the file is empty");
    EXPECT_EQ(refusal("\n"), "samples.jsonl:1: this is not JSON, or cut off");
    EXPECT_EQ(refusal("[]\n"), "samples.jsonl:1: this is not a JSON object");
    EXPECT_EQ(refusal("{}\n"), "samples.jsonl:1: the key 'type' is missing");
    EXPECT_EQ(refusal("{\"type\":\"run\"}\n"),
              "samples.jsonl:1: the first line is not of type 'experiment': this is no record of one");
    EXPECT_EQ(refusal(replaced(small_file(), R"("format":1)", R"("format":2)")),
              "samples.jsonl:1: the format is 2, this program reads 1");
    EXPECT_EQ(refusal(replaced(small_file(), R"("backends":["primary")", R"("backends":[7)")),
              "samples.jsonl:1: 'backends' is not a list of names");
}

TEST(Record, a_file_that_was_cut_off_is_refused_wherever_it_was_cut)
{
    const std::string text = small_file();
    const std::size_t header = text.find('\n') + 1;
    for (std::size_t length = 1; length + 1 < text.size(); ++length) {
        if (length == header || length == header - 1) continue; // a whole file without runs
        EXPECT_NE(refusal(text.substr(0, length)), "") << "cut after " << length << " bytes";
    }
    auto lines = lines_of(text);
    lines.pop_back();
    EXPECT_EQ(refusal(joined(lines)),
              fmt::format("samples.jsonl:{}: run 1 has no end: the file is cut off", lines.size() + 1));
    lines = lines_of(text);
    lines.insert(lines.end() - 1, lines[1]);
    EXPECT_EQ(refusal(joined(lines)),
              fmt::format("samples.jsonl:{}: run 1 has no end before this one begins", lines.size() - 1));
}

TEST(Record, unknown_missing_and_repeated_keys_are_named_with_their_line)
{
    const std::string text = small_file();
    EXPECT_EQ(refusal(replaced(text, R"("type":"fault")", R"("type":"fault","why":1)")),
              "samples.jsonl:4: unknown key 'why' in a line of type 'fault'");
    EXPECT_EQ(refusal(replaced(text, R"("type":"fault")", R"("type":"mishap")")),
              "samples.jsonl:4: unknown type 'mishap'");
    EXPECT_EQ(refusal(replaced(text, R"("code":200)", R"("code":200,"code":500)")),
              "samples.jsonl:6: the key 'code' stands twice");
    // Every line of it without each of its keys that may not be missing.
    const auto lines = lines_of(text);
    for (std::size_t n = 0; n < lines.size(); ++n) {
        const auto whole = nlohmann::ordered_json::parse(lines[n]);
        for (const auto& [key, value] : whole.items()) {
            auto less = whole;
            less.erase(key);
            auto changed = lines;
            changed[n] = less.dump();
            const std::string answer = refusal(joined(changed));
            if (key == "type")
                EXPECT_EQ(answer, fmt::format("samples.jsonl:{}: the key 'type' is missing", n + 1));
            else if (answer.empty())
                EXPECT_TRUE(key == "by" || key == "via" || key == "undone" || key == "evidence" || key == "id" ||
                            key == "backend" || key == "from" || key == "to" || key == "cause")
                    << key << " in " << lines[n];
            else
                EXPECT_EQ(answer, fmt::format("samples.jsonl:{}: the key '{}' is missing", n + 1, key));
        }
    }
}

TEST(Record, a_value_of_the_wrong_kind_is_refused_in_every_place)
{
    const auto lines = lines_of(small_file());
    for (std::size_t n = 0; n < lines.size(); ++n) {
        const auto whole = nlohmann::ordered_json::parse(lines[n]);
        for (const auto& [key, value] : whole.items()) {
            if (key == "environment") continue; // whatever it is
            for (const auto& wrong : {nlohmann::ordered_json(nullptr), nlohmann::ordered_json(1.5),
                                      nlohmann::ordered_json::object(), nlohmann::ordered_json::array({1})}) {
                auto other = whole;
                other[key] = wrong;
                auto changed = lines;
                changed[n] = other.dump();
                const std::string answer = refusal(joined(changed));
                EXPECT_TRUE(answer.starts_with(fmt::format("samples.jsonl:{}: ", n + 1)))
                    << key << " = " << wrong << ": " << answer;
            }
        }
    }
    const std::string text = small_file();
    EXPECT_EQ(refusal(replaced(text, R"("end":"good")", R"("end":"fine")")), "samples.jsonl:6: 'end' cannot be 'fine'");
    EXPECT_EQ(refusal(replaced(text, R"("st":0)", R"("st":-1)")),
              "samples.jsonl:6: 'st' is not a whole number from 0 to 4294967295");
    EXPECT_EQ(refusal(replaced(text, R"("st":0)", R"("st":4294967296)")),
              "samples.jsonl:6: 'st' is not a whole number from 0 to 4294967295");
    EXPECT_EQ(refusal(replaced(text, R"("due":0)", R"("due":9223372036854775808)")),
              "samples.jsonl:6: 'due' is not a number of nanoseconds");
    EXPECT_EQ(refusal(replaced(text, R"("hedge"])", R"("ledge"])")),
              "samples.jsonl:7: 'via' is not a list of attempts");
}

TEST(Record, samples_stand_once_and_in_order)
{
    auto lines = lines_of(small_file());
    std::swap(lines[5], lines[6]);
    EXPECT_EQ(refusal(joined(lines)), "samples.jsonl:7: sample 0 comes after sample 1");
    lines[6] = lines[5];
    EXPECT_EQ(refusal(joined(lines)), "samples.jsonl:7: sample 1 stands twice");
}

TEST(Record, a_line_that_was_taken_out_or_put_in_is_missed_at_the_end)
{
    const auto lines = lines_of(small_file());
    ASSERT_EQ(lines.size(), 9U);
    for (std::size_t n = 2; n + 1 < lines.size(); ++n) {
        auto fewer = lines;
        fewer.erase(fewer.begin() + static_cast<std::ptrdiff_t>(n));
        EXPECT_TRUE(refusal(joined(fewer)).starts_with("samples.jsonl:8: run 1 should have ")) << lines[n];
        if (lines[n].find("\"sample\"") != std::string::npos) continue;
        auto more = lines;
        more.insert(more.begin() + static_cast<std::ptrdiff_t>(n), lines[n]);
        EXPECT_TRUE(refusal(joined(more)).starts_with("samples.jsonl:10: run 1 should have ")) << lines[n];
    }
    EXPECT_EQ(refusal(replaced(small_file(), R"("executions":1)", R"("executions":2)")),
              "samples.jsonl:9: run 1 should have 2 executions, but 1 stand here");
    EXPECT_EQ(refusal(replaced(small_file(), R"("end","run":1)", R"("end","run":2)")),
              "samples.jsonl:9: this ends another run than the one that began, which is run 1");
    EXPECT_EQ(refusal(small_file() + lines[5] + "\n"),
              "samples.jsonl:10: a line of type 'sample' stands outside a run");
}

TEST(Record, no_bytes_do_harm)
{
    const std::string text = small_file();
    test::check_property(2000, [&] {
        std::string changed = text;
        for (int i = *rc::gen::inRange(1, 4); i > 0; --i) {
            const auto at = *rc::gen::inRange<std::size_t>(0, changed.size());
            switch (*rc::gen::inRange(0, 3)) {
            case 0: changed[at] = *rc::gen::arbitrary<char>(); break;
            case 1: changed.erase(at, *rc::gen::inRange<std::size_t>(1, 20)); break;
            default:
                changed.insert(at, *rc::gen::element<std::string>("{", "}", "\"", "[", "1e999", "null", ",", "\n"));
            }
            if (changed.empty()) break;
        }
        const std::string answer = refusal(changed);
        RC_ASSERT(answer.empty() || answer.starts_with("samples.jsonl:"));
    });
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
