"""Sales with a deadline: who ordered in time, by the append times in the topic, beside what was answered."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient

from tests.support.audit import order, promotion_start
from tests.support.system import QUICK, System, TimedOut, wait_until

GRACE_S: float = QUICK["expiryGraceSeconds"]
TAKEN = "TAKEN"

Key = Callable[[dict[str, Any]], bytes | None]
KEYS: dict[str, Key] = {
    "at home": lambda event: event["order"]["ref"].encode(),
    "sent home": lambda event: event["order"]["items"][0]["sku"].encode(),
}
"""By which an order is keyed: in as many partitions as ours, its home reads it, or mostly another task."""


@dataclass(frozen=True)
class Deadline:
    """The end of a sale, on the machine's clock, which is the broker's."""

    at: datetime

    @classmethod
    def within(cls, seconds: float) -> Deadline:
        """One that lies `seconds` ahead, to the millisecond."""
        at = datetime.now(UTC) + timedelta(seconds=seconds)
        return cls(at.replace(microsecond=at.microsecond // 1_000 * 1_000))

    @property
    def text(self) -> str:
        """As events say it."""
        return self.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    @property
    def ms(self) -> int:
        """Unix time."""
        return round(self.at.timestamp() * 1_000)

    def wait(self, seconds_after: float = 0.0) -> None:
        """Wait until it is over, and so many seconds more."""
        left_s = self.at.timestamp() + seconds_after - time.time()
        if left_s > 0:
            time.sleep(left_s)


@dataclass
class Answers:
    """How often lines were answered with which reason, apart by when their orders were placed."""

    in_time: Counter[str] = field(default_factory=Counter)
    late: Counter[str] = field(default_factory=Counter)


def answers(sale: System, deadline_ms: int, promotion: str = "P") -> Answers:
    """The answers to a promotion's orders, by the timestamps of `order-placed`."""
    placed = {
        (message.partition, message.offset): message.timestamp_ms for message in sale.read("order-placed")
    }
    found = Answers()
    for message in sale.read("order-outcomes"):
        source = int(message.headers["source-partition"]), int(message.headers["source-offset"])
        if message.json["promotionId"] == promotion:
            side = found.in_time if placed[source] <= deadline_ms else found.late
            side.update(line.get("reason", TAKEN) for line in message.json["consumeResults"])
    return found


def started(sale: System, stock: dict[str, int], deadline: Deadline, promotion: str = "P") -> None:
    """A promotion that everything was set aside for."""
    sale.publish("promotion-start", [promotion_start(promotion, stock, expiresAt=deadline.text)])

    def summaries() -> list[Any]:
        results = [message.json for message in sale.read("promotion-results")]
        return [result["summary"] for result in results if result["promotionId"] == promotion]

    assert wait_until(summaries, f"the results of {promotion}")[0]["errors"] == 0


def place(sale: System, events: Iterable[dict[str, Any]], key: Key = KEYS["at home"]) -> int:
    """Put orders into order-placed with Java's partitioner; returns how many."""
    options = {"partitioner": "murmur2_random", "linger.ms": 5, "queue.buffering.max.messages": 1_000_000}
    producer, count = Producer({"bootstrap.servers": sale.bootstrap, **options}), 0
    for event in events:
        producer.produce(f"{sale.prefix}order-placed", json.dumps(event), key(event))
        count += 1
        if not count % 1_000:
            producer.poll(0)
    assert producer.flush(60) == 0
    return count


def orders(name: str, count: int, skus: list[str], promotion: str = "P") -> list[dict[str, Any]]:
    """Orders of one unit, over the SKUs in turn."""
    return [order(f"{name}-{i}", promotion, (skus[i % len(skus)], 1)) for i in range(count)]


@contextmanager
def open_transaction(sale: System, events: list[dict[str, Any]], partition: int = 0) -> Iterator[Producer]:
    """A stranger's transaction with these orders; left open at the end unless the test ends it."""
    producer = Producer({"bootstrap.servers": sale.bootstrap, "transactional.id": f"{sale.prefix}stranger"})
    producer.init_transactions(20)
    producer.begin_transaction()
    for event in events:
        producer.produce(f"{sale.prefix}order-placed", json.dumps(event), partition=partition)
    assert producer.flush(20) == 0
    yield producer


def in_sync(admin: AdminClient, topic: str, partition: int) -> set[int]:
    """The brokers for which the high watermark of a partition waits."""
    return set(admin.list_topics(topic, timeout=10).topics[topic].partitions[partition].isrs)


def released_after_s(sale: System, deadline_ms: int, count: int, timeout_s: float = 30.0) -> list[float]:
    """How long after the deadline (without the grace) each SKU was released, once there are `count`."""
    found = sale.wait_for("reservation-releases", count, timeout_s)
    at_ms = [datetime.fromisoformat(m.json["releasedAt"]).timestamp() * 1_000 for m in found]
    return [(each - deadline_ms) / 1_000 - GRACE_S for each in at_ms]


def nothing_is_released(sale: System, seconds: float) -> None:
    """See that nothing comes for so long."""
    try:
        wait_until(lambda: sale.read("reservation-releases"), "a release", seconds)
    except TimedOut:
        return
    raise AssertionError("units were released")
