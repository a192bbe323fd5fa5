"""A driver of one task over stand-ins for coordinators, producers and changelog; its files are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from streams.engine.broker.coordinators import GroupOffset, Partition
from streams.engine.broker.errors import Refused
from streams.engine.broker.transactions import Transaction
from streams.engine.database import Database
from streams.engine.driver import Driver
from streams.engine.fetched import Fetched
from streams.engine.ownership import Membership, Ownership
from streams.engine.ports import POSITIONS, Position
from streams.engine.protocol.pace import Pace
from streams.engine.protocol.worker import WorkerProtocol
from streams.engine.stage import Record
from streams.engine.takeover import Takeover
from streams.engine.task import Task
from streams.ledger.effects import Effects
from tests.streams.engine.kit import COUNTS, Counting, Rec, Recorder
from tests.streams.engine.test_database import Changelog

TOPIC = "order-commands"
SOURCE, PLACE = f"{TOPIC}/0", (TOPIC, 0)
CHANGELOG = "changelog"
WITHIN_S = 5.0
MEMBER = Membership(4, "we")
DEAD = Ownership(("dead-a", "dead-b"), 3)


class Clock:
    """Time passes while somebody sleeps."""

    def __init__(self) -> None:
        self.now_s, self.pauses = 0.0, list[float]()

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now_s += seconds

    def rule(self, monkeypatch: pytest.MonkeyPatch, module: ModuleType) -> None:
        """Be the time of a module: it sleeps here, and asks here what time it is."""
        monkeypatch.setattr(module, "asyncio", SimpleNamespace(**{**vars(asyncio), "sleep": self.sleep}))
        monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: self.now_s))


def row_of(offset: int) -> tuple[bytes, bytes]:
    """What the changelog says about the source."""
    return POSITIONS.prefix + SOURCE.encode(), msgspec.msgpack.encode(Position(offset, "id"))


class Topics(Changelog):
    """What there is of topics, and a changelog; in place of its reader."""

    def __init__(self) -> None:
        super().__init__(row_of(0))
        self.ids = {TOPIC: "id", CHANGELOG: "the topic"}
        self.log_range = (0, 100)

    def topic_ids(self, topics: Iterable[str], within_s: float = 20.0) -> dict[str, str]:
        return {topic: self.ids[topic] for topic in topics}

    def topic_id(self, topic: str) -> str:
        return self.ids[topic]

    def log_ranges(self, partitions: list[Partition]) -> dict[Partition, tuple[int, int]]:
        return dict.fromkeys(partitions, self.log_range)


class Group:
    """In place of Coordinators. Who asks what is `silent` waits until it `speaks`; some it `refuses`."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []
        self.silent: set[str] = set()
        self.speaks = asyncio.Event()
        self.refuses: set[str] = set()
        self.given_up: list[str] = []
        """What somebody has stopped to wait for."""
        self.errors: list[Exception] = []
        """What the next questions end with."""
        self.found = GroupOffset(0, DEAD)
        self.topic_ids: dict[Partition, str] = {}

    async def _answer(self, step: str, about: Any) -> None:
        self.asked.append((step, about))
        if self.errors:
            raise self.errors.pop(0)
        if step in self.refuses:
            raise Refused(step)
        if step in self.silent:
            try:
                await self.speaks.wait()
            except asyncio.CancelledError:
                self.given_up.append(step)
                raise

    async def offsets(
        self, partitions: Iterable[Partition], *, stable: bool, within_s: float
    ) -> dict[Partition, GroupOffset]:
        await self._answer("stable" if stable else "owners", list(partitions))
        return dict.fromkeys(partitions, self.found)

    async def check(self, member: Membership, within_s: float) -> None:
        await self._answer("check", member)

    async def fence(self, transactional_id: str, within_s: float) -> None:
        await self._answer("fence", transactional_id)

    async def commit(
        self, offsets: Mapping[Partition, int], owner: Ownership, member: Membership, within_s: float
    ) -> None:
        await self._answer("let go" if owner.let_go else "register", (dict(offsets), owner.ids, member))

    async def close(self) -> None:
        self.asked.append(("close", None))


