"""Where a stale read is made: a read sees the store as it is, or as it was a moment ago.

Whether a query is a stale read is drawn or asked for as any fault is (``staleRead``, see faults.py). The API
then asks ``History.as_of`` for the quantities as they were ``staleMs`` ago, and the query's resolvers read
that view instead of the store.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol

from rehearsal.fluent.records import Position, Quantity
from rehearsal.fluent.store import Key, Store


class View(Protocol):
    def quantity(self, catalogue: str, ref: str) -> Quantity | None: ...

    def quantities_of(self, position: Position, types: Sequence[str] | None = None) -> Iterator[Quantity]: ...

    def aggregate(
        self, position: Position, types: Sequence[str] | None, statuses: Sequence[str] | None
    ) -> tuple[int, int]: ...

    def all_quantities(self) -> Iterator[Quantity]: ...


class History:
    """The last changes of quantities, newest last, so that the state of a moment ago can be told."""

    def __init__(self, store: Store, records: int = 100_000) -> None:
        self._store = store
        self._changes: deque[tuple[int, Key, Quantity | None]] = deque(maxlen=records)
        store.listeners.append(self._changed)

    def _changed(self, position: Position, before: Quantity | None, after: Quantity, source: str) -> None:
        self._changes.append((after.updated_ms, (after.catalogue, after.ref), before))

    def as_of(self, at_ms: int) -> StaleView:
        """The quantities as they were at that moment; costs as much as was changed since."""
        before: dict[Key, Quantity | None] = {}
        for changed_ms, key, record in reversed(self._changes):
            if changed_ms <= at_ms:
                break
            before[key] = record
        return StaleView(self._store, before)


class StaleView:
    """Quantities only: a position's own fields are the current ones."""

    def __init__(self, store: Store, before: dict[Key, Quantity | None]) -> None:
        self._store = store
        self._before = before

    def quantity(self, catalogue: str, ref: str) -> Quantity | None:
        key = (catalogue, ref)
        return self._before[key] if key in self._before else self._store.quantity(catalogue, ref)

    def quantities_of(self, position: Position, types: Sequence[str] | None = None) -> Iterator[Quantity]:
        for current in self._store.quantities_of(position):
            record = self.quantity(current.catalogue, current.ref)
            if record is not None and (types is None or record.type in types):
                yield record

    def aggregate(
        self, position: Position, types: Sequence[str] | None, statuses: Sequence[str] | None
    ) -> tuple[int, int]:
        total = count = 0
        for record in self.quantities_of(position, types):
            if statuses is None or record.status in statuses:
                total += record.quantity
                count += 1
        return total, count

    def all_quantities(self) -> Iterator[Quantity]:
        seen = (self.quantity(*key) for key in self._store.quantities)
        return (record for record in seen if record is not None)
