#include "monitor/pages/latency_chart.hpp"

#include "common/format.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

namespace hotspare::monitor {
namespace {

/// Of the plot, in thousandths of the picture: room above for the greatest label, below for the times.
constexpr int left = 12, right = 988, top = 110, bottom = 830, times_at = 985;

std::string label_time(Instant at)
{
    const std::chrono::hh_mm_ss time(std::chrono::floor<seconds>(at - std::chrono::floor<std::chrono::days>(at)));
    std::string out;
    append(out, "{:02}:{:02}:{:02}", time.hours().count(), time.minutes().count(), time.seconds().count());
    return out;
}

/// Ascending, in milliseconds.
std::vector<double> latencies(std::span<const LatencyPoint> points)
{
    std::vector<double> all;
    for (const LatencyPoint& point : points)
        if (point.latency) all.push_back(std::max(0.0, to_ms(*point.latency)));
    std::ranges::sort(all);
    return all;
}

/// The end of the axis: 1, 2 or 5 times a power of ten, so that its half is a short number, too.
double axis_end(double greatest) noexcept
{
    double power = 1;
    while (power * 10 <= greatest) power *= 10;
    for (const double factor : {1.0, 2.0, 5.0})
        if (greatest <= factor * power) return factor * power;
    return 10 * power;
}

class Scale {
public:
    Scale(const Span& time, double greatest_ms) : time_(time), end_(axis_end(greatest_ms)) {}

    int x(Instant at) const noexcept
    {
        if (time_.empty()) return (left + right) / 2;
        const double share =
            static_cast<double>((at - time_.begin).count()) / static_cast<double>(time_.length().count());
        return left + static_cast<int>(share * (right - left));
    }
    int y(double ms) const noexcept { return bottom - static_cast<int>(ms / end_ * (bottom - top)); }
    double end() const noexcept { return end_; }

private:
    Span time_;
    double end_;
};

void axis_line(std::string& out, const Scale& scale, double ms)
{
    const double y = scale.y(ms) / 10.0;
    append(out, R"(<line class="rule" x1="0" x2="100%" y1="{0}%" y2="{0}%"/>)", y);
    // Above the line, but for the lowest one, where most of the checks are.
    append(out, "<text x=\"0\" y=\"{}%\" dy=\"{}\">{:g} ms</text>\n", y, ms > 0 ? -4 : 12, ms);
}

void time_label(std::string& out, std::string_view x, std::string_view anchor, Instant at)
{
    append(out, "<text x=\"{}\" y=\"{}%\" text-anchor=\"{}\">{}</text>\n", x, times_at / 10.0, anchor, label_time(at));
}

/// The line through the checks that had an answer; one without breaks it.
std::string path(std::span<const LatencyPoint> points, const Scale& scale)
{
    std::string out;
    bool joined = false;
    for (const LatencyPoint& point : points) {
        if (point.latency)
            append(out, "{}{} {}", joined ? 'L' : 'M', scale.x(point.at),
                   scale.y(std::max(0.0, to_ms(*point.latency))));
        joined = point.latency.has_value();
    }
    return out;
}

std::string_view mark_of(State state) noexcept
{
    switch (state) {
    case State::up: return "mark-up";
    case State::degraded: return "mark-degraded";
    case State::down: return "mark-down";
    case State::unknown: break;
    }
    return {};
}

void mark(std::string& out, const LatencyPoint& point, const Scale& scale)
{
    const std::string_view id = mark_of(point.state);
    if (id.empty() || (point.state == State::up && !point.latency)) return;
    const double ms = point.latency ? std::max(0.0, to_ms(*point.latency)) : 0;
    append(out, "<use href=\"#{}\" x=\"{}%\" y=\"{}%\"/>\n", id, scale.x(point.at) / 10.0, scale.y(ms) / 10.0);
}

constexpr std::string_view marks = "<defs><circle id=\"mark-up\" class=\"point\" r=\"2.2\"/><path id=\"mark-degraded\" "
                                   "class=\"slow\" d=\"M0-5 5 4H-5z\"/>"
                                   "<path id=\"mark-down\" class=\"failed\" d=\"M-4-4 4 4M4-4-4 4\"/></defs>\n";

void key(std::string& out, std::string_view id, std::string_view text)
{
    append(out, "<li><svg aria-hidden=\"true\" viewBox=\"-6 -6 12 12\"><use href=\"#{}\"/></svg>{}</li>\n", id, text);
}

std::size_t count(std::span<const LatencyPoint> points, State state)
{
    return static_cast<std::size_t>(std::ranges::count(points, state, &LatencyPoint::state));
}

} // namespace

std::string latency_text(std::span<const LatencyPoint> points)
{
    if (points.empty()) return "No checks yet.";
    std::string out;
    append(out, "{} {} from {} to {}.", points.size(), points.size() == 1 ? "check" : "checks",
           label_time(points.front().at), label_time(points.back().at));
    if (const auto all = latencies(points); !all.empty())
        append(out, " Latency: least {:.1f} ms, median {:.1f} ms, greatest {:.1f} ms.", all.front(),
               all[(all.size() - 1) / 2], all.back());
    append(out, " {} degraded, {} down.", count(points, State::degraded), count(points, State::down));
    return out;
}

std::string latency_chart(std::span<const LatencyPoint> points)
{
    if (points.empty()) return "<p class=\"card\">No checks yet.</p>\n";
    const Span time{points.front().at, points.back().at};
    const auto all = latencies(points);
    const Scale scale(time, all.empty() ? 0 : all.back());

    std::string out = "<figure class=\"card\">\n<svg role=\"img\" aria-labelledby=\"latency-text\">\n";
    out += marks;
    for (const double share : {0.0, 0.5, 1.0}) axis_line(out, scale, share * scale.end());
    // Stretched to the picture's width, which would make ovals of the marks, so that they are outside.
    append(out,
           "<svg viewBox=\"0 0 1000 1000\" preserveAspectRatio=\"none\" width=\"100%\" height=\"100%\"><path "
           "class=\"run\" vector-effect=\"non-scaling-stroke\" d=\"{}\"/></svg>\n",
           path(points, scale));
    for (const LatencyPoint& point : points) mark(out, point, scale);
    time_label(out, "0", "start", time.begin);
    if (!time.empty()) {
        time_label(out, "50%", "middle", time.begin + time.length() / 2);
        time_label(out, "100%", "end", time.end);
    }
    out += "</svg>\n<ul class=\"key\">\n";
    key(out, "mark-up", "up");
    key(out, "mark-degraded", "degraded");
    key(out, "mark-down", "down (at 0 ms without an answer)");
    append(out, "</ul>\n<figcaption id=\"latency-text\" class=\"note\">{}</figcaption>\n</figure>\n",
           latency_text(points));
    return out;
}

} // namespace hotspare::monitor
