"""Reading a changelog to its end, in bulk: how a task gets its rows back."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from schemas.topics import MAX_MESSAGE_BYTES
from streams.ledger.rows import Changes

BULK = 50_000
"""Records taken from librdkafka, and rows written to RocksDB, at a time."""

TAKE_S = 0.05
"""`consume` waits so long for a full bulk; the end of a log is noticed so much later."""

PROGRESS_EVERY_S = 2.0


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore read: how many records in how many seconds, and the offset after the last one."""

    records: int
    seconds: float
    next_offset: int


class RestoreTimeout(RuntimeError):
    """The broker delivered nothing for too long while rows were being read."""


def consumer_config(client: Mapping[str, Any]) -> dict[str, Any]:
    """librdkafka settings of a bulk reader: read_committed, deep queues, end of partition reported."""
    return {
        **client,
        "group.id": "flashsale-restore",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
        "fetch.wait.max.ms": 50,
        "fetch.message.max.bytes": MAX_MESSAGE_BYTES,
        "queued.min.messages": 500_000,
        "queued.max.messages.kbytes": 262_144,
        "check.crcs": False,
    }


class ChangelogReader:
    """Reads changelog partitions from a position to the end that they have when the read begins."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._client = client
        self._admin = AdminClient(dict(client))

    def topic_id(self, topic: str) -> str:
        """The broker's id of a topic: a topic that was deleted and made anew has another one."""
        described = self._admin.describe_topics(TopicCollection([topic]))[topic].result(timeout=20)
        return str(described.topic_id)

    def end_offset(self, topic: str, partition: int) -> int:
        """The log end, whatever is still open in it."""
        latest = OffsetSpec.latest()  # type: ignore[no-untyped-call]
        return self._offsets([(topic, partition)], latest)[topic, partition]

    def log_ranges(self, partitions: Sequence[tuple[str, int]]) -> dict[tuple[str, int], tuple[int, int]]:
        """The oldest offset that each log still holds, and its end."""
        begins = self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]
        ends = self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]
        return {partition: (begins[partition], ends[partition]) for partition in partitions}

    def _offsets(self, partitions: Sequence[tuple[str, int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        wanted = {TopicPartition(t, p): spec for t, p in partitions}
        found = self._admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        return {(tp.topic, tp.partition): int(f.result(timeout=20).offset) for tp, f in found.items()}

    def read(
        self,
        topic: str,
        partition: int,
        start: int,
        apply: Callable[[Changes], None],
        progress: Callable[[int, int], None],
        idle_timeout_s: float = 60.0,
    ) -> Restored:
        """Apply all committed records from `start` to the current end, in bulk.

        The caller has fenced every other writer, so the last stable offset reaches that end.
        `progress(read, to_read)` is called every few seconds. Raises RestoreTimeout or KafkaException.
        """
        end = self.end_offset(topic, partition)
        began = time.monotonic()
        if start >= end:
            return Restored(0, 0.0, end)
        consumer = Consumer(consumer_config(self._client))
        try:
            consumer.assign([TopicPartition(topic, partition, start or OFFSET_BEGINNING)])
            count = self._drain(consumer, topic, partition, end, apply, progress, idle_timeout_s)
        finally:
            consumer.close()
        return Restored(count, time.monotonic() - began, end)

    def _drain(
        self,
        consumer: Consumer,
        topic: str,
        partition: int,
        end: int,
        apply: Callable[[Changes], None],
        progress: Callable[[int, int], None],
        idle_timeout_s: float,
    ) -> int:
        count, position, changes = 0, 0, dict[bytes, bytes | None]()
        seen_at = told_at = time.monotonic()
        while True:
            for message in consumer.consume(BULK, TAKE_S):
                error = message.error()
                if error is None:
                    changes[message.key() or b""] = message.value()
                    count += 1
                elif error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                position = message.offset() or position  # of an end of partition: where the next fetch begins
                seen_at = time.monotonic()
            if len(changes) >= BULK or position >= end:
                apply(changes)
                changes = {}
            if position >= end:
                return count
            now = time.monotonic()
            if now - told_at > PROGRESS_EVERY_S:
                progress(position, end)
                told_at = now
            if now - seen_at > idle_timeout_s:
                raise RestoreTimeout(
                    f"restoring {topic}/{partition} stopped at offset {position} of {end}: "
                    f"nothing arrived for {idle_timeout_s:.0f} s"
                )
