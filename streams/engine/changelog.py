"""Reading a changelog to its end, in bulk: how a task gets its rows back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    TopicCollection,
    TopicPartition,
    Uuid,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._listoffsets import OffsetSpec

from schemas.topics import MAX_MESSAGE_BYTES
from streams.ledger.rows import Changes

BULK = 50_000
"""Records taken from librdkafka, and rows written to RocksDB, at a time."""

BULK_BYTES = 64 << 20
"""And so many bytes: most rows are small, but some hold a message as it came in."""

TAKE_S = 0.05
"""`consume` waits this long for a full bulk; the end of a log is noticed that much later."""

PROGRESS_EVERY_S = 2.0
OUTDATED = (
    KafkaError._UNKNOWN_PARTITION,
    KafkaError.FENCED_LEADER_EPOCH,
    KafkaError.UNKNOWN_LEADER_EPOCH,
    KafkaError.LEADER_NOT_AVAILABLE,
    KafkaError.NOT_LEADER_FOR_PARTITION,
)
"""A topic has grown, or a partition has a new leader or the same one anew, as after a restart of its broker:
librdkafka would look after minutes."""

NO_ID = str(Uuid(0, 0))
"""What a broker says that gives topics no ids (before Kafka 2.8)."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore read: how many records in how many seconds, and the offset after the last one."""

    records: int
    seconds: float
    next_offset: int


class RestoreTimeout(RuntimeError):
    """The broker delivered nothing for too long while rows were being read."""


class RestoreCancelled(RuntimeError):
    """Nobody wants these rows any more: the task went to somebody else."""


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
        "queued.max.messages.kbytes": 131_072,  # two restores at a time
        "check.crcs": False,
    }


class ChangelogReader:
    """Reads changelog partitions from a position to the end that they have when the read begins."""

    def __init__(self, client: Mapping[str, Any]) -> None:
        self._client = client
        self._admin = AdminClient(dict(client))

    def topic_id(self, topic: str) -> str:
        """The broker's id of a topic: a topic that was deleted and created again has another one."""
        return self.topic_ids([topic])[topic]

    def topic_ids(self, topics: Iterable[str], within_s: float = 20.0) -> dict[str, str]:
        """The ids of several topics. Raises KafkaException, also for one that does not exist."""
        found = self._admin.describe_topics(TopicCollection(sorted(topics)), request_timeout=within_s)
        ids = {topic: str(described.result(timeout=20).topic_id) for topic, described in found.items()}
        return {topic: "" if each == NO_ID else each for topic, each in ids.items()}

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
        try:
            return self._ask(partitions, spec)
        except KafkaException as error:
            if error.args[0].code() not in OUTDATED:
                raise
        for topic in {topic for topic, _ in partitions}:
            self._admin.list_topics(topic, timeout=20)
        return self._ask(partitions, spec)

    def _ask(self, partitions: Sequence[tuple[str, int]], spec: OffsetSpec) -> dict[tuple[str, int], int]:
        wanted = {TopicPartition(t, p): spec for t, p in partitions}
        found = self._admin.list_offsets(wanted, isolation_level=IsolationLevel.READ_UNCOMMITTED)
        return {(tp.topic, tp.partition): int(f.result(timeout=20).offset) for tp, f in found.items()}

    def read(
        self,
        topic: str,
        partition: int,
        start: int,
        apply: Callable[[Changes, int], None],
        progress: Callable[[int, int], None],
        cancelled: threading.Event,
        idle_timeout_s: float = 60.0,
    ) -> Restored:
        """Apply all committed records from `start` to the end that the log has now, in bulk.

        That end is past the last stable offset while the markers of a transaction are still on their way, so
        it is waited for. The caller has fenced every other writer. `apply(changes, following)` gets rows and
        the offset after them, `progress(read, to_read)` is called every few seconds.

        Raises RestoreTimeout, RestoreCancelled or KafkaException.
        """
        end = self.end_offset(topic, partition)
        began = time.monotonic()
        if start >= end:
            return Restored(0, 0.0, end)
        consumer = Consumer(consumer_config(self._client))
        reading = _Reading(consumer, f"{topic}/{partition}", end, apply, progress, cancelled, idle_timeout_s)
        try:
            # A number even where the log begins: for OFFSET_BEGINNING librdkafka asks the leader, which a new
            # consumer does not know yet, and asks again half a second later. Where 0 is gone, it begins with
            # the oldest record (auto.offset.reset).
            consumer.assign([TopicPartition(topic, partition, start)])
            reading.drain()
        finally:
            consumer.close()
        return Restored(reading.count, time.monotonic() - began, end)


@dataclass
class _Reading:
    """One read on its way."""

    consumer: Consumer
    log: str
    end: int
    apply: Callable[[Changes, int], None]
    progress: Callable[[int, int], None]
    cancelled: threading.Event
    idle_timeout_s: float
    count: int = 0
    following: int = 0
    bytes: int = 0
    """Of `changes`, or rather of all that was read for them."""
    changes: Changes = field(default_factory=dict)

    def drain(self) -> None:
        """Read to the end."""
        seen_at = told_at = time.monotonic()
        while self.following < self.end:
            if self.cancelled.is_set():
                raise RestoreCancelled(self.log)
            now = time.monotonic()
            if self._take():
                seen_at = now
            if len(self.changes) >= BULK or self.bytes >= BULK_BYTES or self.following >= self.end:
                self._flush()
            if now - told_at > PROGRESS_EVERY_S:
                self.progress(self.following, self.end)
                told_at = now
            if now - seen_at > self.idle_timeout_s:
                raise RestoreTimeout(
                    f"restoring {self.log} stopped at offset {self.following} of {self.end}: "
                    f"nothing arrived for {self.idle_timeout_s:.0f} s"
                )

    def _take(self) -> bool:
        found = self.consumer.consume(BULK, TAKE_S)
        for message in found:
            error, offset = message.error(), message.offset()
            if error is None:
                self.changes[message.key() or b""] = value = message.value()
                self.bytes += len(value or b"")
                self.count += 1
                self.following = (offset or 0) + 1
            elif error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            elif offset:  # of an end of partition: where the next fetch begins
                self.following = offset
        return bool(found)

    def _flush(self) -> None:
        self.apply(self.changes, self.following)
        self.changes, self.bytes = {}, 0
