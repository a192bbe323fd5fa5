"""Rows: the state of one task, as the cores see it.

A `Table` is a key prefix and a row type. `Rows` overlays what was decided but is not committed yet over
a `Store`: RocksDB in a worker, a sorted dict in tests and simulations. A batch is decided against the
overlay; `flush` hands out its changed rows, encoded, for the changelog; `committed` lets them go once they
are in the store; `reset` forgets everything that was not committed.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Collection, Iterator
from heapq import merge
from itertools import islice
from operator import itemgetter
from types import UnionType
from typing import Generic, Protocol, TypeVar

import msgspec

R = TypeVar("R", bound=msgspec.Struct)

Changes = dict[bytes, bytes | None]
"""Encoded rows by physical key; None is a deleted row (a tombstone in the changelog)."""

_encode = msgspec.msgpack.Encoder().encode
_MISSING = object()


class Store(Protocol):
    """Committed rows by physical key."""

    def get(self, key: bytes) -> bytes | None:
        """The row's bytes, or None."""

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` rows with start <= key < end, in key order."""

    def write(self, changes: Changes) -> None:
        """Apply all changes at once."""


class MemoryStore:
    """A `Store` in memory: what a task has before its restore, and what tests and simulations use."""

    def __init__(self) -> None:
        self.rows: dict[bytes, bytes] = {}
        self._keys: list[bytes] = []

    def get(self, key: bytes) -> bytes | None:
        """The row's bytes, or None."""
        return self.rows.get(key)

    def scan(self, start: bytes, end: bytes, limit: int) -> list[tuple[bytes, bytes]]:
        """Up to `limit` rows with start <= key < end, in key order."""
        first = bisect_left(self._keys, start)
        last = min(bisect_left(self._keys, end), first + limit)
        return [(key, self.rows[key]) for key in self._keys[first:last]]

    def write(self, changes: Changes) -> None:
        """Apply all changes at once."""
        for key, value in changes.items():
            known = key in self.rows
            if value is None:
                if known:
                    del self.rows[key]
                    del self._keys[bisect_left(self._keys, key)]
                continue
            self.rows[key] = value
            if not known:
                insort(self._keys, key)


class Table(Generic[R]):
    """One kind of row: a one- or two-byte key prefix, unique among all tables of a task, and the row type.

    A union of tagged structs is one kind, too.

    `hot` rows stay decoded in memory after their commit (a reservation that every claim reads);
    the others leave with it. An `ordered` table is scanned often, or in small pieces: its uncommitted keys
    are kept apart and in order, so that a scan does not look at those of all other tables.
    """

    __slots__ = ("decode", "hot", "ordered", "prefix")

    def __init__(
        self, prefix: bytes, row: type[R] | UnionType, *, hot: bool = False, ordered: bool = False
    ) -> None:
        self.prefix = prefix
        self.hot = hot
        self.ordered = ordered
        self.decode = msgspec.msgpack.Decoder(row).decode


MAX_HOT_ROWS = 50_000

Generation = tuple[dict[bytes, msgspec.Struct | None], dict[bytes, list[bytes]]]
"""What was changed between two flushes: rows by physical key, and the keys of ordered tables by prefix."""


class Rows:
    """The rows of one task. Rows may be changed in place if they are `put` afterwards."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._live: dict[bytes, msgspec.Struct | None] = {}
        self._ordered: dict[bytes, list[bytes]] = {}
        self._live_hot: set[bytes] = set()
        self._flushed: list[Generation] = []
        self._hot: dict[bytes, msgspec.Struct | None] = {}
        self.floors: dict[bytes, bytes] = {}
        """By table prefix: no row of that table lies below this key (spares a scan over deleted rows)."""

    def get(self, table: Table[R], key: bytes) -> R | None:
        """The row under `key`, or None."""
        physical = table.prefix + key
        row = self._live.get(physical, _MISSING)
        if row is not _MISSING:
            return row  # type: ignore[return-value]
        for flushed, _ in reversed(self._flushed):
            row = flushed.get(physical, _MISSING)
            if row is not _MISSING:
                return row  # type: ignore[return-value]
        if table.hot:
            return self._get_hot(table, physical)
        raw = self._store.get(physical)
        return None if raw is None else table.decode(raw)

    def get_committed(self, table: Table[R], key: bytes) -> R | None:
        """The row under `key` as it was committed last, or None."""
        raw = self._store.get(table.prefix + key)
        return None if raw is None else table.decode(raw)

    def put(self, table: Table[R], key: bytes, row: R) -> None:
        """Write a row (also after changing it in place)."""
        physical = table.prefix + key
        self._live[physical] = row
        if table.hot:
            self._live_hot.add(physical)
        if table.ordered:
            _insert(self._ordered.setdefault(table.prefix, []), physical)

    def delete(self, table: Table[R], key: bytes) -> None:
        """Delete a row; deleting one that does not exist is harmless."""
        physical = table.prefix + key
        self._live[physical] = None
        if table.hot:
            self._hot.pop(physical, None)
        if table.ordered:
            _insert(self._ordered.setdefault(table.prefix, []), physical)

    def scan(self, table: Table[R], start: bytes, end: bytes, limit: int) -> list[tuple[bytes, R]]:
        """Up to `limit` rows with start <= key < end, in key order, keys without the prefix.

        Neither what is stored nor what is uncommitted is looked at beyond the last row that is found.
        """
        low, high = table.prefix + start, table.prefix + end
        generations, cut = [*self._flushed, (self._live, self._ordered)], len(table.prefix)
        keys = [found for each in generations if (found := _keys(table, each, low, high)) is not None]
        if not keys:
            return [(key[cut:], table.decode(raw)) for key, raw in self._store.scan(low, high, limit)]
        stored = (
            (key, table.decode(raw))
            for key, raw in self._stored(low, high, limit)
            if not any(key in rows for rows, _ in generations)
        )
        changed = _changed(generations, keys)
        merged = islice(merge(stored, changed, key=itemgetter(0)), limit)
        return [(key[cut:], row) for key, row in merged]

    def _stored(self, low: bytes, high: bytes, limit: int) -> Iterator[tuple[bytes, bytes]]:
        """Committed rows, in pieces that grow: the first is all that is wanted unless its rows changed."""
        while low < high:
            piece = self._store.scan(low, high, limit)
            yield from piece
            if len(piece) < limit:
                return
            low = piece[-1][0] + b"\0"
            limit *= 2

    @property
    def changed(self) -> Collection[bytes]:
        """The physical keys of the rows that were changed since the last flush."""
        return self._live

    def flush(self) -> Changes:
        """The rows changed since the last flush, encoded; they stay readable until `committed`."""
        live = self._live
        changes: Changes = {key: None if row is None else _encode(row) for key, row in live.items()}
        for key in self._live_hot:
            self._keep_hot(key, live[key])
        self._flushed.append((live, self._ordered))
        self._live, self._ordered, self._live_hot = {}, {}, set()
        return changes

    def committed(self) -> None:
        """The oldest flush is in the store: its rows need no overlay any more.

        After a `reset` there is no overlay left, and the store alone has them.
        """
        if self._flushed:
            del self._flushed[0]

    def reset(self) -> None:
        """Forget everything that was not committed."""
        self._live, self._ordered, self._live_hot = {}, {}, set()
        self._flushed = []
        self._hot = {}
        self.floors = {}

    def _get_hot(self, table: Table[R], physical: bytes) -> R | None:
        row = self._hot.get(physical)
        if row is None and (raw := self._store.get(physical)) is not None:
            row = table.decode(raw)
            self._keep_hot(physical, row)
        return row  # type: ignore[return-value]

    def _keep_hot(self, key: bytes, row: msgspec.Struct | None) -> None:
        if row is None:
            return
        if len(self._hot) >= MAX_HOT_ROWS:
            self._hot.clear()
        self._hot[key] = row


def _changed(
    generations: list[Generation], keys: list[Iterator[bytes]]
) -> Iterator[tuple[bytes, msgspec.Struct]]:
    """The uncommitted rows under these keys; of each key the newest, unless it is deleted."""
    former = None
    for key in merge(*keys):
        if key != former:
            row = next(rows[key] for rows, _ in reversed(generations) if key in rows)
            if row is not None:
                yield key, row
        former = key


def _keys(table: Table[R], generation: Generation, low: bytes, high: bytes) -> Iterator[bytes] | None:
    """The keys of a table's uncommitted rows from `low` to `high` in order, None where there are none."""
    rows, ordered = generation
    if not table.ordered:
        found = sorted(key for key in rows if low <= key < high)
        return iter(found) if found else None
    keys = ordered.get(table.prefix, [])
    within = range(bisect_left(keys, low), bisect_left(keys, high))
    return map(keys.__getitem__, within) if within else None


def _insert(keys: list[bytes], key: bytes) -> None:
    at = bisect_left(keys, key)
    if at == len(keys) or keys[at] != key:
        keys.insert(at, key)
