// PURE: how results are put for people: the same words in the terminal, on the page and in the machine-readable files.
//
// It names and formats; what the numbers are is measure.hpp's business, what follows from them verdict.hpp's.
//
// Any thread.
#pragma once

#include "experiment/judge/verdict.hpp"
#include "experiment/record/record.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace hotspare::experiment {

/// For every value that is absent.
inline constexpr std::string_view not_observed = "not observed";

/// "before the fault", "the whole run".
std::string_view title_of(Phase phase) noexcept;
/// "Detection", "Worst latency": the heading of a row.
std::string_view title_of(Measure measure) noexcept;
/// What it counts, or from where to where it lasts: a clause.
std::string_view explain(Measure measure) noexcept;

/// "answered well", "timed out".
std::string_view title_of(Outcome outcome) noexcept;

/// "1,234,567"
std::string grouped(std::uint64_t number);
/// "1 run", "1,234 runs": `many` is the plural.
std::string counted(std::size_t count, std::string_view one, std::string_view many);

/// As format() of measure.hpp, or `not_observed`; counts with thousands separators.
std::string value_text(Measure measure, const std::optional<double>& value);
std::string median_text(Measure measure, const std::optional<Spread>& spread);
/// The least and the greatest value with `between` between them; empty if both read the same, or there are none. A unit
/// that both share is written once.
std::string range_text(Measure measure, const std::optional<Spread>& spread, std::string_view between);

/// A moment or a span: "0 s", "820 µs", "1.24 ms", "-2.013 s".
std::string time_text(Nanos time);

/// What the verdict is owed to, one sentence.
std::string sentence(const Judgement& judgement);

/// Which way one request went by the balancer's account: "primary: reset after 0.4 ms, spare (hedge): answered after
/// 1.2 ms"; empty if the balancer keeps none.
std::string trail_text(const Sample& sample);

} // namespace hotspare::experiment
