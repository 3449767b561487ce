// PURE: plots as inline SVG that fit any width without a script. A plot is as wide as its container and has a fixed
// height: texts and bands stand at percentages of the width, and the data are drawn in units of which 10000 span it,
// with strokes that do not stretch, so that dots stay round and letters stay upright on a telephone as on a wall.
// The labels of the axes lie outside of the plot, in margins that the style sheet (class `plot`) provides.
//
// It knows nothing of experiments; what is drawn, and in which classes of the style sheet, is the caller's matter.
//
// Any thread.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace hotspare::experiment {

struct Tick {
    double at = 0;     ///< share of the axis
    std::string label; ///< empty where there is no room for one
};

/// From values to shares of an axis, with round numbers on it.
class Scale {
public:
    /// From `from` to `to` seconds exactly, a handful of ticks.
    static Scale seconds(double from, double to);
    /// From 0 to a round share that is at least `max`.
    static Scale shares(double max);
    /// Around all values, from 1, 2 or 5 times a power of ten to another, in milliseconds; both above 0.
    static Scale log_milliseconds(double min, double max);
    /// Shares of requests from 0 to the last of `count`, spread by 1 / (1 - share): each further nine gets as much
    /// room.
    static Scale percentiles(std::size_t count);

    /// In [0, 1]; values beyond the ends are at the ends.
    double at(double value) const noexcept;
    const std::vector<Tick>& ticks() const noexcept { return ticks_; }

private:
    enum class Kind : unsigned char { linear, log, tail };

    Scale(Kind kind, double from, double to) noexcept : kind_(kind), from_(from), to_(to) {}
    double position(double value) const noexcept;
    void add_tick(double value, std::string label);

    Kind kind_;
    double from_, to_; ///< after the transformation
    std::vector<Tick> ticks_;
};

/// The least of 1, 2 and 5 times any power of ten that is at least `value` (above 0).
double round_up(double value) noexcept;

struct Point {
    double x = 0, y = 0;
};

class Plot {
public:
    /// `title` and `description` are what a screen reader says. Ids are derived from `id`, unique in the page.
    Plot(std::string id, std::string_view title, std::string_view description, unsigned height, Scale x, Scale y);
    /// Without axes: `y` is a share of the height.
    static Plot lane(std::string id, std::string_view title, std::string_view description, unsigned height, Scale x);

    /// Everything is drawn in the order of the calls. `css` are classes.
    void band(std::string_view css, double from, double to);
    /// A box whose y go from `low` to `high`.
    void box(std::string_view css, double from, double to, double low, double high);
    /// Text inside the plot, its left end at `x`, centred vertically. The caller sees to it that it has room.
    void text(double x, std::string_view text);
    /// One dot each.
    void dots(std::string_view css, const std::vector<Point>& points);
    /// One cross each.
    void crosses(std::string_view css, const std::vector<Point>& points);
    /// A vertical line from `low` to `high` for each x.
    void bars(std::string_view css, const std::vector<double>& xs, double low, double high);
    void line(std::string_view css, const std::vector<Point>& points);
    /// What lies between the points and the x axis.
    void area(std::string_view css, const std::vector<Point>& points);
    /// Across the whole width.
    void level(std::string_view css, double y);

    std::string svg() const;

private:
    double x_percent(double x) const noexcept { return x_.at(x) * 100; }
    double y_pixel(double y) const noexcept;
    std::string place(Point point) const;
    void stretched(std::string_view css, const std::string& path);

    std::string id_, title_, description_;
    unsigned height_;
    Scale x_, y_;
    bool axes_ = true;
    std::string body_;
};

/// Once in a page, before the first plot: what the plots refer to.
std::string plot_definitions();

} // namespace hotspare::experiment
