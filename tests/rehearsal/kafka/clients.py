"""Small producer and consumer helpers for the tests of the embedded Kafka."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

TIMEOUT_S = 20.0


def create_topic(bootstrap: str, topic: str, *, replicas: int = 1) -> None:
    """Create a topic with one partition."""
    admin = AdminClient({"bootstrap.servers": bootstrap})
    for created in admin.create_topics([NewTopic(topic, 1, replicas)]).values():
        created.result(TIMEOUT_S)


def produce(bootstrap: str, topic: str, *values: bytes, **settings: Any) -> None:
    """Write values to partition 0 and wait for their acknowledgement."""
    producer = Producer({"bootstrap.servers": bootstrap, **settings})
    failures: list[object] = []
    for value in values:
        producer.produce(
            topic, value, partition=0, on_delivery=lambda error, _: failures.append(error) if error else None
        )
    assert producer.flush(TIMEOUT_S) == 0
    assert not failures


def read(bootstrap: str, topic: str, settings: Mapping[str, str] | None = None) -> list[bytes]:
    """Return the values that a read_committed reader of partition 0 sees up to its end."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": "reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": False,
            **(settings or {}),
        }
    )
    try:
        _, end = consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=TIMEOUT_S)
        consumer.assign([TopicPartition(topic, 0, 0)])
        return _values_up_to(consumer, topic, end)
    finally:
        consumer.close()


def _values_up_to(consumer: Consumer, topic: str, end: int) -> list[bytes]:
    values: list[bytes] = []
    deadline = time.monotonic() + TIMEOUT_S
    while True:
        for message in consumer.consume(100, timeout=0.1):
            assert message.error() is None, message.error()
            values.append(message.value() or b"")
        position = consumer.position([TopicPartition(topic, 0)])[0].offset
        if position >= end:
            return values
        assert time.monotonic() < deadline, f"read {position} of {end}"
