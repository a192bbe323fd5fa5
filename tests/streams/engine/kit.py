"""A task over real Kafka and real RocksDB with the smallest stage there is: it counts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.engine.backends import DecisionBackend
from streams.engine.changelog import ChangelogReader, consumer_config
from streams.engine.fetched import Fetched
from streams.engine.protocol import Pace
from streams.engine.stage import Record
from streams.engine.task import Task
from streams.engine.transactions import Transactions
from streams.ledger.effects import Effects, Send
from streams.ledger.rows import Rows, Table

OUT = "out"


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
    headers: Sequence[tuple[str, bytes]] = ()


class Counting:
    """Counts records by key; each output carries the count."""

    topic = "source"

    def decide(self, partition: int, records: Sequence[Record], rows: Rows, effects: Effects) -> None:
        for record in records:
            key = record.key or b""
            row = rows.get(COUNTS, key) or Count(0)
            row.units += 1
            rows.put(COUNTS, key, row)
            effects.sends.append(Send(OUT, key, b"%d" % row.units))

    def earliest_deadline_ms(self, rows: Rows) -> int | None:
        return None


@dataclass
class Recorder:
    """An observer that remembers."""

    commits: int = 0
    dropped: int = 0
    deaths: list[str] = field(default_factory=list)
    seeks: list[tuple[str, int | None]] = field(default_factory=list)

    def committed(self, task: str, effects: Effects, records: int, seconds: float) -> None:
        self.commits += 1

    def discarded(self, task: str, why: str) -> None:
        pass

    def dropped_fetch(self, task: str, source: str, start: int, expected: int) -> None:
        self.dropped += 1

    async def seek(self, source: str, offset: int | None) -> None:
        self.seeks.append((source, offset))


class Bench:
    """Topics, producers and readers of one test."""

    def __init__(self, bootstrap: str, prefix: str) -> None:
        self.client: dict[str, Any] = {"bootstrap.servers": bootstrap}
        self.prefix = prefix
        self.changelog = f"{prefix}changelog"
        admin = AdminClient(self.client)
        compact = {"cleanup.policy": "compact"}
        topics = [NewTopic(prefix + OUT, 1, 1), NewTopic(self.changelog, 1, 1, config=compact)]
        for future in admin.create_topics(topics).values():
            future.result(20)

    def task(self, directory: Path, recorder: Recorder) -> Task:
        """A task with the test's one transactional id."""
        transactions = Transactions(
            self.client, f"{self.prefix}task-0", self.changelog, 0, lambda name: self.prefix + name, 0
        )
        reader = ChangelogReader(self.client)
        backend = DecisionBackend(transactions, reader, self.changelog, 0, directory)
        return Task(
            "task-0",
            {"source/0": Counting()},
            backend,
            executor=ThreadPoolExecutor(2),
            seek=recorder.seek,
            die=recorder.deaths.append,
            observer=recorder,
            pace=Pace(seconds=0.0),
        )

    def committed(self, topic: str) -> list[tuple[bytes, bytes | None]]:
        """All committed records of a one-partition topic, as a read_committed reader sees them."""
        consumer = Consumer(consumer_config(self.client))
        consumer.assign([TopicPartition(topic, 0, 0)])
        found: list[tuple[bytes, bytes | None]] = []
        try:
            while True:
                for message in consumer.consume(1_000, 0.1):
                    if message.error() is not None:
                        return found
                    found.append((message.key() or b"", message.value()))
        finally:
            consumer.close()


def fetched(start: int, keys: Sequence[bytes]) -> Fetched:
    """A fetch of consecutive records."""
    records = [Rec(start + i, key) for i, key in enumerate(keys)]
    return Fetched("source", 0, start, start + len(records), records)


async def until_durable(task: Task, offset: int) -> None:
    """Wait until the task has committed up to `offset`."""
    async with asyncio.timeout(20):
        while task.committed.get("source/0") != offset:
            await asyncio.sleep(0.005)
