"""One transaction a worker on a real broker: what is committed, what is refused, who is fenced."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import UnknownTopicOrPartitionError
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from streams.engine.broker.coordinators import Coordinators
from streams.engine.broker.errors import Aborted, Fenced, OutcomeUnknown, Refused, Unanswered
from streams.engine.broker.producer import Batch, WorkerProducer
from streams.engine.broker.transactions import Transaction, Transactions
from streams.engine.changelog import consumer_config
from streams.engine.ownership import Membership, Ownership
from tests.support.kafka import KafkaUnderTest

PARTITIONS = 3


@dataclass
class Cluster:
    """Topics of one test, a group, and who reads them."""

    bootstrap: str
    prefix: str
    group: str = ""
    closing: list[Any] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.group = f"{self.prefix}group"
        narrow = {"max.message.bytes": "1000"}
        made = [
            NewTopic(self.source, PARTITIONS, 1),
            NewTopic(self.out, PARTITIONS, 1),
            NewTopic(self.narrow, 1, 1, config=narrow),
        ]
        admin = AdminClient({"bootstrap.servers": self.bootstrap})
        for future in admin.create_topics(made).values():
            future.result(20)

    @property
    def source(self) -> str:
        return f"{self.prefix}source"

    @property
    def out(self) -> str:
        return f"{self.prefix}out"

    @property
    def narrow(self) -> str:
        return f"{self.prefix}narrow"

    async def coordinators(self) -> Coordinators:
        made = Coordinators(AIOKafkaClient(bootstrap_servers=self.bootstrap), self.group)
        self.closing.append(made.close)
        return made

    async def worker(self) -> Transactions:
        coordinators = await self.coordinators()
        topics = [self.out, self.narrow]
        made = Transactions({"bootstrap_servers": self.bootstrap}, coordinators, self.group, topics)
        await made.start()
        self.closing.append(made.close)
        return made

    async def member(self) -> AIOKafkaConsumer:
        consumer = AIOKafkaConsumer(
            self.source,
            bootstrap_servers=self.bootstrap,
            group_id=self.group,
            enable_auto_commit=False,
            session_timeout_ms=2_000,
            heartbeat_interval_ms=100,
        )
        await consumer.start()
        self.closing.append(consumer.stop)
        async with asyncio.timeout(20):
            while not consumer.assignment():
                await consumer.getmany(timeout_ms=50)
        return consumer

    def transaction(
        self, member: Membership, offset: int, values: Sequence[bytes], topic: str | None = None
    ) -> Transaction:
        batches = []
        for number, value in enumerate(values):
            batch = Batch()
            batch.append(timestamp=1, key=b"k", value=value)
            batches.append(((topic or self.out, number % PARTITIONS), batch))
        return Transaction(batches, {(self.source, 0): offset}, member)

    def visible(self) -> list[bytes]:
        """What a read_committed reader finds, waiting for open transactions to end."""
        consumer, ended, found = Consumer(consumer_config({"bootstrap.servers": self.bootstrap})), 0, []
        consumer.assign([TopicPartition(self.out, number, 0) for number in range(PARTITIONS)])
        while ended < PARTITIONS:
            for message in consumer.consume(100, 0.1):
                if message.error() is not None:
                    ended += 1
                else:
                    found.append(message.value() or b"")
        consumer.close()
        return sorted(found)


def membership(consumer: AIOKafkaConsumer) -> Membership:
    return Membership(consumer._coordinator.generation, consumer._coordinator.member_id)


async def rebalanced(cluster: Cluster, former: AIOKafkaConsumer) -> AIOKafkaConsumer:
    """One more member; returns it when both are in a new generation."""
    before = former._coordinator.generation
    joined = await cluster.member()
    async with asyncio.timeout(20):
        while former._coordinator.generation == before:
            await former.getmany(timeout_ms=50)
    return joined


@asynccontextmanager
async def _cluster(kafka: KafkaUnderTest, prefix: str) -> AsyncIterator[Cluster]:
    made = Cluster(kafka.bootstrap, prefix)
    try:
        yield made
    finally:
        for close in reversed(made.closing):
            await close()


@pytest.fixture
async def cluster(kafka: KafkaUnderTest, topic_prefix: str) -> AsyncIterator[Cluster]:
    async with _cluster(kafka, topic_prefix) as made:
        yield made


async def stands(cluster: Cluster, *, stable: bool = True, within_s: float = 5.0) -> tuple[int | None, Any]:
    coordinators = await cluster.coordinators()
    found = await coordinators.offsets([(cluster.source, 0)], stable=stable, within_s=within_s)
    return found[cluster.source, 0].offset, found[cluster.source, 0].owner


async def test_outputs_and_offsets_become_visible_together_with_their_owner(cluster: Cluster) -> None:
    member = membership(await cluster.member())
    worker = await cluster.worker()
    ends = await worker.commit(cluster.transaction(member, 5, [b"a", b"b", b"c"]))
    assert ends == {(cluster.out, number): 1 for number in range(PARTITIONS)}
    await worker.commit(cluster.transaction(member, 6, [b"d"]))
    assert cluster.visible() == [b"a", b"b", b"c", b"d"]
    assert await stands(cluster) == (6, Ownership(worker.ids, member.generation))


async def test_a_batch_that_the_broker_refuses_is_never_committed_nor_are_its_neighbours(
    cluster: Cluster,
) -> None:
    member = membership(await cluster.member())
    worker = await cluster.worker()
    await worker.commit(cluster.transaction(member, 5, [b"before"]))
    bad = cluster.transaction(member, 9, [b"x" * 5_000], cluster.narrow)
    good = cluster.transaction(member, 9, [b"never"])
    with pytest.raises(Aborted, match="MessageSizeTooLarge"):
        await worker.commit(Transaction([*good.batches, *bad.batches], good.offsets, member))
    assert cluster.visible() == [b"before"]
    assert (await stands(cluster))[0] == 5


async def test_after_a_failure_new_ids_go_on(cluster: Cluster) -> None:
    member = membership(await cluster.member())
    worker = await cluster.worker()
    with pytest.raises(Aborted):
        await worker.commit(cluster.transaction(member, 9, [b"x" * 5_000], cluster.narrow))
    former = worker.ids
    await worker.start()
    await worker.commit(cluster.transaction(member, 1, [b"after"]))
    assert cluster.visible() == [b"after"]
    assert former == () and len(worker.ids) == 2


async def test_a_former_generation_is_refused_and_nothing_of_it_is_seen(cluster: Cluster) -> None:
    consumer = await cluster.member()
    former = membership(consumer)
    worker = await cluster.worker()
    await worker.commit(cluster.transaction(former, 1, [b"in time"]))
    await rebalanced(cluster, consumer)
    with pytest.raises(Refused, match="IllegalGeneration"):
        await worker.commit(cluster.transaction(former, 2, [b"too late"]))
    assert cluster.visible() == [b"in time"]
    assert (await stands(cluster))[0] == 1


@pytest.mark.parametrize("thrown_out", [Membership(-1, ""), Membership(3, ""), Membership(-1, "member")])
async def test_a_member_that_was_thrown_out_sends_nothing(cluster: Cluster, thrown_out: Membership) -> None:
    await cluster.member()
    worker, coordinators = await cluster.worker(), await cluster.coordinators()
    with pytest.raises(Refused, match="thrown out"):
        await worker.commit(cluster.transaction(thrown_out, 2, [b"never"]))
    with pytest.raises(Refused, match="thrown out"):
        await coordinators.commit({(cluster.source, 0): 7}, Ownership(("x",), 1), thrown_out, 5)
    assert cluster.visible() == []
    assert (await stands(cluster))[0] is None


async def test_an_owner_is_written_in_the_current_generation_only(cluster: Cluster) -> None:
    consumer = await cluster.member()
    former = membership(consumer)
    coordinators = await cluster.coordinators()
    await coordinators.commit({(cluster.source, 0): 7}, Ownership(("old",), former.generation), former, 5)
    await rebalanced(cluster, consumer)
    with pytest.raises(Refused):
        await coordinators.commit({(cluster.source, 0): 8}, Ownership(("late",), 9), former, 5)
    assert await stands(cluster) == (7, Ownership(("old",), former.generation))


async def test_a_new_owner_fences_by_the_ids_that_the_plain_offsets_name_and_then_finds_them_stable(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = membership(await cluster.member())
    zombie = await cluster.worker()
    await zombie.commit(cluster.transaction(member, 1, [b"one"]))
    frozen, thaw = asyncio.Event(), asyncio.Event()
    producer = zombie._producers[1]
    end = producer.end

    async def freeze() -> None:
        frozen.set()
        await thaw.wait()
        await end()

    monkeypatch.setattr(producer, "end", freeze)
    late = asyncio.create_task(zombie.commit(cluster.transaction(member, 2, [b"zombie"])))
    await frozen.wait()
    offset, owner = await stands(cluster, stable=False)
    assert (offset, owner.ids) == (1, (f"{owner.ids[0][:-1]}a", f"{owner.ids[0][:-1]}b"))
    with pytest.raises(Unanswered, match="88"):
        await stands(cluster, within_s=3)
    coordinators = await cluster.coordinators()
    await asyncio.gather(*(coordinators.fence(each, 5) for each in owner.ids))
    assert (await stands(cluster))[0] == 1
    thaw.set()
    with pytest.raises((OutcomeUnknown, Fenced)):
        await late
    assert cluster.visible() == [b"one"]


async def test_a_producer_does_not_start_while_the_cluster_does_not_know_a_topic(cluster: Cluster) -> None:
    """Seen by reading: around a broker's restart metadata may lack a topic. Its keyed records all went to
    partition 0, where another ledger decided them."""
    producer = WorkerProducer({"bootstrap_servers": cluster.bootstrap}, f"{cluster.prefix}id")
    with pytest.raises(UnknownTopicOrPartitionError):
        await producer.start([cluster.out, f"{cluster.prefix}nowhere"])
    await producer.abandon()


async def test_the_number_of_partitions_is_learned_once_whatever_is_said_later(
    cluster: Cluster,
) -> None:
    worker = await cluster.worker()
    worker._producers[0]._producer.client.cluster._partitions.clear()
    assert worker.partitions(cluster.out) == PARTITIONS


async def test_a_producer_that_is_let_go_of_opens_no_connection_any_more(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Seen in a run of all tests: one that still looked for its coordinator left a connection behind."""
    member = membership(await cluster.member())
    worker = await cluster.worker()
    client = worker._producers[0]._producer.client
    found, go, look_up = asyncio.Event(), asyncio.Event(), client.coordinator_lookup

    async def slowly(kind: Any, key: str) -> Any:
        node = await look_up(kind, key)
        found.set()
        await go.wait()
        return node

    monkeypatch.setattr(client, "coordinator_lookup", slowly)
    sending = asyncio.create_task(worker.commit(cluster.transaction(member, 1, [b"never"])))
    async with asyncio.timeout(20):
        await found.wait()
        worker.abandon()
        leaving = list(worker._leaving)
        while any(each.connected() for each in client._conns.values()):
            await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*leaving)
    assert not [each for each in client._conns.values() if each.connected()]
    with pytest.raises((Aborted, OutcomeUnknown, Fenced)):
        await sending
