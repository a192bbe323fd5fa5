"""The orders: the same ones for everybody, in three shapes, and what has to come out."""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

Key = Literal["ref", "sku"]
"""What a producer keys its orders by: the order's ref, or its (first) SKU."""

PROMOTION = "BENCH"
SKUS = 1_000
HOT_SHARE = 0.9
REPEATED_EVERY = 1_000
"""Every so many orders one is sent twice, as producers do after a time-out."""

REPEATED_AFTER = 50
"""So many orders later."""

ENOUGH = 0.95
"""So much of what the busiest SKU is asked for is there: some orders are refused."""


@dataclass(frozen=True)
class Workload:
    """Orders of one unit a line. `lines` are the least and the most that an order has."""

    name: str
    told: str
    lines: tuple[int, int] = (1, 1)
    hot: bool = False


WORKLOADS = (
    Workload("spread", f"orders of one line over {SKUS:,} SKUs"),
    Workload("hot", f"orders of one line, nine of ten for the same of {SKUS:,} SKUs", hot=True),
    Workload("baskets", f"orders of 3 to 5 lines over {SKUS:,} SKUs", lines=(3, 5)),
)


@dataclass(frozen=True)
class Orders:
    """What is sent in a run, repeats included."""

    events: Sequence[tuple[str, tuple[str, ...]]]
    """(order ref, SKUs), in order of sending."""
    units: int
    """What is there of each SKU."""
    asked: Counter[str] = field(default_factory=Counter)
    """Units asked for by SKU, each order counted once."""

    def records(self, key: Key) -> Iterator[tuple[bytes, bytes]]:
        """(key, value) for the topic of orders."""
        for ref, skus in self.events:
            items = [{"sku": sku, "quantity": 1} for sku in skus]
            event = {"order": {"ref": ref, "promotionId": PROMOTION, "items": items}}
            yield (ref if key == "ref" else skus[0]).encode(), json.dumps(event).encode()


def make(workload: Workload, count: int) -> Orders:
    """`count` orders, the same ones each time."""
    chance = random.Random(7)
    events: list[tuple[str, tuple[str, ...]]] = []
    asked: Counter[str] = Counter()
    for number in range(count):
        skus = _skus(workload, chance)
        events.append((f"ORD-{number}", skus))
        asked.update(skus)
        if number % REPEATED_EVERY == REPEATED_AFTER:
            events.append(events[-1 - REPEATED_AFTER])
    return Orders(events, max(1, int(max(asked.values()) * ENOUGH)), asked)


def _skus(workload: Workload, chance: random.Random) -> tuple[str, ...]:
    if workload.hot:
        return (f"SKU-{0 if chance.random() < HOT_SHARE else chance.randrange(SKUS)}",)
    numbers = chance.sample(range(SKUS), chance.randint(*workload.lines))
    return tuple(f"SKU-{number}" for number in numbers)
