"""Questions to coordinators: the group's offsets and their owners, and the fencing of a transactional id.

A coordinator may be away or move; whatever it answers meanwhile is waited for, up to a deadline.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from aiokafka.client import AIOKafkaClient, ConnectionGroup, CoordinationType
from aiokafka.errors import KafkaError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import HeartbeatRequest
from aiokafka.protocol.transaction import InitProducerIdRequest

from streams.engine.broker.errors import COORDINATOR_MOVED, PASSING, Refused, Unanswered, described, raise_for
from streams.engine.broker.requests import OffsetFetch, by_topic
from streams.engine.broker.topic_ids import differ
from streams.engine.ownership import Membership, Ownership, ownership_in

Partition = tuple[str, int]

AGAIN_S = 0.02
"""First pause before a request that has to wait is sent again; it doubles up to AGAIN_AT_MOST_S."""

AGAIN_AT_MOST_S = 0.5
TRANSACTION_TIMEOUT_MS = 10_000
"""Longer than a batch may take, shorter than readers should wait for a dead owner's open transaction."""


@dataclass(frozen=True, slots=True)
class GroupOffset:
    """What the group's offsets say about one source: where it stands, and who owns it."""

    offset: int | None
    owner: Ownership | None

    def is_of_another(self, topic_id: str) -> bool:
        """Whether it is known to be of another topic of that name, which was deleted."""
        return self.owner is not None and differ(self.owner.topic_id, topic_id)

    def offset_in(self, topic_id: str) -> int | None:
        """Where the group stands in this topic: nowhere, if the offset is of another one of that name."""
        return None if self.is_of_another(topic_id) else self.offset


class Coordinators:
    """A client for the coordinators of one group and of any transactional id."""

    def __init__(self, client: AIOKafkaClient, group: str) -> None:
        self._client = client
        self._group = group
        self._nodes: dict[tuple[int, str], int] = {}
        self.topic_ids: dict[Partition, str] = {}
        """Which topics the offsets are of that we commit, as their tasks' restores found them: a topic of the
        same name may be another one by now."""

    async def offsets(
        self, partitions: Iterable[Partition], *, stable: bool, within_s: float
    ) -> dict[Partition, GroupOffset]:
        """The group's offsets; with `stable` it waits for open transactions that are about to change them.

        Raises Unanswered, or KafkaError for what does not pass by itself.
        """
        wanted = list(partitions)
        if not wanted:
            return {}
        request = OffsetFetch(self._group, wanted, stable=stable)
        answer = await self._ask_group(request, _fetch_codes, within_s)
        return {
            (topic, number): GroupOffset(offset if offset >= 0 else None, ownership_in(metadata or ""))
            for topic, rows, _ in answer.topics
            for number, offset, _, metadata, _, _ in rows
        }

    async def check(self, member: Membership, within_s: float) -> None:
        """See that the group still knows a member. Raises Refused, Unanswered or KafkaError."""
        if not member.valid:
            raise Refused("this worker was thrown out of its group")
        request = HeartbeatRequest(self._group, member.generation, member.member_id)
        await self._ask_group(request, lambda answer: [answer.error_code], within_s)

    async def commit(
        self,
        offsets: Mapping[Partition, int],
        owner: Ownership,
        member: Membership,
        within_s: float,
    ) -> None:
        """Write offsets with their owner beside them; the broker checks generation and member.

        Raises Refused (for a member that was thrown out without asking the broker), Unanswered or KafkaError.
        """
        if not member.valid:
            raise Refused("this worker was thrown out of its group")
        metadata = owner.beside(offsets, self.topic_ids)
        rows = {at: (at[1], offset, metadata[at]) for at, offset in offsets.items()}
        request = OffsetCommitRequest(
            self._group, member.generation, member.member_id, -1, list(by_topic(rows).items())
        )
        await self._ask_group(request, _commit_codes, within_s)

    async def fence(self, transactional_id: str, within_s: float) -> None:
        """End what is open under a transactional id; whoever used it can do nothing with it any more.

        What was being committed is completed, what was not is aborted. Raises Unanswered or KafkaError.
        """
        request = InitProducerIdRequest(transactional_id, TRANSACTION_TIMEOUT_MS)
        kind = CoordinationType.TRANSACTION
        await self._ask(kind, transactional_id, request, lambda answer: [answer.error_code], within_s)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _ask_group(self, request: Any, codes: Callable[[Any], list[int]], within_s: float) -> Any:
        return await self._ask(CoordinationType.GROUP, self._group, request, codes, within_s)

    async def _ask(
        self, kind: int, key: str, request: Any, codes: Callable[[Any], list[int]], within_s: float
    ) -> Any:
        deadline, pause = time.monotonic() + within_s, AGAIN_S
        what = f"{type(request).__name__} for {key}"
        while True:
            try:
                async with asyncio.timeout(max(0.0, deadline - time.monotonic())):
                    answer = await self._send(kind, key, request)
                waits = next((code for code in codes(answer) if code in PASSING), 0)
                if not waits:
                    for code in codes(answer):
                        raise_for(code, what)
                    return answer
                if waits in COORDINATOR_MOVED:
                    self._nodes.pop((kind, key), None)
                why = described(waits)
            except (KafkaError, TimeoutError, OSError) as error:
                if isinstance(error, KafkaError) and not passing(error):
                    raise
                self._nodes.pop((kind, key), None)
                why = repr(error)
            if time.monotonic() + pause > deadline:
                raise Unanswered(f"{what}: no answer within {within_s:.0f} s, last: {why}")
            await asyncio.sleep(pause)
            pause = min(2 * pause, AGAIN_AT_MOST_S)

    async def _send(self, kind: int, key: str, request: Any) -> Any:
        node = self._nodes.get((kind, key))
        if node is None:
            if not self._client.cluster.brokers():
                await self._client.bootstrap()
            node = self._nodes[kind, key] = await self._client.coordinator_lookup(kind, key)
        if self._client.cluster.broker_metadata(node) is None:
            await self._client.force_metadata_update()
        return await self._client.send(node, request, group=ConnectionGroup.COORDINATION)


def passing(error: KafkaError) -> bool:
    """Whether a client's error passes by itself: connections break and brokers are looked for again."""
    return bool(error.retriable) or getattr(error, "errno", None) in PASSING


def _fetch_codes(answer: Any) -> list[int]:
    return [answer.error_code, *(code for _, rows, _ in answer.topics for *_, code, _ in rows)]


def _commit_codes(answer: Any) -> list[int]:
    return [code for _, rows in answer.topics for _, code in rows]
