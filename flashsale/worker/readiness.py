"""When a worker is ready: on `/readyz`, in the gauge `flashsale_ready`, and as the line `ready`."""

from __future__ import annotations

import asyncio
import sys

from agents.dead_letter_limit import DeadLetterLimit
from streams.engine.engine import Engine
from streams.engine.host.hooks import Lease

LOOK_EVERY_S = 0.02


class Readiness:
    """Ready means that a sale can start: every task takes records in, and Fluent may be asked.

    Without a lease that outlives a call to Fluent the gateway refuses to write, and the first hold of a sale
    would wait for the ledger to ask again.
    """

    def __init__(self, engine: Engine, lease: Lease, call_timeout_s: float, limit: DeadLetterLimit) -> None:
        self._engine = engine
        self._lease = lease
        self._call_timeout_s = call_timeout_s
        self.stays_outside = ""
        """Why the worker does not join its group yet."""
        self._limit = limit
        self._announcing: asyncio.Task[None] | None = None

    def state(self) -> tuple[bool, str]:
        """Whether it is ready, and a line that says what it waits for."""
        if self.stays_outside:
            return False, f"not ready: {self.stays_outside}"
        if self._limit.stopped:
            return False, f"not ready: {self._limit.sentence}"
        if not self._engine.ready:
            return False, "not ready: waiting for partitions, or restoring rows"
        if self._lease.left_s <= self._call_timeout_s:
            return False, "not ready: Fluent may not be asked until the broker has answered a heartbeat"
        return True, "ready"

    def announce(self) -> None:
        """The tasks are open: say `ready` on standard error once the rest is, too. In the event loop only."""
        if self._announcing is not None:
            self._announcing.cancel()
        self._announcing = asyncio.get_running_loop().create_task(self._say_when_ready())

    async def _say_when_ready(self) -> None:
        while not self.state()[0]:  # noqa: ASYNC110 - what it waits for changes in the consumer's thread
            await asyncio.sleep(LOOK_EVERY_S)
        print("ready", file=sys.stderr, flush=True)
