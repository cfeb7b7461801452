"""The plots, as plain SVG: bars of the main rows, and lines of the cost beside size.

They bring colours for light and for dark pages and choose by the reader's setting. Every value is also in the tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final
from xml.sax.saxutils import escape

from bench.peers import PEERS
from bench.plan import MAIN, OWN, ROWS, Row
from bench.results import Results

WIDTH: Final = 860
LABELS: Final = 90
"""Room for the proxies' names left of the bars."""

BAR: Final = 16
GAP: Final = 6
PANEL: Final = 410
"""Width of one of two panels in a line."""

PLOT: Final = (60, 34, 290, 150)
"""A line panel's plotting area: left, top, width, height."""

_STYLE: Final = """\
<style>
 text { font: 12px system-ui, sans-serif; fill: #24292f; } .title { font-weight: 600; } .faint { fill: #57606a; }
 .grid { stroke: #d0d7de; } .own { fill: #0969da; } .other { fill: #afb8c1; }
 .line { fill: none; stroke-width: 1.6; stroke: #8c959f; } .line-own { stroke: #0969da; stroke-width: 2.6; }
 .dot { fill: #8c959f; } .dot-own { fill: #0969da; } .range { stroke: #24292f; stroke-width: 1; }
 @media (prefers-color-scheme: dark) {
  text { fill: #e6edf3; } .faint { fill: #9198a1; } .grid { stroke: #3d444d; } .own { fill: #4493f8; }
  .other { fill: #545d68; } .line { stroke: #9198a1; } .line-own { stroke: #4493f8; } .dot { fill: #9198a1; }
  .dot-own { fill: #4493f8; } .range { stroke: #e6edf3; }
 }
</style>
"""


def draw(name: str, results: Results) -> str:
    """Return the plot of that file name."""
    return _DRAWN[name](results)


def bars(results: Results) -> str:
    """Draw a panel for each main row, a bar for each proxy, the rounds' range as a thin line."""
    panels = [_panel(results, row) for row in MAIN if row.name in results.rows]
    return _page("Cost by proxy", panels)


def lines(results: Results) -> str:
    """Draw a panel for each series: sizes evenly spaced, cost from zero or by powers of ten."""
    names = dict.fromkeys(row.series[0] for row in ROWS if row.series and row.name in results.rows)
    panels = [_lines(results, name) for name in names]
    return _page("Cost beside size", [panel for panel in panels if panel])


_DRAWN: Final[dict[str, Callable[[Results], str]]] = {"cost.svg": bars, "size.svg": lines}

NAMES: Final = {
    "cost.svg": "Cost of each load by proxy, less is better; the table has the figures",
    "size.svg": "Cost of a request or a handshake beside the size of the site, for each proxy",
}
"""File names of the plots, and what they show."""


def _page(title: str, panels: Sequence[tuple[str, int]]) -> str:
    """Two panels in a line; each is its drawing and its height."""
    y, parts = 8, []
    for left in range(0, len(panels), 2):
        pair = panels[left : left + 2]
        parts += [f'<g transform="translate({12 + column * (PANEL + 16)},{y})">{text}</g>'
                  for column, (text, _) in enumerate(pair)]  # fmt: skip
        y += max(height for _, height in pair) + 18
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" aria-label="{escape(title)}">'
    return "\n".join([head, _STYLE.rstrip(), *parts, "</svg>\n"])


def _panel(results: Results, row: Row) -> tuple[str, int]:
    names = [name for name in PEERS if results.median(row.name, name, row.figure) is not None]
    most = max(results.spread(row.name, name, row.figure)[1] for name in names)
    scale = (PANEL - LABELS - 60) / most
    parts = [_text(0, 12, f"{row.title} ({row.unit})", "title")]
    for place, name in enumerate(names):
        parts.append(_bar(results, row, name, 22 + place * (BAR + GAP), scale))
    return "".join(parts), 22 + len(names) * (BAR + GAP)


