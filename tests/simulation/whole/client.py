"""Stand-ins for the clients of Kafka's: what they are asked is carried out by the broker of `kafka`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from functools import partial
from types import SimpleNamespace
from typing import Any

from aiokafka.errors import KafkaError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from streams.engine.broker.coordinators import Partition
from streams.engine.broker.errors import Fenced, Refused
from streams.engine.broker.requests import EpochEnds, LeaderEpochs, OffsetFetch
from streams.engine.broker.topic_ids import TopicIds
from streams.engine.ownership import Membership
from streams.engine.partitioner import partition_of
from streams.ledger.effects import Headers
from tests.simulation.whole.group import UNKNOWN_TOPIC_OR_PARTITION, UNSTABLE_OFFSET_COMMIT, Group
from tests.simulation.whole.kafka import CONCURRENT_TRANSACTIONS, Kafka, Missing, Transaction, Unfinished
from tests.simulation.whole.network import AGAIN_S, Network


class Client:
    """In place of AIOKafkaClient: one broker that leads and coordinates everything."""

    def __init__(self, group: Group, network: Network) -> None:
        self.cluster = self
        self._group = group
        self._kafka = group.kafka
        self._network = network

    async def send(self, _node: int, request: Any, group: Any = None) -> Any:
        """A request's answer. That for ids travels with that for ends, which goes out at the same time."""
        if isinstance(request, TopicIds):
            return self._answer(request)
        return await self._network.ask(lambda: self._answer(request))

    async def coordinator_lookup(self, _kind: int, _key: str) -> int:
        """There is one broker."""
        return 0

    async def force_metadata_update(self) -> None:
        """It does not move."""

    bootstrap = close = force_metadata_update

    async def _metadata_update(self, _cluster: Any, _topics: Any) -> bool:
        return await self._network.ask(lambda: True)

    def brokers(self) -> list[int]:
        """The brokers' ids."""
        return [0]

    def broker_metadata(self, node: int) -> int:
        """It is known."""
        return node

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        """The numbers of a topic's partitions."""
        return set(range(self._kafka.topics[topic])) if self._kafka.has(topic) else None

    def leader_for_partition(self, partition: Any) -> int | None:
        """The one broker."""
        return 0 if self._kafka.has(partition.topic) else None

    def _answer(self, request: Any) -> Any:
        match request:
            case OffsetFetch():
                return self._offsets(*request.build(lambda *fields: fields))  # type: ignore[arg-type]
            case HeartbeatRequest():
                code = self._group.heartbeat(request._generation_id, request._member_id)
                return SimpleNamespace(error_code=code)
            case OffsetCommitRequest():
                return self._commit(request)
            case InitProducerIdRequest():
                return SimpleNamespace(error_code=self._kafka.initialise(request._transactional_id))
            case LeaderEpochs():
                topics = [(topic, [(each[0], self._code_of(topic), -1, 0, 0) for each in rows])
                          for topic, rows in request.topics.items()]  # fmt: skip
                return SimpleNamespace(topics=topics)
            case EpochEnds():
                return SimpleNamespace(topics=[self._ends(*asked) for asked in request.topics.items()])
            case TopicIds():
                ids = self._kafka.topic_ids
                return SimpleNamespace(
                    topics=[(self._code_of(each), each, ids.get(each, "")) for each in request.topics]
                )
        raise NotImplementedError(request)

    def _ends(self, topic: str, asked: Any) -> Any:
        code, logs = self._code_of(topic), self._kafka.logs
        return topic, [(code, number, 0, -1 if code else logs[topic, number].end) for number, *_ in asked]

    def _code_of(self, topic: str) -> int:
        return 0 if self._kafka.has(topic) else UNKNOWN_TOPIC_OR_PARTITION

    def _offsets(self, _group: str, topics: Any, stable: bool, _tags: Any) -> Any:
        rows: list[Any] = []
        for topic, numbers, _ in topics:
            found: list[Any] = []
            for number in numbers:
                offset, metadata = self._group.offsets.get((topic, number), (-1, ""))
                unstable = stable and self._group.unstable((topic, number))
                code = UNSTABLE_OFFSET_COMMIT if unstable else 0
                found.append((number, offset, -1, metadata, code, {}))
            rows.append((topic, found, {}))
        return SimpleNamespace(topics=rows, error_code=0)

    def _commit(self, request: Any) -> Any:
        offsets = {
            (topic, number): (offset, metadata)
            for topic, rows in request._topics
            for number, offset, metadata in rows
            if self._kafka.has(topic)
        }
        member = Membership(request._consumer_group_generation_id, request._consumer_id)
        code = self._group.commit(offsets, member)
        answered = [
            (topic, [(number, code or self._code_of(topic)) for number, *_ in rows])
            for topic, rows in request._topics
        ]
        return SimpleNamespace(topics=answered)


