#include "monitor/pages/dashboard_style.hpp"

#include "monitor/pages/status_style.hpp"

#include <string>

namespace hotspare::monitor {

std::string_view dashboard_style()
{
    static const std::string style = std::string(common_style()) + R"css(
main { max-width: 1180px; }
.bar { display: flex; flex-wrap: wrap; gap: 2px 16px; }
.result { margin-top: 12px; border-left: 5px solid var(--up); } .result.down { border-left-color: var(--down); }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 300px), 1fr)); gap: 12px; margin: 0 0 12px; }
.grid .card { margin: 0; }
.active { border: 2px solid var(--link); }
.facts div { display: block; } .facts dt, .facts dd { display: inline; } .facts dt { margin-right: 8px; }
.wide { display: flex; flex-wrap: wrap; gap: 2px 32px; }
.actions { grid-template-columns: repeat(auto-fit, minmax(min(100%, 440px), 1fr)); }
.actions .head { justify-content: start; align-items: center; gap: 8px 14px; }
.actions p { flex: 1 1 220px; }
button { font: inherit; font-weight: 600; min-height: 40px; min-width: 150px; padding: 6px 16px; border: 1px solid transparent; border-radius: 8px; color: var(--on); background: var(--link); cursor: pointer; }
button.harm { background: var(--down); }
button:hover { text-decoration: underline; }
button:focus-visible { outline: 3px solid var(--ink); outline-offset: 2px; }
button:disabled { color: var(--soft); background: var(--page); border-color: var(--line); cursor: not-allowed; text-decoration: none; }
code { display: block; margin-top: 10px; padding: 6px 10px; border-radius: 6px; background: var(--page); color: var(--ink); font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; white-space: pre-wrap; }
figure { margin: 0; }
svg { display: block; width: 100%; height: 210px; margin-bottom: 8px; overflow: visible; }
svg text { fill: var(--soft); font-size: 12px; stroke: var(--card); stroke-width: 3px; paint-order: stroke; }
.rule { stroke: var(--line); stroke-width: 1px; }
.run { fill: none; stroke: var(--bar-maintenance); stroke-width: 2px; stroke-linejoin: round; }
.point { fill: var(--maintenance); } .slow { fill: var(--degraded); } .failed { fill: none; stroke: var(--down); stroke-width: 2.5px; }
.key { display: flex; flex-wrap: wrap; gap: 2px 18px; color: var(--soft); font-size: 13.5px; }
.key svg { display: inline-block; width: 12px; height: 12px; margin: 0 6px 0 0; }
figcaption { margin-top: 6px; }
table { width: 100%; border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: 7px 14px 7px 0; border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-size: 13px; font-weight: 600; }
tbody tr:last-child td { border-bottom: 0; }
td time, .number { white-space: nowrap; }
@media (max-width: 700px) {
  table, tbody, tr, td { display: block; }
  thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
  tr { padding: 8px 0; border-bottom: 1px solid var(--line); } tbody tr:last-child { border-bottom: 0; }
  td { position: relative; border: 0; padding: 1px 0 1px 84px; }
  td::before { content: attr(data-label); position: absolute; left: 0; color: var(--soft); font-size: 13.5px; }
  td:empty { display: none; }
}
@media (forced-colors: active) { button { border-color: ButtonText; } .active { border-width: 4px; } }
)css";
    return style;
}

} // namespace hotspare::monitor
