"""Engines over real Kafka and real RocksDB with the smallest stage there is: it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import AIOKafkaConsumer
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from schemas.topics import (
    DEAD_LETTERS,
    INPUTS,
    ORDER_COMMANDS,
    ORDER_OUTCOMES,
    ORDER_PLACED,
    TASK_CHANGELOG,
    TOPICS,
)
from streams.engine.changelog import consumer_config
from streams.engine.engine import Engine, EngineOptions
from streams.engine.fetched import Fetched
from streams.engine.ownership import Membership
from streams.engine.protocol.pace import Pace
from streams.engine.stage import Record
from streams.ledger.effects import Effects, Send
from streams.ledger.rows import Rows, Table

TOO_LARGE = 20_000
"""Bytes of a message that the output topic does not take; batches of small ones it does."""


class Count(msgspec.Struct, array_like=True):
    """How many records were decided under a key."""

    units: int


COUNTS = Table(b"TC", Count)


@dataclass
class Rec:
    """A record as a consumer hands it out."""

    offset: int
    key: bytes | None
    value: bytes | None = b""
    timestamp: int = 0
    timestamp_type: int = 1
    headers: Sequence[tuple[str, bytes]] = ()


@dataclass
class Counting:
    """Counts records by key; each output carries the count. A key in `poison` makes it too large to send."""

    topic: str
    poison: set[bytes] = field(default_factory=set)

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        for record in records:
            key = record.key or b""
            row = rows.get(COUNTS, key) or Count(0)
            row.units += 1
            rows.put(COUNTS, key, row)
            value = b"x" * TOO_LARGE if key in self.poison else b"%d" % row.units
            effects.sends.append(Send(ORDER_OUTCOMES, key, value))

    def give_up(self, partition: int, record: Record, why: str, rows: Rows, effects: Effects) -> None:
        effects.sends.append(Send(DEAD_LETTERS, record.key, why.encode()))

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        return None

    def next_watermark_deadline_ms(self, rows: Rows) -> int | None:
        return None


@dataclass
class Recorder:
    """An observer that remembers, and stands in for the process that may end."""

    commits: int = 0
    dropped: int = 0
    aborts: list[str] = field(default_factory=list)
    still: list[str] = field(default_factory=list)
    deaths: list[str] = field(default_factory=list)
    seeks: dict[tuple[str, int], int] = field(default_factory=dict)

    def transaction(self, tasks: int, seconds: float) -> None:
        self.commits += 1

    def committed(self, task: str, effects: Effects, records: int) -> None:
        pass

    def discarded(self, tasks: str, why: str) -> None:
        self.aborts.append(why)

    def stands_still(self, task: str, why: str, seconds: float) -> None:
        self.still.append(task)

    def dropped_fetch(self, task: str, source: str, start: int, expected: int) -> None:
        self.dropped += 1

    async def seek(self, offsets: Mapping[tuple[str, int], int]) -> None:
        self.seeks |= offsets


class Bench:
    """Topics of one test, a consumer group whose generations it makes, and engines in it."""

    def __init__(self, bootstrap: str, prefix: str, directory: Path, tasks: int = 1) -> None:
        self.bootstrap = bootstrap
        self.prefix = prefix
        self.directory = directory
        self.tasks = tasks
        self.client: dict[str, Any] = {"bootstrap.servers": bootstrap}
        self.stage = Counting(ORDER_COMMANDS)
        self.admin = AdminClient(self.client)
        self._closing: list[Any] = []
        narrow = {"max.message.bytes": str(TOO_LARGE - 1_000)}
        self.create(ORDER_COMMANDS)
        self.create(ORDER_PLACED)
        self.create(ORDER_OUTCOMES, narrow)
        self.create(TASK_CHANGELOG, {"cleanup.policy": "compact"})
        others = (
            {topic.name for topic in TOPICS} - set(INPUTS) - {ORDER_COMMANDS, ORDER_OUTCOMES, TASK_CHANGELOG}
        )
        for topic in sorted(others):
            self.create(topic)  # a worker does not start while one of its topics is unknown

    def create(self, topic: str, config: dict[str, str] | None = None) -> None:
        made = NewTopic(self.prefix + topic, self.tasks, 1, config=config or {})
        for future in self.admin.create_topics([made]).values():
            future.result(20)

    def source(self, task: int = 0) -> str:
        return f"{self.prefix}{ORDER_COMMANDS}/{task}"

    def sources(self, *tasks: int) -> list[tuple[str, int]]:
        """What the group grants with these tasks."""
        return [(self.prefix + topic, task) for topic in (ORDER_COMMANDS, ORDER_PLACED) for task in tasks]

    def fill(self, count: int, task: int = 0) -> None:
        """Records in the source's log: positions beyond its end are an error."""
        producer = Producer(self.client)
        for _ in range(count):
            producer.produce(self.prefix + ORDER_COMMANDS, b"", partition=task)
        assert producer.flush(20) == 0

    def engine(self, name: str, recorder: Recorder, stage: Counting | None = None) -> Engine:
        options = EngineOptions(
            self.client,
            {"bootstrap_servers": self.bootstrap},
            self.prefix,
            self.tasks,
            self.directory / name,
            Pace(seconds=0.0, stretch=0.0),
        )
        counting = stage or self.stage
        stages = {ORDER_COMMANDS: counting, ORDER_PLACED: Counting(ORDER_PLACED)}
        made = Engine(options, stages, recorder, recorder.deaths.append)
        self._closing.append(made)
        return made

    async def joined(self) -> AIOKafkaConsumer:
        """One more member of the group; all members are in a new generation then."""
        consumer = AIOKafkaConsumer(
            self.prefix + ORDER_PLACED,
            bootstrap_servers=self.bootstrap,
            group_id=f"{self.prefix}flashsale",
            enable_auto_commit=False,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=100,
        )
        await consumer.start()
        self._closing.append(consumer)
        async with asyncio.timeout(20):
            while consumer._coordinator.generation < 0:
                await asyncio.sleep(0.01)
        return consumer

    @property
    def newest_member(self) -> AIOKafkaConsumer:
        """Who joined last."""
        return next(each for each in reversed(self._closing) if isinstance(each, AIOKafkaConsumer))

    async def member(self) -> Membership:
        """A member of the group's first generation."""
        return membership(await self.joined())

    async def next_generation(self, former: AIOKafkaConsumer) -> tuple[Membership, Membership]:
        """Someone joins: what the former member is now, and what the new one is."""
        before = former._coordinator.generation
        joined = await self.joined()
        async with asyncio.timeout(20):
            while len({before, former._coordinator.generation, joined._coordinator.generation}) != 2 or (
                former._coordinator.generation == before
            ):
                await asyncio.sleep(0.01)
        return membership(former), membership(joined)

    async def left_alone(self, former: AIOKafkaConsumer) -> Membership:
        """The last one who joined leaves: what the former member is in the generation after that."""
        before, leaving = former._coordinator.generation, self._closing[-1]
        assert isinstance(leaving, AIOKafkaConsumer)
        await leaving.stop()
        async with asyncio.timeout(20):
            while former._coordinator.generation in (before, -1):
                await asyncio.sleep(0.01)
        return membership(former)

    async def close(self) -> None:
        for each in reversed(self._closing):
            if isinstance(each, Engine):
                await each.suspend()
                await each.close()
            else:
                await each.stop()

    def outcomes(self) -> list[tuple[bytes, bytes | None]]:
        return self.committed(ORDER_OUTCOMES)

    def rows(self) -> dict[bytes, bytes | None]:
        return dict(self.committed(TASK_CHANGELOG))

    def committed(self, topic: str) -> list[tuple[bytes, bytes | None]]:
        """All committed records of a topic, as a read_committed reader sees them."""
        consumer, ended = Consumer(consumer_config(self.client)), 0
        consumer.assign([TopicPartition(self.prefix + topic, number, 0) for number in range(self.tasks)])
        found: list[tuple[bytes, bytes | None]] = []
        while ended < self.tasks:
            for message in consumer.consume(1_000, 0.1):
                if message.error() is not None:
                    ended += 1
                else:
                    found.append((message.key() or b"", message.value()))
        consumer.close()
        return found

    def fetched(self, start: int, keys: Sequence[bytes], task: int = 0) -> Fetched:
        """A fetch of consecutive records."""
        records = [Rec(start + i, key) for i, key in enumerate(keys)]
        return Fetched(self.prefix + ORDER_COMMANDS, task, start, start + len(records), records)

    async def until_durable(self, engine: Engine, offset: int, task: int = 0) -> None:
        """Wait until a task has committed up to `offset`."""
        async with asyncio.timeout(20):
            while engine.protocol.tasks[f"task-{task}"].committed.get(self.source(task)) != offset:
                await asyncio.sleep(0.005)


def membership(consumer: AIOKafkaConsumer) -> Membership:
    return Membership(consumer._coordinator.generation, consumer._coordinator.member_id)


async def running(engine: Engine) -> None:
    """Wait until all tasks take records in."""
    async with asyncio.timeout(20):
        assert await engine.until_ready(engine.generation or 0)
