"""What a shop sends in a long sale: orders of several kinds, repeats, conflicts, cancels, and bytes that say
nothing."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from schemas.topics import ORDER_CANCELLED, ORDER_PLACED
from tests.support.audit import order

PROMOTIONS = ("P", "Q")
SKUS = tuple(f"SKU-{number}" for number in range(40))
UNITS_AN_ORDER = 1.9
"""On average: one to three SKUs, one or two units of each."""

SHARE_SERVED = 0.7
"""So many of the units that are asked for are there: some SKUs sell out in the middle of the sale."""

REPEATED, CONFLICTING, CANCELLING, STRANGE, POISONED = 0.04, 0.01, 0.05, 0.003, 0.005
RECENT = 300
"""What is repeated, changed or cancelled is among so many newest orders: some are not decided yet."""


@dataclass(frozen=True, slots=True)
class Event:
    """A record to be sent to one of the input topics."""

    topic: str
    key: bytes | None
    value: bytes


def stock_for(orders: int) -> dict[tuple[str, str], int]:
    """Units to be set aside, by promotion and SKU; the later SKUs have fewer."""
    each = orders * UNITS_AN_ORDER * SHARE_SERVED / len(SKUS) / len(PROMOTIONS)
    return {
        (promotion, sku): max(1, round(each * (1.5 - place / len(SKUS))))
        for promotion in PROMOTIONS
        for place, sku in enumerate(SKUS)
    }


def events(orders: int, seed: int) -> Iterator[Event]:
    """`orders` different orders, and what comes with them, in the order of sending."""
    chance = random.Random(seed)
    recent: list[dict[str, Any]] = []
    for number in range(orders):
        placed = _order(chance, number)
        recent = [*recent[-RECENT:], placed]
        yield _event(chance, ORDER_PLACED, placed)
        yield from _besides(chance, number, recent)


def _order(chance: random.Random, number: int) -> dict[str, Any]:
    skus = chance.sample(SKUS, chance.choice([1, 1, 1, 1, 2, 3]))
    promotion = PROMOTIONS[chance.random() < 0.3]
    return order(f"O-{number}", promotion, *((sku, chance.choice([1, 1, 1, 2])) for sku in skus))


def _besides(chance: random.Random, number: int, recent: list[dict[str, Any]]) -> Iterator[Event]:
    if chance.random() < REPEATED:
        yield _event(chance, ORDER_PLACED, chance.choice(recent))
    if chance.random() < CONFLICTING:
        yield _event(chance, ORDER_PLACED, _changed(chance.choice(recent)))
    if chance.random() < CANCELLING:
        cancel = _cancel(chance, number, chance.choice(recent)["order"])
        yield from [_event(chance, ORDER_CANCELLED, cancel)] * chance.choice([1, 1, 1, 2])
    if chance.random() < STRANGE:
        yield _event(chance, ORDER_CANCELLED, {"order": {"ref": f"NEVER-{number}", "promotionId": "P"}})
    if chance.random() < POISONED:
        yield Event(ORDER_PLACED, None, b'{"order": %d' % number + chance.randbytes(chance.randrange(40)))


def _changed(placed: dict[str, Any]) -> dict[str, Any]:
    """The same identity with one more unit."""
    first, *others = placed["order"]["items"]
    items = [{**first, "quantity": first["quantity"] + 1}, *others]
    return {"order": {**placed["order"], "items": items}}


def _cancel(chance: random.Random, number: int, placed: dict[str, Any]) -> dict[str, Any]:
    """Of the whole order, or of one unit of it."""
    cancel = {"ref": placed["ref"], "promotionId": placed["promotionId"]}
    if chance.random() < 0.6:
        return {"order": cancel}
    item = {"sku": placed["items"][0]["sku"], "quantity": 1}
    return {"order": {**cancel, "cancellationRef": f"RMA-{number}", "items": [item]}}


def _event(chance: random.Random, topic: str, event: dict[str, Any]) -> Event:
    """Keyed by the order's ref (at home there and then), by something else, or not at all."""
    keys = (event["order"]["ref"], f"C-{chance.randrange(1_000)}", None)
    key = chance.choice(keys)
    return Event(topic, None if key is None else key.encode(), json.dumps(event).encode())
