"""Timers: a partition with a deadline that has passed gets a Tick, again each second until its state moved.

There are two kinds of deadlines. What concerns Fluent and reports is due by the brokers' time. What tells
somebody "too late" or "unknown" is due by the watermark, the brokers' time up to which every message is known
to be decided: such a deadline waits until the watermark has passed it, and the Tick says so.

    deadline passed ─► an append time t after it ─► barrier at t ─► watermark t ─► Tick(t)

A timer never touches rows, and no clock of this worker decides anything. The stage acts on the deadlines up
to the tick's append time and its watermark, so ticks that come twice, early, late or from a worker that lost
the partition change nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import inf

from agents.broker_time import BrokerTime, SendTick
from schemas.topics import SKU_COMMANDS
from streams.engine.host.app import EngineApp
from streams.engine.stage import committed_ms
from streams.engine.task import Task
from streams.engine.watermark import Watermark
from streams.ledger.commands import Tick, encode
from streams.ledger.rows import Rows
from streams.log import get_logger

log = get_logger("agents.timers")

REPEAT_AFTER_S = 1.0
"""For the same deadlines a source gets another Tick after this long."""

APART_S = 0.25
"""And for others after this long, at once where the watermark has moved on."""

SOON_S = 0.02
"""Deadlines are looked for so often at most."""

HELD_UP_S = 10.0
TELL_EVERY_S = 60.0
"""A deadline that has waited for HELD_UP_S is worth a warning, and each TELL_EVERY_S another one."""

NAMED = 5
"""A warning names so many partitions."""

HELD_UP = (
    "start more workers where records are only waiting; where a partition stands still, a transaction of a "
    "producer is open or no broker leads it: see docs/operations.md, 'What late means'"
)
GIVEN_UP = (
    "what is undecided in these partitions is answered as late from now on; see docs/operations.md, "
    "'What late means'"
)


@dataclass(slots=True)
class Timers:
    """Looks after the deadlines of a worker's tasks. In the event loop only; `at` is monotonic (s)."""

    send: SendTick
    time: BrokerTime
    watermark: Watermark
    max_backlog_ms: int
    show_delay: Callable[[float], None] = lambda seconds: None
    """Told how long the oldest deadline has been waiting for the watermark."""
    next_in_s: float = inf
    """How long after the last look there is something to do, as far as was known then."""
    _ticked: dict[str, Ticked] = field(default_factory=dict)
    _told_at: dict[str, float] = field(default_factory=dict)
    _alarm: asyncio.TimerHandle | None = None

    def register(self, app: EngineApp, every_s: float) -> None:
        """Let `app` look at the deadlines of its tasks: every `every_s` seconds, and when time moved on."""

        def look() -> None:
            self.look(app.engine.tasks, time.monotonic())
            if self._alarm is not None:
                self._alarm.cancel()
            loop = self.time.loop = asyncio.get_running_loop()
            if self.next_in_s < every_s:
                self._alarm = loop.call_later(max(SOON_S, self.next_in_s), look)

        @app.timer(interval=every_s, name="ticks")
        async def ticks() -> None:
            look()

        self.time.on_heard = self.watermark.on_passed = look

    def look(self, tasks: Mapping[str, Task], at: float) -> int:
        """Send the ticks that are due, and see to it that time moves on where it is waited for.

        Returns how many were sent.
        """
        sent, held, now_ms = 0, [], self.time.clock.now_ms(at)
        self.next_in_s = inf
        for waiting in _waiting(tasks):
            if not self.time.clock.fresh(at):
                self._ask(tasks, at)
            if now_ms is None:
                continue
            watermark_ms = self._watermark_ms(waiting, now_ms, at)
            if waiting.held(now_ms, watermark_ms):
                held.append(waiting)
            sent += self._tick(waiting, waiting.passed(now_ms, watermark_ms), watermark_ms, at)
            self._look_again_in(waiting.after_ms(now_ms) / 1_000)
        self._move_on(held, tasks, now_ms or 0, at)
        return sent

    def _ask(self, tasks: Mapping[str, Task], at: float) -> float:
        """Ask what time it is, each time through another partition: one of them may have no leader.

        Returns in how many seconds it may be asked again.
        """
        running = sorted((task for task in tasks.values() if task.running), key=_partition)
        task = next((task for task in running if task.partition > self.time.asked), running[0])
        return self.time.ask(task.partition, at, committed_ms(task.rows, SKU_COMMANDS))

    def _watermark_ms(self, waiting: Waiting, now_ms: int, at: float) -> int:
        """What a tick may say: the watermark, or a time that has been waited for in vain for too long."""
        given_up_ms = now_ms - self.max_backlog_ms
        if not waiting.held(given_up_ms, self.watermark.ms):
            return self.watermark.ms
        if self._worth_telling("backlog_given_up", at):
            seconds = self.max_backlog_ms // 1_000
            log.warning(
                "backlog_given_up", seconds=seconds, partitions=self._behind(), recommendation=GIVEN_UP
            )
        return given_up_ms

    def _tick(self, waiting: Waiting, passed: tuple[int, ...], watermark_ms: int, at: float) -> int:
        if not passed:
            return 0
        last = self._ticked.get(waiting.source)
        pause_s = 0.0 if last is None else last.pause_s(passed, watermark_ms) + last.at - at
        if pause_s > 0:
            self._look_again_in(pause_s)
            return 0
        self._ticked[waiting.source] = Ticked(passed, watermark_ms, at)
        self.send(waiting.topic, waiting.partition, encode(Tick(watermark_ms, waiting.committed_ms())))
        return 1

    def _look_again_in(self, seconds: float) -> None:
        self.next_in_s = min(seconds, self.next_in_s)

    def _move_on(self, held: list[Waiting], tasks: Mapping[str, Task], now_ms: int, at: float) -> None:
        """Let the watermark pass the deadlines that only wait for it."""
        deadlines = [waiting.by_watermark_ms or 0 for waiting in held]
        delay_s = (now_ms - min(deadlines, default=now_ms)) / 1_000
        self.show_delay(delay_s)
        if not held:
            return
        heard_ms = self.time.clock.heard_ms
        if heard_ms >= min(deadlines):
            self.watermark.want(heard_ms)
        if heard_ms < max(deadlines):
            self._look_again_in(self._ask(tasks, at))
        if delay_s > HELD_UP_S and self._worth_telling("backlog_waits", at):
            seconds = round(delay_s)
            log.warning("backlog_waits", seconds=seconds, partitions=self._behind(), recommendation=HELD_UP)

    def _worth_telling(self, event: str, at: float) -> bool:
        if at - self._told_at.get(event, -inf) < TELL_EVERY_S:
            return False
        self._told_at[event] = at
        return True

    def _behind(self) -> list[str]:
        """The partitions that hold time up, those first of which nobody knows anything."""
        behind, unknown = self.watermark.behind, inf
        if not behind:
            return [f"{SKU_COMMANDS}/{each}: {_short(None)}" for each in sorted(self.time.unheard)[:NAMED]]
        named = sorted(behind, key=lambda each: -(unknown if behind[each] is None else behind[each] or 0))
        return [f"{topic}/{number}: {_short(behind[topic, number])}" for topic, number in named[:NAMED]]


