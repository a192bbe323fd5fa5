"""The shop's order flow in Fluent, and a watch over Fluent's availability while the sale runs."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from schemas.topics import ORDER_OUTCOMES
from tests.simulation.broker import Broker, Record
from tests.simulation.fluent import Fluent

Order = tuple[str, str]


class Shop:
    """Reads outcomes as a shop does: each record once, however often it comes."""

    def __init__(self, broker: Broker, fluent: Fluent, rng: random.Random, *, books: bool) -> None:
        self.broker = broker
        self.fluent = fluent
        self.rng = rng
        self.books = books
        self.sold: dict[str, dict[Order, int]] = {}
        """Units by SKU and order, as the outcomes say."""
        self.watchers: list[Callable[[str], None]] = []
        """Told of each SKU of which units were sold or given back."""
        self._seen: set[bytes] = set()
        """By their bytes: an order that was forgotten meanwhile counts its revisions anew."""
        broker.listeners[ORDER_OUTCOMES].append(self._hear)

    def _hear(self, _: int, record: Record) -> None:
        if record.value in self._seen:
            return
        self._seen.add(record.value)
        outcome = json.loads(record.value)
        order = (outcome["orderRef"], outcome["promotionId"])
        for sku, units in has_now(outcome, order, self.sold):
            self.sold.setdefault(sku, {})[order] = units
            if self.books:
                self.broker.clock.after(self.rng.randint(10, 5_000), partial(self._book, sku, order))
            for watcher in self.watchers:
                watcher(sku)

    def _book(self, sku: str, order: Order) -> None:
        """RESERVED is what the order has now."""
        self.fluent.stocks[sku].booked["/".join(order)] = self.sold[sku][order]

    def sold_units(self, sku: str, *, without: set[Order]) -> int:
        """Units of a SKU that were sold and not given back, leaving out some orders."""
        return sum(units for order, units in self.sold.get(sku, {}).items() if order not in without)


def has_now(
    outcome: dict[str, Any], order: Order, sold: Mapping[str, Mapping[Order, int]]
) -> list[tuple[str, int]]:
    """What an order has of each SKU of which a record tells something, `sold` being what it had before.

    The answer to an order says what it has, also where it was forgotten and placed again: maybe more than was
    ever told, because what was refused then is taken now, and never the same units twice. The answer to a
    cancel says what was given back.
    """
    if "cancelResults" in outcome:
        return [
            (line["sku"], sold[line["sku"]][order] - line["quantity"])
            for line in outcome["cancelResults"]
            if line["cancelled"]
        ]
    return [(line["sku"], line["quantity"]) for line in outcome["consumeResults"] if line["consumed"]]
