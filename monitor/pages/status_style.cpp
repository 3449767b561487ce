#include "monitor/pages/status_style.hpp"

#include "common/format.hpp"
#include "monitor/pages/view.hpp"

#include <string>

namespace hotspare::monitor {
namespace {

/// ".n2 { --n: 2; }" and so on, as style attributes are what a Content-Security-Policy is there to refuse.
std::string run_lengths()
{
    std::string out;
    for (int days = 2; days <= shown_days; ++days) append(out, ".n{0}{{--n:{0}}}\n", days);
    return out;
}

} // namespace

std::string_view status_style()
{
    static const std::string style = std::string(common_style()) + run_lengths();
    return style;
}

std::string_view common_style() noexcept
{
    return R"css(
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #17202a; --soft: #55606e; --line: #d9dee5; --link: #0b5cad;
  --up: #00694b; --degraded: #7a4d00; --down: #b3261e; --maintenance: #0b5cad; --none: #4a5361; --on: #ffffff;
  --bar-up: #009e73; --bar-degraded: #d98e00; --bar-down: #c2185b; --bar-maintenance: #56a0dc; --bar-none: #8b95a1;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11151a; --card: #1a2027; --ink: #e8ecf1; --soft: #a3aebb; --line: #333c47; --link: #7cc0f5;
    --up: #4cc9a0; --degraded: #f0b429; --down: #ff8a80; --maintenance: #7cc0f5; --none: #b4bfcc; --on: #11151a;
    --bar-up: #33c49a; --bar-degraded: #f0b03c; --bar-down: #ff6f91; --bar-maintenance: #56b4e9; --bar-none: #6c7783;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
main { max-width: 960px; margin: 0 auto; padding: 16px 12px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 4px 0 12px; }
h2 { font-size: 19px; margin: 28px 0 8px; }
h3 { font-size: 16px; margin: 0; }
h4 { font-size: 15px; margin: 0; }
p { margin: 4px 0; }
a { color: var(--link); }
ul, ol, dl, dd { list-style: none; margin: 0; padding: 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 14px; margin: 0 0 12px; }
.note, .scale, footer { color: var(--soft); font-size: 13.5px; }
.message { white-space: pre-line; }
.overall { border-radius: 12px; padding: 14px 16px; margin: 0 0 8px; font-size: 19px; font-weight: 650; color: var(--on); background: var(--none); }
.overall.up { background: var(--up); } .overall.degraded { background: var(--degraded); }
.overall.down { background: var(--down); } .overall.maintenance { background: var(--maintenance); }
.head { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 2px 16px; align-items: baseline; }
.state { font-weight: 600; color: var(--none); }
.state.up { color: var(--up); } .state.degraded { color: var(--degraded); }
.state.down { color: var(--down); } .state.maintenance { color: var(--maintenance); }
.open { border-left: 5px solid var(--down); } .planned { border-left: 5px solid var(--maintenance); }
.days { --gap: 1px; display: flex; gap: var(--gap); position: relative; height: 34px; margin: 10px 0 2px; }
.days li, .days b { --step: calc((100% + var(--gap)) / var(--n, 1)); flex: var(--n, 1) 1 calc((var(--n, 1) - 1) * var(--gap)); min-width: 0; outline-offset: 1px;
  background: repeating-linear-gradient(90deg, var(--bar) 0 calc(var(--step) - var(--gap)), transparent 0 var(--step)); }
.days .none { --bar: var(--bar-none); height: 32%; align-self: end; }
.days .up { --bar: var(--bar-up); }
.days .maintenance { background: linear-gradient(var(--bar-maintenance) 0 45%, transparent 45% 55%, var(--bar-maintenance) 55%); }
.days .degraded { background: repeating-linear-gradient(45deg, var(--bar-degraded) 0 3px, transparent 3px 5px); }
.days .down { background: linear-gradient(transparent 0 20%, var(--bar-down) 20%); border-top: 4px solid var(--bar-down); }
.days li:hover, .days li:focus-visible { outline: 2px solid var(--ink); z-index: 1; }
.days span { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.days li:hover span, .days li:focus span { left: 0; right: 0; top: 100%; width: auto; height: auto; clip-path: none;
  white-space: pre-line; z-index: 2; padding: 8px 12px; border: 1px solid var(--ink); border-radius: 8px;
  background: var(--card); color: var(--ink); box-shadow: 0 4px 16px rgba(0, 0, 0, .25); }
.days:focus-within li:hover:not(:focus) span { z-index: 3; }
.scale { display: flex; justify-content: space-between; gap: 12px; }
.months { display: grid; grid-template-columns: repeat(auto-fill, minmax(132px, 1fr)); gap: 6px 16px; margin: 10px 0 0; padding: 8px 0 0; border-top: 1px solid var(--line); }
.months dt { color: var(--soft); font-size: 13px; } .months dd { font-weight: 600; }
.months small { display: block; color: var(--soft); font-weight: 400; font-size: 12.5px; }
.legend { display: flex; flex-wrap: wrap; gap: 4px 18px; margin: 0 0 12px; color: var(--soft); font-size: 13.5px; }
.legend li { display: flex; align-items: center; gap: 6px; }
.legend .days { width: 8px; height: 20px; margin: 0; }
.facts { margin: 6px 0 0; } .facts div { display: flex; flex-wrap: wrap; gap: 0 8px; } .facts dt { color: var(--soft); }
.updates { margin: 10px 0 0; } .updates li { border-top: 1px solid var(--line); padding: 8px 0; }
.updates li:last-child { padding-bottom: 0; }
.updates time { color: var(--soft); font-size: 13.5px; }
.day { margin: 16px 0 6px; }
footer { margin-top: 28px; } footer ul { display: flex; flex-wrap: wrap; gap: 4px 18px; }
a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; border-radius: 2px; }
@media (min-width: 720px) { main { padding: 32px 24px 64px; } h1 { font-size: 32px; } .card { padding: 18px 22px; } .days { --gap: 2px; } }
@media print { body { background: #fff; } .card { break-inside: avoid; } }
)css";
}

} // namespace hotspare::monitor
