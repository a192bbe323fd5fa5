"""Timers: a tick when a deadline has passed, again each second until the state moved, never otherwise."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from agents.timers import Timers
from streams.engine.task import Task
from streams.ledger.commands import Tick, encode
from streams.ledger.rows import MemoryStore, Rows


@dataclass
class Waiting:
    """A stage whose next deadline the test sets."""

    deadline_ms: int | None = None
    watermark_deadline_ms: int | None = None
    topic: str = "sku-commands"

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        return self.deadline_ms

    def next_watermark_deadline_ms(self, rows: Rows) -> int | None:
        return self.watermark_deadline_ms


@dataclass
class Owned:
    """A task as the timers see it."""

    stage: Waiting
    running: bool = True
    rows: Rows = field(default_factory=lambda: Rows(MemoryStore()))

    @property
    def stages(self) -> dict[str, Waiting]:
        return {"x-sku-commands/3": self.stage}


class Clockwork:
    """Timers over one task."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, int, bytes]] = []
        self.stage = Waiting()
        self.task = Owned(self.stage)
        self.timers = Timers(lambda *tick: self.sent.append(tick))

    def look(self, now_ms: int) -> int:
        return self.timers.look({"task-3": cast(Task, cast(Any, self.task))}, now_ms)


def test_an_idle_partition_gets_no_tick() -> None:
    assert Clockwork().look(10**12) == 0


def test_a_partition_is_ticked_once_its_earliest_deadline_has_passed() -> None:
    clock = Clockwork()
    clock.stage.deadline_ms = 5_000
    assert clock.look(4_999) == 0
    assert clock.look(5_000) == 1
    assert clock.sent == [("sku-commands", 3, encode(Tick(5_000)))]


def test_a_deadline_that_waits_for_the_watermark_gets_a_tick_as_well() -> None:
    clock = Clockwork()
    clock.stage.deadline_ms, clock.stage.watermark_deadline_ms = 9_000, 5_000
    assert [clock.look(now) for now in (4_999, 5_000)] == [0, 1]


def test_the_tick_is_repeated_each_second_until_the_state_moved() -> None:
    clock = Clockwork()
    clock.stage.deadline_ms = 5_000
    assert [clock.look(now) for now in (5_000, 5_250, 5_900, 6_000, 6_500, 7_000)] == [1, 0, 0, 1, 0, 1]
    clock.stage.deadline_ms = 6_900
    assert clock.look(7_001) == 1


def test_a_task_that_is_not_running_is_not_ticked() -> None:
    clock = Clockwork()
    clock.stage.deadline_ms = 5_000
    clock.task.running = False
    assert clock.look(9_000) == 0
