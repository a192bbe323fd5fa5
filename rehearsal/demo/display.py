"""What people see: on standard error what is going on, on standard output the figures and the proof."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from rehearsal.demo.evidence import Evidence
from rehearsal.demo.proof import Line
from rehearsal.demo.topics import Tally

PLAIN_EVERY_S = 2.0
BAR_WIDTH = 30
REFRESH_PER_SECOND = 8
UNLIMITED_WIDTH = 200
"""Characters of a line that goes into a file or a pipe."""

ORDER_COLUMNS = ("orders", "whole", "in part", "refused")
UNIT_COLUMNS = ("reserved", "sold", "cancelled", "released", "turned away")
TOTALS = ("reserved", "consumed", "cancelled", "released", "rejectedUnits")


class Progress:
    """Lines on standard error with the seconds since the demo began; a bar where somebody watches."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(
            stderr=True, markup=False, emoji=False, highlight=False, soft_wrap=True
        )
        self._began = time.monotonic()
        self._live: Live | None = None
        self._next_plain = 0.0

    @property
    def elapsed_s(self) -> float:
        """Seconds since the demo began."""
        return time.monotonic() - self._began

    def say(self, line: str) -> None:
        """One line."""
        self._console.print(f"{self.elapsed_s:5.1f} s  {line}")

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Say a phase's name and how long it took when it is over."""
        began = time.monotonic()
        yield
        self.say(f"{name} ({time.monotonic() - began:.1f} s)")

    @contextmanager
    def rush(self) -> Iterator[None]:
        """While this lasts, `show` draws a bar on a terminal."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, refresh_per_second=REFRESH_PER_SECOND, transient=True) as self._live:
            yield
        self._live = None

    def show(self, tally: Tally) -> None:
        """The figures now; without a terminal a line every `PLAIN_EVERY_S` seconds."""
        if self._live is not None:
            self._live.update(_bar(tally))
        elif time.monotonic() >= self._next_plain:
            self._next_plain = time.monotonic() + PLAIN_EVERY_S
            self.say(tally.sentence)


def _bar(tally: Tally) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_row(
        ProgressBar(total=max(1, tally.sent), completed=tally.decided, width=BAR_WIDTH), tally.sentence
    )
    return grid


def console() -> Console:
    """Standard output. Texts are data: no markup, no emoji, no guessed highlights."""
    plain = Console(markup=False, emoji=False, highlight=False)
    if plain.is_terminal:
        return plain
    return Console(markup=False, emoji=False, highlight=False, width=UNLIMITED_WIDTH)


def rows_of(evidence: Evidence) -> list[tuple[str, tuple[int, ...]]]:
    """A row per promotion, and their sum: orders by how they were served, then units."""
    rows = [(name, orders_of(evidence, name) + _units_of(evidence, name)) for name in evidence.promotions]
    sums = tuple(sum(column) for column in zip(*(figures for _, figures in rows), strict=True))
    return [*rows, ("together", sums)]


def orders_of(evidence: Evidence, promotion: str) -> tuple[int, int, int, int]:
    """Orders of a promotion: all, those that got everything when decided, something, nothing."""
    served = Counter(
        _served(evidence.states[identity]["consumeResults"])
        for identity in evidence.decided
        if identity[1] == promotion
    )
    return sum(served.values()), served["whole"], served["in part"], served["refused"]


def reasons_of(evidence: Evidence) -> Counter[str]:
    """How many lines of orders got nothing, by reason, and cancels of unknown orders."""
    reasons: Counter[str] = Counter()
    for outcome in evidence.states.values():
        if outcome.get("reason"):
            reasons[f"{outcome['reason']} (a cancel of an order that nobody knows)"] += 1
        reasons.update(line["reason"] for line in outcome["consumeResults"] if not line["consumed"])
    return reasons


def show(evidence: Evidence, lines: Sequence[Line]) -> None:
    """Print the table, the reasons and the proof."""
    out = console()
    table = Table(box=SIMPLE, pad_edge=False, show_footer=True)
    *rows, (together, sums) = rows_of(evidence)
    table.add_column("promotion", together)
    for column, figure in zip((*ORDER_COLUMNS, *UNIT_COLUMNS), sums, strict=True):
        table.add_column(column, f"{figure:,}", justify="right")
    for name, figures in rows:
        table.add_row(name, *(f"{figure:,}" for figure in figures))
    out.print("\nOrders, then units; cancelled units were sold again or released.")
    out.print(table)
    out.print("Turned away because:", _listed(reasons_of(evidence).most_common()))
    out.print("\nProof, read back from the topics and from Fluent:")
    for line in lines:
        out.print(f"  {'ok  ' if line.holds else 'FAIL'}  {line.promise}: {line.figures}", soft_wrap=True)


def _units_of(evidence: Evidence, promotion: str) -> tuple[int, ...]:
    final = evidence.finals.get(promotion)
    return tuple(0 if final is None else final.totals[name] for name in TOTALS)


def _served(results: Iterable[dict[str, Any]]) -> str:
    consumed = [line["consumed"] for line in results]
    return "whole" if all(consumed) else "in part" if any(consumed) else "refused"


def _listed(reasons: Iterable[tuple[str, int]]) -> str:
    return " · ".join(f"{reason} {count:,}" for reason, count in reasons) or "nobody was"
