#include "experiment/report/timeline.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>

namespace hotspare::experiment {
namespace {

constexpr std::string_view served_by_signs = "=#+*%&"; ///< by the backends' order; those beyond share the last
constexpr std::string_view indent = "  ";

char slowness(double ms)
{
    return ms < 2 ? '.' : ms < 10 ? ':' : ms < 50 ? 'o' : ms < 300 ? 'O' : '@';
}

} // namespace

std::string timeline(const Plan& plan, const Run& run, const std::vector<std::string>& backends, unsigned columns)
{
    if (run.samples.empty()) return {};
    const std::size_t width = std::max(columns, 40U) - 2 * indent.size();
    const auto slice = run.samples.back().due / static_cast<Nanos::rep>(width) + Nanos(1);
    const auto column_of = [&](Nanos at) {
        return std::min(static_cast<std::size_t>(std::max(at, Nanos(0)) / slice), width - 1);
    };

    std::string who(width, ' '), faults(width, ' ');
    std::vector<double> worst(width, 0);
    for (const Sample& sample : run.samples) {
        if (!plan.load[sample.stream].must_succeed) continue;
        const auto column = column_of(sample.due);
        worst[column] = std::max(worst[column], std::chrono::duration<double, std::milli>(sample.latency()).count());
        const auto backend = static_cast<std::size_t>(std::ranges::find(backends, sample.served_by) - backends.begin());
        if (sample.outcome != Outcome::good)
            who[column] = 'X';
        else if (who[column] != 'X')
            who[column] =
                backend < backends.size() ? served_by_signs[std::min(backend, served_by_signs.size() - 1)] : '?';
    }
    for (const FaultRecord& fault : run.faults) {
        const auto first = column_of(fault.triggered);
        const auto last = std::max(first, column_of(fault.undone.value_or(run.samples.back().due)));
        std::fill(faults.begin() + static_cast<std::ptrdiff_t>(first),
                  faults.begin() + static_cast<std::ptrdiff_t>(last) + 1, '!');
    }
    std::string height;
    for (const double ms : worst) height += slowness(ms);

    std::string key;
    for (std::size_t i = 0; i < std::min(backends.size(), served_by_signs.size()); ++i)
        key += fmt::format("{} {}   ", served_by_signs[i], backends[i]);
    return fmt::format("{0}{1}\n{0}{2}\n{0}{3}\n{0}{4}X failed   ! fault      {5:.0f} ms a column\n"
                       "{0}slowest answer: . under 2 ms   : under 10   o under 50   O under 300   @ more\n",
                       indent, faults, who, height, key, std::chrono::duration<double, std::milli>(slice).count());
}

} // namespace hotspare::experiment
