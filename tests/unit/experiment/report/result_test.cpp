#include "experiment/report/result.hpp"

#include "experiment/report/wording.hpp"
#include "tests/support/xml.hpp"
#include "tests/unit/experiment/example_journals.hpp"
#include "tests/unit/experiment/synthetic.hpp"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <string>

namespace hotspare::experiment {
namespace TEST_FILE {

TEST(ResultJson, HasEveryScriptedNumber)
{
    const Journal journal = synthetic::scripted_journal(3);
    const auto json = result_json(journal, judge(journal, 3));
    EXPECT_EQ(json["verdict"], "FAIL");
    EXPECT_EQ(json["exit_code"], 1);
    EXPECT_EQ(json["valid"], 3);
    EXPECT_EQ(json["plan"], journal.plan.text);
    EXPECT_EQ(json["environment"].dump(), journal.environment);
    ASSERT_EQ(json["runs"].size(), 3U);
    for (const auto& expected : synthetic::scripted_measures()) {
        const std::string phase(to_string(expected.phase));
        const std::string measure(to_string(expected.measure));
        const auto& spread = json["measures"][phase][measure];
        const auto& first = json["runs"][0]["measures"][phase][measure];
        if (!expected.value) {
            EXPECT_TRUE(spread.is_null() && first.is_null()) << measure << " " << phase;
            continue;
        }
        EXPECT_DOUBLE_EQ(spread["median"].get<double>(), *expected.value) << measure << " " << phase;
        EXPECT_EQ(spread["runs"], 3);
        EXPECT_DOUBLE_EQ(first.get<double>(), *expected.value) << measure << " " << phase;
    }
    EXPECT_EQ(json["measures"]["fault"].count("detection"), 0U) << "is known of the whole run only";
}

TEST(ResultJson, SaysNullForWhatWasNotObservedAndWhyARunDoesNotCount)
{
    const Journal journal = example::aborted();
    const auto json = result_json(journal, judge(journal, 1));
    EXPECT_EQ(json["verdict"], "ABORTED");
    EXPECT_TRUE(json["measures"]["all"]["max"].is_null());
    EXPECT_EQ(json["runs"][0]["valid"], false);
    EXPECT_EQ(json["runs"][0]["aborted"], "interrupted by the operator");
}

TEST(ResultJson, ListsFaultsWithTheirTimes)
{
    const Journal journal = example::survived();
    const auto fault = result_json(journal, judge(journal, 5))["runs"][0]["faults"][0];
    EXPECT_EQ(fault["fault"], "crash");
    EXPECT_EQ(fault["on"], "primary");
    EXPECT_NEAR(fault["confirmed_ms"].get<double>() - fault["triggered_ms"].get<double>(), 1.1, 1e-6);
}

TEST(ResultJson, CanBeWrittenWhateverTheTextsAre)
{
    Journal journal = example::forged("\xff\x01<");
    journal.environment.clear();
    const auto json = result_json(journal, judge(journal, 2));
    EXPECT_NO_THROW(nlohmann::ordered_json::parse(json.dump()));
}

std::size_t number(const test::XmlElement& element, const std::string& attribute)
{
    return std::stoul(element.attributes.at(attribute));
}

TEST(JunitXml, HasOneCasePerFinding)
{
    for (const auto& [journal, verdict] :
         {std::pair{example::survived(), Verdict::pass}, std::pair{example::not_survived(), Verdict::fail},
          std::pair{synthetic::scripted_journal(2), Verdict::fail}}) {
        const Judgement judgement = judge(journal, journal.runs.size());
        ASSERT_EQ(judgement.verdict, verdict);
        const auto xml = test::read_xml(junit_xml(journal, judgement));
        ASSERT_EQ(xml.problem, "");
        const auto suites = xml.all("testsuite");
        ASSERT_EQ(suites.size(), 1U);
        const auto cases = xml.all("testcase");
        ASSERT_EQ(cases.size(), judgement.findings.size());
        EXPECT_EQ(number(*suites[0], "tests"), cases.size());
        EXPECT_EQ(number(*suites[0], "failures"), xml.all("failure").size());
        EXPECT_EQ(number(*suites[0], "errors"), 0U);
        for (std::size_t i = 0; i < cases.size(); ++i) {
            EXPECT_EQ(cases[i]->attributes.at("name"), judgement.findings[i].what);
            const auto inside = xml.children(*cases[i]);
            ASSERT_EQ(inside.size(), judgement.findings[i].held ? 0U : 1U);
            if (inside.empty()) continue;
            EXPECT_EQ(inside[0]->name, "failure");
            EXPECT_NE(inside[0]->attributes.at("message").find(judgement.findings[i].measured), std::string::npos);
        }
    }
}

TEST(JunitXml, WhatCannotBeJudgedIsAnErrorAndNoFailure)
{
    Journal invalid = example::survived();
    for (auto& run : invalid.runs) run.invalid = "the generator lagged";
    for (const Journal& journal : {example::aborted(), invalid, Journal{}}) {
        const Judgement judgement = judge(journal, 1);
        const auto xml = test::read_xml(junit_xml(journal, judgement));
        ASSERT_EQ(xml.problem, "");
        const auto suite = *xml.all("testsuite").at(0);
        EXPECT_EQ(number(suite, "errors"), 1U);
        EXPECT_EQ(number(suite, "failures"), 0U);
        EXPECT_EQ(number(suite, "skipped"), judgement.findings.size());
        EXPECT_EQ(xml.all("skipped").size(), judgement.findings.size());
        ASSERT_EQ(xml.all("error").size(), 1U);
        EXPECT_EQ(xml.all("error")[0]->attributes.at("type"), to_string(judgement.verdict));
        EXPECT_EQ(number(suite, "tests"), xml.all("testcase").size());
    }
}

/// The elements and attributes that the schemas of Ant (JUnit.xsd) and Jenkins (jenkins-junit.xsd) share, in their
/// order.
TEST(JunitXml, KeepsToTheSchemas)
{
    const Journal journal = example::not_survived();
    const auto xml = test::read_xml(junit_xml(journal, judge(journal, 3)));
    ASSERT_EQ(xml.problem, "");
    EXPECT_EQ(xml.elements[0].name, "testsuites");
    const auto& suite = *xml.all("testsuite").at(0);
    for (const char* required :
         {"id", "package", "name", "hostname", "timestamp", "tests", "failures", "errors", "time"})
        EXPECT_EQ(suite.attributes.count(required), 1U) << required;
    EXPECT_EQ(suite.attributes.at("timestamp"), "2026-11-21T12:01:00");
    std::vector<std::string> order;
    for (const auto* child : xml.children(suite))
        if (order.empty() || order.back() != child->name) order.push_back(child->name);
    EXPECT_EQ(order, (std::vector<std::string>{"properties", "testcase", "system-out", "system-err"}));
    for (const auto* c : xml.all("testcase"))
        for (const char* required : {"name", "classname", "time"}) EXPECT_EQ(c->attributes.count(required), 1U);
}

TEST(JunitXml, ForgedTextsStayTexts)
{
    const std::string evil = "\"/><testcase name='x'/>]]>&\x01\x1b\xff";
    const Journal journal = example::forged(evil);
    const Judgement judgement = judge(journal, 2);
    const auto xml = test::read_xml(junit_xml(journal, judgement));
    ASSERT_EQ(xml.problem, "");
    EXPECT_EQ(xml.all("testcase").size(), judgement.findings.size() + 1);
}

} // namespace TEST_FILE
} // namespace hotspare::experiment
