"""Plots as SVG: small charts side by side, and bars. Numbers and labels only, so plain text does it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

WIDTH, HEIGHT = 260, 190
"""Of one chart."""
LEFT, RIGHT, TOP, BOTTOM = 54, 14, 34, 38
BAR, LABEL_WIDTH, BARS_WIDTH = 26, 360, 930
INK, PALE, LINE, MARKED = "#1f2933", "#9aa5b1", "#2166ac", "#b2182b"
"""Readable on white, also for people who do not see red or green."""


@dataclass(frozen=True)
class Chart:
    """One figure (`ys`) against sizes (`xs`), which are drawn by powers of ten, or against time."""

    title: str
    x_label: str
    xs: Sequence[float]
    ys: Sequence[float]
    by_powers: bool = True


@dataclass(frozen=True)
class Bar:
    """A named value with what stands behind it."""

    label: str
    value: float
    text: str
    marked: bool = False


def charts(shown: Sequence[Chart], columns: int = 3) -> str:
    """Charts side by side, each with an axis from 0."""
    rows = math.ceil(len(shown) / columns)
    body = []
    for number, chart in enumerate(shown):
        place = f"{number % columns * WIDTH} {number // columns * HEIGHT}"
        body.append(f'<g transform="translate({place})">{_chart(chart)}</g>')
    return document(min(columns, len(shown)) * WIDTH, rows * HEIGHT, body)


def bars(title: str, shown: Sequence[Bar]) -> str:
    """Horizontal bars from 0, in the order given."""
    most = max((bar.value for bar in shown), default=0.0) or 1.0
    room = BARS_WIDTH - LABEL_WIDTH - 190
    body = [text_at(12, 24, title, weight="bold")]
    for number, bar in enumerate(shown):
        top, length = 40 + number * BAR, bar.value / most * room
        colour = MARKED if bar.marked else LINE
        body += [
            text_at(LABEL_WIDTH - 8, top + 15, bar.label, anchor="end"),
            f'<rect x="{LABEL_WIDTH}" y="{top}" width="{length:.1f}" height="{BAR - 8}" fill="{colour}"/>',
            text_at(LABEL_WIDTH + length + 6, top + 15, bar.text),
        ]
    return document(BARS_WIDTH, 52 + len(shown) * BAR, body)


def _chart(chart: Chart) -> str:
    across, down = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM
    most = axis_end(max(chart.ys, default=0.0))
    first, last = (_place(chart, x) for x in (chart.xs[0], chart.xs[-1]))

    def at(x: float, y: float) -> tuple[float, float]:
        along = (_place(chart, x) - first) / ((last - first) or 1.0)
        return LEFT + along * across, TOP + down - y / most * down

    points = [at(x, y) for x, y in zip(chart.xs, chart.ys, strict=True)]
    parts = [text_at(LEFT, 20, chart.title, weight="bold")]
    for share in (0.0, 0.5, 1.0):
        y = TOP + down - share * down
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{PALE}" stroke-width="0.5"/>')
        parts.append(text_at(LEFT - 6, y + 4, short(share * most), anchor="end", size=10))
    for x in (chart.xs[0], chart.xs[-1]):
        parts.append(text_at(at(x, 0)[0], TOP + down + 15, short(x), anchor="middle", size=10))
    parts.append(text_at(LEFT + across / 2, HEIGHT - 8, chart.x_label, anchor="middle", size=11))
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    parts.append(f'<path d="M{path}" fill="none" stroke="{LINE}" stroke-width="2"/>')
    if chart.by_powers:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{LINE}"/>' for x, y in points]
    return "".join(parts)


def _place(chart: Chart, x: float) -> float:
    return math.log10(x) if chart.by_powers else x


def short(value: float) -> str:
    """A number for an axis: 1,500 is 1.5 k."""
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:g} {unit}"
    return f"{value:g}"


def axis_end(most: float) -> float:
    """The end of an axis that shows `most`: the next of 1, 2, 2.5, 5 and 10 times a power of ten."""
    if most <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(most))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= most)


def text_at(
    x: float, y: float, text: str, *, anchor: str = "start", size: int = 12, weight: str = "normal"
) -> str:
    """A line of text, with `anchor` (start, middle or end) at x."""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" '
        f'font-weight="{weight}" fill="{INK}">{escape(text)}</text>'
    )


def document(width: float, height: float, body: Sequence[str]) -> str:
    """The file, white behind its parts."""
    size = f'width="{width:g}" height="{height:g}" viewBox="0 0 {width:g} {height:g}"'
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif">',
            f'<rect width="{width:g}" height="{height:g}" fill="white"/>',
            *body,
            "</svg>\n",
        ]
    )