class Batch:
    """In place of aiokafka's: the records as they are."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes | None, bytes | None, Headers]] = []

    def add(self, _timestamp_ms: int, key: bytes | None, value: bytes | None, headers: Headers) -> bool:
        """Add a record; it always fits."""
        self.records.append((key, value, list(headers)))
        return True


class Producer:
    """In place of WorkerProducer: one transactional id. Its requests are repeated until they are answered."""

    def __init__(self, group: Group, network: Network, transactional_id: str) -> None:
        self.transactional_id = transactional_id
        self._group = group
        self._kafka = group.kafka
        self._network = network
        self._epoch = -1
        self._transaction: Transaction | None = None

    async def start(self, _topics: Iterable[str]) -> None:
        """Initialise the id."""
        kafka, ours = self._kafka, self.transactional_id
        while await self._network.insist(lambda: kafka.initialise(ours)) == CONCURRENT_TRANSACTIONS:
            await asyncio.sleep(AGAIN_S)
        self._epoch = kafka.epoch(ours)

    def partitions(self, topic: str) -> int:
        """How many partitions a topic has."""
        return self._kafka.topics[topic]

    async def send(
        self,
        batches: Iterable[tuple[Partition, Batch]],
        offsets: Mapping[Partition, int],
        metadata: Mapping[Partition, str],
        _group: str,
        member: Membership,
    ) -> dict[Partition, int]:
        """See WorkerProducer. Batches and offsets arrive in any order, each partition's in its own."""
        if not member.valid:
            raise Refused("this worker was thrown out of its group")
        begun = self._transaction = await self._begun()
        theirs = {at: (offset, metadata[at]) for at, offset in offsets.items()}
        by_partition: dict[Partition, list[Batch]] = {}
        for partition, batch in batches:
            by_partition.setdefault(partition, []).append(batch)
        commits = once(lambda: self._group.commit_with(begun, theirs, member))
        ends = await asyncio.gather(
            *(self._produced(begun, each, of) for each, of in by_partition.items()),
            self._patiently(commits, Missing),
        )
        return dict(zip(by_partition, ends, strict=False))

    async def _begun(self) -> Transaction:
        begin = once(lambda: self._kafka.begin(self.transactional_id, self._epoch))
        begun: Transaction = await self._patiently(begin, Unfinished)
        return begun

    async def _patiently(self, request: Callable[[], Any], passing: type[Exception]) -> Any:
        while True:
            try:
                return await self._network.insist(request)
            except passing:
                await asyncio.sleep(AGAIN_S)

    async def _produced(self, transaction: Transaction, partition: Partition, batches: list[Batch]) -> int:
        end = 0
        for batch in batches:
            if self._network.refused():
                raise KafkaError("the batch was refused")
            arrive = partial(self._kafka.produce, transaction, partition, batch.records)
            end = await self._network.insist(once(arrive))
        return end

    async def end(self) -> None:
        """Commit. Now and then the request is on its way, and its answer is not waited for any more."""
        transaction = self._transaction
        assert transaction is not None
        commit = partial(self._kafka.end, transaction, committed=True)
        if self._network.refused():
            self._network.post(lambda _: _unanswered(commit))
            raise KafkaError("nobody says whether it was committed")
        await self._network.insist(commit)

    async def abandon(self) -> None:
        """Nothing is waited for."""

    close = abandon


def _unanswered(request: Callable[[], Any]) -> None:
    with suppress(Fenced):
        request()


def once(action: Callable[[], Any]) -> Callable[[], Any]:
    """An idempotent request: carried out once, however often it arrives."""
    answers: list[Any] = []

    def carry_out() -> Any:
        if not answers:
            answers.append(action())
        return answers[0]

    return carry_out


class Sender:
    """In place of the sender of ticks and answers; `on_appended` runs in the worker that sent."""

    def __init__(self, kafka: Kafka, network: Network) -> None:
        self.on_appended: Callable[[int, float], None] = lambda append_ms, took_s: None
        self._kafka = kafka
        self._network = network

    def to_partition(self, topic: str, partition: int, value: bytes) -> None:
        """Send a command to one partition."""
        self._send((topic, partition), None, value)

    def keyed(self, topic: str, key: bytes, value: bytes) -> None:
        """Send a command under its subject's key."""
        self._send((topic, partition_of(key, self._kafka.topics[topic])), key, value)

    def _send(self, partition: Partition, key: bytes | None, value: bytes) -> None:
        loop = self._network.loop
        heard: asyncio.Future[tuple[int, float]] = loop.create_future()
        heard.add_done_callback(lambda done: self.on_appended(*done.result()))

        def arrive(took_s: float) -> None:
            entry = self._kafka.append(partition, key, value)
            loop.later(took_s, lambda: heard.set_result((entry.timestamp, 2 * took_s)))

        self._network.post(arrive)
