"""What Fluent is spared: how many requests a second and at once, a circuit breaker, and back-off.

The gate lets requests through first come, first served. Both of its limits share one factor: when Fluent
refuses a request for the rate, the factor halves (at most once a second, since requests in flight are refused
together) and nothing is sent for as long as Fluent asks; every second that goes well gives a part back
(additive increase, multiplicative decrease).
"""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Callable

from fluent.meters import BreakerState

PROBE_UNDER_WAY = float("inf")
SMALLEST_SHARE = 0.02
RECOVERY_PER_S = 0.05
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 60.0
"""Fluent's SDK waits a flat 60 s after C0011; we begin lower, double, and end there."""


def full_jitter_s(attempt: int, *, base_s: float, cap_s: float, at_most_s: float = 0.0) -> float:
    """Full-jitter back-off: how long to wait before try `attempt` + 1 (the first try is 0), in seconds.

    `at_most_s` is what the other side asked for; it takes the place of the exponential step.
    """
    step = at_most_s or base_s * 2.0 ** min(attempt, 30)
    return random.uniform(0, min(cap_s, step))


class Breaker:
    """After `threshold` failures in a row nothing is sent for a while, then one request at a time tries.

    States: "closed" (all pass), "open" (none), "half-open" (one probe, whose result decides). `clock` is
    monotonic seconds.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        *,
        threshold: int = 5,
        first_open_s: float = 0.5,
        max_open_s: float = 15,
    ) -> None:
        self._clock = clock
        self._threshold = threshold
        self._first_open_s = first_open_s
        self._max_open_s = max_open_s
        self._failures = 0
        self._open_s = first_open_s
        self._opens_until = 0.0
        self._probing = False
        self.state: BreakerState = "closed"

    def wait_s(self) -> float:
        """Seconds until a request may pass: 0 now, `PROBE_UNDER_WAY` when a probe's result decides."""
        if self.state == "open" and self._clock() >= self._opens_until:
            self.state, self._probing = "half-open", False
        if self.state == "closed" or (self.state == "half-open" and not self._probing):
            return 0.0
        return PROBE_UNDER_WAY if self.state == "half-open" else self._opens_until - self._clock()

    def passed(self) -> None:
        """A request is being sent."""
        if self.state == "half-open":
            self._probing = True

    def succeeded(self) -> None:
        """Fluent answered, if only with a refusal."""
        self._failures, self._open_s, self._probing, self.state = 0, self._first_open_s, False, "closed"

    def failed(self) -> None:
        """No usable answer."""
        self._failures += 1
        if self.state == "half-open":
            self._open_s = min(self._max_open_s, self._open_s * 2)
        elif self.state == "open" or self._failures < self._threshold:
            return
        self.state, self._probing = "open", False
        self._opens_until = self._clock() + self._open_s

    def unused(self) -> None:
        """A request that passed was not sent after all."""
        self._probing = False


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
