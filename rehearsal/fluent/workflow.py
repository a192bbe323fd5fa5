"""What Fluent's catalogue workflow does by itself with quantities.

From a real INVENTORY_CATALOGUE::DEFAULT workflow, version 1.18: the CREATE event makes a quantity that is
still CREATED ACTIVE, some time after the API answered; a stock batch makes SALE, DELTA and CORRECTION
INACTIVE and leaves RESERVED and SOFT_RESERVE alone; ``onHand`` is recalculated over CREATED and ACTIVE
quantities, without SOFT_RESERVE, and not at all when a quantity comes through the API. Accounts change
their workflows, hence the switches ``recalculateOnHand`` and ``countSoftReserve``.
"""

from __future__ import annotations

import heapq

from rehearsal.fluent.records import LIVE, Kind, Position, Quantity, Status
from rehearsal.fluent.store import Store
from rehearsal.fluent.switches import Controls

BATCHED = (Kind.SALE, Kind.DELTA, Kind.CORRECTION)
ON_HAND = (Kind.LAST_ON_HAND, Kind.RESERVED, *BATCHED)


class Workflow:
    def __init__(self, store: Store, controls: Controls) -> None:
        self._store = store
        self._controls = controls
        self._due: list[tuple[int, int, str, str]] = []
        store.listeners.append(self._changed)

    def _changed(self, position: Position, before: Quantity | None, after: Quantity, source: str) -> None:
        if before is None and after.status == Status.CREATED:
            due = after.created_ms + self._controls.activation_delay_ms
            heapq.heappush(self._due, (due, after.seq, after.catalogue, after.ref))
        if self._controls.recalculate_on_hand:
            self.recalculate(position)

    def recalculate(self, position: Position) -> None:
        types = (*ON_HAND, Kind.SOFT_RESERVE) if self._controls.count_soft_reserve else ON_HAND
        on_hand, _ = self._store.aggregate(position, types, LIVE)
        self._store.update_position(position.catalogue, position.ref, on_hand=on_hand)

    def run_due(self) -> None:
        """Activates what is due. Called before anybody looks, which no client can tell from a timer.

        Only a CREATED quantity: one that was ended in the meantime stays ended.
        """
        now = self._store.clock()
        while self._due and self._due[0][0] <= now:
            _, _, catalogue, ref = heapq.heappop(self._due)
            found = self._store.quantity(catalogue, ref)
            if found is not None and found.status == Status.CREATED:
                self._store.update_quantity(catalogue, ref, source="workflow", status=Status.ACTIVE)

    def pending(self) -> int:
        return len(self._due)

    def stock_batch(self, counted: dict[str, dict[str, int]] | None, sku: str | None = None) -> int:
        """A count of the shelves arrives: ``{sku: {location: units}}``; None: each position's new figure is
        what its LAST_ON_HAND, SALE, DELTA and CORRECTION come to. Returns the number of positions."""
        touched = 0
        for position in list(self._store.positions.values()):
            if position.catalogue != self._store.catalogue or sku not in (None, position.product_ref):
                continue
            units = None
            if counted is not None:
                units = counted.get(position.product_ref, {}).get(position.location_ref)
                if units is None:
                    continue
            self._count_position(position, units)
            touched += 1
        return touched

    def _count_position(self, position: Position, units: int | None) -> None:
        if units is None:
            units, _ = self._store.aggregate(position, (Kind.LAST_ON_HAND, *BATCHED), LIVE)
        on_hand = [q for q in self._store.quantities_of(position, (Kind.LAST_ON_HAND,)) if q.live]
        batched = [q for q in self._store.quantities_of(position, BATCHED) if q.live]
        # The new count first: in between, nothing sold may look as if it were on the shelf.
        for record, figure in zip(on_hand, [units] + [0] * (len(on_hand) - 1), strict=True):
            self._store.update_quantity(record.catalogue, record.ref, source="stock-batch", quantity=figure)
        for record in batched:
            self._store.update_quantity(
                record.catalogue, record.ref, source="stock-batch", status=Status.INACTIVE
            )
        self.recalculate(self._store.positions[position.catalogue, position.ref])
