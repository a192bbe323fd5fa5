"""The durable half of tasks: a decision task with RocksDB, an intake task with positions only."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from pathlib import Path

import structlog

from schemas.topics import DAY_MS
from streams.engine.changelog import ChangelogReader
from streams.engine.ports import POSITIONS
from streams.engine.store import Mark, RocksStore
from streams.engine.transactions import Transactions
from streams.ledger.effects import Effects
from streams.ledger.rows import Changes, MemoryStore, Store

log = structlog.get_logger("engine.restore")


def positions_in(store: Store) -> dict[str, int]:
    """The positions that a store holds, by source."""
    prefix = POSITIONS.prefix
    rows = store.scan(prefix, prefix + b"\xff", 100_000)
    return {key[len(prefix) :].decode(): POSITIONS.decode(raw).offset for key, raw in rows}


class DecisionBackend:
    """A task's producer, its RocksDB and its changelog partition."""

    def __init__(self, transactions: Transactions, reader: ChangelogReader, changelog: str, partition: int,
                 path: Path) -> None:  # fmt: skip
        self.transactions = transactions
        self.store: RocksStore = RocksStore(path)
        self._reader = reader
        self._changelog = changelog
        self._partition = partition
        self._topic_id = ""

    def fence(self) -> None:
        """Fence the former owner."""
        began = time.monotonic()
        self.transactions.fence()
        log.info("fenced off", task=self._partition, seconds=round(time.monotonic() - began, 3))

    def restore(self) -> Mapping[str, int]:
        """Bring the database up to the changelog's end, from nothing where its prefix can't be trusted."""
        self._topic_id = self._reader.topic_id(self._changelog)
        start = self._reusable_prefix()
        if start == 0:
            self.store = self.store.wiped()
        done = self._reader.read(self._changelog, self._partition, start, self.store.write, self._progress)
        self.store.write_marked({}, self._mark(done.next_offset))
        log.info(
            "rows restored",
            task=self._partition,
            records=done.records,
            seconds=round(done.seconds, 3),
            from_offset=start,
        )
        return positions_in(self.store)

    def commit(self, effects: Effects, changes: Changes) -> None:
        """Kafka first; the database only after it."""
        following = self.transactions.commit(effects.sends, changes)
        self.store.write_marked(changes, self._mark(following))

    def close(self) -> None:
        """Let go of the producer and the database."""
        self.transactions.close()
        self.store.close()

    def _reusable_prefix(self) -> int:
        """Offset to read from: 0 unless the database is a prefix of this very changelog.

        Half of `delete.retention.ms` is the limit of its age: later, tombstones may have been compacted
        away, and rows that were deleted meanwhile would come back.
        """
        mark = self.store.mark()
        if mark is None or mark.topic_id != self._topic_id:
            return 0
        if _now_ms() - mark.written_at_ms > DAY_MS // 2:
            return 0
        end = self._reader.end_offset(self._changelog, self._partition)
        return mark.next_offset if mark.next_offset <= end else 0

    def _mark(self, next_offset: int) -> Mark:
        return Mark(self._topic_id, next_offset, _now_ms())

    def _progress(self, read: int, end: int) -> None:
        log.info("restoring rows", task=self._partition, offset=read, end=end)


class IntakePositions:
    """The one partition that holds how far every intake task has read; read once for many tasks."""

    def __init__(self, reader: ChangelogReader, topic: str) -> None:
        self._reader = reader
        self._topic = topic
        self._store = MemoryStore()
        self._next = 0
        self._lock = threading.Lock()

    def catch_up(self) -> dict[str, int]:
        """Read what was appended since the last time; blocks. The caller has fenced its own producer."""
        with self._lock:
            done = self._reader.read(self._topic, 0, self._next, self._store.write, lambda _read, _end: None)
            self._next = done.next_offset
            return positions_in(self._store)


class IntakeBackend:
    """An intake task's producer. Its only rows are its position and its clock."""

    def __init__(self, transactions: Transactions, source: str, positions: IntakePositions) -> None:
        self.transactions = transactions
        self.store = MemoryStore()
        self._source = source
        self._positions = positions

    def fence(self) -> None:
        """Fence the former owner."""
        self.transactions.fence()

    def restore(self) -> Mapping[str, int]:
        """This task's position, read after the fence."""
        positions = self._positions.catch_up()
        if self._source not in positions:
            return {}
        return {self._source: positions[self._source]}

    def commit(self, effects: Effects, changes: Changes) -> None:
        """One Kafka transaction; nothing is kept on disk."""
        self.transactions.commit(effects.sends, changes)
        self.store.write(changes)

    def close(self) -> None:
        """Let go of the producer."""
        self.transactions.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
