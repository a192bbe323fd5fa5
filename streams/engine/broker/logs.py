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


async def log_ends(client: AIOKafkaClient, topics: Iterable[str]) -> dict[Partition, int | None]:
    """The high watermark of every partition of these topics, with what open transactions hold.

    From fresh metadata, so that partitions that a topic gained are there. None where no leader answers, and
    for partition 0 of a topic that the cluster does not know.
    """
    names = list(topics)
    leaders = await _leaders(client, names)
    ends: dict[Partition, int | None] = dict.fromkeys(leaders)
    led: dict[int, list[Partition]] = {}
    for partition, node in leaders.items():
        if node is not None:
            led.setdefault(node, []).append(partition)
    for found in await asyncio.gather(*(_ask(client, node, each) for node, each in led.items())):
        ends |= found
    return ends


async def _leaders(client: AIOKafkaClient, topics: list[str]) -> dict[Partition, int | None]:
    cluster = client.cluster
    try:
        async with asyncio.timeout(WITHIN_S):
            if not cluster.brokers():
                await client.bootstrap()
            known = await client._metadata_update(cluster, topics)
    except (KafkaError, TimeoutError, OSError):
        known = False
    found: dict[Partition, int | None] = {}
    for topic in topics:
        for number in (known and cluster.partitions_for_topic(topic)) or {0}:
            leader = cluster.leader_for_partition(TopicPartition(topic, number)) if known else None
            found[topic, number] = leader if leader is not None and leader >= 0 else None
    return found


async def _ask(client: AIOKafkaClient, node: int, partitions: list[Partition]) -> Mapping[Partition, int]:
    wanted: dict[str, list[tuple[int, int]]] = {}
    for topic, number in partitions:
        wanted.setdefault(topic, []).append((number, OffsetResetStrategy.LATEST))
    request = OffsetRequest(-1, READ_UNCOMMITTED, list(wanted.items()))
    try:
        async with asyncio.timeout(WITHIN_S):
            answer = await client.send(node, request)
    except (KafkaError, TimeoutError, OSError):
        return {}
    return {
        (topic, number): offset
        for topic, rows in answer.topics
        for number, code, _, offset in rows
        if code == 0
    }
