// Random sequences in numbers. RC_GTEST_PROP runs a property 100 times; the PURE cores are cheap enough for thousands.
#pragma once

#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/detail/Configuration.h>
#include <rapidcheck/detail/TestListenerAdapter.h>

#include <cstdlib>
#include <iostream>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

namespace hotspare::test {

/// Whether RC_PARAMS in the environment says how many inputs are to be tried, or which.
inline bool runs_are_given()
{
    const char* const given = std::getenv("RC_PARAMS");
    if (given == nullptr) return false;
    const std::string_view params(given);
    return params.find("max_success") != params.npos || params.find("reproduce") != params.npos;
}

/// Runs `property` on `runs` random inputs inside a GTest test. A failure prints the shrunken input and what reproduces
/// it. RC_PARAMS in the environment may name a seed (seed=...), and its max_success=... wins over `runs`.
template <class Property> void check_property(int runs, Property&& property)
{
    const auto* const info = ::testing::UnitTest::GetInstance()->current_test_info();
    rc::detail::TestMetadata metadata;
    metadata.id = std::string(info->test_suite_name()) + "/" + info->name();
    metadata.description = info->name();

    auto params = rc::detail::configuration().testParams;
#ifdef HOTSPARE_SANITIZED
    runs /= 4; // they run ten times slower
#endif
    if (!runs_are_given()) params.maxSuccess = runs;
    std::cout << "seed=" << params.seed << " runs=" << params.maxSuccess << std::endl;

    rc::detail::TestListenerAdapter listener;
    const auto result = rc::detail::checkProperty(rc::detail::toProperty(std::forward<Property>(property)), metadata,
                                                  params, listener, rc::detail::configuration().reproduce);
    if (result.template is<rc::detail::SuccessResult>()) return;
    std::ostringstream message;
    rc::detail::printResultMessage(result, message);
    FAIL() << message.str() << "\n(seed " << params.seed << ")";
}

} // namespace hotspare::test
