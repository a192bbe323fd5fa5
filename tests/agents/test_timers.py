"""Timers: a tick when a deadline has passed, by the brokers' time or by the watermark, never otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf
from typing import Any, cast

import pytest
import structlog

from agents.broker_time import BrokerTime
from agents.timers import HELD_UP_S, TELL_EVERY_S, Timers
from streams.engine.barrier import Partition
from streams.engine.clock import FRESH_S
from streams.engine.stage import remember_seen_ms
from streams.engine.task import Deadlines, Task
from streams.engine.watermark import Watermark
from streams.ledger.commands import Tick, decode_sku_command
from streams.ledger.rows import MemoryStore, Rows

BACKLOG_MS = 600_000


@dataclass
class Waiting:
    """A stage whose next deadlines the test sets."""

    deadline_ms: int | None = None
    by_watermark_ms: int | None = None
    topic: str = "order-commands"

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        return self.deadline_ms

    def next_watermark_deadline_ms(self, rows: Rows) -> int | None:
        return self.by_watermark_ms


@dataclass
class Owned:
    """A task as the timers see it."""

    stage: Waiting
    running: bool = True
    name: str = "task-3"
    partition: int = 3
    rows: Rows = field(default_factory=lambda: Rows(MemoryStore()))

    @property
    def stages(self) -> dict[str, Waiting]:
        return {"x-order-commands/3": self.stage}

    def deadlines(self) -> list[Deadlines]:
        stage = self.stage
        found = Deadlines(
            "x-order-commands/3",
            stage.topic,
            stage.earliest_deadline_ms(self.rows),
            stage.next_watermark_deadline_ms(self.rows),
        )
        return [] if (found.due_ms, found.by_watermark_ms) == (None, None) else [found]


@dataclass
class Mark:
    """A watermark that the test moves."""

    ms: int = 0
    behind: Mapping[Partition, int | None] = field(default_factory=dict)
    wanted: list[int] = field(default_factory=list)

    def want(self, at_ms: int) -> None:
        self.wanted.append(at_ms)


class Clockwork:
    """Timers over one task. Monotonic time is the brokers', in seconds, once they have been heard."""

    def __init__(self, *, heard_ms: int | None = 1) -> None:
        self.sent: list[tuple[str, int, int]] = []
        self.asked: list[int] = []
        self.delays: list[float] = []
        self.stage, self.mark = Waiting(), Mark()
        self.task = Owned(self.stage)
        self.time = BrokerTime(self.ask)
        watermark = cast(Watermark, cast(Any, self.mark))
        self.timers = Timers(self.send, self.time, watermark, BACKLOG_MS, self.delays.append)
        if heard_ms is not None:
            self.hear(heard_ms)

    def hear(self, heard_ms: int) -> None:
        self.time.clock.heard(heard_ms, heard_ms / 1_000, heard_ms / 1_000)

    def ask(self, topic: str, partition: int, value: bytes) -> None:
        assert topic == "sku-commands"
        self.asked.append(partition)

    def send(self, topic: str, partition: int, value: bytes) -> None:
        self.sent.append((topic, partition, decode_sku_command(value).watermark_ms))

    def commit(self) -> None:
        self.task.rows._store.write(self.task.rows.flush())
        self.task.rows.committed()

    def look(self, now_ms: int) -> int:
        return self.timers.look({"task-3": cast(Task, cast(Any, self.task))}, now_ms / 1_000)


def test_an_idle_partition_gets_no_tick_and_nobody_is_asked_the_time() -> None:
    clock = Clockwork(heard_ms=None)
    assert clock.look(10**9) == 0
    assert clock.asked == []


def test_a_partition_is_ticked_once_its_earliest_deadline_has_passed() -> None:
    clock = Clockwork()
    clock.stage.deadline_ms = 5_000
    assert clock.look(4_990) == 0
    assert clock.look(5_000) == 1
    assert clock.sent == [("order-commands", 3, 0)]