@dataclass
class Producers:
    """In place of Transactions. A commit waits while it is not `open`, and ends as `outcomes` say."""

    begun: list[Transaction] = field(default_factory=list)
    outcomes: list[Exception] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    started: int = 0
    closed: bool = False

    async def start(self) -> tuple[str, ...]:
        self.started += 1
        return f"ours-{self.started}a", f"ours-{self.started}b"

    def partitions(self, topic: str) -> int:
        return 1

    async def commit(self, transaction: Transaction) -> dict[Partition, int]:
        self.begun.append(transaction)
        await self.open.wait()
        if self.outcomes:
            raise self.outcomes.pop(0)
        return {at: 10 * len(self.begun) for at, _ in transaction.batches}

    async def close(self) -> None:
        self.closed = True


@dataclass
class Seen(Recorder):
    """What an observer is told, and who seeks."""

    told: list[tuple[Any, ...]] = field(default_factory=list)

    def transaction(self, tasks: int, seconds: float) -> None:
        self.told.append(("transaction", tasks, 0 <= seconds < 60))

    def committed(self, task: str, effects: Effects, records: int) -> None:
        self.told.append(("committed", task, len(effects.sends), records))

    def dropped_fetch(self, task: str, source: str, start: int, expected: int) -> None:
        self.told.append(("dropped", task, source, start, expected))


class Failing(Counting):
    """Fails at one key."""

    def decide(self, partition: int, records: Any, rows: Any, effects: Effects) -> None:
        for record in records:
            if record.key == b"bad":
                raise ValueError("of no use")
            super().decide(partition, [record], rows, effects)


@dataclass
class Bench:
    """A driver of one task."""

    topics: Topics
    group: Group
    producers: Producers
    seen: Seen
    driver: Driver
    task: Task

    @property
    def protocol(self) -> WorkerProtocol:
        return self.driver.protocol

    def grant(self, member: Membership = MEMBER, *sources: str) -> None:
        self.driver.carry_out(self.protocol.granted(member, {"task-0": sources or (SOURCE,)}))
        self.task.state = self.protocol.tasks["task-0"]

    async def offer(self, start: int, *keys: bytes) -> None:
        """A fetch of records with these keys."""
        async with asyncio.timeout(WITHIN_S):
            await self.driver.offer(self.task, fetch(start, *keys))

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(WITHIN_S):
            while not condition():
                await asyncio.sleep(0.001)

    async def running(self) -> None:
        self.grant()
        await self.until(lambda: self.task.running)

    def steps(self) -> list[str]:
        return [step for step, _ in self.group.asked]

    def units(self, key: bytes) -> int | None:
        row = self.task.rows.get(COUNTS, key)
        return None if row is None else row.units


@asynccontextmanager
async def a_driver(path: Path, pace: Pace) -> AsyncIterator[Bench]:
    topics, group, producers, seen = Topics(), Group(), Producers(), Seen()
    producers.open.set()
    reader: Any = topics
    executor = ThreadPoolExecutor(2)
    takeover = Takeover(group, reader, executor)  # type: ignore[arg-type]
    driver = Driver(
        WorkerProtocol(pace), producers, takeover, CHANGELOG, str, seen, seen.deaths.append  # type: ignore[arg-type]
    )  # fmt: skip
    database = Database(reader, CHANGELOG, 0, path, 1)
    task = Task("task-0", 0, {SOURCE: Failing(TOPIC)}, database)
    driver.seek, driver.tasks, driver.databases = seen.seek, {"task-0": task}, {"task-0": database}
    yield Bench(topics, group, producers, seen, driver, task)
    group.silent.clear()
    for step in list(driver._running):
        step.cancel()
    async with asyncio.timeout(WITHIN_S):
        await driver.close()
    assert producers.closed and ("close", None) in group.asked
    executor.shutdown()


def fetch(start: int, *keys: bytes) -> Fetched:
    records: list[Record] = [Rec(start + place, key) for place, key in enumerate(keys)]
    return Fetched(TOPIC, 0, start, start + len(keys), records)
