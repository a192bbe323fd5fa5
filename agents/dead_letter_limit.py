"""Stops a worker's intake when nearly everything that comes is turned away (`deadLetterLimitPerMinute`).

A wrong producer, or a wrong inputMapping, would otherwise make dead letters of a whole sale. What is not
taken in waits in its topic until the cause is mended and the worker is started again.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Hashable, Iterator, Sequence

from streams.engine.fetched import Fetched
from streams.engine.stage import Record
from streams.log import get_logger

log = get_logger("agents")

WINDOW_S = 60.0
POISONED = 0.9
"""At least this share of what was taken in has to be turned away: a busy sale may hold some dead letters."""

RECOMMENDATION = (
    "see in `flashsale dead-letters list` what is wrong, correct the producer or inputMapping, and start the "
    "workers again; to have everything turned away that cannot be read, set deadLetterLimitPerMinute to 0"
)


class DeadLetterLimit:
    """How many messages of input topics may be turned away in a minute; 0 is no limit.

    `stopped` stays once it is true: only a person knows whether the cause is gone.
    """

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_minute = per_minute
        self._clock = clock
        self._taken: deque[tuple[float, int, int]] = deque()
        """When, how many records were taken in, and how many of them were turned away."""
        self._records = self._letters = 0
        self._counted: dict[Hashable, int] = {}
        """By log: the offset up to which its records are counted."""
        self.stopped = False

    @property
    def sentence(self) -> str:
        """What has happened, for people."""
        return (
            f"intake is stopped: {self._letters:,} of the last {self._records:,} messages were turned away "
            f"(deadLetterLimitPerMinute is {self._per_minute:,})"
        )

    def pieces(self, fetched: Fetched) -> Iterator[Fetched]:
        """A fetch in parts of at most as many records as the limit allows; nothing once intake is stopped."""
        start, records, step = fetched.start, fetched.records, self._per_minute or len(fetched.records)
        while len(records) > step and not self.stopped:
            following = records[step].offset
            yield Fetched(fetched.topic, fetched.partition, start, following, records[:step])
            start, records = following, records[step:]
        if not self.stopped:
            yield Fetched(fetched.topic, fetched.partition, start, fetched.following, records)

    def decided(self, log: Hashable, records: Sequence[Record], letters: int) -> None:
        """Note that records of a log were taken in, and how many of them were turned away.

        Records that were decided before, in a transaction that was aborted, count once; of a piece that has
        others, too, their share is left out.
        """
        if not self._per_minute or self.stopped or not records:
            return
        counted = self._counted.get(log, 0)
        taken = records[: len(records)]  # a portion is shorter than the fetch whose records it has
        fresh = sum(record.offset >= counted for record in taken)
        if not fresh:
            return
        self._counted[log] = taken[-1].offset + 1
        self._note(fresh, round(letters * fresh / len(records)))

    def _note(self, records: int, letters: int) -> None:
        now = self._clock()
        self._taken.append((now, records, letters))
        self._records += records
        self._letters += letters
        while self._taken[0][0] <= now - WINDOW_S:
            _, before, letters_before = self._taken.popleft()
            self._records -= before
            self._letters -= letters_before
        if self._letters > self._per_minute and self._letters >= POISONED * self._records:
            self.stopped = True
            log.error(
                "intake_stopped",
                dead_letters=self._letters,
                of=self._records,
                limit=self._per_minute,
                recommendation=RECOMMENDATION,
            )


NO_LIMIT = DeadLetterLimit(0)
"""Of a worker whose configuration has none."""