def _bar(results: Results, row: Row, name: str, y: int, scale: float) -> str:
    median = results.median(row.name, name, row.figure) or 0.0
    low, high = results.spread(row.name, name, row.figure)
    kind = "own" if name == OWN else "other"
    middle = y + BAR / 2
    return (
        _text(LABELS - 6, y + 12, name, "title" if name == OWN else "", "end")
        + f'<rect class="{kind}" x="{LABELS}" y="{y}" width="{max(median * scale, 1):.1f}" height="{BAR}" rx="2"/>'
        + f'<path class="range" d="M{LABELS + low * scale:.1f} {middle}H{LABELS + high * scale:.1f}"/>'
        + _text(LABELS + high * scale + 6, y + 12, figure(median), "faint")
    )


def figure(value: float) -> str:
    """Return three significant digits, without an exponent."""
    digits = max(0, 2 - math.floor(math.log10(value))) if value > 0 else 0
    return f"{value:,.{min(digits, 3)}f}"


def _lines(results: Results, name: str) -> tuple[str, int] | None:
    """Draw one series; None where only one size was measured."""
    rows = [row for row in ROWS if row.series and row.series[0] == name and row.name in results.rows]
    if len(rows) < 2:
        return None
    left, top, width, height = PLOT
    values = {peer: _points(results, rows, peer) for peer in PEERS}
    known = [value for points in values.values() for value in points if value is not None]
    place = _scale(min(known), max(known), top, height)
    parts = [_text(0, 12, f"{rows[0].title.split(',')[0]} by {name} ({rows[0].unit})", "title")]
    parts += [_tick(tick, place(tick)) for tick in _ticks(min(known), max(known))]
    xs = [left + 14 + index * (width - 28) / (len(rows) - 1) for index in range(len(rows))]
    parts += [_text(x, top + height + 16, f"{row.series[1]:,}", "faint", "middle")
              for x, row in zip(xs, rows, strict=True) if row.series]  # fmt: skip
    ends: list[float] = []
    for peer, points in sorted(values.items(), key=lambda item: item[1][-1] or 0.0):
        parts.append(_curve(peer, [(x, place(v)) for x, v in zip(xs, points, strict=True) if v is not None], ends))
    return "".join(parts), top + height + 24


def _points(results: Results, rows: Sequence[Row], peer: str) -> list[float | None]:
    return [results.median(row.name, peer, row.figure) for row in rows]


LOGARITHMIC: Final = 8.0
"""From this ratio of highest to lowest on, the scale goes by powers of ten."""


def _scale(low: float, high: float, top: int, height: int) -> Callable[[float], float]:
    """Return where a value is on the way down: from zero, or logarithmic where the values lie far apart."""
    if high / low < LOGARITHMIC:
        return lambda value: top + height * (1 - value / (high * 1.05))
    bottom, span = math.floor(math.log10(low)), math.ceil(math.log10(high)) - math.floor(math.log10(low))
    return lambda value: top + height * (1 - (math.log10(value) - bottom) / span)


def _ticks(low: float, high: float) -> list[float]:
    if high / low >= LOGARITHMIC:
        return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    step = 10.0 ** math.floor(math.log10(high))
    while high / step < 3:
        step /= 2
    return [step * number for number in range(int(high * 1.05 / step) + 1)]


def _tick(value: float, y: float) -> str:
    left, _, width, _ = PLOT
    text = figure(value) if value else "0"
    return f'<path class="grid" d="M{left} {y:.1f}h{width}"/>' + _text(left - 6, y + 4, text, "faint", "end")


def _curve(peer: str, points: Sequence[tuple[float, float]], ends: list[float]) -> str:
    """Draw a line with its name at its end, moved up where another name is in the way."""
    if not points:
        return ""
    own = "-own" if peer == OWN else ""
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dots = "".join(f'<circle class="dot{own}" cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points)
    x, y = points[-1]
    y = min([y, *(end - 13 for end in ends[-1:])])
    ends.append(y)
    name = _text(x + 8, y + 4, peer, "title" if own else "")
    return f'<path class="line{" line-own" if own else ""}" d="{path}"/>{dots}{name}'


def _text(x: float, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">{escape(text)}</text>'
