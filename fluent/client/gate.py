"""How many requests a second and how many at once: adaptive, first come first served.

Additive increase, multiplicative decrease of one `share` of both limits: refused for the rate, it halves (at
most once a second, since requests in flight are refused together) and nothing is sent for the time that
Fluent asks for; every second that goes well gives a part back.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from fluent.client.breaker import PROBE_UNDER_WAY, Breaker

SMALLEST_SHARE = 0.02
RECOVERY_PER_S = 0.05
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0
"""Fluent's SDK waits 60 s flat after C0011; we start lower, double, and end there."""


class Gate:
    """`await enter()` before each request, `leave()` after it, and one report of how it went in between."""

    def __init__(
        self, requests_per_second: float, max_in_flight: int, breaker: Breaker, clock: Callable[[], float]
    ) -> None:
        self._rate = requests_per_second
        self._max_in_flight = max_in_flight
        self._clock = clock
        self.breaker = breaker
        self.share = 1.0
        self.in_flight = 0
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()
        self._next_at = 0.0
        self._paused_until = 0.0
        self._pause_s = FIRST_PAUSE_S
        self._recovered_at = clock()
        self._halved_at = -math.inf

    @property
    def requests_per_second(self) -> float:
        """The rate at the moment."""
        return self._rate * self.share

    @property
    def max_in_flight(self) -> int:
        """The number at once at the moment."""
        return max(1, math.floor(self._max_in_flight * self.share))

    @property
    def paused_s(self) -> float:
        """Seconds for which nothing is sent yet, because Fluent refused or asked for it."""
        return max(0.0, self._paused_until - self._clock())

    async def enter(self) -> None:
        """Waits for a slot, the pace, the pause and the breaker, in the order of the callers."""
        async with self._turn:
            while (wait_s := self._wait_s()) > 0:
                await self._wait(wait_s)
            self.in_flight += 1
            interval_s = 1 / self.requests_per_second
            # Up to one interval late is caught up, so that the loop's own delays do not lower the rate.
            self._next_at = max(self._next_at, self._clock() - interval_s) + interval_s
            self.breaker.passed()

    async def _wait(self, wait_s: float) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(None if wait_s == PROBE_UNDER_WAY else wait_s):
                await self._changed.wait()
        except TimeoutError:
            pass

    def _wait_s(self) -> float:
        if self.in_flight >= self.max_in_flight:
            return PROBE_UNDER_WAY
        now = self._clock()
        return max(self._next_at - now, self.paused_s, self.breaker.wait_s())

    def leave(self) -> None:
        """The request is over."""
        self.in_flight -= 1
        self._changed.set()

    def unused(self) -> None:
        """There was nothing to send after all."""
        self.breaker.unused()
        self.leave()

    def succeeded(self) -> None:
        """Fluent answered: the limits recover with the time that goes well."""
        self.breaker.succeeded()
        now = self._clock()
        # Also while a pause lasts: of several sent together one was refused, so it is not silence that helps.
        self._pause_s = FIRST_PAUSE_S
        self.share = min(1.0, self.share + RECOVERY_PER_S * min(1.0, now - self._recovered_at))
        self._recovered_at = now

    def failed(self) -> None:
        """No usable answer."""
        self.breaker.failed()

    def rate_limited(self, wait_s: float) -> bool:
        """Refused for the rate; `wait_s` is what Fluent asks for, 0 where it says nothing.

        Whether the limits went down because of it.
        """
        self.breaker.succeeded()
        now = self._clock()
        slower = now >= self._halved_at + 1
        if slower:
            self.share = max(SMALLEST_SHARE, self.share / 2)
            self._halved_at = now
        if now >= self._paused_until:
            pause_s = wait_s or self._pause_s
            self._pause_s = min(MAX_PAUSE_S, self._pause_s * 2)
            self._paused_until = now + min(MAX_PAUSE_S, pause_s)
        return slower

    def pause(self, wait_s: float) -> None:
        """Fluent asked for silence (Retry-After of a 5xx)."""
        self._paused_until = max(self._paused_until, self._clock() + min(MAX_PAUSE_S, wait_s))
