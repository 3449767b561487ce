#include "experiment/report/run_charts.hpp"

#include "common/markup.hpp"
#include "experiment/judge/fault_span.hpp"
#include "experiment/judge/measure.hpp"
#include "experiment/report/chart.hpp"
#include "experiment/report/chart_parts.hpp"
#include "experiment/report/wording.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <map>
#include <set>
#include <string_view>
#include <utility>

namespace hotspare::experiment {
namespace {

constexpr unsigned lane_height = 20;
constexpr std::size_t most_bins_in_a_lane = 240;
constexpr std::size_t most_servers = 8;
constexpr std::size_t name_columns = 22;

/// Whether a text has room in a part of the plot, where the page is narrowest.
bool fits(std::string_view text, double share) noexcept
{
    constexpr double narrowest = 250;
    constexpr double per_column = 6.8;
    return static_cast<double>(columns_of(text)) * per_column + 12 <= share * narrowest;
}

std::string name_of(const Plan& plan, const FaultRecord& fault)
{
    return fault.step < plan.method.size() ? describe(plan.method[fault.step]) : std::string("unknown fault");
}

struct Segment {
    double from = 0, to = 0; ///< seconds
    std::string status;
};

/// A backend's status over the run as far as the balancer told it; empty if it told nothing about this one.
std::vector<Segment> health_of(const Run& run, const std::string& backend, double end)
{
    std::vector<Segment> segments;
    double since = 0;
    const EventRecord* last = nullptr;
    for (const EventRecord& event : run.events) {
        if (event.kind != "transition" || event.backend != backend) continue;
        const double at = std::clamp(to_s(event.at), 0.0, end);
        if (at > since) segments.push_back({since, at, event.from});
        since = at;
        last = &event;
    }
    if (last != nullptr && end > since) segments.push_back({since, end, last->to});
    return segments;
}

/// The classes of the style sheet; the height says it, too.
std::pair<std::string_view, double> look_of(std::string_view status)
{
    static const std::map<std::string_view, std::pair<std::string_view, double>> looks{
        {"healthy", {"healthy", 1}},         {"degraded", {"degraded", 0.75}},
        {"unhealthy", {"unhealthy", 0.45}},  {"down", {"down", 0.2}},
        {"draining", {"aside", 0.75}},       {"maintenance", {"aside", 0.75}},
        {"unknown", {"unknown-state", 0.2}},
    };
    const auto found = looks.find(status);
    return found == looks.end() ? std::pair<std::string_view, double>{"unknown-state", 0.2} : found->second;
}

/// Those who served or might have, with the class of their colour.
class Servers {
public:
    Servers(const Journal& journal, const Run& run) : names_(journal.backends)
    {
        std::map<std::string, std::size_t> strangers;
        for (const Sample& sample : run.samples)
            if (is_good(sample) && std::find(names_.begin(), names_.end(), sample.served_by) == names_.end())
                ++strangers[sample.served_by];
        std::vector<std::pair<std::size_t, std::string>> by_count;
        by_count.reserve(strangers.size());
        for (const auto& [name, count] : strangers) by_count.emplace_back(count, name);
        std::sort(by_count.rbegin(), by_count.rend());
        for (const auto& [count, name] : by_count)
            if (names_.size() < most_servers) names_.push_back(name);
    }

