"""The negative control: the way of the template, read how many are left, then write what is left then.

Several workers share a store, each a round trip away. The orders of a long sale oversell here; an audit that
did not say so would be worth nothing.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from tests.audit.evidence import INPUTS, ORDER_PLACED, OUTCOMES, RESULTS, Evidence, Record, Subject
from tests.faults.long_sale.events import events, stock_for
from tests.simulation.broker import Clock

NOON_MS = 1_800_000_000_000
PER_SECOND = 500
ROUND_TRIP_MS = (1, 5)
"""To the store and back, in the same data centre."""


@dataclass
class Naive:
    """`atomic` writes at the moment of reading, which no store across a network does by itself."""

    clock: Clock
    left: dict[Subject, int]
    chance: random.Random
    atomic: bool
    outcomes: list[Record] = field(default_factory=list)

    def place(self, offset: int, order: Mapping[str, Any]) -> None:
        """Read what is left of each SKU, and write a round trip later."""
        seen = {item["sku"]: self.left[order["promotionId"], item["sku"]] for item in order["items"]}
        if self.atomic:
            self._write(offset, order, seen)
        else:
            later_ms = self.chance.randint(*ROUND_TRIP_MS)
            self.clock.after(later_ms, partial(self._write, offset, order, seen))

    def _write(self, offset: int, order: Mapping[str, Any], seen: dict[str, int]) -> None:
        results = []
        for item in order["items"]:
            sku, quantity = item["sku"], item["quantity"]
            consumed = seen[sku] >= quantity
            if consumed:
                self.left[order["promotionId"], sku] = seen[sku] - quantity
            results.append({"sku": sku, "quantity": quantity, "consumed": consumed})
        taken = [each["consumed"] for each in results]
        what = "ACCEPTED" if all(taken) else "PARTIAL" if any(taken) else "REJECTED"
        self._tell(offset, {"orderRef": order["ref"], "promotionId": order["promotionId"], "outcome": what,
                            "revision": 1, "decidedAt": "2027-01-15T08:00:00.000Z",
                            "consumeResults": results})  # fmt: skip

    def _tell(self, offset: int, outcome: dict[str, Any]) -> None:
        source = {"source-topic": ORDER_PLACED, "source-partition": "0", "source-offset": str(offset)}
        value = json.dumps(outcome).encode()
        self.outcomes.append(Record(0, len(self.outcomes), self.clock.now_ms, None, value, source))


def naive_sale(orders: int, seed: int, *, atomic: bool = False) -> Evidence:
    """The orders of a long sale, each once, decided by naive workers."""
    clock, stock = Clock(NOON_MS), stock_for(orders)
    naive = Naive(clock, dict(stock), random.Random(seed), atomic)
    placed: list[Record] = []
    known: set[str] = set()
    for event in events(orders, seed):
        if event.topic != ORDER_PLACED or not event.value.startswith(b'{"order": {"ref"'):
            continue
        order = json.loads(event.value)["order"]
        if order["ref"] not in known:
            known.add(order["ref"])
            at_ms = NOON_MS + len(placed) * 1_000 // PER_SECOND
            clock.plan(at_ms, partial(naive.place, len(placed), order))
            placed.append(Record(0, len(placed), at_ms, event.key, event.value))
    clock.run(4 * orders)
    records = {**{topic: [] for topic in INPUTS}, ORDER_PLACED: placed, OUTCOMES: naive.outcomes}
    return Evidence({**records, RESULTS: _results(stock)}, over=False)


def _results(stock: Mapping[Subject, int]) -> list[Record]:
    reservations = [
        {"promotionId": promotion, "reservations": [
            {"sku": sku, "success": True, "quantity": units, "expiresAt": "2027-01-16T08:00:00.000Z"}]}
        for (promotion, sku), units in stock.items()
    ]  # fmt: skip
    source = {"source-topic": "promotion-start", "source-partition": "0"}
    return [
        Record(0, offset, NOON_MS, None, json.dumps(each).encode(), {**source, "source-offset": str(offset)})
        for offset, each in enumerate(reservations)
    ]
