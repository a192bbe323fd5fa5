"""A curve: something is measured at sizes that grow by tens, and each figure stays flat or says why not."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

Figures = dict[str, float]
"""A point's figures by their key."""

Measure = Callable[[Path, int, int], Figures]
"""Measures one point: an empty folder for its databases, the size, how many orders to measure with."""

FLAT = 1.5
"""A figure that grows by no more than this from the least size to any other is flat: CPU time varies by a
third on a machine that does other work."""


@dataclass(frozen=True)
class Figure:
    """One figure of a curve. `reason` says why it is not flat, where it need not be.

    Below `least` it is flat whatever it was before: twice nothing is nothing.
    """

    key: str
    title: str
    unit: str
    reason: str = ""
    least: float = 0.0

    def text(self, value: float) -> str:
        """The figure as a person reads it."""
        return f"{value:,.{0 if value >= 100 or value == int(value) else 1}f}"


@dataclass(frozen=True)
class Curve:
    """What grows (`of`), the sizes, and what is measured at each."""

    name: str
    of: str
    sizes: tuple[int, ...]
    figures: tuple[Figure, ...]
    measure: Measure
    told: str
    """What is measured, in a sentence."""


@dataclass(frozen=True)
class Drawn:
    """A curve with its points by size."""

    curve: Curve
    points: Mapping[int, Figures]
    unfinished: Sequence[int] = ()
    """Sizes that took too long to be measured."""

    def values(self, figure: Figure) -> list[float]:
        """The figure at each size."""
        return [point[figure.key] for point in self.points.values()]

    def growth(self, figure: Figure) -> float:
        """How many times its value at the least size a figure reaches."""
        first, *others = self.values(figure)
        most = max(others, default=first)
        return 1.0 if most <= figure.least else most / max(first, figure.least or first, 1e-9)

    def verdict(self, figure: Figure) -> str:
        """ "flat", the reason why not, or that there is none."""
        growth = self.growth(figure)
        if growth <= FLAT:
            return "flat"
        return f"x {growth:,.1f}: {figure.reason or 'nothing explains it'}"

    def unexplained(self) -> Sequence[Figure]:
        """Figures that grow for no reason that is known."""
        return [f for f in self.curve.figures if self.growth(f) > FLAT and not f.reason]
