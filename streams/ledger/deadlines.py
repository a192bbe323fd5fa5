"""Deadlines as rows, ordered by time: what a Tick acts on.

A key is the deadline (8 bytes, big endian, ms) + one byte for its kind + its subject. Setting the same
deadline twice is one row. A stage looks up what is due, acts, and deletes the row; a deadline whose subject
has moved on meanwhile is simply deleted.
"""

from __future__ import annotations

import msgspec

from streams.ledger.rows import Rows, Table

_WIDTH = 8
_END = b"\xff" * (_WIDTH + 1)


class Due(msgspec.Struct, array_like=True):
    """A deadline's row: everything is in its key."""


class Deadlines:
    """The deadlines of one stage, in the table with that prefix."""

    __slots__ = ("_table",)

    def __init__(self, prefix: bytes) -> None:
        self._table = Table(prefix, Due, ordered=True)

    def set(self, rows: Rows, at_ms: int, kind: bytes, subject: bytes) -> None:
        """Act on (`kind`, `subject`) at `at_ms`. `kind` is one byte."""
        key = _key(at_ms, kind, subject)
        floor = rows.floors.get(self._table.prefix)
        if floor is not None and key < floor:
            rows.floors[self._table.prefix] = key
        rows.put(self._table, key, Due())

    def clear(self, rows: Rows, at_ms: int, kind: bytes, subject: bytes) -> None:
        """Drop a deadline; harmless when there is none."""
        rows.delete(self._table, _key(at_ms, kind, subject))

    def move(self, rows: Rows, from_ms: int, to_ms: int, kind: bytes, subject: bytes) -> None:
        """Act on (`kind`, `subject`) at another time; 0 is never."""
        if from_ms:
            self.clear(rows, from_ms, kind, subject)
        if to_ms:
            self.set(rows, to_ms, kind, subject)

    def due(self, rows: Rows, now_ms: int, limit: int) -> list[tuple[int, bytes, bytes]]:
        """Up to `limit` deadlines at or before `now_ms` as (at_ms, kind, subject), earliest first."""
        found = self._scan(rows, _key(now_ms + 1, b"", b""), limit) if limit > 0 else []
        return [_parse(key) for key in found]

    def earliest_ms(self, rows: Rows) -> int | None:
        """When the next deadline is due, or None."""
        found = self._scan(rows, _END, 1)
        return _parse(found[0])[0] if found else None

    def _scan(self, rows: Rows, end: bytes, limit: int) -> list[bytes]:
        """Keys below `end`; the next scan need not look again at what is deleted before the first of them."""
        prefix = self._table.prefix
        start = rows.floors.get(prefix, b"")
        found = [key for key, _ in rows.scan(self._table, start, end, limit)]
        rows.floors[prefix] = found[0] if found else max(start, end)
        return found


def _key(at_ms: int, kind: bytes, subject: bytes) -> bytes:
    return at_ms.to_bytes(_WIDTH, "big") + kind + subject


def _parse(key: bytes) -> tuple[int, bytes, bytes]:
    at_ms = int.from_bytes(key[:_WIDTH], "big")
    return at_ms, key[_WIDTH : _WIDTH + 1], key[_WIDTH + 1 :]
