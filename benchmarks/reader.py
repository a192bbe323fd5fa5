"""A `read_committed` reader, as a consumer of outcomes would be."""

from __future__ import annotations

from typing import Any

from confluent_kafka import OFFSET_BEGINNING, Consumer, TopicPartition


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


def count_committed(client: dict[str, Any], topic: str, partitions: int) -> int:
    """How many committed records a topic has."""
    consumer, ended, count = reader(client, topic, partitions), set[int](), 0
    try:
        while len(ended) < partitions:
            for message in consumer.consume(10_000, 0.2):
                if message.error() is None:
                    count += 1
                else:
                    ended.add(message.partition() or 0)
    finally:
        consumer.close()
    return count
