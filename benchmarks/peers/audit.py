"""The same audit for everybody: reads all outcomes back and compares them with what was ordered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from benchmarks.peers.workload import Orders


class _Result(msgspec.Struct, rename="camel"):
    sku: str
    quantity: int
    consumed: bool


class _Outcome(msgspec.Struct, rename="camel"):
    order_ref: str
    consume_results: list[_Result]


Decision = tuple[tuple[str, bool], ...]
"""(SKU, whether it was taken) of an order's lines, sorted."""

_decode = msgspec.json.Decoder(_Outcome).decode


def find_faults(orders: Orders, outcomes: Iterable[bytes]) -> list[str]:
    """What is wrong, in sentences; empty when all is well.

    Every event has one outcome, a repeat the same one, with an answer for each line of the order. Of each SKU
    exactly what was there is taken, if so much was asked for.
    """
    decided: dict[str, list[Decision]] = {}
    for value in outcomes:
        outcome = _decode(value)
        lines = tuple(sorted((result.sku, result.consumed) for result in outcome.consume_results))
        decided.setdefault(outcome.order_ref, []).append(lines)
    asked = {ref: tuple(sorted(skus)) for ref, skus in orders.events}
    events = Counter(ref for ref, _ in orders.events)
    found = {
        "{} orders have no outcome": sum(ref not in decided for ref in asked),
        "{} outcomes are of no order": sum(ref not in asked for ref in decided),
        "{} orders have another number of outcomes than events": sum(
            len(decisions) != events[ref] for ref, decisions in decided.items()
        ),
        "{} orders were decided differently when they were repeated": sum(
            len(set(decisions)) > 1 for decisions in decided.values()
        ),
        "{} orders have other lines than were asked for": sum(
            tuple(sku for sku, _ in decisions[0]) != asked.get(ref) for ref, decisions in decided.items()
        ),
        **_stock_faults(orders, decided),
    }
    return [sentence.format(count) for sentence, count in found.items() if count]


def _stock_faults(orders: Orders, decided: dict[str, list[Decision]]) -> dict[str, int]:
    taken: Counter[str] = Counter()
    for decisions in decided.values():
        taken.update(sku for sku, consumed in decisions[0] if consumed)
    due = {sku: min(orders.units, units) for sku, units in orders.asked.items()}
    return {
        "{} SKUs are oversold": sum(taken[sku] > units for sku, units in due.items()),
        "{} SKUs have units left although orders were refused": sum(
            taken[sku] < units for sku, units in due.items()
        ),
    }
