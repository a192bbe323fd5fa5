"""Input records as the auditor reads them: what an event is, what it says, and whether it says anything."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tests.audit.evidence import ORDER_CANCELLED, ORDER_PLACED, PROMOTION_END, PROMOTION_START, Record

MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True)
class Event:
    """An input record that can be read. `identity` says which event it is, `content` what it says."""

    topic: str
    at_ms: int
    name: tuple[str, ...]
    """(order ref, promotion) or (promotion,)."""
    identity: Any
    content: Any
    body: dict[str, Any]


def read_event(topic: str, record: Record) -> Event | None:
    """The event of an input record, or None where it says nothing that could be decided."""
    try:
        body = json.loads(record.value)["promotion" if topic.startswith("promotion") else "order"]
        return _event(topic, record.at_ms, body)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _event(topic: str, at_ms: int, body: dict[str, Any]) -> Event:
    if topic == PROMOTION_END:
        name = (_text(body["id"]),)
        return Event(topic, at_ms, name, (topic, *name), None, body)
    if topic == PROMOTION_START:
        name = (_text(body.get("id") or body["ref"]),)
        content = (_lines(body["skus"]), body.get("durationMinutes"), body.get("expiresAt"))
        return Event(topic, at_ms, name, (topic, *name), content, body)
    order = (_text(body["ref"]), _text(body["promotionId"]))
    lines = _lines(body["items"]) if topic == ORDER_PLACED or "items" in body else frozenset()
    which = (body.get("cancellationRef") or lines,) if topic == ORDER_CANCELLED else ()
    return Event(topic, at_ms, order, (topic, *order, *which), lines, body)


def _lines(items: list[dict[str, Any]]) -> frozenset[tuple[str, int]]:
    """Lines by SKU, whatever their order; a SKU on two lines is summed."""
    units: dict[str, int] = {}
    for item in items:
        sku = _text(item["sku"])
        units[sku] = units.get(sku, 0) + _count(item["quantity"])
    return frozenset(units.items())


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError(value)
    return value


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise ValueError(value)
    return value
