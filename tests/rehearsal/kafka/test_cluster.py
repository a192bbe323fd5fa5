"""Three brokers go on while one of them is away, and take it back."""

from __future__ import annotations

from collections.abc import Iterator

import psutil
import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient

from rehearsal.kafka import EmbeddedKafka, KafkaCluster
from tests.rehearsal.kafka.clients import create_topic, produce, read
from tests.support.system import wait_until

pytestmark = [pytest.mark.kafka, pytest.mark.slow]

TIMEOUT_S = 30.0
MOST_MB = 1_000
"""Of all three together, as the machine counts them (RSS)."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[KafkaCluster]:
    with KafkaCluster() as running:
        yield running


def in_sync(cluster: KafkaCluster, topic: str) -> set[int]:
    """The node ids of the replicas that follow the topic's partition."""
    topics = AdminClient({"bootstrap.servers": cluster.bootstrap}).list_topics(topic, TIMEOUT_S).topics
    return set(topics[topic].partitions[0].isrs)


def leader_of(cluster: KafkaCluster, topic: str) -> EmbeddedKafka:
    topics = AdminClient({"bootstrap.servers": cluster.bootstrap}).list_topics(topic, TIMEOUT_S).topics
    return cluster.nodes[topics[topic].partitions[0].leader - 1]


def test_a_topic_goes_on_while_its_leader_is_dead_and_takes_it_back(
    cluster: KafkaCluster, topic_prefix: str
) -> None:
    topic = topic_prefix + "orders"
    create_topic(cluster.bootstrap, topic, replicas=3)
    wait_until(lambda: in_sync(cluster, topic) == {1, 2, 3}, "every replica follows", TIMEOUT_S)
    produce(cluster.bootstrap, topic, b"before", acks="all")
    victim = leader_of(cluster, topic)
    victim.kill()
    produce(cluster.bootstrap, topic, b"meanwhile", acks="all")
    assert read(cluster.bootstrap, topic) == [b"before", b"meanwhile"]
    assert len(in_sync(cluster, topic)) == 2
    bootstrap = victim.bootstrap
    assert victim.start().bootstrap == bootstrap
    wait_until(lambda: in_sync(cluster, topic) == {1, 2, 3}, "the killed one follows again", TIMEOUT_S)
    assert read(cluster.bootstrap, topic) == [b"before", b"meanwhile"]


def test_transactions_and_groups_outlive_any_one_of_the_three(
    cluster: KafkaCluster, topic_prefix: str
) -> None:
    topic = topic_prefix + "orders"
    create_topic(cluster.bootstrap, topic, replicas=3)
    producer = Producer({"bootstrap.servers": cluster.bootstrap, "transactional.id": topic_prefix})
    producer.init_transactions(TIMEOUT_S)
    settings = {"bootstrap.servers": cluster.bootstrap, "group.id": topic_prefix, "enable.auto.commit": False}
    consumer = Consumer({**settings, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    expected = []
    try:
        for node in cluster.nodes:
            node.kill()
            value = node.bootstrap.encode()
            expected.append(value)
            producer.begin_transaction()
            producer.produce(topic, value, partition=0)
            producer.commit_transaction(TIMEOUT_S)
            [message] = consumer.consume(1, TIMEOUT_S)
            assert message.value() == value
            consumer.commit(message=message, asynchronous=False)
            node.start()
    finally:
        consumer.close()
    assert read(cluster.bootstrap, topic) == expected


def test_three_brokers_together_take_less_than_a_gigabyte(cluster: KafkaCluster) -> None:
    taken = [psutil.Process(node.pid).memory_info().rss / 1e6 for node in cluster.nodes]
    assert sum(taken) < MOST_MB, taken


def test_nothing_is_left_of_a_cluster_that_is_closed() -> None:
    cluster = KafkaCluster()
    with cluster:
        pids = [node.pid for node in cluster.nodes]
        assert len(set(pids)) == 3
    assert not cluster.dir.exists()
    assert not any(psutil.pid_exists(pid) for pid in pids if pid is not None)