def test_the_tick_is_repeated_each_second_until_the_state_moved() -> None:
    clock = Clockwork()
    clock.stage.deadline_ms = 5_000
    assert [clock.look(now) for now in (5_000, 5_250, 5_900, 6_000, 6_500, 7_000)] == [1, 0, 0, 1, 0, 1]


def test_other_deadlines_of_a_source_wait_a_quarter_of_a_second_and_are_looked_for_then() -> None:
    clock = Clockwork()
    clock.stage.deadline_ms = 5_000
    assert clock.look(5_000) == 1
    clock.stage.deadline_ms = 5_050
    assert clock.look(5_100) == 0
    assert clock.timers.next_in_s == pytest.approx(0.15)
    assert clock.look(5_250) == 1


def test_a_watermark_that_has_moved_on_is_told_at_once_whatever_was_ticked_a_moment_ago() -> None:
    clock = Clockwork()
    clock.stage.deadline_ms = clock.stage.by_watermark_ms = 5_000
    clock.hear(5_000)
    assert clock.look(5_010) == 1
    clock.mark.ms = 5_000
    assert clock.look(5_040) == 1
    assert [watermark for *_, watermark in clock.sent] == [0, 5_000]


@pytest.mark.parametrize("by_watermark", [True, False])
def test_the_next_deadline_is_looked_for_when_it_passes(by_watermark: bool) -> None:
    clock = Clockwork()
    clock.stage.deadline_ms, clock.stage.by_watermark_ms = (None, 5_000) if by_watermark else (5_000, None)
    clock.look(4_900)
    assert clock.timers.next_in_s == pytest.approx(0.1, abs=0.002)
    clock.stage.deadline_ms = clock.stage.by_watermark_ms = None
    clock.look(5_000)
    assert clock.timers.next_in_s == inf


def test_a_task_that_is_not_running_is_not_ticked() -> None:
    clock = Clockwork()
    clock.stage.deadline_ms = 5_000
    clock.task.running = False
    assert clock.look(9_000) == 0


def test_before_the_brokers_were_heard_they_are_asked_and_nothing_is_due() -> None:
    clock = Clockwork(heard_ms=None)
    clock.stage.deadline_ms = 5_000
    assert clock.look(9_000) == 0
    assert clock.asked == [3]
    clock.hear(9_000)
    assert clock.look(9_001) == 1


def test_what_was_heard_long_ago_is_asked_again_before_a_deadline_is_missed() -> None:
    clock = Clockwork()
    clock.stage.deadline_ms = 10**9
    assert clock.look(1_000) == len(clock.asked) == 0
    clock.look(int(FRESH_S * 1_000) + 1)
    assert clock.asked == [3]


def test_a_deadline_by_the_watermark_waits_for_it_and_its_tick_says_how_far_it_is() -> None:
    clock = Clockwork()
    clock.stage.by_watermark_ms = 5_000
    assert clock.look(4_990) == 0
    assert (clock.asked, clock.mark.wanted) == ([], [])
    assert clock.look(5_100) == 0
    assert (clock.asked, clock.mark.wanted) == ([3], [])
    clock.hear(5_110)
    assert clock.look(5_120) == 0
    assert clock.mark.wanted == [5_110]
    clock.mark.ms = 5_110
    assert clock.look(5_130) == 1
    assert clock.sent == [("order-commands", 3, 5_110)]


def test_only_an_append_time_after_the_deadline_is_good_enough_for_the_watermark() -> None:
    clock = Clockwork()
    clock.hear(4_999)
    clock.stage.by_watermark_ms = 5_000
    clock.look(6_000)
    assert (clock.asked, clock.mark.wanted) == ([3], [])


def test_a_tick_by_the_brokers_time_does_not_wait_for_the_watermark_and_moves_no_deadline_of_it() -> None:
    clock = Clockwork()
    clock.stage.deadline_ms = clock.stage.by_watermark_ms = 5_000
    clock.mark.ms = 4_000
    assert clock.look(6_000) == 1
    assert clock.sent == [("order-commands", 3, 4_000)]


