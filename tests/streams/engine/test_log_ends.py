"""Where logs end, on a real broker: open transactions, added partitions, topics that are not there."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiokafka.client import AIOKafkaClient
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from streams.engine.broker.logs import log_ends
from tests.support.kafka import KafkaUnderTest


@pytest.fixture
async def client(kafka: KafkaUnderTest) -> AsyncIterator[AIOKafkaClient]:
    made = AIOKafkaClient(bootstrap_servers=kafka.bootstrap)
    yield made
    await made.close()


@pytest.fixture
def topic(admin: AdminClient, topic_prefix: str) -> str:
    name = f"{topic_prefix}orders"
    for future in admin.create_topics([NewTopic(name, 2, 1)]).values():
        future.result(20)
    return name


async def test_what_an_open_transaction_holds_is_in_the_log_already(
    client: AIOKafkaClient, kafka: KafkaUnderTest, topic: str
) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, b"order", partition=1)
    assert producer.flush(20) == 0
    assert await log_ends(client, [topic]) == {(topic, 0): 0, (topic, 1): 1}
    producer.abort_transaction(20)


async def test_partitions_that_a_topic_gained_a_moment_ago_are_there(
    client: AIOKafkaClient, admin: AdminClient, kafka: KafkaUnderTest, topic: str
) -> None:
    assert set(await log_ends(client, [topic])) == {(topic, 0), (topic, 1)}
    for future in admin.create_partitions([NewPartitions(topic, 4)]).values():
        future.result(20)
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    producer.produce(topic, b"order", partition=3)
    assert producer.flush(20) == 0
    assert (await log_ends(client, [topic]))[topic, 3] == 1


async def test_a_topic_that_is_not_there_has_an_end_that_nobody_knows(
    client: AIOKafkaClient, topic: str
) -> None:
    missing = f"{topic}-missing"
    assert await log_ends(client, [topic, missing]) == {(topic, 0): 0, (topic, 1): 0, (missing, 0): None}


async def test_without_a_broker_nothing_is_known_and_nothing_raises() -> None:
    client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
    assert await log_ends(client, ["orders"]) == {("orders", 0): None}
    await client.close()
