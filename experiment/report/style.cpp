#include "experiment/report/style.hpp"

namespace hotspare::experiment {

std::string_view report_style() noexcept
{
    return R"css(
:root {
  color-scheme: light dark;
  --page: #f6f7f9; --card: #ffffff; --ink: #17202a; --soft: #55606e; --line: #d9dee5; --grid: #e8ebf0;
  --pass: #00694b; --fail: #b3261e; --invalid: #7a4d00; --aborted: #4a5361; --badge-ink: #ffffff;
  --fault: #8a6d3b; --fault-wash: rgba(138, 109, 59, .13);
  --b0: #0072b2; --b1: #d98e00; --b2: #a8518a; --b3: #3a9ad9; --b4: #6b7a00; --b5: #5b4bb3; --none: #7d8794;
  --failed: #c2185b; --good: #009e73;
  --gutter: 56px;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #11151a; --card: #1a2027; --ink: #e8ecf1; --soft: #a3aebb; --line: #333c47; --grid: #28303a;
    --pass: #4cc9a0; --fail: #ff8a80; --invalid: #f0b429; --aborted: #b4bfcc; --badge-ink: #11151a;
    --fault: #d9b26a; --fault-wash: rgba(217, 178, 106, .16);
    --b0: #56b4e9; --b1: #f0b03c; --b2: #d68fbd; --b3: #9fd3f5; --b4: #c3d04a; --b5: #a99cf0; --none: #8b96a3;
    --failed: #ff6f91; --good: #33c49a;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI",
  Roboto, "Helvetica Neue", "DejaVu Sans", Arial, sans-serif; font-variant-numeric: tabular-nums; }
main { max-width: 1360px; margin: 0 auto; padding: 20px 12px 48px; }
h1 { font-size: 26px; line-height: 1.25; margin: 10px 0 6px; overflow-wrap: anywhere; }
h2 { font-size: 19px; margin: 0 0 4px; }
h3 { font-size: 15px; margin: 20px 0 2px; }
p { margin: 4px 0; }
code, pre { font: 13px/1.5 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
pre { overflow-x: auto; background: var(--page); border: 1px solid var(--line); border-radius: 8px; padding: 10px 12px; margin: 8px 0; }
.note { color: var(--soft); font-size: 13.5px; max-width: 100ch; }
.sentence { font-size: 17px; max-width: 80ch; }
.facts { color: var(--soft); display: flex; flex-wrap: wrap; gap: 2px 18px; padding: 0; margin: 8px 0 0; list-style: none; font-size: 13.5px; }
.facts b { color: var(--ink); font-weight: 600; }
section, header { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 16px 14px; margin: 0 0 16px; }
.two { display: grid; grid-template-columns: minmax(0, 1fr); gap: 0 16px; }
.badge { display: inline-block; padding: 3px 14px; border-radius: 6px; font-weight: 700; letter-spacing: .06em; color: var(--badge-ink); }
.badge.PASS { background: var(--pass); } .badge.FAIL { background: var(--fail); }
.badge.INVALID { background: var(--invalid); } .badge.ABORTED { background: var(--aborted); }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(148px, 1fr)); gap: 10px; margin: 0 0 16px; }
.tile { background: var(--card); border: 1px solid var(--line); border-radius: 12px; padding: 12px 14px; }
.tile dt { font-size: 13.5px; color: var(--soft); } .tile dd { margin: 0; }
.tile .value { font-size: 24px; font-weight: 650; line-height: 1.25; } .tile .value.absent { font-size: 17px; font-weight: 500; color: var(--soft); padding: 4px 0 2px; }
.tile .range { font-size: 12.5px; color: var(--soft); }
.scroll { overflow-x: auto; margin-top: 6px; }
table { border-collapse: collapse; width: 100%; font-size: 14px; }
th, td { padding: 6px 14px 6px 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--grid); }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--soft); font-weight: 500; font-size: 13px; vertical-align: bottom; border-bottom-color: var(--line); }
tbody th { font-weight: 600; }
tbody tr:last-child th, tbody tr:last-child td { border-bottom: 0; }
.right { text-align: right; white-space: nowrap; } .right small { white-space: normal; } .right + :not(.right) { padding-left: 14px; }
.reason { min-width: 18em; white-space: normal; } td small, th small { display: block; color: var(--soft); font-weight: 400; font-size: 12.5px; }
.held { color: var(--pass); font-weight: 600; white-space: nowrap; } .broken { color: var(--fail); font-weight: 700; white-space: nowrap; }
.absent { color: var(--soft); }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; padding: 0; margin: 8px 0 4px; font-size: 13px; color: var(--soft); }
.legend li { display: flex; align-items: center; gap: 6px; } .legend svg { flex: none; overflow: visible; } .legend .dots { stroke-width: 7px; stroke-opacity: 1; }
.lanes { margin: 8px 0 4px; }
.lane { margin-top: 6px; padding: 0 14px 0 var(--gutter); }
.lane-name { font-size: 12.5px; line-height: 18px; overflow-wrap: anywhere; } .lane-name b { font-weight: 600; } .lane-name span { color: var(--soft); }
.plot-box { padding: 8px 14px 24px var(--gutter); }
.axis { margin: 0; padding: 0 14px 0 var(--gutter); text-align: right; color: var(--soft); font-size: 12.5px; }
.thumbs { display: grid; grid-template-columns: repeat(auto-fill, minmax(230px, 1fr)); gap: 14px 20px; margin-top: 8px; }
.thumb-name { font-size: 12.5px; } .thumb-name span { color: var(--soft); }
svg { display: block; } svg svg { overflow: visible; }
svg.definitions { position: absolute; }
.plot { overflow: visible; } .plot path { vector-effect: non-scaling-stroke; }
.plot text { font-size: 12px; fill: var(--soft); } .plot text.x { text-anchor: middle; } .plot text.y { text-anchor: end; }
.plot text.inside { fill: var(--ink); font-size: 11.5px; }
.grid { stroke: var(--grid); stroke-width: 1; shape-rendering: crispEdges; }
.lane-plot { background: var(--page); }
path { fill: none; }
.dots { stroke-linecap: round; stroke-width: 3px; stroke-opacity: .75; } .dots.again { stroke-linecap: square; stroke-width: 5px; stroke-opacity: .95; }
.dots.neutral { stroke: var(--soft); }
.dots.b0 { stroke: var(--b0); } .dots.b1 { stroke: var(--b1); } .dots.b2 { stroke: var(--b2); } .dots.b3 { stroke: var(--b3); } .dots.b4 { stroke: var(--b4); } .dots.b5 { stroke: var(--b5); } .dots.b-none { stroke: var(--none); }
.area.b0 { fill: var(--b0); } .area.b1 { fill: var(--b1); } .area.b2 { fill: var(--b2); } .area.b3 { fill: var(--b3); } .area.b4 { fill: var(--b4); } .area.b5 { fill: var(--b5); } .area.b-none { fill: var(--none); }
.area.worst { fill: var(--b0); } .area.error-rate { fill: var(--failed); }
use.failed, .bars.failed { stroke: var(--failed); stroke-width: 1.75px; fill: none; } use.failed.allowed, .bars.given-up { stroke: var(--none); stroke-width: 1.75px; }
.line { stroke-width: 2.25px; stroke-linejoin: round; }
.line.healthy-phase { stroke: var(--b0); } .line.fault-phase { stroke: var(--b1); stroke-dasharray: 7 3; stroke-width: 2.75px; } .line.recovered-phase { stroke: var(--b2); stroke-dasharray: 2 3; }
.dots.healthy-phase, .dots.fault-phase, .dots.recovered-phase { stroke-width: 7px; stroke-opacity: 1; }
.dots.healthy-phase { stroke: var(--b0); } .dots.fault-phase { stroke: var(--b1); } .dots.recovered-phase { stroke: var(--b2); }
line.zero { stroke: var(--failed); stroke-width: 3; } line.no-change { stroke: var(--line); stroke-dasharray: 3 4; }
rect.fault { fill: var(--fault-wash); }
rect.fault-bar { fill: var(--fault); fill-opacity: .45; stroke: var(--fault); } rect.fault-bar.no-effect { fill: none; stroke-dasharray: 3 3; }
rect.healthy { fill: var(--good); fill-opacity: .45; } rect.degraded { fill: url(#hatch); stroke: var(--b1); } rect.unhealthy { fill: var(--b1); }
rect.down { fill: var(--failed); } rect.aside { fill: none; stroke: var(--none); stroke-dasharray: 4 3; } rect.unknown-state { fill: var(--none); }
.hatch { stroke: var(--b1); stroke-width: 4; }
details { margin-top: 8px; } summary { cursor: pointer; color: var(--ink); font-weight: 600; padding: 2px 0; }
summary:focus-visible, .scroll:focus-visible { outline: 2px solid var(--b0); outline-offset: 2px; border-radius: 4px; }
.trail { color: var(--soft); font-size: 13px; }
footer { color: var(--soft); font-size: 13px; padding: 0 4px; }
@media (min-width: 900px) {
  :root { --gutter: 168px; }
  main { padding: 32px 28px 64px; }
  section, header { padding: 22px 26px; margin-bottom: 20px; }
  h1 { font-size: 32px; }
  .lane { display: grid; padding-left: 0; grid-template-columns: calc(var(--gutter) - 12px) minmax(0, 1fr); gap: 0 12px; align-items: center; }
  .lane-name { text-align: right; }
  .two { grid-template-columns: minmax(0, 1fr) minmax(0, 1fr); gap: 0 20px; }
  .two section { --gutter: 64px; }
}
@media (max-width: 700px) {
  table, tbody, tr, tbody th, td { display: block; width: 100%; }
  thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden; }
  tbody tr { border-bottom: 1px solid var(--line); padding: 8px 0; } tbody tr:last-child { border-bottom: 0; }
  tbody th, td { border: 0; padding: 1px 0; text-align: left; white-space: normal; }
  td { display: flex; justify-content: space-between; gap: 14px; } td div { text-align: right; overflow-wrap: anywhere; min-width: 0; }
  td::before { content: attr(data-column); color: var(--soft); font-size: 13px; flex: none; max-width: 45%; }
  td small, tbody th small { display: inline; min-width: 0; } td small::before, tbody th small::before { content: " "; }
  td:has(div:empty) { display: none; } .right + :not(.right) { padding-left: 0; }
}
@media print { body { background: #fff; } section, header, .tile { break-inside: avoid; } }
)css";
}

} // namespace hotspare::experiment
