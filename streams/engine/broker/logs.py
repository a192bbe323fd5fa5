"""Where logs end, asked of their leaders: what they have appended, whether it is replicated or not.

Consumers are told the high watermark in place of the end. That stands still while a replica that counts as in
sync is away (nine seconds, where a broker dies), and what is appended meanwhile carries its time already. A
leader tells the end itself as that of its epoch (KIP-320). A record behind the high watermark may be lost
with its leader, so that a log can end sooner than it did.

With each end comes the id of the topic: one that was deleted and created again has the same name, and what
the group has committed says nothing about it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.structs import TopicPartition

from streams.engine.broker.coordinators import Partition
from streams.engine.broker.requests import EpochEnds, LeaderEpochs
from streams.engine.broker.topic_ids import topic_ids

WITHIN_S = 5.0


class LogEnds:
    """Asks where logs end, over connections that it shares with others."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client
        self.topic_ids: dict[str, str] = {}
        """Which topic of its name a leader spoke of that said where a log ends; empty: it gave no id."""
        self._partitions: dict[str, set[int]] = {}
        self._epochs: dict[Partition, int] = {}
        """The newest epoch in which a partition was led. A leader of another one refuses to answer, so that
        who was one once cannot say where the log ended then."""
        self._doubtful: set[Partition] = set()
        """Partitions of which nobody answered for that epoch."""

    async def of(self, topics: Iterable[str]) -> dict[Partition, int | None]:
        """The end of every partition of these topics, with what open transactions hold.

        From fresh metadata, so that partitions that a topic gained are there; one that was seen once stays,
        for a topic never loses any. None where no leader answers, and for partition 0 of an unknown topic.
        """
        leaders = await self._leaders(list(topics))
        ends: dict[Partition, int | None] = dict.fromkeys(leaders)
        led: dict[int, list[Partition]] = {}
        for partition, node in leaders.items():
            if node is not None:
                led.setdefault(node, []).append(partition)
        for found in await asyncio.gather(*(self._ask(node, each) for node, each in led.items())):
            ends |= found
        return ends

    async def _leaders(self, topics: list[str]) -> dict[Partition, int | None]:
        cluster = self._client.cluster
        known = await self._renew(topics)
        found: dict[Partition, int | None] = {}
        for topic in topics:
            seen = self._partitions.setdefault(topic, set())
            seen |= (known and cluster.partitions_for_topic(topic)) or set()
            for number in seen or {0}:
                leader = cluster.leader_for_partition(TopicPartition(topic, number)) if known else None
                found[topic, number] = leader if leader is not None and leader >= 0 else None
        return found

    async def _renew(self, topics: list[str]) -> bool:
        """Read the metadata of these topics; False when no broker answers."""
        client = self._client
        try:
            async with asyncio.timeout(WITHIN_S):
                if not client.cluster.brokers():
                    await client.bootstrap()
                return bool(await client._metadata_update(client.cluster, topics))
        except (KafkaError, TimeoutError, OSError):
            return False

    async def _ask(self, node: int, partitions: list[Partition]) -> Mapping[Partition, int]:
        unsure = [each for each in partitions if each in self._doubtful or each not in self._epochs]
        self._doubtful.update(partitions)
        try:
            async with asyncio.timeout(WITHIN_S):
                if unsure:
                    await self._learn_epochs(node, unsure)
                epochs = {each: self._epochs[each] for each in partitions if each in self._epochs}
                topics = {topic for topic, _ in partitions}
                answer, ids = await asyncio.gather(
                    self._client.send(node, EpochEnds(epochs)), topic_ids(self._client, node, topics)
                )
        except (KafkaError, TimeoutError, OSError):
            return {}
        found = {
            (topic, number): end
            for topic, rows in answer.topics
            for code, number, _, end in rows
            if code == 0 and end >= 0 and topic in ids
        }
        self.topic_ids |= ids
        self._doubtful -= found.keys()
        return found

    async def _learn_epochs(self, node: int, partitions: list[Partition]) -> None:
        answer = await self._client.send(node, LeaderEpochs(partitions))
        for topic, rows in answer.topics:
            for number, code, _, _, epoch in rows:
                if code == 0:
                    self._epochs[topic, number] = max(epoch, self._epochs.get((topic, number), epoch))
