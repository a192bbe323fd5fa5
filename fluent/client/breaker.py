"""A circuit breaker: after failures in a row nothing is sent for a while, then one request at a time tries.

States: "closed" (all pass), "open" (none), "half-open" (one probe; its result decides).
"""

from __future__ import annotations

from collections.abc import Callable

PROBE_UNDER_WAY = float("inf")


class Breaker:
    """Pure but for the clock (seconds, monotonic)."""

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
        self.state = "closed"

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
