#include "monitor/decide/uptime.hpp"

#include "tests/support/property.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace hotspare::monitor {
namespace TEST_FILE {

using namespace std::chrono_literals;
using std::chrono::days;
using std::chrono::hours;
using std::chrono::minutes;

constexpr Instant november{std::chrono::sys_days(std::chrono::year(2026) / 11 / 1)};
constexpr Instant december{std::chrono::sys_days(std::chrono::year(2026) / 12 / 1)};

/// The definition, one step of time after the other: paints what each step is and counts. It shares nothing with the
/// arithmetic under test but the order of precedence.
class Oracle {
public:
    Oracle(const Record& record, const Span& all, milliseconds step) : begin_(all.begin), step_(step)
    {
        const auto steps = static_cast<std::size_t>((all.end - all.begin) / step);
        states_.assign(steps, State::unknown);
        windows_.assign(steps, false);
        watched_.assign(steps, false);
        paint({record.watched_since, forever}, [&](std::size_t i) { watched_[i] = true; });
        for (const StateChange& change : record.changes)
            paint({change.at, forever}, [&](std::size_t i) { states_[i] = change.state; });
        for (const Span& s : record.outages) paint(s, [&](std::size_t i) { states_[i] = State::down; });
        for (const Span& s : record.gaps) paint(s, [&](std::size_t i) { states_[i] = State::unknown; });
        for (const Span& s : record.announced) paint(s, [&](std::size_t i) { windows_[i] = true; });
    }

    Tally count(const Span& period, Instant now) const
    {
        Tally result;
        for (std::size_t i = 0; i < states_.size(); ++i) {
            const Instant at = begin_ + static_cast<std::int64_t>(i) * step_;
            if (!watched_[i] || at < period.begin || at >= period.end || at >= now) continue;
            result.of(states_[i], windows_[i]) += step_;
        }
        return result;
    }

private:
    template <class Paint> void paint(const Span& span, Paint&& paint)
    {
        for (std::size_t i = 0; i < states_.size(); ++i) {
            const Instant at = begin_ + static_cast<std::int64_t>(i) * step_;
            if (span.begin <= at && at < span.end) paint(i);
        }
    }

    Instant begin_;
    milliseconds step_;
    std::vector<State> states_;
    std::vector<bool> windows_;
    std::vector<bool> watched_;
};

/// Anything that a record may hold, on multiples of `step` around `all`.
class RandomRecord {
public:
    RandomRecord(std::uint32_t seed, const Span& all, milliseconds step) : random_(seed), all_(all), step_(step) {}

    Instant instant()
    {
        const auto steps = static_cast<int>((all_.end - all_.begin) / step_);
        return all_.begin + below(steps + 1) * step_;
    }

    int below(int bound) { return static_cast<int>(random_() % static_cast<unsigned>(bound)); }

