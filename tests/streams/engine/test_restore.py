"""Reading a changelog in bulk, with librdkafka's consumer replaced by a list of messages."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

import pytest

from streams.engine import changelog
from streams.engine.changelog import _Reading
from streams.ledger.rows import Changes


@dataclass
class Message:
    """A row of the changelog."""

    at: int
    size: int

    def error(self) -> None:
        return None

    def offset(self) -> int:
        return self.at

    def key(self) -> bytes:
        return b"%d" % self.at

    def value(self) -> bytes:
        return b"x" * self.size


class Consumer:
    """Hands out ten messages at a time."""

    def __init__(self, *sizes: int) -> None:
        self._left = [Message(at, size) for at, size in enumerate(sizes)]

    def consume(self, count: int, seconds: float) -> list[Message]:
        taken, self._left = self._left[:10], self._left[10:]
        return taken


@pytest.mark.parametrize(("size", "bulks"), [(1, [100]), (1_000, [50, 50]), (5_000, [10] * 10)])
def test_rows_are_taken_in_bulks_of_a_bounded_size(
    monkeypatch: pytest.MonkeyPatch, size: int, bulks: list[int]
) -> None:
    """Seen by reading: all rows of a changelog stood in memory at once, up to 50,000 of them."""
    monkeypatch.setattr(changelog, "BULK_BYTES", 50_000)
    applied: list[Changes] = []
    consumer: Any = Consumer(*[size] * 100)
    reading = _Reading(
        consumer, "log", 100, lambda rows, at: applied.append(rows), lambda *_: None, threading.Event(), 60.0
    )
    reading.drain()
    assert [len(rows) for rows in applied] == bulks
    assert reading.count == reading.following == 100