    std::size_t size() const noexcept { return names_.size() + 1; }
    /// The last index stands for all who have none of their own.
    std::size_t index_of(const std::string& server) const
    {
        return static_cast<std::size_t>(std::find(names_.begin(), names_.end(), server) - names_.begin());
    }
    std::string title(std::size_t index) const
    {
        if (index == names_.size()) return "others";
        return names_[index].empty() ? "no X-Served-By" : shorten(printable(names_[index]), name_columns);
    }
    std::string css(std::size_t index) const
    {
        if (index == names_.size() || names_[index].empty()) return "b-none";
        return fmt::format("b{}", index % 6);
    }

private:
    std::vector<std::string> names_;
};

std::string lane(std::string_view title, std::string_view detail, const std::string& svg)
{
    return fmt::format("<div class=\"lane\"><div class=\"lane-name\"><b>{}</b> <span>{}</span></div>{}</div>\n",
                       escape(title), escape(detail), svg);
}

std::string dot_mark(std::string_view css)
{
    return fmt::format(R"(<path class="dots {}" d="M8 6h0"/>)", css);
}

constexpr std::string_view cross_mark = R"(<use class="failed" href="#cross" x="8" y="6"/>)";

void shade(Plot& plot, const FaultSpan& span, double end)
{
    if (span.begin()) plot.band("fault", to_s(*span.begin()), span.end() ? to_s(*span.end()) : end);
}

std::string fault_lanes(const Journal& journal, const Run& run, const Scale& x, double end)
{
    std::vector<std::pair<std::string, std::vector<const FaultRecord*>>> parties; // in the order of their first fault
    for (const FaultRecord& fault : run.faults) {
        const std::string party = party_of(journal.plan, fault);
        auto found =
            std::find_if(parties.begin(), parties.end(), [&](const auto& entry) { return entry.first == party; });
        if (found == parties.end()) found = parties.insert(found, {party, {}});
        found->second.push_back(&fault);
    }
    std::string html;
    for (std::size_t i = 0; i < parties.size(); ++i) {
        const auto& [party, faults] = parties[i];
        std::string said;
        for (const FaultRecord* const fault : faults) {
            const auto until = end_of(journal.plan, *fault);
            said += fmt::format("{} from {} to {}{}. ", name_of(journal.plan, *fault), time_text(fault->triggered),
                                until ? time_text(*until) : "the end", fault->effective ? "" : ", without effect");
        }
        Plot plot = Plot::lane(fmt::format("run{}-fault{}", run.number, i), "Faults of " + party, said, lane_height, x);
        std::string detail = "fault";
        for (const FaultRecord* const fault : faults) {
            const auto until = end_of(journal.plan, *fault);
            const double from = to_s(fault->triggered);
            const double least = end / 300; // however short it was, it must be seen
            const double to = std::max(until ? to_s(*until) : end, from + least);
            plot.box(fault->effective ? "fault-bar" : "fault-bar no-effect", from, to, 0.1, 0.9);
            const std::string name = fault->effective ? name_of(journal.plan, *fault) : "no effect";
            if (fits(name, x.at(to) - x.at(from)))
                plot.text(from, name);
            else
                detail = faults.size() == 1 ? name : fmt::format("{} faults", faults.size());
        }
        html += lane(shorten(printable(party), name_columns), detail, plot.svg());
    }
    return html;
}

std::string health_lanes(const Journal& journal, const Run& run, const Scale& x, double end, const FaultSpan& span,
                         std::set<std::string>& seen)
{
    std::string html;
    for (std::size_t i = 0; i < journal.backends.size(); ++i) {
        const std::string& backend = journal.backends[i];
        const auto segments = health_of(run, backend, end);
        std::string said;
        for (const Segment& segment : segments)
            said += fmt::format("{} from {:.3f} s to {:.3f} s. ", segment.status, segment.from, segment.to);
        if (segments.empty()) said = "The balancer reported no change.";
        Plot plot =
            Plot::lane(fmt::format("run{}-health{}", run.number, i), "Health of " + backend, said, lane_height, x);
        shade(plot, span, end);
        for (const Segment& segment : segments) {
            const auto [css, height] = look_of(segment.status);
            plot.box(css, segment.from, segment.to, 0, height);
            if (height > 0.5 && fits(segment.status, x.at(segment.to) - x.at(segment.from)))
                plot.text(segment.from, segment.status);
            seen.insert(segment.status);
        }
        if (segments.empty()) {
            plot.level("no-change", 0.5);
            plot.text(0, "no change reported");
        }
        html += lane(shorten(printable(backend), name_columns), "health", plot.svg());
    }
    return html;
}

/// When requests failed, in seconds.
struct Failures {
    std::vector<double> failed;   ///< of the streams that must succeed
    std::vector<double> given_up; ///< of the others

