"""From what tasks decided to the batches of one transaction, a batch or more for each partition."""

from __future__ import annotations

import time
from collections.abc import Callable

from aiokafka.producer.message_accumulator import BatchBuilder

from streams.engine.broker.coordinators import Partition
from streams.engine.broker.producer import new_batch
from streams.engine.partitioner import partition_of
from streams.ledger.effects import Headers, Send
from streams.ledger.rows import Changes

_NONE: Headers = []


class Outbox:
    """Collects records in order. `partitions` knows how many partitions a topic (wire name) has."""

    def __init__(self, partitions: Callable[[str], int], wire_name: Callable[[str], str]) -> None:
        self.batches: list[tuple[Partition, BatchBuilder]] = []
        self._partitions = partitions
        self._wire_name = wire_name
        self._topics: dict[str, tuple[str, int]] = {}
        self._open: dict[Partition, BatchBuilder] = {}
        self._now_ms = time.time_ns() // 1_000_000

    def add_sends(self, sends: list[Send], own: int) -> None:
        """Records under their key's partition; `own` is the task's, and that of records without a key."""
        topics = self._topics
        for send in sends:
            known = topics.get(send.topic)
            name, count = self._learn(send.topic) if known is None else known
            number = own % count if send.own or send.key is None else partition_of(send.key, count)
            self._append((name, number), send.key, send.value, send.headers or _NONE)

    def add_rows(self, changes: Changes, changelog: str, partition: int) -> None:
        """A task's rows, to its partition of the changelog."""
        place = changelog, partition
        for key, value in changes.items():
            self._append(place, key, value, _NONE)

    def _learn(self, topic: str) -> tuple[str, int]:
        name = self._wire_name(topic)
        found = self._topics[topic] = name, max(1, self._partitions(name))
        return found

    def _append(self, place: Partition, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        batch = self._open.get(place)
        if (
            batch is None
            or batch.append(timestamp=self._now_ms, key=key, value=value, headers=headers) is None
        ):
            batch = self._open[place] = new_batch()
            batch.append(timestamp=self._now_ms, key=key, value=value, headers=headers)
            self.batches.append((place, batch))
