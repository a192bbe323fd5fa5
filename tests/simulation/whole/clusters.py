"""A real cluster and the stand-in, asked in the same words: for the contract that both have to keep."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol
from unittest.mock import patch

from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, TopicPartition
from confluent_kafka import Producer as PlainProducer
from confluent_kafka.admin import AdminClient, NewTopic

from streams.engine.broker.coordinators import Coordinators, Partition
from streams.engine.broker.logs import LogEnds
from streams.engine.broker.producer import Batch, WorkerProducer
from streams.engine.changelog import ChangelogReader
from streams.engine.ownership import Membership
from streams.ledger.rows import Changes
from tests.simulation.whole import client as stand_in
from tests.simulation.whole.clock import virtual_time
from tests.simulation.whole.group import Group
from tests.simulation.whole.kafka import Kafka
from tests.simulation.whole.network import Network, Weather
from tests.simulation.whole.reader import Reader

SOURCE, OUT, TABLE = "source", "out", "table"
COMPACTED = {
    "cleanup.policy": "compact",
    "segment.ms": "100",
    "min.cleanable.dirty.ratio": "0",
    "min.compaction.lag.ms": "0",
}
IDLE_S = 5.0
"""So long nothing comes before a read is given up; a busy machine takes a second now and then."""

COMPACTED_WITHIN_S = 60.0


class Cluster(Protocol):
    """Topics of one partition each, of which TABLE is compacted, and a group that reads SOURCE."""

    coordinators: Coordinators
    ends: LogEnds
    reader: Any

    def name(self, topic: str) -> str:
        """The topic's name on the wire."""

    async def producer(self, transactional_id: str) -> Any:
        """A started WorkerProducer."""

    def batch(self) -> Any:
        """A batch for it."""

    async def append(self, topic: str, key: bytes, value: bytes) -> None:
        """A record outside of transactions."""

    async def join(self) -> Membership:
        """One more member joins: its place, and everybody else's is of the past until they join again."""

    async def delete_below(self, topic: str, offset: int) -> None:
        """What retention does."""

    async def delete(self, topic: str) -> None:
        """Delete a topic."""

    async def create_again(self, topic: str) -> None:
        """Create a topic that was deleted."""

    async def compact(self, key: bytes) -> None:
        """What compaction does: in TABLE only the newest committed record of `key` is left.

        A broker leaves the segment alone that is written to. So whoever asks sees to it that the key's are
        not the last records, and that the last one may come once more.
        """

    async def rows(self, topic: str, start: int = 0) -> tuple[Changes, int]:
        """What a read_committed reader gets, and where it ends. Raises RestoreTimeout."""


Run = Callable[[Callable[[Cluster], Awaitable[None]]], None]
"""Runs a test with a cluster."""


@dataclass
class StandIn:
    """The broker of the simulation."""

    kafka: Kafka
    group: Group
    network: Network

    def __post_init__(self) -> None:
        client: Any = stand_in.Client(self.group, self.network)
        self.coordinators, self.ends = Coordinators(client, "group"), LogEnds(client)
        self.reader = Reader(self.kafka)

    def name(self, topic: str) -> str:
        return topic

    async def producer(self, transactional_id: str) -> Any:
        made = stand_in.Producer(self.group, self.network, transactional_id)
        await made.start([OUT, TABLE])
        return made

    def batch(self) -> Any:
        return stand_in.Batch()

    async def append(self, topic: str, key: bytes, value: bytes) -> None:
        self.kafka.append((topic, 0), key, value)

    async def join(self) -> Membership:
        joined = self.group.join("")
        for member_id in list(self.group._seen):  # the others join again at once
            if member_id not in self.group._joined:
                self.group.join(member_id)
        return (await joined).member

    async def delete_below(self, topic: str, offset: int) -> None:
        self.kafka.logs[topic, 0].delete_below(offset)

    async def delete(self, topic: str) -> None:
        self.kafka.delete(topic)

    async def create_again(self, topic: str) -> None:
        self.kafka.create_again(topic)

    async def compact(self, key: bytes) -> None:
        self.kafka.logs[TABLE, 0].compact()

    async def rows(self, topic: str, start: int = 0) -> tuple[Changes, int]:
        await asyncio.sleep(IDLE_S)
        return _read(self.reader, topic, start)


