// Any text as the RRULE of a maintenance window, in UTC and in a zone whose clocks change. libical must survive what it
// is shown; what is accepted keeps its bounds, and yields the same wherever its expansion begins.

#include "tests/fuzz/check.hpp"

#include "monitor/decide/recurrence.hpp"

#include <algorithm>
#include <iterator>
#include <string>
#include <vector>

namespace hotspare::fuzz {
namespace {

using namespace monitor;
using std::chrono::days;
using std::chrono::hours;

void check_rule(const std::string& text, const std::string& zone)
{
    // 1 January 2026, a Thursday, 02:00 in UTC.
    const Instant start = Instant(std::chrono::sys_days(std::chrono::year(2026) / 1 / 1)) + hours(2);
    const Recurrence recurrence{text, {start, start + std::chrono::minutes(20)}, zone};
    const Span year{start, start + recurrence_horizon};
    const auto refusal = refuse_recurrence(recurrence);
    const auto all = occurrences(recurrence, year);
    if (refusal) {
        check(!refusal->message.empty() && !refusal->field.empty(), "a refusal says why", text);
        return;
    }
    check(!all.empty() && all.front() == recurrence.first, "the start is the first occurrence", text);
    for (std::size_t i = 1; i < all.size(); ++i)
        check(all[i - 1].end <= all[i].begin, "occurrences do not overlap", text);
    for (std::size_t i = most_occurrences_a_day; i < all.size(); ++i)
        check(all[i].begin - all[i - most_occurrences_a_day].begin >= hours(24), "at most 24 begin in a day", text);

    const Span late{start + days(200), start + days(230)};
    std::vector<Span> expected;
    std::copy_if(all.begin(), all.end(), std::back_inserter(expected), [&](const Span& s) { return s.overlaps(late); });
    check(occurrences(recurrence, late) == expected, "a late stretch yields what counting from the start does", text);
}

} // namespace
} // namespace hotspare::fuzz

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size)
{
    using namespace hotspare::fuzz;
    const std::string text(text_of(data, std::min<std::size_t>(size, 600)));
    check_rule(text, "");
    check_rule(text, "Europe/Berlin");
    return 0;
}
