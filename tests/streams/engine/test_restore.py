"""Reading a changelog in bulk, with librdkafka's consumer replaced by a list of messages."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from streams.engine import changelog
from streams.engine.changelog import RestoreCancelled, RestoreTimeout, _Reading
from streams.ledger.rows import Changes


@dataclass
class Message:
    """A row of the changelog, or what librdkafka says in place of one."""

    at: int | None
    size: int = 1
    says: int | None = None

    def error(self) -> KafkaError | None:
        return None if self.says is None else KafkaError(self.says)

    def offset(self) -> int | None:
        return self.at

    def key(self) -> bytes:
        return b"%d" % (self.at or 0)

    def value(self) -> bytes:
        return b"x" * self.size


class Consumer:
    """Hands out ten messages at a time, or as many as is said."""

    def __init__(self, messages: Iterable[Message], count: int = 10) -> None:
        self._left = list(messages)
        self._count = count

    def consume(self, count: int, seconds: float) -> list[Message]:
        taken, self._left = self._left[: self._count], self._left[self._count :]
        return taken


END = KafkaError._PARTITION_EOF


class Seen:
    """What a reading has applied and told."""

    def __init__(self, messages: Iterable[Message], end: int, count: int = 1) -> None:
        self.applied: list[tuple[list[bytes], int]] = []
        self.told: list[tuple[int, int]] = []
        self.cancelled = threading.Event()
        consumer: Any = Consumer(messages, count)
        self.reading = _Reading(
            consumer, "log", end, self._apply, lambda *told: self.told.append(told), self.cancelled, 60.0
        )

    def _apply(self, rows: Changes, following: int) -> None:
        self.applied.append((list(rows), following))


@pytest.fixture
def seconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, which passes by the first of these with each look."""
    steps, now = [1.0], [0.0]

    def monotonic() -> float:
        now[0] += steps[0]
        return now[0]

    monkeypatch.setattr(changelog, "time", SimpleNamespace(monotonic=monotonic))
    return steps


@pytest.mark.parametrize(("size", "bulks"), [(1, [100]), (1_000, [50, 50]), (5_000, [10] * 10)])
def test_rows_are_taken_in_bulks_of_a_bounded_size(
    monkeypatch: pytest.MonkeyPatch, size: int, bulks: list[int]
) -> None:
    """Seen by reading: all rows of a changelog stood in memory at once, up to 50,000 of them."""
    monkeypatch.setattr(changelog, "BULK_BYTES", 50_000)
    applied: list[Changes] = []
    consumer: Any = Consumer(Message(at, size) for at in range(100))
    reading = _Reading(
        consumer, "log", 100, lambda rows, at: applied.append(rows), lambda *_: None, threading.Event(), 60.0
    )
    reading.drain()
    assert [len(rows) for rows in applied] == bulks
    assert reading.count == reading.following == 100


@pytest.mark.parametrize("rows", [1, 2, 3])
def test_it_is_read_to_the_last_row_and_not_to_the_one_before(rows: int) -> None:
    seen = Seen((Message(at) for at in range(rows)), rows)
    seen.reading.drain()
    assert [row for taken, _ in seen.applied for row in taken] == [b"%d" % at for at in range(rows)]
    assert seen.applied[-1][1] == seen.reading.count == rows


def test_markers_behind_the_last_row_are_passed_by_the_end_of_the_log() -> None:
    seen = Seen([Message(0), Message(3, says=END)], 3)
    seen.reading.drain()
    assert seen.applied == [([b"0"], 3)]


def test_an_end_before_the_one_that_was_asked_for_is_no_end() -> None:
    """Nor is one without an offset."""
    seen = Seen([Message(1), Message(None, says=END), Message(2, says=END), Message(2)], 3)
    seen.reading.drain()
    assert seen.applied == [([b"1", b"2"], 3)]


def test_an_error_of_the_broker_is_no_end() -> None:
    seen = Seen([Message(3, says=KafkaError.TOPIC_AUTHORIZATION_FAILED)], 3)
    with pytest.raises(KafkaException):
        seen.reading.drain()
    assert seen.applied == []


def test_a_reading_that_nobody_wants_any_more_ends_at_once() -> None:
    seen = Seen([Message(0)], 2)
    seen.cancelled.set()
    with pytest.raises(RestoreCancelled, match="log"):
        seen.reading.drain()
    assert seen.reading.count == 0


def test_a_silent_broker_is_given_a_minute_from_the_last_row_on(seconds: list[float]) -> None:
    seconds[0] = 25.0
    seen = Seen([*map(Message, range(6))], 10)
    with pytest.raises(RestoreTimeout, match=r"offset 6 of 10: nothing arrived for 60 s"):
        seen.reading.drain()
    assert seen.reading.count == 6


def test_progress_is_told_every_two_seconds(seconds: list[float]) -> None:
    seen = Seen([*map(Message, range(8))], 8)
    seen.reading.drain()
    assert seen.told == [(3, 8), (6, 8)]