    Failures(const Plan& plan, const Run& run)
    {
        for (const Sample& sample : run.samples)
            if (!is_good(sample)) (must_succeed(plan, sample) ? failed : given_up).push_back(to_s(sample.due));
    }
    std::string text() const
    {
        const std::string others = given_up.empty() ? "" : ", gave up " + grouped(given_up.size());
        return "failed " + grouped(failed.size()) + others;
    }
    void draw(Plot& plot) const
    {
        plot.bars("given-up", given_up, 0, 1);
        plot.bars("failed", failed, 0, 1);
    }
};

/// The share of each moment's requests that each server answered.
std::string served_lanes(const Plan& plan, const Run& run, const Servers& servers, const Scale& x, double end,
                         const FaultSpan& span)
{
    // Not so many that some are empty only because little was due.
    const std::size_t bins = std::clamp<std::size_t>(run.samples.size() / 5, 1, most_bins_in_a_lane);
    const auto bin_of = [&](const Sample& sample) {
        return static_cast<std::size_t>(x.at(to_s(sample.due)) * (static_cast<double>(bins) - 1e-6));
    };
    std::vector<std::vector<std::size_t>> counts(servers.size(), std::vector<std::size_t>(bins));
    std::vector<std::size_t> due(bins);
    std::vector<std::size_t> totals(servers.size());
    for (const Sample& sample : run.samples) {
        ++due[bin_of(sample)];
        if (!is_good(sample)) continue;
        const std::size_t server = servers.index_of(sample.served_by);
        ++counts[server][bin_of(sample)];
        ++totals[server];
    }
    std::string html;
    const double width = end / static_cast<double>(bins);
    for (std::size_t server = 0; server < servers.size(); ++server) {
        if (totals[server] == 0) continue;
        Plot plot = Plot::lane(fmt::format("run{}-served{}", run.number, server), "Served by " + servers.title(server),
                               counted(totals[server], "good answer", "good answers"), lane_height, x);
        shade(plot, span, end);
        std::vector<Point> points;
        for (std::size_t bin = 0; bin < bins; ++bin) {
            const std::size_t count = counts[server][bin];
            // A single answer among hundreds must be seen, too.
            const double share =
                count == 0 ? 0 : std::max(0.15, static_cast<double>(count) / static_cast<double>(due[bin]));
            points.push_back({static_cast<double>(bin) * width, share});
            points.push_back({static_cast<double>(bin + 1) * width, share});
        }
        plot.area(servers.css(server), points);
        html += lane(servers.title(server), "served " + grouped(totals[server]), plot.svg());
    }
    const Failures failures(plan, run);
    Plot plot = Plot::lane(fmt::format("run{}-failed", run.number), "Failed requests", failures.text(), lane_height, x);
    shade(plot, span, end);
    failures.draw(plot);
    if (failures.failed.empty() && failures.given_up.empty()) plot.text(0, "none");
    return html + lane("failed", failures.text(), plot.svg());
}

std::pair<double, double> range_of(const std::vector<const Sample*>& samples, std::pair<double, double> range)
{
    for (const Sample* const sample : samples) {
        const double ms = std::max(to_milliseconds(sample->latency()), 0.001);
        range = {std::min(range.first, ms), std::max(range.second, ms)};
    }
    return range;
}

std::string scatter(const Journal& journal, const Run& run, const Servers& servers, const Scale& x, double end,
                    const FaultSpan& span)
{
    const Selection chosen = select(run);
    constexpr std::pair<double, double> nothing{1e300, 0.0};
    auto range = range_of(chosen.failed, range_of(chosen.good, nothing));
    if (range.first > range.second) range = {0.1, 10};

    const std::string share_drawn = chosen.drawn() == chosen.of
                                        ? fmt::format("All {} are drawn.", counted(chosen.of, "request", "requests"))
                                        : fmt::format("{} of {} requests are drawn: every failed one, every one slower "
                                                      "than the p99 of {}, and one in {} of the "
                                                      "others.",
                                                      grouped(chosen.drawn()), grouped(chosen.of),
                                                      format(Measure::p99, chosen.p99_ms), chosen.stride);
    Plot plot(fmt::format("run{}-scatter", run.number), fmt::format("Latency of each request of run {}", run.number),
              fmt::format("Logarithmic. {} From {} to {}, {} failed.", share_drawn, format(Measure::max, range.first),
                          format(Measure::max, range.second), chosen.failed.size()),
              300, x, Scale::log_milliseconds(range.first, range.second));
    shade(plot, span, end);

    const auto point_of = [](const Sample& sample) {
        return Point{to_s(sample.due), std::max(to_milliseconds(sample.latency()), 0.001)};
    };
    std::vector<std::vector<Point>> direct(servers.size()), again(servers.size());
    for (const Sample* const sample : chosen.good)
        (sample->trail.size() > 1 ? again : direct)[servers.index_of(sample->served_by)].push_back(point_of(*sample));
    std::vector<Swatch> swatches;
    bool any_again = false;
    for (std::size_t i = 0; i < servers.size(); ++i) {
        plot.dots(servers.css(i), direct[i]);
        if (!direct[i].empty()) swatches.push_back({dot_mark(servers.css(i)), servers.title(i)});
    }
    for (std::size_t i = 0; i < servers.size(); ++i) {
        plot.dots(servers.css(i) + " again", again[i]);
        if (!again[i].empty() && direct[i].empty()) swatches.push_back({dot_mark(servers.css(i)), servers.title(i)});
        any_again = any_again || !again[i].empty();
    }
    if (any_again) swatches.push_back({dot_mark("neutral again"), "square: more than one attempt"});
    std::vector<Point> crosses, crosses_allowed;
    for (const Sample* const sample : chosen.failed)
        (must_succeed(journal.plan, *sample) ? crosses : crosses_allowed).push_back(point_of(*sample));
    plot.crosses("failed", crosses);
    plot.crosses("failed allowed", crosses_allowed);
    if (!crosses.empty()) swatches.push_back({std::string(cross_mark), "failed"});
    if (!crosses_allowed.empty())
        swatches.push_back(
            {R"(<use class="failed allowed" href="#cross" x="8" y="6"/>)", "failed, must not be repeated"});
    if (span.begin()) swatches.push_back({std::string(fault_mark), "fault in force"});
    return fmt::format("<h3>Latency of each request</h3>\n<p class=\"note\">From the moment it was due to its complete "
                       "answer, so that no stall is hidden. Logarithmic. {}</p>\n{}"
                       "<div class=\"plot-box\">{}</div>\n<p class=\"axis\">when the request was due</p>\n",
                       escape(share_drawn), legend(swatches), plot.svg());
}

} // namespace

Selection select(const Run& run, std::size_t aim)
{
    Selection result;
    result.of = run.samples.size();
    std::vector<double> latencies;
    for (const Sample& sample : run.samples)
        if (is_good(sample))
            latencies.push_back(to_milliseconds(sample.latency()));
        else
            result.failed.push_back(&sample);
    std::sort(latencies.begin(), latencies.end());
    result.p99_ms = quantile(latencies, 0.99).value_or(0);
    if (run.samples.size() > aim) {
        const auto slow = static_cast<std::size_t>(latencies.end() -
                                                   std::upper_bound(latencies.begin(), latencies.end(), result.p99_ms));
        const std::size_t rest = latencies.size() - slow;
        // Even if the failures alone are too many, the others must still be seen.
        const std::size_t kept = slow + result.failed.size();
        const std::size_t room = std::max(aim > kept ? aim - kept : 0, aim / 4);
        result.stride = std::max<std::size_t>(1, (rest + room - 1) / room);
    }
    std::size_t number = 0;
    for (const Sample& sample : run.samples)
        if (is_good(sample) && (to_milliseconds(sample.latency()) > result.p99_ms || number++ % result.stride == 0))
            result.good.push_back(&sample);
    return result;
}

std::string run_charts(const Journal& journal, const Run& run)
{
    const double end = end_of(journal.plan, run);
    const Scale x = Scale::seconds(0, end);
    const FaultSpan span(journal.plan, run);
    const Servers servers(journal, run);

    std::string html = "<h3>What happened, and who served</h3>\n<div class=\"lanes\">\n";
    html += fault_lanes(journal, run, x, end);
    std::set<std::string> seen;
    std::string health_note;
    if (run.events.empty())
        health_note = "<p class=\"note\">Health per backend: not observed, as this target reports no events.</p>\n";
    else
        html += health_lanes(journal, run, x, end, span, seen);
    html += served_lanes(journal.plan, run, servers, x, end, span);
    html += "</div>\n" + health_note;

    std::vector<Swatch> swatches;
    for (const std::string& status : seen) {
        const auto [css, height] = look_of(status);
        swatches.push_back({box_mark(css, height), shorten(printable(status), name_columns)});
    }
    if (span.begin()) swatches.push_back({std::string(fault_mark), "fault in force"});
    if (!swatches.empty()) html += legend(swatches);
    return html + scatter(journal, run, servers, x, end, span);
}

std::string thumbnail(const Journal& journal, const Run& run, double min_ms, double max_ms)
{
    constexpr std::size_t bins = 120;
    const double end = end_of(journal.plan, run);
    const Scale x = Scale::seconds(0, end);
    const FaultSpan span(journal.plan, run);
    std::array<double, bins> worst{};
    double slowest = 0;
    for (const Sample& sample : run.samples) {
        if (!is_good(sample) || !must_succeed(journal.plan, sample)) continue;
        double& bin = worst[static_cast<std::size_t>(x.at(to_s(sample.due)) * (bins - 1e-6))];
        bin = std::max(bin, to_milliseconds(sample.latency()));
        slowest = std::max(slowest, to_milliseconds(sample.latency()));
    }
    const Scale y = Scale::log_milliseconds(min_ms, max_ms);
    const Failures failures(journal.plan, run);
    const std::string said = fmt::format(
        "slowest {}, {}", slowest > 0 ? format(Measure::max, slowest) : std::string(not_observed), failures.text());
    Plot plot = Plot::lane(fmt::format("run{}-thumbnail", run.number), fmt::format("Run {}", run.number), said, 44, x);
    shade(plot, span, end);
    std::vector<Point> points;
    for (std::size_t bin = 0; bin < bins; ++bin) {
        const double height = worst[bin] > 0 ? std::max(0.04, y.at(worst[bin])) : 0;
        points.push_back({end * static_cast<double>(bin) / bins, height});
        points.push_back({end * static_cast<double>(bin + 1) / bins, height});
    }
    plot.area("worst", points);
    failures.draw(plot);
    return fmt::format("<div class=\"thumb\"><div class=\"thumb-name\"><b>run {}</b> <span>{}</span></div>{}</div>\n",
                       run.number, escape(said), plot.svg());
}

} // namespace hotspare::experiment
