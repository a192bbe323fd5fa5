"""The auditor: per SKU what is held, booked and on sale, after every single change, and the extremes of it.

Sees changes only through the store's listener, so that no request can slip past it.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from rehearsal.fluent.records import BOOKED, Kind, Position, Quantity, attribute
from rehearsal.fluent.store import Store


@dataclass(slots=True)
class Figures:
    """Units of one SKU over all its positions."""

    on_hand: int = 0
    held: int = 0
    booked: int = 0
    marks: dict[str, int] = field(default_factory=dict)

    @property
    def available(self) -> int:
        return self.on_hand - self.held - self.booked

    def count(self, record: Quantity, sign: int) -> None:
        if not record.live:
            return
        if record.type == Kind.LAST_ON_HAND:
            self.on_hand += sign * record.quantity
        elif record.type == Kind.SOFT_RESERVE:
            self.held -= sign * record.quantity
        elif record.type in BOOKED:
            self.booked -= sign * record.quantity

    def mark(self) -> None:
        """``minAvailable`` leaves holds out: below zero, more was sold than there is.

        ``minAvailableWithHolds`` and ``maxAvailable`` are the extremes of ``available``: a maximum above what
        may be on sale shows a sold unit that was offered again.
        """
        unsold = self.on_hand - self.booked
        for name, value, better in (
            ("minAvailable", unsold, min),
            ("minAvailableWithHolds", self.available, min),
            ("maxAvailable", self.available, max),
        ):
            self.marks[name] = better(self.marks.get(name, value), value)


class Auditor:
    def __init__(self, store: Store, journal_records: int = 20_000) -> None:
        self._store = store
        self.figures: dict[str, Figures] = {}
        self.journal: deque[dict[str, Any]] = deque(maxlen=journal_records)
        self.changes = 0
        store.listeners.append(self._changed)

    def _changed(self, position: Position, before: Quantity | None, after: Quantity, source: str) -> None:
        if position.catalogue != self._store.catalogue:
            return
        figures = self.figures.setdefault(position.product_ref, Figures())
        if before is not None:
            figures.count(before, -1)
        figures.count(after, +1)
        figures.mark()
        self.changes += 1
        self.journal.append(
            {
                "seq": self.changes,
                "atMs": after.updated_ms,
                "source": source,
                "action": "create" if before is None else "update",
                "ref": after.ref,
                "sku": position.product_ref,
                "location": position.location_ref,
                "type": after.type,
                "status": after.status,
                "quantity": after.quantity,
                "statusBefore": before.status if before else None,
                "quantityBefore": before.quantity if before else None,
                "onHand": figures.on_hand,
                "held": figures.held,
                "booked": figures.booked,
                "available": figures.available,
            }
        )

    def reset_marks(self) -> None:
        """From here on the extremes are those since now."""
        for figures in self.figures.values():
            figures.marks.clear()
            figures.mark()

    def _wanted(self, sku: str | None) -> dict[str, Figures]:
        """Of one SKU, of all without one; none of a SKU that nobody knows."""
        if sku is None:
            return self.figures
        return {sku: self.figures[sku]} if sku in self.figures else {}

    def truth(self, sku: str | None = None) -> dict[str, Any]:
        """``GET /_truth`` as the wire contract has it; an unknown SKU gives an empty object."""
        return {
            name: {
                "available": figures.available,
                "held": figures.held,
                "booked": figures.booked,
                "holds": self._holds(name),
            }
            for name, figures in self._wanted(sku).items()
        }

    def _holds(self, sku: str) -> list[dict[str, Any]]:
        return [
            {
                "ref": hold.ref,
                "promotionId": attribute(hold, "promotion_id"),
                "quantity": -hold.quantity,
                "status": hold.status,
            }
            for position in self._store.positions_of(sku)
            for hold in self._store.quantities_of(position, (Kind.SOFT_RESERVE,))
        ]

    def read_journal(self, after: int = 0, sku: str | None = None) -> dict[str, Any]:
        """The changes that followed number ``after``; ``oldest`` tells a reader whether it missed some."""
        entries = [
            entry for entry in self.journal if entry["seq"] > after and (sku is None or entry["sku"] == sku)
        ]
        return {
            "last": self.changes,
            "oldest": self.journal[0]["seq"] if self.journal else 0,
            "entries": entries,
            "marks": {name: figures.marks for name, figures in self._wanted(sku).items()},
        }
