#include "experiment/report/chart_parts.hpp"

#include "common/markup.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace hotspare::experiment {

double to_s(Nanos time) noexcept
{
    return std::chrono::duration<double>(time).count();
}

bool is_good(const Sample& sample) noexcept
{
    return sample.outcome == Outcome::good;
}

bool must_succeed(const Plan& plan, const Sample& sample) noexcept
{
    return sample.stream < plan.load.size() && plan.load[sample.stream].must_succeed;
}

double end_of(const Plan& plan, const Run& run) noexcept
{
    return std::max(to_s(plan.duration), run.samples.empty() ? 0.0 : to_s(run.samples.back().due));
}

std::string legend(const std::vector<Swatch>& swatches)
{
    std::string html = "<ul class=\"legend\">";
    for (const Swatch& swatch : swatches)
        html += fmt::format(R"(<li><svg width="16" height="12" aria-hidden="true">{}</svg>{}</li>)", swatch.mark,
                            escape(swatch.text));
    return html + "</ul>\n";
}

std::string box_mark(std::string_view css, double height)
{
    return fmt::format(R"(<rect class="{}" x="0" width="16" y="{:.1f}" height="{:.1f}"/>)", css, 12 * (1 - height),
                       12 * height);
}

} // namespace hotspare::experiment
