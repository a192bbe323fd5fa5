"""What a task needs from around it: a durable half, an observer, and the row that holds a position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from streams.ledger.effects import Effects
from streams.ledger.rows import Changes, Store, Table


class Position(msgspec.Struct, array_like=True):
    """Next offset to decide of one source partition."""

    offset: int


POSITIONS = Table(b"!p", Position)
"""Key: `topic/partition`. The positions that count: the consumer group's offsets are for monitoring only."""


class Observer(Protocol):
    """Gets told what a task did (metrics, the log). Called in the event loop, after the commit."""

    def committed(self, task: str, effects: Effects, records: int, seconds: float) -> None:
        """A transaction is durable."""

    def discarded(self, task: str, why: str) -> None:
        """Uncommitted decisions were thrown away; they will be made again."""

    def dropped_fetch(self, task: str, source: str, start: int, expected: int) -> None:
        """A fetch did not continue what was decided."""


class Backend(Protocol):
    """The durable half of a task: its producer, its store, its changelog."""

    @property
    def store(self) -> Store:
        """Where committed rows are."""

    def fence(self) -> None:
        """Blocks. Raises Fenced."""

    def restore(self) -> Mapping[str, int]:
        """Blocks. Returns the positions that the changelog holds."""

    def commit(self, effects: Effects, changes: Changes) -> None:
        """Blocks. Kafka first, then the store. Raises Fenced, Aborted or OutcomeUnknown."""

    def close(self) -> None:
        """Let go of everything."""
