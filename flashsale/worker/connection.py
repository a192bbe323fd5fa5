"""Whether the broker answers: told once when it falls silent and once when it answers again.

What the libraries say in between, about every attempt to connect, is counted and not shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from streams.engine.host.hooks import Lease
from streams.log import get_logger, hear_libraries, hush_libraries

log = get_logger("worker")

JOINING_S = 15.0
"""A member that joins its group is answered when all others have joined, too: Faust's rebalance time-out."""


RECOMMENDATION = (
    "none while brokers restart: the worker goes on by itself; if it lasts, see `flashsale check` and the "
    "brokers' logs"
)


class Connection:
    """The worker's connection to its group's coordinator, which it asks several times in a session."""

    def __init__(self, lease: Lease, session_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease = lease
        self._session_s = session_s
        self._clock = clock
        self._began_at = clock()
        self._silent_since: float | None = None

    @property
    def answers(self) -> bool:
        """Whether the broker answered when somebody looked last."""
        return self._silent_since is None

    def look(self) -> None:
        """See whether the broker has answered in time; once a second, from any thread."""
        heard_at = max(self._lease.heard_at, self._began_at)
        if self._silent_since is None:
            silent_s = self._clock() - heard_at
            if silent_s > self._patience_s:
                self._silent_since = heard_at
                log.warning(
                    "kafka_silent",
                    seconds=round(silent_s, 1),
                    recommendation=RECOMMENDATION,
                )
                hush_libraries()
        elif heard_at > self._silent_since:
            kept_back = hear_libraries()
            seconds = round(self._clock() - self._silent_since, 1)
            self._silent_since = None
            log.info("kafka_answers", seconds=seconds, kept_back=kept_back)

    @property
    def _patience_s(self) -> float:
        joining = max(JOINING_S, 2 * self._session_s) if not self._lease.granted else 0.0
        return self._session_s + joining
