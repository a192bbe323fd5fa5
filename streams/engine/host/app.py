"""The Faust app: our parts put in, and everything that makes a half-dead worker linger taken out."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any, cast

import faust
from aiokafka.cluster import ClusterMetadata
from faust.assignor import PartitionAssignor

from streams.engine.engine import Engine
from streams.engine.host.hooks import Hooks


class DeclaredAssignor(PartitionAssignor):
    """Faust's assignor with our topics' declared partition counts.

    assignor/partition_assignor.py:177 leaves topics out that are missing in the leader's metadata; right
    after a broker restart that is all of them, and everybody is assigned nothing, for good. Foreign topics
    keep the counts that the broker reports: they may have any number, and may grow.
    """

    def _get_copartitioned_groups(  # type: ignore[override]  # the counts are this app's, not the class's
        self, topics: set[str], cluster: ClusterMetadata, subscriptions: Any
    ) -> dict[int, Iterable[set[str]]]:
        declared = cast(EngineApp, self.app).hooks.partitions
        by_count: dict[int, set[str]] = defaultdict(set)
        for topic in topics:
            count = declared.get(topic) or len(cluster.partitions_for_topic(topic) or ())
            if count:
                by_count[count].add(topic)
        return {count: self._group_co_subscribed(names, subscriptions) for count, names in by_count.items()}


class EngineApp(faust.App):
    """A Faust app that hosts an engine; `options` are Faust's own settings."""

    def __init__(self, app_id: str, engine: Engine, hooks: Hooks, **options: Any) -> None:
        self.engine = engine
        self.hooks = hooks
        super().__init__(app_id, **options)

    def durable_offset(self, topic: str, partition: int) -> int | None:
        """What the group may commit for monitoring, and for Fluent requests as their position."""
        if self.engine.owns(topic):
            return self.engine.committed(topic, partition)
        return self.hooks.request_offset(topic, partition)

    async def suspend_engine(self) -> None:
        """A rebalance begins, or the worker stops."""
        await self.engine.suspend()
        await self.hooks.suspend_requests()

    async def on_stop(self) -> None:
        """Stop Faust, then let go of tasks, gateway and producers."""
        await super().on_stop()
        await self.hooks.on_stopped()

    def _crash(self, reason: BaseException) -> None:
        """mode marks services as crashed and goes on; a half-dead worker would keep its partitions."""
        self.hooks.die(f"Faust crashed: {reason!r}")
