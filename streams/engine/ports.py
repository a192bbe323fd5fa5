"""What the engine needs from around it: an observer, and the row that holds a position."""

from __future__ import annotations

from typing import Protocol

import msgspec

from streams.ledger.effects import Effects
from streams.ledger.rows import Store, Table


class Position(msgspec.Struct, array_like=True):
    """Next offset to decide of one source partition, and which topic of that name it belongs to (KIP-516)."""

    offset: int
    topic_id: str = ""
    """Empty in rows of a former version, and where the broker gives topics no ids."""


POSITIONS = Table(b"!p", Position)
"""Key: `topic/partition`. The positions that count; the group's offsets say who owns a source."""


def positions_in(store: Store) -> dict[str, Position]:
    """The positions that a store holds, by source."""
    prefix = POSITIONS.prefix
    rows = store.scan(prefix, prefix + b"\xff", 100_000)
    return {key[len(prefix) :].decode(): POSITIONS.decode(raw) for key, raw in rows}


class Observer(Protocol):
    """Gets told what the worker did (metrics, the log). Called in the event loop, after the commit."""

    def transaction(self, tasks: int, seconds: float) -> None:
        """A transaction with the output of this many tasks is durable."""

    def committed(self, task: str, effects: Effects, records: int) -> None:
        """What a task had in it."""

    def discarded(self, tasks: str, why: str) -> None:
        """Uncommitted decisions were thrown away; they will be made again."""

    def stands_still(self, task: str, why: str, seconds: float) -> None:
        """A task's transactions are aborted although they carry nothing else; tried again in `seconds`."""

    def dropped_fetch(self, task: str, source: str, start: int, expected: int) -> None:
        """A fetch did not continue what was decided."""
