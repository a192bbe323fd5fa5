"""A task's database: RocksDB as a cache of one partition of the changelog."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from schemas.topics import DAY_MS
from streams.engine.changelog import ChangelogReader, RestoreCancelled
from streams.engine.ports import Position, positions_in
from streams.engine.store import Mark, RocksStore, StoreFailed
from streams.ledger.rows import Changes
from streams.log import get_logger

log = get_logger("engine.restore")

SET_BACK_MS = 60_000
"""By so much a clock is set back now and then, by NTP for instance; it says nothing about the age of rows."""


class Database:
    """`tasks` databases may be open in one process; they share its memory."""

    def __init__(
        self, reader: ChangelogReader, changelog: str, partition: int, path: Path, tasks: int
    ) -> None:
        self.wanted = True
        self._lock = threading.Lock()
        self._reader = reader
        self._changelog = changelog
        self._partition = partition
        self._path = path
        self._tasks = tasks
        self._topic_id = ""
        self._store: RocksStore | None = None

    @property
    def store(self) -> RocksStore:
        """The rows; there are none before the first restore."""
        if self._store is None:
            raise RuntimeError(f"{self._path} was never restored")
        return self._store

    @property
    def changelog_id(self) -> str:
        """The id of the changelog that the rows are of; empty before the first restore."""
        return self._topic_id

    def restore(self, cancelled: threading.Event) -> dict[str, Position]:
        """Bring the database up to the changelog's end; blocks. Returns the positions that it holds.

        What was read stays when it is interrupted.

        Files that cannot be used are a lost cache: the rows are read into new ones. Raises StoreFailed where
        that is impossible too, RestoreTimeout, RestoreCancelled, StoreInUse or KafkaException.
        """
        with self._lock:
            if cancelled.is_set():  # the rows are another restore's by now, and perhaps in use
                raise RestoreCancelled(str(self._path))
            try:
                return self._restore(cancelled)
            except StoreFailed:
                self._store = None
                return self._restore(cancelled)

    def _restore(self, cancelled: threading.Event) -> dict[str, Position]:
        if self._store is None:
            self._store = RocksStore(self._path, self._tasks)
        self._topic_id = self._reader.topic_id(self._changelog)
        start = self._reusable_prefix()
        if start == 0:
            self._store = self.store.wiped()
        done = self._reader.read(
            self._changelog, self._partition, start, self.write, self._progress, cancelled
        )
        self.write({}, done.next_offset)
        log.info(
            "rows_restored",
            task=self._partition,
            records=done.records,
            seconds=round(done.seconds, 3),
            from_offset=start,
        )
        return positions_in(self.store)

    def write(self, changes: Changes, following: int) -> None:
        """Rows that complete the changelog's prefix up to `following`."""
        self.store.write_marked(changes, Mark(self._topic_id, following, time.time_ns() // 1_000_000))

    def close(self) -> None:
        """Let go of the files, unless the task came back meanwhile."""
        with self._lock:
            if self.wanted:
                return
            store, self._store = self._store, None
            if store is not None:
                store.close()

    def _reusable_prefix(self) -> int:
        """Offset to read from: 0 unless the database is a prefix of this very changelog.

        Half of `delete.retention.ms` is the limit of its age: later, tombstones may have been compacted
        away, and rows that were deleted meanwhile would come back. One from the future is of no known
        age: a clock was set.
        """
        mark = self.store.mark()
        if mark is None or mark.topic_id != self._topic_id:
            return 0
        if not -SET_BACK_MS <= time.time_ns() // 1_000_000 - mark.written_at_ms <= DAY_MS // 2:
            return 0
        end = self._reader.end_offset(self._changelog, self._partition)
        return mark.next_offset if mark.next_offset <= end else 0

    def _progress(self, read: int, end: int) -> None:
        log.info("restoring_rows", task=self._partition, offset=read, end=end)
