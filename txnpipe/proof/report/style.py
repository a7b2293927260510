"""How the page looks: light and dark, on a phone, on paper. A test measures the contrast of the colours."""

from __future__ import annotations

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "page": "#f6f7f9",
    "panel": "#ffffff",
    "text": "#1b1f24",
    "muted": "#525b66",
    "line": "#d5dae0",
    "good": "#126b30",
    "bad": "#ab1f16",
    "first": "#0b5cad",
    "second": "#a84a00",
    "third": "#6b3fa0",
}
DARK: Mapping[str, str] = {
    "page": "#0f1317",
    "panel": "#181e25",
    "text": "#e6ebf0",
    "muted": "#a3aebb",
    "line": "#37414d",
    "good": "#5fd387",
    "bad": "#ff9088",
    "first": "#6cb6ff",
    "second": "#f2a65a",
    "third": "#c9a6f5",
}


def _variables(colors: Mapping[str, str]) -> str:
    return "".join(f"--{name}:{color};" for name, color in colors.items())


_RULES = """
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%}
body{margin:0;background:var(--page);color:var(--text);font:16px/1.5 system-ui,-apple-system,"Segoe UI",
Roboto,"Helvetica Neue",Arial,sans-serif}
main{max-width:72rem;margin:0 auto;padding:1.5rem 1rem 3rem}
h1{font-size:1.15rem;font-weight:600;margin:0 0 .75rem;color:var(--muted)}
h2{font-size:1.2rem;margin:0 0 .75rem}
h3{font-size:1rem;margin:1.25rem 0 .4rem}
p{margin:.4rem 0}
section,.verdict,figure{background:var(--panel);border:1px solid var(--line);border-radius:10px;
padding:1.1rem;margin:0 0 1rem;min-width:0}
.verdict{border-left:8px solid var(--tone)}
.verdict strong{display:block;font-size:1.9rem;line-height:1.2;color:var(--tone)}
.verdict ul{margin:.6rem 0 0;padding-left:1.2rem}
.good{--tone:var(--good)}
.bad{--tone:var(--bad)}
.muted,figcaption p,footer,caption{color:var(--muted);font-size:.9rem}
.tiles{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));gap:1rem;
margin:0 0 1rem;padding:0;list-style:none}
.tiles li{background:var(--panel);border:1px solid var(--line);border-radius:10px;padding:.8rem 1.1rem}
.tiles b{display:block;font-size:1.5rem;line-height:1.25;font-variant-numeric:tabular-nums}
.tiles .bad b,td.bad{color:var(--bad);font-weight:700}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:.35rem .6rem;border-bottom:1px solid var(--line);text-align:left;vertical-align:top}
th{font-size:.85rem;color:var(--muted);font-weight:600}
tbody th{color:var(--text);font-size:1rem}
th:first-child,td:first-child{padding-left:0}
th:last-child,td:last-child{padding-right:0}
.number{text-align:right;white-space:nowrap}
code{font:.88em/1.4 ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;
overflow-wrap:anywhere;unicode-bidi:isolate}
ul.ids{margin:.2rem 0;padding:0;list-style:none;columns:22rem;column-gap:1.5rem}
ul.ids li{break-inside:avoid;padding:.1rem 0}
dl{display:grid;grid-template-columns:minmax(8rem,max-content) 1fr;gap:.35rem 1.25rem;margin:0}
dt{color:var(--muted)}
dd{margin:0;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1rem;
align-items:start;margin:0 0 1rem}
.charts figure{margin:0}
svg.chart{display:block;width:100%;height:auto;margin:.5rem 0}
svg text{font-size:13px;fill:var(--muted);font-family:inherit}
svg .name{fill:var(--text)}
svg .grid{stroke:var(--line);stroke-width:1}
svg .axis{stroke:var(--muted);stroke-width:1}
svg polyline{fill:none;stroke-width:2;stroke-linejoin:round}
svg .first{stroke:var(--first)}
svg .second{stroke:var(--second);stroke-dasharray:7 4}
svg .third{stroke:var(--third);stroke-dasharray:2 3}
svg circle.first,svg rect.first{fill:var(--first);stroke:none}
svg rect.second{fill:var(--second);stroke:none}
svg circle.third{fill:var(--panel);stroke:var(--third);stroke-dasharray:none;stroke-width:1.5}
.legend{display:flex;flex-wrap:wrap;gap:.25rem 1.1rem;margin:0;padding:0;list-style:none;font-size:.9rem}
.legend svg{width:30px;height:10px;margin-right:.4rem;vertical-align:middle}
summary{cursor:pointer;font-size:.9rem;color:var(--muted)}
summary:focus-visible,.scroll:focus-visible{outline:3px solid var(--first);outline-offset:2px}
details .scroll{max-height:20rem;overflow:auto;margin-top:.5rem}
@media (max-width:600px){
main{padding:1rem .6rem 2rem}
section,.verdict,figure{padding:.9rem}
.tiles{gap:.6rem;grid-template-columns:1fr 1fr}
dl{grid-template-columns:1fr;gap:0}
dd{margin:0 0 .5rem}
svg text{font-size:16px}
}
@media screen and (max-width:600px){
.cards,.cards tbody{display:block}
.cards thead{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.cards tr{display:grid;grid-template-columns:1fr 1fr;column-gap:1.5rem;padding:.3rem 0 .6rem}
.cards th[scope=row]{grid-column:1/-1;padding-left:0;overflow-wrap:anywhere}
.cards th[scope=row]:empty{display:none}
.cards td,.cards td:first-child,.cards td:last-child{display:flex;justify-content:space-between;
padding:.25rem 0}
.cards td::before{content:attr(data-name);color:var(--muted);font-weight:400;margin-right:.75rem}
}
"""

_PRINT = """
html{font-size:12px}
body{font-size:1rem;background:#fff}
main{max-width:none;padding:0 4px 0 0}
section,.verdict,figure,.tiles li{border-radius:0;break-inside:avoid}
section.long{break-inside:auto}
h2,h3{break-after:avoid}
.charts{grid-template-columns:1fr 1fr}
.scroll{overflow:visible}
details{display:none}
tr{break-inside:avoid}
ul.ids{columns:3 13rem}
*{print-color-adjust:exact;-webkit-print-color-adjust:exact}
"""

STYLE = (
    f":root{{color-scheme:light dark;{_variables(LIGHT)}}}\n"
    f"@media screen and (prefers-color-scheme:dark){{:root{{{_variables(DARK)}}}}}"
    f"{_RULES}@page{{margin:14mm}}\n@media print{{{_PRINT}}}\n"
)
"""The whole style sheet. Paper is always light."""
