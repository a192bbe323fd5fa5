"""A task: what it has decided, where it stands, when its deadlines are looked up, and when it has no room."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any, cast

import pytest

from schemas.topics import ORDER_OUTCOMES
from streams.engine.database import Database
from streams.engine.fetched import Fetched
from streams.engine.ownership import Membership
from streams.engine.ports import Position, positions_in
from streams.engine.protocol.task import Phase, TaskState
from streams.engine.task import Deadlines, Task, are_full, places_of
from streams.engine.unprocessable import FAILURES, TRIES, Failures
from streams.ledger.effects import Effects, Send
from streams.ledger.rows import Changes, MemoryStore, Rows
from tests.streams.engine.kit import COUNTS, Count, Counting, Rec

SOURCE, INPUT = "order-commands/0", "order-placed/0"
NOBODY = cast(Membership, cast(Any, None))


class Waiting(Counting):
    """A stage that waits for the next hundred, and counts how often it is asked."""

    looks = 0

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        self.looks += 1
        return 100


class Saying(Counting):
    """Each record makes one row and one output of a hundred bytes."""

    def decide(self, partition: int, records: Any, rows: Rows, effects: Effects) -> None:
        for record in records:
            rows.put(COUNTS, b"%d" % record.offset, Count(1))
            effects.sends.append(Send(ORDER_OUTCOMES, b"", b"x" * 100))


def a_task(stage: Counting | None = None, number: int = 0, store: MemoryStore | None = None) -> Task:
    """One that has begun, upon a database in memory."""
    kept = store or MemoryStore()

    def write(changes: Changes, following: int) -> None:
        kept.write(changes)

    database: Any = SimpleNamespace(store=kept, write=write)
    stages = {SOURCE: stage or Counting("order-commands"), INPUT: Counting("order-placed")}
    task = Task(f"task-{number}", number, stages, cast(Database, database))
    task.begin()
    return task


def fetch(start: int, *values: bytes) -> Fetched:
    """Records, and a transaction's marker behind them."""
    records = [Rec(start + place, b"k", value) for place, value in enumerate(values)]
    return Fetched("order-commands", 0, start, start + len(values) + 1, records)


def test_deadlines_are_looked_up_again_only_after_a_decision_or_when_one_was_undone() -> None:
    stage = Waiting("order-commands")
    task = Task("task-0", 0, {SOURCE: stage}, cast(Database, cast(Any, None)))
    expected = [Deadlines(SOURCE, "order-commands", 100, None)]
    assert task.deadlines() == task.deadlines() == expected
    assert stage.looks == 1
    task.decide(Fetched("order-commands", 0, 0, 1, [Rec(0, b"a")]), 0)
    assert task.deadlines() == task.deadlines() == expected
    assert stage.looks == 2
    task.discard()
    task.deadlines()
    assert stage.looks == 3


def test_before_it_was_granted_a_task_stands_nowhere_and_takes_nothing_in() -> None:
    task = a_task()
    assert not task.running and task.position == {} and task.places == {}


def test_a_task_stands_where_the_protocol_says_each_place_with_its_topic() -> None:
    task = a_task()
    task.state = TaskState(task.name, (SOURCE, INPUT), NOBODY, expected={SOURCE: 5, INPUT: 7})
    task.topic_ids = {SOURCE: "id"}
    assert task.position == {SOURCE: 5, INPUT: 7}
    assert places_of([task]) == {SOURCE: Position(5, "id"), INPUT: Position(7)}
    assert not task.running
    task.state.phase = Phase.RUNNING
    assert task.running


def test_a_task_says_when_it_was_taken_over() -> None:
    assert Task("task-0", 0, {}, cast(Database, cast(Any, None))).taken_over_at is None
    before = time.monotonic()
    taken_over_at = a_task().taken_over_at
    assert taken_over_at is not None and before <= taken_over_at <= time.monotonic()


