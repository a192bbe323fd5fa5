"""What the engine asks of a stage: decide a batch of records, say when the next deadline is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from streams.ledger.effects import Effects
from streams.ledger.rows import Rows, Table

LOG_APPEND_TIME = 1


class Record(Protocol):
    """One record as the consumer hands it out (aiokafka's DefaultRecord)."""

    offset: int
    timestamp: int
    timestamp_type: int
    """0: the producer's clock, LOG_APPEND_TIME: the broker's."""
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


@dataclass(slots=True)
class Withheld:
    """Stands for a record that the consumer would not read, because of its size for instance."""

    offset: int
    timestamp: int
    timestamp_type: int
    why: str
    key: bytes | None = None
    value: bytes | None = None
    headers: Sequence[tuple[str, bytes]] = ()


def what_is_wrong(record: Record, found: str) -> str:
    """For the dead letter of a record: what the consumer says of it, or else what its stage has found."""
    return record.why if isinstance(record, Withheld) else found


class Stage(Protocol):
    """One stage of a task: the decisions about one source topic.

    `decide` must not raise for anything that a record can contain: what cannot be decided becomes a dead
    letter. An exception that escapes is a bug and stops the process, before anything of the batch is visible;
    a record at which that happens three times is given up (streams/engine/unprocessable.py).
    """

    @property
    def topic(self) -> str:
        """Logical name of the source topic."""

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        """Decide the records of a partition, each once and in order."""

    def give_up(self, partition: int, record: Record, why: str, rows: Rows, effects: Effects) -> None:
        """Turn a record away undecided: a dead letter, and nothing else."""

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        """When a Tick is needed next, or None."""

    def next_watermark_deadline_ms(self, rows: Rows) -> int | None:
        """The watermark for which this stage waits next, or None."""


class Clock(msgspec.Struct, array_like=True):
    """The latest time that a log has shown: time never goes back, whatever a broker's clock does."""

    seen_ms: int


CLOCKS = Table(b"!t", Clock, hot=True)


def seen_ms(rows: Rows, topic: str) -> int:
    """The latest timestamp decided so far in that source log (0 for a new one)."""
    clock = rows.get(CLOCKS, topic.encode())
    return 0 if clock is None else clock.seen_ms


def committed_ms(rows: Rows, topic: str) -> int:
    """The same of what is committed: the records of that log up to then have had their effect."""
    clock = rows.get_committed(CLOCKS, topic.encode())
    return 0 if clock is None else clock.seen_ms


def remember_seen_ms(rows: Rows, topic: str, now_ms: int) -> None:
    """Record the latest timestamp decided, with the batch's rows."""
    rows.put(CLOCKS, topic.encode(), Clock(now_ms))
