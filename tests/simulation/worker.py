"""Tasks: partition i of the three command logs, decided in transactions that may be lost in a crash."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from schemas.topics import ORDER_COMMANDS, PROMOTION_COMMANDS, SKU_COMMANDS, TASK_CHANGELOG
from streams.ledger import commands as c
from streams.ledger import orders, promotions, reservations
from streams.ledger.effects import MAX_EFFECTS, Effects, Send
from streams.ledger.rows import Changes, MemoryStore, Rows
from tests.simulation.barrier import Barrier
from tests.simulation.broker import Record

STAGES: dict[str, tuple[Any, Callable[[bytes], Any]]] = {
    ORDER_COMMANDS: (orders, c.decode_order_command),
    PROMOTION_COMMANDS: (promotions, c.decode_promotion_command),
    SKU_COMMANDS: (reservations, c.decode_sku_command),
}


@dataclass
class Progress:
    """How far a task is in each log, and the latest time it has seen there."""

    offsets: dict[str, int]
    clocks: dict[str, int]

    def copy(self) -> Progress:
        """A snapshot."""
        return Progress(dict(self.offsets), dict(self.clocks))


@dataclass
class Transaction:
    """Decided, not committed: its rows, its records and the position after it, all or nothing."""

    changes: Changes
    sends: list[Send]
    progress: Progress


class Task:
    """Reads, decides and commits by turns, one batch ahead of its commit; sleeps when there is nothing."""

    def __init__(self, index: int, barrier: Barrier, rng: random.Random, crash_rate: float) -> None:
        self.index = index
        self.barrier = barrier
        self.broker = broker = barrier.broker
        self.rng = rng
        self.crash_rate = crash_rate
        self.store = MemoryStore()
        self.rows = Rows(self.store)
        self.crashes = 0
        self.away_until_ms = 0
        """Until then nobody owns it."""
        self.stuck_until_ms = 0
        """Until then it decides and looks after its deadlines, but no transaction of it is committed."""
        self._committed = Progress(dict.fromkeys(STAGES, 0), dict.fromkeys(STAGES, 0))
        self._decided = self._committed.copy()
        self._in_flight: list[Transaction] = []
        self._awake = False
        self._tick_at_ms = 0
        self._asked: set[str] = set()
        """Topics whose next watermark is being looked for."""
        self._last_watermark_ms = 0
        self._waits: dict[str, tuple[int | None, int | None]] | None = None
        for topic in STAGES:
            broker.listeners[topic].append(self._hear)
        barrier.readers.append(self)

    def committed(self, topic: str) -> int:
        """Up to which offset it has committed a topic."""
        return self._committed.offsets[topic]

    def _hear(self, partition: int, _: Record) -> None:
        if partition == self.index and not self._awake:
            self._awake = True
            self.broker.clock.after(self.rng.randint(1, 40), self._turn)

    def _turn(self) -> None:
        if self.broker.clock.now_ms < self.away_until_ms:
            self.broker.clock.plan(self.away_until_ms, self._turn)
            return
        if self.rng.random() < self.crash_rate:
            self._crash()
        elif self.broker.clock.now_ms < self.stuck_until_ms and self._in_flight:
            self.broker.clock.after(self.rng.randint(100, 500), self._turn)
            return
        elif len(self._in_flight) == 2 or (self._in_flight and self.rng.random() < 0.5):
            self._commit()
        else:
            self._decide_batch()
        self._awake = bool(self._in_flight) or self._behind()
        if self._awake:
            self.broker.clock.after(self.rng.randint(1, 40), self._turn)
        else:
            self._plan_tick()

    def _behind(self) -> bool:
        logs, offsets = self.broker.logs, self._decided.offsets
        return any(offsets[topic] < len(logs[topic, self.index]) for topic in STAGES)

    def _crash(self) -> None:
        self.crashes += 1
        self._waits = None
        self.rows.reset()
        self._in_flight.clear()
        self._decided = self._committed.copy()

    def _commit(self) -> None:
        done = self._in_flight.pop(0)
        self.store.write(done.changes)
        self.rows.committed()
        assert len(self.rows._flushed) == len(self._in_flight), "what is not in flight is kept over the store"
        self._committed = done.progress
        for key, row in done.changes.items():
            self.broker.append(TASK_CHANGELOG, key, row or b"", None, self.index)
        for send in done.sends:
            partition = self.index if send.own else None
            self.broker.append(send.topic, send.key, send.value, send.headers, partition)

    def _decide_batch(self) -> None:
        sends: list[Send] = []
        before = dict(self._decided.offsets)
        topics = list(STAGES)
        self.rng.shuffle(topics)
        for topic in topics:
            start = self._decided.offsets[topic]
            for record in self.broker.logs[topic, self.index][start : start + self.rng.randint(0, 30)]:
                sends += self._decide(topic, record)
            if self.rng.random() < self.crash_rate / len(STAGES):
                self._crash()
                return
        if self._decided.offsets == before:
            return
        changes = self.rows.flush()
        self._in_flight.append(Transaction(changes, sends, self._decided.copy()))

    def _decide(self, topic: str, record: Record) -> list[Send]:
        core, decode = STAGES[topic]
        self._waits = None
        now_ms = self._decided.clocks[topic] = max(self._decided.clocks[topic], record.at_ms)
        self._decided.offsets[topic] += 1
        command = decode(record.value) if isinstance(record.value, bytes) else record.value
        effects = Effects()
        core.decide(self.rows, command, now_ms, effects)
        assert len(effects.sends) <= MAX_EFFECTS
        for notice in effects.notices:
            assert notice.level == "info" or notice.fields.get("recommendation"), notice
        return effects.sends

    def _plan_tick(self) -> None:
        """Up to a second after the earliest deadline."""
        due = [due_ms for due_ms in self._deadlines() if due_ms is not None]
        if not due:
            return
        at_ms = max(min(due), self.broker.clock.now_ms) + self.rng.randint(1, 1_000)
        if self._tick_at_ms > self.broker.clock.now_ms and self._tick_at_ms <= at_ms:
            return
        self._tick_at_ms = at_ms
        self.broker.clock.plan(at_ms, self._tick)

    def _deadlines(self) -> list[int | None]:
        """By the clock, and by the watermark where none is being looked for."""
        by_clock = [due_ms for due_ms, _ in self._next().values()]
        return by_clock + [
            mark_ms for topic, (_, mark_ms) in self._next().items() if topic not in self._asked
        ]

    def _next(self) -> dict[str, tuple[int | None, int | None]]:
        """What each core waits for; looked up again only after something was decided, or forgotten."""
        if self._waits is None:
            self._waits = {
                topic: (core.earliest_deadline_ms(self.rows), core.next_watermark_deadline_ms(self.rows))
                for topic, (core, _) in STAGES.items()
            }
        return self._waits

    def _tick(self) -> None:
        """The owner's tick for each stage whose time has come, or a zombie's for one whose time has not."""
        now_ms = self.broker.clock.now_ms
        if now_ms < self.away_until_ms:
            self.broker.clock.plan(self.away_until_ms, self._tick)
            return
        for topic, (due_ms, mark_ms) in self._next().items():
            if self.rng.random() < 0.02:
                self._send(topic, self.rng.choice([0, self._last_watermark_ms]))
            elif due_ms is not None and due_ms <= now_ms:
                self._send(topic, 0)
            if mark_ms is not None and mark_ms <= now_ms and topic not in self._asked:
                self._asked.add(topic)
                self.barrier.when_passed(now_ms, partial(self._passed, topic, now_ms))
        self._plan_tick()

    def _passed(self, topic: str, watermark_ms: int) -> None:
        self._asked.discard(topic)
        self._last_watermark_ms = watermark_ms
        self._send(topic, watermark_ms)

    def _send(self, topic: str, watermark_ms: int) -> None:
        tick = c.Tick(watermark_ms, self._committed.clocks[topic])
        self.broker.append(topic, b"", c.encode(tick), None, self.index)
