"""Where logs end, on a real broker: open transactions, added partitions, topics that are not there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from types import SimpleNamespace
from typing import Any, cast

import confluent_kafka as librdkafka
import pytest
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaConnectionError
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

from rehearsal.kafka import KafkaCluster
from streams.engine.broker.coordinators import Partition
from streams.engine.broker.logs import LogEnds
from streams.engine.broker.requests import LeaderEpochs
from streams.engine.broker.topic_ids import TopicIds, Uuid
from streams.engine.changelog import ChangelogReader
from tests.support.deadlines import in_sync
from tests.support.kafka import KafkaUnderTest
from tests.support.system import wait_until


@pytest.fixture
async def client(kafka: KafkaUnderTest) -> AsyncIterator[AIOKafkaClient]:
    made = AIOKafkaClient(bootstrap_servers=kafka.bootstrap)
    yield made
    await made.close()


@pytest.fixture
def admin(kafka: KafkaUnderTest) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap})


@pytest.fixture
def topic(admin: AdminClient, topic_prefix: str) -> str:
    name = f"{topic_prefix}orders"
    for future in admin.create_topics([NewTopic(name, 2, 1)]).values():
        future.result(20)
    return name


async def settled(logs: LogEnds, topics: list[str], expected: dict[Partition, int | None]) -> None:
    """Wait until the logs end there: a topic's leaders are a moment behind its creation."""
    async with asyncio.timeout(20):
        while await logs.of(topics) != expected:
            await asyncio.sleep(0.05)


async def test_what_an_open_transaction_holds_is_in_the_log_already(
    client: AIOKafkaClient, kafka: KafkaUnderTest, topic: str
) -> None:
    producer = Producer({"bootstrap.servers": kafka.bootstrap, "transactional.id": topic})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, b"order", partition=1)
    assert producer.flush(20) == 0
    await settled(LogEnds(client), [topic], {(topic, 0): 0, (topic, 1): 1})
    producer.abort_transaction(20)


@pytest.mark.slow
async def test_what_is_not_replicated_yet_is_in_the_log_already(topic_prefix: str) -> None:
    """A replica has died, and is waited for until the controller has noticed: readers see nothing new."""
    topic, slowly = f"{topic_prefix}orders", {"broker.session.timeout.ms": "9000"}
    with KafkaCluster(overrides={**slowly, "min.insync.replicas": "1"}) as cluster:
        leader, _, replica = cluster.nodes
        admin = AdminClient({"bootstrap.servers": leader.bootstrap})
        for future in admin.create_topics([NewTopic(topic, 1, replica_assignment=[[1, 3]])]).values():
            future.result(20)
        client = AIOKafkaClient(bootstrap_servers=leader.bootstrap)
        logs = LogEnds(client)
        await settled(logs, [topic], {(topic, 0): 0})
        wait_until(lambda: in_sync(admin, topic, 0) == {1, 3}, "the replica is in sync")
        replica.kill()
        producer = Producer({"bootstrap.servers": leader.bootstrap, "acks": "1"})
        producer.produce(topic, b"order", partition=0)
        assert producer.flush(5) == 0
        assert await logs.of([topic]) == {(topic, 0): 1}
        await client.close()


async def test_partitions_that_a_topic_gained_are_there(
    client: AIOKafkaClient, admin: AdminClient, topic: str
) -> None:
    logs = LogEnds(client)
    await settled(logs, [topic], {(topic, 0): 0, (topic, 1): 0})
    for future in admin.create_partitions([NewPartitions(topic, 4)]).values():
        future.result(20)
    await settled(logs, [topic], {(topic, number): 0 for number in range(4)})


async def test_a_topic_that_is_not_there_has_an_end_that_nobody_knows(
    client: AIOKafkaClient, topic: str
) -> None:
    missing = f"{topic}-missing"
    expected = {(topic, 0): 0, (topic, 1): 0, (missing, 0): None}
    await settled(LogEnds(client), [topic, missing], expected)


