"""A task at work: its stages, its rows, and what it has decided since the last transaction."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from streams.engine import unprocessable
from streams.engine.database import Database
from streams.engine.fetched import Fetched
from streams.engine.ports import POSITIONS, Position
from streams.engine.protocol.task import TaskState
from streams.engine.stage import Record, Stage
from streams.ledger.effects import Effects, Send
from streams.ledger.rows import Changes, MemoryStore, Rows

MAX_RECORDS = 16_000
MAX_ROWS = 20_000
MAX_SENDS = 100_000
MAX_BYTES = 16 << 20
"""What is decided ahead of the transaction in flight; more waits as it came."""


@dataclass(slots=True)
class Pending:
    """What was decided and is not committed."""

    effects: Effects = field(default_factory=Effects)
    records: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Deadlines:
    """What a source's stage waits for next (Unix ms): a time by the brokers' clock, and a watermark."""

    source: str
    topic: str
    due_ms: int | None
    by_watermark_ms: int | None


class Task:
    """One task of this worker. `state` is the protocol's view of it."""

    def __init__(self, name: str, partition: int, stages: Mapping[str, Stage], database: Database) -> None:
        self.name = name
        self.partition = partition
        self.stages = dict(stages)
        self.database = database
        self.rows = Rows(MemoryStore())
        self.taken_over_at: float | None = None
        """Monotonic time; None before."""
        self.state: TaskState | None = None
        self.topic_ids: Mapping[str, str] = {}
        """By source: the id of the topic that its position is about."""
        self.condemned: dict[str, int] = {}
        """By source: the offset of a record that failed here for the last time and is to be turned away."""
        self.gave_up = False
        """Whether the portion that was decided last ends with such a record."""
        self.pending = Pending()
        self._deadlines: list[Deadlines] | None = None
        self._in_flight = Pending()
        self._changes: Changes = {}

    @property
    def running(self) -> bool:
        """Whether the task takes records in."""
        return self.state is not None and self.state.running

    @property
    def idle(self) -> bool:
        """Nothing is decided and uncommitted."""
        return not self.pending.records and not self._in_flight.records

    @property
    def position(self) -> Mapping[str, int]:
        """Next offset to decide, by source."""
        return {} if self.state is None else self.state.expected

    @property
    def places(self) -> dict[str, Position]:
        """The same with the topics' ids."""
        return {source: Position(at, self.topic_ids.get(source, "")) for source, at in self.position.items()}

    def deadlines(self) -> Sequence[Deadlines]:
        """What its stages wait for, of those that wait; looked up again only after something was decided."""
        if self._deadlines is None:
            found = [
                Deadlines(
                    source,
                    stage.topic,
                    stage.earliest_deadline_ms(self.rows),
                    stage.next_watermark_deadline_ms(self.rows),
                )
                for source, stage in self.stages.items()
            ]
            self._deadlines = [each for each in found if (each.due_ms, each.by_watermark_ms) != (None, None)]
        return self._deadlines

    def restore(self, cancelled: threading.Event) -> dict[str, Position]:
        """Bring the database up to the changelog's end; blocks. Returns the positions that it holds."""
        return self.database.restore(cancelled)

    def begin(self) -> None:
        """The database is what the changelog holds: decide upon it from here on."""
        self.taken_over_at = time.monotonic()
        self.rows, self._deadlines = Rows(self.database.store), None

    def decide(self, fetched: Fetched, start: int) -> tuple[int, int]:
        """Decide a portion of a fetch from offset `start` on. Raises RecordFailed.

        Returns (records decided, offset that follows them).
        """
        records, pending, source = fetched.from_offset(start), self.pending, fetched.source
        before = len(pending.effects.sends)
        self._deadlines = None
        condemned = self.condemned.get(source)
        stage, effects = self.stages[source], pending.effects
        count = unprocessable.decide(stage, source, records, self.rows, effects, condemned)
        pending.records += count
        pending.bytes += _bytes(records[:count]) + _bytes(effects.sends[before:])
        following = records[count].offset if count < len(records) else fetched.following
        self.gave_up = condemned is not None and start <= condemned < following
        return count, following

    def seal(self, offsets: Mapping[str, int]) -> tuple[Effects, Changes]:
        """What the next transaction carries of this task, with the positions that it brings."""
        for source, offset in offsets.items():
            if source in self.stages:
                self.rows.put(POSITIONS, source.encode(), Position(offset, self.topic_ids.get(source, "")))
        self._changes = self.rows.flush()
        self._in_flight, self.pending = self.pending, Pending()
        return self._in_flight.effects, self._changes

    def landed(self, following: int) -> Pending:
        """What was sealed is durable, and `following` is the changelog's offset after its last row."""
        self.database.write(self._changes, following)
        self.rows.committed()
        done, self._in_flight = self._in_flight, Pending()
        return done

    def discard(self) -> None:
        """Forget every decision that was not committed."""
        self.rows.reset()
        self._deadlines = None
        self.pending, self._in_flight = Pending(), Pending()


def are_full(tasks: Collection[Task]) -> bool:
    """Whether tasks have decided as much as one transaction should carry.

    A task that stands still has a transaction of its own and decides one portion before that: it must not
    keep the others from deciding meanwhile.
    """
    tasks = [task for task in tasks if task.state is None or not task.state.strikes]
    pending = [task.pending for task in tasks]
    return (
        sum(each.records for each in pending) >= MAX_RECORDS
        or sum(len(task.rows.changed) for task in tasks) >= MAX_ROWS
        or sum(each.bytes for each in pending) >= MAX_BYTES
        or sum(len(each.effects.sends) for each in pending) >= MAX_SENDS
    )


def places_of(tasks: Iterable[Task]) -> dict[str, Position]:
    """The places of several tasks."""
    return {source: place for task in tasks for source, place in task.places.items()}


def _bytes(records: Sequence[Record] | Sequence[Send]) -> int:
    return sum([len(record.value or b"") for record in records]) + 100 * len(records)
