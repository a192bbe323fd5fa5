"""A sale small enough to be read: an order, another with its conflict and its repeat, a cancel, and noise."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import msgspec

from tests.audit.evidence import (
    CHANGELOG,
    DEAD_LETTERS,
    ORDER_CANCELLED,
    ORDER_PLACED,
    OUTCOMES,
    PROMOTION_END,
    PROMOTION_START,
    RELEASES,
    REPORTS,
    RESULTS,
    Evidence,
    Record,
    Source,
)

NOON_MS = 1_800_000_000_000
EXPIRES = "2027-01-15T09:00:00.000Z"
"""An hour after noon, which is the time of the start."""


def at(seconds: float) -> str:
    """A time as the answers have it, some seconds after the start."""
    whole, rest = divmod(round(seconds * 1_000), 1_000)
    return f"2027-01-15T08:{whole // 60:02}:{whole % 60:02}.{rest:03}Z"


def encoded(value: Any) -> bytes:
    """JSON, as it goes over the wire."""
    return json.dumps(value).encode()


def order(ref: str, *lines: tuple[str, int]) -> bytes:
    """An order of promotion P, or a cancel where it has no lines."""
    items = {"items": [{"sku": sku, "quantity": quantity} for sku, quantity in lines]} if lines else {}
    return encoded({"order": {"ref": ref, "promotionId": "P", **items}})


def outcome(ref: str, *lines: tuple[str, int, str], seconds: float = 10, **more: Any) -> bytes:
    """Lines are (SKU, quantity, reason); without a reason the line is taken."""
    results = [
        {"sku": sku, "quantity": quantity, "consumed": not reason, **({"reason": reason} if reason else {})}
        for sku, quantity, reason in lines
    ]
    whole = {"orderRef": ref, "promotionId": "P", "consumeResults": results, "decidedAt": at(seconds)}
    taken = [not reason for *_, reason in lines]
    what = "ACCEPTED" if taken and all(taken) else "PARTIAL" if any(taken) else "REJECTED"
    return encoded({**whole, "outcome": what, "revision": 1, **more})


def answer(source: Source, value: bytes, seconds: float = 10, **more: str) -> Record:
    """A record that answers `source`."""
    topic, partition, offset = source
    headers = {"source-topic": topic, "source-partition": str(partition), "source-offset": str(offset)}
    return Record(0, 0, NOON_MS + round(seconds * 1_000), None, value, {**headers, **more})


def log(*values: bytes, seconds: float = 5) -> list[Record]:
    """A topic of one partition, its records a millisecond apart."""
    first_ms = NOON_MS + round(seconds * 1_000)
    return [Record(0, offset, first_ms + offset, None, value) for offset, value in enumerate(values)]


def row(kind: bytes, value: list[Any] | None, *key: str) -> Record:
    """A record of the changelog; a row that is deleted has no value."""
    physical = kind + "\0".join(key).encode()
    return Record(0, 0, NOON_MS, physical, msgspec.msgpack.encode(value) if value else b"")


def reservation(quantity: int, reserved: int, claimed: int) -> list[Any]:
    """A reservation's row, up to what the auditor reads of it."""
    return ["ACTIVE", "", quantity, reserved, claimed]


def line(sku: str, reserved: int, consumed: int, **more: Any) -> dict[str, Any]:
    """A line of the FINAL report."""
    figures = {"reserved": reserved, "consumed": consumed, "released": reserved - consumed}
    rest = {"cancelled": 0, "rejectedUnits": 0, "rejectedOrders": 0, "fluent": {"held": 0}, "drift": 0}
    return {"sku": sku, **figures, **rest, **more}


def final(*lines: dict[str, Any], revision: int = 1, **more: Any) -> bytes:
    """A FINAL report."""
    return encoded({"promotionId": "P", "kind": "FINAL", "lines": lines, "revision": revision, **more})


def release(sku: str, reserved: int, consumed: int, cause: str = "ENDED", **more: str) -> bytes:
    """The end of a hold."""
    figures = {"reserved": reserved, "consumed": consumed, "released": reserved - consumed}
    return encoded({"promotionId": "P", "sku": sku, "cause": cause, **figures, **more})


