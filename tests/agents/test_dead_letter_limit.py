"""`deadLetterLimitPerMinute`: when nearly everything is turned away, nothing more is taken in."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from structlog.testing import capture_logs

from agents.dead_letter_limit import DeadLetterLimit
from agents.intake import Intake
from streams.engine import portion
from streams.engine.fetched import Fetched
from streams.ledger.effects import Effects
from streams.ledger.rows import MemoryStore, Rows
from streams.ledger.terms import Terms
from tests.agents.test_intake import ORDER, STAGES, TASKS, Rec, elsewhere


@dataclass
class Clock:
    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Limited:
    per_minute: int
    clock: Clock = field(default_factory=Clock)
    following: int = 0

    def __post_init__(self) -> None:
        self.limit = DeadLetterLimit(self.per_minute, self.clock)

    def take(self, records: int, letters: int, again: int = 0) -> bool:
        """Decide so many records; the first `again` of them were decided before."""
        first = self.following - again
        self.following = first + records
        batch = [Rec(b"", offset=offset) for offset in range(first, self.following)]
        self.limit.decided("a log", batch, letters)
        return self.limit.stopped


def test_it_stops_beyond_the_limit_and_says_so() -> None:
    poisoned = Limited(10)
    with capture_logs() as logs:
        assert not poisoned.take(10, 10)
        assert poisoned.take(1, 1)
    [line] = logs
    assert (line["event"], line["log_level"], line["dead_letters"], line["of"]) == (
        "intake_stopped",
        "error",
        11,
        11,
    )
    assert "flashsale dead-letters list" in line["recommendation"]
    assert "11 of the last 11" in poisoned.limit.sentence


def test_what_an_abort_has_decided_again_counts_once() -> None:
    poisoned = Limited(10)
    for _ in range(5):
        assert not poisoned.take(8, 8, again=poisoned.following)
    assert not poisoned.take(10, 10, again=8)
    assert poisoned.take(9, 9, again=8)


def test_a_fetch_that_is_decided_in_portions_is_counted_as_they_are() -> None:
    """Seen: the dead letters of the first portion stood for all of its fetch, and intake was stopped."""
    limit, size = DeadLetterLimit(1_000), portion.MAX_BYTES // portion.LOOK_EVERY
    intake = Intake("order-placed", "order-placed", Terms(), STAGES["order-commands"], TASKS, limit=limit)
    bad, good = b"?" * size, ORDER.ljust(size)
    records: list[Rec] = [Rec(bad if at < 300 else good, offset=at) for at in range(1_000)]
    rows = Rows(MemoryStore())
    while records:
        effects = Effects()
        some = portion.Portion(records, rows, effects)
        intake.decide(elsewhere("order-placed"), some, rows, effects)
        assert 0 < len(some) < 1_000
        records = records[len(some) :]
    assert "300 of the last 1,000 messages" in limit.sentence


def test_it_stays_stopped_until_a_person_starts_the_worker_again() -> None:
    poisoned = Limited(1)
    assert poisoned.take(2, 2)
    poisoned.clock.now = 3_600
    assert poisoned.take(100, 0)


def test_dead_letters_within_a_busy_sale_do_not_stop_it() -> None:
    busy = Limited(10)
    assert not any(busy.take(100, 80) for _ in range(100))


def test_only_the_last_minute_counts() -> None:
    slow = Limited(10)
    for _ in range(50):
        assert not slow.take(5, 5)
        slow.clock.now += 31


def test_without_a_limit_nothing_stops_it() -> None:
    assert not Limited(0).take(1_000_000, 1_000_000)


@pytest.mark.parametrize("per_minute", [0, 1, 3, 5, 6, 100])
@pytest.mark.parametrize("count", [0, 1, 5, 6, 7])
def test_the_parts_of_a_fetch_are_the_fetch(per_minute: int, count: int) -> None:
    records = [Rec(b"", offset=10 + 2 * i) for i in range(count)]
    pieces = list(DeadLetterLimit(per_minute).pieces(Fetched("t", 3, 10, 40, records)))
    assert [record for piece in pieces for record in piece.records] == records
    assert all(len(piece.records) <= (per_minute or count) for piece in pieces)
    assert (pieces[0].start, pieces[-1].following) == (10, 40)
    assert all(before.following == after.start for before, after in pairwise(pieces))
    assert all(piece.start <= record.offset < piece.following for piece in pieces for record in piece.records)


def test_once_it_is_stopped_the_rest_of_a_fetch_stays_where_it_is() -> None:
    poisoned = Limited(2)
    taken = []
    for piece in poisoned.limit.pieces(Fetched("t", 0, 0, 10, [Rec(b"", offset=i) for i in range(10)])):
        poisoned.take(len(piece.records), len(piece.records))
        taken.append(piece.following)
    assert taken == [2, 4]
