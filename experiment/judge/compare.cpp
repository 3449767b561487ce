#include "experiment/judge/compare.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace hotspare::experiment {
namespace {

constexpr std::size_t most_exact = 20;

struct Ranked {
    std::vector<std::uint64_t>
        twice;                  ///< the ranks of all values, in order; doubled, because equal ones share their mean
    std::uint64_t sum_of_a = 0; ///< doubled, too
    double ties = 0;            ///< sum of t^3 - t over the groups of t equal values
};

Ranked rank(std::span<const double> a, std::span<const double> b)
{
    struct Value {
        double value;
        bool of_a;
    };
    std::vector<Value> all;
    for (const double value : a) all.push_back({value, true});
    for (const double value : b) all.push_back({value, false});
    std::sort(all.begin(), all.end(), [](const Value& x, const Value& y) { return x.value < y.value; });

    Ranked result;
    for (std::size_t begin = 0; begin < all.size();) {
        std::size_t end = begin;
        while (end < all.size() && all[end].value == all[begin].value) ++end;
        const std::uint64_t twice = begin + 1 + end; // the first rank of the group and the last
        for (std::size_t i = begin; i < end; ++i) {
            result.twice.push_back(twice);
            if (all[i].of_a) result.sum_of_a += twice;
        }
        const auto size = static_cast<double>(end - begin);
        result.ties += size * size * size - size;
        begin = end;
    }
    return result;
}

/// Counts the choices of `n` ranks by their sum, then those whose sum is as far from the mean as the observed one.
double exact(const Ranked& ranked, std::size_t n)
{
    std::uint64_t total = 0;
    for (const std::uint64_t twice : ranked.twice) total += twice;
    // ways[k][s]: how many choices of k of the ranks so far have the sum s. At most C(40, 20), which a double holds.
    std::vector<std::vector<double>> ways(n + 1, std::vector<double>(total + 1));
    ways[0][0] = 1;
    for (const std::uint64_t twice : ranked.twice)
        for (std::size_t k = n; k > 0; --k)
            for (std::size_t sum = total; sum >= twice; --sum) ways[k][sum] += ways[k - 1][sum - twice];

    // The mean is n (N + 1), doubled as the sums are.
    const auto mean = static_cast<std::int64_t>(n * (ranked.twice.size() + 1));
    const std::int64_t observed = std::abs(static_cast<std::int64_t>(ranked.sum_of_a) - mean);
    double all = 0;
    double as_far = 0;
    for (std::size_t sum = 0; sum <= total; ++sum) {
        all += ways[n][sum];
        if (std::abs(static_cast<std::int64_t>(sum) - mean) >= observed) as_far += ways[n][sum];
    }
    return as_far / all;
}

double approximate(const Ranked& ranked, double n_a, double n_b)
{
    const double n = n_a + n_b;
    const double mean = n_a * (n + 1) / 2;
    const double variance = n_a * n_b / 12 * (n + 1 - ranked.ties / (n * (n - 1)));
    if (variance <= 0) return 1; // all values are equal
    const double distance = std::abs(static_cast<double>(ranked.sum_of_a) / 2 - mean) - 0.5;
    if (distance <= 0) return 1;
    return std::erfc(distance / std::sqrt(2 * variance));
}

std::vector<double> values_of(std::span<const Measures> runs, Measure measure, Phase phase)
{
    std::vector<double> result;
    for (const Measures& run : runs)
        if (const auto value = run.of(measure, phase)) result.push_back(*value);
    return result;
}

} // namespace

/// 2 / C(n_a + n_b, n_a) is the probability of one of the two complete separations.
bool can_be_significant(std::size_t n_a, std::size_t n_b)
{
    double choices = 1;
    for (std::size_t i = 1; i <= n_a; ++i) choices *= static_cast<double>(n_b + i) / static_cast<double>(i);
    return 2 / choices < significance;
}

double mann_whitney(std::span<const double> a, std::span<const double> b)
{
    if (a.empty() || b.empty()) return 1;
    const Ranked ranked = rank(a, b);
    if (a.size() <= most_exact && b.size() <= most_exact) return exact(ranked, a.size());
    return approximate(ranked, static_cast<double>(a.size()), static_cast<double>(b.size()));
}

std::vector<Difference> compare(std::span<const Measures> a, std::span<const Measures> b)
{
    std::vector<Difference> result;
    for (std::size_t i = 0; i < measure_count; ++i) {
        const auto measure = static_cast<Measure>(i);
        for (const Phase phase : phases) {
            const auto of_a = spread(a, measure, phase);
            const auto of_b = spread(b, measure, phase);
            if (!of_a || !of_b) continue;
            Difference difference{.measure = measure, .phase = phase, .a = *of_a, .b = *of_b};
            difference.p = mann_whitney(values_of(a, measure, phase), values_of(b, measure, phase));
            difference.exceeds_noise = difference.p < significance;
            difference.too_few = !can_be_significant(of_a->runs, of_b->runs);
            result.push_back(difference);
        }
    }
    return result;
}

} // namespace hotspare::experiment
