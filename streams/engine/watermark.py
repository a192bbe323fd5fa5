"""The watermark: the broker time up to which every message is known to be decided. It moves when needed.

One for the whole worker: what it says is true for every partition, whoever owns it. Its questions to the
brokers are shared by all that wait, a barrier begins four times a second at most, and only while somebody
wants a time that is not passed yet.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError

from streams.engine.barrier import Barrier, Blocked, Logs, Partition, Passed, ReadEnds, Step
from streams.engine.broker.errors import Unanswered
from streams.log import get_logger

log = get_logger("engine.watermark")

APART_S = 0.25
"""A barrier begins so long after the one before it. With a second, sales that end soon after each other were
released a second later than by the clock; a barrier costs a broker eight small requests."""

AGAIN_S, AGAIN_AT_MOST_S, LONGER = 0.02, 1.0, 1.3
"""A blocked barrier asks for positions again after a while, which grows by LONGER each time."""

STARTS_ANEW = "none, once: the process ends and starts anew; when it repeats, report the trace"
WANTED_FOR_S = 5.0
"""A time that nobody has asked for again for so long is not wanted any more: its task went elsewhere."""

ReadLogEnds = Callable[[Logs], Awaitable[Mapping[Partition, int | None]]]
ReadGroupPositions = Callable[[tuple[Partition, ...]], Awaitable[Mapping[Partition, int | None]]]


@dataclass(slots=True)
class Watermark:
    """Moves on in the background after `want`, and calls `on_passed` when it has. In the event loop only."""

    read_ends: ReadLogEnds
    read_positions: ReadGroupPositions
    die: Callable[[str], None]
    on_passed: Callable[[], None] = lambda: None
    ms: int = 0
    """Every message that was placed up to this broker time is decided."""
    behind: Mapping[Partition, int | None] = field(default_factory=dict)
    """What the barrier under way waits for: records by partition, None where nobody answers."""
    _wanted_ms: int = 0
    _wanted_at: float = 0.0
    _began_at: float = float("-inf")
    _moving: asyncio.Task[None] | None = None

    def want(self, at_ms: int) -> None:
        """Somebody waits for `at_ms`, an append time that was heard. To be said again while it is wanted."""
        if at_ms <= self.ms:
            return
        self._wanted_ms, self._wanted_at = max(at_ms, self._wanted_ms), time.monotonic()
        if self._moving is None:
            self._moving = asyncio.get_running_loop().create_task(self._move())
            self._moving.add_done_callback(self._rest)

    def close(self) -> None:
        """Ask nothing more."""
        if self._moving is not None:
            self._moving.cancel()

    def _rest(self, moved: asyncio.Task[None]) -> None:
        self._moving, self.behind = None, {}
        if not moved.cancelled() and (error := moved.exception()) is not None:
            log.error("watermark_failed", exc_info=error, recommendation=STARTS_ANEW)
            self.die(f"the watermark failed: {error!r}")

    @property
    def _wanted(self) -> bool:
        return self._wanted_ms > self.ms and time.monotonic() - self._wanted_at < WANTED_FOR_S

    async def _move(self) -> None:
        while self._wanted:
            await asyncio.sleep(max(0.0, self._began_at + APART_S - time.monotonic()))
            self._began_at = time.monotonic()
            await self._pass(Barrier(self._wanted_ms))

    async def _pass(self, barrier: Barrier) -> None:
        pause_s = AGAIN_S
        while self._wanted:
            step = await self._look(barrier)
            if isinstance(step, Passed):
                self.ms, self.behind = step.at_ms, {}
                self.on_passed()
                return
            self.behind = step.behind
            await asyncio.sleep(pause_s)
            pause_s = min(LONGER * pause_s, AGAIN_AT_MOST_S)

    async def _look(self, barrier: Barrier) -> Blocked | Passed:
        step: Step = barrier.look()
        while not isinstance(step, Blocked | Passed):
            if isinstance(step, ReadEnds):
                step = barrier.ends(await self.read_ends(step.logs))
                continue
            partitions = step.partitions
            try:
                step = barrier.positions(await self.read_positions(partitions))
            except (Unanswered, KafkaError) as error:
                log.debug("positions_not_read", error=str(error))
                return Blocked(dict.fromkeys(partitions))
        return step
