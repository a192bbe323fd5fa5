"""A task's deadlines are looked up when something was decided, and not four times a second for nothing."""

from __future__ import annotations

from typing import Any, cast

from streams.engine.database import Database
from streams.engine.fetched import Fetched
from streams.engine.task import Deadlines, Task
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
