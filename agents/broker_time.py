"""The brokers' time in a worker: learned from the append times of its own commands, asked for when needed.

A worker's wall clock decides nothing. That it differs from the brokers' is said, because other things go by
it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from schemas.topics import SKU_COMMANDS
from streams.engine.clock import BrokerClock, ahead_ms
from streams.ledger.commands import Tick, encode
from streams.log import get_logger
from streams.system import now_ms

log = get_logger("agents.time")

ASK_EVERY_S = 0.25
DIFFERS_MS = 1_000
TELL_EVERY_S = 600.0
SET_THE_CLOCK = (
    "set this machine's clock, for example with NTP; orders and deadlines go by the brokers' time, but log "
    "lines, logins and signatures by this clock"
)

SendTick = Callable[[str, int, bytes], None]
"""Sends a command to (logical topic, partition)."""


@dataclass(slots=True)
class BrokerTime:
    """What time it is at the brokers. Only `on_appended` may come from any thread. `at` is monotonic (s)."""

    send: SendTick
    on_heard: Callable[[], None] = lambda: None
    """Called when an append time has come that was asked for."""
    clock: BrokerClock = field(default_factory=BrokerClock)
    loop: asyncio.AbstractEventLoop | None = None
    """Where append times are taken in; none are before it is there."""
    asked: int = -1
    """The partition through which it was asked last."""
    unheard: set[int] = field(default_factory=set)
    """Those through which it was asked since an answer came."""
    _asked_at: float = float("-inf")
    _waiting: bool = False
    _told_at: float = float("-inf")

    def now_ms(self) -> int:
        """The brokers' time, or this machine's until they were heard."""
        return self.heard_ms() or now_ms()

    def heard_ms(self) -> int | None:
        """The brokers' time, None until they were heard."""
        return self.clock.now_ms(time.monotonic())

    def ask(self, partition: int, at: float, decided_ms: int) -> float:
        """Send a Tick for the sake of its append time; before its deadline a tick changes nothing.

        `decided_ms` is for the Tick, which says it to the ledger.
        Returns in how many seconds it may be asked again, where it was asked a moment ago.
        """
        left_s = self._asked_at + ASK_EVERY_S - at
        if left_s > 0:
            return left_s
        self._asked_at, self._waiting = at, True
        self.asked = partition
        self.unheard.add(partition)
        self.send(SKU_COMMANDS, partition, encode(Tick(0, decided_ms)))
        return ASK_EVERY_S

    def on_appended(self, append_ms: int, took_s: float) -> None:
        """A command of ours, sent `took_s` ago, was appended by the broker; in the producer's thread."""
        if self.loop is not None:
            with suppress(RuntimeError):  # the loop has ended
                self.loop.call_soon_threadsafe(self.heard, append_ms, took_s, time.monotonic(), now_ms())

    def heard(self, append_ms: int, took_s: float, at: float, wall_ms: int) -> None:
        """Learn from an append time that was heard `at`, when this worker's own clock said `wall_ms`."""
        self.clock.heard(append_ms, at - took_s, at)
        self.unheard.clear()
        self._compare(ahead_ms(append_ms, wall_ms - int(took_s * 1_000), wall_ms), at)
        if self._waiting:
            self._waiting = False
            self.on_heard()

    def _compare(self, ahead: int, at: float) -> None:
        if abs(ahead) > DIFFERS_MS and at - self._told_at >= TELL_EVERY_S:
            self._told_at = at
            log.warning("clock_differs", ahead_s=round(ahead / 1_000, 1), recommendation=SET_THE_CLOCK)