def test_a_task_is_idle_when_nothing_is_decided_or_in_flight() -> None:
    task, idle = a_task(), list[bool]()
    idle.append(task.idle)
    task.decide(fetch(0, b"a"), 0)
    idle.append(task.idle)
    task.seal({SOURCE: 2})
    idle.append(task.idle)
    assert task.landed(1).records == 1
    idle.append(task.idle)
    assert idle == [True, False, False, True]


def test_what_has_landed_is_read_from_the_database_and_takes_no_more_memory() -> None:
    store = MemoryStore()
    task = a_task(store=store)
    task.decide(fetch(0, b"a"), 0)
    _, changes = task.seal({SOURCE: 2})
    assert task.rows.get(COUNTS, b"k") == Count(1) and COUNTS.prefix + b"k" not in store.rows
    task.landed(1)
    assert store.rows.items() >= changes.items()
    store.write({COUNTS.prefix + b"k": b"\x91\x05"})
    assert task.rows.get(COUNTS, b"k") == Count(5)


def test_a_task_writes_down_the_positions_of_its_own_sources_only() -> None:
    store = MemoryStore()
    task = a_task(store=store)
    task.topic_ids = {SOURCE: "id"}
    task.seal({SOURCE: 5, INPUT: 6, "order-commands/1": 7})
    task.landed(1)
    assert positions_in(store) == {SOURCE: Position(5, "id"), INPUT: Position(6)}


def test_a_portion_ends_before_the_first_record_that_was_not_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streams.engine.portion.MAX_ROWS", 1)
    monkeypatch.setattr("streams.engine.portion.LOOK_EVERY", 1)
    task, fetched = a_task(), fetch(5, b"a", b"b")
    assert task.decide(fetched, 5) == (1, 6)
    task.seal({})
    assert task.decide(fetched, 6) == (1, 8), "the marker behind the last one is passed"


def test_a_portion_says_whether_it_ends_with_a_record_that_was_turned_away() -> None:
    task = a_task()
    task.rows.put(FAILURES, SOURCE.encode(), Failures(6, TRIES, "of no use"))
    task.condemned[SOURCE] = 6
    fetched, said = fetch(5, b"a", b"b", b"c"), []
    for start in (5, 7):
        task.decide(fetched, start)
        said.append(task.gave_up)
    assert said == [True, False]


@pytest.mark.parametrize("strikes", [0, 1])
def test_what_a_task_has_decided_that_stands_still_takes_no_room_of_others(
    strikes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: two that stood still with a portion each kept all others of the worker from deciding."""
    monkeypatch.setattr("streams.engine.task.MAX_RECORDS", 2)
    tasks = [a_task(number=number) for number in range(3)]
    for task in tasks[:2]:
        task.state = TaskState(task.name, (SOURCE,), NOBODY, strikes=strikes)
        task.decide(Fetched("order-commands", 0, 0, 1, [Rec(0, b"a")]), 0)
    assert are_full(tasks) is (not strikes)


@pytest.mark.parametrize(
    ("bound", "most"),
    # Two tasks with three records each, of 50 bytes, and as many rows and outputs, of 100 bytes; 100 bytes
    # for what is around each record.
    [("MAX_RECORDS", 6), ("MAX_ROWS", 6), ("MAX_SENDS", 6), ("MAX_BYTES", 6 * (150 + 200))],
)
def test_there_is_no_room_once_tasks_together_have_as_much_as_a_transaction_should_carry(
    bound: str, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [a_task(Saying("order-commands"), number) for number in range(2)]
    for task in tasks:
        task.decide(fetch(0, b"x" * 50, b"x" * 50), 0)
        task.decide(fetch(3, b"x" * 50), 3)
    assert not are_full(tasks)
    monkeypatch.setattr(f"streams.engine.task.{bound}", most + 1)
    assert not are_full(tasks)
    monkeypatch.setattr(f"streams.engine.task.{bound}", most)
    assert are_full(tasks)
    for task in tasks:
        task.seal({})
    assert not are_full(tasks), "what is in flight is not decided ahead of it"
