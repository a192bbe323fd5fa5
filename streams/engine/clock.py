"""The brokers' time as a worker knows it: from append times, never from its own wall clock.

A broker says what time it is in one place only, the append time in its acknowledgement of a record. The
append lies between our send and the acknowledgement, so each one bounds how far the brokers' time is from our
monotonic clock; between two of them the monotonic clock goes on alone.
"""

from __future__ import annotations

from dataclasses import dataclass

FRESH_S = 600.0
"""After so long without an append time it is worth asking: two clocks drift apart by some milliseconds a
minute, and a broker's may be set."""


@dataclass(slots=True)
class BrokerClock:
    """Never ahead of the brokers' time as far as can be known, and behind it by a round trip at most.

    Behind is the safe side: a Tick that came before its deadline would have to be sent again.
    """

    heard_ms: int = 0
    """The newest append time; 0 before the first."""
    _heard_at: float = 0.0
    _offset_ms: float = 0.0

    def heard(self, append_ms: int, sent_at: float, heard_at: float) -> None:
        """A record, sent and acknowledged at these monotonic times (s), was appended at `append_ms`."""
        at_least, at_most = append_ms - heard_at * 1_000, append_ms + 1 - sent_at * 1_000
        known = self._offset_ms if self.heard_ms else at_least
        self._offset_ms = min(max(known, at_least), at_most)
        self.heard_ms, self._heard_at = append_ms, heard_at

    def now_ms(self, at: float) -> int | None:
        """The brokers' time at the monotonic time `at`, or None before anything was heard."""
        return int(at * 1_000 + self._offset_ms) if self.heard_ms else None

    def fresh(self, at: float) -> bool:
        """Whether an append time was heard lately."""
        return bool(self.heard_ms) and at - self._heard_at < FRESH_S


def ahead_ms(append_ms: int, sent_ms: int, heard_ms: int) -> int:
    """How far a wall clock is ahead of the brokers' at least, negative when it is behind.

    By that clock a record was sent and acknowledged at these times; 0 when the append lies between them.
    """
    if sent_ms > append_ms + 1:
        return sent_ms - append_ms - 1
    return min(0, heard_ms - append_ms)