@dataclass
class Real:
    """An embedded Kafka."""

    bootstrap: str
    prefix: str
    closing: list[Callable[[], Awaitable[Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        topics = [NewTopic(self.name(each), 1, 1) for each in (SOURCE, OUT)]
        topics.append(NewTopic(self.name(TABLE), 1, 1, config=COMPACTED))
        for future in admin.create_topics(topics).values():
            future.result(20)
        client = AIOKafkaClient(bootstrap_servers=self.bootstrap)
        self.closing.append(client.close)
        self.coordinators, self.ends = Coordinators(client, f"{self.prefix}group"), LogEnds(client)
        self.reader = ChangelogReader({"bootstrap.servers": self.bootstrap})

    def name(self, topic: str) -> str:
        return self.prefix + topic

    async def producer(self, transactional_id: str) -> Any:
        made = WorkerProducer({"bootstrap_servers": self.bootstrap}, self.prefix + transactional_id)
        await made.start([self.name(OUT), self.name(TABLE)])
        self.closing.append(made.abandon)
        return made

    def batch(self) -> Any:
        return Batch()

    async def append(self, topic: str, key: bytes, value: bytes) -> None:
        producer = PlainProducer({"bootstrap.servers": self.bootstrap})
        producer.produce(self.name(topic), value, key, 0)
        assert producer.flush(20) == 0

    async def join(self) -> Membership:
        consumer = AIOKafkaConsumer(
            self.name(SOURCE),
            bootstrap_servers=self.bootstrap,
            group_id=f"{self.prefix}group",
            enable_auto_commit=False,
            heartbeat_interval_ms=100,
        )
        await consumer.start()
        self.closing.append(consumer.stop)
        async with asyncio.timeout(20):
            while consumer._coordinator.generation < 0:
                await asyncio.sleep(0.01)
        return Membership(consumer._coordinator.generation, consumer._coordinator.member_id)

    async def delete_below(self, topic: str, offset: int) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for future in admin.delete_records([TopicPartition(self.name(topic), 0, offset)]).values():
            future.result(20)

    async def delete(self, topic: str) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        admin.delete_topics([self.name(topic)])[self.name(topic)].result(20)

    async def create_again(self, topic: str) -> None:
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        async with asyncio.timeout(20):
            while self.name(topic) in admin.list_topics().topics:
                await asyncio.sleep(0.05)
        admin.create_topics([NewTopic(self.name(topic), 1, 1)])[self.name(topic)].result(20)

    async def compact(self, key: bytes) -> None:
        async with asyncio.timeout(COMPACTED_WITHIN_S):
            records = await self._records()
            while sum(each == key for each, _ in records) > 1:
                await self.append(TABLE, *records[-1])  # so that the segment before it is complete
                await asyncio.sleep(0.2)
                records = await self._records()

    async def _records(self) -> list[tuple[bytes, bytes]]:
        """All that TABLE has, aborted records as well."""
        return await asyncio.to_thread(_records, self.bootstrap, self.name(TABLE))

    async def rows(self, topic: str, start: int = 0) -> tuple[Changes, int]:
        return await asyncio.to_thread(_read, self.reader, self.name(topic), start)


def _records(bootstrap: str, topic: str) -> list[tuple[bytes, bytes]]:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": f"{topic}-as-it-is",
            "enable.auto.commit": False,
            "isolation.level": "read_uncommitted",
            "enable.partition.eof": True,
        }
    )
    consumer.assign([TopicPartition(topic, 0, OFFSET_BEGINNING)])
    found: list[tuple[bytes, bytes]] = []
    try:
        while (message := consumer.poll(20)) is not None and not message.error():
            found.append((message.key() or b"", message.value() or b""))
    finally:
        consumer.close()
    error = None if message is None else message.error()
    assert error is not None and error.code() == KafkaError._PARTITION_EOF, error
    return found


def _read(reader: Any, topic: str, start: int) -> tuple[Changes, int]:
    found: Changes = {}

    def apply(changes: Mapping[bytes, bytes | None], _: int) -> None:
        found.update(changes)

    done = reader.read(topic, 0, start, apply, lambda *_: None, threading.Event(), IDLE_S)
    return found, done.next_offset


@contextmanager
def stand_in_cluster() -> Iterator[Run]:
    """Runs a test on the stand-in, under virtual time."""
    with virtual_time(1_800_000_000_000) as loop, ExitStack() as stack:
        stack.enter_context(patch("tests.simulation.whole.kafka.SLOW_MARKERS", 0.0))
        kafka = Kafka(loop, Random(1), {SOURCE: 1, OUT: 1, TABLE: 1})
        group = Group(kafka, Random(2), _to_the_first)
        cluster = StandIn(kafka, group, Network(loop, Random(3), Weather(0.0, 0.0)))
        yield lambda test: loop.run_until_complete(test(cluster))


@contextmanager
def real_cluster(bootstrap: str, prefix: str) -> Iterator[Run]:
    """Runs a test on a real broker."""

    async def run(test: Callable[[Cluster], Awaitable[None]]) -> None:
        cluster = Real(bootstrap, prefix)
        try:
            await test(cluster)
        finally:
            for close in reversed(cluster.closing):
                await close()

    yield lambda test: asyncio.run(run(test))


def _to_the_first(members: list[str]) -> dict[str, list[Partition]]:
    return {member: [(SOURCE, 0)] if member == members[0] else [] for member in members}
