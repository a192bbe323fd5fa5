"""Orders decided where they are read, or sent home: whatever producers do, the answers are the same."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from streams.reader import read_to_end
from streams.settings import load_settings
from tests.support.audit import audit, order, promotion_start
from tests.support.kafka import KafkaUnderTest
from tests.support.system import System, system, wait_until

SKUS = [f"SKU-{i}" for i in range(5)]
STOCK = {sku: {"LOC-1": 2_000} for sku in SKUS}
SET_ASIDE = 100
"""Of each SKU; 180 are asked for, one unit an order, so that every one of them sells out."""

ORDERS = 600
REPEATED = 60
OURS = 4

Key = Callable[[dict[str, Any]], bytes | None]
KEYS: dict[str, Key] = {
    "ref": lambda event: event["order"]["ref"].encode(),
    "elsewhere": lambda event: event["order"]["items"][0]["sku"].encode(),
    "null": lambda event: None,
}
STAMPED = {"broker": "LogAppendTime", "producer": "CreateTime"}


def make(kafka: KafkaUnderTest, name: str, partitions: int, stamp: str) -> AdminClient:
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    topic = NewTopic(name, partitions, 1, config={"message.timestamp.type": STAMPED[stamp]})
    for future in admin.create_topics([topic]).values():
        future.result(20)
    return admin


def publish(sale: System, events: list[dict[str, Any]], key: Key) -> None:
    """To order-placed, with Java's partitioner: an order keyed by its ref is at home in N partitions."""
    producer = Producer({"bootstrap.servers": sale.bootstrap, "partitioner": "murmur2_random"})
    for event in events:
        producer.produce(f"{sale.prefix}order-placed", json.dumps(event), key(event))
    assert producer.flush(30) == 0


def orders(first: int, count: int) -> list[dict[str, Any]]:
    """Orders of one or two SKUs, and some of them once more."""
    made = [
        order(f"O-{i}", "P", *((SKUS[(i + n) % 5], 1) for n in range(1 + i % 2)))
        for i in range(first, first + count)
    ]
    return made + made[: count * REPEATED // ORDERS]


def check(sale: System, sent: int, different: int) -> None:
    """Each event was answered once, repeats with the same bytes, and every SKU was sold to its last unit."""
    found = audit(sale)
    assert len(found.outcomes) == sent
    assert found.answered_twice() == [] and found.decided_twice() == []
    assert len(found.decided) == different
    assert found.taken == {("P", sku): SET_ASIDE for sku in SKUS}


@pytest.mark.parametrize(
    ("partitions", "key", "stamp"),
    [
        (OURS, "ref", "broker"),
        (OURS, "ref", "producer"),
        (OURS, "elsewhere", "broker"),
        (1, "null", "broker"),
        (1, "ref", "producer"),
        (3, "ref", "broker"),
        (3, "elsewhere", "producer"),
        (7, "ref", "broker"),
        (7, "null", "producer"),
    ],
)
def test_every_order_is_answered_once_wherever_it_is_read(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path, partitions: int, key: str, stamp: str
) -> None:
    make(kafka, f"{topic_prefix}order-placed", partitions, stamp)
    with system(kafka.bootstrap, topic_prefix, tmp_path, STOCK, partitions=OURS) as sale:
        sale.start_worker()
        sale.publish("promotion-start", [promotion_start("P", dict.fromkeys(SKUS, SET_ASIDE))])
        sale.wait_for("promotion-results", 1)
        sent = orders(0, ORDERS)
        publish(sale, sent, KEYS[key])
        sale.wait_for("order-outcomes", len(sent))
        check(sale, len(sent), ORDERS)
        commands = read_to_end(load_settings(sale.environment()), "order-commands")
        sent_home = sum(1 for command in commands if command.headers())
        assert (sent_home == 0) == ((partitions, key, stamp) == (OURS, "ref", "broker"))


def test_an_input_topic_may_grow_while_a_sale_runs(
    kafka: KafkaUnderTest, topic_prefix: str, tmp_path: Path
) -> None:
    name = f"{topic_prefix}order-placed"
    admin = make(kafka, name, 3, "broker")
    with system(kafka.bootstrap, topic_prefix, tmp_path, STOCK, partitions=OURS) as sale:
        worker = sale.start_worker()
        sale.publish("promotion-start", [promotion_start("P", dict.fromkeys(SKUS, SET_ASIDE))])
        sale.wait_for("promotion-results", 1)
        first, second = orders(0, ORDERS // 2), orders(ORDERS // 2, ORDERS // 2)
        publish(sale, first, KEYS["ref"])
        for future in admin.create_partitions([NewPartitions(name, 7)]).values():
            future.result(20)
        wait_until(lambda: len(admin.list_topics(name).topics[name].partitions) == 7, "it has grown")
        publish(sale, second, KEYS["ref"])
        sent = len(first) + len(second)
        sale.wait_for("order-outcomes", sent, 90)
        check(sale, sent, ORDERS)
        assert worker.log.count('"worker_restarts"') == 0
