// Counts, levels and latency distributions, and their Prometheus text form.
//
// A cell (Counter, Gauge, Histogram) belongs to one writing thread; any thread may read it. That is why a write is a
// relaxed load and a relaxed store: a few nanoseconds, no locked instruction, no shared cache line. Several writers
// each keep their own cell and the reader adds them up. There is no registry: the owner of the cells walks them for
// each scrape and hands every value to an Exposition, which lives as long as that one answer.
#pragma once

#include "common/clock.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace hotspare::metrics {

namespace detail {

/// One relaxed single-writer value. A copy takes the value at that moment.
template <class T> class Cell {
public:
    Cell() noexcept = default;
    Cell(const Cell& other) noexcept : value_(other.get()) {}
    Cell& operator=(const Cell& other) noexcept
    {
        set(other.get());
        return *this;
    }
    ~Cell() = default;

    T get() const noexcept { return value_.load(std::memory_order_relaxed); }
    void set(T value) noexcept { value_.store(value, std::memory_order_relaxed); }
    void add(T n) noexcept { set(get() + n); }

private:
    std::atomic<T> value_{0};
};

} // namespace detail

/// Counts events since the process started; never decreases.
class Counter {
public:
    void add(std::uint64_t n = 1) noexcept { cell_.add(n); }
    std::uint64_t value() const noexcept { return cell_.get(); }

private:
    detail::Cell<std::uint64_t> cell_;
};

/// A level that goes up and down.
class Gauge {
public:
    void set(std::int64_t value) noexcept { cell_.set(value); }
    void add(std::int64_t n = 1) noexcept { cell_.add(n); }
    void sub(std::int64_t n = 1) noexcept { cell_.add(-n); }
    std::int64_t value() const noexcept { return cell_.get(); }

private:
    detail::Cell<std::int64_t> cell_;
};

/// Distribution of durations in fixed log-linear buckets: 12.5 us wide up to 100 us, then eight per doubling up to
/// 104.9 s (100 us * 2^20), then one for everything slower. A quantile is therefore off by 12.5 % at most. 1.4 KiB.
class Histogram {
public:
    static constexpr std::size_t steps = 8;    ///< buckets per doubling
    static constexpr std::size_t octaves = 20; ///< doublings above the base
    static constexpr Duration base = microseconds(100);
    static constexpr std::size_t bucket_count = steps + octaves * steps + 1;

    /// The distribution at one moment, as a plain value. Two of them add up (workers) or subtract (a recent window).
    class Snapshot {
    public:
        std::uint64_t count() const noexcept;
        Duration sum() const noexcept { return sum_; }

        /// The duration that a share `q` (0..1) of the observations did not exceed, interpolated inside its bucket;
        /// zero when there are none. What lies in the last bucket counts as its lower bound.
        Duration quantile(double q) const noexcept;

        /// Observations that took `limit` or less, exact when `limit` is base * 2^k, else rounded down to a bucket.
        std::uint64_t count_up_to(Duration limit) const noexcept;

        Snapshot& operator+=(const Snapshot& other) noexcept;
        /// `earlier` must be a snapshot of the same histogram(s), taken before this one.
        Snapshot& operator-=(const Snapshot& earlier) noexcept;

    private:
        friend class Histogram;
        std::array<std::uint64_t, bucket_count> buckets_{};
        Duration sum_{};
    };

    /// A negative duration counts as zero.
    void observe(Duration value) noexcept
    {
        const auto ns = value.count() > 0 ? static_cast<std::uint64_t>(value.count()) : 0;
        buckets_[bucket_of(ns)].add(1);
        sum_ns_.add(ns);
    }

    /// Not atomic as a whole: an observation made meanwhile may be in the buckets and not yet in the sum.
    Snapshot snapshot() const noexcept;

    std::uint64_t count() const noexcept { return snapshot().count(); }
    Duration sum() const noexcept { return Duration(static_cast<Duration::rep>(sum_ns_.get())); }
    Duration quantile(double q) const noexcept { return snapshot().quantile(q); }

private:
    static constexpr std::uint64_t step_ns = static_cast<std::uint64_t>(base.count()) / steps;

    /// Buckets include their upper bound (Prometheus' `le`), hence the -1.
    static constexpr std::size_t bucket_of(std::uint64_t ns) noexcept
    {
        const std::uint64_t unit = ns == 0 ? 0 : (ns - 1) / step_ns;
        if (unit < steps) return static_cast<std::size_t>(unit);
        const auto octave = static_cast<std::size_t>(std::bit_width(unit / steps)) - 1;
        if (octave >= octaves) return bucket_count - 1;
        return octave * steps + static_cast<std::size_t>(unit >> octave);
    }
    /// Upper bound of bucket `index` and lower bound of the next one.
    static Duration upper_bound(std::size_t index) noexcept;

    std::array<detail::Cell<std::uint64_t>, bucket_count> buckets_;
    detail::Cell<std::uint64_t> sum_ns_;
};

/// Label names and values, in the order in which they are printed. Names must be valid Prometheus names; values are
/// escaped. Only read during the call.
using Labels = std::initializer_list<std::pair<std::string_view, std::string_view>>;

/// Collects the samples of one scrape. The first sample of a name fixes the family's type and help; families are
/// printed in the order in which they appeared. Using one name with two types is a programming error and throws
/// logic_error.
class Exposition {
public:
    static constexpr std::string_view content_type = "text/plain; version=0.0.4; charset=utf-8";

    Exposition();
    ~Exposition();
    Exposition(const Exposition&) = delete;
    Exposition& operator=(const Exposition&) = delete;

    void counter(std::string_view name, std::string_view help, Labels labels, double value);
    void gauge(std::string_view name, std::string_view help, Labels labels, double value);
    /// In seconds. One bucket per doubling of 100 us: finer ones would cost every scrape and answer few questions.
    void histogram(std::string_view name, std::string_view help, Labels labels, const Histogram::Snapshot& value);

    void counter(std::string_view name, std::string_view help, Labels labels, const Counter& cell);
    void gauge(std::string_view name, std::string_view help, Labels labels, const Gauge& cell);
    void histogram(std::string_view name, std::string_view help, Labels labels, const Histogram& cell);

    /// The process_* metrics of every Prometheus client (CPU, resident memory, open and most descriptors, start time)
    /// and hotspare_build_info{version}. Reads /proc/self; what cannot be read is left out.
    void process(std::string_view version);

    /// Prometheus text format 0.0.4, to be sent with `content_type`.
    std::string text() const;

private:
    struct Families;
    std::unique_ptr<Families> families_; ///< keeps prometheus-cpp's headers out of this one
};

} // namespace hotspare::metrics
