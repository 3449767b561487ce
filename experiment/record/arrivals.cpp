#include "experiment/record/arrivals.hpp"

#include <algorithm>
#include <cmath>

namespace hotspare::experiment {
namespace {

/// SplitMix64 (Steele, Lea, Flood: Fast splittable pseudorandom number generators, OOPSLA 2014).
class Random {
public:
    explicit Random(std::uint64_t seed) noexcept : state_(seed) {}

    std::uint64_t operator()() noexcept
    {
        state_ += 0x9e3779b97f4a7c15;
        std::uint64_t z = state_;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
        z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
        return z ^ (z >> 31);
    }

private:
    std::uint64_t state_;
};

/// Exponential with mean 1, by von Neumann's comparison method (Various techniques used in connection with random
/// digits, 1951): of descending sequences of uniform numbers, the first whose length is odd gives the fraction by its
/// first number, and how many there were before it the whole part. Unlike a logarithm it comes out the same everywhere.
double exponential(Random& random) noexcept
{
    for (std::uint64_t whole = 0;; ++whole) {
        const std::uint64_t first = random();
        std::uint64_t last = first;
        bool odd = true;
        for (std::uint64_t next = random(); next < last; next = random()) {
            last = next;
            odd = !odd;
        }
        if (odd) return static_cast<double>(whole) + std::ldexp(static_cast<double>(first >> 11), -53);
    }
}

/// When `count` mean gaps have passed. Always from the start, so that no rounding adds up.
Nanos after(double count, double rate) noexcept
{
    return Nanos(std::llround(count * 1e9 / rate));
}

} // namespace

std::uint64_t seed_of_run(std::uint64_t seed, std::uint32_t number) noexcept
{
    Random random(seed + (number - std::uint64_t{1}) * 0x9e3779b97f4a7c15); // as many steps on
    return random();
}

std::vector<Due> arrivals(const std::vector<Stream>& load, Duration duration, std::uint64_t seed)
{
    std::vector<Due> result;
    for (std::uint32_t i = 0; i < load.size(); ++i) {
        const Stream& stream = load[i];
        if (!(stream.rate > 0)) continue;
        if (stream.arrival == Arrival::constant) {
            for (std::uint64_t k = 0;; ++k) {
                const Nanos at = after(static_cast<double>(k), stream.rate);
                if (at >= duration) break;
                result.push_back({at, i});
            }
        } else {
            Random seeds(seed);
            std::uint64_t own = seeds();
            for (std::uint32_t skip = 0; skip < i; ++skip) own = seeds();
            Random random(own);
            double count = 0;
            for (;;) {
                count += exponential(random);
                const Nanos at = after(count, stream.rate);
                if (at >= duration) break;
                result.push_back({at, i});
            }
        }
    }
    std::stable_sort(result.begin(), result.end(), [](const Due& a, const Due& b) { return a.at < b.at; });
    return result;
}

} // namespace hotspare::experiment