def test_how_long_time_is_held_up_is_shown_and_told_with_the_partition_that_holds_it() -> None:
    clock = Clockwork()
    clock.stage.by_watermark_ms = 5_000
    clock.hear(5_000)
    clock.mark.behind = {("order-placed", 7): 120, ("order-placed", 8): None}
    with structlog.testing.capture_logs() as lines:
        clock.look(9_000)
        assert clock.delays == [pytest.approx(4.0, abs=0.01)]
        assert lines == []
        clock.look(5_001 + int(HELD_UP_S * 1_000))
        clock.look(5_002 + int(HELD_UP_S * 1_000))
        [line] = lines
        assert line["event"] == "backlog_waits"
        assert line["partitions"] == ["order-placed/8: nobody answers for it", "order-placed/7: 120 records"]
        clock.look(5_001 + int((HELD_UP_S + TELL_EVERY_S) * 1_000))
        assert len(lines) == 2
    clock.mark.ms = 5_000
    clock.look(90_000)
    assert clock.delays[-1] == 0.0


def test_after_the_longest_backlog_a_deadline_is_acted_on_all_the_same_and_no_later_one() -> None:
    clock = Clockwork()
    clock.stage.by_watermark_ms = 5_000
    clock.hear(5_000)
    clock.mark.behind = {("order-placed", 7): 120}
    assert clock.look(4_990 + BACKLOG_MS) == 0
    with structlog.testing.capture_logs() as lines:
        assert clock.look(5_001 + BACKLOG_MS) == 1
    assert clock.sent == [("order-commands", 3, 5_001)]
    [line] = [line for line in lines if line["event"] == "backlog_given_up"]
    assert line["partitions"] == ["order-placed/7: 120 records"]
    clock.stage.by_watermark_ms = 6_000
    assert clock.look(5_500 + BACKLOG_MS) == 0


def test_a_tick_says_up_to_when_its_log_is_committed_and_not_what_is_only_decided() -> None:
    clock = Clockwork()
    ticks: list[object] = []
    clock.timers.send = lambda topic, partition, tick: ticks.append(decode_sku_command(tick))
    rows = clock.task.rows
    remember_seen_ms(rows, "order-commands", 4_000)
    clock.commit()
    remember_seen_ms(rows, "order-commands", 4_900)
    clock.stage.deadline_ms = 5_000
    clock.look(5_000)
    clock.commit()
    clock.look(6_000)
    assert ticks == [Tick(0, 4_000), Tick(0, 4_900)]


def test_the_time_is_asked_through_each_partition_in_turn_and_silent_ones_are_named() -> None:
    """The first one may have no leader: asked again and again it would hold up all others."""
    clock = Clockwork()
    clock.stage.by_watermark_ms = 5_000
    tasks = {f"task-{number}": Owned(clock.stage, partition=number) for number in (7, 3, 5)}

    def look(now_ms: int) -> None:
        clock.timers.look(cast(Mapping[str, Task], cast(Any, tasks)), now_ms / 1_000)

    with structlog.testing.capture_logs() as lines:
        for now_ms in range(15_010, 16_010, 250):
            look(now_ms)
    assert clock.asked == [3, 5, 7, 3]
    assert [line["partitions"] for line in lines] == [["sku-commands/3: nobody answers for it"]]
    clock.time.heard(16_000, 0.01, 16.0, 16_000)
    clock.timers._told_at.clear()
    with structlog.testing.capture_logs() as lines:
        look(16_010)
    assert [line["partitions"] for line in lines] == [[]]


def test_the_watermark_need_not_wait_for_the_last_of_the_deadlines_that_have_passed() -> None:
    clock = Clockwork()
    early, late = Waiting(by_watermark_ms=5_000), Waiting(by_watermark_ms=5_900)
    tasks = {"task-1": Owned(early, partition=1), "task-3": Owned(late)}
    clock.hear(5_500)
    clock.timers.look(cast(Mapping[str, Task], cast(Any, tasks)), 6.0)
    assert clock.mark.wanted == [5_500]
    assert clock.asked == [1]
