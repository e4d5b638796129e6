"""The page's style sheet: light, dark, phone, desk and A4."""

from __future__ import annotations

_COLOURS = """
:root { color-scheme: light dark;
  --paper: #ffffff; --panel: #f3f5f7; --ink: #1b2228; --muted: #55616b; --grid: #dde2e6;
  --line: #c3cad0; --blue: #0b5cad; --orange: #b04a00; --green: #00705a; --purple: #8a3a7d;
  --warn: #fdf1dc; --shade: #1b222840; }
@media screen and (prefers-color-scheme: dark) { :root {
  --paper: #14181c; --panel: #1e242a; --ink: #e8ecef; --muted: #a5b0b9; --grid: #2e363d;
  --line: #46515a; --blue: #6cb4ff; --orange: #ff9e5c; --green: #4fd1ae; --purple: #e39bd7;
  --warn: #3a2e16; --shade: #e8ecef38; } }
@media print { :root { color-scheme: light; } }
"""

_LAYOUT = """
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", sans-serif; }
.page { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
h1, h2, h3 { line-height: 1.25; margin: 0; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; }
h2 { font-size: 1.35rem; margin: 2.75rem 0 .75rem; padding-top: .75rem;
  border-top: 1px solid var(--line); }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
p, dd, figcaption { max-width: 44rem; overflow-wrap: anywhere; }
p { margin: .6rem 0; }
.kicker { margin: 0 0 .25rem; color: var(--muted); font-size: .875rem; }
.outcome { font-size: 1.2rem; line-height: 1.45; margin: .75rem 0; }
.notice { background: var(--panel); border-left: 4px solid var(--muted); padding: .5rem .75rem;
  max-width: 44rem; font-size: .95rem; }
.unfinished { background: var(--warn); border-color: var(--orange); }
.note, figcaption { color: var(--muted); font-size: .875rem; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin-top: 1.25rem; font-size: .95rem; }
a { color: var(--blue); }
nav a { padding: .2rem 0; }
footer { margin-top: 3rem; color: var(--muted); font-size: .875rem; }
:focus-visible { outline: 2px solid var(--blue); outline-offset: 2px; }
"""

_PARTS = """
.tiles { display: grid; gap: .75rem; margin: 1.25rem 0 0;
  grid-template-columns: repeat(auto-fit, minmax(9.5rem, 1fr)); }
.tiles div { background: var(--panel); padding: .65rem .8rem .7rem; border-radius: 6px; }
.tiles dt { font-size: .8125rem; color: var(--muted); }
.tiles dd { margin: 0; font-size: .8125rem; color: var(--muted); }
.tiles .value { font-size: 1.45rem; line-height: 1.3; font-weight: 600; color: var(--ink);
  font-variant-numeric: tabular-nums; }
.card { margin: 0; display: grid; grid-template-columns: 11rem 1fr; gap: .5rem 1.25rem; }
.card dt { font-weight: 600; }
.card dd { margin: 0; }
.plots > div > :first-child { margin-top: .75rem; }
.plots { display: grid; gap: 1.5rem 2rem; align-items: start;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 26rem), 1fr)); }
.drawn { max-width: 31rem; min-width: 0; margin: .75rem 0; }
figure { margin: 0; }
svg.plot { display: block; width: 100%; height: auto; overflow: visible; }
svg.plot * { stroke-linejoin: round; stroke-linecap: butt; }
svg.plot text { font-family: inherit; }
figcaption { margin-top: .4rem; }
details { margin-top: .5rem; }
summary { cursor: pointer; color: var(--blue); font-size: .875rem; padding: .2rem 0; }
/* A shadow at the edge beyond which a table goes on; paper, which moves with it, covers it at the
   table's end. */
.scroll { overflow-x: auto; margin: .75rem 0;
  background: linear-gradient(to left, var(--paper) 1rem, transparent) right / 2rem 100% no-repeat
    local, linear-gradient(to left, var(--shade), transparent) right / .9rem 100% no-repeat scroll,
    var(--paper); }
.scroll + .scroll { margin-top: 1.6rem; }
.plots > .scroll { margin-top: .75rem; }
table { border-collapse: collapse; min-width: min(100%, 18rem);
  font-size: .875rem; line-height: 1.4;
  font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding-bottom: .35rem; }
/* As wide as what is seen of a table, and there while the table is scrolled. */
caption span { display: inline-block; position: sticky; left: 0; max-width: calc(100vw - 2rem); }
tbody th, thead th:first-child { position: sticky; left: 0; background: var(--paper); }
th, td { padding: .3rem .9rem .3rem 0; border-bottom: 1px solid var(--grid);
  vertical-align: top; text-align: left; }
th:last-child, td:last-child { padding-right: 0; }
thead th { color: var(--muted); font-weight: 600; border-color: var(--line);
  vertical-align: bottom; }
tbody th { font-weight: 500; }
.number { text-align: right; white-space: nowrap; }
thead .number { white-space: normal; }
th.text, td.text { overflow-wrap: break-word; max-width: 22rem; }
td.text { min-width: 5rem; }
.ci { display: block; color: var(--muted); font-size: .8125rem; }
code { font: .8125rem/1.4 ui-monospace, "Cascadia Mono", "Noto Sans Mono", monospace;
  overflow-wrap: anywhere; }
@media (max-width: 40rem) {
  tbody th.text, thead th:first-child { max-width: 8.5rem; }
  h1 { font-size: 1.4rem; } .outcome { font-size: 1.08rem; }
  .card { grid-template-columns: 1fr; gap: .1rem; } .card dd { margin-bottom: .7rem; }
  .tiles { grid-template-columns: 1fr 1fr; gap: .5rem; } .tiles .value { font-size: 1.2rem; } }
"""

_PRINT = """
@page { size: A4; margin: 14mm; }
@media print {
  html { font-size: 9pt; } .page { max-width: none; padding: 0; }
  nav, summary { display: none; }
  h2 { margin-top: 1.2rem; } h1, h2, h3, caption { break-after: avoid; }
  p { orphans: 3; widows: 3; }
  figure, tr, .scroll, .tiles div, .card dd { break-inside: avoid; }
  .tiles { grid-template-columns: repeat(6, 1fr); gap: .4rem; }
  .tiles div { padding: .4rem .5rem; } .tiles .value { font-size: 1.2rem; }
  .plots { grid-template-columns: 1fr 1fr; gap: .75rem 1.5rem; }
  /* A plot and its numbers are items of the section's grid: all plots, then all numbers. */
  .drawn { display: contents; } .numbers { order: 1; grid-column: 1 / -1; }
  svg.plot { max-width: 7cm; } p, figcaption { max-width: 15cm; }
  /* What is folded on a screen is printed open, what is long and narrow in two columns. */
  details::details-content { content-visibility: visible; display: block; block-size: auto; }
  details:has(tr:nth-child(16)):not(:has(th:nth-child(6)))::details-content { columns: 2; }
  details:has(tr:nth-child(16)) .scroll { break-inside: auto; }
  details .scroll { margin: 0; }
  .scroll { overflow: visible; background: none; }
  tbody th, thead th:first-child { position: static; background: none; }
  table { font-size: 7.5pt; } th, td { padding: .18rem .55rem .18rem 0; }
  details table { font-size: 6.5pt; } details th, details td { padding: .08rem .5rem .08rem 0; }
  code { font-size: 6.5pt; } thead { display: table-header-group; }
  .notice, .tiles div { border: 1px solid var(--line); } }
"""

STYLE = "\n".join((_COLOURS, _LAYOUT, _PARTS, _PRINT))
