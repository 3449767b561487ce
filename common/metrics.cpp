#include "common/metrics.hpp"

#include "common/socket.hpp"

#include <prometheus/metric_family.h>
#include <prometheus/text_serializer.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <limits>
#include <mutex>
#include <optional>
#include <sstream>
#include <stdexcept>
#include <vector>

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

namespace hotspare::metrics {
namespace {

double to_seconds(Duration value)
{
    return std::chrono::duration<double>(value).count();
}

/// Seconds since the epoch at which this process started: the boot time plus the start time that the kernel keeps, in
/// clock ticks since boot, as field 22 of /proc/self/stat.
std::optional<double> start_time_seconds()
{
    std::ifstream stat("/proc/self/stat");
    std::string line;
    if (!std::getline(stat, line)) return std::nullopt;
    // Field 2 is the program's name in parentheses and may itself contain blanks and parentheses.
    const auto name_end = line.rfind(')');
    if (name_end == std::string::npos) return std::nullopt;
    std::istringstream fields(line.substr(name_end + 1));
    const std::vector<std::string> values{std::istream_iterator<std::string>(fields), {}};
    constexpr std::size_t start_field = 22 - 3; // the first value after the name is field 3
    if (values.size() <= start_field) return std::nullopt;

    std::ifstream kernel("/proc/stat");
    for (std::string key; kernel >> key; kernel.ignore(std::numeric_limits<std::streamsize>::max(), '\n')) {
        double boot = 0;
        if (key == "btime" && kernel >> boot)
            return boot + std::stod(values[start_field]) / static_cast<double>(sysconf(_SC_CLK_TCK));
    }
    return std::nullopt;
}

std::optional<double> resident_bytes()
{
    std::ifstream statm("/proc/self/statm");
    double total_pages = 0;
    double resident_pages = 0;
    if (!(statm >> total_pages >> resident_pages)) return std::nullopt;
    return resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// Since Linux 6.2 the folder's size is the number of open descriptors: counting them costs nothing more where there
/// are more. On older kernels the folder must be walked, which at 14,000 descriptors takes 15 ms: that is done at most
/// once in ten seconds, and the number before it is given out meanwhile.
std::optional<double> open_descriptors()
{
    struct stat folder {};
    if (::stat("/proc/self/fd", &folder) == 0 && folder.st_size > 0) return static_cast<double>(folder.st_size);

    static std::mutex mutex;
    static TimePoint counted_at{};
    static double counted = 0;
    const std::lock_guard lock(mutex);
    const TimePoint now = Clock::now();
    if (counted_at != TimePoint{} && now - counted_at < seconds(10)) return counted;
    std::error_code error;
    const std::filesystem::directory_iterator entries("/proc/self/fd", error);
    if (error) return std::nullopt;
    counted_at = now;
    // The iterator's own descriptor is among them.
    return counted = static_cast<double>(std::distance(begin(entries), end(entries)) - 1);
}

double cpu_seconds()
{
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds_of = [](const timeval& t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

} // namespace

// --- Histogram -------------------------------------------------------------------------------------------------------

Duration Histogram::upper_bound(std::size_t index) noexcept
{
    const std::uint64_t next = index + 1;
    if (next < steps) return Duration(static_cast<Duration::rep>(next * step_ns));
    const std::uint64_t octave = next / steps - 1;
    return Duration(static_cast<Duration::rep>(((next - octave * steps) << octave) * step_ns));
}

Histogram::Snapshot Histogram::snapshot() const noexcept
{
    Snapshot out;
    for (std::size_t i = 0; i < bucket_count; ++i) out.buckets_[i] = buckets_[i].get();
    out.sum_ = sum();
    return out;
}

std::uint64_t Histogram::Snapshot::count() const noexcept
{
    std::uint64_t total = 0;
    for (const auto n : buckets_) total += n;
    return total;
}

std::uint64_t Histogram::Snapshot::count_up_to(Duration limit) const noexcept
{
    std::uint64_t total = 0;
    for (std::size_t i = 0; i + 1 < bucket_count && upper_bound(i) <= limit; ++i) total += buckets_[i];
    return total;
}

Duration Histogram::Snapshot::quantile(double q) const noexcept
{
    const auto total = count();
    if (total == 0) return Duration::zero();
    const double wanted = std::clamp(q, 0.0, 1.0) * static_cast<double>(total);
    double seen = 0;
    for (std::size_t i = 0; i + 1 < bucket_count; ++i) {
        const auto here = static_cast<double>(buckets_[i]);
        if (here > 0 && seen + here >= wanted) {
            const Duration low = i == 0 ? Duration::zero() : upper_bound(i - 1);
            const double share = (wanted - seen) / here;
            return low + Duration(std::llround(static_cast<double>((upper_bound(i) - low).count()) * share));
        }
        seen += here;
    }
    return upper_bound(bucket_count - 2);
}

Histogram::Snapshot& Histogram::Snapshot::operator+=(const Snapshot& other) noexcept
{
    for (std::size_t i = 0; i < bucket_count; ++i) buckets_[i] += other.buckets_[i];
    sum_ += other.sum_;
    return *this;
}

Histogram::Snapshot& Histogram::Snapshot::operator-=(const Snapshot& earlier) noexcept
{
    for (std::size_t i = 0; i < bucket_count; ++i) buckets_[i] -= earlier.buckets_[i];
    sum_ -= earlier.sum_;
    return *this;
}

// --- Exposition ------------------------------------------------------------------------------------------------------

struct Exposition::Families {
    std::vector<prometheus::MetricFamily> list;

    prometheus::ClientMetric& add(std::string_view name, std::string_view help, prometheus::MetricType type,
                                  Labels labels)
    {
        // Samples of one family usually come one after the other, so look from the end.
        auto it = std::find_if(list.rbegin(), list.rend(), [&](const auto& family) { return family.name == name; });
        if (it == list.rend()) {
            list.push_back({std::string(name), std::string(help), type, {}});
            it = list.rbegin();
        }
        if (it->type != type) throw std::logic_error(fmt::format("metric {} has two types", name));
        auto& metric = it->metric.emplace_back();
        metric.label.reserve(labels.size());
        for (const auto& [key, value] : labels) metric.label.push_back({std::string(key), std::string(value)});
        return metric;
    }
};

Exposition::Exposition() : families_(std::make_unique<Families>()) {}
Exposition::~Exposition() = default;

void Exposition::counter(std::string_view name, std::string_view help, Labels labels, double value)
{
    families_->add(name, help, prometheus::MetricType::Counter, labels).counter.value = value;
}

void Exposition::gauge(std::string_view name, std::string_view help, Labels labels, double value)
{
    families_->add(name, help, prometheus::MetricType::Gauge, labels).gauge.value = value;
}

void Exposition::histogram(std::string_view name, std::string_view help, Labels labels,
                           const Histogram::Snapshot& value)
{
    auto& out = families_->add(name, help, prometheus::MetricType::Histogram, labels).histogram;
    out.sample_count = value.count();
    out.sample_sum = to_seconds(value.sum());
    for (std::size_t octave = 0; octave <= Histogram::octaves; ++octave) {
        const Duration bound = Histogram::base * (Duration::rep{1} << octave);
        out.bucket.push_back({value.count_up_to(bound), to_seconds(bound)});
    }
}

void Exposition::counter(std::string_view name, std::string_view help, Labels labels, const Counter& cell)
{
    counter(name, help, labels, static_cast<double>(cell.value()));
}

void Exposition::gauge(std::string_view name, std::string_view help, Labels labels, const Gauge& cell)
{
    gauge(name, help, labels, static_cast<double>(cell.value()));
}

void Exposition::histogram(std::string_view name, std::string_view help, Labels labels, const Histogram& cell)
{
    histogram(name, help, labels, cell.snapshot());
}

void Exposition::process(std::string_view version)
{
    counter("process_cpu_seconds_total", "User and system CPU time used, in seconds.", {}, cpu_seconds());
    if (const auto bytes = resident_bytes())
        gauge("process_resident_memory_bytes", "Resident memory, in bytes.", {}, *bytes);
    if (const auto count = open_descriptors()) gauge("process_open_fds", "Open file descriptors.", {}, *count);
    gauge("process_max_fds", "Maximum number of open file descriptors.", {}, static_cast<double>(descriptor_limit()));
    static const auto started = start_time_seconds();
    if (const auto& time = started)
        gauge("process_start_time_seconds", "When the process started, in seconds since the epoch.", {}, *time);
    gauge("hotspare_build_info", "Always 1; the version is in the label.", {{"version", version}}, 1.0);
}

std::string Exposition::text() const
{
    return prometheus::TextSerializer().Serialize(families_->list);
}

} // namespace hotspare::metrics
