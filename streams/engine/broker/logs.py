"""Where logs end, asked of their leaders."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError
from aiokafka.protocol.offset import OffsetRequest, OffsetResetStrategy
from aiokafka.structs import TopicPartition

from streams.engine.broker.coordinators import Partition

READ_UNCOMMITTED = 0
WITHIN_S = 5.0


class LogEnds:
    """Asks where logs end, over connections that it shares with others."""

    def __init__(self, client: AIOKafkaClient) -> None:
        self._client = client
        self._partitions: dict[str, set[int]] = {}

    async def of(self, topics: Iterable[str]) -> dict[Partition, int | None]:
        """The high watermark of every partition of these topics, with what open transactions hold.

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
        wanted: dict[str, list[tuple[int, int]]] = {}
        for topic, number in partitions:
            wanted.setdefault(topic, []).append((number, OffsetResetStrategy.LATEST))
        request = OffsetRequest(-1, READ_UNCOMMITTED, list(wanted.items()))
        try:
            async with asyncio.timeout(WITHIN_S):
                answer = await self._client.send(node, request)
        except (KafkaError, TimeoutError, OSError):
            return {}
        return {
            (topic, number): offset
            for topic, rows in answer.topics
            for number, code, _, offset in rows
            if code == 0
        }
