"""The Faust app: our parts put in, and everything that makes a half-dead worker linger taken out."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import faust
import structlog
from aiokafka.cluster import ClusterMetadata
from faust.assignor import PartitionAssignor

from streams.engine.engine import Engine

log = structlog.get_logger("engine.host")

EXIT_FENCED = 70
"""The process ended because a task is not ours any more, or Faust crashed: a clean one is started."""


def die(why: str) -> None:
    """End the process now. Nothing uncommitted may be finished by a worker that has lost a task."""
    log.error("worker ends", why=why, recommendation="none: the supervisor starts a clean process")
    os._exit(EXIT_FENCED)


class DeclaredAssignor(PartitionAssignor):
    """Faust's assignor with our topics' declared partition counts.

    assignor/partition_assignor.py:177 leaves topics out that are missing in the leader's metadata; right
    after a broker restart that is all of them, and everybody is assigned nothing, for good. Foreign topics
    keep the counts that the broker reports: they may have any number, and may grow.
    """

    @classmethod
    def _get_copartitioned_groups(
        cls, topics: set[str], cluster: ClusterMetadata, subscriptions: Any
    ) -> dict[int, Iterable[set[str]]]:
        by_count: dict[int, set[str]] = defaultdict(set)
        for topic in topics:
            count = DECLARED.get(topic) or len(cluster.partitions_for_topic(topic) or ())
            if count:
                by_count[count].add(topic)
        return {count: cls._group_co_subscribed(names, subscriptions) for count, names in by_count.items()}


DECLARED: dict[str, int] = {}
"""Partition counts of our own topics by wire name. One app per process: an assignor has class methods."""


class EngineApp(faust.App):
    """A Faust app that hosts an engine."""

    engine: Engine
    request_offset: Callable[[str, int], int | None]
    """Next offset of a topic that no task decides (Fluent requests): below it everything is answered."""
    suspend_requests: Callable[[], Awaitable[None]]
    """Lets Fluent requests in flight end; called when the engine is suspended and no lease is left."""
    on_opened: Callable[[int], Awaitable[None]]
    """Called with the generation when all tasks are open and Faust has resumed."""
    on_stopped: Callable[[], Awaitable[None]]
    """Called when Faust has stopped."""

    def durable_offset(self, topic: str, partition: int) -> int | None:
        """What the group may commit for monitoring, and for Fluent requests as their position."""
        if self.engine.owns(topic):
            return self.engine.committed(topic, partition)
        return self.request_offset(topic, partition)

    async def suspend_engine(self) -> None:
        """A rebalance begins, or the worker stops."""
        await self.engine.suspend()
        await self.suspend_requests()

    async def on_stop(self) -> None:
        """Stop Faust, then let go of tasks, gateway and producers."""
        await super().on_stop()
        await self.on_stopped()

    def _crash(self, reason: BaseException) -> None:
        """mode marks services as crashed and goes on; a half-dead worker would keep its partitions."""
        die(f"Faust crashed: {reason!r}")