    Record record()
    {
        Record r;
        r.watched_since = below(3) == 0 ? all_.begin - 1h : instant();
        for (int n = below(8); n > 0; --n) r.changes.push_back({instant(), static_cast<State>(below(4))});
        std::stable_sort(r.changes.begin(), r.changes.end(), [](auto& a, auto& b) { return a.at < b.at; });
        r.outages = spans();
        r.gaps = spans();
        r.announced = spans();
        return r;
    }

private:
    std::vector<Span> spans()
    {
        std::vector<Span> result;
        for (int n = below(5); n > 0; --n) {
            const Instant begin = instant();
            // Empty ones, ones that end before they begin, and ones that have not ended are all possible.
            result.push_back(
                {begin, below(6) == 0 ? forever : begin + (below(below(2) == 0 ? 40 : 400'000) - 2) * step_});
        }
        return result;
    }

    std::mt19937 random_;
    Span all_;
    milliseconds step_;
};

TEST(Uptime, EqualsTheOracleToTheMillisecond)
{
    test::check_property(4000, [](std::uint32_t seed) {
        const Span all{november - 60ms, november + 60ms};
        RandomRecord random(seed, all, 1ms);
        const Record record = random.record();
        const Oracle oracle(record, all, 1ms);
        const Span period{random.instant(), random.instant()};
        const Instant now = random.instant();
        RC_ASSERT(tally(record, period, now) == oracle.count(period, now));
        RC_ASSERT(tally(record, all, forever) == oracle.count(all, forever));
    });
}

TEST(Uptime, EqualsTheOracleOverMonthsSecondBySecond)
{
    for (std::uint32_t seed = 1; seed <= 3; ++seed) {
        const Span all{november - days(2), december + days(2)};
        RandomRecord random(seed, all, 1s);
        const Record record = random.record();
        const Oracle oracle(record, all, 1s);
        for (const Span& month :
             {unit_around(november - 1ms, Unit::month), Span{november, december}, unit_around(december, Unit::month)})
            EXPECT_EQ(tally(record, intersection(month, all), all.end), oracle.count(month, all.end))
                << "seed " << seed;
    }
}

TEST(Uptime, RollupsOfEveryUnitAddUpToTheDirectTally)
{
    test::check_property(300, [](std::uint32_t seed) {
        const Span all{november - days(3), november + days(3)};
        RandomRecord random(seed, all, 977ms);
        const Record record = random.record();
        const Instant now = random.instant();
        const Tally direct = tally(record, all, now);
        for (const Unit unit : {Unit::minute, Unit::hour, Unit::day, Unit::month}) {
            const auto parts = rollups(record, all, unit, now);
            Tally total;
            for (std::size_t i = 0; i < parts.size(); ++i) {
                if (i > 0) RC_ASSERT(parts[i - 1].begin < parts[i].begin);
                const Span whole = unit_around(parts[i].begin, unit);
                RC_ASSERT(whole.begin == parts[i].begin);
                RC_ASSERT(parts[i].tally == tally(record, intersection(whole, all), now));
                total += parts[i].tally;
            }
            RC_ASSERT(total == direct);
        }
        const auto by_hour = rollups(record, all, Unit::hour, now);
        for (const auto& day : rollups(record, all, Unit::day, now))
            RC_ASSERT(sum(by_hour, unit_around(day.begin, Unit::day)) == day.tally);
    });
}

TEST(Uptime, SplitsAtTheBoundaryOfTheMonthWithoutLosingAMillisecond)
{
    Record record{.watched_since = november, .changes = {{november, State::up}}};
    record.outages = {{december - 1ms, december + 2ms}};
    EXPECT_EQ(tally(record, {november, december}, forever).down, 1ms);
    EXPECT_EQ(tally(record, unit_around(december, Unit::month), forever).down, 2ms);
    EXPECT_EQ(tally(record, {november, december}, forever).total(), days(30));
}

TEST(Uptime, CountsFromTheMomentThatTheTargetIsWatched)
{
    const Record record{.watched_since = november + days(15), .changes = {{november + days(15), State::up}}};
    const Tally t = tally(record, {november, december}, december);
    EXPECT_EQ(t.up, days(15));
    EXPECT_EQ(t.total(), days(15)) << "what was before is not even unknown";
    EXPECT_EQ(tally(record, {november, november + days(15)}, december), Tally{});
}

TEST(Uptime, AMonthInProgressEndsNow)
{
    const Record record{.watched_since = november, .changes = {{november, State::up}}};
    EXPECT_EQ(tally(record, {november, december}, november + days(3)).total(), days(3));
    EXPECT_EQ(tally(record, {november, december}, november - 1ms), Tally{});
}

TEST(Uptime, HasNoFigureWithoutKnownTime)
{
    Record record{.watched_since = november};
    EXPECT_EQ(tally(record, {november, december}, december).raw(), std::nullopt);
    EXPECT_EQ(tally(record, {november, december}, december).unknown, days(30));
    record.changes = {{november, State::up}};
    record.announced = {{november, december}};
    const Tally t = tally(record, {november, december}, december);
    EXPECT_EQ(t.raw(), 1.0);
    EXPECT_EQ(t.sla(), std::nullopt) << "all of it was maintenance";
    record.gaps = {{november, forever}};
    EXPECT_EQ(tally(record, {november, december}, december).raw(), std::nullopt);
}

TEST(Uptime, AnnouncedMaintenanceCountsNeitherForNorAgainstTheSla)
{
    Record record{.watched_since = november, .changes = {{november, State::up}}};
    record.outages = {{november + 10h, november + 11h}, {november + 20h, november + 21h}};
    record.announced = {{november + 10h, november + 12h}, {november + 11h, november + 13h}};
    const Tally t = tally(record, {november, november + 24h}, forever);
    EXPECT_EQ(t.maintenance(), 3h) << "windows that overlap count once";
    EXPECT_DOUBLE_EQ(*t.raw(), 22.0 / 24);
    EXPECT_DOUBLE_EQ(*t.sla(), 20.0 / 21) << "two good hours in windows are no good hours of the SLA";
    record.announced.clear(); // it was an emergency
    EXPECT_DOUBLE_EQ(*tally(record, {november, november + 24h}, forever).sla(), 22.0 / 24);
}

TEST(Uptime, DegradedTimeIsUpAndUnknownTimeIsNeither)
{
    const Record record{.watched_since = november,
                        .changes = {{november, State::up},
                                    {november + 1h, State::degraded},
                                    {november + 2h, State::down},
                                    {november + 3h, State::unknown}}};
    const Tally t = tally(record, {november, november + 6h}, forever);
    EXPECT_EQ(t.known(), 3h);
    EXPECT_DOUBLE_EQ(*t.raw(), 2.0 / 3);
    EXPECT_EQ(t.unknown, 3h);
}

TEST(Uptime, AnOutageIsBackdatedOverWhatWasRecordedButNotOverAGap)
{
    Record record{.watched_since = november, .changes = {{november, State::up}}};
    record.outages = {{november + 1min, november + 5min}};
    record.gaps = {{november + 3min, november + 4min}};
    const Tally t = tally(record, {november, november + 10min}, forever);
    EXPECT_EQ(t.down, 3min);
    EXPECT_EQ(t.unknown, 1min);
}

TEST(Uptime, EqualsTheExampleOfTheDocument)
{
    const Instant begin = november + days(1);
    const Record record{
        .watched_since = begin,
        .changes = {{begin, State::up}},
        .outages = {{begin + days(3), begin + days(3) + 3h}, {begin + days(9), begin + days(9) + 30min}},
        .gaps = {{begin + days(5), begin + days(5) + 6h}},
        .announced = {{begin + days(3), begin + days(3) + 4h}}};
    const Tally t = tally(record, {november, december}, december);
    EXPECT_NEAR(*t.raw(), 0.99493, 0.000005);
    EXPECT_NEAR(*t.sla(), 0.99927, 0.000005);
    const Budget budget = error_budget(t, 0ms, {});
    EXPECT_EQ(budget.allowed, 41min + 9'600ms);
    EXPECT_EQ(budget.left, 11min + 9'600ms);
}

TEST(Uptime, NinetyDaysAreNinetyBars)
{
    Record record{.watched_since = november - days(200), .changes = {{november - days(200), State::up}}};
    record.outages = {{november - 1h, november + 1h}};
    const auto bars = rollups(record, {november - days(60), november + days(30)}, Unit::day, forever);
    ASSERT_EQ(bars.size(), 90U);
    EXPECT_EQ(bars[59].tally.down, 1h);
    EXPECT_EQ(bars[60].tally.down, 1h);
    EXPECT_EQ(bars[61].tally.down, 0h);
}

TEST(Uptime, UnitesStretchesThatOverlapOrTouch)
{
    EXPECT_EQ(united({{Instant(5ms), Instant(6ms)},
                      {Instant(0ms), Instant(9ms)},
                      {Instant(9ms), Instant(10ms)},
                      {Instant(12ms), Instant(11ms)},
                      {Instant(11ms), Instant(12ms)}}),
              (std::vector<Span>{{Instant(0ms), Instant(10ms)}, {Instant(11ms), Instant(12ms)}}));
}

TEST(Uptime, MonthsAreThoseOfTheCalendar)
{
    using namespace std::chrono;
    EXPECT_EQ(month_span(year(2024) / 2).length(), days(29));
    EXPECT_EQ(month_span(year(2100) / 2).length(), days(28));
    EXPECT_EQ(unit_around(december, Unit::month).begin, december);
    EXPECT_EQ(unit_around(december - 1ms, Unit::month).begin, november);
    EXPECT_EQ(unit_around(Instant(-1ms), Unit::day), (Span{Instant(-24h), Instant(0ms)}));
    EXPECT_EQ(month_span(year(2200) / 12).length(), days(31));
}

// ------------------------------------------------------------------------------------------------------- error budget

TEST(ErrorBudget, OfAQuietMonthIsATenthOfAPercentOfIt)
{
    const Budget b = error_budget({}, days(30), {});
    EXPECT_EQ(b.allowed, 2'592s) << "43.2 minutes of 30 days at 99.9 %";
    EXPECT_EQ(b.left, 2'592s);
}

TEST(ErrorBudget, BecomesNegativeWhenOverspent)
{
    Tally t;
    t.up = days(1);
    t.down = 1h;
    t.window_down = 5h;
    const Budget b = error_budget(t, days(29) - 1h, {});
    EXPECT_EQ(b.spent, 1h) << "announced maintenance spends nothing";
    EXPECT_EQ(b.left, 2'592s - 3'600s);
}

TEST(ErrorBudget, LeavesOutWindowsThatAreStillAhead)
{
    EXPECT_EQ(
        outside_windows({november, december},
                        {{november - 1h, november + 1h}, {november + 30min, november + 2h}, {december - 1h, forever}}),
        days(30) - 3h);
    EXPECT_EQ(outside_windows({december, november}, {}), 0ms);
}

TEST(ErrorBudget, IsOverspentExactlyWhenTheSlaOfAWholeMonthIsMissed)
{
    test::check_property(2000, [](std::uint32_t seed) {
        const Span all{november - 60ms, november + 60ms};
        RandomRecord random(seed, all, 1ms);
        const Tally t = tally(random.record(), all, forever);
        const auto ppm = static_cast<std::uint32_t>(random.below(1'000'001));
        const Budget b = error_budget(t, 0ms, {ppm});
        const bool missed =
            t.sla() && (t.up + t.degraded).count() * 1'000'000 < t.counted().count() * std::int64_t{ppm};
        RC_ASSERT((b.left < 0ms) == missed);
    });
}

// ---------------------------------------------------------------------------------------------------------- burn rate

std::array<Burn, 4> burns_after(const std::vector<Span>& outages, Objective objective = {})
{
    const Record record{
        .watched_since = november - days(30), .changes = {{november - days(30), State::up}}, .outages = outages};
    return burns([&](const Span& s) { return tally(record, s, november); }, november, objective);
}

TEST(BurnRate, FiresFromTheRateOfTheWorkbookOnAndNotAMillisecondBelow)
{
    // 14.4 times 0.1 % of an hour are 51.84 s; of the short window, the last five minutes, all of that is more.
    EXPECT_TRUE(burns_after({{november - 51'840ms, november}})[0].firing);
    EXPECT_FALSE(burns_after({{november - 51'839ms, november}})[0].firing);
    EXPECT_NEAR(*burns_after({{november - 51'840ms, november}})[0].long_rate, 14.4, 1e-9);
    // 6 x 0.1 % of 6 h = 129.6 s, 3 x 0.1 % of a day = 259.2 s, 1 x 0.1 % of 3 d = 259.2 s.
    EXPECT_TRUE(burns_after({{november - 129'600ms, november}})[1].firing);
    EXPECT_FALSE(burns_after({{november - 129'599ms, november}})[1].firing);
    EXPECT_TRUE(burns_after({{november - 259'200ms, november}})[2].firing);
    EXPECT_FALSE(burns_after({{november - 259'199ms, november}})[2].firing);
    EXPECT_TRUE(burns_after({{november - 259'200ms, november}})[3].firing);
    EXPECT_FALSE(burns_after({{november - 259'199ms, november}})[3].firing);
}

TEST(BurnRate, FallsSilentWhenTheShortWindowIsQuiet)
{
    const auto burn = burns_after({{november - 40min, november - 5min}})[0];
    EXPECT_GT(*burn.long_rate, 500);
    EXPECT_EQ(burn.short_rate, 0.0);
    EXPECT_FALSE(burn.firing);
}

TEST(BurnRate, IsUnknownWithoutKnownTime)
{
    const auto burn = burns([](const Span&) { return Tally{}; }, november, {})[0];
    EXPECT_EQ(burn, Burn{});
    EXPECT_TRUE(std::isinf(*burns_after({{november - 1ms, november}}, {1'000'000})[0].long_rate));
    EXPECT_FALSE(burns_after({}, {1'000'000})[0].firing);
}

} // namespace TEST_FILE
} // namespace hotspare::monitor
