"""A task: when its deadlines are looked up, and when there is no room for more decisions."""

from __future__ import annotations

from typing import Any, cast

import pytest

from streams.engine.database import Database
from streams.engine.fetched import Fetched
from streams.engine.ownership import Membership
from streams.engine.protocol.task import TaskState
from streams.engine.task import Deadlines, Task, are_full
from streams.ledger.rows import Rows
from tests.streams.engine.kit import Counting, Rec

SOURCE = "order-commands/0"


class Waiting(Counting):
    """A stage that waits for the next hundred, and counts how often it is asked."""

    looks = 0

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        self.looks += 1
        return 100


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


@pytest.mark.parametrize("strikes", [0, 1])
def test_what_a_task_has_decided_that_stands_still_takes_no_room_of_others(
    strikes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen: two that stood still with a portion each kept all others of the worker from deciding."""
    monkeypatch.setattr("streams.engine.task.MAX_RECORDS", 2)
    tasks = [
        Task(f"task-{number}", number, {SOURCE: Counting("order-commands")}, cast(Database, cast(Any, None)))
        for number in range(3)
    ]
    member = cast(Membership, cast(Any, None))
    for task in tasks[:2]:
        task.state = TaskState(task.name, (SOURCE,), member, strikes=strikes)
        task.decide(Fetched("order-commands", 0, 0, 1, [Rec(0, b"a")]), 0)
    assert are_full(tasks) is (not strikes)