PLACED = (order("O-1", ("A", 1), ("B", 1)), order("O-2", ("A", 2)), order("O-2", ("A", 1)), b"{",
          order("O-2", ("A", 2)), order("O-3", ("A", 1)))  # fmt: skip
STANDING = outcome("O-2", ("A", 2, ""), seconds=11)
GIVEN_BACK = [{"sku": sku, "quantity": 1, "cancelled": True} for sku in ("A", "B")]
AFTER_CANCEL: dict[str, Any] = {"outcome": "CANCELLED", "revision": 2, "cancelResults": GIVEN_BACK}


def small_sale() -> Evidence:
    """3 units of A and 5 of B; O-1 takes one of each and gives them back, O-2 takes 2, O-3 is turned away."""
    start = {"id": "P", "skus": [{"sku": "A", "quantity": 3}, {"sku": "B", "quantity": 5}]}
    reserved = [
        {"sku": sku, "success": True, "quantity": quantity, "expiresAt": EXPIRES}
        for sku, quantity in (("A", 3), ("B", 5))
    ]
    taken = outcome("O-1", ("A", 1, ""), ("B", 1, ""))
    back = outcome("O-1", ("A", 1, ""), ("B", 1, ""), seconds=20, **AFTER_CANCEL)
    return Evidence(
        {
            PROMOTION_START: log(encoded({"promotion": {**start, "durationMinutes": 60}}), seconds=0),
            PROMOTION_END: log(encoded({"promotion": {"id": "P"}}), seconds=60),
            ORDER_PLACED: log(*PLACED),
            ORDER_CANCELLED: log(order("O-1"), seconds=15),
            RESULTS: [
                answer((PROMOTION_START, 0, 0), encoded({"promotionId": "P", "reservations": reserved}), 1)
            ],
            OUTCOMES: [
                answer((ORDER_PLACED, 0, 0), taken),
                answer((ORDER_PLACED, 0, 1), STANDING),
                answer((ORDER_PLACED, 0, 4), STANDING),
                answer((ORDER_PLACED, 0, 5), outcome("O-3", ("A", 1, "EXHAUSTED"), seconds=12)),
                answer((ORDER_CANCELLED, 0, 0), back),
            ],
            DEAD_LETTERS: [
                answer((ORDER_PLACED, 0, 2), PLACED[2], reason="CONFLICT"),
                answer((ORDER_PLACED, 0, 3), b"{", reason="INVALID"),
            ],
            RELEASES: log(release("A", 3, 2), release("B", 5, 0)),
            REPORTS: log(
                final(
                    line("A", 3, 2, cancelled=1, rejectedUnits=1, rejectedOrders=1),
                    line("B", 5, 0, cancelled=1),
                )
            ),
            CHANGELOG: [
                row(b"RR", reservation(3, 0, 0), "P", "A"),
                row(b"RR", reservation(3, 3, 3), "P", "A"),
                row(b"RC", [2, ""], "P", "A", "O-2"),
                row(b"RC", None, "P", "A", "O-2"),
                row(b"RR", reservation(3, 3, 2), "P", "A"),
                row(b"RR", reservation(5, 5, 0), "P", "B"),
            ],
        },
        all_or_nothing=False,
        forgotten=True,
        stock={"A": 10, "B": 10},
        truth={"A": {"held": 0, "available": 8}, "B": {"held": 0, "available": 10}},
        journal=[{"atMs": NOON_MS + 30_000, "sku": "A", "onHand": 10, "held": 0, "available": 8}],
        tables={
            0: {
                b"RRP\0A": msgspec.msgpack.encode(reservation(3, 3, 2)),
                b"RRP\0B": msgspec.msgpack.encode(reservation(5, 5, 0)),
            }
        },
    )


def instead(sale: Evidence, topic: str, place: int, *records: Record) -> Evidence:
    """The same sale with other records at one place of a topic; none leaves a hole."""
    there = sale.records[topic]
    return replace(sale, records={**sale.records, topic: [*there[:place], *records, *there[place + 1 :]]})


def besides(sale: Evidence, topic: str, *records: Record) -> Evidence:
    """The same sale with more records in a topic."""
    return replace(sale, records={**sale.records, topic: [*sale.records[topic], *records]})
