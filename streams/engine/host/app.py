"""The Faust app: our parts put in, and everything that makes a half-dead worker linger taken out."""

from __future__ import annotations

from typing import Any

import faust

from streams.engine.engine import Engine
from streams.engine.host.hooks import Hooks


class EngineApp(faust.App):
    """A Faust app that hosts an engine; `options` are Faust's own settings."""

    def __init__(self, app_id: str, engine: Engine, hooks: Hooks, **options: Any) -> None:
        self.engine = engine
        self.hooks = hooks
        super().__init__(app_id, **options)

    def durable_offset(self, topic: str, partition: int) -> int | None:
        """What Faust may commit: Fluent requests only. The offsets of tasks are in their transactions, and
        Faust would overwrite the owner that stands beside them."""
        return None if self.engine.owns(topic) else self.hooks.request_offset(topic, partition)

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
