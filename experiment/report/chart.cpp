#include "experiment/report/chart.hpp"

#include "common/format.hpp"
#include "common/markup.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <iterator>

namespace hotspare::experiment {
namespace {

constexpr double units = 10000; ///< across the width of the part that stretches

/// The shortest text of `value` with that many decimals at most.
std::string number(double value, int decimals)
{
    std::string text = fmt::format("{:.{}f}", value, decimals);
    if (text.find('.') != std::string::npos) {
        text.erase(text.find_last_not_of('0') + 1);
        if (text.back() == '.') text.pop_back();
    }
    return text == "-0" ? "0" : text;
}

/// A typographic minus, as digits and hyphens differ in height.
std::string with_minus(std::string text)
{
    if (text.starts_with('-')) text.replace(0, 1, "\xE2\x88\x92");
    return text;
}

/// "50 µs", "0.2 ms", "100 ms", "5 s"
std::string milliseconds_label(double ms)
{
    if (ms >= 1000) return number(ms / 1000, 0) + " s";
    if (ms >= 0.1 - 1e-9) return number(ms, 1) + " ms";
    return number(ms * 1000, 3) + " µs";
}

} // namespace

double round_up(double value) noexcept
{
    const double power = std::pow(10, std::floor(std::log10(value) + 1e-9));
    for (const double factor : {1.0, 2.0, 5.0})
        if (factor * power >= value * (1 - 1e-9)) return factor * power;
    return 10 * power;
}

double Scale::position(double value) const noexcept
{
    switch (kind_) {
    case Kind::linear: return value;
    case Kind::log: return value > 0 ? std::log10(value) : from_;
    case Kind::tail: return value < 1 ? -std::log10(1 - value) : to_;
    }
    return 0;
}

double Scale::at(double value) const noexcept
{
    return std::clamp((position(value) - from_) / (to_ - from_), 0.0, 1.0);
}

void Scale::add_tick(double value, std::string label)
{
    ticks_.push_back({at(value), std::move(label)});
}

Scale Scale::seconds(double from, double to)
{
    if (!(to > from)) to = from + 1;
    Scale scale(Kind::linear, from, to);
    const double step = round_up((to - from) / 7);
    const bool whole = step >= 1;
    for (double k = std::ceil(from / step - 1e-9); k * step <= to + step * 1e-9; ++k)
        scale.add_tick(k * step, with_minus(whole ? number(k * step, 0) + " s" : number(k * step * 1000, 6) + " ms"));
    // Seconds with a fraction read better than thousands of milliseconds.
    if (!whole && std::max(std::abs(from), std::abs(to)) > 1) {
        scale.ticks_.clear();
        for (double k = std::ceil(from / step - 1e-9); k * step <= to + step * 1e-9; ++k)
            scale.add_tick(k * step, with_minus(number(k * step, 6)) + " s");
    }
    return scale;
}

Scale Scale::shares(double max)
{
    const double top = std::min(1.0, round_up(std::max(max, 1e-6)));
    Scale scale(Kind::linear, 0, top);
    // 1, 2 and 5 divide into 4 or 5 steps that are round themselves.
    const int steps = number(top * 1e6, 0).front() == '2' ? 4 : 5;
    for (int i = 0; i <= steps; ++i) scale.add_tick(top * i / steps, number(top * 100 * i / steps, 6) + " %");
    return scale;
}

Scale Scale::log_milliseconds(double min, double max)
{
    constexpr double most_labelled_decades = 3;
    const double low = 1 / round_up(1 / min); // a round number, too: 1 / 2 is 5 / 10
    const double high = std::max(round_up(max), 2 * low);
    const bool few = std::log10(high / low) <= most_labelled_decades + 1e-9;
    const int first = static_cast<int>(std::floor(std::log10(low) + 1e-9));
    const int last = static_cast<int>(std::ceil(std::log10(high) - 1e-9));
    Scale scale(Kind::log, few ? std::log10(low) : first, few ? std::log10(high) : last);
    const int step = few ? 1 : std::max(1, (last - first + 6) / 7);
    for (int exponent = first; exponent <= last; exponent += step)
        for (const double factor : {1.0, 2.0, 5.0}) {
            const double value = factor * std::pow(10, exponent);
            const bool inside = value >= low * (1 - 1e-9) && value <= high * (1 + 1e-9);
            if (few ? inside : factor == 1) scale.add_tick(value, milliseconds_label(value));
        }
    return scale;
}

Scale Scale::percentiles(std::size_t count)
{
    const double nines = std::max(1.2, std::log10(static_cast<double>(std::max<std::size_t>(count, 1))));
    Scale scale(Kind::tail, 0, nines);
    scale.add_tick(0, "0");
    if (nines <= 5) scale.add_tick(0.5, "50");
    const int last = static_cast<int>(nines + 1e-9);
    double rest = 0.1;
    for (int i = 1; i <= last; ++i, rest /= 10) {
        // Long labels have room only beside every other line.
        const bool room = i < 4 || (last - i) % 2 == 0;
        scale.add_tick(1 - rest, room ? number(100 - rest * 100, std::max(0, i - 2)) : "");
    }
    return scale;
}

Plot::Plot(std::string id, std::string_view title, std::string_view description, unsigned height, Scale x, Scale y)
    : id_(std::move(id)), title_(title), description_(description), height_(height), x_(std::move(x)), y_(std::move(y))
{
}

Plot Plot::lane(std::string id, std::string_view title, std::string_view description, unsigned height, Scale x)
{
    Plot plot(std::move(id), title, description, height, std::move(x), Scale::shares(1));
    plot.axes_ = false;
    return plot;
}

double Plot::y_pixel(double y) const noexcept
{
    return height_ * (1 - y_.at(y));
}

/// In the coordinates of the part that stretches.
std::string Plot::place(Point point) const
{
    return fmt::format("{} {}", number(x_.at(point.x) * units, 0), number(y_pixel(point.y), 1));
}

void Plot::stretched(std::string_view css, const std::string& path)
{
    if (path.empty()) return;
    append(body_,
           "<svg viewBox=\"0 0 {0:.0f} {1}\" width=\"100%\" height=\"{1}\" preserveAspectRatio=\"none\">"
           "<path class=\"{2}\" d=\"{3}\"/></svg>\n",
           units, height_, css, path);
}

void Plot::band(std::string_view css, double from, double to)
{
    append(body_, "<rect class=\"{}\" x=\"{}%\" width=\"{}%\" y=\"0\" height=\"{}\"/>\n", css,
           number(x_percent(from), 3), number(std::max(0.0, x_percent(to) - x_percent(from)), 3), height_);
}

void Plot::box(std::string_view css, double from, double to, double low, double high)
{
    append(body_, "<rect class=\"{}\" x=\"{}%\" width=\"{}%\" y=\"{}\" height=\"{}\"/>\n", css,
           number(x_percent(from), 3), number(std::max(0.0, x_percent(to) - x_percent(from)), 3),
           number(y_pixel(high), 1), number(y_pixel(low) - y_pixel(high), 1));
}

void Plot::text(double x, std::string_view text)
{
    append(body_, "<text class=\"inside\" x=\"{}%\" dx=\"6\" y=\"{}\" dy=\"0.35em\">{}</text>\n",
           number(x_percent(x), 3), number(height_ / 2.0, 1), escape(text));
}

void Plot::dots(std::string_view css, const std::vector<Point>& points)
{
    std::string path;
    for (const Point& point : points) path += "M" + place(point) + "h0";
    stretched(fmt::format("dots {}", css), path);
}

void Plot::crosses(std::string_view css, const std::vector<Point>& points)
{
    for (const Point& point : points)
        append(body_, "<use class=\"{}\" href=\"#cross\" x=\"{}%\" y=\"{}\"/>\n", css, number(x_percent(point.x), 2),
               number(y_pixel(point.y), 1));
}

void Plot::bars(std::string_view css, const std::vector<double>& xs, double low, double high)
{
    std::string path;
    for (const double x : xs)
        path +=
            fmt::format("M{} {}V{}", number(x_.at(x) * units, 0), number(y_pixel(low), 1), number(y_pixel(high), 1));
    stretched(fmt::format("bars {}", css), path);
}

void Plot::line(std::string_view css, const std::vector<Point>& points)
{
    std::string path;
    for (const Point& point : points) path += (path.empty() ? "M" : "L") + place(point);
    stretched(fmt::format("line {}", css), path);
}

void Plot::area(std::string_view css, const std::vector<Point>& points)
{
    if (points.empty()) return;
    std::string path = fmt::format("M{} {}", number(x_.at(points.front().x) * units, 0), height_);
    for (const Point& point : points) path += "L" + place(point);
    path += fmt::format("V{}Z", height_);
    stretched(fmt::format("area {}", css), path);
}

void Plot::level(std::string_view css, double y)
{
    append(body_, "<line class=\"{0}\" x1=\"0\" x2=\"100%\" y1=\"{1}\" y2=\"{1}\"/>\n", css, number(y_pixel(y), 1));
}

std::string Plot::svg() const
{
    std::string grid;
    for (const Tick& tick : x_.ticks()) {
        append(grid, R"(<line class="grid" x1="{0}%" x2="{0}%" y1="0" y2="{1}"/>)", number(tick.at * 100, 3), height_);
        if (axes_ && !tick.label.empty())
            append(grid, R"(<text class="x" x="{}%" y="{}">{}</text>)", number(tick.at * 100, 3), height_ + 18,
                   escape(tick.label));
    }
    if (axes_)
        for (const Tick& tick : y_.ticks()) {
            const std::string y = number(height_ * (1 - tick.at), 1);
            append(grid,
                   "<line class=\"grid\" x1=\"0\" x2=\"100%\" y1=\"{0}\" y2=\"{0}\"/>"
                   "<text class=\"y\" x=\"-8\" y=\"{0}\" dy=\"0.35em\">{1}</text>",
                   y, escape(tick.label));
        }
    return fmt::format(
        "<svg class=\"{0}\" role=\"img\" aria-labelledby=\"{1}-title {1}-desc\" width=\"100%\" "
        "height=\"{2}\">\n<title id=\"{1}-title\">{3}</title>\n<desc id=\"{1}-desc\">{4}</desc>\n{5}\n{6}"
        "</svg>\n",
        axes_ ? "plot" : "plot lane-plot", id_, height_, escape(title_), escape(description_), grid, body_);
}

std::string plot_definitions()
{
    // Not display: none, which would switch the patterns off, too.
    return R"svg(<svg class="definitions" width="0" height="0" aria-hidden="true"><defs>
<path id="cross" d="M-3.5-3.5L3.5 3.5M-3.5 3.5L3.5-3.5"/>
<pattern id="hatch" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">
<path class="hatch" d="M0 0V6"/></pattern>
</defs></svg>
)svg";
}

} // namespace hotspare::experiment
