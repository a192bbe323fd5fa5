"""What a merchant wants to know, on standard output: promotions, why people were turned away, the proof."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from rehearsal.demo.evidence import Evidence
from rehearsal.demo.proof import Line

UNLIMITED_WIDTH = 200
"""Characters of a line that goes into a file or a pipe."""

ORDER_COLUMNS = ("orders", "whole", "in part", "refused")
UNIT_COLUMNS = ("reserved", "sold", "cancelled", "released", "turned away")
TOTALS = ("reserved", "consumed", "cancelled", "released", "rejectedUnits")


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
