"""What else touches the stock: Fluent's order flow, which books accepted orders, and other channels."""

from __future__ import annotations

import hashlib
import json
import random
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field

from rehearsal.fluent.auditor import Auditor
from rehearsal.fluent.records import BOOKED, LIVE, MAX_REF_CHARACTERS, Kind, Position, Status
from rehearsal.fluent.store import Store
from rehearsal.fluent.switches import Sale, Wire


class Item(Wire):
    sku: str
    quantity: int = Field(gt=0, strict=True)


class OrderRequest(Wire):
    ref: str = Field(min_length=1)
    items: list[Item] = Field(min_length=1)


class CancelRequest(Wire):
    ref: str = Field(min_length=1)
    items: list[Item] | None = None
    cancellation_ref: str | None = None


class OrderRefused(Exception):
    """An order or cancel that the order flow cannot book; ``status`` is the HTTP status of the answer."""

    def __init__(self, status: int, error: str, recommendation: str) -> None:
        super().__init__(error)
        self.status = status
        self.body = {"error": error, "recommendation": recommendation}


@dataclass
class _Order:
    wanted: dict[str, int]
    answer: dict[str, Any]
    bookings: dict[str, list[str]]
    cancels: dict[str, dict[str, Any]] = field(default_factory=dict)


def _summed(items: list[Item]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for item in items:
        sums[item.sku] = sums.get(item.sku, 0) + item.quantity
    return sums


def _short(ref: str) -> str:
    if len(ref) <= MAX_REF_CHARACTERS:
        return ref
    return f"{ref[: MAX_REF_CHARACTERS - 17]}~{hashlib.sha256(ref.encode()).hexdigest()[:16]}"


class OrderFlow:
    """Books RESERVED quantities for orders that were accepted elsewhere.

    It refuses none for want of stock: an order too many must show, as ``available`` below zero.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._orders: dict[str, _Order] = {}

    def book(self, order: OrderRequest) -> dict[str, Any]:
        """Once per ref: a repeat gets the first answer, other items under the same ref are refused (409)."""
        wanted = _summed(order.items)
        known = self._orders.get(order.ref)
        if known is not None:
            if known.wanted != wanted:
                raise OrderRefused(
                    409, f"order {order.ref!r} was booked with other items", "Give each order its own ref."
                )
            return known.answer
        for sku in wanted:
            if not self._store.positions_of(sku):
                raise OrderRefused(
                    422, f"order {order.ref!r}: no position has SKU {sku!r}", "Name a SKU of the stock file."
                )
        bookings = {sku: self._book_sku(order.ref, sku, units) for sku, units in wanted.items()}
        answer = {
            "ref": order.ref,
            "status": "BOOKED",
            "items": [{"sku": sku, "quantity": units} for sku, units in wanted.items()],
        }
        self._orders[order.ref] = _Order(wanted, answer, bookings)
        return answer

    def _book_sku(self, ref: str, sku: str, units: int) -> list[str]:
        refs = []
        for position, part in allocate(self._store, sku, units):
            quantity_ref = _short(f"{ref}:{position.ref}:{Kind.RESERVED}")
            self._store.create_quantity(
                ref=quantity_ref,
                position=position.ref,
                type=Kind.RESERVED,
                quantity=-part,
                status=Status.ACTIVE,
                source="order-flow",
                attributes=[{"name": "orderRef", "type": "STRING", "value": ref}],
            )
            refs.append(quantity_ref)
        return refs

    def cancel(self, cancel: CancelRequest) -> dict[str, Any]:
        """Gives booked units back, at most what is still booked; all of the order without items.

        Once per (order, cancellationRef), or (order, content) where there is no cancellationRef.
        """
        order = self._orders.get(cancel.ref)
        if order is None:
            raise OrderRefused(
                404, f"order {cancel.ref!r} was never booked", "Book the order before its cancel."
            )
        wanted = None if cancel.items is None else _summed(cancel.items)
        identity = cancel.cancellation_ref or json.dumps(wanted, sort_keys=True)
        if identity not in order.cancels:
            released = {
                sku: self._release(refs, None if wanted is None else wanted.get(sku, 0))
                for sku, refs in order.bookings.items()
            }
            order.cancels[identity] = {
                "ref": cancel.ref,
                "status": "RELEASED",
                "items": [{"sku": sku, "quantity": units} for sku, units in released.items() if units],
            }
        return order.cancels[identity]

    def _release(self, refs: list[str], units: int | None) -> int:
        released = 0
        for ref in refs:
            record = self._store.quantities[self._store.catalogue, ref]
            booked = -record.quantity if record.live else 0
            part = booked if units is None else min(booked, units - released)
            if part <= 0:
                continue
            changes: dict[str, Any] = (
                {"status": Status.INACTIVE} if part == booked else {"quantity": part - booked}
            )
            self._store.update_quantity(record.catalogue, ref, source="order-flow", **changes)
            released += part
        return released


def allocate(store: Store, sku: str, units: int) -> list[tuple[Position, int]]:
    """Spreads units over a SKU's positions in order: first what each has that is neither sold nor held, then
    what is held (the order flow knows nothing of holds), and what nobody has at the first position.
    """
    parts: dict[str, int] = {}
    positions = store.positions_of(sku)
    for types in ((Kind.LAST_ON_HAND, *BOOKED, Kind.SOFT_RESERVE), (Kind.LAST_ON_HAND, *BOOKED)):
        for position in positions:
            taken = parts.get(position.ref, 0)
            free = store.aggregate(position, types, LIVE)[0] - taken
            part = max(0, min(free, units))
            parts[position.ref] = taken + part
            units -= part
    parts[positions[0].ref] += units
    return [(position, parts[position.ref]) for position in positions if parts[position.ref]]


class Channels:
    """Other sales channels: each sale is a SALE quantity, ACTIVE at once, under a ref of its own."""

    def __init__(self, store: Store, auditor: Auditor, seed: int) -> None:
        self._store = store
        self._auditor = auditor
        self._random = random.Random(f"channels {seed}")
        self.sold = 0

    def places(self, sale: Sale) -> list[Position]:
        """Where it can be sold; raises OrderRefused when that is nowhere."""
        positions = [
            position
            for position in self._store.positions_of(sale.sku)
            if sale.location in (None, position.location_ref)
        ]
        if not positions:
            where = sale.location or "any location"
            raise OrderRefused(422, f"no position has SKU {sale.sku!r} at {where!r}", "Name one that does.")
        return positions

    def sell(self, sale: Sale) -> dict[str, Any]:
        """Sells whether or not there is stock: what another channel does is not ours to refuse."""
        parts = [(self.places(sale)[0], sale.quantity)]
        if sale.location is None:
            parts = allocate(self._store, sale.sku, sale.quantity)
        for position, units in parts:
            self.sold += 1
            self._store.create_quantity(
                ref=_short(f"CHANNEL-{self.sold}:{position.ref}:{Kind.SALE}"),
                position=position.ref,
                type=Kind.SALE,
                quantity=-units,
                status=Status.ACTIVE,
                source="channel",
            )
        available = self._auditor.figures[sale.sku].available
        return {"sku": sale.sku, "quantity": sale.quantity, "available": available}

    def sell_one_somewhere(self) -> bool:
        """One unit of a random SKU, if it is on sale there."""
        sku = self._random.choice(sorted(self._auditor.figures))
        if self._auditor.figures[sku].available < 1:
            return False
        self.sell(Sale(sku=sku, quantity=1))
        return True
