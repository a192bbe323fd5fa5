"""One's own orders as JSON lines: `order-placed` events, sent as they are."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rehearsal.demo.events import Placed
from rehearsal.demo.invoices import NoOrdersError
from schemas.fields import milliseconds
from schemas.invalid import InvalidEvent
from schemas.orders import OrderPlaced
from schemas.parsing import parse
from schemas.topics import ORDER_PLACED


@dataclass(frozen=True, slots=True)
class OwnOrders:
    """Events by time, what they ask for by promotion and SKU, and how many lines are none."""

    placed: tuple[Placed, ...]
    demand: dict[str, Counter[str]]
    lines: int
    skipped: int


def read_lines(text: str) -> OwnOrders:
    """Events of a file with one JSON object a line.

    An order's `placedAt` (ISO 8601 with an offset) says when to send it, counted from the earliest; without
    it, at once. Raises NoOrdersError when no line is an `order-placed` event.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    read = list(_events(lines))
    if not read:
        raise NoOrdersError("There is not one line that is an order-placed event.")
    start_ms = min((at_ms for _, at_ms, _ in read if at_ms is not None), default=0)
    placed = [
        Placed((start_ms if at_ms is None else at_ms) / 1_000 - start_ms / 1_000, event.identity, value)
        for event, at_ms, value in read
    ]
    demand: dict[str, Counter[str]] = {}
    for event, _, _ in read:
        asked = demand.setdefault(event.order.promotion_id, Counter())
        asked.update(dict(event.normalised_items()))
    return OwnOrders(
        tuple(sorted(placed, key=lambda each: each.at_s)), demand, len(lines), len(lines) - len(read)
    )


def _events(lines: list[str]) -> Iterator[tuple[OrderPlaced, int | None, bytes]]:
    for line in lines:
        value = line.strip().encode()
        try:
            event = parse(ORDER_PLACED, value)
            at_ms = _placed_at_ms(json.loads(value)["order"])
        except (InvalidEvent, ValueError):
            continue
        if isinstance(event, OrderPlaced):
            yield event, at_ms, value


def _placed_at_ms(order: dict[str, Any]) -> int | None:
    at = order.get("placedAt")
    return None if at is None else milliseconds(str(at))
