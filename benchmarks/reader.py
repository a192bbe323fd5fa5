"""A `read_committed` reader, as a consumer of outcomes would be."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, IsolationLevel, Message, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec

LATEST = OffsetSpec.latest()  # type: ignore[no-untyped-call]
LOOK_EVERY_S = 0.05
QUIET_S = 1.5
"""When a log has not grown for so long, its records are counted."""

PATIENCE_S = 20.0
"""When there are too few and none has come for so long, none will."""


def reader(client: dict[str, Any], topic: str, partitions: int) -> Consumer:
    """Reads all partitions of a topic from the beginning."""
    consumer = Consumer(
        {
            **client,
            "group.id": "bench-reader",
            "enable.auto.commit": False,
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
            "fetch.wait.max.ms": 100,
        }
    )
    consumer.assign([TopicPartition(topic, p, OFFSET_BEGINNING) for p in range(partitions)])
    return consumer


def next_record(consumer: Consumer, within_s: float = 0.02) -> Message | None:
    """The next record, at the moment in which it comes, or None.

    `consume` hands out what came first only once enough came or its time is over: half of that time in each
    latency, all of it in many.
    """
    message = consumer.poll(within_s)
    return None if message is None or message.error() is not None else message


def committed(client: dict[str, Any], topic: str, partitions: int) -> Iterator[bytes]:
    """The values of a topic's committed records up to its present end."""
    consumer, ended = reader(client, topic, partitions), set[int]()
    try:
        while len(ended) < partitions:
            for message in consumer.consume(10_000, 0.2):
                if message.error() is None:
                    yield message.value() or b""
                else:
                    ended.add(message.partition() or 0)
    finally:
        consumer.close()


class Committed(NamedTuple):
    """When records were committed: Unix times, to 50 ms."""

    at: float
    """The last one."""
    half_at: float
    """About half of them."""
    half: float
    """The exact share of the log, 0 to 1, at `half_at`."""

    def later_rate(self, began: float, count: int) -> float:
        """Records a second of the second half, of `count` since `began`.

        When one look has seen both halves there is no second one: the rate of the whole.
        """
        if self.half_at >= self.at:
            return count / (self.at - began)
        return count * (1 - self.half) / (self.at - self.half_at)


def wait_committed(
    client: dict[str, Any], topic: str, partitions: int, count: int, timeout_s: float
) -> Committed:
    """Wait for this many committed records.

    Raises RuntimeError when they do not come, or when there are others.
    """
    admin = AdminClient(client)
    end, found, grown_at, deadline = 0, 0, time.time(), time.time() + timeout_s
    half, half_at = 0, grown_at
    while time.time() < deadline:
        time.sleep(LOOK_EVERY_S)
        now = _end(admin, topic, partitions)
        if now > end:
            end, found, grown_at = now, 0, time.time()
            if not half and end >= count / 2:
                half, half_at = end, grown_at
            continue
        quiet_s = time.time() - grown_at
        if end >= count and quiet_s >= QUIET_S and not found:
            found = sum(1 for _ in committed(client, topic, partitions))
            if found == count:
                return Committed(grown_at, half_at, half / end)
        if found > count or (found and quiet_s >= PATIENCE_S):
            raise RuntimeError(f"{found} outcomes for {count} orders")
    raise RuntimeError(f"not {count} outcomes within {timeout_s:.0f} s")


def _end(admin: AdminClient, topic: str, partitions: int) -> int:
    """How far the committed records of a topic go, markers of transactions included."""
    latest = {TopicPartition(topic, number): LATEST for number in range(partitions)}
    ends = admin.list_offsets(latest, isolation_level=IsolationLevel.READ_COMMITTED, request_timeout=10)
    return sum(int(end.result().offset) for end in ends.values())
