"""What the shop sends: the events that invoices amount to, or a file's own events as they are.

An invoice becomes an order for each promotion that its basket touches, a cancellation a cancel for each order
that it means.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from rehearsal.demo.invoices import Invoice, Line, NoOrdersError
from schemas.invalid import InvalidEvent
from schemas.orders import OrderPlaced
from schemas.parsing import parse
from schemas.times import milliseconds
from schemas.topics import ORDER_PLACED

Identity = tuple[str, str]
"""(order ref, promotion id)"""


@dataclass(frozen=True, slots=True)
class Placed:
    """An `order-placed` event, ready to send `at_s` seconds after the first one."""

    at_s: float
    identity: Identity
    value: bytes


@dataclass(frozen=True, slots=True)
class Cancel:
    """An `order-cancelled` event. `known`: the order is one of ours, so its decision comes first."""

    at_s: float
    identity: Identity
    value: bytes
    known: bool


Event: TypeAlias = Placed | Cancel
"""What a shop's checkout sends."""


def items_of(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """Lines as they stand in messages; a product that stands on two lines stays on two."""
    return [{"sku": line.sku, "quantity": line.quantity} for line in lines]


def placed_value(identity: Identity, lines: Sequence[Line]) -> bytes:
    """Value of an `order-placed` record."""
    ref, promotion = identity
    return _json({"order": {"ref": ref, "promotionId": promotion, "items": items_of(lines)}})


def cancelled_value(identity: Identity, cancellation_ref: str, lines: Sequence[Line] = ()) -> bytes:
    """Value of an `order-cancelled` record; without lines the whole order."""
    order: dict[str, Any] = {
        "ref": identity[0],
        "promotionId": identity[1],
        "cancellationRef": cancellation_ref,
    }
    if lines:
        order["items"] = items_of(lines)
    return _json({"order": order})


def orders_of(invoice: Invoice, promotion_of: Mapping[str, str], suffix: str = "") -> Iterator[Placed]:
    """One event per promotion that the invoice touches, with the lines of that promotion as they are."""
    for promotion, lines in _by_promotion(invoice, promotion_of).items():
        identity = (invoice.number + suffix, promotion)
        yield Placed(invoice.at_s, identity, placed_value(identity, lines))


def cancels_of(
    invoice: Invoice, earlier: Sequence[Invoice], promotion_of: Mapping[str, str], suffix: str = ""
) -> Iterator[Cancel]:
    """The cancels that a C-invoice amounts to.

    Each line is meant for the customer's latest earlier order of the product. Where there is none, the cancel
    goes out under the C-invoice's own number: an order that nobody knows.
    """
    meant: dict[tuple[Identity, bool], list[Line]] = {}
    for promotion, lines in _by_promotion(invoice, promotion_of).items():
        for line in lines:
            order = _latest(invoice.customer, line.sku, earlier)
            identity = ((order or invoice).number + suffix, promotion)
            meant.setdefault((identity, order is not None), []).append(line)
    for (identity, known), lines in meant.items():
        value = cancelled_value(identity, invoice.number + suffix, lines)
        yield Cancel(invoice.at_s, identity, value, known)


def round_of(
    invoices: Sequence[Invoice], promotion_of: Mapping[str, str], suffix: str = ""
) -> tuple[list[Placed], list[Cancel]]:
    """All events of one replay of the invoices, their refs told apart by `suffix`."""
    placed: list[Placed] = []
    cancels: list[Cancel] = []
    for place, invoice in enumerate(invoices):
        if invoice.cancels:
            cancels += cancels_of(invoice, invoices[:place], promotion_of, suffix)
        else:
            placed += orders_of(invoice, promotion_of, suffix)
    return placed, cancels


def _latest(customer: str, sku: str, earlier: Sequence[Invoice]) -> Invoice | None:
    if not customer:
        return None
    for invoice in reversed(earlier):
        if (
            invoice.customer == customer
            and not invoice.cancels
            and any(line.sku == sku for line in invoice.lines)
        ):
            return invoice
    return None


def _by_promotion(invoice: Invoice, promotion_of: Mapping[str, str]) -> dict[str, list[Line]]:
    found: dict[str, list[Line]] = {}
    for line in invoice.lines:
        if line.sku in promotion_of:
            found.setdefault(promotion_of[line.sku], []).append(line)
    return found


def _json(message: Any) -> bytes:
    return json.dumps(message, separators=(",", ":"), ensure_ascii=False).encode()


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
    read = list(_own(lines))
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


def _own(lines: list[str]) -> Iterator[tuple[OrderPlaced, int | None, bytes]]:
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
