"""The producer of ticks and of Fluent's answers."""

from __future__ import annotations

import threading
import time

import pytest
import structlog
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.engine.changelog import consumer_config
from streams.engine.partitioner import partition_of
from streams.engine.sender import Sender
from tests.bridge.test_outbox import Broker
from tests.support.kafka import KafkaUnderTest

PARTITIONS = 3


def test_a_producer_that_fails_for_good_is_told() -> None:
    """Seen with a broker that lets nobody be idempotent: librdkafka says so by an exception of `poll`, which
    ended the thread that polls. No append time was heard any more, and nobody was told."""
    broker = Broker()
    sender = Sender({"bootstrap.servers": f"127.0.0.1:{broker.port}"}, str)
    told, failures = threading.Event(), list[str]()

    def failed(why: str) -> None:
        failures.append(why)
        told.set()

    sender.on_failed = failed
    sender.to_partition("sku-commands", 0, b"tick")
    assert told.wait(20)
    assert "authorization failed" in failures[0]
    sender.close(0.1)
    broker.listener.close()


def read(kafka: KafkaUnderTest, topic: str) -> dict[int, list[tuple[bytes | None, bytes | None]]]:
    """Keys and values by partition."""
    consumer, ended = Consumer(consumer_config({"bootstrap.servers": kafka.bootstrap})), 0
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    found: dict[int, list[tuple[bytes | None, bytes | None]]] = {}
    while ended < PARTITIONS:
        for message in consumer.consume(100, 0.1):
            if message.error() is not None:
                ended += 1
            else:
                found.setdefault(message.partition() or 0, []).append((message.key(), message.value()))
    consumer.close()
    return found


@pytest.mark.parametrize("of_the_broker", [True, False])
def test_commands_are_in_their_partitions_once_it_is_closed_and_the_brokers_time_is_told(
    kafka: KafkaUnderTest, topic_prefix: str, of_the_broker: bool
) -> None:
    topic, heard = f"{topic_prefix}sku-commands", list[tuple[int, float]]()
    config = {"message.timestamp.type": "LogAppendTime" if of_the_broker else "CreateTime"}
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1, config=config)])[topic].result(20)
    before_ms = time.time_ns() // 1_000_000
    sender = Sender({"bootstrap.servers": kafka.bootstrap}, lambda name: topic_prefix + name)
    sender.on_appended = lambda append_ms, took_s: heard.append((append_ms, took_s))
    sender.to_partition("sku-commands", 2, b"tick")
    sender.keyed("sku-commands", b"k", b"answer")
    sender.close(20.0)
    after_ms = time.time_ns() // 1_000_000
    expected: dict[int, list[tuple[bytes | None, bytes | None]]] = {2: [(None, b"tick")]}
    expected.setdefault(partition_of(b"k", PARTITIONS), []).append((b"k", b"answer"))
    assert read(kafka, topic) == expected
    assert len(heard) == (2 if of_the_broker else 0)
    for append_ms, took_s in heard:
        assert before_ms <= append_ms <= after_ms and 0 < took_s <= (after_ms - before_ms + 1) / 1_000


def test_a_command_for_which_there_is_no_room_is_dropped_with_a_line_in_the_log() -> None:
    sender = Sender({"bootstrap.servers": "127.0.0.1:1"}, str)
    with structlog.testing.capture_logs() as logs:
        for _ in range(100_001):
            sender.to_partition("sku-commands", 0, b"tick")
    assert [(entry["event"], entry["topic"]) for entry in logs] == [("command_dropped", "sku-commands")]
    sender.close(0.0)
