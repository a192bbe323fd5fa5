"""A timeline as SVG: curves over one axis of seconds, above each other, and behind them what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.svg import INK, LINE, MARKED, PALE, axis_end, document, short, text_at

WIDTH, PANEL, LEFT, RIGHT, TOP, GAP = 900, 130, 60, 20, 34, 46
LEGEND_ROW = 18


@dataclass(frozen=True)
class Curve:
    """One figure over time."""

    title: str
    values: Sequence[float]


@dataclass(frozen=True)
class Span:
    """Something that went on for a while."""

    from_s: float
    to_s: float
    what: str


def timeline(seconds: Sequence[float], curves: Sequence[Curve], spans: Sequence[Span]) -> str:
    """Every curve has a value for each of `seconds`. Spans are numbered bands, told in a legend."""
    lasts_s = max(seconds, default=0.0) or 1.0
    bottom = TOP + len(curves) * (PANEL + GAP)
    body = [_band(number, span, lasts_s, bottom - GAP) for number, span in enumerate(spans, start=1)]
    for number, curve in enumerate(curves):
        body += _panel(curve, seconds, lasts_s, TOP + number * (PANEL + GAP))
    for number, span in enumerate(spans):
        told = f"{number + 1}  {span.from_s:.0f} to {span.to_s:.0f} s: {span.what}"
        body.append(text_at(LEFT, bottom + number * LEGEND_ROW, told, size=11))
    return document(WIDTH, bottom + len(spans) * LEGEND_ROW, body)


def _across(at_s: float, lasts_s: float) -> float:
    return LEFT + at_s / lasts_s * (WIDTH - LEFT - RIGHT)


def _band(number: int, span: Span, lasts_s: float, bottom: float) -> str:
    left, right = _across(span.from_s, lasts_s), _across(span.to_s, lasts_s)
    place = f'x="{left:.1f}" y="{TOP}" width="{max(1.0, right - left):.1f}" height="{bottom - TOP:.1f}"'
    label = text_at((left + right) / 2, TOP - 4, str(number), anchor="middle", size=10)
    return f'<rect {place} fill="{MARKED}" fill-opacity="0.1" stroke="{MARKED}" stroke-width="0.5"/>{label}'


def _panel(curve: Curve, seconds: Sequence[float], lasts_s: float, top: float) -> list[str]:
    most = axis_end(max(curve.values, default=0.0))
    parts = [text_at(LEFT, top - 16, curve.title, weight="bold")]
    for share in (0.0, 0.5, 1.0):
        y = top + PANEL * (1 - share)
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="{PALE}" stroke-width="0.5"/>')
        parts.append(text_at(LEFT - 6, y + 4, short(share * most), anchor="end", size=10))
    for at_s in (0.0, lasts_s):
        x = _across(at_s, lasts_s)
        parts.append(text_at(x, top + PANEL + 14, f"{at_s:.0f} s", anchor="middle", size=10))
    points = [
        f"{_across(at_s, lasts_s):.1f} {top + PANEL * (1 - value / most):.1f}"
        for at_s, value in zip(seconds, curve.values, strict=True)
    ]
    if points:
        parts.append(f'<path d="M{"L".join(points)}" fill="none" stroke="{LINE}" stroke-width="1.5"/>')
    parts.append(f'<path d="M{LEFT} {top:.1f}V{top + PANEL:.1f}" stroke="{INK}" stroke-width="0.5"/>')
    return parts