def _partition(task: Task) -> int:
    return task.partition


def _short(records: int | None) -> str:
    return "nobody answers for it" if records is None else f"{records} records"


@dataclass(frozen=True, slots=True)
class Ticked:
    """The last Tick of a source: for which deadlines, with which watermark, and when."""

    passed: tuple[int, ...]
    watermark_ms: int
    at: float

    def pause_s(self, passed: tuple[int, ...], watermark_ms: int) -> float:
        """How long after it the next one may be sent."""
        if passed == self.passed:
            return REPEAT_AFTER_S
        return 0.0 if watermark_ms > self.watermark_ms else APART_S


@dataclass(frozen=True, slots=True)
class Waiting:
    """A source of a task that waits: until `due_ms` by the brokers' time, or for a watermark."""

    source: str
    topic: str
    partition: int
    due_ms: int | None
    by_watermark_ms: int | None
    rows: Rows

    def committed_ms(self) -> int:
        """Up to which time the source's records are committed."""
        return committed_ms(self.rows, self.topic)

    def held(self, now_ms: int, watermark_ms: int) -> bool:
        """Whether a deadline has passed, but may not be acted on yet."""
        return self.by_watermark_ms is not None and watermark_ms < self.by_watermark_ms <= now_ms

    def passed(self, now_ms: int, watermark_ms: int) -> tuple[int, ...]:
        """The deadlines that are to be acted on."""
        both = (self.due_ms, now_ms), (self.by_watermark_ms, watermark_ms)
        return tuple(at_ms for at_ms, until_ms in both if at_ms is not None and at_ms <= until_ms)

    def after_ms(self, now_ms: int) -> float:
        """How long after `now_ms` the next deadline passes; infinite where none does."""
        both = (self.due_ms, self.by_watermark_ms)
        return min((at_ms - now_ms for at_ms in both if at_ms is not None and at_ms > now_ms), default=inf)


def _waiting(tasks: Mapping[str, Task]) -> Iterator[Waiting]:
    for task in tasks.values():
        if task.running:
            for each in task.deadlines():
                due_ms, by_watermark_ms = each.due_ms, each.by_watermark_ms
                yield Waiting(each.source, each.topic, task.partition, due_ms, by_watermark_ms, task.rows)
