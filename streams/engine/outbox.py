"""From what tasks decided to the batches of one transaction, a batch or more for each partition."""

from __future__ import annotations

import time
from collections.abc import Callable

from streams.engine.broker.coordinators import Partition
from streams.engine.broker.producer import Batch
from streams.engine.partitioner import learn, partition_of
from streams.ledger.effects import Headers, Send
from streams.ledger.rows import Changes

_NONE: Headers = []


class _Topic:
    """A topic's name on the wire, and the batch of each partition to which records are being added."""

    __slots__ = ("name", "open")

    def __init__(self, name: str, partitions: int) -> None:
        self.name = name
        self.open: list[Batch | None] = [None] * partitions


class Outbox:
    """Collects records in order. `partitions` knows how many partitions a topic (wire name) has."""

    def __init__(self, partitions: Callable[[str], int], wire_name: Callable[[str], str]) -> None:
        self.batches: list[tuple[Partition, Batch]] = []
        self._partitions = partitions
        self._wire_name = wire_name
        self._topics: dict[str, _Topic] = {}
        self._now_ms = time.time_ns() // 1_000_000

    def add_sends(self, sends: list[Send], own: int) -> None:
        """Records under their key's partition; `own` is the task's, and that of records without a key."""
        topics, now_ms = self._topics, self._now_ms
        learn([send.key for send in sends if send.key is not None])
        for send in sends:
            key = send.key
            topic = topics.get(send.topic)
            if topic is None:
                topic = self._learn(send.topic)
            count = len(topic.open)
            number = own % count if send.own or key is None else partition_of(key, count)
            batch, headers = topic.open[number], send.headers or _NONE
            if batch is None or not batch.add(now_ms, key, send.value, headers):
                batch = topic.open[number] = self._new((topic.name, number))
                batch.add(now_ms, key, send.value, headers)

    def add_rows(self, changes: Changes, changelog: str, partition: int) -> None:
        """A task's rows, to its partition of the changelog."""
        batch, now_ms = None, self._now_ms
        for key, value in changes.items():
            if batch is None or not batch.add(now_ms, key, value, _NONE):
                batch = self._new((changelog, partition))
                batch.add(now_ms, key, value, _NONE)

    def _learn(self, topic: str) -> _Topic:
        name = self._wire_name(topic)
        found = self._topics[topic] = _Topic(name, self._partitions(name))
        return found

    def _new(self, place: Partition) -> Batch:
        batch = Batch()
        self.batches.append((place, batch))
        return batch