async def test_partitions_that_were_seen_once_are_unknown_when_a_broker_has_forgotten_them_or_is_away(
    client: AIOKafkaClient, admin: AdminClient, topic: str
) -> None:
    logs = LogEnds(client)
    await settled(logs, [topic], {(topic, 0): 0, (topic, 1): 0})
    for future in admin.delete_topics([topic]).values():
        future.result(20)
    await settled(logs, [topic], {(topic, 0): None, (topic, 1): None})


async def test_with_an_end_comes_the_id_of_the_topic_as_positions_have_it(
    client: AIOKafkaClient, kafka: KafkaUnderTest, topic: str
) -> None:
    logs = LogEnds(client)
    await settled(logs, [topic], {(topic, 0): 0, (topic, 1): 0})
    assert logs.topic_ids == ChangelogReader({"bootstrap.servers": kafka.bootstrap}).topic_ids([topic])


def test_an_id_is_spelt_in_the_letters_of_librdkafka() -> None:
    found = Uuid.decode(BytesIO(bytes([0xFB, 0xFF] * 8)))
    assert found == str(librdkafka.Uuid(-0x0400_0400_0400_0401, -0x0400_0400_0400_0401))
    assert Uuid.decode(BytesIO(bytes(16))) == ""


async def test_without_a_broker_nothing_is_known_and_nothing_raises() -> None:
    client = AIOKafkaClient(bootstrap_servers="127.0.0.1:1")
    assert await LogEnds(client).of(["orders"]) == {("orders", 0): None}
    await client.close()


class Leader:
    """In place of a client of one broker, which leads two partitions in its `epoch` and no other."""

    def __init__(self) -> None:
        self.cluster = self
        self.epoch, self.end = 4, 7
        self.answers = True
        self.asked: list[str] = []

    def brokers(self) -> set[int]:
        return {1}

    def partitions_for_topic(self, topic: str) -> set[int]:
        return {0, 1}

    def leader_for_partition(self, partition: object) -> int:
        return 1

    async def _metadata_update(self, cluster: object, topics: list[str]) -> bool:
        return True

    async def send(self, node: int, request: Any) -> Any:
        self.asked.append(type(request).__name__)
        if not self.answers:
            raise KafkaConnectionError("broken")
        if isinstance(request, TopicIds):
            return SimpleNamespace(topics=[(0, topic, "id") for topic in request.topics])
        if isinstance(request, LeaderEpochs):
            rows: list[Any] = [(number, 0, -1, -1, self.epoch) for number, *_ in request.topics["orders"]]
        else:
            epochs = [(number, epoch) for number, epoch, _ in request.topics["orders"]]
            rows = [(0 if epoch == self.epoch else FENCED, n, epoch, self.end) for n, epoch in epochs]
        return SimpleNamespace(topics=[("orders", rows)])


FENCED = 74


async def test_the_epoch_of_a_leader_is_asked_for_again_once_nobody_answers_for_the_one_that_is_known() -> (
    None
):
    """Otherwise no end would ever be known again after a leader has moved, and no sale would close."""
    leader = Leader()
    logs = LogEnds(cast(AIOKafkaClient, leader))
    ends, unknown = {("orders", 0): 7, ("orders", 1): 7}, {("orders", 0): None, ("orders", 1): None}
    assert await logs.of(["orders"]) == ends
    assert await logs.of(["orders"]) == ends
    assert leader.asked == ["LeaderEpochs", *["EpochEnds", "TopicIds"] * 2], "an epoch is asked for once"
    leader.epoch = 5
    assert await logs.of(["orders"]) == unknown
    assert await logs.of(["orders"]) == ends
    leader.epoch, leader.answers = 6, False
    assert await logs.of(["orders"]) == unknown
    leader.answers = True
    assert await logs.of(["orders"]) == ends
